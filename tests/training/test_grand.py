"""GraNd in the last layer is the norm that automatic differentiation gives, and is recorded on request only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn import functional as F

from hprune.science.scores.grand import grand
from hprune.score import ScoreSpec, score_study
from hprune.storage.runs import load_record
from hprune.storage.scores import load_scores
from hprune.storage.studies import add_run
from hprune.tasks.classification import Classification
from hprune.tasks.load import load_task
from hprune.tasks.multiple_choice import MultipleChoice
from hprune.training.grand import LastLayer
from hprune.training.module import FineTuner
from hprune.training.run import fine_tune
from hprune.training.spec import OptimSpec
from tests.tiny import MODELS
from tests.training.test_run import tables


def model_of(name: str) -> Any:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(0)
    options = {**MODELS[name], "vocab_size": 50, "num_labels": 3, "pad_token_id": 1}
    config = AutoConfig.for_model(options.pop("model_type"), **options)
    return AutoModelForSequenceClassification.from_config(config).eval()


@pytest.mark.parametrize(
    ("name", "layer"), [("roberta", "classifier.out_proj"), ("bert", "classifier"), ("opt", "score")]
)
def test_it_is_the_norm_of_the_gradient(name: str, layer: str) -> None:
    model = model_of(name)
    module = FineTuner(model, Classification(), OptimSpec(), steps=1, grand=True)
    lengths = torch.tensor([7, 4, 5])
    mask = (torch.arange(7) < lengths[:, None]).long()
    ids = torch.where(mask.bool(), torch.randint(4, 50, (3, 7), generator=torch.Generator().manual_seed(1)), 1)
    batch = {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([2, 0, 1]), "row": torch.arange(3)}
    judged = module.judge(module(batch), batch)
    assert judged.grand is not None
    weights = list(model.get_submodule(layer).parameters())
    for i in range(3):
        alone = {key: values[i : i + 1] for key, values in batch.items()}
        gradient = torch.autograd.grad(F.cross_entropy(module(alone), alone["labels"]), weights)
        norm = torch.sqrt(sum(part.square().sum() for part in gradient))  # type: ignore[arg-type]
        assert float(judged.grand[i]) == pytest.approx(float(norm), rel=1e-4)


def test_other_kinds_and_heads_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"record\.grand=true needs a task of classes .* got MultipleChoice and Roberta"
    ):
        LastLayer(model_of("roberta"), MultipleChoice())
    with pytest.raises(
        ValueError, match=r"a model whose last layer is linear, got Classification and ReLU; set record"
    ):
        LastLayer(torch.nn.ReLU(), Classification())


def test_it_is_recorded_on_request_and_changes_nothing_else(compose_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("trainer.max_epochs=2", "record=both")
    data = load_task(spec.task)
    plain = fine_tune(spec, data, None, root=tmp_path)
    more = fine_tune(replace(spec, record=replace(spec.record, grand=True)), data, None, root=tmp_path)
    assert plain.path != more.path
    for way in ("train_pass", "eval_pass"):
        without, record = load_record(plain.path, way), load_record(more.path, way)
        assert without.grand is None
        assert record.grand is not None
        assert record.grand.shape == (2, 160)
        assert (record.grand >= record.el2n - 1e-6).all(), "sqrt(1 + ||h||^2) is at least 1"
        for name in without.columns:
            assert np.array_equal(getattr(without, name), getattr(record, name))
    assert "grand_0" not in pq.read_schema(plain.path / "record.train_pass.parquet").names
    for study, run in (("with", more), ("without", plain)):
        add_run(tmp_path, study, run, "scoring", (spec.seed,))
    asked = ScoreSpec("grand", grand, "harder", needs=["grand"])
    record = load_record(more.path, "train_pass")
    assert record.grand is not None
    assert load_scores(score_study(tmp_path, "with", asked)).values == pytest.approx(
        record.grand.mean(axis=0), rel=1e-5
    )
    with pytest.raises(ValueError, match=r"did not record grand; collect runs with record\.grand=true"):
        score_study(tmp_path, "without", asked)


def test_a_run_that_stops_within_an_epoch_goes_on_with_it(compose_run, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from tests.training.test_run import interrupt, trained

    spec = compose_run("trainer.checkpoint_minutes=0", "record.grand=true")
    undisturbed = trained(spec, tmp_path / "undisturbed")
    interrupt(spec, tmp_path / "broken", monkeypatch, 1, 4)
    assert tables(trained(spec, tmp_path / "broken")) == tables(undisturbed)


def test_it_must_be_true_or_false(compose_run) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"record\.grand must be true or false, got 'yes'"):
        compose_run("record.grand='yes'")
