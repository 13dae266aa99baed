"""Every architecture with every kind of task, tiny, from random weights: trained, recorded, adapted, saved, loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import hprune.training.run as run_module
from hprune.data.datamodule import DataSpec
from hprune.science.records import CONTINUOUS, RunRecord
from hprune.science.subset import SubsetSpec, choose
from hprune.science.units import row_of
from hprune.storage.runs import RunFolder, load_record, read_manifest
from hprune.tasks.classification import Classification
from hprune.tasks.extractive_qa import ExtractiveQA
from hprune.tasks.multiple_choice import MultipleChoice
from hprune.tasks.spec import TaskData, TaskKind, TaskSpec
from hprune.training.adapter import with_adapter
from hprune.training.answers import evaluation_of
from hprune.training.assemble import Assembled, assemble
from hprune.training.build import load_model
from hprune.training.quiet import quiet_libraries
from hprune.training.run import fine_tune
from hprune.training.settings import RunSpec
from hprune.training.spec import LoraSpec, ModelSpec, OptimSpec, RecordSpec, TrainerSpec
from hprune.training.tokenizer import load_tokenizer
from hprune.training.units import load_samples

SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 130}
WIDE = {"initializer_range": 0.4}  # weights of some size, so that a fault in a mask is seen in the logits
CALM = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
MODELS: dict[str, dict[str, Any]] = {
    "roberta": {**SIZE, **WIDE, **CALM, "intermediate_size": 32, "type_vocab_size": 1},
    "opt": {**SIZE, "word_embed_proj_dim": 16, "ffn_dim": 32, "init_std": 0.4, "dropout": 0.0},
    "bert": {**SIZE, **WIDE, **CALM, "intermediate_size": 32},
    "deberta-v2": {
        **SIZE, **WIDE, **CALM, "intermediate_size": 32, "type_vocab_size": 0, "relative_attention": True,
        "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False, "pooler_hidden_size": 16, "pooler_dropout": 0.0,
    },  # as DeBERTa-v3 has it
    "modernbert": {
        **SIZE, **WIDE, "intermediate_size": 32, "global_attn_every_n_layers": 2, "local_attention": 8,
    },
    "distilbert": {
        "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 130, **WIDE,
        "dropout": 0.0, "attention_dropout": 0.0, "qa_dropout": 0.0, "seq_classif_dropout": 0.0,
    },
    "qwen3": {**SIZE, **WIDE, "intermediate_size": 32, "num_key_value_heads": 1, "head_dim": 8},
    "llama": {**SIZE, **WIDE, "intermediate_size": 32, "num_key_value_heads": 1},
}  # fmt: skip

COLOURS = ("red", "blue", "green", "grey")
THINGS = ("hat", "coat", "scarf", "boot", "glove", "belt", "shirt", "sock")


def classes(split: str) -> pa.Table:
    size = {"train": 12, "validation": 7, "test": 5}[split]
    texts = [f"the {THINGS[i % 8]} is {'very ' * (i % 4)}{('poor', 'fine')[i % 2]} ." for i in range(size)]
    return pa.table({"text": texts, "label": [i % 2 for i in range(size)]})


def options(split: str) -> pa.Table:
    size = {"train": 8, "validation": 5, "test": 4}[split]
    rows = [
        {
            "article": f"My {THINGS[i % 8]} is {COLOURS[i % 4]} . {'It is old . ' * (i % 3)}",
            "question": ("It is _ .", "Which colour is it?")[i % 2],
            "options": list(COLOURS),
            "answer": "ABCD"[i % 4],
        }
        for i in range(size)
    ]
    return pa.Table.from_pylist(rows)


def spans(split: str) -> pa.Table:
    size = {"train": 8, "validation": 5, "test": 4}[split]
    rows = []
    for i in range(size):
        place = 0 if i % 2 else 1
        sentences = [f"My {thing} is {COLOURS[(i + j) % 4]} ." for j, thing in enumerate(THINGS[: 2 + 4 * place])]
        context, answer = " ".join(sentences), COLOURS[i % 4]
        found = {"text": [answer], "answer_start": [context.index(answer)]}
        rows.append(
            {
                "question": f"What is my {THINGS[0]} like?" if i % 4 else "Who am I?",
                "context": context,
                "answers": found if i % 4 else {"text": [], "answer_start": []},
            }
        )
    kind = pa.struct({"text": pa.list_(pa.string()), "answer_start": pa.list_(pa.int32())})
    return pa.Table.from_pylist(rows, pa.schema({"question": pa.string(), "context": pa.string(), "answers": kind}))


TASKS: dict[str, Callable[..., TaskSpec]] = {
    "classification": lambda **how: TaskSpec("classes", Classification(**how), generate=classes),
    "multiple_choice": lambda **how: TaskSpec(
        "options", MultipleChoice(**how), text=("article", "question"), label="answer", generate=options
    ),
    "extractive_qa": lambda **how: TaskSpec(
        "spans", ExtractiveQA(stride=8, **how), text=("question", "context"), label="answers", generate=spans
    ),
}
METRICS = {
    "classification": {"accuracy", "macro_f1", "mcc", "f1", "ece", "loss"},
    "multiple_choice": {"accuracy", "macro_f1", "mcc", "ece", "loss"},
    "extractive_qa": {"exact_match", "f1", "has_answer_f1", "has_answer_exact_match", "no_answer_f1",
                      "no_answer_exact_match", "loss"},
}  # fmt: skip
COLUMNS = {
    "classification": {"sample_id", "label", "pred", "prob_0", "prob_1", "tokens"},
    "multiple_choice": {"sample_id", "label", "pred", "prob_0", "prob_1", "prob_2", "prob_3", "tokens"},
    "extractive_qa": {"sample_id", "label", "pred", "answer", "exact_match", "f1", "null_margin", "tokens"},
}
EVERY = [(model, task) for model in MODELS for task in TASKS]
PAPER = [(model, task) for model in ("roberta", "opt") for task in TASKS]


def model_of(name: str, **more: Any) -> ModelSpec:
    return ModelSpec(f"tiny_{name}", config={"model_type": name, **MODELS[name]}, vocab_size=300, **more)


def run_of(model: str, task: str, **how: Any) -> RunSpec:
    return RunSpec(
        task=TASKS[task](**how),
        model=model_of(model),
        optim=OptimSpec(lr=1e-3),
        data=DataSpec(batch_size=4, eval_batch_size=4, max_length=48),
        trainer=TrainerSpec(max_epochs=1, accelerator="cpu", threads=1, progress=False),
        record=RecordSpec("both"),
        subset=SubsetSpec("full"),
        seed=1,
    )


def adapted(spec: RunSpec, **how: Any) -> RunSpec:
    return replace(spec, model=replace(spec.model, adapter=LoraSpec(rank=2, alpha=4.0, **how)))


def trained(spec: RunSpec, root: Path) -> tuple[RunFolder, TaskData]:
    data = load_samples(spec, root=root)
    return fine_tune(spec, data, None, root=root), data


def built(spec: RunSpec, root: Path) -> Assembled:
    """The parts of a run, not trained."""
    data = load_samples(spec, root=root)
    ids, labels = data.train["sample_id"].to_numpy().copy(), data.train["label"].to_numpy()
    subset = choose(
        spec.subset, None, sample_ids=ids, labels=labels, label_names=data.label_names, data_hash="", seed=spec.seed
    )
    with quiet_libraries():
        return assemble(spec, data, subset, root=root)


def check_record(record: RunRecord, data: TaskData, epochs: int = 1) -> None:
    assert record.sample_ids.tolist() == data.train["sample_id"].to_pylist()
    assert record.correct.shape == (epochs, data.train.num_rows)
    for name in CONTINUOUS:
        values = getattr(record, name)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    assert ((record.true_prob >= 0) & (record.true_prob <= 1)).all()
    assert ((record.el2n >= 0) & (record.el2n <= np.sqrt(2) + 1e-5)).all()
    assert (record.correct[record.margin > 0]).all()
    assert (~record.correct[record.margin < 0]).all()


def check_results(folder: RunFolder, data: TaskData, task: str) -> None:
    manifest = read_manifest(folder.path)
    assert set(manifest["metrics"]) == {"validation", "test"}
    for name, metrics in manifest["metrics"].items():
        assert set(metrics) == METRICS[task]
        assert np.isfinite(list(metrics.values())).all()
        assert all(-1 <= value <= 1 for metric, value in metrics.items() if metric != "loss")
        table = pq.read_table(folder.path / f"predictions.{name}.parquet")
        assert set(table.column_names) == COLUMNS[task]
        assert table["sample_id"].to_pylist() == data.evaluation[name]["sample_id"].to_pylist()
        assert all(table[column].null_count == 0 for column in table.column_names)
    assert set(manifest["epochs"][0]) >= {f"validation/{name}" for name in METRICS[task]}


@pytest.mark.parametrize(("model", "task"), EVERY)
def test_a_run_records_every_sample_once(model: str, task: str, tmp_path: Path) -> None:
    spec = run_of(model, task)
    folder, data = trained(spec, tmp_path)
    for way in spec.record.ways:
        check_record(load_record(folder.path, way), data)
    check_results(folder, data, task)
    steps = read_manifest(folder.path)["cost"]["steps"]
    assert steps == -(-data.train.num_rows // 4)
    assert steps in (2, 3)


@pytest.mark.parametrize(("model", "task"), EVERY)
def test_padding_does_not_change_what_is_recorded(model: str, task: str, tmp_path: Path) -> None:
    """Short batches or batches padded to `data.max_length`: a clean pass sees the same."""
    spec = run_of(model, task)
    still = replace(spec, optim=OptimSpec(lr=1e-12), record=RecordSpec("eval_pass"))  # weights stay as they are
    records = []
    for batching in ("bucketed", "max_length"):
        folder, _ = trained(replace(still, data=replace(spec.data, batching=batching)), tmp_path)
        records.append(load_record(folder.path, "eval_pass"))
    assert (records[0].correct == records[1].correct).all()
    assert np.ptp(records[0].margin) > 1e-2
    for name in CONTINUOUS:
        np.testing.assert_allclose(getattr(records[0], name), getattr(records[1], name), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("model", "task"), EVERY)
def test_adapters_and_head_are_what_is_trained(model: str, task: str) -> None:
    spec = run_of(model, task)
    tokenizer = load_tokenizer(spec.model, lambda: ["a fine red hat"])
    names = ("A", "B") if task == "classification" else ()
    whole = load_model(spec.model, spec.task.kind, label_names=names, tokenizer=tokenizer)
    base = {id(parameter) for parameter in whole.base_model.parameters()}
    pooler = getattr(whole.base_model, "pooler", None)
    base -= set() if pooler is None else {id(parameter) for parameter in pooler.parameters()}
    head = {name for name, parameter in whole.named_parameters() if id(parameter) not in base}
    total = sum(parameter.numel() for parameter in whole.parameters())
    assert head
    with quiet_libraries():
        small = with_adapter(whole, LoraSpec(rank=2))
    trained = {name: parameter for name, parameter in small.named_parameters() if parameter.requires_grad}
    adapters = {name for name in trained if "lora_" in name}
    assert {name.removeprefix("base_model.model.") for name in set(trained) - adapters} == head
    assert {name.rpartition("lora_")[2][0] for name in adapters} == {"A", "B"}
    assert not any(f".{part.partition('.')[0]}." in name for name in adapters for part in head if pooler is None)
    assert sum(parameter.numel() for parameter in trained.values()) < total / 2  # tiny as they are


@pytest.mark.parametrize(
    ("model", "task"), [*PAPER, *((model, "classification") for model in MODELS if model not in ("roberta", "opt"))]
)
def test_frozen_weights_do_not_change(model: str, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With adapters the record is as it is without, the head and the adapters learn, and nothing else does."""
    seen: list[tuple[Assembled, dict[str, torch.Tensor]]] = []

    def watched(*given: Any, **named: Any) -> Assembled:
        parts = assemble(*given, **named)
        seen.append((parts, {name: value.clone() for name, value in parts.module.model.state_dict().items()}))
        return parts

    monkeypatch.setattr(run_module, "assemble", watched)
    spec = adapted(run_of(model, task))
    spec = replace(spec, optim=OptimSpec(lr=1e-2), trainer=replace(spec.trainer, max_epochs=2))
    folder, data = trained(spec, tmp_path)
    for way in spec.record.ways:
        check_record(load_record(folder.path, way), data, epochs=2)
    check_results(folder, data, task)
    parts, before = seen[0]
    free = {name for name, parameter in parts.module.model.named_parameters() if parameter.requires_grad}
    after = parts.module.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed <= free
    assert {name for name in changed if "lora_B" in name} == {name for name in free if "lora_B" in name}
    heads = {name for name in free if "lora_" not in name and "weight" in name}
    assert heads <= changed


