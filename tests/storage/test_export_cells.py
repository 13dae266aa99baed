"""What text files say of each type: dates, decimals, durations and bytes among them."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from hprune.storage.exports import write_export

AT = datetime(2021, 1, 11, 10, 30, 0, 250000)


def written(tmp_path: Path, suffix: str, table: pa.Table) -> str:
    write_export(tmp_path / f"out{suffix}", table, np.arange(table.num_rows))
    return (tmp_path / f"out{suffix}").read_bytes().decode()


@pytest.mark.parametrize(
    ("column", "as_json", "as_csv"),
    [
        (pa.array([date(2021, 1, 11)]), "2021-01-11", "2021-01-11"),
        (pa.array([AT]), "2021-01-11T10:30:00.250000", "2021-01-11 10:30:00.250000"),
        (pa.array([1], pa.timestamp("ns")), "1970-01-01T00:00:00.000000001", "1970-01-01 00:00:00.000000001"),
        (pa.array([AT.replace(tzinfo=UTC)], pa.timestamp("us", "Europe/Berlin")), "2021-01-11T11:30:00.250000+01:00",
         "2021-01-11 11:30:00.250000+0100"),
        (pa.array([1], pa.time64("ns")), "00:00:00.000000001", "00:00:00.000000001"),
        (pa.array([time(10, 31)], pa.time32("s")), "10:31:00", "10:31:00"),
        (pa.array([Decimal("1.50")]), "1.50", "1.50"),
        (pa.array([Decimal("12345678901234567890.10")]), "12345678901234567890.10", "12345678901234567890.10"),
        (pa.array([timedelta(days=1, microseconds=500000)]), "PT86400.5S", "PT86400.5S"),
        (pa.array([-1], pa.duration("ns")), "PT-0.000000001S", "PT-0.000000001S"),
        (pa.array([2**64 - 1], pa.uint64()), 2**64 - 1, str(2**64 - 1)),
        (pa.array([True]), True, "true"),
        (pa.array([np.float16(0.5)], pa.float16()), 0.5, "0.5"),
        (pa.array(["a"], pa.string_view()), "a", "a"),
        (pa.array(["a"]).dictionary_encode(), "a", "a"),
        (pa.array(["10000000000000000977"]), "10000000000000000977", "10000000000000000977"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)  # fmt: skip
def test_the_usual_form_of_every_type(tmp_path: Path, column: pa.Array, as_json: Any, as_csv: str) -> None:
    table = pa.table({"x": pa.chunked_array([column, pa.nulls(1, column.type)]), "n": [1, 2]})
    lines = [json.loads(line) for line in written(tmp_path, ".jsonl", table).splitlines()]
    assert lines == [{"x": as_json, "n": 1}, {"x": None, "n": 2}]
    for suffix, delimiter in ((".csv", ","), (".tsv", "\t")):
        first, second = written(tmp_path, suffix, table).splitlines()[1:]
        assert (first.replace('"', ""), second) == (f"{as_csv}{delimiter}1", f"{delimiter}2")


def test_nested_dates_and_numbers(tmp_path: Path) -> None:
    deep = {"days": [date(2021, 1, 11), None], "at": {"time": time(1, 2), "price": Decimal("0.50")}}
    table = pa.table({
        "deep": [deep, None],
        "map": pa.array([[("k", AT)], []], pa.map_(pa.string(), pa.timestamp("us"))),
        "ids": pa.array([uuid.UUID(int=7).bytes, None], pa.uuid()),
    })  # fmt: skip
    first, second = (json.loads(line) for line in written(tmp_path, ".jsonl", table).splitlines())
    assert first["deep"] == {"days": ["2021-01-11", None], "at": {"time": "01:02:00.000000", "price": "0.50"}}
    assert first["map"] == {"k": "2021-01-11T10:30:00.250000"}
    assert first["ids"] == str(uuid.UUID(int=7))
    assert second == {"deep": None, "map": {}, "ids": None}


@pytest.mark.parametrize(
    ("suffix", "column", "message"),
    [
        (".jsonl", pa.array([b"\xff"]), r"\.jsonl cannot hold these columns \(odd: binary\); use \.parquet$"),
        (".jsonl", pa.array([[b"ab"]], pa.list_(pa.binary(2))), r"\(odd: list<.*>\); use \.parquet$"),
        (".jsonl", pa.array([[(1, 2)]], pa.map_(pa.int8(), pa.int8())), r"\(odd: map<int8, int8.*\); use \.parquet$"),
        (".jsonl", pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int8())), r"\(odd: .*\); use \.parquet$"),
        (".jsonl", pa.array([2**40], pa.timestamp("s")), r"\(odd: .* out of range\); use \.parquet or \.csv"),
        (".jsonl", pa.array([float("nan")]), r"\(odd: .*JSON.*\); use \.parquet or \.csv"),
        (".csv", pa.array([b"ab"]), r"\.csv cannot hold these columns \(odd: binary\); use \.parquet$"),
        (".tsv", pa.array([{"a": 1}]), r"\.tsv cannot hold .* \(odd: struct<.*>\); use \.parquet or \.jsonl"),
        (".parquet", pa.array([{}]), r"\.parquet cannot hold these columns .*; use \.jsonl"),
    ],
)  # fmt: skip
def test_what_a_form_cannot_hold_is_named(tmp_path: Path, suffix: str, column: pa.Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        written(tmp_path, suffix, pa.table({"fine": [1], "odd": column}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_number_is_no_formula(tmp_path: Path, suffix: str) -> None:
    plain = ["-1", "+4.5", "-1e3", "-.5", "-1,000.50", "+7%", "-inf", "-", "a-1", "", "1", "-1E+10"]
    formulas = ["=1", "-e5", "+a", "-1+2", "@x", "--1", "\t1", "-1\n=2", "－1", "+49 30"]
    table = pa.table({"cell": plain + formulas, "-1": ["x"] * 22, "-a": ["x"] * 22, "n": range(22)})
    changed = write_export(tmp_path / f"out{suffix}", table, np.arange(22))
    assert changed == {"cell": len(formulas), "-a": 1}
    read = pd.read_csv(
        tmp_path / f"out{suffix}", sep="\t" if suffix == ".tsv" else ",", dtype=str, keep_default_na=False
    )
    assert read["cell"].tolist() == [*plain, *("'" + text for text in formulas)]
    assert read.columns.tolist() == ["cell", "-1", "'-a", "n"]
