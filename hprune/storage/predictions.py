"""What a complete run predicted for an evaluation set: `predictions.<set>.parquet`, one row an example."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from hprune.storage.files import read_table
from hprune.storage.manifests import read_manifest
from hprune.storage.places import below
from hprune.storage.runs import check_file
from hprune.storage.shapes import WAY_OUT

WHOLE = ("sample_id", "label", "pred", "tokens")
"""Columns of whole numbers, where they are there."""


def load_predictions(run: Path, eval_set: str) -> pa.Table | None:
    """The predictions of a run; None if its folder has none, as one that was copied without them.

    Raises:
        ValueError: if the file was altered, or a column does not hold what runs write.
    """
    file = below(run, f"predictions.{eval_set}.parquet")
    if not file.exists():
        return None
    check_file(file, read_manifest(run))
    table = read_table(file)[0]
    for name in table.column_names:
        column = table[name]
        if column.null_count or (name in WHOLE and not pa.types.is_integer(column.type)):
            rule = "whole numbers" if name in WHOLE else "values"
            raise ValueError(
                f"{file}: the column {name!r} must hold {rule} without gaps, it is {column.type}; {WAY_OUT}"
            )
    return table
