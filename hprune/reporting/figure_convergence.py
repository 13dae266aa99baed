"""The figure of convergence: the size of the winning ticket against the number of runs, and what more would bring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from hprune.reporting.drawing import COLOURS, INK, STYLE, axes_of, legend, svg_of


def convergence_figure(name: str, facts: Mapping[str, Any]) -> str:
    """The share of all samples that the ticket of s runs keeps, with its range over the choice of runs.

    Beyond S the prediction with its 95% interval. On the right the same as a share of the ticket of all S runs, which
    up to S is the overlap with it, as that of fewer runs is part of it.

    Args:
        name: of the score table.
        facts: its entry in `report["convergence"]`.

    Returns:
        The text of an `<svg>`.
    """
    total, samples, final = facts["S"], facts["samples"], facts["certain"]
    with matplotlib.rc_context(STYLE):
        labels = _labels(facts)
        figure, axes = axes_of(2.6, labels)
        at = [entry["runs"] for entry in facts["runs"]]
        sizes = np.array([entry["size"] for entry in facts["runs"]]) / samples
        handles: list[Any] = [Line2D([], [], color=COLOURS[0], marker="o", markersize=4)]
        axes.plot(at, sizes, "-o", color=COLOURS[0], markersize=4, linewidth=1.4)
        if facts["runs"][0]["low"] is not None:
            low, high = (np.array([entry[end] for entry in facts["runs"]]) / samples for end in ("low", "high"))
            axes.fill_between(at, low, high, color=COLOURS[0], alpha=0.25, linewidth=0)
            handles.append(Patch(color=COLOURS[0], alpha=0.25))
        if facts["predicted"]:
            later = [total, *(one["runs"] for one in facts["predicted"])]
            size, low, high = (
                np.array([final, *(one[end] for one in facts["predicted"])]) / samples
                for end in ("size", "low", "high")
            )
            axes.plot(later, size, "--", color=COLOURS[1], linewidth=1.4)
            axes.fill_between(later, low, high, color=COLOURS[1], alpha=0.25, linewidth=0)
            handles.append((Patch(color=COLOURS[1], alpha=0.25), Line2D([], [], color=COLOURS[1], linestyle="--")))
        axes.axvline(total, color=INK, alpha=0.35, linewidth=0.8)
        axes.set_ylim(0, None)
        axes.set_xlabel("scoring runs")
        axes.set_ylabel("samples in the winning ticket")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
        if final:
            right = axes.secondary_yaxis(
                "right", functions=(lambda y: y * samples / final, lambda y: y * final / samples)
            )
            right.set_ylabel(f"of the ticket of {total} runs")
            right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        legend(figure, handles, labels)
        told = ", ".join(f"{entry['runs']} runs {entry['size'] / samples:.1%}" for entry in facts["runs"])
        return svg_of(figure, f"convergence-{name}", f"Samples in the winning ticket by scoring runs, {name}. {told}")


def _labels(facts: Mapping[str, Any]) -> list[str]:
    return [
        "mean",
        *(["choices of runs"] if facts["runs"][0]["low"] is not None else []),
        *(["predicted, 95%"] if facts["predicted"] else []),
    ]
