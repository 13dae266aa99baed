"""A sheet comes back whatever a spreadsheet made of its form; lines are named as an editor counts them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hprune.science.triage import Line
from hprune.storage.exports import write_export
from hprune.storage.sheets import check_sheet, read_sheet

TABLE = pa.table(
    {
        "decision": pa.array([None, "drop", "relabel"]), "new_label": pa.array([None, None, "yes"]),
        "sample_id": [4, 7, 9], "text": ["=1+1", 'two\nlines, "quoted"', "word " * 50_000],
    }
)  # fmt: skip
CELLS = [("4", "", ""), ("7", "drop", ""), ("9", "relabel", "yes")]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_what_was_written_comes_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sheet{suffix}"
    write_export(path, TABLE, TABLE["sample_id"].to_numpy())
    lines = read_sheet(path)
    assert [(one.sample_id, one.decision, one.new_label) for one in lines] == CELLS
    where = ["row 1", "row 2", "row 3"] if suffix == ".parquet" else ["line 2", "line 3", "line 5"]
    assert [one.where for one in lines] == where


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffsample_id;text;decision;new_label\r\n4;a, b, c;;\r\n7;x;drop;\r\n\r\n9;y;relabel;yes\r\n",
        "new_label\tdecision\tsample_id\n\t\t4\n\tdrop\t7\nyes\trelabel\t9",
        'sample_id, decision ,new_label\n4,,\n,,\n7,drop,\n9,relabel,"yes"\n',
        'sample_id,decision,new_label,"a;b;c;d;e"\n4,,,x\n7,drop,,x\n9,relabel,yes,x\n',
    ],
)
def test_what_spreadsheets_make_of_it_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "sheet.csv").write_text(text, encoding="utf-8", newline="")
    assert [(one.sample_id, one.decision, one.new_label) for one in read_sheet(tmp_path / "sheet.csv")] == CELLS


def test_numbers_of_a_parquet_sheet_are_texts(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"sample_id": [4.0], "decision": ["drop"], "new_label": pa.nulls(1)}), tmp_path / "s.parquet"
    )
    assert read_sheet(tmp_path / "s.parquet") == [Line("row 1", "4.0", "drop", "")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"sample_id,decision\n1,keep\n", r"must have one column new_label, it has sample_id, decision; .* first line"),
        (b"", r"must have one column sample_id, it has none"),
        (b"sample_id,decision,new_label,decision\n", r"must have one column decision"),
        (b"sample_id,decision,new_label\n1,keep,\n2\n", r"line 3: it has 1 cells of 3"),
        (b'sample_id,decision,new_label\n1,keep,"x\n', r"is not readable as csv \(unexpected end of data\)"),
        ("sample_id,decision,new_label\n1,relabel,é\n".encode("latin-1"), r"is not UTF-8 .*; save it as CSV in UTF-8"),
    ],
)  # fmt: skip
def test_what_is_no_sheet_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "sheet.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_sheet(tmp_path / "sheet.csv")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"read=.*sheet\.csv: there is no such file; write the sheet first, with out="):
        read_sheet(tmp_path / "sheet.csv")
    with pytest.raises(ValueError, match=r"out=.*s\.xlsx must be a sheet and end in one of \.csv, \.tsv, \.parquet"):
        check_sheet(tmp_path / "s.xlsx", "out")
    (tmp_path / "s.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match=r"read=.*s\.parquet is not readable as parquet"):
        read_sheet(tmp_path / "s.parquet")
