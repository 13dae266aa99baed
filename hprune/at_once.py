"""Runs of a study one after the other, or several at once, each in a process of its own; a failure stops no other."""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from joblib import cpu_count

from hprune.collect import register_run, train_run
from hprune.reporting.outcomes import State, first_line
from hprune.storage.lock import AtWorkError, at_work
from hprune.storage.runs import RunFolder
from hprune.storage.studies import Purpose
from hprune.tasks.spec import TaskData, TaskSpec
from hprune.training.cards import environments
from hprune.training.processes import Worker, call_me, workers
from hprune.training.settings import RunSpec, accelerator_of
from hprune.training.spec import TrainerSpec
from hprune.training.units import load_samples

log = logging.getLogger(__name__)

EXPECTED = (ValueError, OSError, FloatingPointError, MemoryError)
"""What goes wrong with a run for reasons that its message tells."""
WAIT = 1.0
"""Seconds between looks at runs that other processes train."""
MOST = 8
"""Runs that `auto` trains at once: each has the libraries, the data and a model in memory."""


@dataclass(frozen=True)
class Planned:
    """One run of a study."""

    label: str
    """What the log calls it, as in "3 of 21"."""
    spec: RunSpec
    purpose: Purpose
    scoring_seeds: tuple[int, ...] | None = None
    """Those that the study plans, where they are no longer those of its place."""


@dataclass(frozen=True)
class Ended:
    """What became of a run."""

    run: Planned
    state: State
    error: str = ""


@dataclass(frozen=True)
class StudyPlace:
    """Where the runs of a study go."""

    root: Path
    study: str
    scoring_seeds: tuple[int, ...]
    said: list[tuple[int, ...]] = field(default_factory=list, compare=False)
    """The scoring seeds that this command has said are planned: it says it once, and again where it stops early."""

    def register(self, run: Planned, data: TaskData) -> RunFolder:
        """Let the study refer to a run."""
        seeds = run.scoring_seeds or self.scoring_seeds
        where: dict[str, Any] = {"root": self.root, "study": self.study, "scoring_seeds": seeds}
        folder = register_run(run.spec, data, purpose=run.purpose, plans=seeds not in self.said, **where)
        self.said.append(seeds)
        return folder

    def train(self, run: Planned, folder: RunFolder, data: TaskData) -> State:
        """Train it, unless it is complete."""
        return train_run(run.spec, data, folder, root=self.root, study=self.study)


