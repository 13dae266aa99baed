"""The figures of a report as inline SVG: text takes the colour of the page, so it reads in light, dark and print.

Drawn by matplotlib's Figure alone, without pyplot and its global state. Text stays text and is set in the page's font.
"""

from __future__ import annotations

import html
import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

INK = "#0a0b0c"
"""Stands for the colour of the page's text; replaced by currentColor."""
COLOURS = ("#4477aa", "#ddaa33", "#bb5566", "#44aa88", "#aa77bb", "#88bbdd", "#997755")
REST = "#999999"
MARKERS = "osD^vP*X"
MOST_BARS = 60
"""Beyond, one outline a class: drawing a bar for each value would take seconds."""
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hprune",  # the same figure gives the same text
    "text.parse_math": False,  # class names and arms are not ours: a $ is a $
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


def score_histogram(name: str, table: Mapping[str, Any]) -> str | None:
    """Samples per value of a score, stacked by class where the classes are known.

    Args:
        name: of the score table.
        table: its entry in `report["histogram"]`.

    Returns:
        The text of an `<svg>`, or None for a table without values.
    """
    values = table["values"]
    if not values:
        return None
    with matplotlib.rc_context(STYLE):
        stacks = _stacks(values)
        figure, axes = _axes(2.3, [label for label, _, _ in stacks])
        at = np.array([value["value"] for value in values])
        bottom, whole = np.zeros(at.size), all(isinstance(value["value"], int) for value in values)
        width = 0.8 if whole or at[0] == at[-1] else 0.9 * (at[1] - at[0])  # of bins, which lie close
        for _, colour, counts in stacks:
            if at.size <= MOST_BARS:
                axes.bar(at, counts, bottom=bottom, width=width, color=colour)
            else:
                axes.fill_between(at, bottom, bottom + counts, step="mid", color=colour, linewidth=0)
            bottom += counts
        if at.size <= 12:
            _write_counts(axes, at, bottom)
        axes.set_xlabel(f"{name} (higher is {table['higher_is']})")
        axes.set_ylabel("samples")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=12 if whole else 6, integer=whole))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        if len(stacks) > 1:
            _legend(figure, [Patch(color=colour) for _, colour, _ in stacks], [label for label, _, _ in stacks])
        told = ", ".join(f"{value['value']:.4g}: {value['count']:,}" for value in values[:50])
        return _svg(figure, f"hist-{name}", f"Samples per value of {name}. {told}")


def accuracy_by_size(rows: Sequence[Mapping[str, Any]], metric: str, *, scale: float = 1.0) -> str | None:
    """The mean of a metric over seeds against the number of samples kept, with 95% intervals; a faint dot a seed.

    Args:
        rows: one row of the report an arm, all of one evaluation set and metric.
        metric: what to write on the axis.
        scale: multiplies the values; 100 for percent.

    Returns:
        The text of an `<svg>`, or None without rows.
    """
    if not rows:
        return None
    with matplotlib.rc_context(STYLE):
        figure, axes = _axes(2.6, [row["label"] for row in rows])
        handles = []
        for i, (row, x) in enumerate(zip(rows, _side_by_side([row["n"] for row in rows]), strict=True)):
            colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
            seeds = scale * np.array(list(row["values"].values()))
            axes.plot(np.full(seeds.size, x), seeds, ".", color=colour, alpha=0.45, markersize=5, markeredgewidth=0)
            ends = [row["mean"] if row[end] is None else row[end] for end in ("low", "high")]
            reach = scale * np.array([[row["mean"] - ends[0]], [ends[1] - row["mean"]]])
            axes.errorbar(
                x, scale * row["mean"], yerr=reach.clip(0), fmt=marker, color=colour, markersize=5.5, capsize=3
            )
            handles.append(Line2D([], [], color=colour, marker=marker, linestyle="none"))
        axes.set_xlim(0, 1.06 * max(row["n"] for row in rows))
        axes.set_xlabel("samples kept")
        axes.set_ylabel(metric)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
        _legend(figure, handles, [row["label"] for row in rows])
        told = ", ".join(f"{row['label']} {row['n']:,} samples {scale * row['mean']:.3g}" for row in rows)
        return _svg(figure, f"size-{rows[0]['eval_set']}", f"{metric} against samples kept. {told}")


