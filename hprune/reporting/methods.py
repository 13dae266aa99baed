"""Verdicts on a method, where a study has several tickets: would it do as well with the next scoring runs, too?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune.reporting.arms import Arm, budget_of, is_random, name_over_tickets, trains_on_everything
from hprune.reporting.comparisons import LOWER_IS_BETTER, REFERENCES, facts_of
from hprune.reporting.predicted import Predictions
from hprune.reporting.ticket_plan import TicketPlan
from hprune.science.stats import Difference, difference_between, difference_of, judged
from hprune.science.tickets import Components, over_tickets

Method = dict[str, Any]

UNUSED = ("spread", "p_welch", "p_sign_flip", "over_seeds")
"""Facts of a difference that are of the seeds of one ticket."""


@dataclass(frozen=True)
class Pair:
    """An arm of one ticket, its reference, and the seeds of the ticket that both have."""

    ticket: int
    label: str
    reference: str
    seeds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Asked:
    """What is read of the arms for one evaluation set and metric."""

    arms: Mapping[str, Arm]
    predictions: Predictions
    plan: TicketPlan
    eval_set: str
    metric: str

    def values(self, label: str, seeds: Sequence[int]) -> dict[int, float]:
        """The metric of an arm for each of these seeds that has it."""
        runs = {run["key"]["seed"]: run["metrics"].get(self.eval_set, {}).get(self.metric) for run in self.arms[label]}
        return {seed: float(runs[seed]) for seed in seeds if runs.get(seed) is not None}

    def by_example(self, pair: Pair) -> tuple[dict[int, Any], dict[int, Any]]:
        """What each example contributes, of arm and reference; empty where that is not known of every seed."""
        if not self.predictions.same_examples(pair.label, pair.reference, self.eval_set):
            return {}, {}
        sides = [
            self.predictions.contributions(label, self.eval_set, self.metric) for label in (pair.label, pair.reference)
        ]
        if not set(pair.seeds) <= set(sides[0]) & set(sides[1]):
            return {}, {}
        own, other = ({seed: side[seed] for seed in pair.seeds} for side in sides)
        return own, other


def methods_of(
    arms: Mapping[str, Arm],
    plan: TicketPlan | None,
    *,
    primary_metric: str,
    margin: float | None,
    predictions: Predictions | None = None,
) -> list[Method]:
    """One row for each arm over its tickets, evaluation set, metric and reference.

    Args:
        arms: by their labels.
        plan: the tickets of the study, if several.
        primary_metric: the metric that the margin was stated for.
        margin: how much arms may differ in it and be called equivalent; None: that is not tested.
        predictions: what the arms predicted, where it was read already.

    Returns:
        `methods` of report.json, see `hprune.reporting.summary`; empty unless the study has several tickets
        (`comparison.tickets`), and at least two have runs.
    """
    if plan is None:
        return []
    predictions, rows = predictions or Predictions(arms), []
    for (name, budget, end), pairs in _pairs(arms, plan).items():
        of_all = [set(run["metrics"]) for pair in pairs for side in (pair.label, pair.reference) for run in arms[side]]
        for eval_set in sorted(set.intersection(*of_all), key=lambda each: each != "validation"):
            for metric in arms[pairs[0].label][0]["metrics"][eval_set]:
                asked = Asked(arms, predictions, plan, eval_set, metric)
                if (row := _method(name, budget, pairs, asked)) is not None:
                    rows.append({"end": end, **row})
    return list(_judged(rows, primary_metric, margin))


def _pairs(arms: Mapping[str, Arm], plan: TicketPlan) -> dict[tuple[str, str, str], list[Pair]]:
    """By arm, budget and kind of reference, the pairs of at least two tickets."""
    found: dict[tuple[str, str, str], list[Pair]] = {}
    for label, arm in arms.items():
        for end, reference_of in REFERENCES.items():
            if trains_on_everything(arm[0]) or (end == "_to_ticket" and is_random(arm[0])):  # the ticket's own row
                continue
            for pair in _pairs_of(label, arm, arms, plan, reference_of):
                key = (name_over_tickets(label, arm, plan), budget_of(arm[0]), end)
                found.setdefault(key, []).append(pair)
    once = {key: pairs for key, pairs in found.items() if len({pair.ticket for pair in pairs}) == len(pairs) > 1}
    return {key: sorted(pairs, key=lambda pair: pair.ticket) for key, pairs in once.items()}


def _pairs_of(
    label: str,
    arm: Arm,
    arms: Mapping[str, Arm],
    plan: TicketPlan,
    reference_of: Callable[[Any, Mapping[str, Arm]], str | None],
) -> Iterator[Pair]:
    """An arm's pairs, one for each ticket that it has runs of."""
    for ticket in range(len(plan.tickets)):
        own = {run["key"]["seed"]: run for run in arm if plan.ticket_of(run) == ticket}
        reference = reference_of(next(iter(own.values())), arms) if own else None
        if reference is None:
            continue
        seeds = set(own) & {run["key"]["seed"] for run in arms[reference]}
        if seeds:
            yield Pair(ticket, label, reference, tuple(sorted(seeds)))


