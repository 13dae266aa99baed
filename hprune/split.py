"""How a study's cost would serve a verdict on the method: so many tickets, so many seeds for each (`plan.spread`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hprune.data.checks import check_number
from hprune.science.split import USUAL, Split, best_split
from hprune.science.tickets import Components

SPREAD = {"ticket": USUAL.ticket or 0.0, "seed": USUAL.seed or 0.0, "disagreement": 0.08}
"""Of differences to the full set: standard deviations between tickets and between seeds, in the metric's own unit, and
the share of the examples on which arm and full set disagree."""
FEWEST = 2
"""Tickets, and seeds of each: with one seed a ticket has no verdict of its own."""


def spread_of(given: Any) -> dict[str, float]:
    """`plan.spread`, checked.

    Raises:
        ValueError: naming the key that is not known, or is no share.
    """
    if not isinstance(given, dict) or set(given) != set(SPREAD):
        raise ValueError(f"plan.spread must have the keys {', '.join(SPREAD)}, got {given!r}")
    for name, value in given.items():
        rule = "a number from 0, below 1, in the metric's own unit (0.01 is one point of accuracy)"
        check_number(f"plan.spread.{name}", value, rule=rule, high=1.0)
    return {name: float(value) for name, value in given.items()}


def splits(
    *, scoring: int, each: int, full: int, pruned: Sequence[float], examples: int, spread: Mapping[str, float]
) -> list[Split]:
    """What the cost of a study buys in tickets and seeds, the narrowest interval first; none without arms.

    Each ticket has at least two seeds. Where the cost does not suffice for two such tickets, they are the one split,
    whose cost is above its budget.

    Args:
        scoring: scoring runs of the study.
        each: of which each ticket has so many.
        full: comparison runs on the full set.
        pruned: what each other comparison run costs, in runs on the full set.
        examples: that evaluate.
        spread: see `SPREAD`.
    """
    if not pruned or not examples:
        return []
    share, arms = sum(pruned) / len(pruned), max(1, round(len(pruned) / max(full, 1)))
    components = Components(spread["ticket"], spread["seed"], (spread["disagreement"] / examples) ** 0.5)

    def within(budget: float) -> list[Split]:
        found = best_split(
            budget=budget, share=share, scoring_runs=each, arms=arms, components=components, examples=examples
        )
        return [split for split in found if split.seeds_per_ticket >= FEWEST]

    budget = scoring + full + sum(pruned)
    least = FEWEST * (each + FEWEST * (1 + arms * share))
    return within(budget) or [replace(split, budget=budget) for split in within(least)]
