"""Metrics from counts of each class are those that torchmetrics takes from a matrix of all pairs, to the last digit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchmetrics.classification import (
    BinaryF1Score,
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassMatthewsCorrCoef,
)

from hprune.tasks.class_metrics import class_metrics
from hprune.tasks.classification import Classification, evaluate_classes
from hprune.tasks.spec import MOST_PROBABILITIES


def theirs(pred: torch.Tensor, target: torch.Tensor, classes: int) -> dict[str, float]:
    metrics: dict[str, Any] = {
        "accuracy": MulticlassAccuracy(classes, average="micro"),
        "macro_f1": MulticlassF1Score(classes, average="macro"),
        "mcc": MulticlassMatthewsCorrCoef(classes),
    }
    if classes == 2:
        metrics["f1"] = BinaryF1Score()
    return {name: float(metric(pred, target)) for name, metric in metrics.items()}


@pytest.mark.parametrize("classes", [2, 3, 7, 150])
@pytest.mark.parametrize("seed", range(20))
def test_metrics_are_those_of_torchmetrics(classes: int, seed: int) -> None:
    rng = np.random.default_rng([classes, seed])
    n, there = int(rng.choice([1, 2, 9, 300, 5000])), int(rng.integers(1, classes + 1))  # the others are absent
    target = torch.from_numpy(rng.integers(0, there, size=n))
    guess = torch.from_numpy(rng.integers(0, classes if seed % 2 else 1, size=n))
    pred = torch.where(torch.from_numpy(rng.random(n) < rng.choice([0, 0.5, 0.9, 1])), target, guess)
    assert class_metrics(pred, target, classes) == theirs(pred, target, classes)


def test_of_very_many_classes_less_is_kept_and_metrics_stay() -> None:
    rng, classes = np.random.default_rng(0), MOST_PROBABILITIES + 1
    labels = rng.integers(0, classes, size=40)
    logits = torch.from_numpy(rng.normal(size=(40, classes)).astype(np.float32))
    logits[torch.arange(20), torch.from_numpy(labels[:20])] += 8
    kind, batch = Classification(), {"labels": torch.from_numpy(labels)}
    answers = kind.answer(logits, batch)
    assert max(values.numel() for values in answers.values()) == 40
    found = kind.evaluate(answers, SimpleNamespace(labels=labels, counts_as=None))  # type: ignore[arg-type]
    whole = evaluate_classes(logits, labels)
    assert found.metrics == pytest.approx(whole.metrics, abs=1e-6)
    assert list(found.columns) == ["label", "pred", "pred_prob", "true_prob"]
    prob = F.softmax(logits, dim=-1).numpy()
    for name, at in (("pred_prob", logits.argmax(dim=-1).numpy()), ("true_prob", labels)):
        np.testing.assert_array_equal(found.columns[name], prob[np.arange(40), at])
    assert kind.answer(logits[:, :MOST_PROBABILITIES], batch).keys() == {"logits"}
