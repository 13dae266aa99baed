"""A score of texts looks at no record: it needs a complete run only to know which the data are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hprune.report import samples_of_study
from hprune.reporting.frames import study_frame
from hprune.science.scores.tfidf_distance import tfidf_distance
from hprune.storage.manifests import sealed
from hprune.storage.scores import load_scores
from hprune.storage.studies import runs_of

Command = Callable[..., "tuple[int, str, str]"]


@pytest.fixture(scope="module")
def trained(tiny: list[str], tmp_path_factory: pytest.TempPathFactory, run_command: Command) -> Path:
    """A root with study `s` of one scoring run of one epoch."""
    root = tmp_path_factory.mktemp("texts")
    one = ["trainer.max_epochs=1", "scoring.seeds=[1]", "seed=1", "record=both", "study=s", f"paths.root={root}"]
    code, _, err = run_command(
        "train", *(option for option in tiny if not option.startswith(("trainer.max", "scor"))), *one
    )
    assert code == 0, err
    return root


def test_the_table_is_of_the_texts(trained: Path, corpus_dir: Path, run_command: Command) -> None:
    for ways in ([], ["score.measured=eval_pass"], ["score.runs=3"]):  # none of it matters: one table
        code, _, err = run_command("score", "study=s", "score=tfidf_distance", f"paths.root={trained}", *ways)
        assert code == 0, err
    assert "tfidf_distance of 160 texts, higher is harder: from " in err
    scores = load_scores(trained / "studies/s/scores/tfidf_distance.parquet")
    texts = pq.read_table(corpus_dir / "train.parquet")["sentence"].to_pylist()
    assert scores.values.tobytes() == tfidf_distance(texts).tobytes()
    assert (scores.seeds, scores.epochs, scores.runs) == ((), 0, 0)
    assert scores.conventions["function"] == "hprune.science.scores.tfidf_distance.tfidf_distance"


def test_a_notebook_shows_it_beside_all_scoring_runs(trained: Path, run_command: Command) -> None:
    assert run_command("score", "study=s", "score=tfidf_distance", f"paths.root={trained}")[0] == 0
    frame = study_frame(trained, "s", samples_of_study(trained, "s"), "tfidf_distance")
    (run,) = runs_of(trained, "s")
    record = pq.read_table(run.path / "record.train_pass.parquet")
    assert frame["confidence"].tolist() == record["true_prob_0"].to_pylist()
    assert (frame["variability"] == 0).all()


def test_without_a_complete_run_the_data_are_not_known(trained: Path, tmp_path: Path, run_command: Command) -> None:
    shutil.copytree(trained, tmp_path / "r")
    for run in runs_of(tmp_path / "r", "s"):
        (run.path / "run.json").unlink()
    shutil.rmtree(tmp_path / "r/studies/s/scores", ignore_errors=True)
    code, _, err = run_command("score", "study=s", "score=tfidf_distance", f"paths.root={tmp_path / 'r'}")
    assert code == 1
    assert "score tfidf_distance needs no run, but the data of study 's', and only a complete run says which" in err
    assert not (tmp_path / "r/studies/s/scores").exists()


def test_code_of_others_is_run_only_when_trusted(trained: Path, tmp_path: Path, run_command: Command) -> None:
    shutil.copytree(trained, tmp_path / "r")
    (run,) = runs_of(tmp_path / "r", "s")
    manifest = json.loads((run.path / "run.json").read_text())
    manifest["config"]["task"]["kind"]["_target_"] = "collections.OrderedDict"
    (run.path / "run.json").write_text(json.dumps(sealed(manifest)))
    (tmp_path / "r/studies/s/plan.json").unlink()  # whose task would go before the run's
    options = ("score", "study=s", "score=tfidf_distance", f"paths.root={tmp_path / 'r'}")
    code, _, err = run_command(*options)
    assert (code, "which is no task or spec of hprune's" in err) == (1, True), err
    code, _, err = run_command(*options, "trust_code=true")
    assert (code, "task.kind must be a kind of task" in err) == (1, True), err
