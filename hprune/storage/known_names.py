"""By which names of its classes do the runs below a root know a data set? 0.1.0 may have given others than today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hprune.storage.files import check_name
from hprune.storage.manifests import read_identity, read_manifest


def known_by_older_names(root: Path, task: str, data_hash: str, *, older: Sequence[str], names: Sequence[str]) -> bool:
    """Whether runs on the same train table have the older names of its classes in their settings.

    So a study that 0.1.0 began is continued under the same settings. Data of the same texts and numbers whose classes
    are called otherwise again are not meant: a run of today says the true names beside its settings.

    Args:
        root: where results lie.
        task: its name.
        data_hash: of the train table.
        older: the names that 0.1.0 gave.
        names: those of today.
    """
    check_name("task.name", task)
    if len(older) != len(names):
        return False  # a head of another size
    known = [one for one in _stored(root / "runs" / task) if _named(one, data_hash) == list(older)]
    return bool(known) and all(one.get("label_names", list(older)) in (list(older), list(names)) for one in known)


def _stored(folder: Path) -> Iterator[Mapping[str, Any]]:
    """What the runs of a task say of themselves; one that is damaged is told where it is read."""
    for path in sorted(folder.glob("*/*/seed=*")):
        try:
            yield read_manifest(path) if (path / "run.json").exists() else read_identity(path)
        except (ValueError, OSError):
            continue


def _named(stored: Mapping[str, Any], data_hash: str) -> Any:
    """The names of the classes in the settings of a run, if it is one on this train table."""
    task = stored["settings"].get("task") if isinstance(stored["settings"], dict) else None
    return task.get("label_names") if isinstance(task, dict) and task.get("data") == data_hash else None


def read_otherwise(there: Mapping[str, Any], names: Sequence[str]) -> str:
    """What to do where 0.1.0 took the labels of the same file for others; empty if nothing speaks for that.

    Args:
        there: run.json of a run.
        names: of the classes today.

    Example:
        >>> read_otherwise({"label_names": ["9", "11"], "versions": {"hprune": "0.2.0"}}, ["011", "9"])
        ''
    """
    before = there.get("label_names")
    if "hprune" in there.get("versions", {}) or not isinstance(before, list) or before == list(names):
        return ""
    return (
        f"; hprune 0.1.0 took the labels for {', '.join(map(str, before[:10]))}, today they are "
        f"{', '.join(names[:10])}: with copies of the files that have its numbers in place of the labels "
        "(task.train_file=COPY, ..) the study goes on"
    )
