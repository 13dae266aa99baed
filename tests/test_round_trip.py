"""Random tables come back from every form cell by cell; `benchmarks/round_trip.py` does it ten thousand times."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from benchmarks.round_trip import Case, check, tables


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(tables())
def test_every_cell_comes_back(tmp_path: Path, case: Case) -> None:
    assert check(case, tmp_path).total() > 0


@pytest.mark.parametrize("source", [".csv", ".tsv"])
def test_what_is_only_carried_along_comes_out_as_it_came(tmp_path: Path, source: str) -> None:
    columns = (
        ("000037", "000000"), ("10000000000000000977", "10000000000000001954"), ("10:31", "10:30"), ("1.50", "0.5"),
        ("FALSE", "TRUE"), ("2021-01-11", "NA"), ("-1", "+4.5"), ('"', "a\tb\r\n,c"),
    )  # fmt: skip
    names = tuple(f"column {i}" for i in range(len(columns)))
    counts = check(Case(source, names, (pa.string(),) * len(columns), columns, "escape"), tmp_path)
    assert {name for name in counts if "refused" in name} == set()
    assert counts[".jsonl"] == 18