def at_once_of(
    asked: Any, trainer: TrainerSpec, *, runs: int, per_device: Any = None, cards: Sequence[str] = ()
) -> int:
    """How many runs train at the same time.

    Args:
        asked: a number, or `auto`: on a CPU as many as this process has cores for, at `trainer.threads` for each of
            `trainer.devices`, but no more than 8; on GPUs one each; elsewhere one.
        trainer: of the runs.
        runs: how many there are.
        per_device: how many each GPU hosts, in place of `asked`; None: not said.
        cards: the GPUs.

    Raises:
        ValueError: if it is neither, or both are said.
    """
    on_cpu, threads = accelerator_of(trainer) == "cpu", trainer.threads
    if per_device is not None:
        asked = _spread(asked, per_device, cards)
    if asked == "auto":
        cores = threads * trainer.devices if on_cpu and threads is not None else None
        asked = max(1, len(cards)) if cores is None else min(MOST, max(1, cpu_count() // cores))
    if type(asked) is not int or asked < 1:
        raise ValueError(f"at_once must be a whole number from 1, or auto, got {asked!r}")
    if asked > 1 and threads is None and on_cpu:
        raise ValueError(
            f"at_once={asked} on a CPU needs trainer.threads, how many each run has, as that is part of what a run is: "
            "give trainer.threads=1, or as many as there are cores for each"
        )
    return min(asked, runs)


def _spread(asked: Any, per_device: Any, cards: Sequence[str]) -> int:
    if type(per_device) is not int or per_device < 1:
        raise ValueError(f"runs_per_device must be a whole number from 1, got {per_device!r}")
    if not cards:
        raise ValueError(
            f"runs_per_device={per_device} is for runs of one GPU each, and here is none: leave it out, "
            "and say with at_once how many runs train at the same time"
        )
    if asked not in (1, "auto"):
        raise ValueError(
            f"at_once={asked} and runs_per_device={per_device} say the same thing twice: leave one of them out"
        )
    return per_device * len(cards)


class Train(Protocol):
    """Trains runs in the order given, and last those that another process is at; says of each what became of it."""

    def __call__(self, runs: Iterable[Planned], enough: Callable[[], bool] = ...) -> Iterator[Ended]:
        """Not waited for once there are enough: those that another process is at."""


def _never() -> bool:
    """All runs are needed."""
    return False


@contextmanager
def training(place: StudyPlace, data: TaskData, *, at_once: int, cards: Sequence[str] = ()) -> Iterator[Train]:
    """What trains the runs of a study. One that fails stops no other, one that another process trains comes last.

    Args:
        place: where they go.
        data: the tables of their task; a process of its own loads them again.
        at_once: how many train at the same time; with 1, in this process.
        cards: the GPUs that the processes are spread over.
    """
    if at_once == 1:
        yield functools.partial(_one_by_one, place, data)
        return
    with workers(environments(at_once, cards)) as free:
        yield functools.partial(_several, place, data, free)


def _one_by_one(
    place: StudyPlace, data: TaskData, runs: Iterable[Planned], enough: Callable[[], bool] = _never
) -> Iterator[Ended]:
    left = _Left(place, data, runs, enough)
    while (found := left.take()) != "none":
        if found is None:
            time.sleep(WAIT)
        elif isinstance(found, Ended):
            yield found
        elif (end := _ended(found[0], functools.partial(place.train, *found, data))) is not None:
            yield end
        else:
            left.put_off(*found)


def _several(
    place: StudyPlace, data: TaskData, free: list[Worker], runs: Iterable[Planned], enough: Callable[[], bool] = _never
) -> Iterator[Ended]:
    left, working = _Left(place, data, runs, enough), dict[Future[State], tuple[Planned, RunFolder, Worker]]()
    while True:
        found = left.take() if free else None  # none is taken before it can start
        if isinstance(found, Ended):
            yield found
        elif isinstance(found, tuple):
            worker = free.pop()
            working[worker.submit(_train, *found, place)] = *found, worker
        elif working:
            for future in wait(working, timeout=WAIT, return_when=FIRST_COMPLETED).done:
                run, folder, worker = working.pop(future)
                free.append(worker)
                if (end := _ended(run, future.result)) is not None:
                    yield end
                else:
                    left.put_off(run, folder)
        elif found == "none":
            return
        else:
            time.sleep(WAIT)


class _Left:
    """The runs that are left, in their order; what another process is at comes last, when that has ended.

    So studies that share runs may be under way at the same time, and share the work.
    """

    def __init__(self, place: StudyPlace, data: TaskData, runs: Iterable[Planned], enough: Callable[[], bool]) -> None:
        self.runs, self.later, self.enough = _registered(place, data, runs), list[tuple[Planned, RunFolder]](), enough

    def take(self) -> tuple[Planned, RunFolder] | Ended | Literal["none"] | None:
        """The next run to train, or what became of it already; None: later; "none" is left."""
        if (found := next(self.runs, None)) is not None:
            return found
        for at, (run, folder) in enumerate(self.later):
            if folder.complete or not at_work(folder.path):
                del self.later[at]
                return run, folder
        return None if self.later and not self.enough() else "none"

    def put_off(self, run: Planned, folder: RunFolder) -> None:
        """Another process is at it."""
        self.later.append((run, folder))


def _registered(
    place: StudyPlace, data: TaskData, runs: Iterable[Planned]
) -> Iterator[tuple[Planned, RunFolder] | Ended]:
    """Refer to each run, here, so that one process does it for all of a study; those to train, with their folders."""
    handed_out = set()
    for run in runs:
        try:
            folder = place.register(run, data)
            state = place.train(run, folder, data) if folder.complete else None  # says so
        except Exception as error:
            yield _failed(run, error)
            continue
        if folder.path in handed_out:
            log.info("[%s] is the same run as another one, %s", run.label, folder.key)
            yield Ended(run, "skipped", "the same run as another one")
            continue
        handed_out.add(folder.path)
        yield (run, folder) if state is None else Ended(run, state)


def _ended(run: Planned, result: Callable[[], State]) -> Ended | None:
    """What became of it; None if another process is at it."""
    try:
        return Ended(run, result())
    except AtWorkError as error:
        log.info("[%s] %s; it comes last", run.label, str(error).partition(";")[0])
        return None
    except Exception as error:
        return _failed(run, error)


def _failed(run: Planned, error: Exception) -> Ended:
    """Tell a failure when it happens; one that nobody foresaw by its kind, too."""
    said = first_line(error)
    if isinstance(error, BrokenProcessPool):
        said = "its process was ended, for lack of memory perhaps: the same command continues, at_once=1 needs less"
    elif not isinstance(error, EXPECTED):
        said = f"{type(error).__name__}: {said}"
    log.error("[%s] failed: %s", run.label, said, exc_info=error if os.environ.get("HYDRA_FULL_ERROR") == "1" else None)
    return Ended(run, "failed", said)


_data: tuple[TaskSpec, TaskData] | None = None  # of the study: its runs differ in subset, seed and further sets


def _train(run: Planned, folder: RunFolder, place: StudyPlace) -> State:
    """In a process of its own: load the data once, train."""
    global _data
    call_me(run.label)
    run = replace(run, spec=replace(run.spec, trainer=replace(run.spec.trainer, progress=False)))
    if _data is None or _data[0] != run.spec.task:
        _data = run.spec.task, load_samples(run.spec, root=place.root)
    return place.train(run, folder, _data[1])
