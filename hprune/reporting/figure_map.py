"""The data map as a figure: a dot a sample, confidence against variability, coloured by H."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from hprune.reporting.drawing import COLOURS, INK, STYLE, axes_of, legend, svg_of

RAMP = LinearSegmentedColormap.from_list("h", [COLOURS[2], COLOURS[1], COLOURS[0]])
"""From H = 0 to S: red, yellow, blue of middling lightness, which read on light and dark and without green."""
MOST_HANDLES = 9
DOT = 2.6
"""Diameter in points."""


def map_figure(found: Mapping[str, Any]) -> str | None:
    """Draw the samples of a data map; those of low H, which are few, on top.

    All dots of one H are one path of strokes without length and with round ends: a quarter of the bytes of markers,
    half of those of pixels, and sharp in print.

    Args:
        found: `report["data_map"]`.

    Returns:
        The text of an `<svg>`, or None if no sample was drawn.
    """
    h, x, y = (np.array(found["points"][name]) for name in ("h", "variability", "confidence"))
    if not h.size:
        return None
    counts = {entry["value"]: entry["count"] for entry in found["by_h"]}
    labels = [f"H = {value}: {count:,}" for value, count in counts.items()]
    shown = sorted({round(at) for at in np.linspace(0, found["S"], min(found["S"] + 1, MOST_HANDLES))})
    with matplotlib.rc_context(STYLE):
        figure, axes = axes_of(3.1, [labels[value] for value in shown])
        for value in range(found["S"], -1, -1):
            _dots(axes, x[h == value], y[h == value], _colour(value, found["S"]))
        axes.set_xlim(-0.01, max(0.3, 1.04 * x.max()))
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("variability: how much the probability changes over epochs")
        axes.set_ylabel("confidence: its mean")
        axes.grid(color=INK, alpha=0.12, linewidth=0.6)
        handles = [
            Line2D([], [], color=_colour(value, found["S"]), marker="o", markersize=5, linestyle="none")
            for value in shown
        ]
        legend(figure, handles, [labels[value] for value in shown])
        told = ", ".join(
            f"H = {entry['value']}: {entry['count']:,} samples, confidence {entry['confidence']:.2f}, "
            f"variability {entry['variability']:.2f}"
            for entry in found["by_h"][:50]
            if entry["count"]
        )
        return _compact(svg_of(figure, f"map-{found['scores']}", f"Data map. {told}"))


def map_caption(found: Mapping[str, Any]) -> str:
    """What to see in the figure."""
    drawn, samples = len(found["points"]["h"]), found["samples"]
    which = f"{drawn:,} of {samples:,} samples, drawn at random" if drawn < samples else f"all {samples:,} samples"
    return (
        "Data map: mean and standard deviation over epochs of the probability of a sample’s label, averaged over "
        f"{found['S']} runs; {which}; the numbers beside H count all. Top left: easy to learn. Bottom left: hard to "
        "learn; wrong labels gather there, as do samples that are merely hard. Right: ambiguous, where the runs change "
        "their minds. H counts runs without a single miss, so a colour need not be a region."
    )


def _dots(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], colour: str) -> None:
    if not x.size:
        return
    ends = np.repeat(np.stack([x, y], axis=1), 2, axis=0)  # from each point to itself
    path = Path(ends, np.tile([Path.MOVETO, Path.LINETO], x.size))
    path.should_simplify = False
    axes.add_patch(
        PathPatch(path, fill=False, edgecolor=colour, linewidth=DOT, capstyle="round", joinstyle="round", alpha=0.8)
    )


def _compact(svg: str) -> str:
    """The strokes without length in as few letters as can be, to a hundredth of a point."""
    return re.sub(r"M (\d+\.?\d{0,2})\d* (\d+\.?\d{0,2})\d* \nL \1\d* \2\d* \n?", r"M\1 \2h0", svg)


def _colour(value: int, runs: int) -> str:
    return str(to_hex(RAMP(value / max(runs, 1))))
