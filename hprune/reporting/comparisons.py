"""The rows of a report: every arm on every evaluation set and metric, beside the arms it is to be compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from hprune.reporting.arms import (
    Arm,
    Manifest,
    budget_of,
    full_set_of,
    random_like_of,
    ticket_of,
    trains_on_everything,
)
from hprune.reporting.predicted import Predictions
from hprune.science.stats import Difference, compare, t_interval

Row = dict[str, Any]

LOWER_IS_BETTER = ("loss", "ece")
REFERENCES: Mapping[str, Callable[[Manifest, Mapping[str, Arm]], str | None]] = {
    "": full_set_of,
    "_to_random": random_like_of,
    "_to_ticket": ticket_of,
}
"""What arms are compared with, by the end of the keys in their rows."""
TURNED = {"better": "worse", "worse": "better"}


def rows_of(
    arms: Mapping[str, Arm], *, primary_metric: str, margin: float | None, predictions: Predictions | None = None
) -> list[Row]:
    """One row for each arm, evaluation set and metric, with the differences to its references.

    Args:
        arms: by their labels.
        primary_metric: the metric that the margin was stated for.
        margin: how much arms may differ in it and be called equivalent; None: that is not tested.
        predictions: what the arms predicted, where it was read already.

    Raises:
        ValueError: if predictions were altered, or runs of one arm answered other examples.
    """
    predictions = predictions or Predictions(arms)
    rows = [row for label, arm in arms.items() for row in _plain_rows(label, arm)]
    at = {(row["label"], row["eval_set"], row["metric"]): row for row in rows}
    for suffix, reference_of in REFERENCES.items():
        references = {label: reference_of(arm[0], arms) for label, arm in arms.items()}
        for row in rows:
            row |= {f"difference{suffix}": None, f"verdict{suffix}": None}
        for reference, family in _families(rows, references):
            eval_set, metric = family[0]["eval_set"], family[0]["metric"]
            found = _compared(
                family, at.get((reference, eval_set, metric)), margin if metric == primary_metric else None, predictions
            )
            for label, gap in found.items():
                facts = {"to": reference, **facts_of(gap)}
                at[label, eval_set, metric] |= {f"difference{suffix}": facts, f"verdict{suffix}": gap.verdict}
    for row in rows:  # a pair is tested once: a ticket beside random is what random is beside that ticket
        if (gap := row["difference_to_random"]) and row["arm"] == "winning_ticket":
            other = at[gap["to"], row["eval_set"], row["metric"]]
            if (turned := other["difference_to_ticket"]) and turned["to"] == row["label"]:
                row["difference_to_random"] = turned_round(turned, to=other["label"])
                row["verdict_to_random"] = TURNED.get(other["verdict_to_ticket"], other["verdict_to_ticket"])
    return rows


def turned_round(facts: Mapping[str, Any], *, to: str) -> dict[str, Any]:
    """A difference seen from the other arm: what differs is the sign."""
    same, seeds = facts["equivalence"], facts.get("over_seeds")
    turned = {**facts, **_turned_ends(facts), "mean": -facts["mean"], "to": to}
    if same is not None:
        turned["equivalence"] = {**same, **_turned_ends(same)}
    if seeds is not None:
        turned["over_seeds"] = {**seeds, **_turned_ends(seeds)}
    return turned


def _turned_ends(interval: Mapping[str, Any]) -> dict[str, Any]:
    low, high = interval["low"], interval["high"]
    return {"low": None if high is None else -high, "high": None if low is None else -low}


def facts_of(gap: Difference) -> dict[str, Any]:
    """A difference as plain values."""
    facts = {name: value for name, value in asdict(gap).items() if name not in ("interval", "verdict")}
    return {**asdict(gap.interval), **facts, "within_margin": gap.within_margin}


def _plain_rows(label: str, arm: Arm) -> Iterator[Row]:
    """The rows of an arm by itself."""
    first = arm[0]
    for eval_set in sorted(set.intersection(*(set(manifest["metrics"]) for manifest in arm)), reverse=True):
        for metric in (m for m in first["metrics"][eval_set] if all(m in run["metrics"][eval_set] for run in arm)):
            values = {manifest["key"]["seed"]: manifest["metrics"][eval_set][metric] for manifest in arm}
            interval = t_interval(values)
            yield {
                "arm": first["key"]["subset"],
                "label": label,
                "rule": first["settings"]["subset"]["rule"],
                "budget": "all" if trains_on_everything(first) else budget_of(first),
                **_score_behind(first),
                "eval_set": eval_set,
                "metric": metric,
                "n": round(float(np.mean([manifest["samples"] for manifest in arm]))),
                "fraction": float(np.mean([manifest["samples"] / manifest["full_samples"] for manifest in arm])),
                "mean": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "seeds": sorted(values),
                "values": {str(seed): value for seed, value in sorted(values.items())},
            }


def _families(rows: Sequence[Row], references: Mapping[str, str | None]) -> Iterator[tuple[str, list[Row]]]:
    """Rows that are compared with the same arm on the same set, metric and budget: as one family of tests."""
    families: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if (reference := references[row["label"]]) is not None:
            families.setdefault((reference, row["eval_set"], row["metric"], row["budget"]), []).append(row)
    yield from ((reference, family) for (reference, *_), family in families.items())


def _compared(
    family: Sequence[Row], reference: Row | None, margin: float | None, predictions: Predictions
) -> dict[str, Difference]:
    """The differences of a family to its reference, of the arms that share seeds with it."""
    if reference is None:
        return {}
    other = _by_seed(reference)
    values = {row["label"]: _by_seed(row) for row in family}
    paired = {label: own for label, own in values.items() if set(own) & set(other)}
    eval_set, metric = reference["eval_set"], reference["metric"]
    known = {
        label: predictions.contributions(label, eval_set, metric)
        for label in paired
        if predictions.same_examples(label, reference["label"], eval_set)
    }
    return compare(
        paired,
        other,
        higher_is_better=metric not in LOWER_IS_BETTER,
        margin=margin,
        by_example=known,
        reference_by_example=predictions.contributions(reference["label"], eval_set, metric) if known else None,
    )


def _by_seed(row: Row) -> dict[int, float]:
    return {int(seed): value for seed, value in row["values"].items()}


def _score_behind(manifest: Manifest) -> dict[str, int | None]:
    """S and E of the score that chose the arm."""
    seeds = manifest["subset"].get("seeds")
    return {"S": None if seeds is None else len(seeds), "E": manifest["subset"].get("epochs")}