def test_a_record_with_adapters_looks_like_one_without(tmp_path: Path) -> None:
    for task in TASKS:
        spec = run_of("roberta", task)
        plain, small = trained(spec, tmp_path)[0], trained(adapted(spec), tmp_path)[0]
        assert plain.path.parent != small.path.parent  # the adapter is part of what a run is
        for file in sorted(path.name for path in plain.path.glob("*.parquet")):
            assert pq.read_schema(plain.path / file).equals(pq.read_schema(small.path / file), check_metadata=False)


@pytest.mark.parametrize("lora", [False, True], ids=["whole", "lora"])
@pytest.mark.parametrize(
    ("model", "task"),
    [*PAPER, ("bert", "multiple_choice"), ("deberta-v2", "multiple_choice"), ("modernbert", "extractive_qa"),
     ("distilbert", "classification"), ("qwen3", "extractive_qa"), ("llama", "multiple_choice")],
)  # fmt: skip
def test_a_saved_model_predicts_the_same(model: str, task: str, lora: bool, tmp_path: Path) -> None:
    spec = run_of(model, task)
    spec = adapted(spec) if lora else spec
    spec = replace(spec, trainer=replace(spec.trainer, save_model=True), optim=OptimSpec(lr=1e-2))
    folder, _ = trained(spec, tmp_path)
    again = replace(spec, model=ModelSpec("again", path=str(folder.path / "model")))
    parts = built(again, tmp_path / "again")
    assert not any("lora_" in name for name, _ in parts.module.model.named_parameters())
    module = parts.module.eval()
    with torch.no_grad():
        loader = parts.datamodule.evaluation_loader("validation")
        answers = [module.predict_step(batch, i) for i, batch in enumerate(loader)]
    found = evaluation_of(module.kind, answers, parts.datamodule.evaluation["validation"], name="validation")
    table = pq.read_table(folder.path / "predictions.validation.parquet")
    for name, values in found.columns.items():
        told = table[name].to_numpy()
        if told.dtype.kind == "f":
            np.testing.assert_allclose(np.asarray(values), told, rtol=1e-4, atol=1e-5)
        else:
            assert list(values) == told.tolist()
    saved = read_manifest(folder.path)["metrics"]["validation"]
    assert {**found.metrics} == pytest.approx(saved, rel=1e-4, abs=1e-5)


