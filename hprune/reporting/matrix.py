"""Every arm beside every other: what lies between them, and how many samples they share."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune.reporting.arms import Arm, budget_of, same_settings, trains_on_everything
from hprune.reporting.predicted import Predictions
from hprune.science.overlap import overlap
from hprune.science.stats import difference_between, holm
from hprune.storage.files import open_table
from hprune.storage.places import below
from hprune.storage.runs import check_file

MOST_ARMS = 12
"""Beyond, a table of all pairs is no table to read."""


def matrix_of(arms: Mapping[str, Arm], *, metric: str, predictions: Predictions | None = None) -> dict[str, Any] | None:
    """All pairs of arms on the first evaluation set.

    Args:
        arms: by their labels.
        metric: that is compared.
        predictions: what the arms predicted, where it was read already.

    Returns:
        `matrix` of report.json: {eval_set, metric, labels,
        pairs: [{a, b, mean, p_value, p_holm, seeds, examples, jaccard, kappa}]}, one entry for each pair of labels.
        `mean` is that of a minus b; the p values are of the paired t test over seeds and, unless `examples` is null,
        over so many examples; null with one seed or without spread, `p_holm` corrected for all pairs. `jaccard` and
        `kappa` compare the samples that the runs of the first common seed were trained on, null where it is not known.
        Arms that differ in more than their data have no difference.
        None with fewer than two arms, or too many.
    """
    if not 2 <= len(arms) <= MOST_ARMS:
        return None
    eval_set = min(next(iter(arms.values()))[0]["metrics"], key=lambda name: name != "validation")
    values = {label: _by_seed(arm, eval_set, metric) for label, arm in arms.items()}
    predictions = predictions or Predictions(arms)
    pairs = [
        {
            "a": a,
            "b": b,
            "mean": None,
            "p_value": None,
            "p_holm": None,
            "seeds": 0,
            "examples": None,
            **(_difference(a, b, values, eval_set, metric, predictions) if alike(arms[a], arms[b]) else {}),
            **_shared(arms[a], arms[b]),
        }
        for a, b in combinations(arms, 2)
    ]
    tested = [pair for pair in pairs if pair["p_value"] is not None]
    for pair, corrected in zip(tested, holm(np.array([pair["p_value"] for pair in tested])).tolist(), strict=True):
        pair["p_holm"] = corrected
    return {"eval_set": eval_set, "metric": metric, "labels": list(arms), "pairs": pairs}


def _by_seed(arm: Arm, eval_set: str, metric: str) -> dict[int, float]:
    found = {run["key"]["seed"]: run["metrics"].get(eval_set, {}).get(metric) for run in arm}
    return {seed: float(value) for seed, value in found.items() if value is not None}


def alike(a: Arm, b: Arm) -> bool:
    """Whether what differs is the training data alone: same settings, and same budget unless one is the full set."""
    budget = budget_of(a[0]) == budget_of(b[0]) or trains_on_everything(a[0]) or trains_on_everything(b[0])
    return budget and same_settings(a[0], b[0])


def _difference(
    a: str, b: str, values: Mapping[str, Mapping[int, float]], eval_set: str, metric: str, predictions: Predictions
) -> dict[str, Any]:
    if not set(values[a]) & set(values[b]):
        return {}
    by_example: list[dict[int, NDArray[np.floating]]] = [{}, {}]
    if predictions.same_examples(a, b, eval_set):
        by_example = [dict(predictions.contributions(label, eval_set, metric)) for label in (a, b)]
    gap = difference_between(values[a], values[b], *by_example)
    return {"mean": gap.interval.mean, "p_value": gap.p_value, "seeds": gap.interval.seeds, "examples": gap.examples}


def _shared(a: Arm, b: Arm) -> dict[str, float | None]:
    """The overlap of the samples that two arms were trained on."""
    unknown: dict[str, float | None] = {"jaccard": None, "kappa": None}
    seeds = {run["key"]["seed"] for run in a} & {run["key"]["seed"] for run in b}
    if not seeds or a[0]["data_hash"] != b[0]["data_hash"]:
        return unknown
    ours, other = (_samples(arm, min(seeds)) for arm in (a, b))
    if ours is None or other is None:
        return unknown
    known = np.union1d(ours, other)
    in_neither = np.zeros(max(a[0]["full_samples"] - known.size, 0), dtype=bool)
    same = overlap(*(np.concatenate([np.isin(known, ids), in_neither]) for ids in (ours, other)))
    return {"jaccard": same.jaccard, "kappa": same.kappa}


def _samples(arm: Arm, seed: int) -> NDArray[np.int64] | None:
    """The ids that the run of a seed was trained on; None if its folder has none, as one copied without them."""
    run = next(run for run in arm if run["key"]["seed"] == seed)
    file = below(run["folder"], "subset.parquet")
    if not file.exists():
        return None
    check_file(file, run)
    return open_table(file).read()["sample_id"].to_numpy()
