"""Sensitivity: cells are scores of parts of the same runs, nothing is trained twice, one command tells."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from hprune.command import CONF
from hprune.composition import composed
from hprune.grid import Grid, grid_of
from hprune.reporting.cells import gather
from hprune.reporting.sensitivity_page import print_cells
from hprune.science.overlap import overlap
from hprune.science.scores.h_score import h_score
from hprune.score import ScoreSpec, score_study
from hprune.sensitivity import studies_named
from hprune.storage.manifests import read_results
from hprune.storage.runs import load_record
from hprune.storage.scores import load_scores
from hprune.storage.studies import runs_of

Command = Callable[..., "tuple[int, str, str]"]
SCORE = ScoreSpec("h_score", h_score, "easier", seeds=[1, 2, 3, 4, 5, 6, 7, 8])


def test_cells_are_all_combinations_but_the_score_itself() -> None:
    grid = Grid(runs=[2, 4, 6, 8], epochs=[2, 3, 4])
    cells = grid.cells(SCORE, epochs=4)
    assert len(cells) == 11
    assert {(cell.runs or 8, cell.epochs or 4) for cell in cells.values()} | {(8, 4)} == {
        (runs, epochs) for runs in (2, 4, 6, 8) for epochs in (2, 3, 4)
    }
    assert all(table == cell.table for table, cell in cells.items())
    assert grid.retrained(SCORE, epochs=4) == ["h_score-S2-E2", "h_score-S2", "h_score-E2"]
    assert len(Grid([2, 4, 6, 8], [2, 3, 4], retrain="all").retrained(SCORE, epochs=4)) == 11
    assert Grid([2, 4, 6, 8], [2, 3, 4], retrain="none").retrained(SCORE, epochs=4) == []
    assert Grid().cells(SCORE, epochs=4) == {}


def test_ways_skipped_epochs_and_groups_are_axes_too() -> None:
    ways = Grid(skip_epochs=[0, 1], measured=["train_pass", "eval_pass"])
    assert set(ways.cells(SCORE, epochs=3)) == {"h_score-skip1", "h_score-eval_pass", "h_score-skip1-eval_pass"}
    assert len(ways.retrained(SCORE, epochs=3)) == 3
    groups = Grid(seeds=[[1, 2, 3], [4, 5, 6], [1, 2, 3, 4, 5, 6, 7, 8]])
    assert {table: cell.seeds for table, cell in groups.cells(SCORE, epochs=3).items()} == {
        "h_score-seeds1+2+3": [1, 2, 3],
        "h_score-seeds4+5+6": [4, 5, 6],
    }


def test_a_cell_that_is_called_h_score_keeps_its_own_table(tiny: list[str]) -> None:
    """As where the study's own score is of the clean pass, or leaves out an epoch."""
    ways = ["record=both", "score.measured=eval_pass", "sensitivity.measured=[train_pass,eval_pass]"]
    skips = ["score.skip_epochs=1", "sensitivity.skip_epochs=[0,1]"]
    for own, options in (("h_score-eval_pass", ways), ("h_score-skip1", skips)):
        with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
            made = composed(compose("study", overrides=[*tiny, *options]))
        tickets = [run.subset.scores for run in made.comparison_runs() if run.subset.name == "winning_ticket"]
        random = [run.subset.sized_by for run in made.comparison_runs() if run.subset.name == "random_like"]
        assert tickets == random == [own] * 2 + ["h_score"] * 2


