"""A run that fails stops no other; a table says what became of all; the exit status tells."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from hprune.reporting.outcomes import Outcome
from hprune.storage.files import open_table
from hprune.storage.manifests import read_manifest
from hprune.sweep import _end, _start, _Sweep
from tests.sweeps import outcomes

Run = Callable[..., tuple[int, str, str]]


def test_a_sweep_tells_what_became_of_each_job(tiny: list[str], tmp_path: Path, run_command: Run) -> None:
    options = [option for option in tiny if not option.startswith("optim.lr")]
    sweep = [*options, "study=s", f"paths.root={tmp_path}", "optim.lr=1e30,5e-3", "seed=1,2", "-m"]
    code, out, err = run_command("train", *sweep)
    assert code == 1
    told = outcomes(out)
    assert [run.split(" ", 1)[0] for run in told] == ["#0", "#1", "#2", "#3"]
    assert all(told[f"#{i} optim.lr=1e+30 seed={i + 1}"].startswith("failed the loss is") for i in (0, 1))
    assert all(told[f"#{i + 2} optim.lr=0.005 seed={i + 1}"] == "done" for i in (0, 1))
    assert "2 of 4 jobs failed" in err
    assert "Traceback" not in err
    code, out, _ = run_command("train", *sweep)
    assert code == 1
    assert [what.split()[0] for what in outcomes(out).values()] == ["failed", "failed", "skipped", "skipped"]


def test_a_study_goes_on_without_a_run_that_fails(tiny: list[str], tmp_path: Path, run_command: Run) -> None:
    options = [*tiny, "study=s", f"paths.root={tmp_path}", "~arms.random_like"]
    assert run_command("train", *options[:-1], "seed=1")[0] == 0
    broken = next(tmp_path.glob("runs/*/*/*/seed=1")).with_name("seed=2")
    broken.mkdir()
    (broken / "resume.ckpt").write_bytes(b"nothing")

    code, out, err = run_command("study", *options)
    assert code == 1
    told = outcomes(out)
    assert told["scoring run, seed 1"] == "skipped"
    assert told["scoring run, seed 2"].startswith("failed")
    assert told["scoring run, seed 3"] == "done"
    assert all(what == "not started" for run, what in told.items() if run.startswith("arm"))
    assert re.search(r"missing.*2.*score\.allow_missing=true", err, re.DOTALL), err

    code, out, err = run_command("study", *options, "score.allow_missing=true")
    assert code == 1
    told = outcomes(out)
    assert sorted(what.split()[0] for what in told.values()) == ["done"] * 4 + ["failed"] + ["skipped"] * 2
    assert "1 of 7 runs failed; the same command tries them again" in err
    facts = open_table(next(tmp_path.glob("studies/s/scores/*.parquet"))).facts
    assert facts["conventions"]["missing_seeds"] == [2]
    assert "Left out, as they are not complete: full seed 2 (scoring)." in out
    assert "made without the planned runs of the seeds 2." in out

    shutil.rmtree(broken)
    code, out, err = run_command("study", *options, "study=whole")
    assert code == 0, err
    assert outcomes(out)["scoring run, seed 2"] == "done"
    assert read_manifest(broken)["resumed"] == 0


def test_a_job_that_said_nothing_has_failed(tmp_path: Path) -> None:
    """Its process was ended, or the disk was full: it only started, or what it wrote cannot be read."""
    sweep = _Sweep(tmp_path, [["a=1", f"seed={seed}"] for seed in range(1, 5)])
    (tmp_path / "outcomes").mkdir()
    (tmp_path / "outcomes/0.json").write_text('{"state": "resumed", "error": ""}')
    (tmp_path / "outcomes/1.json").write_text('{"sta')
    _start(tmp_path, 2)
    told = sweep.outcomes()
    assert [(one.run, one.state) for one in told] == [
        ("#0 seed=1", "resumed"), ("#1 seed=2", "failed"), ("#2 seed=3", "failed"), ("#3 seed=4", "not started")
    ]  # fmt: skip
    assert "its process was ended before it could say anything" in told[2].error


def test_the_first_of_several_processes_that_fails_is_the_reason(tmp_path: Path) -> None:
    """The others fail of its end."""
    for error in ("the loss is nan", "the other process is gone"):
        _start(tmp_path, 0)
        _end(tmp_path, 0, "failed", error)
    assert _Sweep(tmp_path, [["seed=1"]]).outcomes() == [Outcome("#0", "failed", "the loss is nan")]


def test_what_never_started_has_not_failed(tiny: list[str], tmp_path: Path, run_command: Run) -> None:
    """A config that does not compose has no table; where Hydra ends a sweep early, it says what was not tried."""
    options = [option for option in tiny if not option.startswith("task=")]
    code, out, err = run_command("train", *options, f"paths.root={tmp_path}", "task=sst2,nonexistent", "-m")
    assert code == 1
    assert "nonexistent" in err
    assert outcomes(out) == {}
    sweep = [*tiny, f"paths.root={tmp_path}", "seed=-1,-2,-3", "hydra.sweeper.max_batch_size=1", "-m"]
    code, out, err = run_command("train", *sweep)
    assert code == 1
    assert [what.split(" seed")[0] for what in outcomes(out).values()] == ["failed", "not started", "not started"]


def test_a_sweep_of_scores_has_a_table(tiny: list[str], tmp_path: Path, run_command: Run) -> None:
    code, out, _ = run_command("score", "study=a,b", f"paths.root={tmp_path}", "-m")
    assert code == 1
    assert all(what.startswith("failed no study") for what in outcomes(out).values())
    assert len(outcomes(out)) == 2
