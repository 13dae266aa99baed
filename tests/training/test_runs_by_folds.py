"""A scoring run by folds: every sample is judged by the one model that was not trained on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import hprune.training.run as run_module
from hprune.science.folds import fold_of
from hprune.science.records import RunKey, Subset
from hprune.storage.runs import RunFolder, finish_run, load_record, read_manifest, run_folder
from hprune.storage.scores import load_scores
from hprune.storage.studies import runs_of
from hprune.tasks.load import load_task
from hprune.training.folds import finish_folds
from hprune.training.run import fine_tune
from tests.training.test_run import Stop, tables


def trained(spec: Any, root: Path) -> RunFolder:
    return fine_tune(spec, load_task(spec.task), None, root=root)


@pytest.fixture
def spec(compose_run):  # type: ignore[no-untyped-def]
    return compose_run("data.folds=3", "trainer.max_epochs=2", "task.max_train_samples=50", "optim.warmup=0")


def test_each_sample_is_judged_by_the_model_that_never_saw_it(spec: Any, tmp_path: Path) -> None:
    data, folder = load_task(spec.task), trained(spec, tmp_path)
    record = load_record(folder.path, "out_of_fold")
    ids = data.train["sample_id"].to_numpy()
    assert record.sample_ids.tolist() == ids.tolist()
    assert record.correct.shape == (2, 50)
    assert record.data_hash == data.data_hash
    assert [path.name for path in folder.path.glob("record.*")] == ["record.out_of_fold.parquet"]
    numbers = fold_of(data.train["label"].to_numpy(), 3, seed=spec.seed)
    for number in range(3):
        inner = folder.path / f"fold={number}"
        held, kept = ids[numbers == number], pq.read_table(inner / "subset.parquet")["sample_id"].to_numpy()
        assert kept.tolist() == ids[numbers != number].tolist()
        part = load_record(inner, "out_of_fold")
        assert part.sample_ids.tolist() == held.tolist()
        assert part.true_prob.tolist() == record.true_prob[:, numbers == number].tolist()


def test_its_probabilities_are_those_of_the_last_epoch(spec: Any, tmp_path: Path) -> None:
    folder = trained(spec, tmp_path)
    record = load_record(folder.path, "out_of_fold")
    table = pq.read_table(folder.path / "predictions.out_of_fold.parquet")
    assert table["sample_id"].to_pylist() == record.sample_ids.tolist()
    probs = np.stack([table["prob_0"].to_numpy(), table["prob_1"].to_numpy()], axis=1)
    labels = table["label"].to_numpy()
    assert probs[np.arange(50), labels] == pytest.approx(record.true_prob[-1], abs=1e-5)
    manifest = read_manifest(folder.path)
    found = np.mean([read_manifest(folder.path / f"fold={k}")["metrics"]["validation"]["accuracy"] for k in range(3)])
    assert manifest["metrics"]["validation"]["accuracy"] == pytest.approx(found)
    assert manifest["metrics"]["out_of_fold"]["accuracy"] == pytest.approx(record.correct[-1].mean(), abs=0.02)
    assert manifest["cost"]["steps"] == 3 * 2 * 3  # folds, epochs, batches of 16 of 33 or 34 samples


@pytest.mark.parametrize("fold", [0, 1])
def test_one_that_stops_continues_to_the_same_bytes(spec: Any, tmp_path: Path, monkeypatch, fold: int) -> None:  # type: ignore[no-untyped-def]
    undisturbed = trained(spec, tmp_path / "undisturbed")
    build, stop = run_module._trainer, Stop(1, RuntimeError, 1)

    def stopping(spec: Any, callbacks: Any, **how: Any) -> Any:
        more = [stop] if how["root"].name == f"fold={fold}" else []
        return build(spec, [*callbacks, *more], **how)

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "_trainer", stopping)
        with pytest.raises(RuntimeError, match="stopped by the test"):
            trained(spec, tmp_path / "broken")
    continued = trained(spec, tmp_path / "broken")
    assert tables(continued) == tables(undisturbed)
    manifests = [read_manifest(folder.path) for folder in (continued, undisturbed)]
    assert manifests[0]["metrics"] == manifests[1]["metrics"]
    assert manifests[0]["epochs"] == manifests[1]["epochs"]
    assert not list(continued.path.rglob("resume.ckpt"))


@pytest.mark.parametrize(
    ("seed", "fold", "told"),
    [(2, 0, r"key\.seed \(2 there, 1 here\)"), (1, 1, r"fold \(fold=1 there, fold=0 here\)")],
)
def test_a_fold_of_another_run_is_refused(tmp_path: Path, seed: int, fold: int, told: str) -> None:
    """Its samples would be counted as those of this one, which judges them by another model."""
    key, everything = RunKey("own", "tiny", "full", 1), Subset("full", np.arange(4), "data")
    folder = run_folder(tmp_path, key, {"lr": 0.1})
    wrong = run_folder(tmp_path / "other", replace(key, seed=seed), {"lr": 0.1})
    finish_run(replace(wrong, path=made(wrong.path / f"fold={fold}")), {})
    shutil.copytree(wrong.path / f"fold={fold}", folder.path / "fold=0")
    with pytest.raises(ValueError, match=rf"fold=0 holds a fold of another run, differing in {told}.*move it away"):
        finish_folds(folder, [replace(folder, path=folder.path / "fold=0")], everything, {})
    assert not folder.complete


def made(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def test_a_study_scores_by_folds_and_trains_its_arms_whole(
    tiny: list[str], run_command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    options = [
        *tiny,
        "data.folds=2",
        f"paths.root={tmp_path}",
        "study=s",
        "arms.winning_ticket.keep=0..S",
        "~arms.random_like",
    ]
    code, _, err = run_command("study", *options)
    assert code == 0, err
    scores = load_scores(tmp_path / "studies/s/scores/h_score-out_of_fold.parquet")
    assert scores.measured == "out_of_fold"
    for run in runs_of(tmp_path, "s"):
        settings = read_manifest(run.path)["settings"]
        assert (settings["data"].get("folds"), settings["record"]["measured"]) == (
            (2, "out_of_fold") if run.purpose == "scoring" else (None, "train_pass")
        )


def test_folds_are_for_the_full_set(compose_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from tests.training.test_budget import on_a_subset

    with pytest.raises(ValueError, match=r"data\.folds=3 judges every sample, so it needs subset=full"):
        trained(on_a_subset(compose_run("data.folds=3"), 40), tmp_path)
    with pytest.raises(ValueError, match=r"data\.folds must be at least 2, got 1"):
        compose_run("data.folds=1")
