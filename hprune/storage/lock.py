"""One process at a time works in a folder: a lock that its owner's end releases, and a mark of who the owner is."""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from hprune.storage.files import CLAIMED, PLACE, one_line
from hprune.storage.places import check_links

LOCK, OWNER, HALF_WRITTEN = ".lock", ".owner.json", ".*.tmp"
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
"""What flock says where a file system has no locks, or its server does not grant any."""
POLL = 0.1
"""Seconds between looks at an owner whose lock does not keep others out."""
TELL_AFTER = 3.0
"""Seconds that a command waits without a word."""

log = logging.getLogger(__name__)


class AtWorkError(OSError):
    """Another process works in the folder; the message names it, its host and since when."""


class LostFolderError(OSError):
    """The folder is no longer the one that this process claimed; nothing may be written there any more."""


@dataclass(frozen=True)
class Claim:
    """That this process works in a folder: its token stands in the folder's owner file for as long as that is so."""

    folder: Path
    token: str
    """Empty where the disk was too full to write it down: the claim then rests on the lock alone."""

    def held(self) -> bool:
        """Whether the folder is still there and ours: not removed, replaced, or taken over."""
        if not self.token:
            return self.folder.is_dir()
        try:
            return self.token in (self.folder / OWNER).read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return False

    def check(self) -> None:
        """Refuse to go on in a folder that is no longer ours.

        Raises:
            LostFolderError: if it was removed or replaced, or another process took it over.
        """
        if self.held():
            CLAIMED.add(self.folder)  # in each process that works on the run
            return
        if "token" in (other := _read(self.folder / OWNER)):
            raise LostFolderError(
                f"{self.folder} was taken over by {_named(other)}, so this process stops and changes nothing there: "
                "the other one goes on. A lock (flock) should have kept it out: the file system grants "
                "every lock, as NFS with nolock does; start a run once, or give each its own root (paths.root=FOLDER)"
            )
        raise LostFolderError(
            f"{self.folder} was removed or replaced while a run was under way there; nothing more was written to it: "
            "the same command trains the run from the start"
        )


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[Claim]:
    """Hold the lock of a folder, which is made if needed; both files are removed at the end, if they are still ours.

    The lock is the kernel's (flock), so what a killed process or another host left behind is no lock any more, and what
    it left half written is removed. Where every lock is granted, an owner on this machine that lives is as good as one.

    Args:
        folder: where only the process that holds the lock writes.
        wait: until the process that holds it has ended.

    Raises:
        AtWorkError: if another process holds it and is not waited for.
        OSError: if the folder cannot be written or locked.
        LostFolderError: if something failed in it because it was removed or replaced.
        ValueError: if links in it lead out of the root that results are written under.
    """
    check_links(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = _acquired(folder, wait=wait)
    claim = Claim(folder, _sign(folder / OWNER))
    CLAIMED.add(folder)
    try:
        for left in folder.glob(HALF_WRITTEN):
            left.unlink(missing_ok=True)
        yield claim
    except OSError:
        claim.check()  # what failed may have failed because the folder is gone
        raise
    finally:
        CLAIMED.discard(folder)
        with suppress(OSError):  # what stays there is tidied up by who works there next
            if claim.held():
                (folder / OWNER).unlink(missing_ok=True)
                (folder / LOCK).unlink(missing_ok=True)  # while it is held: who waits for it sees that it is gone
        lock.release()


def _acquired(folder: Path, *, wait: bool) -> FileLock:
    """The lock of a folder that no living process of this machine owns."""
    lock, began, told = FileLock(folder / LOCK, fallback_to_soft=False), time.monotonic(), False
    while True:
        try:
            lock.acquire(timeout=0 if not wait else -1 if told else TELL_AFTER)
            if not _lives(_read(folder / OWNER)):
                return lock
            lock.release()
        except Timeout:
            pass
        except OSError as error:
            _check_has_locks(folder, error)
            raise
        if not wait:
            raise _at_work(folder)
        if not told and time.monotonic() - began >= TELL_AFTER:
            log.warning("waiting for %s, which works in %s", _named(_read(folder / OWNER)), folder)
            told = True
        time.sleep(POLL)


def _check_has_locks(folder: Path, error: OSError) -> None:
    """Say it where what flock says means that there are none."""
    if error.errno in NO_LOCKS:
        (folder / LOCK).unlink(missing_ok=True)
        raise OSError(
            f"{folder} lies on a file system without locks (flock: {one_line(error)}), where two processes could "
            "work on one run: let results lie on another, with paths.root=FOLDER"
        ) from error


def _sign(owner: Path) -> str:
    """Write down who works here; the token of it, or nothing if the disk is full."""
    who = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "place": PLACE,
        "started": psutil.Process().create_time(),
        "token": secrets.token_hex(16),
    }
    try:
        owner.write_text(json.dumps(who), encoding="utf-8")
    except OSError:
        return ""
    return str(who["token"])


def _lives(who: dict[str, Any]) -> bool:
    """Whether an owner is a process of this machine that has not ended; a number may be given to another one later."""
    if who.get("place") != PLACE or type(who.get("pid")) is not int or type(who.get("started")) is not float:
        return False
    try:
        process = psutil.Process(who["pid"])
        same = abs(process.create_time() - who["started"]) < 1
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError, OverflowError):
        return False


def at_work(folder: Path) -> bool:
    """Whether a process works in a folder now; what a killed one left there is tidied up, if it can be."""
    if not (folder / LOCK).exists():
        return False
    if _read(folder / OWNER).get("place", PLACE) != PLACE:  # where every lock is granted, it may be at work
        return not _is_free(folder)
    try:
        with locked(folder):
            return False
    except AtWorkError:
        return True
    except (OSError, ValueError):
        return False  # who starts to work there is told


def _is_free(folder: Path) -> bool:
    """Whether the lock of a folder can be had; nothing is changed there."""
    try:
        with FileLock(folder / LOCK, timeout=0, fallback_to_soft=False):
            return True
    except Timeout:
        return False
    except OSError:
        return True  # who starts to work there is told


def is_owned(folder: Path) -> bool:
    """Whether a process works in a folder now; nothing is tidied up there, unlike in `at_work`."""
    return _lives(_read(folder / OWNER)) or ((folder / LOCK).exists() and not _is_free(folder))


def left_behind(folder: Path) -> bool:
    """Whether a process is at work in a folder, or was killed there and could not tidy up."""
    return (folder / LOCK).exists() or (folder / OWNER).exists() or any(folder.glob(HALF_WRITTEN))


def _at_work(folder: Path) -> AtWorkError:
    return AtWorkError(
        f"{folder} is being worked on by {_named(_read(folder / OWNER))}; wait until it has ended, or end it: "
        "the same command then continues"
    )


def _read(owner: Path) -> dict[str, Any]:
    """What an owner file says; nothing if there is none, or it is cut off."""
    with suppress(OSError, ValueError, RecursionError):
        who = json.loads(owner.read_text(encoding="utf-8"))
        return who if isinstance(who, dict) else {}
    return {}


def _named(who: dict[str, Any]) -> str:
    """The owner of a folder as a message names it: process, host and since when."""
    if not {"pid", "host", "since"} <= who.keys():
        return "another process, which has just begun"
    return f"process {who['pid']} on {who['host']} since {who['since']}"
