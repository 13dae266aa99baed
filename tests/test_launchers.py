"""A sweep by other launchers: the same records, and a job that is killed costs that job alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from hprune import launcher as launcher_module
from tests.conftest import ROOT
from tests.sweeps import left_over, tables

Run = Callable[..., tuple[int, str, str]]


def test_submitit_gives_the_same_records_and_survives_a_kill(tiny: list[str], tmp_path: Path, run_command: Run) -> None:
    options = [*tiny, "study=s", "seed=1,2,3", "trainer.checkpoint_minutes=0"]
    assert run_command("train", *options, f"paths.root={tmp_path}/basic", "-m")[0] == 0
    jobs = [*options, f"paths.root={tmp_path}/jobs", "hydra/launcher=submitit_local", "hydra.launcher.at_once=2", "-m"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hprune.train", *jobs], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    kill_job(tmp_path / "jobs", seed=2, within=psutil.Process(process.pid))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1, err
    told = [line.split() for line in out.splitlines() if line.startswith("#")]
    assert [(line[1], line[2]) for line in told] == [("seed=1", "done"), ("seed=2", "failed"), ("seed=3", "done")]
    assert "its process was ended before it could say anything" in " ".join(out.split())
    assert "Traceback" not in err
    assert run_command("train", *options, f"paths.root={tmp_path}/jobs", "-m")[0] == 0
    assert tables(tmp_path / "jobs") == tables(tmp_path / "basic")
    assert not left_over(tmp_path / "jobs")


def kill_job(root: Path, *, seed: int, within: psutil.Process) -> None:
    """kill -9 of the process that has written a checkpoint of this seed."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        for lock in root.glob(f"runs/*/*/*/seed={seed}/.lock"):
            if not (lock.parent / "resume.ckpt").exists():
                continue
            for child in within.children(recursive=True):
                if any(Path(file.path) == lock for file in child.open_files()):
                    os.kill(child.pid, signal.SIGKILL)
                    return
        time.sleep(0.02)
    raise AssertionError("no job came so far")


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
