"""Every arm beside every other: what lies between them, and how many samples they share."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune.reporting.arms import Arm, budget_of, same_settings, trains_on_everything
from hprune.science.overlap import overlap
from hprune.science.stats import NO_SPREAD, holm
from hprune.storage.files import open_table
from hprune.storage.places import below

MOST_ARMS = 12
"""Beyond, a table of all pairs is no table to read."""


def matrix_of(arms: Mapping[str, Arm], *, metric: str) -> dict[str, Any] | None:
    """All pairs of arms on the first evaluation set.

    Args:
        arms: by their labels.
        metric: that is compared.

    Returns:
        `matrix` of report.json: {eval_set, metric, labels,
        pairs: [{a, b, mean, p_value, p_holm, seeds, jaccard, kappa}]}, one entry for each pair of labels.
        `mean` is that of a minus b; the p values are of the paired t test, null with one seed or without spread,
        `p_holm` corrected for all pairs. `jaccard` and `kappa` compare the samples that the runs of the first common
        seed were trained on, null where it is not known. Arms that differ in more than their data have no difference.
        None with fewer than two arms, or too many.
    """
    if not 2 <= len(arms) <= MOST_ARMS:
        return None
    eval_set = min(next(iter(arms.values()))[0]["metrics"], key=lambda name: name != "validation")
    values = {label: _by_seed(arm, eval_set, metric) for label, arm in arms.items()}
    pairs = [
        {"a": a, "b": b, **_difference(values[a], values[b], alike(arms[a], arms[b])), **_shared(arms[a], arms[b])}
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


def _difference(a: Mapping[int, float], b: Mapping[int, float], comparable: bool) -> dict[str, Any]:
    seeds = sorted(set(a) & set(b)) if comparable else []
    gaps = np.array([a[seed] - b[seed] for seed in seeds])
    told = {"mean": float(gaps.mean()) if seeds else None, "p_value": None, "p_holm": None, "seeds": len(seeds)}
    if gaps.size < 2:
        return told
    if gaps.std(ddof=1) < NO_SPREAD:
        return {**told, "p_value": 1.0 if abs(gaps.mean()) < NO_SPREAD else None}
    from scipy.stats import ttest_1samp

    return {**told, "p_value": float(ttest_1samp(gaps, 0.0).pvalue)}


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
    """The ids that the run of a seed was trained on."""
    folder = next(run["folder"] for run in arm if run["key"]["seed"] == seed)
    file = folder / "subset.parquet"
    return open_table(below(folder, file.name)).read()["sample_id"].to_numpy() if file.exists() else None
