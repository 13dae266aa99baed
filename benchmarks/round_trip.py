"""Random tables through every form and back, cell by cell: `python benchmarks/round_trip.py --cases 10000 --seed 1`.

A table of random types and values is written as somebody's file (CSV or TSV by Python's csv module, JSON lines by its
json module, Parquet by pyarrow), read as a task reads it, exported in each form, and read again. What must come back is
said here, by Python's own parsers, and not by the code that writes.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import math
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))

from hprune.storage.exports import write_export
from hprune.tasks.source import read_file

SOURCES = (".csv", ".tsv", ".jsonl", ".parquet")
FORMS = (".csv", ".tsv", ".jsonl", ".parquet", "")
ODD = (
    "", " ", "NA", "null", "nan", "TRUE", "false", "no", "007", "1.50", "1e5", "-1", "+4.5", "-1e3", "=1+1", "-e5", "@",
    "-", "10000000000000000977", "10:31", "2021-01-11", "2021-01-11T10:30:00Z", '"', '""', '"a', 'a"b', "a,b", "a;b|c",
    "a\tb", "a\nb", "a\r\nb", "\ra", "\\n", "\\", "'", "'=1", "\ufeffx", "é 漢 🙂", "\u202eabc", "\x00", "\u2028",
    "{}", "[1]",
)  # fmt: skip
TEXTS = st.sampled_from(ODD) | st.text(st.characters(codec="utf-8"), max_size=8)
NAMES = st.sampled_from(["text", "label", "a,b", 'q"', "=x", "-1", " ", "é", "a\nb", "tab\t", "sample", "1"]) | st.text(
    st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=6
)
TIMES = st.datetimes(datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30))
SIMPLE: Sequence[tuple[pa.DataType, st.SearchStrategy[Any]]] = (
    (pa.string(), TEXTS), (pa.large_string(), TEXTS), (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-128, 127)), (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)), (pa.float64(), st.floats()), (pa.float32(), st.floats(width=32)),
    (pa.float16(), st.floats(width=16).map(np.float16)),
    (pa.decimal128(20, 4), st.decimals(-(10**15), 10**15, places=4)), (pa.date32(), st.dates()),
    (pa.timestamp("us"), TIMES), (pa.timestamp("s"), TIMES.map(lambda at: at.replace(microsecond=0))),
    (pa.timestamp("ms", "Europe/Berlin"), TIMES.map(lambda at: at.replace(
        year=1900 + at.year % 200, microsecond=at.microsecond // 1000 * 1000, tzinfo=datetime.UTC))),
    (pa.time64("us"), st.times()), (pa.time32("s"), st.times().map(lambda at: at.replace(microsecond=0))),
    (pa.duration("us"), st.timedeltas(datetime.timedelta(-99999), datetime.timedelta(99999))), (pa.null(), st.none()),
)  # fmt: skip
BYTES = (pa.binary(), st.binary(max_size=4))


def _nested(inner: tuple[pa.DataType, st.SearchStrategy[Any]]) -> list[tuple[pa.DataType, st.SearchStrategy[Any]]]:
    kind, values = inner
    struct = pa.struct([("k", kind), ("more", pa.list_(pa.string()))])
    filled = st.fixed_dictionaries({"k": st.none() | values, "more": st.none() | st.lists(TEXTS, max_size=2)})
    return [(pa.list_(kind), st.lists(st.none() | values, max_size=3)), (struct, filled)]


EVERY = [*SIMPLE, BYTES, *(deep for one in SIMPLE for deep in _nested(one)), *_nested(_nested(SIMPLE[0])[1])]


@dataclass(frozen=True)
class Case:
    """A table, the form that it comes in, and how it is exported."""

    source: str
    names: tuple[str, ...]
    kinds: tuple[pa.DataType, ...]
    columns: tuple[tuple[Any, ...], ...]
    formulas: str


@st.composite
def tables(draw: st.DrawFn) -> Case:
    """Tables that such a file can hold."""
    source = draw(st.sampled_from(SOURCES))
    width, rows = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    names = draw(st.lists(NAMES, min_size=width, max_size=width, unique=True))
    choices = [(pa.string(), TEXTS)] if source in (".csv", ".tsv") else SIMPLE
    if source == ".parquet" and draw(st.booleans()):
        choices = EVERY
    chosen = [draw(st.sampled_from(list(choices))) for _ in names]
    none = st.nothing() if source in (".csv", ".tsv") else st.none()
    columns = [tuple(draw(st.lists(none | values, min_size=rows, max_size=rows))) for _, values in chosen]
    kinds = tuple(kind for kind, _ in chosen)
    return Case(source, tuple(names), kinds, tuple(columns), draw(st.sampled_from(["keep", "escape"])))


def write_source(case: Case, folder: Path) -> Path:
    """The table as somebody's own file."""
    path = folder / f"mine{case.source}"
    if case.source == ".parquet":
        arrays = [pa.array(column, kind) for column, kind in zip(case.columns, case.kinds, strict=True)]
        pq.write_table(pa.Table.from_arrays(arrays, names=list(case.names)), path)
        return path
    rows = list(zip(*case.columns, strict=True))
    with path.open("w", encoding="utf-8", newline="") as file:
        if case.source == ".jsonl":
            file.writelines(
                json.dumps(dict(zip(case.names, map(plain_json, row), strict=True)), ensure_ascii=False) + "\n"
                for row in rows
            )
        else:
            writer = csv.writer(file, delimiter="\t" if case.source == ".tsv" else ",", quoting=csv.QUOTE_ALL)
            writer.writerows([case.names, *rows])
    return path


