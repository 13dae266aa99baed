"""How size and accuracy of the winning ticket change with the number of samples: curves for the sensitivity page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from markupsafe import Markup

from hprune.reporting import wording as words
from hprune.reporting.figure_cells import growth

Report = Mapping[str, Any]
Line = Mapping[str, Any]
View = dict[str, Any]

BUDGETS = ("epochs", "steps")


def growth_figures(report: Report) -> Iterator[View]:
    """Against the number of samples, where there are several: of each way of measuring the cells of the same runs."""
    curves = _by_samples(report)
    if not curves:
        return
    shares = {name: [_point(line, cell["share"]) for line, cell in curve] for name, curve in curves.items()}
    hardest = {
        name: [_point(line, cell["histogram"][0] / line["samples"]) for line, cell in curve]
        for name, curve in curves.items()
    }
    yield _curve(shares, "winning ticket, %", "growth-ticket", "The share of the samples in the winning ticket.")
    yield _curve(hardest, "H = 0, %", "growth-hardest", "The share of the samples that no run had right throughout.")
    scale = 100 if report["primary_metric"] in words.PERCENT else 1
    axis = f"difference in {words.metric_name(report['primary_metric'])}" + (", points" if scale == 100 else "")
    for budget, (end, other) in product(BUDGETS, (("", "the full set"), ("_to_random", "as many random samples"))):
        gaps = {
            name: [point for line, cell in curve if (point := _gap_point(line, cell, end, budget))]
            for name, curve in curves.items()
        }
        known = {name: points for name, points in gaps.items() if points}
        if len({size for points in known.values() for size, *_ in points}) > 1:
            caption = f"The ticket against {other} at equal {budget}, with 95% intervals."
            yield _curve(known, axis, f"growth-{budget}{end}", caption, scale)


def _by_samples(report: Report) -> dict[str, list[tuple[Line, Line]]]:
    """Lines and cells that differ in their samples only, by a name; of each kind those of most sets of samples."""
    kinds: dict[tuple[str, ...], dict[tuple[Any, ...], dict[str, tuple[Line, Line]]]] = {}
    for line in report["lines"]:
        for cell in line["cells"]:
            runs = (len(cell["seeds"]), cell["E"], cell["trained_epochs"], tuple(cell["seeds"]))
            curves = kinds.setdefault((line["task"], line["model"], words.way(line), *line["differs"]), {})
            curves.setdefault(runs, {}).setdefault(line["data_hash"], (line, cell))
    found: dict[tuple[str, ...], list[tuple[Line, Line]]] = {}
    for kind, curves in kinds.items():
        curve = max(curves.values(), key=len)
        if len({line["samples"] for line, _ in curve.values()}) > 1:
            found[kind] = sorted(curve.values(), key=lambda point: point[0]["samples"])
    one_task = len({kind[:2] for kind in found}) == 1
    return {
        ", ".join(kind[2:] if one_task else (" ".join(kind[:2]), *kind[2:])): curve for kind, curve in found.items()
    }


def _point(line: Line, value: float) -> tuple[float, float, float, float]:
    return line["samples"], value, value, value


def _gap_point(line: Line, cell: Line, end: str, budget: str) -> tuple[float, float, float, float] | None:
    arm = arm_of(cell, budget)
    gap = arm[f"difference{end}"] if arm else None
    if gap is None:
        return None
    low, high = (gap["mean"] if gap[side] is None else gap[side] for side in ("low", "high"))
    return line["samples"], gap["mean"], low, high


def _curve(curves: Mapping[str, Any], name: str, key: str, caption: str, scale: float = 100) -> View:
    return {"figure": Markup(growth(curves, name, key, scale)), "caption": caption}


def arm_of(cell: Mapping[str, Any], budget: str) -> Mapping[str, Any] | None:
    """The arm that was trained on a cell's ticket, in this budget."""
    return next((arm for arm in cell["arms"] if arm["budget"] == budget), None)
