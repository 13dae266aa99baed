"""The terminal as all commands write on it: plain text in a hundred columns, tables with one rule."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH = 100
"""Columns at most, and where there is no terminal."""


def plain_console() -> Console:
    """Standard output, where no text is taken for markup, emoji or numbers to colour."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return console


def ruled_table() -> Table:
    """A table without columns and rows, with a rule under its heads."""
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False, show_edge=False)
