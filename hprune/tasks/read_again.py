"""Whether the classes of an export are the same when its file is a task of its own: a form may lose types and names."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hprune.storage.exports import write_export
from hprune.storage.override import override
from hprune.tasks.classification import Classification
from hprune.tasks.columns import by_name
from hprune.tasks.labels import class_labels
from hprune.tasks.source import read_splits
from hprune.tasks.spec import TaskSpec

MOST = 20
"""Classes that are told by name."""


def classes_if_read(spec: TaskSpec, original: pa.Table, exported: pa.Table, out: Path, formulas: str) -> str | None:
    """What to know before an export is read as a task of its own, as the columns of the original are.

    Its different labels are written in that form and read again, so that nothing about the form need be known here.

    Args:
        spec: the task that it is of.
        original: its train split as it came.
        exported: rows of it.
        out: where they go; its suffix is the form.
        formulas: as for `write_export`.

    Returns:
        The classes that it would have, and what makes them those of the task; None: they are.
    """
    if not isinstance(spec.kind, Classification) or out.suffix == ".ids":
        return None
    spec = by_name(spec, original.column_names)
    labels = pa.table([pc.unique(exported[spec.label])], schema=pa.schema([exported.schema.field(spec.label)]))
    numbers, names = class_labels(spec, {"train": original, "export": labels})
    here = (numbers["export"].tolist(), names)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / f"labels{out.suffix}"
        rows = labels.append_column("row" if spec.label != "row" else "rows", pa.array(range(labels.num_rows)))
        write_export(place, rows, rows[1].to_numpy(), formulas=formulas)
        there = _classes(spec, place, spec.label_names)
        if there == here:
            return None
        named = 2 <= len(names) <= MOST and _classes(spec, place, names) == here
        typed = place.with_suffix(".parquet")
        write_export(typed, rows, rows[1].to_numpy(), formulas=formulas)
        kept = _classes(spec, typed, spec.label_names) == here
    if named:
        way = f"with {override('task.label_names', names)} they are those of this task"
    elif kept:
        way = "a .parquet of it keeps those of this task"
    else:
        way = f"write the names of the classes into its column {spec.label!r}"
    return f"{_told(there, names)}; {way}"


def _classes(
    spec: TaskSpec, file: Path, names: Sequence[str | bool] | None
) -> tuple[list[int], tuple[str, ...]] | None:
    """The class numbers of the rows of a file that is a task of its own, and the names; None if they are refused."""
    own = TaskSpec(spec.name, spec.kind, label=spec.label, label_names=names, train_file=str(file))
    try:
        numbers, found = class_labels(own, {"train": read_splits(own)["train"]})
    except ValueError:
        return None
    return numbers["train"].tolist(), found


def _told(found: tuple[list[int], tuple[str, ...]] | None, names: Sequence[str]) -> str:
    if found is None:
        return "read as a task of its own, its labels are refused"
    if found[1] == tuple(names):
        return "read as a task of its own, its labels stand for other classes of the same names"
    listed = ", ".join(found[1][:MOST]) + (", ..." if len(found[1]) > MOST else "")
    return f"read as a task of its own, its classes are {listed}"
