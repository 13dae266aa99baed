"""Every experiment trains, and every task is read, on a few rows with the columns of the hub; nothing is fetched."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from hprune.command import CONF, instantiate, run_spec
from hprune.storage.runs import load_record, read_manifest
from hprune.tasks.load import load_task
from hprune.training.run import fine_tune
from hprune.training.settings import RunSpec
from hprune.training.units import load_samples
from tests.local_hub import HIDDEN, MADE, ROWS

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
TASKS = sorted(path.stem for path in (CONF / "task").glob("*.yaml"))
SWEEPS = [f"sensitivity_{axis}" for axis in ("epochs", "samples", "thresholds", "seeds")]
"""Their runs are those of sensitivity_runs."""
EVALUATED = {
    "cola": ["validation"], "demo": ["validation", "test"], "mnli": ["validation", "validation_mismatched"],
    "own": ["validation"], "qqp": ["validation"], "race": ["validation", "test"], "snli": ["validation", "test"],
    "squad_v2": ["validation"], "sst2": ["validation"],
}  # fmt: skip
SIZE = "hidden_size:16,num_hidden_layers:1,num_attention_heads:2"
LONG = "max_position_embeddings:514"  # of RoBERTa, BERT and OPT: what the experiments' data.max_length is made for
CONFIGS = {
    "roberta": f"{{model_type:roberta,{SIZE},{LONG},intermediate_size:32,type_vocab_size:1}}",
    "opt": f"{{model_type:opt,{SIZE},{LONG},ffn_dim:32,word_embed_proj_dim:16}}",
    "bert": f"{{model_type:bert,{SIZE},{LONG},intermediate_size:32}}",
}
ARCHITECTURES = {"roberta": "roberta", "tiny_roberta": "roberta", "opt": "opt", "tiny_opt": "opt", "minilm": "bert"}


def composed(entry: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        return compose(entry, overrides=list(overrides))


@functools.cache
def experiment(name: str) -> DictConfig:
    """An experiment as it stands, for one run."""
    return composed("train", f"+experiment={name}")


def source(task: str, hub: Path) -> list[str]:
    """Overrides that read a task from the local files."""
    if task == "own":
        return [f"task.train_file={hub / 'own.csv'}", "task.validation_fraction=0.2"]
    if task == "demo":
        return [f"task.generate.num_samples={{train:{4 * ROWS},validation:20,test:20}}"]
    return [f"task.data_dir={hub / task}"]


def tiny_overrides(name: str, hub: Path) -> list[str]:
    """Overrides that let an experiment train in no time, with its own lengths, schedule and ways."""
    cfg = experiment(name)
    family = next(value for start, value in ARCHITECTURES.items() if str(cfg.model.name).startswith(start))
    rows = 4 * ROWS if cfg.task.name == "demo" else ROWS
    return [
        f"+experiment={name}", *source(cfg.task.name, hub), "model.path=null", f"++model.config={CONFIGS[family]}",
        "++model.vocab_size=300", f"data.batch_size={rows // 2 // cfg.trainer.accumulate}", "trainer.threads=1",
        "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.progress=false",
        *(f"~task.also.{name}" for name in cfg.task.also),
    ]  # fmt: skip


def test_the_experiments_are_all_there() -> None:
    pairs = {f"{task}_{model}" for task in ("sst2", "mnli", "snli", "cola", "qqp", "race", "squad_v2")
             for model in ("roberta", "opt")}  # fmt: skip
    assert pairs | {"demo", "own", "sensitivity_runs", *SWEEPS} <= set(EXPERIMENTS)
    assert {experiment(name).task.name for name in EXPERIMENTS} == set(EVALUATED)


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in SWEEPS])
def test_an_experiment_trains_two_steps(name: str, hub: Path, tmp_path: Path) -> None:
    overrides = tiny_overrides(name, hub)
    spec = run_spec(composed("train", *overrides))
    assert spec.data.max_length == experiment(name).data.max_length  # as the experiment has it
    data = load_samples(spec, root=tmp_path)
    folder = fine_tune(spec, data, None, root=tmp_path)
    manifest = read_manifest(folder.path)
    assert manifest["cost"]["steps"] == 2
    assert manifest["cost"]["truncated_samples"] == 0
    task = spec.task.name
    evaluated = [name for name in EVALUATED[task] if spec.task.splits.get(name)]
    assert list(manifest["metrics"]) == evaluated
    assert all(spec.task.kind.primary_metric in metrics for metrics in manifest["metrics"].values())
    for set_name in evaluated:
        table = pq.read_table(folder.path / f"predictions.{set_name}.parquet")
        assert table["sample_id"].to_pylist() == data.evaluation[set_name]["sample_id"].to_pylist()
    # whatever else is evaluated is evaluated once, at the end
    assert {key.partition("/")[0] for epoch in manifest["epochs"] for key in epoch if "/" in key} == {
        "train", "validation"
    }  # fmt: skip
    for way in spec.record.ways:
        record = load_record(folder.path, way)
        assert record.correct.shape == (1, data.train.num_rows)
        assert np.isfinite(record.margin).all()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_study_of_an_experiment_is_made_of_the_same_runs(name: str, hub: Path) -> None:
    overrides = tiny_overrides(name, hub)
    train, study = composed("train", *overrides), composed("study", *overrides)
    assert {"full", "winning_ticket", "random_like"} <= set(study.arms)
    full = run_spec(study, subset=study.arms.full, seed=1)
    single = run_spec(train)
    assert without_config(full) == without_config(single)
    rate = train.optim.pruned_lr or train.optim.lr
    for arm in study.arms.values():
        assert run_spec(study, subset=arm).optim.lr == (train.optim.lr if arm.name == "full" else rate)
    assert instantiate(study.score) is not None


def without_config(spec: RunSpec) -> dict[str, Any]:
    return {name: value for name, value in vars(spec).items() if name not in ("config", "task")}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_read_from_files_of_the_hubs_columns(task: str, hub: Path) -> None:
    spec = instantiate(composed("train", f"task={task}", *source(task, hub)).task)
    data = load_task(spec)
    assert spec.name == task
    assert next(iter(data.evaluation)) == "validation"
    hidden = task in HIDDEN or task in ("own", "squad", "squad_v2")
    assert ("test" in data.evaluation) == (not hidden)
    held_out = {"ag_news": 6, "trec": 6, "own": 2, "demo": 0}
    rows = {"ag_news": 54, "trec": 54, "own": 8, "demo": 4 * ROWS, "race_middle": ROWS // 2, "race_high": ROWS // 2}
    assert data.train.num_rows == rows.get(task, ROWS)
    if held_out.get(task):
        assert data.evaluation["validation"].num_rows == held_out[task]
    ids = data.train["sample_id"].to_pylist()
    if task in ("race_middle", "race_high"):
        assert ids == list(range(int(task == "race_middle"), ROWS, 2))
    elif task not in held_out:
        assert ids == list(range(ROWS))


def test_every_task_has_files_here() -> None:
    assert {*MADE, "own", "demo"} == set(TASKS)


TRAIN_ROWS = {"sst2": 67_349, "cola": 8_551, "mnli": 392_702, "snli": 549_367, "qqp": 363_846, "race": 87_866,
              "squad_v2": 130_319}  # fmt: skip


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_cost_in_the_comments_is_right(name: str) -> None:
    said = re.search(r"Cost: ([\d,]+) steps of (\d+)", (CONF / "experiment" / f"{name}.yaml").read_text())
    cfg = experiment(name)
    if said is None:
        assert name in ("demo", "own") or name.endswith(("_minilm", "_paper_lr")) or name.startswith("sensitivity_")
        return
    batches = -(-TRAIN_ROWS[cfg.task.name] // cfg.data.batch_size)
    steps = -(-batches // cfg.trainer.accumulate) * cfg.trainer.max_epochs
    assert (int(said[1].replace(",", "")), int(said[2])) == (steps, cfg.data.batch_size * cfg.trainer.accumulate)
