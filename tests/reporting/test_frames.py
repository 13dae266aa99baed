"""Tables of scores and of cells hold what the score tables hold, turned and named as they say."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hprune.reporting.frames import cells_frame, hardest, in_ticket, scores_frame, studies_beside
from hprune.science.overlap import overlap
from hprune.science.scores.h_score import h_score
from hprune.science.select import Pool, highest, lowest
from hprune.score import ScoreSpec, score_study
from hprune.storage.scores import load_scores, save_scores, score_path


def test_scores_lie_beside_those_of_the_same_runs_and_epochs(cells_root: Path) -> None:
    frame = scores_frame(cells_root, "long")
    assert list(frame) == ["h_score", "aum", "el2n", "text_length"], "not those of fewer runs or epochs"
    assert frame.index.tolist() == list(range(12))
    assert list(scores_frame(cells_root, "long", "h_score-S2-E1")) == ["h_score-S2-E1", "text_length"]


def test_decisions_of_a_triage_are_no_score(cells_root: Path, tmp_path: Path) -> None:
    shutil.copytree(cells_root, tmp_path / "r")
    texts = load_scores(score_path(tmp_path / "r", "long", "text_length"))
    made = replace(texts, name="triaged", conventions={"score": "triaged"})
    save_scores(score_path(tmp_path / "r", "long", "triaged"), made)
    assert list(scores_frame(tmp_path / "r", "long")) == ["h_score", "aum", "el2n", "text_length"]


def test_higher_is_harder_in_every_column(cells_root: Path) -> None:
    frame = scores_frame(cells_root, "long")
    for name, column in frame.items():
        stored = load_scores(score_path(cells_root, "long", str(name)))
        sign = {"harder": 1, "easier": -1}[stored.higher_is]
        np.testing.assert_array_equal(column, sign * stored.values)
    assert (frame["h_score"].min(), frame["h_score"].max()) == (-3, 0)
    assert (frame.loc[frame["h_score"] == -3, "el2n"].max() < frame.loc[frame["h_score"] == 0, "el2n"]).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_hardest_and_the_easiest_are_those_that_arms_choose(seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 6, 40)  # with ties
    pool = Pool(values, np.zeros(40, np.int64), runs=5, higher_is="harder", size=11, keep=None, seed=seed)
    hardness = pd.Series(values, index=np.arange(40) * 7)
    assert np.flatnonzero(hardest(hardness, 11, seed=seed)).tolist() == highest(pool).tolist()
    assert np.flatnonzero(hardest(-hardness, 11, seed=seed)).tolist() == lowest(pool).tolist()
    in_parts = [hardest(hardness, size, skip=skip, seed=seed) for skip, size in ((0, 11), (11, 20), (31, 9))]
    assert (sum(part.astype(int) for part in in_parts) == 1).all(), "parts in turn are everything, once"
    assert hardness[in_parts[0]].min() >= hardness[in_parts[1]].max()
    assert in_parts[0].index.equals(hardness.index)


@pytest.mark.parametrize(("size", "skip"), [(3, 1), (4, 0), (-1, 0), (1, -1)])
def test_more_than_there_are_cannot_be_chosen(size: int, skip: int) -> None:
    with pytest.raises(ValueError, match=rf"cannot choose {size} samples after the {skip} hardest: there are 3"):
        hardest(pd.Series([1.0, 2.0, 3.0]), size, skip=skip)


def test_the_ticket_lies_between(cells_root: Path) -> None:
    ticket = in_ticket(cells_root, "long")
    hardness = scores_frame(cells_root, "long")["h_score"]
    assert ticket.index.equals(hardness.index)
    assert ticket.tolist() == [-3 < value < 0 for value in hardness]
    with pytest.raises(ValueError, match=r"needs a score of 0..S, such as h_score; 'el2n' of 'long' is no such"):
        in_ticket(cells_root, "long", "el2n")
    with pytest.raises(ValueError, match=r"'text_length' of 'long' is no such"):
        in_ticket(cells_root, "long", "text_length")


def test_a_row_a_cell(cells_root: Path) -> None:
    cells = cells_frame(cells_root, ["long", "short", "more"])
    assert cells.groupby("title", sort=False)["cell"].apply(list).to_dict() == {
        "12 samples, training pass, the first E of 2 epochs": [
            "S = 2, E = 1 of 2", "S = 3, E = 1 of 2", "S = 2, E = 2", "S = 3, E = 2",
        ],
        "12 samples, training pass, runs of E epochs": ["S = 2, E = 1", "S = 3, E = 1", "S = 2, E = 2", "S = 3, E = 2"],
        "18 samples, training pass, runs of 2 epochs": ["S = 2, E = 2", "S = 3, E = 2"],
    }  # fmt: skip
    for _, line in cells.groupby("line"):
        reference = in_ticket(cells_root, line["study"].iloc[-1], line["table"].iloc[-1])
        for cell in line.itertuples():
            ticket = in_ticket(cells_root, cell.study, cell.table)
            assert (cell.size, cell.samples) == (ticket.sum(), ticket.size)
            assert cell.kappa == overlap(ticket.to_numpy(), reference.to_numpy()).kappa
            assert len(cell.histogram) == cell.S + 1
            assert sum(cell.histogram) == cell.samples


def test_cells_have_the_differences_of_their_arms(cells_root: Path) -> None:
    cells = cells_frame(cells_root, ["long"]).set_index("table")
    trained = cells[cells["difference"].notna()]
    assert set(trained.index) == {"h_score", "h_score-S2"}
    assert trained["difference"].between(-0.02, 0).all(), "0.89 to 0.9, give or take the seeds"
    assert trained["difference_to_random"].dropna().between(0.08, 0.1).all()
    assert cells.loc["h_score-S2", ["size", "difference_to_random"]].tolist()[0] == 3
    assert np.isnan(cells.loc["h_score-S2", "difference_to_random"]), "no random arm is as small"
    assert (trained["low"] <= trained["difference"]).all()
    assert (trained["difference"] <= trained["high"]).all()


def test_cells_of_shared_runs_are_there_once(cells_root: Path, tmp_path: Path) -> None:
    shutil.copytree(cells_root, tmp_path / "r")
    shutil.copytree(tmp_path / "r/studies/long", tmp_path / "r/studies/again")
    once, twice = (cells_frame(tmp_path / "r", studies) for studies in (["long"], ["long", "again"]))
    assert twice["cell"].tolist() == once["cell"].tolist()


def test_groups_of_runs_are_told_apart(cells_root: Path, tmp_path: Path) -> None:
    shutil.copytree(cells_root, tmp_path / "r")
    for seeds in ([1, 2], [2, 3]):
        score_study(tmp_path / "r", "long", ScoreSpec("h_score", h_score, "easier", seeds=seeds, by_seeds=True))
    assert cells_frame(tmp_path / "r", ["long"])["cell"].tolist()[2:] == [
        "S = 2, E = 2, seeds 2, 3", "S = 2, E = 2, seeds 1, 2", "S = 3, E = 2",
    ]  # fmt: skip


def test_studies_of_the_same_data(cells_root: Path, study_root: Path, tmp_path: Path) -> None:
    assert studies_beside(cells_root) == ["long", "short"]
    assert studies_beside(cells_root, "short") == ["short", "long"]
    assert studies_beside(cells_root, "more") == ["more"]
    assert studies_beside(study_root) == ["toy"]
    with pytest.raises(ValueError, match="no study 'other' under"):
        studies_beside(cells_root, "other")
    with pytest.raises(ValueError, match=r"has a score table: finish one with python -m hprune.study"):
        studies_beside(tmp_path)
