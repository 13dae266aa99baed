"""Processes of our own: they log as their parent does, leave Ctrl-C to it, and end when it ends."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

LogSettings = tuple[str | None, str | None, dict[str, int]]
Result = TypeVar("Result")

_name = ""  # what this process is called


class Worker:
    """A process that does one thing after the other; one that was ended is replaced by the next thing to do.

    Args:
        environment: variables that it has besides those of this process, before it imports anything that reads them.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self.pool = self._pool()

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Let it call a function. The future's failure is a BrokenProcessPool if the process is ended."""
        with _interrupts_ignored():
            try:
                return self.pool.submit(_here, Path.cwd(), function, *arguments)
            except BrokenProcessPool:
                self.pool = self._pool()
                return self.pool.submit(_here, Path.cwd(), function, *arguments)

    def _pool(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # torch and tokenizers have threads, which a fork would not
        settings = _log_settings(), self.environment
        return ProcessPoolExecutor(1, mp_context=context, initializer=_start, initargs=settings)


def _here(folder: Path, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call it in the folder where its parent is, as a new process starts where its parent did."""
    os.chdir(folder)
    return function(*arguments)


@contextmanager
def workers(environments: Sequence[Mapping[str, str]]) -> Iterator[list[Worker]]:
    """One process for each environment; Ctrl-C in this one ends them."""
    made = [Worker(environment) for environment in environments]
    try:
        yield made
    except KeyboardInterrupt:
        end_processes()
        raise
    finally:
        for worker in made:
            worker.pool.shutdown()


def end_processes() -> None:
    """End the processes that this one started; they may wait for each other and hear nothing else."""
    for process in multiprocessing.active_children():
        process.kill()


def call_me(name: str) -> None:
    """In a process of a pool: put a name before its lines, as the lines of several come mixed."""
    global _name
    _name = name


def my_name() -> str:
    """What this process is called; nothing, if it was not started by another."""
    return _name


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A process that starts here inherits that: Ctrl-C is for this one to handle."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _log_settings() -> LogSettings:
    """How this process logs: the form of its first handler, and the levels that were set."""
    root = logging.getLogger()
    named = {name: found for name, found in root.manager.loggerDict.items() if isinstance(found, logging.Logger)}
    levels = {name: found.level for name, found in {"": root, **named}.items() if found.level}
    form = next((handler.formatter for handler in root.handlers if handler.formatter), logging.Formatter())
    return form._fmt, form.datefmt, levels


def _start(settings: LogSettings, environment: Mapping[str, str]) -> None:
    """At the start of a process: log as its parent does, and end when the parent does, whatever ended it."""
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    handler = logging.StreamHandler(sys.stderr)
    form, dates, levels = settings
    handler.setFormatter(logging.Formatter(form, dates))
    handler.addFilter(_named)
    logging.getLogger().addHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _named(record: logging.LogRecord) -> bool:
    """Say whose line it is."""
    if _name:
        record.msg, record.args = f"[{_name}] {record.getMessage()}", None
    return True
