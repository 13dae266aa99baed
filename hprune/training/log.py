"""What a run says, kept beside its results, too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class _QuietFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Nothing: the disk is full, and the same line is on the screen."""


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Write what hprune says to a file as well."""
    handler = _QuietFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    ours = logging.getLogger("hprune")
    ours.addHandler(handler)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        with suppress(OSError):
            handler.close()
