"""Every form holds the same rows; nothing that stands there is lost unasked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hprune.own_sources import note_sources
from hprune.science.records import RunKey, Scores
from hprune.storage.exports import SUFFIXES, check_target, provenance_path, write_export
from hprune.storage.publish import digests_of
from hprune.storage.runs import finish_run, run_folder, start_run
from hprune.storage.scores import save_scores, score_path
from hprune.storage.studies import add_run
from hprune.tasks.classification import Classification
from hprune.tasks.load import load_task
from hprune.tasks.spec import TaskSpec

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


def test_infinite_scores_go_where_they_can_be_written(tmp_path: Path) -> None:
    table = pa.table({"forgetting": pa.array([0.0, np.inf], pa.float32())})
    for suffix, read in ((".parquet", pd.read_parquet), (".csv", pd.read_csv)):
        write_export(tmp_path / f"out{suffix}", table, IDS[:2])
        assert read(tmp_path / f"out{suffix}")["forgetting"].tolist() == [0, np.inf]
    with pytest.raises(ValueError, match=r"\.jsonl cannot hold these columns \(.*JSON.*\); use \.parquet or \.csv"):
        write_export(tmp_path / "out.jsonl", table, IDS[:2])
    assert not (tmp_path / "out.jsonl").exists()


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
        check_target(tmp_path / name)


@pytest.mark.parametrize("name", ["out", *(f"out{suffix}" for suffix in SUFFIXES)])
def test_what_stands_there_is_replaced_only_when_asked(tmp_path: Path, name: str) -> None:
    """What would be written is there: nothing to do; anything else is kept, until it is said that it may go."""
    out, facts = tmp_path / name, {"study": "s"}
    for _ in range(2):
        write_export(out, TABLE, IDS, provenance=facts, overwrite=False)
        before = digests_of(tmp_path)
        assert provenance_path(out).exists()
    with pytest.raises(ValueError, match=rf"{name} exists and is not replaced, .*overwrite=true"):
        write_export(out, TABLE.slice(3), IDS[3:], provenance=facts, overwrite=False)
    with pytest.raises(ValueError, match=rf"{name}\.provenance\.json exists and is not replaced, .*overwrite=true"):
        write_export(out, TABLE, IDS, provenance={"study": "t"}, overwrite=False)
    assert digests_of(tmp_path) == before
    write_export(out, TABLE.slice(3), IDS[3:], provenance=facts)
    assert digests_of(tmp_path) != before


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(ValueError, match="is a folder, but not of a saved data set, and is never replaced"):
        check_target(tmp_path)


# --- the command, on a study that has one complete run and a score


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, Path]:
    """A root with study `s` of a CSV file, and that file: labels no, yes, ..; scores 0, 1, 2, 0, .. of 2 runs."""
    root, file = tmp_path / "root", tmp_path / "mine.csv"
    file.write_text("text,label\n" + "".join(f"t{i},{['no', 'yes'][i % 2]}\n" for i in range(40)))
    source = {"train_file": str(file), "validation_file": str(file)}
    data = load_task(TaskSpec("own", Classification(), **source))
    folder = run_folder(root, RunKey("own", "tiny", "full", 1), {"subset": {"rule": "everything"}})
    start_run(folder)
    kind = {"_target_": "hprune.tasks.classification.Classification"}
    task = {"_target_": "hprune.tasks.spec.TaskSpec", "name": "own", "kind": kind, **source}
    facts = {
        "data_hash": data.data_hash, "label_names": ["no", "yes"], "samples": 40, "full_samples": 40, "subset": {},
        "primary_metric": "accuracy", "metrics": {}, "cost": {"train_seconds": 1.0}, "versions": {},
        "config": {"task": task},
    }  # fmt: skip
    finish_run(folder, facts)
    note_sources(root, {"task": task})  # as the command that trains does
    add_run(root, "s", folder, "scoring", (1, 2))
    values = (np.arange(40) % 3).astype(np.int16)
    scores = Scores("h_score", np.arange(40), values, "easier", (1, 2), 1, "train_pass", data.data_hash, {})
    save_scores(score_path(root, "s", "h_score"), scores)
    return root, file


Command = Callable[..., tuple[int, str, str]]


def test_provenance_says_what_was_chosen_from_what(study: tuple[Path, Path], run_command: Command) -> None:
    root, file = study
    for subset in ("winning_ticket", "full"):
        out = root / f"{subset}.ids"
        code, _, err = run_command(
            "export", "study=s", f"subset={subset}", f"out={out}", "seed=7", f"paths.root={root}"
        )
        assert code == 0, err
        told, kept = json.loads(provenance_path(out).read_text()), [int(line) for line in out.read_text().split()]
        assert (told["study"], told["task"], told["model"]) == ("s", "own", "tiny")
        assert told["source"] == {"files": {"train": str(file), "validation": str(file)}}
        ticket = subset == "winning_ticket"
        assert told["selection"] == {
            "subset": subset, "rule": "by_value" if ticket else "everything", "keep": "1..S-1" if ticket else None,
            "fraction": None, "size": None, "balance": None, "seed": 7,
        }  # fmt: skip
        assert kept == [i for i in range(40) if i % 3 == 1 or not ticket]
        odd = sum(i % 2 for i in kept)
        even = len(kept) - odd
        assert told["labels"] == {
            "no": {"kept": even, "removed": 20 - even}, "yes": {"kept": odd, "removed": 20 - odd}
        }  # fmt: skip
        assert (told["samples"], told["full_samples"]) == (len(kept), 40)


@pytest.mark.parametrize("subset", ["full", "winning_ticket"])
def test_data_that_changed_since_the_study_is_refused(
    study: tuple[Path, Path], run_command: Command, subset: str
) -> None:
    root, file = study
    file.write_text(file.read_text().replace("t7,", "t7!,"))
    code, _, err = run_command("export", "study=s", f"subset={subset}", f"out={root}/x.csv", f"paths.root={root}")
    assert code == 1
    assert "the train split changed since study 's' was run" in err
    assert not (root / "x.csv").exists()
