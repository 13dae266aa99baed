"""What a complete run predicted for an evaluation set: `predictions.<set>.parquet`, one row an example."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from hprune.storage.files import read_table
from hprune.storage.manifests import read_manifest
from hprune.storage.places import below
from hprune.storage.runs import check_file


def load_predictions(run: Path, eval_set: str) -> pa.Table | None:
    """The predictions of a run; None if its folder has none, as one that was copied without them.

    Raises:
        ValueError: if the file was altered.
    """
    file = below(run, f"predictions.{eval_set}.parquet")
    if not file.exists():
        return None
    check_file(file, read_manifest(run))
    return read_table(file)[0]
