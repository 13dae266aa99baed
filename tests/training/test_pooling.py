"""A head on the mean or the maximum of the real tokens: by hand, packed and padded, saved, adapted, over processes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from hprune.storage.runs import load_record, read_manifest
from hprune.tasks.classification import Classification
from hprune.tasks.extractive_qa import ExtractiveQA
from hprune.tasks.multiple_choice import MultipleChoice
from hprune.training.adapter import with_adapter
from hprune.training.build import load_model, model_identity
from hprune.training.flops import flop_model
from hprune.training.packing import pack
from hprune.training.pooling import KEY, check_read, pool, pooled
from hprune.training.quiet import quiet_libraries
from hprune.training.spec import LoraSpec, ModelSpec, OptimSpec, Pooling
from hprune.training.tokenizer import load_tokenizer
from tests.training import rank_cases
from tests.training.test_matrix import adapted, built, check_record, run_of, trained
from tests.training.test_packing import LENGTHS, batches, made

WAYS: tuple[Pooling, ...] = ("mean", "max")
HEADS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "bert": lambda model, vector: model.classifier(vector),
    "roberta": lambda model, vector: model.classifier.out_proj(torch.tanh(model.classifier.dense(vector))),
    "electra": lambda model, vector: model.classifier.out_proj(
        torch.nn.functional.gelu(model.classifier.dense(vector))
    ),
    "distilbert": lambda model, vector: model.classifier(torch.relu(model.pre_classifier(vector))),
}
"""What a head of classes makes of the vector it reads, as its authors have it."""


def by_hand(model: Any, batch: dict[str, Tensor], how: Pooling) -> Tensor:
    """(B, D) text by text, without padding: the body sees one text alone."""
    found = []
    for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
        alone = ids[mask.bool()][None]
        states = model.base_model(input_ids=alone, attention_mask=torch.ones_like(alone)).last_hidden_state[0]
        found.append(states.mean(dim=0) if how == "mean" else states.max(dim=0).values)
    return torch.stack(found)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("lengths", [LENGTHS, (5, 5, 5), (1,), (1, 8)], ids=str)
@pytest.mark.parametrize("name", HEADS)
def test_packed_and_padded_are_the_head_on_the_pooled_states(name: str, lengths: tuple[int, ...], how: Pooling) -> None:
    """Outputs and gradients, dropout off; in 64 bits, as a maximum's gradient is that of one token."""
    kind = Classification()
    plain, packed = (model.double() for model in made(name, AutoModelForSequenceClassification))
    reference = copy.deepcopy(plain).eval()
    padded_batch, packed_batch = batches(lengths)
    expected = HEADS[name](reference, by_hand(reference, padded_batch, how)).float()
    assert expected.std() > 1e-3
    kind.loss(expected, padded_batch).backward()
    assert pack(packed, pooled=False)
    for model, batch in ((plain, padded_batch), (packed, packed_batch)):
        outputs = kind.outputs(pool(model.eval(), how), batch)
        kind.loss(outputs, batch).backward()
        torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-5)
        grads = {key: weight.grad for key, weight in model.named_parameters() if weight.grad is not None}
        own = {key: weight.grad for key, weight in reference.named_parameters() if weight.grad is not None}
        assert set(grads) == set(own)
        assert not any("pooler" in key for key in grads)
        for key, grad in own.items():
            torch.testing.assert_close(grads[key], grad, rtol=1e-3, atol=1e-5, msg=key)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert"])
def test_options_are_judged_by_their_pooled_states(name: str, how: Pooling) -> None:
    kind = MultipleChoice(num_options=2)
    plain, packed = made(name, AutoModelForMultipleChoice)
    one, other = batches()
    vectors = by_hand(copy.deepcopy(plain).eval(), one, how)
    through = torch.relu(plain.pre_classifier(vectors)) if name == "distilbert" else vectors
    expected = plain.classifier(through).view(-1, 2)
    for model, batch in ((plain, one), (packed, other)):
        check_read(pool(model.eval(), how), kind, how)
        assert model is plain or pack(packed, pooled=False)
        torch.testing.assert_close(kind.outputs(model, batch), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", WAYS)
def test_what_the_grid_is_padded_with_is_not_pooled(how: Pooling) -> None:
    hidden, mask = torch.randn(3, 5, 4), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])
    expected = pooled(hidden, mask, how)
    for fill in (torch.inf, -torch.inf, torch.nan, 1e9):
        assert torch.equal(pooled(torch.where(mask.bool()[..., None], hidden, fill), mask, how), expected)
    assert torch.equal(expected[2], hidden[2, 0])
    assert pooled(hidden.half(), mask, how).dtype == torch.float16


def test_a_mean_in_16_bits_does_not_overflow() -> None:
    hidden = torch.full((1, 4096, 2), 100.0, dtype=torch.float16)
    assert pooled(hidden, torch.ones(1, 4096), "mean").tolist() == [[100.0, 100.0]]


