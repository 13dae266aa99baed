"""Runs of a study one after the other, or several at once, each in a process of its own; on a GPU they share it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from joblib import cpu_count

from hprune.collect import register_run, train_run
from hprune.storage.runs import RunFolder
from hprune.storage.studies import Purpose
from hprune.tasks.spec import TaskData
from hprune.training.processes import call_me, interrupts_ignored, pool_of
from hprune.training.settings import RunSpec, accelerator_of
from hprune.training.spec import TrainerSpec
from hprune.training.units import load_samples

log = logging.getLogger(__name__)

MOST = 8
"""Runs that `auto` trains at once: each has the libraries, the data and a model in memory."""


@dataclass(frozen=True)
class Planned:
    """One run of a study."""

    label: str
    """What the log calls it, as in "3 of 21"."""
    spec: RunSpec
    purpose: Purpose


@dataclass(frozen=True)
class StudyPlace:
    """Where the runs of a study go."""

    root: Path
    study: str
    scoring_seeds: tuple[int, ...]

    def register(self, run: Planned, data: TaskData) -> RunFolder:
        """Let the study refer to a run."""
        where = {"root": self.root, "study": self.study, "scoring_seeds": self.scoring_seeds}
        return register_run(run.spec, data, purpose=run.purpose, **where)  # type: ignore[arg-type]

    def train(self, run: Planned, data: TaskData) -> None:
        """Train it, unless it is complete."""
        train_run(run.spec, data, root=self.root, study=self.study)


def at_once_of(asked: Any, trainer: TrainerSpec, *, runs: int) -> int:
    """How many runs train at the same time.

    Args:
        asked: a number, or `auto`: on a CPU as many as this process has cores for, at `trainer.threads` each, but no
            more than 8; elsewhere one.
        trainer: of the runs.
        runs: how many there are.

    Raises:
        ValueError: if it is neither.
    """
    on_cpu, threads = accelerator_of(trainer) == "cpu", trainer.threads
    if asked == "auto":
        asked = min(MOST, max(1, cpu_count() // threads)) if on_cpu and threads is not None else 1
    if type(asked) is not int or asked < 1:
        raise ValueError(f"at_once must be a whole number from 1, or auto, got {asked!r}")
    if asked > 1 and threads is None and on_cpu:
        raise ValueError(
            f"at_once={asked} on a CPU needs trainer.threads, how many each run has, as that is part of what a run is: "
            "give trainer.threads=1, or as many as there are cores for each"
        )
    return min(asked, runs)


Train = Callable[[Iterable[Planned]], Iterator[Planned]]
"""Trains runs in the order given, and yields each when it is complete."""


@contextmanager
def training(place: StudyPlace, data: TaskData, *, at_once: int) -> Iterator[Train]:
    """What trains the runs of a study. If one fails, no other starts, and those at work are finished first.

    Args:
        place: where they go.
        data: the tables of their task; a process of its own loads them again.
        at_once: how many train at the same time; with 1, in this process.

    Raises:
        OSError: if a process is ended from outside.
    """
    if at_once == 1:
        yield functools.partial(_one_by_one, place, data)
        return
    try:
        with pool_of(at_once) as pool:
            yield functools.partial(_several, place, data, pool, at_once)
    except BrokenProcessPool as error:
        raise OSError(
            f"a process that trained was ended, for lack of memory perhaps ({error}); complete runs are safe: "
            "the same command continues, and at_once=1 needs less memory"
        ) from error


def _one_by_one(place: StudyPlace, data: TaskData, runs: Iterable[Planned]) -> Iterator[Planned]:
    for run in _to_train(place, data, runs):
        place.train(run, data)
        yield run


def _several(
    place: StudyPlace, data: TaskData, pool: ProcessPoolExecutor, at_once: int, runs: Iterable[Planned]
) -> Iterator[Planned]:
    waiting, working = _to_train(place, data, runs), dict[Future[None], Planned]()
    while True:
        for run in islice(waiting, at_once - len(working)):  # none is handed out before it can start
            with interrupts_ignored():
                working[pool.submit(_train, run, place)] = run
        if not working:
            return
        for future in wait(working, return_when=FIRST_COMPLETED).done:
            if future.exception() is not None:
                _finish(future, working)
            yield working.pop(future)


def _to_train(place: StudyPlace, data: TaskData, runs: Iterable[Planned]) -> Iterator[Planned]:
    """Refer to each run, here, as one process must not read what another writes; leave out what needs no training."""
    handed_out = set()
    for run in runs:
        folder = place.register(run, data)
        if folder.path in handed_out:
            log.info("[%s] is the same run as another one, %s", run.label, folder.key)
        elif folder.complete:
            place.train(run, data)  # says so
        else:
            handed_out.add(folder.path)
            yield run


def _finish(failed: Future[None], working: dict[Future[None], Planned]) -> None:
    """Tell a failure when it happens, let the others at work come to their end, and raise it."""
    log.error("[%s] failed: %s", working.pop(failed).label, failed.exception())
    if working and not isinstance(failed.exception(), BrokenProcessPool):
        log.info("waiting for %s, which are at work", ", ".join(f"[{run.label}]" for run in working.values()))
        for future in wait(working).done:
            if future.exception() is not None:
                log.error("[%s] failed, too: %s", working[future].label, future.exception())
    failed.result()


_data: TaskData | None = None  # of the study: its runs differ in subset and seed


def _train(run: Planned, place: StudyPlace) -> None:
    """In a process of its own: load the data once, train."""
    global _data
    call_me(run.label)
    run = replace(run, spec=replace(run.spec, trainer=replace(run.spec.trainer, progress=False)))
    if _data is None:
        _data = load_samples(run.spec, root=place.root)
    place.train(run, _data)