def _method(name: str, budget: str, pairs: Sequence[Pair], asked: Asked) -> Method | None:
    """The row of one arm, without what it takes its family to say."""
    values = [(asked.values(pair.label, pair.seeds), asked.values(pair.reference, pair.seeds)) for pair in pairs]
    every_seed_has_it = all(
        set(own) == set(other) == set(pair.seeds) for pair, (own, other) in zip(pairs, values, strict=True)
    )
    if not every_seed_has_it:
        return None
    gap, components = _over(pairs, values, asked)
    reference = pairs[0].reference
    return {
        "arm": asked.arms[pairs[0].label][0]["key"]["subset"],
        "label": name,
        "budget": budget,
        "eval_set": asked.eval_set,
        "metric": asked.metric,
        "to": name_over_tickets(reference, asked.arms[reference], asked.plan),
        "tickets": len(pairs),
        "planned_tickets": len(asked.plan.tickets),
        "seeds_by_ticket": [len(pair.seeds) for pair in pairs],
        "gap": gap,
        "components": asdict(components),
        "by_ticket": [_alone(pair, own, other, asked) for pair, (own, other) in zip(pairs, values, strict=True)],
    }


def _over(
    pairs: Sequence[Pair], values: Sequence[tuple[dict[int, float], dict[int, float]]], asked: Asked
) -> tuple[Difference, Components]:
    """The difference over tickets, and examples where it is known of all what each contributes."""
    tables = [_table(*asked.by_example(pair), pair.seeds) for pair in pairs]
    known = [table for table in tables if table is not None]
    if len(known) < len(pairs) or len({table.shape[1] for table in known}) > 1:
        known = [np.array([[own[seed] - other[seed]] for seed in own]) for own, other in values]
    estimate, components = over_tickets(known)
    over = f"over {len(pairs)} tickets" + (f" and {estimate.examples:,} examples" if estimate.examples else "")
    return difference_of(estimate, f"t test {over}, two-sided", seeds=sum(len(p.seeds) for p in pairs)), components


def _table(own: Mapping[int, Any], other: Mapping[int, Any], seeds: Sequence[int]) -> NDArray[np.float64] | None:
    """(K, n) what examples contribute to the difference of each seed."""
    return np.stack([own[seed] - other[seed] for seed in seeds]) if own and other else None


def _alone(pair: Pair, own: dict[int, float], other: dict[int, float], asked: Asked) -> dict[str, Any]:
    """One ticket by itself, over its seeds and the examples."""
    interval = difference_between(own, other, *asked.by_example(pair)).interval
    ends = {"mean": interval.mean, "low": interval.low, "high": interval.high}
    return {
        "scoring_seeds": list(asked.plan.tickets[pair.ticket].scoring),
        "label": pair.label,
        "seeds": list(pair.seeds),
        **ends,
    }


def _judged(rows: Sequence[Method], primary_metric: str, margin: float | None) -> Iterator[Method]:
    """The rows with their verdicts: a family is what is compared with the same on one set, metric and budget."""
    families: dict[tuple[str, ...], list[Method]] = {}
    for row in rows:
        families.setdefault((row["end"], row["to"], row["eval_set"], row["metric"], row["budget"]), []).append(row)
    for (_, _, _, metric, _), family in families.items():
        verdicts = judged(
            {str(place): row["gap"] for place, row in enumerate(family)},
            higher_is_better=metric not in LOWER_IS_BETTER,
            margin=margin if metric == primary_metric else None,
        )
        for place, row in enumerate(family):
            row["gap"] = verdicts[str(place)]
    for row in rows:
        gap = row["gap"]
        yield {
            **{name: value for name, value in row.items() if name not in ("gap", "end", "components", "by_ticket")},
            **{name: value for name, value in facts_of(gap).items() if name not in UNUSED},
            "verdict": gap.verdict,
            "components": row["components"],
            "by_ticket": row["by_ticket"],
        }
