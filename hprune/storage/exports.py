"""A table in the form a user wants: Parquet, CSV, TSV, JSON lines, a list of ids, or a saved Hugging Face data set."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hprune.storage.files import whole_file

SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".ids")
FORMULAS = ("escape", "keep")
FORMULA = "^[=+\\-@\\t\\r\\n＝＋－＠]"
"""How a text begins that a spreadsheet takes for a formula (OWASP, CSV injection)."""


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


def write_export(out: Path, table: pa.Table, ids: NDArray[np.int64], *, formulas: str = "escape") -> dict[str, int]:
    """Write the table in the form that the suffix of `out` names, whole or not at all; `.ids`: one id a line.

    Args:
        out: where to.
        table: the rows.
        ids: of the rows.
        formulas: what to do with texts that a spreadsheet would take for formulas, in the forms that spreadsheets open:
            `escape` puts a single quote before them, `keep` leaves them as they are. Other forms keep them anyway.

    Returns:
        How many cells were changed, by column; its name counts as one.

    Raises:
        ValueError: if that form cannot hold a column of the table.
    """
    changed: dict[str, int] = {}
    if out.suffix in (".csv", ".tsv") and formulas == "escape":
        table, changed = without_formulas(table)
    try:
        _write(out, table, ids)
        return changed
    except pa.ArrowException as error:
        raise ValueError(f"{out.suffix} cannot hold these columns ({error}); use .parquet or .jsonl") from error
    except ValueError as error:  # JSON has no infinite numbers, such as a score may have, and no NaN
        raise ValueError(f"{out.suffix} cannot hold these columns ({error}); use .parquet or .csv") from error


def without_formulas(table: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """The table with a single quote before each text, or name of a column, that begins like a formula; their counts."""
    changed = {}
    for at, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        safe = f"'{name}" if re.match(FORMULA, name) else name
        count = int(safe != name)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            found = pc.fill_null(pc.match_substring_regex(column, FORMULA), False)
            quoted = pc.binary_join_element_wise(pa.scalar("'", column.type), column, pa.scalar("", column.type))
            column = pc.if_else(found, quoted, column)
            count += pc.sum(found).as_py() or 0
        if count:
            changed[name] = count
            table = table.set_column(at, safe, column)
    return table, changed


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
            lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in table.to_pylist())
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
