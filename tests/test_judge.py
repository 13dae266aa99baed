"""A study asks a judge: of the model that it was trained from, once, and the report appears whatever comes of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import hprune.training.features as features_module
from hprune.judge import FILE, judged
from hprune.report import data_of_study
from hprune.storage.files import read_table
from hprune.storage.manifests import sealed
from hprune.stored_config import config_of_study
from hprune.training.quiet import quiet_libraries
from tests.conftest import TINY_MODEL, write_corpus
from tests.training.test_pooler import write_bert

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, run_command: Run) -> Path:
    """A folder with data, a model, and a study `s` of three scoring runs that asked the judge."""
    folder = tmp_path_factory.mktemp("place")
    for name, write in (("data", write_corpus), ("bert", write_bert)):
        (folder / name).mkdir()
        write(folder / name)
    code, _, err = run_command("study", *options(folder), "judge=true")
    assert code == 0, err
    return folder


def options(folder: Path) -> list[str]:
    return [
        "task=sst2", f"task.data_dir={folder / 'data'}", f"model.path={folder / 'bert'}", "model.name=small",
        "trainer.max_epochs=1", "trainer.threads=1", "optim.lr=1e-3", "scoring.seeds=[1,2,3]",
        "comparison.seeds=[11]", "~arms.winning_ticket", "~arms.random_like", "study=s",
        f"paths.root={folder / 'root'}",
    ]  # fmt: skip


def said(folder: Path) -> Any:
    return json.loads((folder / "root/studies/s/report.json").read_text())["judge"]


def report(run_command: Run, folder: Path, *more: str) -> tuple[str, str]:
    code, out, err = run_command("report", "study=s", f"paths.root={folder / 'root'}", *more)
    assert code == 0, err
    return out, err


@pytest.fixture
def copied(place: Path, tmp_path: Path) -> Path:
    """The results alone; data and model lie where they did, and may be read for this root, too."""
    shutil.copytree(place / "root", tmp_path / "root", symlinks=True)
    config_of_study(tmp_path / "root", "s", trust_code=True)
    return tmp_path


def test_a_study_says_what_the_judge_says(place: Path) -> None:
    found = said(place)
    assert found["samples"] == 160 == sum(row["count"] for row in found["by_h"])
    assert (found["S"], found["dimensions"], found["scores"]) == (3, 16, "h_score")
    assert "An independent judge" in (place / "root/studies/s/report.html").read_text()


def test_features_are_the_mean_states_of_the_checkpoint(place: Path) -> None:
    table, facts = read_table(place / "root/studies/s" / FILE)
    assert set(facts) == {"layout", "data_hash", "model", "max_length"}
    with quiet_libraries():
        body, tokenizer = (
            AutoModel.from_pretrained(place / "bert").eval(),
            AutoTokenizer.from_pretrained(place / "bert"),
        )
    texts = pq.read_table(place / "data/train.parquet")["sentence"].to_pylist()
    for row in (0, 1, 77, 159):
        with torch.no_grad():
            states = body(**tokenizer(texts[row], return_tensors="pt")).last_hidden_state[0]
        np.testing.assert_allclose(table["features"][row].as_py(), states.mean(dim=0), rtol=1e-3, atol=1e-5)


def test_a_report_asks_only_if_it_is_told_to(copied: Path, run_command: Run) -> None:
    report(run_command, copied)
    assert said(copied) is None
    code, _, err = run_command("report", "study=s", f"paths.root={copied / 'root'}", "judge=often")
    assert code == 1
    assert "judge must be true or false, got 'often'" in err


def test_a_second_report_needs_no_model(
    copied: Path, place: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "mean_states", None)
    out, _ = report(run_command, copied, "judge=true")
    assert said(copied) == said(place)
    assert "A judge that saw no run" in " ".join(out.split()) or not said(copied)["groups"][0]["count"]


@pytest.mark.parametrize("damage", ["bytes", "other_data", "other_shape", "not_finite", "gone"])
def test_features_that_do_not_fit_are_made_anew(copied: Path, place: Path, run_command: Run, damage: str) -> None:
    file = copied / "root/studies/s" / FILE
    table = pq.read_table(file)
    told = dict(table.schema.metadata)
    if damage == "bytes":
        file.write_bytes(file.read_bytes()[:500])
    elif damage == "gone":
        file.unlink()
    elif damage == "other_data":
        changed = told | {b"hprune": told[b"hprune"].replace(b'"data_hash": "', b'"data_hash": "0')}
        pq.write_table(table.replace_schema_metadata(changed), file)
    else:
        columns = {
            "other_shape": table["features"].combine_chunks().flatten()[:160],
            "not_finite": pa.FixedSizeListArray.from_arrays(pa.array(np.full(320, np.nan, np.float32)), 2),
        }
        other = pa.table({"sample_id": table["sample_id"], "features": columns[damage]})
        pq.write_table(other.replace_schema_metadata(told), file)
    report(run_command, copied, "judge=true")
    assert said(copied) == said(place)
    assert read_table(file)[0].equals(read_table(place / "root/studies/s" / FILE)[0])


def test_the_report_appears_without_a_judge(place: Path, copied: Path, run_command: Run) -> None:
    """The model is gone, or another by now; then the data."""
    (copied / "root/studies/s" / FILE).unlink()
    model, data = place / "bert", place / "data"

    def refused() -> str:
        told = "".join(report(run_command, copied, "judge=true"))
        assert said(copied) is None
        assert "An independent judge" not in (copied / "root/studies/s/report.html").read_text()
        (line,) = [one for one in told.splitlines() if "without a judge" in one]
        return line

    model.rename(place / "away")
    try:
        assert f"model.path={model} is not a folder" in refused()
        shutil.copytree(place / "away", model)
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 0.1}))
        assert f"the model at {model} is not the one that the study was trained from" in refused()
        shutil.rmtree(model)
    finally:
        (place / "away").rename(model)
    data.rename(place / "away")
    try:
        assert "the train split of the study is not at hand, or is another by now" in refused()
    finally:
        (place / "away").rename(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": {"kind": {"_target_": "hprune.tasks.extractive_qa.ExtractiveQA"}}}, "not for ExtractiveQA"),
        ({"model": {"path": None, "config": {"model_type": "bert"}}}, "model 'small' is not pre-trained"),
    ],
)
def test_what_cannot_be_judged_is_said(
    copied: Path, change: dict[str, Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = data_of_study(copied / "root", "s")
    (copied / "root/studies/s/plan.json").unlink()  # whose task and model would go before the run's
    for file in (copied / "root/runs").rglob("run.json"):
        manifest = json.loads(file.read_text())
        for part, values in change.items():
            manifest["config"][part] |= values
        file.write_text(json.dumps(sealed(manifest)))
    assert judged(copied / "root", "s", data) is None
    assert message in caplog.text


def test_a_study_without_scores_is_told_so(copied: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(copied / "root/studies/s/scores")
    assert judged(copied / "root", "s", data_of_study(copied / "root", "s")) is None
    assert "the study has no table of H: make one with hprune.score" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, ImportError, KeyError])
def test_the_report_appears_whatever_happens_to_the_judge(
    copied: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise error("out of memory\nat all")

    (copied / "root/studies/s" / FILE).unlink()
    monkeypatch.setattr(features_module, "mean_states", broken)
    _, err = report(run_command, copied, "judge=true")
    (line,) = [one for one in err.splitlines() if "without a judge" in one]
    assert "out of memory" in line
    assert said(copied) is None


def test_the_report_appears_where_a_stored_config_lacks_a_key(copied: Path, run_command: Run) -> None:
    for file in (copied / "root/runs").rglob("run.json"):
        manifest = json.loads(file.read_text())
        del manifest["config"]["optim"]
        file.write_text(json.dumps(sealed(manifest)))
    _, err = report(run_command, copied, "judge=true")
    assert len([one for one in err.splitlines() if "without a judge" in one]) == 1
    assert said(copied) is None


def test_the_model_is_that_of_the_scoring_runs(copied: Path, place: Path, run_command: Run) -> None:
    """A comparison run of another model stands before them in every order."""
    other = ["model=tiny_roberta", "model.name=another", *TINY_MODEL, "model.config.intermediate_size=32", "seed=0"]
    given = [one for one in options(place) if not one.startswith(("model.", "~arms", "paths.root"))]
    code, _, err = run_command("train", *given, *other, f"paths.root={copied / 'root'}")
    assert code == 0, err
    (copied / "root/studies/s" / FILE).unlink()
    report(run_command, copied, "judge=true")
    assert said(copied) == said(place)
