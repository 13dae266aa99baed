"""One process at a time works in a run's folder: a lock that its owner's end releases, whatever ended it."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK, OWNER = ".lock", ".owner.json"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if needed; both files are removed at the end.

    The lock is the kernel's (flock), so what a killed process or another host left behind is no lock any more.

    Raises:
        OSError: if another process holds it, naming its host and process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(folder / LOCK), folder / OWNER
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OSError(
            f"{folder} is being worked on by {_owner(owner)}; wait until it has ended, or end it: "
            "the same command then continues"
        ) from None
    try:
        who = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        owner.write_text(json.dumps(who), encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        (folder / LOCK).unlink(missing_ok=True)  # while it is held: who waits for this file sees that it is gone
        lock.release()


def _owner(file: Path) -> str:
    """Who says that it holds the lock."""
    try:
        who = json.loads(file.read_text(encoding="utf-8"))
        return f"process {who['pid']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process, which has just begun"