def test_arms_of_given_classes_are_chosen_by_the_table_of_their_cell(tiny: list[str]) -> None:
    names = ("random_same_classes", "random_stratified", "winning_ticket_stratified", "keep_2_5", "ambiguous")
    options = [f"+subset@arms.{name}={name}" for name in names]
    options += ["arms.keep_2_5.keep=1..S-1", "arms.keep_2_5.balance=equal", "sensitivity.runs=[2]"]
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        made = composed(compose("study", overrides=[*tiny, *options]))
    of_table = {arm.subset.name: (arm.subset.scores, arm.subset.sized_by) for arm in made.cell_arms}
    assert of_table == {
        **dict.fromkeys(("winning_ticket", *names[:1], *names[2:4]), ("h_score-S2", None)),
        **dict.fromkeys(("random_like", "random_stratified"), (None, "h_score-S2")),
    }
    kept = {arm.subset.name: arm.subset.balance for arm in made.cell_arms}
    assert (kept["winning_ticket_stratified"], kept["keep_2_5"], kept["random_stratified"]) == (
        "share",
        "equal",
        "share",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runs": 2}, r"sensitivity.runs must be a list, or null for the score's own, got 2"),
        ({"runs": []}, r"sensitivity.runs must be a list"),
        ({"epochs": [0]}, r"sensitivity.epochs"),
        ({"skip_epochs": [-1]}, r"sensitivity.skip_epochs"),
        ({"measured": ["test_pass"]}, r"must list ways of train_pass, eval_pass, out_of_fold, got 'test_pass'"),
        ({"seeds": [1, 2]}, r"sensitivity.seeds must be a list of whole numbers"),
        ({"retrain": "some"}, r"sensitivity.retrain must be corners, all or none, got 'some'"),
        ({"sizes": [1]}, r"sensitivity must have no keys but runs, epochs"),
    ],
)
def test_what_is_no_grid_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grid_of(OmegaConf.create(options))


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (Grid(runs=[9]), r"sensitivity.runs asks for 9 of 8 scoring runs; give more scoring.seeds, or ask for fewer"),
        (Grid(runs=[3], seeds=[[1, 2]]), r"sensitivity.runs asks for 3 of the 2 of \[1, 2\] \(sensitivity.seeds\)"),
        (Grid(epochs=[5]), r"asks for the first 5 of 4 epochs"),
        (Grid(epochs=[2], skip_epochs=[2]), r"first 2 of 4 epochs, without 2 at the start: give a longer"),
        (Grid(seeds=[[8, 9]]), r"sensitivity.seeds asks for the runs \[8, 9\], but those that score are \[1, 2"),
    ],
)
def test_more_than_there_is_is_refused(grid: Grid, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grid.cells(SCORE, epochs=4)


def test_groups_are_measured_against_all_that_the_score_asks_for() -> None:
    with pytest.raises(ValueError, match=r"score.runs asks for 6 of the 3 of \[1, 2, 3\] \(sensitivity.seeds\)"):
        Grid(seeds=[[1, 2, 3]]).cells(replace(SCORE, runs=6), epochs=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["sensitivity.runs=[1,2]"], "arm winning_ticket by h_score-S1, of 1 scoring run: keep=1..S-1 is empty"),
        (["+subset@arms.narrow=keep_2_5"], "arm keep_2_5 by h_score, of 3 scoring runs: keep=2..5 asks for [4, 5]"),
        (
            ["+subset@arms.same=random_same_classes", "arms.same.keep=2..5"],
            "arm random_same_classes by h_score, of 3 scoring runs: keep=2..5 asks for [4, 5]",
        ),
        (["scoring.seeds=[1]"], "arm winning_ticket by h_score, of 1 scoring run: keep=1..S-1 is empty"),
    ],
)
def test_a_keep_set_that_no_score_can_fill_is_refused_before_anything_is_trained(
    options: list[str], message: str, tiny: list[str], run_command: Command, tmp_path: Path
) -> None:
    for command in ("study", "plan"):
        code, _, err = run_command(command, *tiny, *options, f"paths.root={tmp_path}")
        assert code == 1
        assert message in err
        assert not (tmp_path / "runs").exists()


def test_one_run_is_enough_to_look_at(tiny: list[str]) -> None:
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        made = composed(compose("study", overrides=[*tiny, "sensitivity.runs=[1,2]", "sensitivity.retrain=none"]))
    assert [cell.table for cell in made.cells] == ["h_score-S1", "h_score-S2"]
    assert made.cell_arms == []


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tiny: list[str], run_command: Command) -> Path:
    """Runs of 1 and of 2 epochs with their own schedules, then the grid over those of 2: as a user types it."""
    root = tmp_path_factory.mktemp("sensitivity")
    options = [option for option in tiny if not option.startswith(("trainer.max_epochs", "scoring."))]
    options += [f"paths.root={root}", "comparison.seeds=[11]", "task.max_train_samples=60", "at_once=1"]
    options += ["scoring.seeds=[1,2,3,4]", "sensitivity.runs=[2,3,4]"]
    options += [f"arms.{arm}.allow_missing_class=true" for arm in ("winning_ticket", "random_like")]
    sweep = ["-m", "+experiment=sensitivity_epochs", *options, "trainer.max_epochs=1,2", "sensitivity.retrain=none"]
    code, out, err = run_command("study", *sweep, "~arms.random_like")
    assert code == 0, err
    assert "Launching 2 jobs" in out, "the command line replaces the experiment's own sweep"
    grid = ["+experiment=sensitivity_runs", *options, "trainer.max_epochs=2", "sensitivity.epochs=[1,2]"]
    grid += ["comparison.budgets=[epochs,steps]"]
    code, _, err = run_command("study", *grid)
    assert code == 0, err
    return root


