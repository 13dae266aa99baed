"""One process at a time works in a run's folder: a lock that its owner's end releases, whatever ended it."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hprune.storage.places import check_links

LOCK, OWNER, HALF_WRITTEN = ".lock", ".owner.json", ".*.tmp"


class AtWorkError(OSError):
    """Another process works in the folder; the message names it, its host and since when."""


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a folder, which is made if needed; both files are removed at the end.

    The lock is the kernel's (flock), so what a killed process or another host left behind is no lock any more, and what
    it left half written is removed.

    Args:
        folder: where only the process that holds the lock writes.
        wait: until the process that holds it has ended.

    Raises:
        AtWorkError: if another process holds it and is not waited for.
        OSError: if the folder cannot be written or locked.
        ValueError: if links in it lead out of the root that results are written under.
    """
    check_links(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(folder / LOCK, fallback_to_soft=False), folder / OWNER
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        raise AtWorkError(
            f"{folder} is being worked on by {_owner(owner)}; wait until it has ended, or end it: "
            "the same command then continues"
        ) from None
    except OSError as error:
        if error.errno == errno.ENOSYS:
            raise OSError(
                f"{folder} lies on a file system without locks (flock), where two processes could work on one run: "
                "let results lie on another, with paths.root=FOLDER"
            ) from error
        raise
    try:
        who = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        with suppress(OSError):  # on a full disk: it is for people to read
            owner.write_text(json.dumps(who), encoding="utf-8")
        for left in folder.glob(HALF_WRITTEN):
            left.unlink()
        yield
    finally:
        owner.unlink(missing_ok=True)
        (folder / LOCK).unlink(missing_ok=True)  # while it is held: who waits for this file sees that it is gone
        lock.release()


def at_work(folder: Path) -> bool:
    """Whether a process works in a folder now; what a killed one left there is tidied up, if it can be."""
    if not (folder / LOCK).exists():
        return False
    try:
        with locked(folder):
            return False
    except AtWorkError:
        return True
    except (OSError, ValueError):
        return False  # who starts to work there is told


def left_behind(folder: Path) -> bool:
    """Whether a process is at work in a folder, or was killed there and could not tidy up."""
    return (folder / LOCK).exists() or (folder / OWNER).exists() or any(folder.glob(HALF_WRITTEN))


def _owner(file: Path) -> str:
    """Who says that it holds the lock."""
    try:
        who = json.loads(file.read_text(encoding="utf-8"))
        return f"process {who['pid']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process, which has just begun"
