"""What goes wrong in the code that the authors of the H-score published, and must not go wrong here."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hprune.training.run as run_module
from hprune import Dynamics, h_score
from hprune.science.records import RunKey, RunRecord, Subset
from hprune.science.select import Pool, by_value, subset_size
from hprune.science.units import row_of
from hprune.score import ScoreSpec, score_study
from hprune.storage.runs import finish_run, load_record, read_manifest, run_folder, save_record, start_run
from hprune.storage.scores import load_scores
from hprune.storage.studies import add_run, runs_of
from hprune.tasks.extractive_qa import ExtractiveQA
from hprune.tasks.multiple_choice import MultipleChoice
from hprune.tasks.spec import TaskKind, TaskSpec
from hprune.training.assemble import assemble
from hprune.training.units import load_samples

Command = Callable[..., "tuple[int, str, str]"]
WORDS = [f"{a}{b}" for a in ("ka", "lo", "mi", "nu") for b in ("", "pe", "ri", "so")]


def squad_rows(n: int, seed: int) -> pa.Table:
    """Every third question has no answer, every fifth row says nothing of answers."""
    rng = np.random.default_rng(seed)
    contexts = [" ".join(rng.choice(WORDS, int(rng.integers(5, 60)))) for _ in range(n)]
    answers: list[Any] = []
    for i, context in enumerate(contexts):
        start = int(rng.choice([k for k in range(len(context)) if k == 0 or context[k - 1] == " "]))
        text = context[start:].split()[0]
        answers.append({"text": [], "answer_start": []} if i % 3 == 2 else {"text": [text], "answer_start": [start]})
        answers[-1] = None if i % 5 == 4 else answers[-1]
    return pa.table(
        {"question": [f"who {rng.choice(WORDS)} ?" for _ in range(n)], "context": contexts, "answers": answers}
    )


def race_rows(n: int, seed: int) -> pa.Table:
    """Every fifth row has no answer."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "article": [" ".join(rng.choice(WORDS, 12)) for _ in range(n)],
            "question": [f"who {rng.choice(WORDS)} _ ?" for _ in range(n)],
            "options": [[" ".join(rng.choice(WORDS, 2)) for _ in range(4)] for _ in range(n)],
            "answer": [None if i % 5 == 4 else "ABCD"[int(rng.integers(4))] for i in range(n)],
        }
    )


def labelled(n: int) -> list[int]:
    return [row for row in range(n) if row % 5 != 4]


@pytest.mark.parametrize("unit", ["question", "window"])
def test_squad_is_scored_from_end_to_end(tiny: list[str], run_command: Command, tmp_path: Path, unit: str) -> None:
    for split, size in (("train", 30), ("validation", 11)):
        pq.write_table(squad_rows(size, len(split)), tmp_path / f"{split}.parquet")
    own = [option for option in tiny if not option.startswith(("task", "scoring", "comparison", "trainer.max_epochs"))]
    run = [
        *own, "task=squad_v2", f"task.data_dir={tmp_path}", f"task.kind.unit={unit}", "task.kind.stride=8",
        "data.max_length=48", "trainer.max_epochs=2", "scoring.seeds=[1,2]", f"paths.root={tmp_path}", "study=s",
    ]  # fmt: skip
    for seed in (1, 2):
        code, _, err = run_command("train", *run, f"seed={seed}")
        assert code == 0, err
    code, _, err = run_command("score", f"paths.root={tmp_path}", "study=s")
    assert code == 0, err
    scores = load_scores(tmp_path / "studies/s/scores/h_score.parquet")
    records = [load_record(entry.path, "train_pass") for entry in runs_of(tmp_path, "s", "scoring")]
    assert scores.values.tolist() == sum(record.correct.all(axis=0).astype(int) for record in records).tolist()
    assert (scores.seeds, scores.epochs) == ((1, 2), 2)
    rows = scores.sample_ids if unit == "question" else row_of(scores.sample_ids)
    assert sorted(set(rows.tolist())) == labelled(30)
    assert (scores.values.size > len(labelled(30))) == (unit == "window")
    metrics = read_manifest(runs_of(tmp_path, "s")[0].path)["metrics"]["validation"]
    assert {"exact_match", "f1", "has_answer_f1", "no_answer_f1", "loss"} == set(metrics) - {
        "has_answer_exact_match",
        "no_answer_exact_match",
    }
    subset = ["subset=lowest", "subset.keep=null", "subset.fraction=0.5", "seed=11", "subset.allow_missing_class=true"]
    code, _, err = run_command("train", *run, *subset)
    assert code == 0, err
    (pruned,) = runs_of(tmp_path, "s", "comparison")
    kept = pq.read_table(pruned.path / "subset.parquet")["sample_id"].to_pylist()
    assert len(kept) == round(0.5 * scores.values.size)
    assert set(kept) <= set(scores.sample_ids.tolist())


