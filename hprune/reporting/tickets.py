"""How far the winning tickets of different runs differ: those of as many runs and epochs that share no run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from hprune.science.overlap import overlap
from hprune.science.records import Scores


def between_tickets(tables: Sequence[Scores], told: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What tickets have in common that share no run, of the most runs and epochs that several have.

    Args:
        tables: the H-scores of a line's cells.
        told: the cells as `sensitivity.json` holds them, with their arms.

    Returns:
        The `tickets` of a line, see `hprune.reporting.cells`; None if no two share no run.
    """
    pairs: dict[tuple[int, int], list[tuple[int, int]]] = {}
    distinct = {(table.epochs, table.seeds): i for i, table in enumerate(tables)}  # the same runs once
    for i, j in combinations(sorted(distinct.values()), 2):
        one, other = tables[i], tables[j]
        size = (one.epochs, one.runs)
        if size == (other.epochs, other.runs) and not set(one.seeds) & set(other.seeds):
            pairs.setdefault(size, []).append((i, j))
    if not pairs:
        return None
    apart = pairs[max(pairs)]
    found = [overlap(tables[i].in_ticket, tables[j].in_ticket) for i, j in apart]
    groups = sorted({i for pair in apart for i in pair})
    arms = [arm for i in groups for arm in told[i]["arms"][:1] if arm["difference"]]
    gaps = [arm["difference"]["mean"] for arm in arms if arm["budget"] == arms[0]["budget"]]
    return {
        "count": len(groups),
        "S": max(pairs)[1],
        "E": max(pairs)[0],
        "jaccard": _range([one.jaccard for one in found]),
        "kappa": _range([one.kappa for one in found]),
        "budget": arms[0]["budget"] if len(gaps) > 1 else None,
        "difference": _range(gaps) if len(gaps) > 1 else None,
    }


def _range(values: Sequence[float | None]) -> list[float] | None:
    known = [value for value in values if value is not None]
    return [min(known), max(known)] if known else None
