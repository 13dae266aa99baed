"""What processes left behind, and the caches: nothing that a result rests on, but for the tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

from hprune.storage import shapes
from hprune.storage.files import PLACE, read_json, sha256_of_file, sha256_of_json
from hprune.storage.lock import LOCK, OWNER, is_owned
from hprune.verifying.problems import Problem, noting

TOKENS: shapes.Shape = {"arrays": shapes.list_of(shapes.name)}
DIGESTS: shapes.Shape = {"digests": shapes.dict_of(shapes.text, shapes.name)}
MADE_AGAIN = "remove its folder, and the tokens are made again when they are needed"


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
    return is_owned(file.parent)


def problems_of_tokens(folder: Path) -> list[Problem]:
    """What does not fit in a folder of the cache of tokens, which lists its arrays and, since 0.2, their digests."""
    found: list[Problem] = []
    facts = folder / "facts.json"
    if not facts.exists():
        return found  # it is being made, or was not finished, and nobody takes it for whole
    with noting(found, facts):
        told = read_json(facts)
        shapes.check_shape(facts, told, TOKENS)
        shapes.check_shape(facts, told, DIGESTS, lenient=True)
        content = {name: value for name, value in told.items() if name != "digest"}
        stated = told.get("table", folder.name), told.get("digest", digest := sha256_of_json(content))
        if stated != (folder.name, digest):
            raise ValueError(f"{facts} is that of another table, or was altered; {MADE_AGAIN}")
        digests = told.get("digests", {})
        for name in told["arrays"] if digests else []:  # those of an older version are made again anyway
            file = folder / f"{name}.npy"
            with noting(found, file):
                if sha256_of_file(file) != digests.get(name):
                    raise ValueError(f"{file} is not what was stored; {MADE_AGAIN}")
    return found
