"""What became of every planned run of a sweep or a study: the table at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hprune.reporting.visible import shortened

State = Literal["done", "resumed", "skipped", "failed", "not started", "not needed"]
"""Trained from the start, trained on from a checkpoint, complete before; or not complete, which may be intended."""

LONGEST_ERROR = 300


@dataclass(frozen=True)
class Outcome:
    """One planned run."""

    run: str
    state: State
    error: str = ""
    """Of a failed one: the first line."""


def told(error: BaseException) -> str:
    """What an error says, without the number of a system's error that names no file; never nothing."""
    text = error.strerror if isinstance(error, OSError) and error.strerror and not error.filename else str(error)
    return text.strip() or type(error).__name__


def first_line(error: BaseException) -> str:
    """The first line of what an error says, short enough for a table."""
    return shortened(told(error).splitlines()[0], LONGEST_ERROR)


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Print one line for each planned run, on stdout."""
    from hprune.reporting.console import PlainConsole, ruled_table  # rich: a tenth of a second

    console = PlainConsole()
    table = ruled_table()
    for head in ("run", "outcome", "error"):
        table.add_column(head, overflow="fold")
    for outcome in outcomes:
        table.add_row(shortened(outcome.run, LONGEST_ERROR), outcome.state, outcome.error)
    console.print(table)
