"""Classes of samples: the names of the classes, and each label as its number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hprune.tasks.columns import is_text
from hprune.tasks.spec import TaskSpec


def class_labels(
    spec: TaskSpec, splits: Mapping[str, pa.Table], names: Sequence[str] | None = None
) -> tuple[dict[str, NDArray[np.int64]], tuple[str, ...]]:
    """The labels of each split as class numbers in 0..K-1, -1 where there is none, and the names of the classes.

    Args:
        spec: the task.
        splits: the splits as they came; the names are found in "train" (or in a set that comes alone) if nothing else
            gives them.
        names: those to use if `task.label_names` gives none.

    Raises:
        ValueError: if a column holds no labels, or one that is not known.
    """
    names = spec.label_names if spec.label_names is not None else names
    plain = {name: _with_plain_labels(spec, name, raw) for name, raw in splits.items()}
    found, by_name = _classes(spec, plain.get("train", next(iter(plain.values()))), names)
    if not found:
        raise ValueError(f"task {spec.name!r}: no row of the train split can be used, none has a label")
    if by_name:
        plain = {name: _with_text_labels(raw, spec.label) for name, raw in plain.items()}
    return {name: _label_numbers(spec, name, raw[spec.label], found) for name, raw in plain.items()}, found


def _with_plain_labels(spec: TaskSpec, split: str, raw: pa.Table) -> pa.Table:
    """The split with its labels as int64, or as stripped texts; none where they are blank."""
    at, labels = raw.column_names.index(spec.label), raw[spec.label]
    if is_text(labels.type):
        labels = pc.utf8_trim_whitespace(labels.cast(pa.large_string()))
        labels = pc.if_else(pc.equal(labels, ""), None, labels)
    else:
        labels = _integers(spec, split, labels)
    return raw.set_column(at, raw.schema.field(at).with_type(labels.type), labels)


def _with_text_labels(raw: pa.Table, label: str) -> pa.Table:
    return raw.set_column(raw.column_names.index(label), label, raw[label].cast(pa.large_string()))


def _classes(spec: TaskSpec, train: pa.Table, given: Sequence[str] | None) -> tuple[tuple[str, ...], bool]:
    """Names of the classes, and whether labels that are numbers are such names, too, not positions among them.

    The names are given, or the hub's, or found in train: the sorted texts, or the sorted numbers from 0 on.
    """
    metadata = (train.schema.field(spec.label).metadata or {}).get(b"names")
    hub = None if metadata is None else tuple(json.loads(metadata))
    labels = pc.unique(train[spec.label].drop_null()).to_pylist()
    text = is_text(train[spec.label].type)
    if given is not None:
        if hub is not None and hub != tuple(given) and set(hub) == set(given):
            raise ValueError(
                f"task {spec.name!r}: task.label_names={list(given)} are the classes of the data in another order; "
                f"there 0, 1, .. are {list(hub)}: give them in that order, or set task.label_names=null"
            )
        called_by_names = hub is None and set() < {str(label) for label in labels} - {"-1"} <= set(given)
        return tuple(given), text or called_by_names
    if hub is not None:
        return hub, text
    found = set(labels) - {"-1"} if text else {number for number in labels if number >= 0}
    return tuple(str(label) for label in sorted(found)), True


def _label_numbers(spec: TaskSpec, split: str, labels: pa.ChunkedArray, names: Sequence[str]) -> NDArray[np.int64]:
    """(rows,) class numbers in 0..K-1, -1 where there is no label."""
    text = is_text(labels.type)
    found = pc.index_in(labels, pa.array(list(names) if text else range(len(names)), labels.type))
    unknown = sorted(set(pc.unique(labels.filter(pc.is_null(found))).to_pylist()) - {None, -1, "-1"})
    if unknown and text:
        raise ValueError(
            f"task {spec.name!r}: the {split} split has labels {unknown[:5]}, known are {list(names[:10])}; "
            "correct the data or set task.label_names"
        )
    if unknown:
        raise ValueError(
            f"task {spec.name!r}: the {split} split has labels {unknown[:5]}, but with {len(names)} classes "
            f"({', '.join(names[:10])}) they lie in 0..{len(names) - 1}, or -1 for no label; "
            "correct the data or set task.label_names"
        )
    return pc.fill_null(found, -1).to_numpy().astype(np.int64)


def _integers(spec: TaskSpec, split: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers, booleans, or floats without a fraction (what pandas makes of integers with gaps), as int64."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    try:
        return column.cast(pa.int64())
    except pa.ArrowException as error:
        values = column.drop_null().to_pylist()
        example = next((value for value in values if not isinstance(value, int | float) or value % 1), values[0])
        raise ValueError(
            f"task {spec.name!r}: labels of the {split} split must be class names or whole numbers, "
            f"column {spec.label!r} is {column.type}, for example {example!r}; correct the data or set task.label"
        ) from error
