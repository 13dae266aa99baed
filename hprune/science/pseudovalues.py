"""What each example contributes to a metric: its value if the metric is a mean, else the jackknife's pseudovalue.

The mean of the contributions is the metric, and their spread is that of the metric over evaluation sets (Tukey 1958;
Dorfman, Berbaum and Metz 1992 cross them with a second factor). For a metric m of n examples the pseudovalue of example
e is n m - (n - 1) m(without e), shifted so that their mean is m.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


def accuracy(confusion: NDArray[np.float64]) -> float:
    """Share of right answers, 0..1; `confusion[i, j]` counts examples of class i that were taken for class j."""
    return float(np.trace(confusion) / confusion.sum())


def macro_f1(confusion: NDArray[np.float64]) -> float:
    """Mean F1 of the classes that occur, as labels or as predictions; 0..1."""
    both = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float((2 * np.diag(confusion)[both > 0] / both[both > 0]).mean())


def f1(confusion: NDArray[np.float64]) -> float:
    """F1 of the second of two classes, 0..1; 0 if it does not occur."""
    both = confusion[1].sum() + confusion[:, 1].sum()
    return float(2 * confusion[1, 1] / both) if both else 0.0


def mcc(confusion: NDArray[np.float64]) -> float:
    """Matthews' correlation of labels and predictions (Gorodkin 2004), -1..1.

    If one is constant: 0 of three classes and more, of two what torchmetrics says, by which runs are judged.
    """
    n, label, pred = confusion.sum(), confusion.sum(axis=1), confusion.sum(axis=0)
    if len(confusion) == 2 and (n in label or n in pred):
        return _mcc_of_constant(right=float(np.trace(confusion)), n=float(n))
    spread = (n**2 - (label**2).sum()) * (n**2 - (pred**2).sum())
    return float((n * np.trace(confusion) - label @ pred) / np.sqrt(spread)) if spread > 0 else 0.0


def _mcc_of_constant(*, right: float, n: float) -> float:
    """The correlation of two classes as the missing counts go to 0; 1 if all is right, -1 if nothing is."""
    wrong = n - right
    return (right - wrong) / (n * right * wrong) ** 0.5 if right and wrong else float(np.sign(right - wrong))


METRICS: Mapping[str, Callable[[NDArray[np.float64]], float]] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "f1": f1,
    "mcc": mcc,
}
"""Metrics of a confusion matrix, by the names that runs store them under."""


MOST_IN_A_MATRIX = 64
"""Classes whose confusion matrix is evaluated again for each of its cells: K^4 steps."""


@dataclass(frozen=True, eq=False)
class _Counts:
    """What metrics of three classes and more need of n examples, without the matrix."""

    label: NDArray[np.int64]  # (n,)
    pred: NDArray[np.int64]  # (n,)
    labels: NDArray[np.float64]  # (K,) how often a class is the label,
    preds: NDArray[np.float64]  # (K,) the prediction,
    right: NDArray[np.float64]  # (K,) and both

    @classmethod
    def of(cls, label: NDArray[np.integer], pred: NDArray[np.integer], classes: int) -> _Counts:
        """Count them."""
        counts = (np.bincount(of, minlength=classes).astype(float) for of in (label, pred, label[label == pred]))
        return cls(label.astype(np.int64), pred.astype(np.int64), *counts)


def _accuracy_left_out(counts: _Counts) -> tuple[float, NDArray[np.float64]]:
    """The metric, and (n,) what it is without each example."""
    n, right = counts.label.size, counts.label == counts.pred
    return right.mean(), (right.sum() - right) / (n - 1)


def _macro_f1_left_out(counts: _Counts) -> tuple[float, NDArray[np.float64]]:
    both = counts.labels + counts.preds

    def f1_of(right: NDArray[np.float64], both: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(2 * right, both, out=np.zeros_like(both), where=both > 0)

    every, there = f1_of(counts.right, both), int((both > 0).sum())
    label, pred, hit = counts.label, counts.pred, counts.label == counts.pred
    total, gone = np.full(label.size, every.sum()), np.zeros(label.size)
    for k, counted in ((label, np.ones_like(hit)), (pred, ~hit)):  # a right example is of one class
        left = both[k] - 1 - hit
        change = f1_of(counts.right[k] - hit, left) - every[k]
        total += np.where(counted, change, 0)
        gone += counted & (left == 0)
    return every.sum() / there, total / (there - gone)


def _mcc_left_out(counts: _Counts) -> tuple[float, NDArray[np.float64]]:
    labels, preds, label, pred = counts.labels, counts.preds, counts.label, counts.pred
    hit = (label == pred).astype(float)

    def mcc_of(n: float, right: Any, product: Any, of_labels: Any, of_preds: Any) -> NDArray[np.float64]:
        spread = np.asarray((n**2 - of_labels) * (n**2 - of_preds), dtype=float)
        root = np.sqrt(spread, out=np.zeros_like(spread), where=spread > 0)
        return np.divide(n * right - product, root, out=np.zeros_like(spread), where=spread > 0)

    n, sums = label.size, (hit.sum(), labels @ preds, labels @ labels, preds @ preds)
    without = mcc_of(
        n - 1,
        sums[0] - hit,
        sums[1] - preds[label] - labels[pred] + hit,
        sums[2] - 2 * labels[label] + 1,
        sums[3] - 2 * preds[pred] + 1,
    )
    return float(mcc_of(n, *sums)), without


LEFT_OUT: Mapping[Callable[..., float], Callable[[_Counts], tuple[float, NDArray[np.float64]]]] = {
    accuracy: _accuracy_left_out,
    macro_f1: _macro_f1_left_out,
    mcc: _mcc_left_out,
}


def contributions(
    metric: Callable[[NDArray[np.float64]], float], label: NDArray[np.integer], pred: NDArray[np.integer]
) -> NDArray[np.float64]:
    """What each example contributes to a metric of the confusion matrix: (n,), with the metric as their mean.

    Examples of one label and one prediction contribute the same, so K^2 evaluations of the metric do for few classes K;
    of many classes the metrics above are updated for each example, in n + K steps.

    Args:
        metric: takes the (K, K) matrix of counts, labels by rows.
        label: (n,) classes from 0, n at least 2.
        pred: (n,) likewise.

    Raises:
        ValueError: of fewer than two examples, which leave nothing behind when one is left out.

    Example:
        >>> contributions(accuracy, np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])).tolist()
        [1.0, 1.0, 0.0, 1.0]
    """
    if label.size < 2:
        raise ValueError(f"label must hold two examples or more, got {label.size}")
    classes, n = int(max(label.max(), pred.max())) + 1, label.size
    if classes > MOST_IN_A_MATRIX and metric in LEFT_OUT:
        whole, without = LEFT_OUT[metric](_Counts.of(label, pred, classes))
        values = n * whole - (n - 1) * without
        return np.asarray(values - values.mean() + whole)
    classes = max(classes, 2)
    confusion = np.bincount(label * classes + pred, minlength=classes**2).astype(np.float64).reshape(classes, classes)
    whole = metric(confusion)
    left_out = np.full(confusion.shape, whole)
    for cell in zip(*np.nonzero(confusion), strict=True):
        confusion[cell] -= 1
        left_out[cell] = metric(confusion)
        confusion[cell] += 1
    values = (n * whole - (n - 1) * left_out)[label, pred]
    return np.asarray(values - values.mean() + whole)


def part_contributions(values: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The same for the mean over a part of the examples, such as the questions with an answer: (n,).

    The number of examples inside is random, too: m + (n / n_inside) (value - m) inside, m elsewhere.

    Args:
        values: (n,) of each example.
        inside: (n,) whether it is of the part; at least one is.
    """
    mean = float(values[inside].mean())
    return np.asarray(mean + np.where(inside, (values - mean) / inside.mean(), 0.0))