def test_without_peft_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"model/adapter=lora needs peft: pip install .*\[lora\]"):
        trained(adapted(run_of("roberta", "classification")), tmp_path)
    trained(run_of("roberta", "classification"), tmp_path)


def test_adapters_go_where_they_are_asked_for(tmp_path: Path) -> None:
    spec = adapted(run_of("roberta", "classification"), targets=["query", "value"])
    names = [name for name, _ in built(spec, tmp_path).module.model.named_parameters() if "lora_A" in name]
    assert {name.split(".lora_A")[0].rpartition(".")[2] for name in names} == {"query", "value"}
    assert len(names) == 4  # two layers
    for targets in (["nosuch"], ["query", "nosuch"], ["out_proj"]):  # the last is the head's alone
        with pytest.raises(
            ValueError, match=r"model\.adapter\.targets=\[.*\] names no layer .* by '(nosuch|out_proj)'"
        ):
            built(adapted(run_of("roberta", "classification"), targets=targets), tmp_path)
    for targets in ("nosuch", "[query"):  # one text is a regular expression, which may not be one
        with pytest.raises(ValueError, match=r"model\.adapter\.targets=\S+ names no layer"):
            built(adapted(run_of("roberta", "classification"), targets=targets), tmp_path)


@pytest.mark.parametrize("model", ["roberta", "opt"])
@pytest.mark.parametrize(("task", "unit"), [("multiple_choice", "option"), ("extractive_qa", "window")])
def test_parts_of_rows_are_samples_of_their_own(model: str, task: str, unit: str, tmp_path: Path) -> None:
    rows = load_samples(run_of(model, task), root=tmp_path).train
    spec = run_of(model, task, unit=unit, **({} if unit == "window" else {"primary_metric": "option_accuracy"}))
    folder, data = trained(spec, tmp_path)
    for way in spec.record.ways:
        check_record(load_record(folder.path, way), data)
    ids = data.train["sample_id"].to_numpy()
    assert sorted(set(row_of(ids).tolist())) == rows["sample_id"].to_pylist()
    assert data.train.num_rows > rows.num_rows
    if unit == "option":
        assert data.train.num_rows == 4 * rows.num_rows
        assert data.train["label"].to_numpy().reshape(-1, 4).sum(axis=1).tolist() == [1] * rows.num_rows
    metrics = read_manifest(folder.path)["metrics"]
    assert set(metrics["validation"]) == (
        {"accuracy", "option_accuracy", "loss"} if unit == "option" else METRICS[task]
    )
    table = pq.read_table(folder.path / "predictions.test.parquet")
    assert table["sample_id"].to_pylist() == data.evaluation["test"]["sample_id"].to_pylist()  # rows, not parts


@pytest.mark.parametrize("kind", [Classification(), MultipleChoice(), MultipleChoice(unit="option"), ExtractiveQA()])
@pytest.mark.parametrize("model", MODELS)
def test_a_head_has_as_many_outputs_as_its_kind_needs(model: str, kind: TaskKind) -> None:
    tokenizer = load_tokenizer(model_of(model), lambda: ["a fine red hat"])
    built = load_model(model_of(model), kind, label_names=("no", "yes"), tokenizer=tokenizer)
    wanted = 1 if kind == MultipleChoice() else 2
    assert built.config.num_labels == wanted
    head = [module for module in built.modules() if isinstance(module, torch.nn.Linear)][-1]
    assert head.out_features == wanted