class Rates(L.Callback):
    """The learning rate of every step, and the one after the last."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.parametrize("kept", [160, 41])
def test_the_schedule_of_a_pruned_run_ends_with_its_own_last_step(compose_run, tmp_path: Path, kept: int) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("trainer.max_epochs=2")
    data, rates = load_samples(spec, root=tmp_path), Rates()
    subset = Subset("some", data.train["sample_id"].to_numpy()[:kept].copy(), data.data_hash, {})
    with run_module.quiet_libraries():
        parts = assemble(spec, data, subset, root=tmp_path)
        run_module._trainer(spec, [rates], epochs=2, root=tmp_path).fit(parts.module, datamodule=parts.datamodule)
    steps = 2 * math.ceil(kept / 16)
    assert rates.rates == pytest.approx([spec.optim.lr * (1 - step / steps) for step in range(steps + 1)], abs=1e-12)
    assert rates.rates[-1] == 0


@pytest.mark.parametrize(
    ("kind", "samples"), [(MultipleChoice(), 12), (MultipleChoice(unit="option"), 48)], ids=["question", "option"]
)
def test_every_row_is_trained_on_and_recorded_under_its_own_number(  # type: ignore[no-untyped-def]
    compose_run, tmp_path: Path, kind: TaskKind, samples: int
) -> None:
    tables = {"train": race_rows(15, 0), "validation": race_rows(7, 1)}
    task = TaskSpec(
        "race", kind, generate=tables.__getitem__, splits={name: name for name in tables},
        text=("article", "question"), label="answer",
    )  # fmt: skip
    spec = replace(compose_run("data.batch_size=5", "trainer.max_epochs=2", "record=both"), task=task)
    data = load_samples(spec, root=tmp_path)
    folder = run_module.fine_tune(spec, data, None, root=tmp_path)
    manifest = read_manifest(folder.path)
    assert manifest["samples"] == samples
    assert manifest["cost"]["steps"] == 2 * math.ceil(samples / 5), "with the last, smaller batch"
    raw = labelled(15)
    ids = raw if samples == 12 else [row * 2**16 + part for row in raw for part in range(4)]
    for way in ("train_pass", "eval_pass"):
        record = load_record(folder.path, way)  # type: ignore[arg-type]
        assert record.sample_ids.tolist() == ids
        assert record.true_prob.shape == (2, samples)
        assert ((record.true_prob > 0) & (record.true_prob < 1)).all()
        assert np.isfinite(record.margin).all()
    predictions = pq.read_table(folder.path / "predictions.validation.parquet")
    assert predictions["sample_id"].to_pylist() == labelled(7)


def test_full_and_pruned_runs_have_one_learning_rate(tmp_path: Path) -> None:
    from hydra import compose, initialize_config_dir

    from hprune.command import CONF, run_spec

    def rate(*overrides: str) -> float:
        with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
            return run_spec(compose("train", overrides=list(overrides))).optim.lr

    for experiment in ("sst2_roberta", "squad_v2_opt", "race_roberta"):
        full = rate(f"+experiment={experiment}")
        assert rate(f"+experiment={experiment}", "subset=winning_ticket") == full
    assert rate("optim.lr=3e-5", "optim.pruned_lr=1e-5") == 3e-5
    assert rate("optim.lr=3e-5", "optim.pruned_lr=1e-5", "subset=winning_ticket") == 1e-5, "only when asked for"


def test_ten_runs_and_more_are_scored_and_selected() -> None:
    runs = 12
    right = np.arange(runs)[:, None] < np.arange(runs + 1)  # sample i is right in i runs
    dynamics = Dynamics(np.arange(runs + 1), np.stack([right, right], axis=1))
    values = h_score(dynamics)
    assert values.tolist() == list(range(runs + 1))
    for keep, kept in (("1..S-1", list(range(1, 12))), ([2, 10], [2, 10]), ("10", [10]), ("[2,10]", [2, 10])):
        size = subset_size(values, runs=runs, keep=keep)
        pool = Pool(values, np.zeros_like(values), runs=runs, higher_is="easier", size=size, keep=keep, seed=0)
        assert by_value(pool).tolist() == kept


def test_runs_are_ordered_by_seed_and_not_by_the_names_of_their_files(tmp_path: Path) -> None:
    """As names, seed=10 comes before seed=2: the first two runs of three would be another two."""
    right = {1: [1, 0, 0], 2: [1, 1, 0], 10: [1, 1, 1]}
    for seed in (10, 1, 2):
        folder = run_folder(tmp_path, RunKey("sst2", "tiny", "full", seed), {"lr": 1e-3})
        start_run(folder)
        correct = np.array([right[seed]], dtype=bool)
        blank = np.zeros((1, 3), dtype=np.float32)
        save_record(
            folder,
            RunRecord(
                folder.key, np.arange(3), correct, blank, blank, blank, "train_pass", "data", folder.settings_hash
            ),
        )
        finish_run(folder, {})
        add_run(tmp_path, "s", folder, "scoring", (10, 2, 1))
    names = sorted(path.name for path in (tmp_path / "studies/s/runs").iterdir())
    assert [json.loads((tmp_path / "studies/s/runs" / name).read_text())["key"]["seed"] for name in names] == [1, 10, 2]
    score = ScoreSpec("h_score", h_score, "easier")
    two, three = (load_scores(score_study(tmp_path, "s", replace(score, runs=runs))) for runs in (2, None))
    assert (two.seeds, two.values.tolist()) == ((1, 2), [2, 1, 0])
    assert (three.seeds, three.values.tolist()) == ((1, 2, 10), [3, 2, 1])


def test_ids_are_rows_as_they_came_where_rows_without_a_label_were_dropped(compose_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    table = pa.table(
        {"sentence": [f"a film {i}" for i in range(12)], "label": [-1, 0, 1, -1, 0, 1, 1, 0, -1, 1, 0, -1]}
    )
    spec = compose_run()
    task = replace(
        spec.task, data_dir=None, generate=lambda split: table, splits={"train": "train", "validation": "train"}
    )
    data = load_samples(replace(spec, task=task), root=tmp_path)
    for split in (data.train, data.evaluation["validation"]):
        assert split["sample_id"].to_pylist() == [1, 2, 4, 5, 6, 7, 9, 10]
        assert split["sentence"].to_pylist() == [f"a film {i}" for i in split["sample_id"].to_pylist()]
    squad = {"train": squad_rows(15, 0), "validation": squad_rows(6, 1)}
    windows = TaskSpec(
        "squad", ExtractiveQA(unit="window", stride=8), generate=squad.__getitem__, text=("question", "context"),
        label="answers", splits={name: name for name in squad},
    )  # fmt: skip
    cut = load_samples(replace(spec, task=windows, data=replace(spec.data, max_length=48)), root=tmp_path)
    assert sorted(set(row_of(cut.train["sample_id"].to_numpy()).tolist())) == labelled(15)
    contexts = squad["train"]["context"].to_pylist()
    assert cut.train["context"].to_pylist() == [contexts[row] for row in cut.train["row"].to_pylist()]