@pytest.mark.parametrize("model", ["roberta", "bert", "deberta-v2", "modernbert", "distilbert"])
@pytest.mark.parametrize("task", ["classification", "multiple_choice"])
def test_every_encoder_trains_on_the_mean(model: str, task: str, tmp_path: Path) -> None:
    """And its record is another than that of its own head, but for what the two have in common."""
    spec = run_of(model, task)
    mean = replace(spec, model=replace(spec.model, pooling="mean"))
    folder, data = trained(mean, tmp_path)
    record, own = (load_record(one.path, "eval_pass") for one in (folder, trained(spec, tmp_path)[0]))
    check_record(record, data)
    assert folder.settings_hash != trained(spec, tmp_path)[0].settings_hash
    assert np.abs(record.margin - own.margin).max() > 1e-3


@pytest.mark.parametrize(
    ("model", "task", "message"),
    [
        ("opt", "classification", r"model\.pooling=mean is for encoders, and opt is none: .* set model\.pooling=own"),
        ("qwen3", "classification", r"for encoders, and qwen3 is none"),
        ("llama", "multiple_choice", r"for encoders, and llama is none"),
        ("roberta", "extractive_qa", r"for classification and multiple choice; ExtractiveQA reads every token: set"),
    ],
)
def test_what_reads_no_vector_is_refused(model: str, task: str, message: str, tmp_path: Path) -> None:
    spec = run_of(model, task)
    with pytest.raises(ValueError, match=message):
        built(replace(spec, model=replace(spec.model, pooling="mean")), tmp_path)


def test_a_head_that_reads_something_else_is_refused() -> None:
    """One that reads all states stumbles over their number, or goes past the body's last states."""
    message = r"model\.pooling=mean is for encoders whose head reads one vector .* set model\.pooling=own"
    bart = ModelSpec(
        "b", pooling="mean", config={"model_type": "bart", "d_model": 16, "encoder_layers": 1, "decoder_layers": 1}
    )
    tokenizer = load_tokenizer(bart, lambda: ["a fine hat"])
    with pytest.raises(ValueError, match=r"for encoders, and bart is none"):
        load_model(bart, Classification(), label_names=("a", "b"), tokenizer=tokenizer)
    model, _ = made("roberta", AutoModelForSequenceClassification)
    model.classifier = _Deaf()
    with pytest.raises(ValueError, match=message):
        check_read(pool(model, "mean"), Classification(), "mean")
    with pytest.raises(ValueError, match=message):
        pool(torch.nn.ModuleList([model])[0].base_model, "mean")  # a body without a head


class _Deaf(torch.nn.Module):
    """Answers the same whatever it is told."""

    def forward(self, states: Tensor) -> Tensor:
        return torch.zeros(len(states), 2)


def test_the_check_changes_nothing() -> None:
    model, same = made("bert", AutoModelForSequenceClassification)
    pool(model, "mean")
    before = torch.get_rng_state()
    for training in (True, False):
        check_read(model.train(training), Classification(), "mean")
        assert model.training == training
    assert torch.equal(torch.get_rng_state(), before)
    assert len(model.base_model._forward_hooks) == 1
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True))


def test_own_is_what_it_was() -> None:
    """A run with the head's own reading keeps its name; another is another model."""
    spec = run_of("bert", "classification").model
    assert model_identity(spec) == {"config": dict(spec.config or {}), "vocab_size": 300}
    assert model_identity(replace(spec, pooling="max")) == model_identity(spec) | {"pooling": "max"}
    with pytest.raises(ValueError, match=r"model\.pooling must be one of own, mean, max, got 'first'"):
        replace(spec, pooling="first")