def differences(
    rows: Sequence[Mapping[str, Any]], metric: str, *, key: str, margin: float | None, scale: float = 1.0
) -> str | None:
    """The difference of each arm to another with its 95% interval, one under the other; the margin as a band.

    Args:
        rows: one row of the report an arm, all of one evaluation set and metric.
        metric: what to write on the axis.
        key: the figure's own name on the page.
        margin: within it arms count as equivalent.
        scale: multiplies the values; 100 for percent.

    Returns:
        The text of an `<svg>`, or None if no arm has an interval.
    """
    told = [row for row in rows if row["difference"] is not None and row["difference"]["low"] is not None]
    if not told:
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 0.75 + 0.26 * len(told)), layout="constrained")
        axes = figure.subplots()
        if margin is not None:
            axes.axvspan(-scale * margin, scale * margin, color=INK, alpha=0.08, linewidth=0)
        axes.axvline(0, color=INK, alpha=0.5, linewidth=0.8)
        for at, row in enumerate(told):
            gap, colour = row["difference"], COLOURS[row["budget"] == "steps"]
            reach = scale * np.array([[gap["mean"] - gap["low"]], [gap["high"] - gap["mean"]]])
            axes.errorbar(
                scale * gap["mean"], at, xerr=reach.clip(0), fmt=MARKERS[row["budget"] == "steps"], color=colour,
                markersize=5.5, capsize=3,
            )  # fmt: skip
        axes.set_yticks(range(len(told)), [_shortened(row["label"]) for row in told])
        axes.set_ylim(len(told) - 0.5, -0.5)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(metric)
        axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
        said = ", ".join(f"{row['label']} {scale * row['difference']['mean']:+.3g}" for row in told)
        return _svg(figure, key, f"{metric}. {said}")


def _shortened(label: str) -> str:
    """A long name is cut; the space keeps matplotlib from hiding one with a leading underscore."""
    return f" {label if len(label) <= 50 else label[:49] + '…'}"


def _stacks(values: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, np.ndarray]]:
    """Label, colour and counts of each class, the small ones beyond seven together; one stack if no class is known."""
    totals: dict[str, int] = {}
    for value in values:
        for label, count in value["by_class"].items():
            totals[label] = totals.get(label, 0) + count
    if not totals:
        return [("all", COLOURS[0], np.array([value["count"] for value in values]))]
    largest = sorted(totals, key=lambda label: -totals[label])[: len(COLOURS)]
    shown = [label for label in totals if label in largest]
    stacks = [
        (label, colour, np.array([value["by_class"].get(label, 0) for value in values]))
        for label, colour in zip(shown, COLOURS, strict=False)
    ]
    if len(shown) == len(totals):
        return stacks
    rest = np.array([value["count"] for value in values]) - sum(counts for _, _, counts in stacks)
    return [*stacks, (f"{len(totals) - len(shown)} other classes", REST, rest)]


def _write_counts(axes: Axes, at: np.ndarray, tops: np.ndarray) -> None:
    """The number of samples above each bar."""
    for x, top in zip(at, tops, strict=True):
        axes.annotate(
            f"{int(top):,}", (x, top), (0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=8
        )
    axes.margins(y=0.1)


def _side_by_side(sizes: Sequence[int]) -> list[float]:
    """Where to draw each arm, so that arms of one size lie beside each other and not on top."""
    step, placed = 0.025 * max(sizes), []
    for i, size in enumerate(sizes):
        same = [j for j, other in enumerate(sizes) if abs(other - size) < step]
        placed.append(size + step * (same.index(i) - (len(same) - 1) / 2))
    return placed


def _axes(height: float, labels: Sequence[str]) -> tuple[Figure, Axes]:
    """Axes of the same height in inches, however many lines the legend below them takes."""
    lines = math.ceil(len(labels) / _columns(labels)) if len(labels) > 1 else 0
    figure = Figure(figsize=(4.4, height + 0.18 * lines), layout="constrained")
    return figure, figure.subplots()


def _columns(labels: Sequence[str]) -> int:
    return 3 if max(map(len, labels)) <= 20 else 1


def _legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Below the axes."""
    cut = [_shortened(label) for label in labels]
    place: dict[str, Any] = {"loc": "outside lower left", "ncols": _columns(labels), "handletextpad": 0.4}
    figure.legend(handles, cut, **place, labelspacing=0.3, borderaxespad=0.2)


def _svg(figure: Figure, key: str, description: str) -> str:
    """The figure as an `<svg>` element that fills its place; ids are made its own, as a page holds several."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the browser has its own fonts
        figure.savefig(
            buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = text.replace(INK, "currentColor")
    key = re.sub(r"\W", "-", key)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{key}-", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text))
    opening = f'<svg role="img" aria-label="{html.escape(description)}"'
    return re.sub(
        r'<svg( [^>]*?)? width="[^"]*"| height="[^"]*pt"', lambda found: (found[1] or "") and opening + found[1], text
    )