def test_nothing_is_trained_twice(root: Path) -> None:
    """4 runs for each number of epochs, whatever number of cells looks at them."""
    studies = ("sensitivity_E1", "sensitivity_E2", "sensitivity_runs")
    scoring = {run.path for study in studies for run in runs_of(root, study, "scoring")}
    epochs = Counter(read_results(path)["settings"]["trainer"]["max_epochs"] for path in scoring)
    assert epochs == {1: 4, 2: 4}
    everything = {path.parent for path in root.glob("runs/*/*/full-*/seed=*/run.json")}
    assert len(everything) == 8 + 2, "and one of the full set to compare with"


def test_each_cell_is_the_score_of_its_runs_and_epochs(root: Path) -> None:
    runs = {run.key.seed: load_record(run.path, "train_pass") for run in runs_of(root, "sensitivity_runs", "scoring")}
    tables = {path.stem: load_scores(path) for path in root.glob("studies/sensitivity_runs/scores/h_score*.parquet")}
    ours = [table for table in tables.values() if table.measured == "train_pass"]
    assert {(table.runs, table.epochs) for table in ours} == {(s, e) for s in (2, 3, 4) for e in (1, 2)}
    for table in ours:
        right = np.stack([runs[seed].correct[: table.epochs] for seed in sorted(runs)[: table.runs]])
        assert table.values.tolist() == right.all(axis=1).sum(axis=0).tolist()


def test_the_corners_are_trained_on(root: Path) -> None:
    chosen = {run.path: read_results(run.path) for run in runs_of(root, "sensitivity_runs", "comparison")}
    tickets = {run["subset"]["scores"] for run in chosen.values() if run["key"]["subset"] == "winning_ticket"}
    named = {"h_score", "h_score-S2", "h_score-E1", "h_score-S2-E1"}
    assert tickets <= named
    digests = {load_scores(root / f"studies/sensitivity_runs/scores/{name}.parquet").digest for name in named}
    trained = {run["settings"]["subset"]["scores"] for run in chosen.values() if run["subset"].get("scores")}
    assert trained == digests, "corners that hold the same samples share a run"
    random = {run["samples"] for run in chosen.values() if run["key"]["subset"] == "random_like"}
    assert random == {run["samples"] for run in chosen.values() if run["key"]["subset"] == "winning_ticket"}


def test_the_command_puts_the_cells_side_by_side(root: Path, run_command: Command) -> None:
    code, out, err = run_command("sensitivity", "study=[sensitivity_*]", "name=all", f"paths.root={root}")
    assert code == 0, err
    report = json.loads((root / "sensitivity/all/sensitivity.json").read_text())
    page = (root / "sensitivity/all/sensitivity.html").read_text()
    assert "http" not in page.replace("http://www.w3.org/", "").replace("http-equiv", "")
    lines = {(line["measured"], line["trained_epochs"]): line for line in report["lines"]}
    assert set(lines) == {("train_pass", 2), ("train_pass", None), ("eval_pass", None)}
    prefixes, own = lines["train_pass", 2]["cells"], lines["train_pass", None]["cells"]
    assert {(cell["S"], cell["E"]) for cell in own} == {(s, e) for s in (2, 3, 4) for e in (1, 2)}
    for cell in prefixes:
        counts = cell["histogram"]
        assert (sum(counts), sum(counts[1:-1])) == (60, cell["size"])
        assert cell["share"] == cell["size"] / 60
    last = prefixes[-1]
    assert (last["S"], last["E"], last["jaccard"]) == (4, 2, 1.0)
    assert {(cell["S"], cell["E"]) for cell in prefixes if cell["arms"]} >= {(2, 1), (4, 1), (2, 2), (4, 2)}
    for line in report["lines"]:
        for cell in line["cells"]:
            assert [arm["budget"] for arm in cell["arms"]] in ([], ["epochs", "steps"])
            assert cell["E"] == cell["trained_epochs"] or line["trained_epochs"] is not None
    assert "training pass: the first epochs of runs of 2" in out
    assert "2  1 of 2" in out
    row, under = next((one, two) for one, two in pairwise(out.splitlines()) if two.split()[:1] == ["steps"])
    assert "epochs" in row, "a row for each budget, the cell named once"
    assert under.index("steps") == row.index("epochs")
    assert page.count("<svg") >= 5


