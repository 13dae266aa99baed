"""Every form holds the same rows; nothing that stands there is lost unasked."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hprune.storage.exports import SUFFIXES, check_target, write_export

TEXTS = ["plain", 'a "quoted" word', "comma, tab\t and\nnewline", "é 漢 🙂", " spaces ", "NA", "007", "'", "\\n"]
TABLE = pa.table(
    {
        "text": TEXTS,
        "label": [0, 1, 2] * 3,
        "sample_id": pa.array(range(0, 18, 2), pa.int64()),
        "h_score": pa.array([3] * 9, pa.int16()),
    }
)
ROWS = TABLE.to_pylist()
IDS = TABLE["sample_id"].to_numpy()


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_csv_comes_back(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    write_export(out, TABLE, IDS)
    read = pd.read_csv(out, sep="\t" if suffix == ".tsv" else ",", dtype={"text": str}, keep_default_na=False)
    assert read.to_dict("records") == ROWS


def test_parquet_comes_back(tmp_path: Path) -> None:
    write_export(tmp_path / "out.parquet", TABLE, IDS)
    assert pq.read_table(tmp_path / "out.parquet").equals(TABLE)


def test_json_lines_come_back(tmp_path: Path) -> None:
    write_export(tmp_path / "out.jsonl", TABLE, IDS)
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == ROWS


def test_ids_come_back(tmp_path: Path) -> None:
    write_export(tmp_path / "out.ids", TABLE, IDS)
    assert [int(line) for line in (tmp_path / "out.ids").read_text().split()] == TABLE["sample_id"].to_pylist()


def test_a_saved_data_set_comes_back_and_is_replaced(tmp_path: Path) -> None:
    for table in (TABLE, TABLE.slice(3)):
        write_export(tmp_path / "out", table, IDS)
        assert datasets.load_from_disk(str(tmp_path / "out")).to_list() == table.to_pylist()
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix != ".ids"])
def test_a_failure_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    write_export(out, TABLE, IDS)
    before = out.read_bytes()
    odd = pa.table({"x": pa.array([[1]]), "y": pa.array([b"\xff"])})  # lists and bytes
    if suffix == ".parquet":
        odd = pa.table({"x": pa.array([None], pa.month_day_nano_interval())})
    with pytest.raises((ValueError, TypeError)):
        write_export(out, odd, IDS)
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_a_failure_leaves_the_old_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_export(tmp_path / "out", TABLE, IDS)

    def half(self: datasets.Dataset, folder: Path) -> None:
        Path(folder).mkdir()
        raise OSError("disk full")

    monkeypatch.setattr(datasets.Dataset, "save_to_disk", half)
    with pytest.raises(OSError, match="disk full"):
        write_export(tmp_path / "out", TABLE.slice(3), IDS)
    assert datasets.load_from_disk(str(tmp_path / "out")).to_list() == ROWS
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["out.xlsx", "out.json", "out.CSV", "v1.2"])
def test_an_unknown_form_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must end in one of \.parquet, .* or have no suffix"):
        check_target(tmp_path / name, overwrite=True)


@pytest.mark.parametrize("name", ["out", *(f"out{suffix}" for suffix in SUFFIXES)])
def test_what_stands_there_is_replaced_only_when_asked(tmp_path: Path, name: str) -> None:
    check_target(tmp_path / name, overwrite=False)
    write_export(tmp_path / name, TABLE, IDS)
    with pytest.raises(ValueError, match=rf"{name} exists and is not replaced; .*overwrite=true"):
        check_target(tmp_path / name, overwrite=False)
    check_target(tmp_path / name, overwrite=True)


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(ValueError, match="is a folder, but not of a saved data set, and is never replaced"):
        check_target(tmp_path, overwrite=True)
