"""The terminal as all commands write on it: plain text in a hundred columns, tables with one rule."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH = 100
"""Columns at most, and where there is no terminal."""


class PlainConsole(Console):
    """Standard output, where no text is taken for markup, emoji or numbers to colour."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__(highlight=False, markup=False, emoji=False)
        self.width = min(self.width, width) if self.is_terminal else width

    def on_broken_pipe(self) -> None:
        """Leave it to the command, as where something else prints; rich would end the process with code 1."""
        raise BrokenPipeError


def ruled_table() -> Table:
    """A table without columns and rows, with a rule under its heads."""
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False, show_edge=False)
