"""The figures of a sensitivity analysis: what H is made of in each cell, heat maps over runs and epochs, growth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from hprune.reporting.drawing import COLOURS, INK, MARKERS, STYLE, axes_of, legend, shortened, svg_of

Cell = Mapping[str, Any]
HARDEST, EASIEST = "#bb5566", "#44aa88"
TICKET = ("#c9d9ec", "#33588a")
"""From H = 1 to H = S - 1."""


def compositions(cells: Sequence[Cell], names: Sequence[str], key: str) -> str:
    """For each cell a bar of all samples: never right throughout, the winning ticket by H, always right.

    Args:
        cells: of one line of the report.
        names: what to call them.
        key: the figure's own name on the page.

    Returns:
        The text of an `<svg>`.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 0.9 + 0.24 * len(cells)), layout="constrained")
        axes = figure.subplots()
        for at, cell in enumerate(cells):
            counts, left = np.array(cell["histogram"]), 0.0
            for h, share in enumerate(counts / counts.sum()):
                axes.barh(at, share, left=left, height=0.72, color=_colour(h, counts.size - 1), linewidth=0)
                left += share
        axes.set_yticks(range(len(cells)), [shortened(name) for name in names])
        axes.set_ylim(len(cells) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
        axes.set_xlabel("share of the samples")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        patches = [Patch(color=HARDEST), Patch(color=_blend(0.5)), Patch(color=EASIEST)]
        legend(figure, patches, ["H = 0", "winning ticket", "H = S"])
        told = ", ".join(f"{name} {cell['share']:.1%} in the ticket" for name, cell in zip(names, cells, strict=True))
        return svg_of(figure, key, f"What H is made of. {told}")


def heat_map(
    cells: Sequence[Cell], values: Sequence[float | None], title: str, key: str, form: str = ".0%"
) -> str | None:
    """A number of each cell by its runs and epochs.

    Args:
        cells: of one line of the report; of several with the same runs and epochs, the last is shown.
        values: their numbers.
        title: what they are.
        key: the figure's own name on the page.
        form: how they are written.

    Returns:
        The text of an `<svg>`, or None where there are fewer than two numbers.
    """
    runs, epochs = (sorted({cell[axis] for cell in cells}) for axis in "SE")
    grid = np.full((len(epochs), len(runs)), np.nan)
    for cell, value in zip(cells, values, strict=True):
        if value is not None:
            grid[epochs.index(cell["E"]), runs.index(cell["S"])] = value
    if np.count_nonzero(~np.isnan(grid)) < 2:
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(4.4, 1.1 + 0.62 * len(runs)), 0.9 + 0.3 * len(epochs)), layout="constrained")
        axes = figure.subplots()
        low, high = float(np.nanmin(grid)), float(np.nanmax(grid))
        axes.imshow(grid, cmap="cividis", vmin=low, vmax=high if high > low else low + 1, aspect="auto")
        _write_values(axes, grid, low, high, form)
        axes.set_xticks(range(len(runs)), [str(number) for number in runs])
        axes.set_yticks(range(len(epochs)), [str(number) for number in epochs])
        axes.set_xlabel("runs, S")
        axes.set_ylabel("epochs, E")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_title(title, fontsize=9.5, loc="left")
        told = ", ".join(
            f"S {runs[j]} E {epochs[i]} {grid[i, j]:{form}}" for i, j in np.argwhere(~np.isnan(grid)).tolist()
        )
        return svg_of(figure, key, f"{title}. {told}")


def growth(
    curves: Mapping[str, Sequence[tuple[float, float, float, float]]], name: str, key: str, scale: float = 100
) -> str:
    """A number against that of training samples, a curve for each way of measuring.

    Args:
        curves: by way, (samples, number, low end, high end) in rising order; without an interval its ends equal it.
        name: of the number, for the axis.
        key: the figure's own name on the page.
        scale: multiplies the number; 100 for percent and points.

    Returns:
        The text of an `<svg>`.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = axes_of(2.6, list(curves))
        handles = []
        for i, points in enumerate(curves.values()):
            x, y, low, high = np.array(points).T
            x, colour, marker = (
                x * 1.03 ** (i - (len(curves) - 1) / 2),
                COLOURS[i % len(COLOURS)],
                MARKERS[i % len(MARKERS)],
            )
            reach = scale * np.array([y - low, high - y]).clip(0)
            axes.errorbar(
                x, scale * y, yerr=reach if reach.any() else None, fmt=f"{marker}-", color=colour,
                markersize=5, capsize=3, linewidth=1.2,
            )  # fmt: skip
            handles.append(Line2D([], [], color=colour, marker=marker))
        axes.set_xscale("log")
        sizes = sorted({point[0] for points in curves.values() for point in points})
        axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes], minor=False)
        axes.minorticks_off()
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.set_xlabel("training samples")
        axes.set_ylabel(name)
        axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
        legend(figure, handles, list(curves))
        told = ", ".join(f"{way} at {p[0]:,.0f} {scale * p[1]:.3g}" for way, points in curves.items() for p in points)
        return svg_of(figure, key, f"{name} against training samples. {told}")


def _write_values(axes: Axes, grid: np.ndarray, low: float, high: float, form: str) -> None:
    """The number in each field, dark on light and light on dark."""
    for (i, j), value in np.ndenumerate(grid):
        if not np.isnan(value):
            light = high > low and (value - low) / (high - low) > 0.45
            axes.text(
                j, i, f"{value:{form}}", ha="center", va="center", color="#111111" if light else "#ffffff", fontsize=9
            )


def _colour(h: int, runs: int) -> str:
    return HARDEST if h == 0 else EASIEST if h == runs else _blend((h - 1) / max(runs - 2, 1))


def _blend(part: float) -> str:
    """Between the colours of the ticket's ends."""
    ends = np.array([[int(end[i : i + 2], 16) for i in (1, 3, 5)] for end in TICKET])
    red, green, blue = np.rint(ends[0] + part * (ends[1] - ends[0])).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"
