"""The break-even chart: what the first and the next runs cost together, on the full set and on chosen subsets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from hprune.reporting.drawing import COLOURS, INK, MARKERS, STYLE, axes_of, legend, svg_of

MOST_RUNS = 60
"""Later runs that are shown at most: beyond, lines that nearly coincide would be all there is."""


def break_even_chart(arms: Sequence[Mapping[str, Any]], *, key: str = "break-even") -> str | None:
    """Cumulative cost against the number of later runs, in full fine-tunings; a mark where scoring is paid back.

    Args:
        arms: entries of `report["cost"]["arms"]`; those without `pay_back` are left out.
        key: the figure's own name on the page.

    Returns:
        The text of an `<svg>`, or None if no arm was chosen by a score of the study.
    """
    paid = [(arm["label"], arm["pay_back"]["seconds"]) for arm in arms if arm["pay_back"] is not None]
    paid = [(label, one) for label, one in paid if one["full_run"] > 0]
    if not paid:
        return None
    crossings = [_crossing(one) for _, one in paid]
    runs = min(MOST_RUNS, max([10, *(math.ceil(1.4 * at) for at in crossings if at is not None)]))
    with matplotlib.rc_context(STYLE):
        labels = ["full set", *(label for label, _ in paid)]
        figure, axes = axes_of(2.6, labels)
        axes.plot([0, runs], [0, runs], color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
        handles = [Line2D([], [], color=INK, linewidth=1.2, linestyle=(0, (4, 2)))]
        for i, ((_, one), at) in enumerate(zip(paid, crossings, strict=True)):
            colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
            start, slope = one["scoring"] / one["full_run"], one["subset_run"] / one["full_run"]
            axes.plot([0, runs], [start, start + slope * runs], color=colour, linewidth=1.2)
            if at is not None and at <= runs:
                axes.plot([at], [at], marker=marker, color=colour, markersize=6)
            handles.append(Line2D([], [], color=colour, marker=marker, markersize=6, linewidth=1.2))
        axes.set_xlim(0, runs)
        axes.set_ylim(0, None)
        axes.set_xlabel("later runs on the same data")
        axes.set_ylabel("cost, in full fine-tunings")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
        legend(figure, handles, labels)
        said = ", ".join(
            f"{label} {'never' if one['break_even'] is None else 'after ' + str(one['break_even']) + ' runs'}"
            for label, one in paid
        )
        return svg_of(figure, key, f"Cost of scoring and later runs against runs on the full set. Paid back: {said}")


def _crossing(paid: Mapping[str, Any]) -> float | None:
    """Where the lines cross, in later runs, which need not be a whole number."""
    return paid["scoring"] / paid["saved"] if paid["saved"] > 0 else None
