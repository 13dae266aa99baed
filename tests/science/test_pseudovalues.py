"""What examples contribute: metrics against torchmetrics, pseudovalues by leaving each example out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import (
    binary_f1_score,
    multiclass_accuracy,
    multiclass_f1_score,
    multiclass_matthews_corrcoef,
)

from hprune.science.pseudovalues import METRICS, contributions, part_contributions

THEIRS: dict[str, Callable[..., torch.Tensor]] = {
    "accuracy": lambda pred, label, k: multiclass_accuracy(pred, label, k, average="micro"),
    "macro_f1": lambda pred, label, k: multiclass_f1_score(pred, label, k, average="macro"),
    "mcc": multiclass_matthews_corrcoef,
    "f1": lambda pred, label, _: binary_f1_score(pred, label),
}


def answers(name: str, seed: int, n: int = 60) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    rng = np.random.default_rng(seed)
    classes = 2 if name == "f1" else int(rng.integers(2, 5))
    label = rng.integers(0, classes, size=n)
    return label, np.where(rng.random(n) < 0.7, label, rng.integers(0, classes, size=n)), classes


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("seed", range(5))
def test_contributions_are_pseudovalues_and_their_mean_the_metric(name: str, seed: int) -> None:
    label, pred, classes = answers(name, seed)

    def metric(keep: NDArray[np.bool_]) -> float:
        return float(THEIRS[name](torch.from_numpy(pred[keep]), torch.from_numpy(label[keep]), classes))

    found = contributions(METRICS[name], label, pred)
    everything = np.ones(label.size, dtype=bool)
    assert found.mean() == pytest.approx(metric(everything), abs=1e-6)
    without = np.array([metric(np.arange(label.size) != e) for e in range(label.size)])
    expected = label.size * metric(everything) - (label.size - 1) * without
    assert found - found.mean() == pytest.approx(expected - expected.mean(), abs=1e-4)
    assert METRICS.keys() == THEIRS.keys()


def test_accuracy_contributes_whether_it_is_right() -> None:
    label, pred, _ = answers("accuracy", 9)
    assert contributions(METRICS["accuracy"], label, pred) == pytest.approx((label == pred).astype(float))


@pytest.mark.parametrize("name", ["mcc", "f1", "macro_f1"])
def test_the_spread_of_contributions_is_that_of_the_metric_over_evaluation_sets(name: str) -> None:
    rng, n = np.random.default_rng(0), 300
    values, errors = [], []
    for _ in range(800):
        label = (rng.random(n) < 0.3).astype(int)
        pred = np.where(rng.random(n) < 0.85, label, 1 - label)
        found = contributions(METRICS[name], label, pred)
        values.append(found.mean())
        errors.append(found.std(ddof=1) / np.sqrt(n))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.1)


def test_answers_of_one_class_only_are_no_error() -> None:
    ones = np.ones(10, dtype=int)
    for name, metric in METRICS.items():
        found = contributions(metric, ones, ones)
        assert np.isfinite(found).all(), name
        assert found == pytest.approx(np.ones(10)), name


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("n", [1, 2, 10])
def test_the_correlation_with_a_constant_is_that_of_torchmetrics(classes: int, n: int) -> None:
    for constant in range(classes):
        for right in range(n + 1):
            other = np.where(np.arange(n) < right, constant, (constant + 1) % classes)
            for label, pred in ((np.full(n, constant), other), (other, np.full(n, constant))):
                confusion = np.zeros((classes, classes))
                np.add.at(confusion, (label, pred), 1)
                theirs = multiclass_matthews_corrcoef(torch.from_numpy(pred), torch.from_numpy(label), classes)
                assert METRICS["mcc"](confusion) == pytest.approx(float(theirs), abs=1e-6), (label, pred)


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "mcc"])
@pytest.mark.parametrize("seed", range(6))
def test_of_many_classes_contributions_are_those_of_the_matrix(
    name: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(3, 40))
    label = rng.integers(0, classes, size=int(rng.integers(2, 60)))
    pred = np.where(rng.random(label.size) < rng.random(), label, rng.integers(0, classes, size=label.size))
    expected = contributions(METRICS[name], label, pred)
    monkeypatch.setattr("hprune.science.pseudovalues.MOST_IN_A_MATRIX", 2)
    assert contributions(METRICS[name], label, pred) == pytest.approx(expected, abs=1e-9)


def test_one_example_leaves_nothing_to_leave_out() -> None:
    one = np.ones(1, dtype=int)
    for metric in METRICS.values():
        with pytest.raises(ValueError, match="label must hold two examples or more, got 1"):
            contributions(metric, one, one)


def test_a_mean_over_a_part_varies_as_that_part_does() -> None:
    rng, n = np.random.default_rng(1), 400
    values, errors = [], []
    for _ in range(800):
        inside = rng.random(n) < 0.4
        scores = rng.random(n) ** 2
        found = part_contributions(scores, inside)
        assert found.mean() == pytest.approx(scores[inside].mean())
        values.append(found.mean())
        errors.append(found.std(ddof=1) / np.sqrt(n))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.1)
