"""Tables of H lie side by side if they belong together, under what tells them apart; what does not is not mixed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hprune.reporting.cells import gather
from hprune.reporting.growth import growth_figures
from hprune.reporting.sensitivity_page import print_cells, render_cells
from hprune.science.scores.h_score import h_score
from hprune.score import ScoreSpec, score_study
from hprune.storage.runs import state_of
from hprune.storage.studies import runs_of
from tests.reporting.conftest import SCORING, study_of

H = ScoreSpec("h_score", h_score, "easier")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies of 12 and 18 samples, and the larger one in another precision, too."""
    folder = tmp_path_factory.mktemp("cells")
    small, large = (study_of(folder, f"n{n}", [f"sample {i}" for i in range(n)]) for n in (12, 18))
    for study in (small, large, replace(large, name="bf16", settings=(("precision", "bf16"),))):
        study.runs("full", SCORING)
        score_study(study.root, study.name, H)
    return small.root


def test_settings_that_differ_are_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = gather(root, ["n12", "n18", "bf16"], name="all")
    differs = {(line["samples"], *line["differs"]) for line in report["lines"]}
    assert differs == {(12, "precision=None"), (18, "precision=None"), (18, "precision=bf16")}
    print_cells(report)
    out = capsys.readouterr().out
    assert out.count("precision=None") == 2
    assert out.count("precision=bf16") == 1
    alone = gather(root, ["n12", "n18"], name="alone")
    assert [line["differs"] for line in alone["lines"]] == [[], []], "the number of samples is said anyhow"


def test_a_curve_is_of_one_kind_of_run(root: Path) -> None:
    report = gather(root, ["n12", "n18", "bf16"], name="all")
    figures = [str(figure["figure"]) for figure in growth_figures(report)]
    assert len(figures) == 2, "share and hardest; no arm was trained"
    assert all("precision=None" in svg and "precision=bf16" not in svg for svg in figures), "one size makes no curve"
    assert all(svg in render_cells(report) for svg in figures)
    assert not list(growth_figures(gather(root, ["n18", "bf16"], name="one size")))


def test_tasks_have_tables_of_their_own(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = gather(root, ["n12", "n18"], name="tasks")
    other = [{**line, "task": "other"} for line in report["lines"]]
    report["lines"] += other
    print_cells(report)
    out = capsys.readouterr().out
    assert out.count("own, none: by samples and way of measuring") == 1
    assert out.count("other, none: by samples and way of measuring") == 1
    names = [figure["figure"] for figure in growth_figures(report)]
    assert all("own none" in str(svg) and "other none" in str(svg) for svg in names)


def test_a_table_that_two_studies_share_is_there_once(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "r")
    shutil.copytree(tmp_path / "r/studies/n12", tmp_path / "r/studies/again")
    (line,) = gather(tmp_path / "r", ["n12", "again"], name="shared")["lines"]
    assert [cell["study"] for cell in line["cells"]] == ["n12"]


def test_a_table_whose_runs_are_not_complete_is_left_out_by_name(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(root, tmp_path / "r")
    gone: Any = next(run.path for run in runs_of(tmp_path / "r", "n12") if run.key.seed == SCORING[0])
    (gone / "run.json").unlink()
    assert state_of(gone) != "done"
    report = gather(tmp_path / "r", ["n12", "n18"], name="rest")
    assert [line["samples"] for line in report["lines"]] == [18]
    assert "h_score.parquet is left out: only 2 of the 3 runs behind it are complete" in caplog.text
    with pytest.raises(ValueError, match="no H-score table in n12 whose runs are complete: score them first"):
        gather(tmp_path / "r", ["n12"], name="none")
