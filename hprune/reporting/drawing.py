"""How figures are drawn: inline SVG whose text takes the colour of the page, so it reads in light, dark and print.

Drawn by matplotlib's Figure alone, without pyplot and its global state. Text stays text and is set in the page's font.
"""

from __future__ import annotations

import html
import io
import math
import re
import warnings
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#0a0b0c"
"""Stands for the colour of the page's text; replaced by currentColor."""
COLOURS = ("#4477aa", "#ddaa33", "#bb5566", "#44aa88", "#aa77bb", "#88bbdd", "#997755")
REST = "#999999"
MARKERS = "osD^vP*X"
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


def shortened(label: str) -> str:
    """A long name is cut; the space keeps matplotlib from hiding one with a leading underscore."""
    return f" {label if len(label) <= 50 else label[:49] + '…'}"


def axes_of(height: float, labels: Sequence[str]) -> tuple[Figure, Axes]:
    """Axes of the same height in inches, however many lines the legend below them takes."""
    lines = math.ceil(len(labels) / _columns(labels)) if len(labels) > 1 else 0
    figure = Figure(figsize=(4.4, height + 0.18 * lines), layout="constrained")
    return figure, figure.subplots()


def _columns(labels: Sequence[str]) -> int:
    return 3 if max(map(len, labels)) <= 20 else 1


def legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Below the axes."""
    cut = [shortened(label) for label in labels]
    place: dict[str, Any] = {"loc": "outside lower left", "ncols": _columns(labels), "handletextpad": 0.4}
    figure.legend(handles, cut, **place, labelspacing=0.3, borderaxespad=0.2)


def svg_of(figure: Figure, key: str, description: str) -> str:
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
