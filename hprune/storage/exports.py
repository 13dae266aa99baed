"""A table in the form a user wants: Parquet, CSV, TSV, JSON lines, a list of ids, or a saved Hugging Face data set."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hprune.storage.files import whole_file

SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".ids")


def provenance_path(out: Path) -> Path:
    """Where it is written what an export holds and where that comes from."""
    return Path(f"{out}.provenance.json")


def check_target(out: Path, *, overwrite: bool) -> None:
    """Refuse a target before the work is done.

    Raises:
        ValueError: if its form is unknown, or something stands there and may not be replaced.
    """
    if out.suffix and out.suffix not in SUFFIXES:
        raise ValueError(
            f"out={out} must end in one of {', '.join(SUFFIXES)}, "
            "or have no suffix for the folder of a saved Hugging Face data set"
        )
    if out.exists() and not overwrite:
        raise ValueError(f"{out} exists and is not replaced; choose another name, or set overwrite=true")
    if provenance_path(out).exists() and not overwrite:
        raise ValueError(
            f"{provenance_path(out)} exists and is not replaced; choose another name, or set overwrite=true"
        )
    if out.is_dir() and not (out / "dataset_info.json").is_file():
        raise ValueError(f"{out} is a folder, but not of a saved data set, and is never replaced; choose another name")


def write_export(out: Path, table: pa.Table, ids: NDArray[np.int64]) -> None:
    """Write the table in the form that the suffix of `out` names, whole or not at all; `.ids`: one id a line.

    Raises:
        ValueError: if that form cannot hold a column of the table.
    """
    try:
        _write(out, table, ids)
    except pa.ArrowException as error:
        raise ValueError(f"{out.suffix} cannot hold these columns ({error}); use .parquet or .jsonl") from error


def _write(out: Path, table: pa.Table, ids: NDArray[np.int64]) -> None:
    if not out.suffix:
        _write_dataset(out, table)
        return
    with whole_file(out) as temporary:
        if out.suffix == ".parquet":
            pq.write_table(table, temporary, compression="zstd")
        elif out.suffix in (".csv", ".tsv"):
            pa.csv.write_csv(table, temporary, pa.csv.WriteOptions(delimiter="\t" if out.suffix == ".tsv" else ","))
        elif out.suffix == ".jsonl":
            lines = (json.dumps(row, ensure_ascii=False) for row in table.to_pylist())
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        else:
            temporary.write_text("".join(f"{i}\n" for i in ids.tolist()), encoding="utf-8")


def _write_dataset(out: Path, table: pa.Table) -> None:
    import datasets

    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        datasets.Dataset(table).save_to_disk(temporary)
        if out.exists():
            shutil.rmtree(out)
        os.replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