def plain_json(value: Any) -> Any:
    """A value as somebody writes it into JSON."""
    return value if isinstance(value, (str, bool, int)) or value is None else None if _strange(value) else _text(value)


def _strange(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and not math.isfinite(value)


def _text(value: Any) -> Any:
    return float(value) if isinstance(value, (float, np.floating)) else str(value)


def check(case: Case, folder: Path) -> Counter[str]:
    """Export and read again, in each form; how many cells were compared, and which forms refused.

    Raises:
        AssertionError: if a cell is another, or a form refuses what it can hold.
    """
    for old in folder.iterdir():
        if old.is_file():
            old.unlink()
    came = read_file([write_source(case, folder)])
    assert came.column_names == list(case.names)
    if case.source in (".csv", ".tsv"):
        assert [tuple(column.to_pylist()) for column in came.columns] == list(case.columns)
    taken = {*case.names, *("'" + name for name in case.names)}
    number = next(name for name in ("sample_id", "n", "n1", "n2", "n3", "n4", "n5") if name not in taken)
    table = came.append_column(number, pa.array(range(came.num_rows), pa.int64()))
    ids, counts = np.arange(came.num_rows), Counter[str]()
    for form in FORMS:
        out = folder / f"out{form}"
        refused = cannot(form, table)
        try:
            write_export(out, table, ids, formulas=case.formulas)
            why = ""
        except ValueError as error:
            why = str(error)
        assert bool(refused) == bool(why), (form, refused, why)
        if why:
            assert all(name in why for name in refused[:1] if name.isprintable()), (form, refused, why)
            counts[f"{form or 'folder'} refused"] += 1
            continue
        back = read_file([out])
        compare(case, form, table, back)
        counts[form or "folder"] += table.num_rows * table.num_columns
    return counts


def cannot(form: str, table: pa.Table) -> list[str]:
    """The columns that a form has no room for: lists and bytes in CSV, bytes and what is not finite in JSON."""
    found = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind, values = column.type, column.to_pylist()
        if form in (".csv", ".tsv") and (pa.types.is_nested(kind) or pa.types.is_binary(kind)):
            found.append(name)
        if form == ".jsonl" and (pa.types.is_binary(kind) or any(map(_holds_strange, values))):
            found.append(name)
    return found


def _holds_strange(value: Any) -> bool:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return _strange(value) or any(map(_holds_strange, inner))


def compare(case: Case, form: str, table: pa.Table, back: pa.Table) -> None:
    """Compare names and cells.

    Raises:
        AssertionError: naming the first that differs.
    """
    spread = form in (".csv", ".tsv")
    escaped = spread and case.formulas == "escape"
    for name, other in zip(table.column_names, back.column_names, strict=True):
        assert name == other or (escaped and other.lstrip("'") == name.lstrip("'") and is_formula(name)), (name, other)
        if escaped:
            assert is_formula(name) == (name != other), (name, other)
    for name, before, after in zip(table.column_names, table.columns, back.columns, strict=True):
        for row, (a, b) in enumerate(zip(before.to_pylist(), after.to_pylist(), strict=True)):
            if escaped and isinstance(a, str) and is_formula(a):
                a = "'" + a
            same = in_csv(a, b, before.type) if spread else in_json(a, b) if form == ".jsonl" else equal(a, b)
            assert same, (form, name, row, a, b)


def is_formula(text: str) -> bool:
    """Whether a spreadsheet might compute it: it begins like a formula, and Python reads no number in it."""
    if not text or text[0] not in "=+-@\t\r\n＝＋－＠":
        return False
    if text[0] in "+-":
        if len(text) == 1 or re.fullmatch(r"[+-](inf|infinity|nan)", text, re.IGNORECASE | re.ASCII):
            return False
        return not (text.isascii() and re.fullmatch(r"[+-][0-9.,]*[0-9][0-9.,]*([eE][+-]?[0-9]+)?%?", text))
    return True


def equal(a: Any, b: Any) -> bool:
    """The same value; NaN is NaN."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (float, np.floating)):
        return (math.isnan(a) and math.isnan(b)) or a == b
    return type(a) is type(b) and bool(a == b)


def in_csv(a: Any, b: str, kind: pa.DataType) -> bool:
    """Whether a cell of CSV says a value of a type; of nothing it says nothing."""
    if a is None:
        return b == ""
    if isinstance(a, str):
        return a == b
    if isinstance(a, bool):
        return b == str(a).lower()
    if isinstance(a, (float, np.floating)):
        as_kind = {"float": np.float32, "halffloat": np.float16}.get(str(kind), np.float64)
        with np.errstate(over="ignore"):
            return equal(as_kind(a), as_kind(b))
    return _says(a, b)


def in_json(a: Any, b: Any) -> bool:
    """Whether what JSON has says a value."""
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(in_json, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(in_json(a[key], b[key]) for key in a)
    if a is None or isinstance(a, (str, bool)):
        return equal(a, b)
    if isinstance(a, (int, float, np.floating)):  # a column with a number that no float holds comes as it was written
        return equal(float(a), float(b)) if not isinstance(a, int) else a == int(b)
    return _says(a, b)


def _says(a: Any, b: str) -> bool:
    """Whether a text says a number, a date, a time or a duration, without loss."""
    if isinstance(a, (int, Decimal)):
        return type(a)(b) == a and (isinstance(a, int) or Decimal(b).as_tuple() == a.as_tuple())
    if isinstance(a, datetime.timedelta):
        seconds = re.fullmatch(r"PT(-?[0-9]+(?:\.[0-9]+)?)S", b)
        return seconds is not None and Fraction(seconds[1]) == Fraction(a // datetime.timedelta(microseconds=1), 10**6)
    return bool(type(a).fromisoformat(b) == a)


def main() -> None:
    """Print how many cells came back, by form."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    counts, sources = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:

        @seed(chosen.seed)
        @settings(max_examples=chosen.cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(tables())
        def every(case: Case) -> None:
            sources[case.source] += 1
            counts.update(check(case, Path(folder)))

        every()
    print(f"tables: {sources.total():,} ({', '.join(f'{name} {n:,}' for name, n in sorted(sources.items()))})\n")
    print("| form | cells that came back | tables refused by column |\n|---|---|---|")
    for form in FORMS:
        name = form or "folder"
        print(f"| {name} | {counts[name]:,} | {counts[f'{name} refused']:,} |")


if __name__ == "__main__":
    main()
