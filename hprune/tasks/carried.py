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

from hprune.storage.files import json_text
from hprune.tasks.columns import is_text
from hprune.tasks.spec import TaskSpec

MOST = 200
"""Columns that have a digest of their own; the others have one together."""
REST = "*"
"""What stands for these; a column of this name is told as one of them."""
ROWS = 2**16
"""Rows of lists and objects that are written out at a time."""


def carried_columns(spec: TaskSpec, train: pa.Table) -> dict[str, str]:
    """A digest of each column of the train split, as it came, that the task does not use.

    Of 1,000,000 rows with an id and a source it takes a quarter of a second.

    Args:
        spec: the task, whose columns are given by their names.
        train: the split, all rows.

    Returns:
        By name, in the order of the file. Columns beyond `MOST` are digested together, under `REST`.
    """
    options = getattr(spec.kind, "options", None)  # the column of a multiple choice
    used = {*spec.text, spec.label, *([options] if isinstance(options, str) else [])}
    names = [name for name in train.column_names if name not in used]
    found = {name: _digest(train, [name]) for name in names[:MOST]}
    return found if len(names) <= MOST else found | {REST: _digest(train, names[MOST:])}


def differing_columns(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """In words which carried-along columns of a file are others in another file, or not there; empty: none.

    Args:
        there: their digests in the file that a study was given.
        here: in a file that is there now.

    Example:
        >>> differing_columns({"id": "1", "source": "2"}, {"id": "3", "page": "4"})
        'id has other cells; source is gone'
    """
    changed = [name for name in there if name in here and there[name] != here[name]]
    gone = [name for name in there if name not in here]
    told = [f"{_listed(changed)} {'has' if len(changed) == 1 else 'have'} other cells"] if changed else []
    return "; ".join(told + ([f"{_listed(gone)} {'is' if len(gone) == 1 else 'are'} gone"] if gone else []))


def new_columns(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """The names of carried-along columns that a file has and another had not; empty: none."""
    return _listed([name for name in here if name not in there])


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} others"


def _digest(table: pa.Table, names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}:{table.num_rows};".encode())
        _add(digest, table[name])
    return digest.hexdigest()[:16]


def _add(digest: Any, column: pa.ChunkedArray) -> None:
    """The cells, however Arrow has them in chunks; numbers of one kind alike, however wide they are."""
    kind = column.type
    if is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        binary = column.cast(pa.large_binary())
        digest.update(pc.fill_null(pc.binary_length(binary), -1).to_numpy().astype("<i8").tobytes())
        for chunk in pc.fill_null(binary, b"").chunks:
            if len(chunk):
                ends = np.frombuffer(chunk.buffers()[1], dtype=np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
                digest.update(memoryview(chunk.buffers()[2] or b"")[ends[0] : ends[-1]])
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        digest.update(column.is_null().to_numpy().tobytes())
        wide = "<f8" if pa.types.is_floating(kind) else "<u8" if kind == pa.uint64() else "<i8"
        digest.update(pc.fill_null(column, False if pa.types.is_boolean(kind) else 0).to_numpy().astype(wide).tobytes())
    else:  # dates, lists, objects
        digest.update(str(kind).encode())
        for at in range(0, len(column), ROWS):
            digest.update(json_text(list(map(str, column.slice(at, ROWS).to_pylist()))).encode())
