"""A sweep as jobs of a real SLURM: the same tables as the basic launcher's, whatever happens to the jobs.

python -m pytest -m slurm tests/cluster      (a requeue alone waits 2 minutes)
"""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from hprune.storage.lock import locked
from tests.sweeps import contents, ended, left_over, starts, sweep, working

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm")]

LAUNCHER = ("hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.timeout_min=30")
CHECKPOINTS = "trainer.checkpoint_minutes=0"


@pytest.fixture(scope="module")
def options(tiny: list[str]) -> list[str]:
    """Runs that are long enough to be met at work."""
    return [*(option for option in tiny if not option.startswith("trainer.max_epochs")), "trainer.max_epochs=10",
            "study=s", CHECKPOINTS]  # fmt: skip


@pytest.fixture(scope="module")
def basic(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The tables of seeds 1 and 2 by the basic launcher."""
    root = tmp_path_factory.mktemp("basic")
    with sweep(*options, "seed=1,2", f"paths.root={root}") as process:
        ended(process, code=0)
    return contents(root)


def job_of(process: psutil.Process) -> str:
    """The job of SLURM that a process belongs to; of an array, whose number alone would mean all of its jobs."""
    told = process.environ()
    if "SLURM_ARRAY_JOB_ID" in told:
        return f"{told['SLURM_ARRAY_JOB_ID']}_{told['SLURM_ARRAY_TASK_ID']}"
    return told["SLURM_JOB_ID"]


def test_jobs_give_the_same_tables(options: list[str], basic: dict[str, Any], tmp_path: Path) -> None:
    with sweep(*options, *LAUNCHER, "seed=1,2", f"paths.root={tmp_path}") as process:
        told, _ = ended(process, code=0)
    assert told == {"#0 seed=1": "done", "#1 seed=2": "done"}
    assert contents(tmp_path) == basic


def test_one_killed_one_wrong_and_the_same_command_again(
    options: list[str], basic: dict[str, Any], tmp_path: Path
) -> None:
    command = [*options, *LAUNCHER, f"paths.root={tmp_path}"]
    with sweep(*command, "seed=1,-3,2") as process:
        working(tmp_path, 2).send_signal(signal.SIGKILL)
        told, said = ended(process, code=1)
    assert told["#0 seed=1"] == "done"
    assert told["#1 seed=-3"].startswith("failed seed must be a whole number from 0")
    assert told["#2 seed=2"].startswith("failed its process was ended")
    assert "#2 ended without a result (job" in said
    with sweep(*command, "seed=1,2") as process:
        told, _ = ended(process, code=0)
    assert told == {"#0 seed=1": "skipped", "#1 seed=2": "resumed"}
    assert contents(tmp_path) == basic
    assert not left_over(tmp_path)


def test_pre_emption_requeues_by_itself(options: list[str], basic: dict[str, Any], tmp_path: Path) -> None:
    """Seed 1 gets the signal that asks it to leave, seed 2 is requeued by SLURM."""
    with sweep(*options, *LAUNCHER, "seed=1,2", f"paths.root={tmp_path}") as process:
        first, second = job_of(working(tmp_path, 1)), job_of(working(tmp_path, 2))
        subprocess.run(["scancel", "--signal=USR2", first], check=True, timeout=60)
        subprocess.run(["scontrol", "requeue", second], check=True, timeout=60)
        told, _ = ended(process, code=0)
    assert told == {"#0 seed=1": "resumed", "#1 seed=2": "resumed"}
    assert contents(tmp_path) == basic
    assert starts(tmp_path) == [1, 1]
    assert not left_over(tmp_path)


def test_a_time_limit_requeues_by_itself(options: list[str], tmp_path: Path) -> None:
    """The job is given less time when it is at work, so that the limit meets it there, and more when it waits."""
    longer = [*options, "trainer.max_epochs=200", "seed=1"]
    with (
        sweep(*longer, *LAUNCHER, f"paths.root={tmp_path}/jobs") as jobs,
        sweep(*longer, f"paths.root={tmp_path}/basic") as basic,
    ):
        process = working(tmp_path / "jobs", 1)
        job = job_of(process)
        set_limit(job, minutes=2)
        process.wait(timeout=240)
        while not state_of(job).startswith("PENDING"):
            time.sleep(1)
        set_limit(job, minutes=30)
        told, _ = ended(jobs, code=0)
        ended(basic, code=0)
    assert list(told.values()) == ["resumed"]
    assert contents(tmp_path / "jobs") == contents(tmp_path / "basic")
    assert starts(tmp_path / "jobs") == [1]


def set_limit(job: str, *, minutes: int) -> None:
    subprocess.run(["scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}"], check=True, timeout=60)


def state_of(job: str) -> str:
    shown = ["squeue", "--noheader", "--format=%T", "--jobs", job]
    return subprocess.run(shown, check=True, timeout=60, capture_output=True, text=True).stdout.strip()


def test_one_run_of_two_tasks(options: list[str], tmp_path: Path) -> None:
    """If one is killed, or fails, the job ends; the run equals the one whose two processes hprune starts itself."""
    command = [*options, "trainer=ddp", "trainer.devices=2", "seed=1"]
    jobs = [*command, *LAUNCHER, "hydra.launcher.tasks_per_node=2", f"paths.root={tmp_path}/jobs"]
    with sweep(*jobs) as process:
        working(tmp_path / "jobs", 1).send_signal(signal.SIGKILL)
        ended(process, code=1)
    (folder,) = (tmp_path / "jobs").glob("runs/*/*/*/seed=1")
    there = {file.name: file.read_bytes() for file in folder.glob("[!.]*")}
    with locked(folder), sweep(*jobs) as process:  # one task refuses, which the other would wait for
        _, said = ended(process, code=1)
    assert "is being worked on by process" in " ".join(said.split())
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == there
    with sweep(*jobs) as process:
        told, _ = ended(process, code=0)
    assert list(told.values()) == ["resumed"]
    with sweep(*command, f"paths.root={tmp_path}/basic") as process:
        ended(process, code=0)
    assert contents(tmp_path / "jobs") == contents(tmp_path / "basic")
