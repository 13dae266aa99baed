"""A train split with some labels corrected, in the column and the coding that it came with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hprune.tasks.columns import by_name
from hprune.tasks.labels import class_labels
from hprune.tasks.spec import TaskKind, TaskSpec


def why_no_relabel(kind: TaskKind) -> str | None:
    """Why samples of a kind of task cannot be given another class; None if they can."""
    if getattr(kind, "relabels", False):
        return None
    return "they are parts of a row" if kind.parts else "what is right of them is an answer and not a class"


def with_labels(spec: TaskSpec, train: pa.Table, classes: Mapping[int, int], names: Sequence[str]) -> pa.Table:
    """The split with other labels in some rows, each written as its class is written most often.

    Args:
        spec: the task.
        train: its train split as it came.
        classes: the new class by the row.
        names: of the classes.

    Raises:
        ValueError: if no row is of a class that is asked for, so that it is not known how that is written.
    """
    if not classes:
        return train
    spec = by_name(spec, train.column_names)
    labels, _ = class_labels(spec, {"train": train}, names)
    at, column = train.column_names.index(spec.label), train[spec.label]
    new = column
    for number in sorted(set(classes.values())):
        written = column.filter(pa.array(labels["train"] == number)).value_counts()
        if not len(written):
            raise ValueError(
                f"task {spec.name!r}: no row of the train split is of class {names[number]!r}, so it is not known how "
                f"column {spec.label!r} writes it; relabel to classes that occur"
            )
        usual = written.field("values")[int(np.argmax(written.field("counts")))]
        rows = np.zeros(len(column), dtype=bool)
        rows[[row for row, wanted in classes.items() if wanted == number]] = True
        new = pc.if_else(pa.array(rows), usual, new)
    return train.set_column(at, train.schema.field(at), new)
