"""Columns that a task does not use and an export writes nevertheless: which they are, and what their cells hold.

They are no part of what a run is, as no number depends on them. A study keeps their digests, so that an export of a
file that moved, or was written again, does not have the columns of another one without a word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from hprune.tasks.columns import is_text
from hprune.tasks.spec import TaskSpec


def carried_columns(spec: TaskSpec, train: pa.Table) -> dict[str, str]:
    """A digest of each column of the train split, as it came, that the task does not use.

    Of 1,000,000 rows with an id and a source it takes a quarter of a second.

    Args:
        spec: the task, whose columns are given by their names.
        train: the split, all rows.

    Returns:
        By name, in the order of the file.
    """
    options = getattr(spec.kind, "options", None)  # the column of a multiple choice
    used = {*spec.text, spec.label, *([options] if isinstance(options, str) else [])}
    return {name: _digest(name, train[name]) for name in train.column_names if name not in used}


def differing_columns(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """In words which carried-along columns of a file are others in another file, or not there; empty: none.

    Args:
        there: their digests in the file that a study was given.
        here: in a file that is there now.

    Example:
        >>> differing_columns({"id": "1", "source": "2"}, {"id": "3", "page": "4"})
        'id has other cells, or another type; source is gone'
    """
    changed = [name for name in there if name in here and there[name] != here[name]]
    gone = [name for name in there if name not in here]
    told = (
        [f"{_listed(changed)} {'has' if len(changed) == 1 else 'have'} other cells, or another type"] if changed else []
    )
    return "; ".join(told + ([f"{_listed(gone)} {'is' if len(gone) == 1 else 'are'} gone"] if gone else []))


def new_columns(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """The names of carried-along columns that a file has and another had not; empty: none."""
    return _listed([name for name in here if name not in there])


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} others"


def _digest(name: str, column: pa.ChunkedArray) -> str:
    digest = hashlib.sha256(f"{name}:{len(column)};".encode())
    _add(digest, column)
    return digest.hexdigest()[:16]


def _add(digest: Any, column: pa.ChunkedArray) -> None:
    """The cells, however Arrow has them in chunks, never as objects of Python, which lack dates that Arrow has.

    Numbers of one kind are alike, however wide they are; cells of two kinds never are.
    """
    kind = column.type
    if column.null_count == len(column):
        digest.update(b"null")  # of whatever type
    elif is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        digest.update(b"text" if is_text(kind) else b"bytes")
        _add_binary(digest, column.cast(pa.large_binary()))
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        tag = "boolean" if pa.types.is_boolean(kind) else "uint64" if kind == pa.uint64() else "integer"
        _add_numbers(digest, tag, column.cast(pa.uint64() if kind == pa.uint64() else pa.int64()))
    elif pa.types.is_floating(kind):
        _add_numbers(digest, "float", column.cast(pa.float64()))
    elif pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        _add_numbers(digest, str(kind), column.cast(pa.int32() if kind.bit_width == 32 else pa.int64()))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        _add_numbers(digest, "list", pc.list_value_length(column).cast(pa.int64()))
        _add(digest, pc.list_flatten(column))
    elif pa.types.is_struct(kind):
        digest.update(column.is_null().to_numpy().tobytes())
        for field in kind:
            digest.update(f"{field.name};".encode())
            _add(digest, pc.struct_field(column, field.name))
    else:  # decimals, maps and what is rarer, as Arrow writes them
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, pa.schema([pa.field("", kind)])) as writer:
            writer.write_table(pa.table([column.combine_chunks()], names=[""]))
        digest.update(sink.getvalue())


def _add_binary(digest: Any, column: pa.ChunkedArray) -> None:
    digest.update(pc.fill_null(pc.binary_length(column), -1).to_numpy().astype("<i8").tobytes())
    for chunk in pc.fill_null(column, b"").chunks:
        if len(chunk):
            ends = np.frombuffer(chunk.buffers()[1], dtype=np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
            digest.update(memoryview(chunk.buffers()[2] or b"")[ends[0] : ends[-1]])


def _add_numbers(digest: Any, tag: str, column: pa.ChunkedArray) -> None:
    digest.update(tag.encode())
    digest.update(column.is_null().to_numpy().tobytes())
    digest.update(pc.fill_null(column, 0).to_numpy().tobytes())
