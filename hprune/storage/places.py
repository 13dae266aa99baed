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


def below(folder: Path, name: str) -> Path:
    """The file or folder `name` in `folder`, which links must not lead out of.

    Raises:
        ValueError: if they do; the message names both ends.
    """
    path = folder / name
    there, inside = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    if not there.is_relative_to(inside):
        raise ValueError(f"{path} leads out of its folder, to {there}; put a copy there instead of a link")
    return path
