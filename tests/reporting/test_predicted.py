"""What examples contribute, from prediction files: it adds up to the metric that a run states, or is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics.functional import classification as theirs

from hprune.reporting.predicted import Predictions
from hprune.tasks.squad import squad_metrics
from tests.reporting.test_example_rows import LABELS, SEEDS, N, arms_in, made, predicted

TEXTS = ["the cat", "a big dog", "", "house"]


def stating(folder: Path, metrics: dict[str, float], **columns: Any) -> Predictions:
    run = made(folder, "full", 1, **columns)
    run["metrics"] = {"validation": metrics}
    return Predictions({"full": [run]})


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "mcc", "f1"])
def test_metrics_of_classes_add_up(tmp_path: Path, metric: str) -> None:

    pred, label = (torch.from_numpy(np.array(column)) for column in (predicted("full", 1)["pred"], LABELS))
    value = float(
        {
            "accuracy": lambda: theirs.multiclass_accuracy(pred, label, 2, average="micro"),
            "macro_f1": lambda: theirs.multiclass_f1_score(pred, label, 2, average="macro"),
            "mcc": lambda: theirs.multiclass_matthews_corrcoef(pred, label, 2),
            "f1": lambda: theirs.binary_f1_score(pred, label),
        }[metric]()
    )
    found = stating(tmp_path, {metric: value}).contributions("full", "validation", metric)
    assert found[1].shape == (N,)
    assert found[1].mean() == pytest.approx(value, abs=1e-6)


def test_answers_that_are_texts_add_up_in_all_their_parts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    gold = [[] if k == 2 else [TEXTS[k]] for k in rng.integers(4, size=N)]
    said = [TEXTS[k] for k in rng.integers(4, size=N)]
    each = [squad_metrics([one], [right]) for one, right in zip(said, gold, strict=True)]
    metrics = squad_metrics(said, gold)
    columns = {name: [own[name] for own in each] for name in ("exact_match", "f1")}
    known = stating(tmp_path, metrics, label=np.array([len(right) for right in gold]), pred=LABELS, **columns)
    assert len(metrics) == 6
    for metric, value in metrics.items():
        found = known.contributions("full", "validation", metric)
        assert found[1].mean() == pytest.approx(value), metric
    assert known.contributions("full", "validation", "accuracy") == {}


def test_what_does_not_add_up_or_is_no_mean_of_examples_is_not_known(tmp_path: Path) -> None:
    right = float((predicted("full", 1)["pred"] == LABELS).mean())
    known = stating(tmp_path, {"accuracy": right + 0.01, "loss": 0.3, "ece": 0.1})
    for metric in ("accuracy", "loss", "ece", "macro_f1"):
        assert known.contributions("full", "validation", metric) == {}, metric


def test_a_file_is_read_once_and_other_examples_are_told(tmp_path: Path) -> None:
    arms = arms_in(tmp_path / "a")
    known = Predictions(arms)
    first = known.of("full", "validation")
    for run in arms["full"]:
        (run["folder"] / "predictions.validation.parquet").unlink()
    assert known.of("full", "validation") is first
    assert known.same_examples("full", "winning_ticket", "validation")
    arms["el2n"] = [made(tmp_path / "b", "el2n", seed, sample_id=np.arange(N) + 1) for seed in SEEDS]
    assert not known.same_examples("full", "el2n", "validation")
    assert not known.same_examples("full", "winning_ticket", "test")


def test_a_set_of_one_example_has_no_spread(tmp_path: Path) -> None:
    one = dict.fromkeys(predicted("full", 1)) | {name: np.ones(1, int) for name in ("sample_id", "label", "pred")}
    assert stating(tmp_path, {"accuracy": 1.0}, **one).contributions("full", "validation", "accuracy") == {}
