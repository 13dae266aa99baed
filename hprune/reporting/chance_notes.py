"""What chance the intervals and verdicts of a report account for, and what not: notes for a careful reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hprune.reporting.arms import drawn_at_random
from hprune.science.crossed import NO_SPREAD

Report = Mapping[str, Any]


def chance_notes(report: Report) -> list[str]:
    """Which of seeds, examples and tickets are behind the differences of the primary metric."""
    metric = report["primary_metric"]
    rows = [row for row in report["rows"] if row["metric"] == metric]
    gaps = [row["difference"] for row in rows if row["difference"] is not None and row["difference"]["low"] is not None]
    methods = [row for row in report.get("methods", []) if row["metric"] == metric]
    found = _of_margin(report)
    if any(gap.get("examples") for gap in gaps):
        found.append(
            "Differences and verdicts account for the chance of the seeds and of the evaluation examples; the interval "
            "of an arm's own mean is over its seeds alone."
        )
    alone = [gap for gap in gaps if "examples" in gap and gap["examples"] is None]
    if any(_wide(gap) for gap in alone):
        found.append(
            "Where it is not known what each example contributes, as without prediction files, a difference is over "
            "seeds alone: another evaluation set could give another answer."
        )
    found += _without_spread(rows)
    if any(row["S"] is not None and len(row["seeds"]) > 1 and not drawn_at_random(row["rule"]) for row in rows):
        found.append(_of_subsets(methods))
    return found + _of_tickets(methods)


def _without_spread(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Arms whose difference to the full set is the same for every seed, which an interval of no width shows."""
    same: list[str] = []
    constant: list[str] = []
    for row in rows:
        gap = row["difference"]
        if gap is None or gap["low"] is None or _wide(gap):
            continue
        (same if row["verdict"] in ("equivalent", "not distinguishable") else constant).append(row["label"])
    found = []
    if same:
        names = ", ".join(dict.fromkeys(same))
        found.append(
            f"{names}: no seed differs from the full set at all, as when two models give the same answers, so the "
            "interval has no width. Nothing can be closer, but a setting that has no effect looks the same."
        )
    if constant:
        names = ", ".join(dict.fromkeys(constant))
        found.append(
            f"{names}: every seed gives the same difference to the full set, so nothing says what chance does."
        )
    return found


def _wide(gap: Mapping[str, Any]) -> bool:
    """Whether an interval has a width, other than by rounding."""
    return bool(gap["high"] - gap["low"] > 100 * NO_SPREAD)


def _of_margin(report: Report) -> list[str]:
    """Where the margin comes from, if it was found and is the one that arms were compared by."""
    found = report.get("margin_found")
    if found is None or found["margin"] != report["margin"]:
        return []
    compared = found.get("comparison_runs")
    when = {None: "was fixed", 0: "was fixed before the first comparison run"}.get(
        compared, f"was fixed when {compared} comparison runs were complete"
    )
    return [f"The margin, {found['margin']:g}, {when}: {found['why']}."]


def _of_subsets(methods: list[Mapping[str, Any]]) -> str:
    start = "Seeds train anew on what a score chose once: intervals hold for these subsets. "
    if methods:
        return (
            f"{start}The verdicts on the method, over tickets of other scoring runs, hold for the next such ticket, "
            "too."
        )
    return (
        f"{start}Scoring runs with other seeds would choose others; random subsets alone are drawn anew for each seed."
    )


def _of_tickets(methods: list[Mapping[str, Any]]) -> list[str]:
    """Tickets that are missing, or have fewer seeds than others."""
    found = []
    if missing := [row for row in methods if row["tickets"] < row["planned_tickets"]]:
        names = ", ".join(dict.fromkeys(row["label"] for row in missing))
        found.append(f"Not every planned ticket has runs of {names} yet: its method is judged by those that have.")
    if uneven := [row for row in methods if len(set(row["seeds_by_ticket"])) > 1]:
        counts = "; ".join(
            dict.fromkeys(f"{row['label']} {', '.join(map(str, row['seeds_by_ticket']))}" for row in uneven)
        )
        found.append(f"Tickets have unequal numbers of seeds ({counts}): each ticket counts alike in its method.")
    if any(row["tickets"] == 2 for row in methods):
        found.append("Two tickets say little of how tickets vary: the interval of a method is wide, to be safe.")
    return found
