"""A study refers to runs, agrees in its scoring runs' settings, and says what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hprune.science.records import RunKey
from hprune.storage.lock import locked
from hprune.storage.runs import RunFolder, run_folder, start_run
from hprune.storage.studies import add_run, existing_study, planned_seeds, runs_of, studies_in, study_folder


def folder(root: Path, seed: int = 1, subset: str = "full", started: bool = True, **settings: Any) -> RunFolder:
    made = run_folder(root, RunKey("sst2", "tiny", subset, seed), {"lr": 1e-3, **settings})
    if started:
        start_run(made)
    return made


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_runs_come_back_by_key_and_purpose(tmp_path: Path) -> None:
    for seed in (10, 2):
        add_run(tmp_path, "a", folder(tmp_path, seed), "scoring", (2, 10))
    add_run(tmp_path, "a", folder(tmp_path, 101, "ticket", keep=[1]), "comparison", (2, 10))
    runs = runs_of(tmp_path, "a")
    assert [(run.key.subset, run.key.seed) for run in runs] == [("full", 2), ("full", 10), ("ticket", 101)]
    assert [run.key.seed for run in runs_of(tmp_path, "a", "scoring")] == [2, 10]
    assert [run.key.seed for run in runs_of(tmp_path, "a", "comparison")] == [101]
    assert runs[0].path == folder(tmp_path, 2).path
    assert runs[0].settings_hash == folder(tmp_path, 2).settings_hash
    assert runs[0].expected_seeds == (2, 10)


def test_saying_it_twice_changes_nothing(tmp_path: Path) -> None:
    add_run(tmp_path, "a", folder(tmp_path), "scoring", (1,))
    before = tree(tmp_path)
    add_run(tmp_path, "a", folder(tmp_path), "scoring", (1,))
    assert tree(tmp_path) == before


def test_studies_share_runs(tmp_path: Path) -> None:
    for study in ("b", "a"):
        add_run(tmp_path, study, folder(tmp_path), "scoring", (1,))
    assert runs_of(tmp_path, "a") == runs_of(tmp_path, "b")
    assert studies_in(tmp_path) == ["a", "b"]


def test_scoring_runs_of_other_settings_are_refused(tmp_path: Path) -> None:
    bound = folder(tmp_path, 1, started=True)
    add_run(tmp_path, "a", bound, "scoring", (1, 2))
    (bound.path / "resume.ckpt").write_bytes(b"an epoch")
    before = tree(tmp_path)
    other = folder(tmp_path, 2, lr=5e-5, started=False)
    differing = r"lr \(0.001 there, 5e-05 here\)"
    with pytest.raises(ValueError, match=rf"'a' already scores .*seed=1\), differing in {differing}; .*study=NAME"):
        add_run(tmp_path, "a", other, "scoring", (1, 2))
    assert tree(tmp_path) == before
    add_run(tmp_path, "b", other, "scoring", (1, 2))
    add_run(tmp_path, "a", other, "comparison", (1, 2))  # an arm may be of other settings
    add_run(tmp_path, "a", folder(tmp_path, 2, started=False), "scoring", (1, 2))
    assert [run.key.seed for run in runs_of(tmp_path, "a", "scoring")] == [1, 2]


@pytest.mark.parametrize("started", [True, False])
def test_a_try_that_left_nothing_does_not_bind(tmp_path: Path, started: bool) -> None:
    add_run(tmp_path, "a", folder(tmp_path, 1, started=started), "scoring", (1, 2))
    other = folder(tmp_path, 1, lr=5e-5, started=False)
    add_run(tmp_path, "a", other, "scoring", (1, 2))
    assert [run.path for run in runs_of(tmp_path, "a", "scoring")] == [other.path]


def test_a_try_that_is_at_work_binds(tmp_path: Path) -> None:
    """It has no checkpoint yet, but will have a result."""
    at_work = folder(tmp_path, 1, started=True)
    add_run(tmp_path, "a", at_work, "scoring", (1, 2))
    with locked(at_work.path), pytest.raises(ValueError, match="'a' already scores"):
        add_run(tmp_path, "a", folder(tmp_path, 2, lr=5e-5, started=False), "scoring", (1, 2))
    assert [run.path for run in runs_of(tmp_path, "a", "scoring")] == [at_work.path]


def test_a_run_may_score_and_compare(tmp_path: Path) -> None:
    run = folder(tmp_path, 1, started=True)
    add_run(tmp_path, "a", run, "scoring", (1, 2))
    add_run(tmp_path, "a", run, "comparison", (1, 2))
    assert [found.purpose for found in runs_of(tmp_path, "a")] == ["comparison", "scoring"]


def test_the_latest_command_plans(tmp_path: Path) -> None:
    add_run(tmp_path, "a", folder(tmp_path, 1, started=True), "scoring", (1, 2, 3))
    add_run(tmp_path, "a", folder(tmp_path, 2, started=True), "scoring", (1, 2))
    assert planned_seeds(tmp_path, "a") == [1, 2]


@pytest.mark.parametrize("name", ["a/b", "..", "../a", ".a", "", "/a", "a b"])
def test_a_study_is_one_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="study must be a plain name"):
        study_folder(tmp_path, name)
    with pytest.raises(ValueError, match="study must be a plain name"):
        add_run(tmp_path, name, folder(tmp_path), "scoring", (1,))


def test_a_study_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no study 'c' under .*; there is none yet; collect runs first"):
        existing_study(tmp_path, "c")
    for study in ("a", "b"):
        add_run(tmp_path, study, folder(tmp_path), "scoring", (1,))
    (tmp_path / "studies" / "without_runs").mkdir()
    with pytest.raises(ValueError, match=r"no study 'c' under .*; there are a, b; collect runs first"):
        existing_study(tmp_path, "c")
    assert existing_study(tmp_path, "a") == study_folder(tmp_path, "a")
