"""A study's data at a new place: the keys that say it, and what a user is told who needs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PLACES = ("train_file", "validation_file", "test_file", "data_dir")
"""Keys of a task that say where its train split, and the sets that it is reported beside, lie."""


def at_place(task: Mapping[str, Any], place: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a task with its data at another place; what is not said of is where it was.

    A folder takes the place of single files, too, which would go before it.

    Args:
        task: its config, as plain values.
        place: the keys of `PLACES` that are given.

    Raises:
        ValueError: if there is another key.

    Example:
        >>> at_place({"train_file": "old/train.csv", "test_file": "old/test.csv"}, {"data_dir": "new"})
        {'train_file': None, 'test_file': None, 'data_dir': 'new'}
    """
    if unknown := sorted(set(place) - set(PLACES)):
        raise ValueError(
            f"task.{unknown[0]} is the study's own and cannot be given here; of its data only the place can: "
            + ", ".join(f"task.{key}" for key in PLACES)
        )
    if place and task.get("generate") is not None and task.get("train_file") is None:
        raise ValueError("the data of this study are made by a program, they have no place; leave out task.*")
    gone: dict[str, Any] = {}
    if "data_dir" in place and task.get("train_file") is not None:
        gone = {key: None for key in PLACES if key.endswith("_file") and key in task}
    return {**task, **gone, **place}


def way_out(task: Mapping[str, Any]) -> str | None:
    """How a command is told where the data of a task lie by now; None: they are made by a program.

    Example:
        >>> way_out({"train_file": "a.csv", "validation_file": "b.csv", "data_dir": None})
        'task.train_file=FILE task.validation_file=FILE'
    """
    files = [key for key in PLACES if key.endswith("_file") and task.get(key) is not None]
    if task.get("train_file") is not None:
        return " ".join(f"task.{key}=FILE" for key in files)
    if task.get("generate") is not None and task.get("data_dir") is None:
        return None
    return " ".join(["task.data_dir=FOLDER", *(f"task.{key}=FILE" for key in files)])
