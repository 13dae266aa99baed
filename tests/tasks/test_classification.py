"""How a sample is judged, against a literal reference in numpy; metrics against scikit-learn."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from torch.nn import functional as F

from hprune.data.datamodule import Encoded
from hprune.data.tokenise import TokenTable
from hprune.tasks.classification import Classification, evaluate_classes
from hprune.tasks.load import load_task
from hprune.tasks.spec import Judgement, TaskData, TaskSpec
from hprune.training.answers import Answers, evaluation_of

KIND = Classification()


def judged(logits: list, labels: list[int]) -> Judgement:
    return KIND.judge(torch.tensor(logits, dtype=torch.float32), {"labels": torch.tensor(labels)})


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
    judgement = KIND.judge(logits.requires_grad_(), {"labels": torch.tensor(labels)})
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


def test_the_loss_is_the_mean_of_minus_log_prob() -> None:
    logits = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    batch = {"labels": torch.arange(16) % 4}
    loss = KIND.loss(logits, batch)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, F.cross_entropy(logits, batch["labels"]))
    torch.testing.assert_close(loss, -KIND.judge(logits, batch).true_prob.log().mean())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_the_model_says_is_its_logits_in_float32(dtype: torch.dtype) -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    given: dict[str, torch.Tensor] = {}

    def model(**inputs: torch.Tensor) -> Any:
        given.update(inputs)
        return SimpleNamespace(logits=logits)

    inputs = ("input_ids", "attention_mask", "token_type_ids")
    for names in (inputs, inputs[:2]):
        given.clear()
        batch = {name: torch.zeros(5, 2, dtype=torch.int64) for name in (*names, "labels", "row")}
        outputs = KIND.outputs(model, batch)  # type: ignore[arg-type]
        assert outputs.dtype == torch.float32
        assert torch.equal(outputs, logits.float())
        assert set(given) == set(names), "nothing that a model does not take, and no labels"


def calibration(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean gap between confidence and accuracy over 15 bins, by its definition."""
    prob = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    confidence, right = prob.max(1), prob.argmax(1) == labels
    inside = np.ceil(confidence * 15)
    gaps = [(inside == b).mean() * abs(confidence[inside == b].mean() - right[inside == b].mean()) for b in set(inside)]
    return float(sum(gaps))


def references(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    predicted = logits.argmax(1)
    found = {
        "accuracy": accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, average="macro"),
        "mcc": matthews_corrcoef(labels, predicted),
        "ece": calibration(logits, labels),
    }
    return found | ({"f1": f1_score(labels, predicted, pos_label=1)} if logits.shape[1] == 2 else {})


def drawn(seed: int, classes: int, n: int = 60) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    present = classes if seed % 2 else max(2, classes - 1)  # a class may be absent
    labels = rng.integers(0, present, n)
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    if present < classes:
        logits[:, -1] = -9
    return logits, labels


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(6))
def test_metrics_are_those_of_scikit_learn(seed: int, classes: int) -> None:
    logits, labels = drawn(seed, classes)
    found = evaluate_classes(torch.tensor(logits), labels)
    assert found.metrics == pytest.approx(references(logits, labels), abs=1e-6)
    assert list(found.columns) == ["label", "pred", *(f"prob_{k}" for k in range(classes))]
    np.testing.assert_array_equal(found.columns["label"], labels)
    np.testing.assert_array_equal(found.columns["pred"], logits.argmax(1))
    prob = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(np.stack([found.columns[f"prob_{k}"] for k in range(classes)], axis=1), prob, rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_a_set_is_evaluated_from_its_batches_in_any_order(seed: int) -> None:
    classes, rng = 2 + seed % 2, np.random.default_rng(seed)
    logits, labels = drawn(seed, classes)
    tokens = TokenTable(np.zeros(60, np.int32), np.arange(61), None, 0)
    batches, losses = [], []
    for at in np.array_split(rng.permutation(60), [17, 34, 35]):  # of unequal size
        outputs, batch = torch.tensor(logits[at]), {"labels": torch.tensor(labels[at])}
        loss = KIND.loss(outputs, batch)
        batches.append(Answers(KIND.answer(outputs, batch), torch.tensor(at), loss))
        losses += [-np.log(reference(logits[i], int(labels[i]))[1]) for i in at]
    found = evaluation_of(KIND, batches, Encoded(tokens, labels), name="validation")
    expected = {**references(logits, labels), "loss": float(np.mean(losses))}
    assert found.metrics == pytest.approx(expected, abs=1e-6)
    np.testing.assert_array_equal(found.columns["pred"], logits.argmax(1))
    for bad in (torch.nan, torch.inf):
        batches[2].values["logits"][0, 1] = bad
        with pytest.raises(FloatingPointError, match="the model gives no numbers on validation"):
            evaluation_of(KIND, batches, Encoded(tokens, labels), name="validation")


def test_the_f1_is_of_the_second_class() -> None:
    labels = np.array([1, 1, 1, 0, 0])
    logits = torch.eye(2)[torch.tensor([1, 1, 0, 1, 0])]  # 2 found, 1 missed, 1 too many
    found = evaluate_classes(logits, labels).metrics["f1"]
    assert found == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert evaluate_classes(logits.flip(1), 1 - labels).metrics["f1"] == pytest.approx(1 / 2)


def test_the_primary_metric_is_one_of_the_metrics() -> None:
    for name in set(evaluate_classes(torch.eye(2), np.arange(2)).metrics) - {"ece"}:  # which no arm is chosen by
        assert Classification(name).primary_metric == name
    with pytest.raises(ValueError, match="must be one of accuracy, macro_f1, mcc, f1, got 'bleu'"):
        Classification("bleu")


def test_the_f1_of_one_class_needs_two() -> None:
    def load(classes: int, metric: str) -> TaskData:
        table = pa.table({"text": [f"t{i}" for i in range(20)], "label": [i % classes for i in range(20)]})
        splits = {"train": "train", "validation": "validation"}
        return load_task(TaskSpec("own", Classification(metric), generate=lambda _: table, splits=splits))

    assert len(load(2, "f1").label_names) == 2
    assert len(load(3, "macro_f1").label_names) == 3
    with pytest.raises(ValueError, match=r"primary_metric=f1 .* but there are 3 \(0, 1, 2\); use macro_f1"):
        load(3, "f1")
