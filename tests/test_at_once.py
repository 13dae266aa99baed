"""Runs of a study at the same time: the same results, failures told, nothing hangs."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from joblib import cpu_count

from hprune.at_once import MOST, Planned, StudyPlace, at_once_of, training
from hprune.reporting.outcomes import State
from hprune.storage.lock import locked
from hprune.storage.runs import RunFolder, run_folder
from hprune.tasks.spec import TaskData
from hprune.training.cards import environments
from hprune.training.processes import Worker, workers
from hprune.training.spec import TrainerSpec
from tests.conftest import ROOT, heed_interrupts


@pytest.fixture(scope="module")
def two() -> Iterator[list[Worker]]:
    """Two processes, started once: each takes seconds to import what trains."""
    with workers([{}, {}]) as made:
        yield made


@pytest.fixture
def kept(two: list[Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what trains two at once do so in these."""
    monkeypatch.setattr("hprune.at_once.workers", lambda environments: nullcontext([*two]))


def test_runs_at_once_are_those_one_after_the_other(
    tiny: list[str],
    tmp_path: Path,
    run_command: Callable[..., tuple[int, str, str]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Every record, prediction and score is equal to the byte; an arm that is another by name is not trained twice."""
    said = {}
    for at_once in (1, 2):
        options = ["study=s", f"paths.root={tmp_path}/{at_once}", f"at_once={at_once}", "~arms.random_like"]
        options.append("+subset@arms.again=full")
        code, _, err = run_command("study", *tiny, *options)
        assert code == 0, err
        said[at_once] = err + capfd.readouterr().err  # of the other processes
    files = {at_once: sorted((tmp_path / str(at_once)).rglob("*.parquet")) for at_once in (1, 2)}
    assert len(files[1]) > 20
    for one, two in zip(files[1], files[2], strict=True):
        assert one.relative_to(tmp_path / "1") == two.relative_to(tmp_path / "2")
        assert one.read_bytes() == two.read_bytes(), one
    assert "2 at once" in said[2]
    assert "at once" not in said[1]
    for number in range(1, 10):  # each run is announced, and says for itself what becomes of it
        assert f"[{number} of 9] " in said[1]
        assert said[2].count(f"[{number} of 9] ") >= 2 or number >= 8
    code, _, err = run_command("study", *tiny, *options)  # again: nothing is left to train
    assert code == 0
    assert err.count("is complete, skipped") == 9


class Written(StudyPlace):
    """Writes when a run began and ended, in which process; seed 3 fails, seed 9 kills its process."""

    def register(self, run: Planned, data: TaskData) -> RunFolder:
        """Somewhere."""
        return run_folder(self.root / "runs", run.spec.key, {})

    def train(self, run: Planned, folder: RunFolder, data: TaskData) -> State:
        """In place of training."""
        logging.getLogger("hprune").info("this is seed %d", run.spec.seed)
        began = time.monotonic()
        time.sleep(2 if run.spec.seed == 6 else 0.5)
        if run.spec.seed == 9:
            os.kill(os.getpid(), signal.SIGKILL)
        if run.spec.seed == 3:
            raise FloatingPointError("the loss is nan")
        ended = time.monotonic()
        (self.root / f"{run.spec.seed}").write_text(f"{began} {ended} {os.getpid()} {run.spec.trainer.progress}")
        return "done"


class OneAtATime(Written):
    """In a folder that is locked meanwhile."""

    def train(self, run: Planned, folder: RunFolder, data: TaskData) -> State:
        """As real runs are."""
        with locked(folder.path):
            return super().train(run, folder, data)


def runs_of(spec: Any, *seeds: int) -> list[Planned]:
    return [Planned(f"{seed}", replace(spec, seed=seed), "scoring") for seed in seeds]


@pytest.mark.usefixtures("kept")
def test_two_train_at_a_time_and_a_failure_stops_none(
    compose_run: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither one that is told nor one that ends its process, which is replaced."""
    spec, place = compose_run(), Written(tmp_path, "s", (1,))
    with training(place, None, at_once=2) as train, caplog.at_level(logging.INFO):  # type: ignore[arg-type]
        ended = {end.run.spec.seed: end for end in train(runs_of(spec, 1, 2, 3, 9, 6, 4, 5))}
    assert {seed: end.state for seed, end in ended.items()} == {
        1: "done", 2: "done", 3: "failed", 9: "failed", 6: "done", 4: "done", 5: "done"}  # fmt: skip
    assert ended[3].error == "the loss is nan"
    assert "its process was ended, for lack of memory perhaps" in ended[9].error
    assert "[3] failed: the loss is nan" in caplog.text
    times = {int(file.name): file.read_text().split() for file in tmp_path.iterdir()}
    assert set(times) == {1, 2, 4, 5, 6}
    assert len({process for _, _, process, _ in times.values()} | {str(os.getpid())}) == 4
    assert {progress for *_, progress in times.values()} == {"False"}
    began, ended_at = ([float(times[seed][i]) for seed in (1, 2, 4, 5, 6)] for i in (0, 1))
    for moment in began:
        assert sum(a <= moment < b for a, b in zip(began, ended_at, strict=True)) <= 2


def test_one_after_the_other_a_failure_stops_none(compose_run: Callable[..., Any], tmp_path: Path) -> None:
    with training(Written(tmp_path, "s", (1,)), None, at_once=1) as train:  # type: ignore[arg-type]
        assert [end.state for end in train(runs_of(compose_run(), 3, 1, 2))] == ["failed", "done", "done"]


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("at_once", [1, 2])
def test_what_another_process_is_at_comes_last(
    at_once: int, compose_run: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is waited for until it has ended, and trained if that left it incomplete."""
    spec, place = compose_run(), OneAtATime(tmp_path, "s", (1,))
    first, *others = runs_of(spec, 1, 2, 4, 5)
    with training(place, None, at_once=at_once) as train, ExitStack() as other, caplog.at_level(logging.INFO):  # type: ignore[arg-type]
        other.enter_context(locked(place.register(first, None).path))  # type: ignore[arg-type]
        ended = []
        for end in train([first, *others]):
            ended.append(end.run.spec.seed)
            if set(ended) == {2, 4, 5}:
                other.close()
    assert ended[-1] == 1
    assert set(ended) == {1, 2, 4, 5}
    assert f"[1] {place.register(first, None).path} is being worked on by process" in caplog.text  # type: ignore[arg-type]


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("at_once", [1, 2])
def test_what_another_process_is_at_is_not_waited_for_once_there_are_enough(
    at_once: int, compose_run: Callable[..., Any], tmp_path: Path
) -> None:
    """As where scoring stops early: it never ends here."""
    place, (first, *others) = OneAtATime(tmp_path, "s", (1,)), runs_of(compose_run(), 1, 2, 4)
    ended: list[int] = []
    with training(place, None, at_once=at_once) as train, locked(place.register(first, None).path):  # type: ignore[arg-type]
        ended += [end.run.spec.seed for end in train([first, *others], lambda: (tmp_path / "4").exists())]
    assert sorted(ended) == [2, 4]


def test_a_folder_that_cannot_be_locked_is_told(
    compose_run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not waited for, even where a lock was left behind."""
    place, (run,) = OneAtATime(tmp_path, "s", (1,)), runs_of(compose_run(), 1)
    folder = place.register(run, None).path  # type: ignore[arg-type]
    folder.mkdir(parents=True)
    (folder / ".lock").touch()

    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with training(place, None, at_once=1) as train:  # type: ignore[arg-type]
        (end,) = train([run])
    assert end.state == "failed"
    assert "file system without locks" in end.error


def test_two_processes_share_the_runs_of_a_study(tiny: list[str], tmp_path: Path) -> None:
    """Started twice at the same time, a study trains each run once, and both end with the report.

    One of them trains two at once, so that each way meets the locks of the other.
    """
    command = [sys.executable, "-m", "hprune.study", *tiny, "study=s", f"paths.root={tmp_path}"]
    with ExitStack() as files:
        logs = [files.enter_context((tmp_path / f"{number}.txt").open("w+")) for number in range(2)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        both = [
            subprocess.Popen([*command, f"at_once={at_once}"], cwd=ROOT, stdout=log, stderr=log, env=environment)
            for at_once, log in zip((1, 2), logs, strict=True)
        ]
        codes = [process.wait(timeout=300) for process in both]
        said = [Path(log.name).read_text() for log in logs]
    assert codes == [0, 0], said
    runs = {path.parent for path in (tmp_path / "runs").rglob("run.json")}
    assert len(runs) >= 6
    assert sum(err.count(", trained ") for err in said) == len(runs)
    assert all("report: " in err for err in said)


@contextmanager
def endless(tiny: list[str], root: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A study of two runs at once that goes on for long, and its processes; it is at work."""
    command = [sys.executable, "-m", "hprune.study", *tiny, "study=s", f"paths.root={root}", "at_once=2"]
    study = subprocess.Popen(
        [*command, "trainer.max_epochs=1000"], cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, preexec_fn=heed_interrupts,
    )  # fmt: skip
    assert study.stderr is not None
    try:
        for line in study.stderr:
            if "of 1000: validation" in line:
                break
        yield study, Path(f"/proc/{study.pid}/task/{study.pid}/children").read_text().split()
    finally:
        study.kill()
        study.wait()


def test_processes_end_with_the_study(tiny: list[str], tmp_path: Path) -> None:
    """kill -9 of the command leaves nobody behind."""
    with endless(tiny, tmp_path) as (study, processes):
        assert len(processes) >= 2
        study.kill()
        study.communicate(timeout=60)
        assert all_end(processes)


@pytest.mark.parametrize(("sent", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_ctrl_c_and_sigterm(sent: signal.Signals, word: str, tiny: list[str], tmp_path: Path) -> None:
    """Sent to everybody at the terminal, or in the job: it ends in seconds, with one line."""
    with endless(tiny, tmp_path) as (study, processes):
        os.killpg(study.pid, sent)
        _, rest = study.communicate(timeout=30)
        assert study.returncode == 128 + sent, rest
        assert "Traceback" not in rest
        assert f"{word}; the same command continues where it stopped" in rest
        assert all_end(processes)
    assert not list(tmp_path.rglob("run.json"))


def all_end(processes: list[str]) -> bool:
    """Whether none is left within a minute."""
    deadline = time.monotonic() + 60
    while any(alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not any(alive(process) for process in processes)


def alive(process: str) -> bool:
    """Whether a process is there and not a zombie that nobody has waited for."""
    stat = Path(f"/proc/{process}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_how_many_at_once() -> None:
    cpu = TrainerSpec(accelerator="cpu", threads=1)
    cores = min(MOST, cpu_count())
    assert at_once_of("auto", cpu, runs=100) == cores
    assert at_once_of("auto", replace(cpu, threads=cores), runs=100) == 1
    assert at_once_of("auto", replace(cpu, devices=cores), runs=100) == 1
    assert at_once_of("auto", replace(cpu, threads=None), runs=100) == 1
    assert at_once_of("auto", replace(cpu, accelerator="cuda"), runs=100) == 1
    assert at_once_of(4, replace(cpu, accelerator="cuda", threads=None), runs=3) == 3
    assert at_once_of(1, replace(cpu, threads=None), runs=3) == 1
    for wrong in (0, -1, 1.5, "two", None, True):
        with pytest.raises(ValueError, match="at_once must be a whole number from 1, or auto, got"):
            at_once_of(wrong, cpu, runs=3)
    with pytest.raises(ValueError, match=r"at_once=2 on a CPU needs trainer\.threads"):
        at_once_of(2, replace(cpu, threads=None), runs=3)


def test_how_many_on_each_gpu() -> None:
    gpu, cards = TrainerSpec(accelerator="cuda"), ["0", "1", "2", "3"]
    assert at_once_of("auto", gpu, runs=100, cards=cards) == 4
    assert at_once_of(1, gpu, runs=100, per_device=2, cards=cards) == 8
    assert at_once_of("auto", gpu, runs=3, per_device=2, cards=cards) == 3
    with pytest.raises(ValueError, match=r"runs_per_device must be a whole number from 1, got 0"):
        at_once_of(1, gpu, runs=3, per_device=0, cards=cards)
    with pytest.raises(ValueError, match=r"at_once=3 and runs_per_device=2 say the same thing twice"):
        at_once_of(3, gpu, runs=3, per_device=2, cards=cards)
    with pytest.raises(ValueError, match=r"runs_per_device=2 is for runs of one GPU each, and here is none"):
        at_once_of(1, TrainerSpec(accelerator="cpu"), runs=3, per_device=2)


def test_each_process_sees_one_card() -> None:
    """From before it imports torch."""
    with workers(environments(3, ["4", "GPU-8f"])) as three:
        assert [w.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result() for w in three] == ["4", "GPU-8f", "4"]
        assert len({worker.submit(os.getpid).result() for worker in three}) == 3
