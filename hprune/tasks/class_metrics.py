"""Accuracy, macro-averaged F1 and Matthews' correlation of K classes, from counts of each class alone.

torchmetrics makes the K x K matrix of labels and predictions, 3.2 GB for 20,000 classes. These have the same values to
the last digit: the same steps in single precision, in the same order.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_f1_score, multiclass_matthews_corrcoef


def class_metrics(pred: Tensor, target: Tensor, classes: int) -> dict[str, float]:
    """The metrics of n answers, higher is better: `accuracy`, `macro_f1` in 0..1, `mcc` in -1..1, in n + K steps.

    Of two classes `f1`, too, which is that of the second.

    Args:
        pred: (n,) the predicted classes.
        target: (n,) the classes.
        classes: K.
    """
    right = torch.bincount(target[pred == target], minlength=classes)  # (K,)
    labels, preds = (torch.bincount(of, minlength=classes) for of in (target, pred))
    found = {
        "accuracy": float(right.sum().float() / labels.sum().float()),
        "macro_f1": _macro_f1(right, labels, preds),
    }
    if classes > 2:
        return {**found, "mcc": _mcc(right, labels, preds)}
    of_two = multiclass_matthews_corrcoef(pred, target, 2), binary_f1_score(pred, target)  # which has limits of its own
    return {**found, "mcc": float(of_two[0]), "f1": float(of_two[1])}


def _macro_f1(right: Tensor, labels: Tensor, preds: Tensor) -> float:
    """Mean F1 of the classes that occur, as labels or as predictions."""
    f1 = 2.0 * right / (labels + preds)
    there = (labels + preds > 0).float()
    return float((torch.where(there > 0, f1, 0.0) * there / there.sum()).sum())


def _mcc(right: Tensor, labels: Tensor, preds: Tensor) -> float:
    """Gorodkin's correlation of more than two classes; 0 if labels or predictions are constant."""
    n, label, pred = (values.float() for values in (labels.sum(), labels, preds))
    of_both, of_labels, of_preds = (_in_order(values) for values in (label * pred, label * label, pred * pred))
    spread = (n**2 - of_preds) * (n**2 - of_labels)
    return 0.0 if spread == 0 else float((right.sum().float() * n - of_both) / torch.sqrt(spread))


def _in_order(values: Tensor) -> Tensor:
    """The sum in single precision, one after the other."""
    return torch.tensor(np.add.accumulate(values.numpy(), dtype=np.float32)[-1])
