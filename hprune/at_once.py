"""Runs of a study one after the other, or several at once, each in a process of its own; on a GPU they share it."""

from __future__ import annotations

import functools
import logging
import logging.handlers
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from hprune.collect import collect_run
from hprune.storage.studies import Purpose
from hprune.tasks.spec import TaskData
from hprune.training.settings import RunSpec, accelerator_of
from hprune.training.spec import TrainerSpec
from hprune.training.units import load_samples


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

    def collect(self, run: Planned, data: TaskData) -> None:
        """Train one run, unless it is complete."""
        collect_run(
            run.spec, data, root=self.root, study=self.study, scoring_seeds=self.scoring_seeds, purpose=run.purpose
        )


def at_once_of(asked: Any, trainer: TrainerSpec, *, runs: int) -> int:
    """How many runs train at the same time.

    Args:
        asked: a number, or `auto`: on a CPU as many as it has cores for, at `trainer.threads` each; elsewhere one.
        trainer: of the runs.
        runs: how many there are.

    Raises:
        ValueError: if it is neither.
    """
    if asked == "auto":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        asked = 1 if accelerator_of(trainer) != "cpu" or trainer.threads is None else max(1, cores // trainer.threads)
    if type(asked) is not int or asked < 1:
        raise ValueError(f"at_once must be a whole number from 1, or auto, got {asked!r}")
    if asked > 1 and trainer.threads is None and accelerator_of(trainer) == "cpu":
        raise ValueError(
            f"at_once={asked} on a CPU needs trainer.threads, how many each run has, as that is part of what a run is: "
            "give trainer.threads=1, or as many as there are cores for each"
        )
    return min(asked, runs)


Train = Callable[[Iterable[Planned]], Iterator[Planned]]
"""Trains runs in the order given, and yields each when it is complete. The first failure ends it, once the others at
work are done."""


@contextmanager
def training(place: StudyPlace, data: TaskData, *, at_once: int) -> Iterator[Train]:
    """What trains the runs of a study.

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
    context = multiprocessing.get_context("spawn")  # torch and tokenizers have threads, which a fork would not
    said = context.Queue()
    listener = logging.handlers.QueueListener(said, *logging.getLogger().handlers)
    listener.start()
    try:
        with ProcessPoolExecutor(at_once, mp_context=context, initializer=_start, initargs=(said,)) as pool:
            yield functools.partial(_several, place, pool, at_once)
    except BrokenProcessPool as error:
        raise OSError(
            "a process that trained was ended from outside, for lack of memory perhaps; complete runs are safe: "
            "the same command continues, and at_once=1 needs less memory"
        ) from error
    finally:
        listener.stop()


def _one_by_one(place: StudyPlace, data: TaskData, runs: Iterable[Planned]) -> Iterator[Planned]:
    for run in runs:
        place.collect(run, data)
        yield run


def _several(place: StudyPlace, pool: Executor, at_once: int, runs: Iterable[Planned]) -> Iterator[Planned]:
    waiting, working = iter(runs), dict[Future[None], Planned]()
    while True:
        for run in islice(waiting, at_once - len(working)):  # none is handed out before it can start
            working[pool.submit(_collect, run, place)] = run
        if not working:
            return
        for future in wait(working, return_when=FIRST_COMPLETED).done:
            future.result()
            yield working.pop(future)


_running = ""
_data: TaskData | None = None


def _start(said: Any) -> None:
    """At the start of a process: log to its parent, and end when the parent does, whatever ended it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    handler = logging.handlers.QueueHandler(said)
    handler.addFilter(_named)
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _named(record: logging.LogRecord) -> bool:
    """Say which run a line is of; the lines of several come mixed."""
    record.msg, record.args = f"[{_running}] {record.getMessage()}", None
    return True


def _collect(run: Planned, place: StudyPlace) -> None:
    """In a process of its own: load the data once, train."""
    global _running, _data
    _running = run.label
    run = replace(run, spec=replace(run.spec, trainer=replace(run.spec.trainer, progress=False)))
    _data = (
        load_samples(run.spec, root=place.root) if _data is None else _data
    )  # runs of a study differ in subset and seed
    place.collect(run, _data)
