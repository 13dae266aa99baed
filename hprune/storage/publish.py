"""A file or a folder appears whole at its place, and beside it what says where it comes from; nothing old is lost.

Killed at any moment, the same command completes: what it finds is what stood there before, or what it would write.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hprune.storage.files import flush_folder, remove, remove_orphans, sha256_of_file, temporary_of, whole_file
from hprune.storage.places import check_stays


def digests_of(path: Path) -> dict[str, str]:
    """The SHA-256 of a file, or of each file of a folder, by name."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return {file.relative_to(path).as_posix(): sha256_of_file(file) for file in files}
    return {path.name: sha256_of_file(path)}


def check_replaceable(path: Path, new: Path) -> None:
    """Refuse to replace what stands at `path`, unless `new` holds the same.

    Raises:
        ValueError: naming the path.
    """
    if not path.exists():
        return
    there, here = digests_of(path), digests_of(new)
    if path.is_dir() != new.is_dir() or (there != here if path.is_dir() else [*there.values()] != [*here.values()]):
        raise ValueError(
            f"{path} exists and is not replaced, as it holds something else; choose another name, or set overwrite=true"
        )


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` for a file or a folder; rename it into place if the block succeeds.

    Raises:
        OSError: if the place cannot be written; whatever stood at `path` is untouched.
        ValueError: if it lies below a root of results, and links lead from there out of the root.
    """
    if path.suffix:
        with whole_file(path) as temporary:
            yield temporary
        return
    check_stays(path)
    temporary = temporary_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_orphans(path)
        remove(temporary)  # of a process that had this one's number
        yield temporary
        _flush(temporary)
        _exchange(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(error.errno, f"cannot write {path}: {reason}; nothing was changed there") from error
    finally:
        remove(temporary)


def recover(path: Path) -> None:
    """Put back the folder that a killed process had set aside, if the new one did not come; if it did, remove it."""
    aside = _aside(path)
    if not os.path.lexists(aside):
        return
    if not os.path.lexists(path):
        os.replace(aside, path)
    else:
        _discard(aside, path)


def _exchange(new: Path, path: Path) -> None:
    """Put a new folder in the place of what stands there, which is set aside until then."""
    aside = _aside(path)
    if os.path.lexists(path):
        os.replace(path, aside)
    try:
        os.replace(new, path)
    except OSError:
        recover(path)
        raise
    flush_folder(path.parent)
    if os.path.lexists(aside):
        _discard(aside, path)


def _discard(aside: Path, path: Path) -> None:
    """Remove a folder under a name by which nobody takes half of it for the whole."""
    half = temporary_of(path)
    remove(half)
    os.replace(aside, half)
    remove(half)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.hprune-old")


def _flush(folder: Path) -> None:
    """Flush every file of a folder to disk, and its names."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            with file.open("rb") as content:
                os.fsync(content.fileno())
    flush_folder(folder)
