"""Places that a user or a file names: local paths only, and never outside of where they belong."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any


def local_path(text: Any, key: str) -> Path:
    """The path that a key of the config names; `file:///folder/x` is `/folder/x`, `~` is the home folder.

    Args:
        text: a path, or a URL of the scheme `file`, without any decoding, as fsspec reads it.
        key: what is said of it in a message.

    Raises:
        ValueError: if it is no text, is empty, or lies in a storage that is not a file system of this machine.

    Example:
        >>> str(local_path("file:///data/train.csv", "task.train_file"))
        '/data/train.csv'
    """
    if not isinstance(text, (str, Path)) or not str(text):
        raise ValueError(f"{key} must be a path, got {text!r}")
    text = str(text)
    if not text.isprintable():
        raise ValueError(f"{key} must be a path without control characters, got {text!r}")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)(://|::)", text)
    if scheme is None:
        return Path(os.path.expanduser(text))
    path = re.sub(r"^file://(localhost)?(?=/)", "", text, flags=re.IGNORECASE)
    if path == text:
        raise ValueError(
            f"{key}={text} is not a path on this machine: files are put in place by renaming them, "
            f"are locked and are mapped into memory, which {scheme[1]} does not offer. "
            "Use a local or mounted folder (/mnt/..., file:///...); data and models can be downloaded first"
        )
    return Path(path)


def writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which need not be there yet."""
    there = nearest(folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def nearest(path: Path) -> Path:
    """The path, or the first of the folders above it that is there."""
    return next((place for place in (path, *path.absolute().parents) if place.exists()), Path("/"))


def below(folder: Path, name: str) -> Path:
    """The file or folder `name` in `folder`, which links must not lead out of.

    Raises:
        ValueError: if they do; the message names both ends.
    """
    path = folder / name
    if not is_below(path, folder):
        there = os.path.realpath(path)
        raise ValueError(f"{path} leads out of its folder, to {there}; put a copy there instead of a link")
    return path


def is_below(path: Path, folder: Path) -> bool:
    """Whether a path lies in a folder when every link is followed; the folder may be a link itself."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


_results: dict[Path, tuple[Path, ...]] = {}
"""The roots that this process writes results under, as they are written, and where links may lead besides."""


def keep_below(root: Path, *besides: Path) -> Path:
    """From now on, refuse to write through a link that leads from below `root` out of it; the same root.

    What writes knows a file or a folder, some of it is a library's, and a received root may hold any link: so the place
    is known once a process, and the few functions that write check theirs against it (`check_stays`).

    Args:
        root: where results lie; it may be a link itself.
        besides: folders that links below it may lead to.
    """
    _results.setdefault(Path(os.path.abspath(root)), besides)
    return root


def check_stays(path: Path) -> None:
    """Refuse to write to a place below a root of results if links lead from there out of the root.

    Raises:
        ValueError: naming both ends, and the way out.
    """
    written = Path(os.path.abspath(path))
    roots = [root for root in _results if written.is_relative_to(root)]
    if not roots:
        return
    root = max(roots, key=lambda one: len(one.parts))
    if not any(is_below(written, place) for place in (root, *_results[root])):
        raise ValueError(
            f"{path} leads out of {root}, to {os.path.realpath(written)}: results are written below paths.root only; "
            "remove the link or put a copy there. To keep all results elsewhere let paths.root name that place"
        )


def check_links(folder: Path) -> None:
    """Refuse to work in a folder below a root of results if a link in it, or on the way to it, leads out of the root.

    Raises:
        ValueError: as in `check_stays`.
    """
    check_stays(folder)
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if os.path.islink(path := os.path.join(place, name)):
                check_stays(Path(path))
