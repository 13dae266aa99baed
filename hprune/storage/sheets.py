"""A sheet that a person has filled in, read back line by line: CSV, TSV or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hprune.science.triage import Line
from hprune.storage.files import one_line
from hprune.storage.override import override

SUFFIXES = (".csv", ".tsv", ".parquet")
COLUMNS = ("sample_id", "decision", "new_label")
"""What is read back; everything else is there to be looked at."""
LONGEST = 2**31 - 1


def check_sheet(path: Path, key: str) -> None:
    """Refuse what cannot be a sheet by its name.

    Raises:
        ValueError: naming the key and the path.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{key}={path} must be a sheet and end in one of {', '.join(SUFFIXES)}")


def read_sheet(path: Path) -> list[Line]:
    """Read a sheet; lines without anything in them are passed over.

    A spreadsheet may have saved it with semicolons, or with a mark before the first letter.

    Raises:
        ValueError: if there is no such file, it is not what its name says, or lacks a column.
    """
    check_sheet(path, "read")
    if not path.is_file():
        raise ValueError(f"read={path}: there is no such file; write the sheet first, with {override('out', path)}")
    try:
        return list(_of_parquet(path) if path.suffix == ".parquet" else _of_text(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"read={path} is not UTF-8 ({one_line(error)}); save it as CSV in UTF-8") from error
    except (pa.ArrowException, csv.Error) as error:
        raise ValueError(f"read={path} is not readable as {path.suffix[1:]} ({one_line(error)})") from error


def _of_parquet(path: Path) -> Iterator[Line]:
    table = pq.read_table(path)
    _check_columns(path, table.column_names)
    for number, row in enumerate(table.select(COLUMNS).to_pylist(), start=1):
        yield Line(f"row {number}", *("" if row[name] is None else str(row[name]) for name in COLUMNS))


def _of_text(path: Path) -> Iterator[Line]:
    before = csv.field_size_limit(LONGEST)  # texts may be long
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            lines = csv.reader(file, delimiter=_delimiter(head), strict=True)
            names = [name.strip() for name in next(lines, [])]
            _check_columns(path, names)
            at = [names.index(name) for name in COLUMNS]
            start = lines.line_num + 1
            for cells in lines:
                if any(cells):
                    if len(cells) <= max(at):
                        raise ValueError(f"read={path}, line {start}: it has {len(cells)} cells of {len(names)}")
                    yield Line(f"line {start}", *(cells[place] for place in at))
                start = lines.line_num + 1
    finally:
        csv.field_size_limit(before)


def _delimiter(head: str) -> str:
    """The one by which the first line has our columns; names of the data's columns may hold others."""

    def held(delimiter: str) -> tuple[int, int]:
        names = next(csv.reader([head], delimiter=delimiter), [])
        return len({name.strip() for name in names} & set(COLUMNS)), head.count(delimiter)

    return max(",;\t", key=held)


def _check_columns(path: Path, names: list[str]) -> None:
    for name in COLUMNS:
        if names.count(name) != 1:
            raise ValueError(
                f"read={path} must have one column {name}, it has {', '.join(names)[:200] or 'none'}; "
                "fill in the sheet that was written, and keep its first line"
            )
