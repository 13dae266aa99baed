"""A table in the form a user wants: Parquet, CSV, TSV, JSON lines, a list of ids, or a saved Hugging Face data set."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hprune.storage.cells import for_csv, json_lines, unfit_for_csv, unfit_for_json
from hprune.storage.files import json_text, one_line
from hprune.storage.publish import check_replaceable, digests_of, recover, whole

SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".ids")
FORMULAS = ("escape", "keep")
FORMULA = "^[=+\\-@\\t\\r\\n＝＋－＠]"
"""How a text begins that a spreadsheet takes for a formula (OWASP, CSV injection)."""
NUMBER = "^[+-](([0-9][0-9.,]*|[.,][0-9]+)([eE][+-]?[0-9]+)?%?|(?i:inf|infinity|nan))?$"
"""Texts that begin so and are plain numbers, or a sign alone."""


def provenance_path(out: Path) -> Path:
    """Where it is written what an export holds and where that comes from."""
    return Path(f"{out}.provenance.json")


def check_target(out: Path) -> None:
    """Refuse a target before the work is done; what a killed process set aside there is put back.

    Raises:
        ValueError: if its form is unknown, or a folder stands there that is no saved data set.
    """
    if out.suffix and out.suffix not in SUFFIXES:
        raise ValueError(
            f"out={out} must end in one of {', '.join(SUFFIXES)}, "
            "or have no suffix for the folder of a saved Hugging Face data set"
        )
    if not out.suffix:
        recover(out)
    if out.is_dir() and not (out / "dataset_info.json").is_file():
        raise ValueError(f"{out} is a folder, but not of a saved data set, and is never replaced; choose another name")


def write_export(
    out: Path,
    table: pa.Table,
    ids: NDArray[np.int64],
    *,
    formulas: str = "escape",
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = True,
) -> dict[str, int]:
    """Write the table in the form that the suffix of `out` names, whole or not at all; `.ids`: one id a line.

    Returns:
        How many cells were changed, by column; its name counts as one.

    Raises:
        ValueError: as in `export_ready`.
    """
    with export_ready(out, table, ids, formulas=formulas, provenance=provenance, overwrite=overwrite) as changed:
        return changed


@contextmanager
def export_ready(
    out: Path,
    table: pa.Table,
    ids: NDArray[np.int64],
    *,
    formulas: str = "escape",
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = True,
) -> Iterator[dict[str, int]]:
    """Write an export and its provenance beside their places; rename them into place when the block has succeeded.

    First the export, then the provenance, which has the SHA-256 of its files: killed in between, the same command
    completes, and until then it can be seen that the two do not belong together.

    Args:
        out: where to.
        table: the rows.
        ids: of the rows.
        formulas: what to do with texts that a spreadsheet would take for formulas, in the forms that spreadsheets open:
            `escape` puts a single quote before them, `keep` leaves them as they are. Other forms keep them anyway.
        provenance: what to say of the export in a file beside it; None: no such file.
        overwrite: replace what stands there; else only what holds the same is let be.

    Yields:
        How many cells were changed, by column; its name counts as one.

    Raises:
        ValueError: if that form cannot hold a column of the table, or something else stands there.
    """
    changed: dict[str, int] = {}
    if out.suffix in (".csv", ".tsv") and formulas == "escape":
        table, changed = without_formulas(table)
    _check_fits(out.suffix, table)
    with ExitStack() as places:  # renamed in the reverse order
        beside = provenance_path(out)
        facts = None if provenance is None else places.enter_context(whole(beside))
        temporary = places.enter_context(whole(out))
        _write(out.suffix, temporary, table, ids)
        if not overwrite:
            check_replaceable(out, temporary)
        if facts is not None and provenance is not None:
            digests = digests_of(temporary)
            files = digests if temporary.is_dir() else {out.name: digests[temporary.name]}
            content = {**provenance, "formulas_escaped": changed, "files": files}
            facts.write_text(json_text(content), encoding="utf-8")
            if not overwrite:
                check_replaceable(beside, facts)
        yield changed


def free_name(name: str, taken: Iterable[str], prefix: str = "hprune_") -> str:
    """A name for a column of ours beside those of the data: its own, `hprune_<name>`, `hprune_<name>_2`, ..."""
    taken, new, number = set(taken), name, 1
    while new in taken:
        new = f"{prefix}{name}" + (f"_{number}" if number > 1 else "")
        number += 1
    return new


def without_formulas(table: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """The table with a single quote before each text, or name of a column, that begins like a formula; their counts.

    Plain numbers are no formulas.
    """
    changed, taken = {}, set(table.column_names)
    fields, columns = list(table.schema), list(table.columns)
    for at, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        safe = _without_formula(name, taken)
        columns[at], count = _texts_without_formulas(column)
        count += int(safe != name)
        if count:
            changed[name] = count
            fields[at] = pa.field(safe, column.type)
            taken.add(safe)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=table.schema.metadata)), changed


def _without_formula(name: str, taken: Container[str]) -> str:
    """The name of a column with as many quotes before it as it needs to be no formula and no other column's."""
    safe = name
    if re.match(FORMULA, name) and not re.match(NUMBER.replace("$", r"\Z"), name):
        safe = "'" + name
        while safe in taken:
            safe = "'" + safe
    return safe