@pytest.mark.parametrize("lora", [False, True], ids=["whole", "lora"])
@pytest.mark.parametrize("model", ["bert", "deberta-v2"])
def test_a_saved_model_says_what_its_head_reads(model: str, lora: bool, tmp_path: Path) -> None:
    spec = run_of(model, "classification")
    spec = adapted(spec) if lora else spec
    spec = replace(
        spec,
        model=replace(spec.model, pooling="mean"),
        trainer=replace(spec.trainer, save_model=True),
        optim=OptimSpec(lr=1e-2),
    )
    folder = trained(spec, tmp_path)[0].path
    saved = folder / "model"
    assert json.loads((saved / "config.json").read_text())[KEY] == "mean"
    told = np.stack([pq.read_table(folder / "predictions.validation.parquet")[f"prob_{k}"] for k in (0, 1)], axis=1)

    own, mean = (ModelSpec("again", path=str(saved), pooling=how) for how in ("own", "mean"))
    assert model_identity(own) == model_identity(mean)  # it is taken over
    assert model_identity(own)["pooling"] == "mean"
    for again in (own, mean):
        parts = built(replace(spec, model=again), tmp_path / "again")
        module = parts.module.eval()
        with torch.no_grad():
            loader = parts.datamodule.evaluation_loader("validation")
            logits = torch.cat([module.predict_step(batch, i).values["logits"] for i, batch in enumerate(loader)])
        order = np.argsort(parts.datamodule.evaluation["validation"].lengths, kind="stable")
        np.testing.assert_allclose(logits.softmax(-1).numpy(), told[order], rtol=1e-4, atol=1e-5)
    message = r"model\.pooling=max, but the model in .* was saved with hprune_pooling: 'mean' .* leave out model\.pool"
    for use in (model_identity, lambda other: built(replace(spec, model=other), tmp_path)):
        with pytest.raises(ValueError, match=message):
            use(ModelSpec("again", path=str(saved), pooling="max"))

    plain, tokenizer = AutoModelForSequenceClassification.from_pretrained(saved), AutoTokenizer.from_pretrained(saved)
    texts = built(spec, tmp_path).datamodule.evaluation["validation"].table["text"].to_pylist()
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = pool(plain.eval(), plain.config.hprune_pooling)(**inputs).logits
    np.testing.assert_allclose(logits.softmax(-1).numpy(), told, rtol=1e-4, atol=1e-5)


def test_a_body_that_was_saved_with_a_pooling_may_learn_another_kind_of_task(tmp_path: Path) -> None:
    spec = run_of("roberta", "classification")
    saving = replace(spec.trainer, save_model=True)
    folder = trained(replace(spec, model=replace(spec.model, pooling="max"), trainer=saving), tmp_path)[0].path
    answers = replace(run_of("roberta", "extractive_qa"), model=ModelSpec("again", path=str(folder / "model")))
    assert not hasattr(built(answers, tmp_path).module.model.config, KEY)


def test_a_head_that_was_trained_on_something_else_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = run_of("roberta", "classification")
    folder = trained(replace(spec, trainer=replace(spec.trainer, save_model=True)), tmp_path)[0].path
    again = ModelSpec("again", path=str(folder / "model"), pooling="mean")
    with caplog.at_level("WARNING", logger="hprune"):
        built(replace(spec, model=again), tmp_path)
    assert "again: the checkpoint's head was not trained on model.pooling=mean" in caplog.text


def test_a_pooler_that_nobody_reads_is_not_trained() -> None:
    model = made("bert", AutoModelForSequenceClassification)[0]
    pool(model, "mean")
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    assert frozen == {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    with quiet_libraries():
        small = with_adapter(model, LoraSpec(rank=2))
    free = {name.removeprefix("base_model.model.") for name, w in small.named_parameters() if w.requires_grad}
    assert not any("pooler" in name for name in free)
    assert {name for name in free if "lora_" not in name} == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize("model", ["bert", "roberta", "distilbert"])
def test_its_operations_are_counted(model: str, tmp_path: Path) -> None:
    """The last layer computes every token, so it takes more of them than the first token alone."""
    spec = run_of(model, "classification")
    counts = []
    for one in (spec.model, replace(spec.model, pooling="mean")):
        parts = built(replace(spec, model=one), tmp_path)
        assert parts.datamodule.packed
        found = flop_model(parts.module, parts.datamodule)
        assert found is not None
        counts.append(found.of_steps(np.array([[40, 48, 48 * 12, 4, 1]]))[0])
    assert counts[1] > counts[0] if model != "distilbert" else counts[1] == counts[0]


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_over_processes(strategy: Any, tmp_path: Path) -> None:
    spec = rank_cases.run_of("classification", 61)
    config = {**rank_cases.ROBERTA, "model_type": "bert", "type_vocab_size": 2}
    spec = replace(spec, model=ModelSpec("tiny", config=config, vocab_size=300, pooling="mean"))
    one = trained(spec, tmp_path)[0]
    two = trained(replace(spec, trainer=replace(spec.trainer, devices=2, strategy=strategy)), tmp_path)[0]
    a, b = (load_record(folder.path, "eval_pass") for folder in (one, two))
    assert (a.correct == b.correct).mean() > 0.98
    np.testing.assert_allclose(b.margin, a.margin, rtol=2e-3, atol=1e-4)
    assert read_manifest(two.path)["cost"]["steps"] == read_manifest(one.path)["cost"]["steps"]


def test_every_token_is_read_for_answers() -> None:
    """The body under a head that reads all places is refused by the check itself, too."""
    model, _ = made("bert", AutoModelForQuestionAnswering)
    with pytest.raises(ValueError, match=r"one vector of a sequence"):
        check_read(pool(model, "mean"), _Every(), "mean")


class _Every(ExtractiveQA):
    """With its outputs as the model gives them: a place for each token, or none."""

    def outputs(self, model: Any, batch: Any) -> Tensor:
        logits: Tensor = model(**batch).start_logits
        return logits if logits.shape == batch["input_ids"].shape else torch.zeros(1)
