"""The metrics that predictions add up to, in double precision: what run.json states is compared with them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def metrics_of(table: pa.Table) -> dict[str, float]:
    """What can be told of a run's answers from its predictions alone.

    Args:
        table: the predictions of an evaluation set: `exact_match` and `f1` of each question, or `label`, `pred` and the
            probabilities of all classes (`prob_<k>`), or of the label (`true_prob`).

    Returns:
        Metrics by name: means of questions; of classes `accuracy`, `macro_f1`, of two `f1`, `mcc` unless labels or
        predictions are constant (its limits differ), and `loss` if no label has probability 0.
    """
    columns = {name: table[name].to_numpy() for name in table.column_names if not name.startswith("slice_")}
    if "exact_match" in columns:
        return {name: float(columns[name].mean()) for name in ("exact_match", "f1") if name in columns}
    if not {"label", "pred"} <= set(columns):
        return {}
    label, pred = columns["label"], columns["pred"]
    found = _of_classes(label, pred, classes=sum(name.startswith("prob_") for name in columns))
    if "true_prob" not in columns and f"prob_{label.max()}" not in columns:
        return found
    of_label = columns["true_prob"] if "true_prob" in columns else _of_labels(columns, label)
    return found | ({"loss": float(-np.log(of_label.astype(np.float64)).mean())} if (of_label > 0).all() else {})


def _of_classes(label: Ints, pred: Ints, *, classes: int) -> dict[str, float]:
    size = 1 + int(max(label.max(), pred.max()))
    of_label, of_pred = (np.bincount(of, minlength=size).astype(float) for of in (label, pred))
    right = np.bincount(label[label == pred], minlength=size).astype(float)
    there = of_label + of_pred > 0
    f1 = 2 * right[there] / (of_label + of_pred)[there]
    found = {"accuracy": float((label == pred).mean()), "macro_f1": float(f1.mean())}
    if classes == 2 and size == 2:
        found["f1"] = float(2 * right[1] / (of_label + of_pred)[1]) if there[1] else 0.0
    spread = (label.size**2 - of_label @ of_label) * (label.size**2 - of_pred @ of_pred)
    if spread > 0:
        found["mcc"] = float((right.sum() * label.size - of_label @ of_pred) / np.sqrt(spread))
    return found


def _of_labels(columns: dict[str, NDArray[np.float32]], label: Ints) -> NDArray[np.float32]:
    """(n,) the probability of each label."""
    found = np.zeros(label.size, dtype=np.float32)
    for number in np.unique(label):
        rows = label == number
        found[rows] = columns[f"prob_{number}"][rows]
    return found
