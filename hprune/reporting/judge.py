"""An independent judge of the labels: logistic regression on frozen features, cross-validated: `judge` in report.json.

It saw no run, no epoch and no order, and learned nothing but a linear cut. A sample that every run missed at some time,
and that the judge has right, was missed by chance or by its place in the order; one that it has wrong, too, is hard for
what the model knew before, or mislabelled.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune.reporting import wording as words
from hprune.science.folds import fold_of
from hprune.science.judge import right_by_h
from hprune.science.records import Scores

log = logging.getLogger(__name__)

FOLDS, SEED = 5, 0


def judge_facts(features: NDArray[np.float32], labels: NDArray[np.int64], scores: Scores) -> dict[str, Any]:
    """What the judge has right, by H.

    Args:
        features: (N, D) of the frozen model.
        labels: (N,) the classes.
        scores: the table of H, of these samples.

    Returns:
        As in `hprune.reporting.summary`.

    Raises:
        ValueError: if a class would be missing from what the judge learns from.
    """
    right = cross_validated(features, labels)
    return {
        "scores": scores.name,
        "S": scores.runs,
        "samples": int(labels.size),
        "dimensions": int(features.shape[1]),
        "folds": FOLDS,
        "accuracy": float(right.mean()),
        "majority": float(np.bincount(labels).max() / labels.size),
        **right_by_h(right, scores.values, scores.runs),
    }


def cross_validated(features: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a judge that was fitted on the other folds has each label right.

    Folds are stratified by label and always the same.

    Args:
        features: (N, D); standardised by the mean and spread of what the judge learns from.
        labels: (N,) the classes.

    Returns:
        (N,)

    Raises:
        ValueError: if there are too few samples, or only one class with two of them.
    """
    if np.sum(np.bincount(labels) >= 2) < 2 or labels.size < FOLDS:
        raise ValueError(f"a judge needs {FOLDS} samples at least, and two of each of two classes")
    from sklearn.linear_model import LogisticRegression  # a second, only where it is needed
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds, right = fold_of(labels, FOLDS, seed=SEED), np.empty(labels.size, dtype=bool)
    for fold in range(FOLDS):
        log.info("judge: fold %d of %d", fold + 1, FOLDS)
        inside = folds == fold
        judge = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        judge.fit(features[~inside], labels[~inside])
        right[inside] = judge.predict(features[inside]) == labels[inside]
    return right


def judge_view(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Sentences and a table of the page; reports of before have none."""
    found = report.get("judge")
    if found is None:
        return None
    rows = [
        {
            "value": row["value"],
            "count": f"{row['count']:,}",
            "right": f"{row['right']:,}",
            "share": "" if row["share"] is None else words.share(row["share"]),
        }
        for row in found["by_h"]
    ]
    whole = (
        f"Of all {found['samples']:,} samples the judge has {words.share(found['accuracy'])} right; always to say the "
        f"most frequent class would be {words.share(found['majority'])}."
    )
    return {"sentences": judge_sentences(report), "rows": rows, "whole": whole}


def judge_sentences(report: Mapping[str, Any]) -> list[str]:
    """How much of H = 0 the judge has right, and what that means; nothing where it was not asked, or H is never 0."""
    found = report.get("judge")
    if found is None or not found["groups"][0]["count"]:
        return []
    hardest, *others = found["groups"]
    shares = [f"{words.share(group['share'])} of {group['group']}" for group in others if group["share"] is not None]
    beside = f" ({' and '.join(shares)})" if shares else ""
    return [
        f"A judge that saw no run, logistic regression on frozen mean states of the model in {found['folds']}-fold "
        f"cross-validation, has the label of {words.share(hardest['share'])} of the samples with H = 0 right{beside}.",
        f"These {found['ordinary']['count']:,} are ordinary samples that the runs missed by chance or by their place "
        f"in the order; the other {found['hard_core']['count']:,} are a hard core, or mislabelled.",
    ]
