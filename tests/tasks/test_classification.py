"""How a sample is judged, against a literal reference in numpy; metrics against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from torch.nn import functional as F

from hprune.tasks.classification import Classification
from hprune.tasks.spec import Judgement

KIND = Classification()


def judged(logits: list, labels: list[int]) -> Judgement:
    return KIND.judge(torch.tensor(logits, dtype=torch.float32), torch.tensor(labels))


def reference(logits: NDArray[np.float64], label: int) -> tuple[bool, float, float, float]:
    """Judge one sample, as the definitions are written."""
    prob = np.exp(logits - logits.max())
    prob = prob / prob.sum()
    onehot = np.zeros(logits.size)
    onehot[label] = 1.0
    others = [value for k, value in enumerate(logits) if k != label]
    first_largest = min(k for k in range(logits.size) if logits[k] == logits.max())
    el2n = float(np.sqrt(((prob - onehot) ** 2).sum()))
    return first_largest == label, float(prob[label]), float(logits[label] - max(others)), el2n


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("seed", range(10))
def test_judging_is_its_definition(seed: int, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(seed)
    batch, classes = int(rng.integers(1, 30)), int(rng.integers(2, 9))
    if seed % 2:  # many ties
        values = rng.integers(-2, 3, (batch, classes)).astype(np.float64)
    else:
        values = rng.normal(0, 5, (batch, classes))
    logits, labels = torch.tensor(values).to(dtype), rng.integers(0, classes, batch)
    judgement = KIND.judge(logits.requires_grad_(), torch.tensor(labels))
    for i in range(batch):
        correct, true_prob, margin, el2n = reference(logits[i].detach().double().numpy(), int(labels[i]))
        assert bool(judgement.correct[i]) == correct
        assert float(judgement.true_prob[i]) == pytest.approx(true_prob, abs=1e-6)
        assert float(judgement.margin[i]) == pytest.approx(margin, abs=1e-5)
        assert float(judgement.el2n[i]) == pytest.approx(el2n, abs=1e-6)
    assert judgement.correct.dtype == torch.bool
    for column in (judgement.true_prob, judgement.margin, judgement.el2n):
        assert (column.dtype, column.shape, column.requires_grad) == (torch.float32, (batch,), False)


def test_of_equal_logits_the_first_counts() -> None:
    for classes in (2, 3, 50, 1000):
        correct = judged([[0.0] * classes] * classes, list(range(classes))).correct
        assert correct.tolist() == [True] + [False] * (classes - 1)


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_equal_logits_in_closed_form(classes: int) -> None:
    judgement = judged([[0.7] * classes], [classes - 1])
    assert float(judgement.true_prob) == pytest.approx(1 / classes)
    assert float(judgement.el2n) == pytest.approx(np.sqrt(1 - 1 / classes))
    assert float(judgement.margin) == 0


def test_margins_follow_the_aum_convention() -> None:
    assert judged([[1, 2, 3]], [1]).margin.tolist() == [-1]
    assert judged([[6, 5, 4]], [0]).margin.tolist() == [1]


def test_extremes_stay_in_their_ranges() -> None:
    judgement = judged([[1e4, -1e4], [1e4, -1e4]], [0, 1])
    assert judgement.true_prob.tolist() == [1, 0]
    assert judgement.el2n.tolist() == pytest.approx([0, np.sqrt(2)])
    assert judgement.margin.tolist() == [2e4, -2e4]


def test_the_cartography_example() -> None:
    epochs = [
        [[2, 0], [0, 1], [1, 0], [0.5, -0.5]],
        [[3, 0], [1, 0], [1.5, 0], [1, -1]],
        [[3, -1], [0, 2], [2, 0], [-1, 1]],
    ]
    judgements = [judged(logits, [0, 1, 1, 0]) for logits in epochs]
    confidence = torch.stack([judgement.true_prob for judgement in judgements]).double().mean(0)
    assert confidence.tolist() == pytest.approx([0.9384616415, 0.6269323528, 0.1901899527, 0.5770195127], abs=1e-7)
    always = torch.stack([judgement.correct for judgement in judgements]).all(0)
    assert always.tolist() == [True, False, False, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loss_is_the_mean_of_minus_log_prob(dtype: torch.dtype) -> None:
    logits = torch.randn(16, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    labels = torch.arange(16) % 4
    loss = KIND.loss(logits, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, F.cross_entropy(logits.float(), labels))
    torch.testing.assert_close(loss, -KIND.judge(logits, labels).true_prob.log().mean())


@pytest.mark.parametrize("seed", range(8))
def test_metrics_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes, n = int(rng.integers(2, 6)), 60
    present = classes if seed % 2 else max(2, classes - 1)  # a class may be absent
    labels = rng.integers(0, present, n)
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    if present < classes:
        logits[:, -1] = -9
    metrics = KIND.metrics(classes)
    for start in range(0, n, 17):  # batches of unequal size
        metrics.update(torch.tensor(logits[start : start + 17]), torch.tensor(labels[start : start + 17]))
    found = {name: float(value) for name, value in metrics.compute().items()}
    predicted = logits.argmax(1)
    assert found == pytest.approx(
        {
            "accuracy": accuracy_score(labels, predicted),
            "macro_f1": f1_score(labels, predicted, average="macro"),
            "mcc": matthews_corrcoef(labels, predicted),
        },
        abs=1e-6,
    )


def test_the_primary_metric_is_one_of_the_metrics() -> None:
    for name in KIND.metrics(2):
        assert Classification(name).primary_metric == name
    with pytest.raises(ValueError, match="must be one of accuracy, macro_f1, mcc, got 'f1'"):
        Classification("f1")