def test_the_cost_of_a_cell_is_what_its_runs_took_up_to_its_last_epoch(root: Path) -> None:
    report = gather(root, ["sensitivity_runs", "sensitivity_E1"], name="cost")
    runs = {run.key.seed: read_results(run.path)["cost"] for run in runs_of(root, "sensitivity_runs", "scoring")}
    full = np.mean([cost["train_flops"] for cost in runs.values()])
    checked = set()
    for line in report["lines"]:
        for cell in line["cells"]:
            if cell["trained_epochs"] != 2:
                continue
            parts = ["train_flops", *(["clean_pass_flops"] if line["measured"] == "eval_pass" else [])]
            spent = sum(runs[seed][part] for seed in cell["seeds"] for part in parts)
            assert cell["full_runs"] == pytest.approx(spent * cell["E"] / 2 / full)
            assert cell["full_runs"] == pytest.approx(cell["S"] * cell["E"] / 2, rel=0.05) or len(parts) > 1
            checked.add(line["measured"])
    assert checked == {"train_pass", "eval_pass"}


def test_tickets_that_share_no_run_are_compared(root: Path, run_command: Command) -> None:
    score = ["score", "study=sensitivity_runs", f"paths.root={root}"]
    for group in ((1, 2), (3, 4)):
        study_score = ScoreSpec("h_score", h_score, "easier", seeds=list(group), by_seeds=True)
        score_study(root, "sensitivity_runs", study_score)
    assert run_command(*score, "score.runs=3")[0] == 0
    report = gather(root, ["sensitivity_runs"], name="groups")
    line = next(line for line in report["lines"] if line["measured"] == "train_pass")
    tickets = line["tickets"]
    assert (tickets["count"], tickets["S"], tickets["E"]) == (2, 2, 2)
    assert (tickets["budget"], tickets["difference"]) == (None, None), "an arm was trained on one of them only"
    kept = [load_scores(root / f"studies/sensitivity_runs/scores/h_score-seeds{a}+{b}.parquet").values == 1
            for a, b in ((1, 2), (3, 4))]  # fmt: skip
    same = overlap(*kept)
    assert tickets["jaccard"] == [same.jaccard, same.jaccard]
    assert tickets["kappa"] == [same.kappa, same.kappa]
    code, out, err = run_command("sensitivity", "study=sensitivity_runs", f"paths.root={root}")
    assert code == 0, err
    assert "2 tickets that share no run, S = 2, E = 2: overlap" in out
    assert "3, 4 " in out


def test_wide_tables_are_broken_and_nothing_is_cut(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Groups of runs, arms in both budgets, long intervals: within the width, each cell of text whole."""
    report = gather(root, ["sensitivity_runs"], name="wide")
    gap = {"mean": -0.3415, "low": -0.3501, "high": -0.3329}
    for line in report["lines"]:
        line["tickets"] = None
        for cell in line["cells"]:
            cell["arms"] = [
                {**gap, "budget": budget, "metric": "accuracy", "difference": gap, "difference_to_random": gap}
                for budget in ("epochs", "steps")
            ]
        line["cells"][0]["seeds"] = [11, 12, 13, 14, 15, 16]
        line["cells"][-1]["seeds"] = [21, 23]
        line["cells"][-1 if len(line["cells"]) < 3 else 1]["seeds"] = [21, 23, 31, 32, 33, 41, 42, 43, 44]
    print_cells(report)
    out = capsys.readouterr().out
    assert "11..16" in out
    assert "21, 23" in out
    assert "31..33," in out, "seeds are told in ranges, and those of many groups broken"
    assert out.count("[-35.0, -33.3]") == 4 * sum(len(line["cells"]) for line in report["lines"])
    assert "\u2026" not in out
    assert max(map(len, out.splitlines())) <= 100


def test_studies_are_named_or_matched(root: Path, run_command: Command) -> None:
    assert studies_named(root, "sensitivity_runs") == ["sensitivity_runs"]
    assert studies_named(root, ["sensitivity_E*"]) == ["sensitivity_E1", "sensitivity_E2"]
    for given, message in (
        ("study=[nothing]", "no study 'nothing' under"),
        ("study=[]", "study must be a name, a pattern such as sensitivity_n*, or a list of these"),
        ("study=[sensitivity_E*]", "name must be given where several studies are put together"),
        ("study=[sensitivity_E1] name=../up", "name must be a plain name"),
    ):
        code, _, err = run_command("sensitivity", *given.split(" "), f"paths.root={root}")
        assert code == 1
        assert message in err
        assert "Traceback" not in err


def test_a_study_without_scores_says_what_to_do(root: Path, tiny: list[str], run_command: Command) -> None:
    code, _, err = run_command("train", *tiny, f"paths.root={root}", "study=unscored", "seed=1", "trainer.max_epochs=1")
    assert code == 0, err
    code, _, err = run_command("sensitivity", "study=[unscored]", f"paths.root={root}")
    assert code == 1
    assert (
        "no H-score table in unscored whose runs are complete: score them first "
        f"(python -m hprune.score study=NAME paths.root={root})" in err
    )
