"""Studies whose samples are parts of a row, windows or options: scored, pruned, reported and exported by part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hprune.science.units import PARTS
from hprune.storage.scores import load_scores
from tests.conftest import TINY_MODEL
from tests.local_hub import ROWS

Command = Callable[..., "tuple[int, str, str]"]
UNITS = {
    "squad_v2": ("window", ["data.max_length=40", "task.kind.stride=8"]),
    "race": ("option", ["data.max_length=64"]),
}


@pytest.fixture(scope="module", params=UNITS)
def study(
    request: pytest.FixtureRequest, hub: Path, tmp_path_factory: pytest.TempPathFactory, run_command: Command
) -> tuple[str, Path]:
    """A finished study of parts."""
    task, root = request.param, tmp_path_factory.mktemp("parts")
    unit, options = UNITS[task]
    code, _, err = run_command(
        "study", f"task={task}", f"task.data_dir={hub / task}", f"task.kind.unit={unit}", "model=tiny_roberta",
        *TINY_MODEL, "model.config.intermediate_size=32", *options, "trainer.threads=1", "trainer.max_epochs=1",
        "optim.lr=5e-3", "data.batch_size=4", "scoring.seeds=[1,2]", "comparison.seeds=[11]", "study=s",
        "arms.winning_ticket.keep=0..1", f"paths.root={root}", "arms.winning_ticket.allow_missing_class=true",
        "arms.random_like.keep=0..1", "arms.random_like.allow_missing_class=true",
    )  # fmt: skip
    assert code == 0, err
    return task, root


def test_every_part_has_a_score(study: tuple[str, Path]) -> None:
    task, root = study
    ids = load_scores(root / "studies/s/scores/h_score.parquet").sample_ids
    rows, parts = np.divmod(ids, PARTS)
    assert sorted(set(rows.tolist())) == list(range(ROWS))
    for row in range(ROWS):
        own = parts[rows == row].tolist()
        assert own == list(range(len(own)))
        assert len(own) == 4 if task == "race" else len(own) > 1


def test_the_report_counts_parts_by_class(study: tuple[str, Path]) -> None:
    task, root = study
    report = json.loads((root / "studies/s/report.json").read_text())
    names = ["wrong", "right"] if task == "race" else ["unanswerable", "answerable"]
    assert report["label_names"] == names
    values = report["histogram"]["h_score"]["values"]
    assert sum(value["count"] for value in values) == report["full_samples"] > ROWS
    by_class = {name: sum(value["by_class"][name] for value in values) for name in names}
    if task == "race":
        assert by_class == {"wrong": 3 * ROWS, "right": ROWS}
    assert report["primary_metric"] == ("accuracy" if task == "race" else "f1")
    assert {row["eval_set"] for row in report["rows"]} == ({"validation", "test"} if task == "race" else {"validation"})


def test_an_export_holds_the_row_of_each_part(
    study: tuple[str, Path], hub: Path, tmp_path: Path, run_command: Command
) -> None:
    task, root = study
    out = tmp_path / "pruned.parquet"
    code, _, err = run_command(
        "export", "study=s", "subset.keep=0..1", "subset.allow_missing_class=true", f"out={out}", f"paths.root={root}"
    )
    assert code == 0, err
    table, original = pq.read_table(out), pq.read_table(hub / task / "train.parquet")
    scores = load_scores(root / "studies/s/scores/h_score.parquet")
    assert table["sample_id"].to_pylist() == scores.sample_ids[scores.values <= 1].tolist()
    assert table.select(original.column_names).to_pylist() == original.take(table["row"]).to_pylist()
    rows, parts = np.divmod(table["sample_id"].to_numpy(), PARTS)
    assert (table["row"].to_pylist(), table["part"].to_pylist()) == (rows.tolist(), parts.tolist())
    if task == "squad_v2":
        for row in table.to_pylist():
            assert 0 <= row["start"] < row["end"] <= len(row["context"])


def test_parts_are_kept_or_dropped_by_hand_and_not_relabelled(
    study: tuple[str, Path], tmp_path: Path, run_command: Command
) -> None:
    task, root = study
    sheet, place = tmp_path / "sheet.parquet", (f"paths.root={root}", "study=s")
    code, _, err = run_command("triage", *place, f"out={sheet}", "values=0..S")
    assert code == 0, err
    table = pq.read_table(sheet)
    assert {"row", "part", "options" if task == "race" else "answers"} <= set(table.column_names)
    assert table["suggested"].null_count == table.num_rows
    gone = table["sample_id"][0].as_py()

    def filled_in(decision: str) -> None:
        column = pa.array([decision, *[None] * (table.num_rows - 1)], pa.string())
        pq.write_table(table.set_column(0, "decision", column), sheet)

    filled_in("relabel")
    code, _, err = run_command("triage", *place, f"read={sheet}")
    assert code == 1
    assert "row 1: samples of this study cannot be relabelled, as they are parts of a row" in err
    filled_in("drop")
    code, _, err = run_command("triage", *place, f"read={sheet}", f"out={tmp_path}/c.parquet")
    assert code == 1
    assert "a table of rows cannot leave out a part" in err
    code, _, err = run_command("triage", *place, f"read={sheet}")
    assert code == 0, err
    scores = load_scores(root / "studies/s/scores/triaged.parquet")
    assert scores.sample_ids[scores.values == 0].tolist() == [gone]


def test_parts_of_one_row_are_no_duplicates(study: tuple[str, Path]) -> None:
    report = json.loads((study[1] / "studies/s/report.json").read_text())
    assert report["duplicates"]["train"]["samples"] <= ROWS
    assert sum(entry["count"] for entry in report["duplicates"]["by_h"]) == report["full_samples"]
