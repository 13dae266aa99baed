"""Columns of a split as it came: what must be there, texts, and which rows can be used."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hprune.tasks.spec import TaskSpec

log = logging.getLogger(__name__)

ROW = "hprune:row"
"""The column that carries a row's number from the split as it came to the normalised table, where it is sample_id."""
UNTYPED = b"hprune:untyped"
"""In the metadata of a column of texts: its file has no types, so that a number is a text there, too (CSV, TSV)."""

PLACE = re.compile(r"@[0-9]{1,9}")
"""How a column is given by its place."""


def numbered(table: pa.Table) -> pa.Table:
    """The table with the number of each row.

    Raises:
        ValueError: if it has a column of that name.
    """
    if ROW in table.column_names:
        raise ValueError(f"the data has a column {ROW}, a name that hprune needs for its own: give it another")
    return table.append_column(ROW, pa.array(np.arange(table.num_rows, dtype=np.int64)))


def as_untyped(table: pa.Table) -> pa.Table:
    """The table, whose columns are texts letter by letter, with the mark that their file has no types."""
    fields = [field.with_metadata({**(field.metadata or {}), UNTYPED: b"1"}) for field in table.schema]
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))


def is_untyped(field: pa.Field) -> bool:
    """Whether a column's file has no types."""
    return UNTYPED in (field.metadata or {})


def own_columns(raw: pa.Table) -> list[str]:
    """The names of the columns that the data came with."""
    return [name for name in raw.column_names if name != ROW]


def name_at(key: str, column: str, names: Sequence[str]) -> str:
    """The name of a column that is given by its name, or as `@2` by its place, from 1; a name like that wins.

    Raises:
        ValueError: if there are fewer columns.

    Example:
        >>> name_at("task.label", "@2", ["text", "what is it?"])
        'what is it?'
    """
    if column in names or not PLACE.fullmatch(column):
        return column
    place = int(column[1:])
    if not 1 <= place <= len(names):
        listed = ", ".join(f"@{at} {name}" for at, name in enumerate(names[:20], start=1))
        raise ValueError(f"{key}={column} must be the place of one of the {len(names)} columns, which are {listed}")
    return names[place - 1]


def by_name(spec: TaskSpec, names: Sequence[str]) -> TaskSpec:
    """The task, whose columns that are given by their places are given by their names.

    Args:
        spec: the task.
        names: of the columns of the train split.

    Raises:
        ValueError: if there are fewer columns, or one has two uses.
    """
    named: dict[str, Any] = {
        "text": tuple(name_at("task.text", column, names) for column in spec.text),
        "label": name_at("task.label", spec.label, names),
        "slices": tuple(name_at("task.slices", column, names) for column in spec.slices),
        "where": spec.where and {name_at("task.where", column, names): rule for column, rule in spec.where.items()},
    }
    options = getattr(spec.kind, "options", None)  # of a question
    if isinstance(options, str):
        named["kind"] = replace(spec.kind, options=name_at("task.kind.options", options, names))  # type: ignore[type-var]
    changed = {key: value for key, value in named.items() if value != getattr(spec, key)}
    return replace(spec, **changed) if changed else spec


def require_columns(spec: TaskSpec, split: str, raw: pa.Table, **more: str) -> None:
    """Refuse a split without the columns of the task.

    Args:
        spec: the task.
        split: its split, for the message.
        raw: the split.
        more: columns that the kind of task needs, too, by the option that names them.

    Raises:
        ValueError: naming the columns that are missing, those that are there, and the ways out.
    """
    missing = [column for column in (*spec.text, *more.values(), spec.label) if column not in raw.column_names]
    if missing:
        way_out = ""
        if split == "validation":
            way_out = (
                "; or set task.splits.validation=null (leave out task.validation_file), "
                "and a part of train is held out instead"
            )
        raise ValueError(
            f"task {spec.name!r}: the {split} split has no column {', '.join(missing)}; "
            f"it has {', '.join(own_columns(raw))}. "
            f"Set task.text=[COLUMN] (two for pairs){''.join(f', task.kind.{name}=COLUMN' for name in more)} "
            f"and task.label=COLUMN{way_out}"
        )


def texts(spec: TaskSpec, split: str, raw: pa.Table, column: str) -> pa.ChunkedArray:
    """A column as text.

    Raises:
        ValueError: if it holds something else.
    """
    try:
        return raw[column].cast(pa.large_string())
    except pa.ArrowException as error:
        raise ValueError(
            f"task {spec.name!r}: column {column!r} of the {split} split must hold text, it is {raw[column].type}; "
            "set task.text to other columns"
        ) from error


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is that of texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is that of lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def has_text(columns: Sequence[pa.ChunkedArray]) -> NDArray[np.bool_]:
    """(rows,) whether there is more than white space in each of the columns."""
    found = np.ones(len(columns[0]), dtype=bool)
    for column in columns:
        found &= pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(column), ""), False).to_numpy()
    return found


def usable_rows(spec: TaskSpec, split: str, table: pa.Table, faults: Mapping[str, NDArray[np.bool_]]) -> pa.Table:
    """Drop the rows that have a fault, counted in the log.

    Args:
        spec: the task.
        split: its split, for the log.
        table: the rows.
        faults: (rows,) by what is wrong with those that are true.

    Raises:
        ValueError: if no row of the train split is left, or none of a validation split that has labels; the message
            counts what is wrong.
    """
    bad = np.any(list(faults.values()), axis=0)
    counts = ", ".join(f"{int(rows.sum())} {fault}" for fault, rows in faults.items() if rows.any())
    labelled = not faults["without a label"].all()
    if bad.all() and (split == "train" or (split == "validation" and labelled)):
        way_out = "; or set task.splits.validation=null to hold out a part of train" if split == "validation" else ""
        raise ValueError(
            f"task {spec.name!r}: no row of the {split} split can be used ({counts}, of {bad.size}); "
            f"correct the data or the names of its columns{way_out}"
        )
    if bad.any() and not bad.all():
        log.warning(
            "%s: dropped %d of %d rows of the %s split (%s); ids keep their gaps",
            spec.name, int(bad.sum()), bad.size, split, counts,
        )  # fmt: skip
    return table.filter(pa.array(~bad)).combine_chunks()


def every_text(table: pa.Table) -> Iterator[str]:
    """Every text of a table, column by column, those in lists included."""
    for column in table.columns:
        for chunk in column.chunks:
            inner = chunk.flatten() if is_list(chunk.type) else chunk
            if is_text(inner.type):
                yield from inner.to_pylist()