def _texts_without_formulas(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, int]:
    """A column with a quote before each text that begins like a formula, and how many these are."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column, 0
    found = pc.fill_null(pc.match_substring_regex(column, FORMULA), False)
    if not pc.any(found).as_py():
        return column, 0
    found = pc.and_not(found, pc.fill_null(pc.match_substring_regex(column, NUMBER), False))
    quoted = pc.binary_join_element_wise(pa.scalar("'", column.type), column, pa.scalar("", column.type))
    return pc.if_else(found, quoted, column), pc.sum(found).as_py() or 0


def _check_fits(suffix: str, table: pa.Table) -> None:
    """Refuse columns that a form of texts cannot hold.

    Raises:
        ValueError: naming them, with a form that can.
    """
    unfit = {".csv": unfit_for_csv, ".tsv": unfit_for_csv, ".jsonl": unfit_for_json}
    if suffix in unfit and (columns := unfit[suffix](table)):
        other = suffix != ".jsonl" and not unfit_for_json(table)
        raise _cannot_hold(suffix, ", ".join(f"{name}: {kind}" for name, kind in columns.items()), other, ".jsonl")


def _cannot_hold(suffix: str, why: str, other: bool, name: str) -> ValueError:
    ways = [".jsonl" if suffix == ".parquet" else ".parquet", *([name] if other else [])]
    return ValueError(f"{suffix or 'a saved data set'} cannot hold these columns ({why}); use {' or '.join(ways)}")


def _write(suffix: str, path: Path, table: pa.Table, ids: NDArray[np.int64]) -> None:
    """Write the form of a suffix to a path of any name."""
    try:
        if not suffix:
            _write_dataset(path, table)
        elif suffix == ".parquet":
            pq.write_table(table, path, compression="zstd")
        elif suffix in (".csv", ".tsv"):
            options = pa.csv.WriteOptions(delimiter="\t" if suffix == ".tsv" else ",")
            pa.csv.write_csv(for_csv(table), path, options)
        else:
            lines = json_lines(table) if suffix == ".jsonl" else (f"{i}\n" for i in ids.tolist())
            with path.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(lines)
    except (pa.ArrowException, ValueError, TypeError) as error:  # of JSON: a NaN, an infinite score
        raise _cannot_hold(suffix, one_line(error), not unfit_for_csv(table), ".csv") from error


def _write_dataset(path: Path, table: pa.Table) -> None:
    import datasets

    datasets.Dataset(table).save_to_disk(path)
