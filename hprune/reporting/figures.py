"""The figures of a report: samples by score, a metric by size, differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from hprune.reporting.drawing import COLOURS, INK, MARKERS, REST, STYLE, axes_of, legend, shortened, svg_of

MOST_BARS = 60
"""Beyond, one outline a class: drawing a bar for each value would take seconds."""


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
        figure, axes = axes_of(2.3, [label for label, _, _ in stacks])
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
            legend(figure, [Patch(color=colour) for _, colour, _ in stacks], [label for label, _, _ in stacks])
        told = ", ".join(f"{value['value']:.4g}: {value['count']:,}" for value in values[:50])
        return svg_of(figure, f"hist-{name}", f"Samples per value of {name}. {told}")


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
        figure, axes = axes_of(2.6, [row["label"] for row in rows])
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
        frontier = _frontier(rows)
        if len(frontier) > 1:
            line = np.array([(row["n"], scale * row["mean"]) for row in frontier])
            axes.plot(*line.T, color=INK, alpha=0.35, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        axes.set_xlim(0, 1.06 * max(row["n"] for row in rows))
        axes.set_xlabel("samples kept")
        axes.set_ylabel(metric)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
        legend(figure, handles, [row["label"] for row in rows])
        told = ", ".join(f"{row['label']} {row['n']:,} samples {scale * row['mean']:.3g}" for row in rows)
        return svg_of(figure, f"size-{rows[0]['eval_set']}", f"{metric} against samples kept. {told}")


def _frontier(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The arms that no other beats with as few samples or fewer, by size."""
    best: list[Mapping[str, Any]] = []
    for row in sorted(rows, key=lambda row: (row["n"], -row["mean"])):
        if not best or row["mean"] > best[-1]["mean"]:
            best.append(row)
    return best


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
        axes.set_yticks(range(len(told)), [shortened(row["label"]) for row in told])
        axes.set_ylim(len(told) - 0.5, -0.5)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(metric)
        axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
        said = ", ".join(f"{row['label']} {scale * row['difference']['mean']:+.3g}" for row in told)
        return svg_of(figure, key, f"{metric}. {said}")


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
