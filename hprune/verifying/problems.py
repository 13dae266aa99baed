"""What does not fit: a file, and one line that names what is wrong with it and the way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hprune.storage.files import one_line


@dataclass(frozen=True)
class Problem:
    """One thing that does not fit."""

    path: Path
    message: str


@contextmanager
def noting(found: list[Problem], path: Path) -> Iterator[None]:
    """Note what a reader refuses in the block as a problem of a file, and go on behind it."""
    try:
        yield
    except (ValueError, OSError) as error:
        found.append(Problem(path, one_line(error)))
