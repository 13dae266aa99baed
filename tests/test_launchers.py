"""A sweep by other launchers: the same records, and a job that is killed costs that job alone."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hprune import launcher as launcher_module
from hydra_plugins.hprune_launchers.launchers import LocalLauncher, SlurmLauncher
from tests.sweeps import contents, ended, left_over, sweep, working

Run = Callable[..., tuple[int, str, str]]


def test_submitit_gives_the_same_records_and_survives_a_kill(tiny: list[str], tmp_path: Path, run_command: Run) -> None:
    options = [*tiny, "study=s", "seed=1,2,3", "trainer.checkpoint_minutes=0"]
    assert run_command("train", *options, f"paths.root={tmp_path}/basic", "-m")[0] == 0
    jobs = [*options, f"paths.root={tmp_path}/jobs", "hydra/launcher=submitit_local", "hydra.launcher.at_once=2"]
    with sweep(*jobs) as process:
        working(tmp_path / "jobs", 2).send_signal(signal.SIGKILL)
        told, said = ended(process, code=1)
    assert (told["#0 seed=1"], told["#2 seed=3"]) == ("done", "done")
    assert told["#1 seed=2"].startswith("failed its process was ended before it could say anything")
    assert "#1 ended without a result" in said
    assert run_command("train", *options, f"paths.root={tmp_path}/jobs", "-m")[0] == 0
    assert contents(tmp_path / "jobs") == contents(tmp_path / "basic")
    assert not left_over(tmp_path / "jobs")


class Handed:
    """A job in the hands of what starts jobs, which has ended at once."""

    def __init__(self, number: int) -> None:
        self.job_id, self.paths, self.cancelled = number, SimpleNamespace(stderr=f"{number}.err"), False

    def done(self) -> bool:
        """Yes."""
        return True

    def cancel(self) -> None:
        """Say that it was."""
        self.cancelled = True


def test_a_disk_that_is_full_lets_jobs_end_that_are_at_work() -> None:
    started: list[Handed] = []

    def submit(*_: Any) -> Handed:
        if len(started) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        started.append(Handed(len(started)))
        return started[-1]

    launcher = LocalLauncher.__new__(LocalLauncher)
    launcher.at_once = 2
    with pytest.raises(OSError, match="No space left"):
        launcher._submit(SimpleNamespace(submit=submit), [([], "", number, "", None) for number in range(4)])
    assert [job.cancelled for job in started] == [False, False]


def test_a_cluster_without_accounting_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    executor = SimpleNamespace(map_array=lambda *_: [Handed(7)])
    jobs = SlurmLauncher.__new__(SlurmLauncher)._submit(executor, [([], "", 0, "", None)])
    assert [job.job_id for job in jobs] == [7]
    assert "sacct does not work here" in caplog.text


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        ("joblib", "loses the whole sweep if one of its processes is ended: use hydra/launcher=submitit_local"),
        ("submitit_local", 'hydra/launcher=submitit_local needs an extra package: pip install "hprune[submitit]"'),
        ("submitit_slurm", 'hydra/launcher=submitit_slurm needs an extra package: pip install "hprune[submitit]"'),
        ("ray", 'hydra/launcher=ray needs an extra package: pip install "hprune[ray]"'),
    ],
)
def test_a_launcher_that_is_missing_is_named(
    launcher: str, message: str, tiny: list[str], run_command: Run, monkeypatch: Any
) -> None:
    monkeypatch.setattr(launcher_module, "installed", lambda extra: False)
    code, _, err = run_command("train", *tiny, "seed=1,2", f"hydra/launcher={launcher}", "-m")
    assert code == 1
    assert message in err


def test_jobs_at_once_are_a_number(tiny: list[str], tmp_path: Path, run_command: Run) -> None:
    sweep = [*tiny, f"paths.root={tmp_path}", "seed=1,2", "hydra/launcher=submitit_local", "hydra.launcher.at_once=0"]
    code, out, err = run_command("train", *sweep, "-m")
    assert code == 1
    assert "the jobs cannot be submitted: hydra.launcher.at_once must be at least 1, got 0" in err
    assert "not started" not in out


def test_slurm_needs_a_cluster(tiny: list[str], run_command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    code, _, err = run_command("train", *tiny, "seed=1,2", "hydra/launcher=submitit_slurm", "-m")
    assert code == 1
    assert "submits jobs, but here are no srun and sbatch: start it on a machine of the cluster" in err
