"""Every step of the long studies is a study that can be made, and later steps of one share the runs of earlier ones."""

from __future__ import annotations

import argparse
import functools
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir

from hprune.command import CONF
from hprune.composition import Composed, composed
from tests.conftest import ROOT

SCRIPT = ROOT / "benchmarks" / "long_studies.py"
MADE = runpy.run_path(str(SCRIPT))
STEPS = {step.name: step for step in MADE["STEPS"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six rows a split of every data set."""
    folder = tmp_path_factory.mktemp("data")
    one, pair = {"sentence": ["a b"] * 6, "label": [0, 1] * 3}, {"sentence1": ["a"] * 6, "sentence2": ["b"] * 6}
    question = {"text": ["a b"] * 6, "label": [0, 1] * 3}
    tables = {
        "sst2": (one, ("train",)), "sst2_sentences": (one, ("train", "validation", "test")),
        "trec": (question, ("train", "test")),
        "mrpc": ({**pair, "label": [0, 1] * 3}, ("train", "validation", "test_labelled")),
    }  # fmt: skip
    for name, (columns, splits) in tables.items():
        (folder / name).mkdir()
        for split in splits:
            pq.write_table(pa.table(columns), folder / name / f"{split}.parquet")
    return folder


@functools.cache
def study_of(name: str, data: Path) -> Composed:
    """A step as its command would compose it."""
    work = data.parent / "work"
    asked = argparse.Namespace(data=data, work=work, model=work / "model", max_samples=None)
    MADE["prepared"](data, work / "data", STEPS[name].data)
    overrides: list[Any] = MADE["_command"](STEPS[name], asked)[2:]
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        return composed(compose("study", overrides=overrides))


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_a_study_of_tickets(name: str, data: Path) -> None:
    made = study_of(name, data)
    assert made.tickets
    assert all(len(ticket.scoring) == 6 and len(ticket.comparison) >= 3 for ticket in made.tickets)
    assert made.full.task.name == {"sst2": "sst2"}.get(STEPS[name].data, STEPS[name].data)
    assert made.full.config["comparison"]["margin"] == "auto"
    assert not set(made.scoring) & set(made.comparison)


def test_later_steps_of_a_study_leave_the_runs_of_earlier_ones(data: Path) -> None:
    def named(step: str) -> set[tuple[Any, ...]]:
        runs = study_of(step, data).comparison_runs()
        return {
            (run.subset.name, run.subset.scores, run.subset.sized_by, run.trainer.budget, run.seed, run.model.pooling)
            for run in runs
        }

    order = ["all phrases, one ticket", "all phrases, a second ticket", "all phrases, six seeds a ticket"]
    one, two, six = map(named, order)
    assert one < two < six
    assert named("sentences, mean pooling, equal epochs") < named("sentences, mean pooling, equal steps")


def test_sets_that_judge_together_are_one(data: Path, tmp_path: Path) -> None:
    for name, rows in {"sst2_sentences": 12, "sst2": 12, "trec": 6, "mrpc": 12}.items():
        folder = MADE["prepared"](data, tmp_path, name)
        assert pq.read_table(folder / "validation.parquet").num_rows == rows
        assert pq.read_table(folder / "train.parquet").num_rows == 6


def test_the_steps_are_listed_and_an_unknown_one_is_refused(data: Path, tmp_path: Path) -> None:
    work = tmp_path / "my work"
    command = [sys.executable, str(SCRIPT), str(work), "--data", str(data), "--model", "model"]
    listed = subprocess.run([*command, "--list"], capture_output=True, text=True, check=True).stdout
    assert listed.startswith("| step | study | command |\n")
    assert not work.exists(), "nothing is written"
    rows = [line.strip("| ").split(" | ") for line in listed.splitlines()[2:]]
    assert [(name, study) for name, study, _ in rows] == [(step.name, step.study) for step in STEPS.values()]
    for name, _, shown in rows:
        words = shlex.split(shown)
        assert words[:3] == ["python", "-m", "hprune.study"]
        assert f"task.data_dir={work}/data/{STEPS[name].data}" in words
        assert "'" + f"task.data_dir={work}/data/{STEPS[name].data}" + "'" in shown, "quoted for a shell"
    missing = subprocess.run(command, capture_output=True, text=True)
    assert missing.returncode == 2
    assert "--model must be the folder of the model and its tokenizer, there is none at model" in missing.stderr
    assert not work.exists(), "refused before anything is written"
    refused = subprocess.run([*command, "--only", "nothing"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "--only names none of" in refused.stderr
