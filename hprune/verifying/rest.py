"""What processes left behind, and the caches: nothing that a result rests on, but for the tokens."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from hprune.storage import shapes
from hprune.storage.files import PLACE, read_json
from hprune.storage.lock import LOCK, OWNER
from hprune.verifying.problems import Problem, noting

TOKENS = {"arrays": shapes.list_of(shapes.name)}


def leftovers(folder: Path) -> Iterator[Problem]:
    """Temporary files and locks below a folder whose process is gone, and checkpoints beside complete runs."""
    for file in sorted(folder.rglob(".*")):
        if not file.is_file() or _at_work(file):
            continue
        if file.name.endswith(".tmp"):
            yield Problem(file, "was left half written by a process that is gone: remove it")
        elif file.name in (LOCK, OWNER) or file.name.endswith(".lock"):
            yield Problem(file, "was left by a process that is gone: the next command there, or you, may remove it")
    for checkpoint in sorted(folder.rglob("resume.ckpt")):
        if (checkpoint.parent / "run.json").exists() and not _at_work(checkpoint):
            yield Problem(checkpoint, "stands beside a complete run, which needs it no more: remove it")


def _at_work(file: Path) -> bool:
    """Whether the process that wrote a file is there: by the number in its name, or by the owner of its folder."""
    parts = file.name.split(".")
    if parts[-1] == "tmp" and len(parts) > 3 and parts[-3] == PLACE and parts[-2].isdecimal():
        return psutil.pid_exists(int(parts[-2]))
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        who = json.loads((file.parent / OWNER).read_text(encoding="utf-8"))
        return psutil.pid_exists(int(who["pid"]))
    return False


def problems_of_tokens(folder: Path) -> list[Problem]:
    """What does not fit in a folder of the cache of tokens, which lists its arrays and, since 0.2, their digests."""
    found: list[Problem] = []
    facts = folder / "facts.json"
    if not facts.exists():
        return found  # it is being made, or was not finished, and nobody takes it for whole
    with noting(found, facts):
        told = read_json(facts)
        shapes.check_shape(facts, told, TOKENS)
        digests = told.get("digests", {})
        for name in told["arrays"]:
            file = folder / f"{name}.npy"
            with noting(found, file):
                np.load(file, mmap_mode="r")
                if isinstance(digests, dict) and name in digests and digests[name] != _sha256(file):
                    raise ValueError(f"{file} is not what was stored: remove {folder}, and the tokens are made again")
    return found


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
