"""Whether a pooler says anything is measured by hand's numbers, and a run does not notice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

import hprune.training.pooler as pooler_module
from hprune.storage.files import read_json, write_json
from hprune.storage.manifests import read_manifest, read_results, sealed
from hprune.tasks.load import load_task
from hprune.training.pooler import PoolerFacts, pooler_facts
from hprune.training.quiet import quiet_libraries
from hprune.training.settings import RunSpec
from hprune.training.spec import LoraSpec, ModelSpec, RecordSpec
from hprune.training.tokenizer import load_tokenizer
from tests.training.test_matrix import MODELS, built, run_of, trained
from tests.training.test_pretrained import TEXTS


def write_bert(folder: Path) -> None:
    """A small BERT with its pooler, and a tokenizer."""
    tokenizer = load_tokenizer(ModelSpec("any", config={"model_type": "roberta"}, vocab_size=300), lambda: TEXTS)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = AutoConfig.for_model("bert", vocab_size=300, pad_token_id=1, **MODELS["bert"])
    with quiet_libraries():
        AutoModel.from_config(config).save_pretrained(folder)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small BERT."""
    folder = tmp_path_factory.mktemp("bert")
    write_bert(folder)
    return folder


def run_from(folder: Path, task: str = "classification", **model: Any) -> RunSpec:
    return replace(run_of("bert", task), model=ModelSpec("small", path=str(folder), **model))


def by_hand(folder: Path, texts: list[str]) -> dict[str, float]:
    """Text by text, by transformers alone."""
    with quiet_libraries():
        body, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        said = [body(**tokenizer(text, return_tensors="pt")) for text in texts]
    vectors = np.concatenate([one.pooler_output.numpy() for one in said])
    means = np.stack([one.last_hidden_state[0].mean(dim=0).numpy() for one in said])
    return {
        "mean_abs": np.abs(vectors).mean(),
        "spread": vectors.std(axis=0).mean(),
        "spread_of_mean_pooling": means.std(axis=0).mean(),
        "samples": len(texts),
    }


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("lora", [None, LoraSpec(rank=2)], ids=["whole", "lora"])
def test_it_is_what_a_hand_would_measure(
    checkpoint: Path, tmp_path: Path, packed: bool, lora: LoraSpec | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = run_from(checkpoint, adapter=lora)
    spec = replace(spec, data=replace(spec.data, packed=packed))
    parts = built(spec, tmp_path)
    assert parts.datamodule.packed == packed
    texts = load_task(spec.task).train["text"].to_pylist()
    assert pooler_facts(parts.module, parts.datamodule) == pytest.approx(by_hand(checkpoint, texts), rel=1e-4)
    assert all(module.training for module in parts.module.model.modules())
    monkeypatch.setattr(pooler_module, "SAMPLES", 5)
    assert pooler_facts(parts.module, parts.datamodule) == pytest.approx(by_hand(checkpoint, texts[:5]), rel=1e-4)
    monkeypatch.setattr(pooler_module, "TOKENS", int(parts.datamodule.train.lengths[:2].sum()))
    assert pooler_facts(parts.module, parts.datamodule) == pytest.approx(by_hand(checkpoint, texts[:2]), rel=1e-4)


def test_the_options_of_a_question_count_each(checkpoint: Path, tmp_path: Path) -> None:
    parts = built(run_from(checkpoint, "multiple_choice"), tmp_path)
    found = pooler_facts(parts.module, parts.datamodule)
    assert found is not None
    assert found["samples"] == 8
    assert 0 < found["spread"] < 1


def test_a_run_is_the_same_to_the_byte(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout on, which draws for every batch."""
    config = read_json(checkpoint / "config.json")
    folder = tmp_path / "bert"
    folder.mkdir()
    for file in checkpoint.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    write_json(folder / "config.json", config | {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3})
    spec = run_from(folder)
    measured = trained(spec, tmp_path / "measured")[0].path
    again = trained(replace(spec, record=RecordSpec("train_pass")), tmp_path / "other")[0]
    monkeypatch.setattr(pooler_module, "pooler_facts", lambda *_: None)
    plain = trained(spec, tmp_path / "plain")[0].path
    files = sorted(file.name for file in plain.glob("*.parquet"))
    assert len(files) == 5  # two records, two sets, the subset
    for name in files:
        assert (measured / name).read_bytes() == (plain / name).read_bytes()
    a, b = read_manifest(measured), read_manifest(plain)
    assert set(a["pooler"]) == {"mean_abs", "spread", "spread_of_mean_pooling", "samples"}
    assert "pooler" not in b
    assert (a["metrics"], a["epochs"], a["settings"]) == (b["metrics"], b["epochs"], b["settings"])
    assert read_manifest(again.path)["pooler"] == a["pooler"]  # every run of these samples says the same


@pytest.mark.parametrize(
    ("task", "model"),
    [("classification", {"pooling": "mean"}), ("extractive_qa", {})],
)
def test_a_pooler_that_is_not_read_is_not_measured(
    checkpoint: Path, tmp_path: Path, task: str, model: dict[str, Any]
) -> None:
    assert "pooler" not in read_manifest(trained(run_from(checkpoint, task, **model), tmp_path)[0].path)


@pytest.mark.parametrize("model", ["bert", "roberta", "opt"])
def test_random_weights_are_not_measured(model: str, tmp_path: Path) -> None:
    assert "pooler" not in read_manifest(trained(run_of(model, "classification"), tmp_path)[0].path)
    parts = built(run_of(model, "classification"), tmp_path)
    assert (pooler_facts(parts.module, parts.datamodule) is not None) == (model == "bert")


def test_what_was_found_stays_with_the_checkpoint() -> None:
    facts, later = PoolerFacts(pretrained=True), PoolerFacts(pretrained=True)
    facts.found = {"spread": 0.5}
    later.load_state_dict(facts.state_dict())
    assert later.found == {"spread": 0.5}


def test_a_run_by_folds_says_it_of_its_first(checkpoint: Path, tmp_path: Path) -> None:
    spec = run_from(checkpoint)
    folder = trained(replace(spec, data=replace(spec.data, folds=2)), tmp_path)[0].path
    assert read_manifest(folder)["pooler"] == read_manifest(folder / "fold=0")["pooler"]
    assert read_manifest(folder)["pooler"]["samples"] == 6


def test_altered_facts_are_named(checkpoint: Path, tmp_path: Path) -> None:
    folder = trained(run_from(checkpoint), tmp_path)[0].path
    manifest = read_json(folder / "run.json")
    altered = {"config": {"task": {}}, "pooler": manifest["pooler"] | {"spread": "wide"}}
    write_json(folder / "run.json", sealed(manifest | altered))
    with pytest.raises(ValueError, match=r"run\.json: pooler\.spread must be a number from 0, got 'wide'"):
        read_results(folder)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_several_processes(checkpoint: Path, tmp_path: Path, strategy: Any) -> None:
    """The first measures for all; a model that is spread over them is left alone."""
    spec = run_from(checkpoint)
    two = replace(spec, trainer=replace(spec.trainer, devices=2, strategy=strategy))
    one, several = (read_manifest(trained(run, tmp_path)[0].path) for run in (spec, two))
    assert several.get("pooler") == (one["pooler"] if strategy == "ddp" else None)
    assert several["metrics"]["validation"]["loss"] == pytest.approx(one["metrics"]["validation"]["loss"], rel=1e-3)
