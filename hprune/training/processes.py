"""Processes of our own: they log as their parent does, leave Ctrl-C to it, and end when it ends."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

LogSettings = tuple[str | None, str | None, dict[str, int]]

_name = ""  # what this process is called


@contextmanager
def pool_of(number: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes; Ctrl-C in this one ends them."""
    with new_pool(number) as pool:
        try:
            yield pool
        except KeyboardInterrupt:
            end_processes()
            raise


def new_pool(number: int) -> ProcessPoolExecutor:
    """So many processes; each starts when it is needed."""
    context = multiprocessing.get_context("spawn")  # torch and tokenizers have threads, which a fork would not
    return ProcessPoolExecutor(number, mp_context=context, initializer=_start, initargs=(_log_settings(),))


def watch(pool: ProcessPoolExecutor) -> None:
    """Have the pool notice the end of every process that it has started so far.

    It watches those that it knew when it was last given work (CPython 3.11), not yet the one that started for it.
    """
    pool.submit(int)


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
def interrupts_ignored() -> Iterator[None]:
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


def _start(settings: LogSettings) -> None:
    """At the start of a process: log as its parent does, and end when the parent does, whatever ended it."""
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
