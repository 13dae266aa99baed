"""A study that stops scoring early: where, what it says, what is left of it when it goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hprune.enough import StopEarly, Stopped, check_stop, open_share_of
from hprune.science.records import RunKey, RunRecord
from hprune.science.scores.h_score import h_score
from hprune.science.stopping import gain_limit, gains
from hprune.score import ScoreSpec, score_study
from hprune.storage.runs import finish_run, run_folder, save_record, start_run
from hprune.storage.scores import load_scores
from hprune.storage.studies import add_run, planned_seeds

Command = Callable[..., "tuple[int, str, str]"]
SEEDS = (2, 3, 5, 7, 11, 13)
SAMPLES, EPOCHS = 400, 2
H = ScoreSpec("h_score", h_score, "easier", seeds=list(SEEDS))
RIGHT = np.random.default_rng(0).random((len(SEEDS), EPOCHS, SAMPLES)) < 0.97


def add(root: Path, seed: int, *, complete: bool = True) -> None:
    """A scoring run of study `s`."""
    folder, correct = run_folder(root, RunKey("t", "m", "full", seed), {}), RIGHT[SEEDS.index(seed)]
    add_run(root, "s", folder, "scoring", SEEDS)
    start_run(folder)
    real: list[Any] = [np.zeros((EPOCHS, SAMPLES), np.float32)] * 3
    ids, digest = np.arange(SAMPLES), folder.settings_hash
    save_record(folder, RunRecord(folder.key, ids, correct.copy(), *real, "train_pass", "data", digest))
    if complete:
        finish_run(folder, {})


def limit(runs: int, epochs: int = EPOCHS) -> float:
    return gain_limit(gains(RIGHT[:runs, :epochs].all(axis=1)), len(SEEDS) - runs) / SAMPLES


def stopper(root: Path, share: float, **score: Any) -> StopEarly:
    return StopEarly(root, "s", SEEDS, share, ScoreSpec("h_score", h_score, "easier", **score))


def handed_out(stop: StopEarly, root: Path, *, ahead: int = 0) -> list[int]:
    """Train what it hands out, `ahead` of those that are complete at the same time."""
    working: list[int] = []
    done = []
    for seed in stop.until(SEEDS):  # type: ignore[arg-type]
        working.append(seed)  # type: ignore[arg-type]
        done.append(seed)
        if len(working) > ahead:
            add(root, working.pop(0))
    for seed in working:
        add(root, seed)
    return done  # type: ignore[return-value]


@pytest.mark.parametrize("ahead", range(6))
def test_where_it_stops_depends_on_the_runs_alone(tmp_path: Path, ahead: int) -> None:
    """Not on how many train at the same time: those that had started are trained to the end, and do not count."""
    assert limit(3) > limit(4) > limit(5)
    share = limit(4)
    stop = stopper(tmp_path, share)
    trained = handed_out(stop, tmp_path, ahead=ahead)
    assert trained == list(SEEDS[: min(4 + ahead, 6)])
    assert stop.found() == Stopped(SEEDS[:4], SEEDS, share, share)
    again = stopper(tmp_path, share)
    assert (list(again.until(SEEDS)), again.found()) == (list(SEEDS[:4]), stop.found())  # type: ignore[arg-type]


def test_epochs_of_the_score_count(tmp_path: Path) -> None:
    assert limit(3, 1) < limit(3)
    stop = stopper(tmp_path, limit(3, 1), epochs=1)
    assert handed_out(stop, tmp_path) == list(SEEDS[:3])


def test_all_runs_are_needed_where_the_limit_stays_above_or_nothing_is_asked(tmp_path: Path) -> None:
    for share in (limit(5) * 0.99, None):
        stop = stopper(tmp_path, share)  # type: ignore[arg-type]
        assert handed_out(stop, tmp_path) == list(SEEDS)
        assert stop.found() is None


def test_a_run_that_is_not_complete_is_waited_for(tmp_path: Path) -> None:
    stop = stopper(tmp_path, limit(3))
    for seed in stop.until(SEEDS):  # type: ignore[arg-type]
        add(tmp_path, seed, complete=seed != 3)  # type: ignore[arg-type]
    assert stop.handed_out == 6
    assert stop.found() is None


def test_tables_of_fewer_runs_have_names_of_their_own_and_say_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for seed in SEEDS:
        add(tmp_path, seed)
    stopped = Stopped(SEEDS[:4], SEEDS, 0.05, 0.034567)
    assert str(stopped).startswith("stopped after 4 of 6 scoring runs: at most 3.5% of the samples would enter")
    path = score_study(tmp_path, "s", stopped.narrow(H))
    scores = load_scores(path)
    assert path.stem == "h_score-S4"
    assert scores.seeds == SEEDS[:4]
    assert scores.conventions["stopped"] == {"runs": 4, "of": 6, "open_share": 0.05, "limit": 0.034567}
    assert scores.values.tolist() == RIGHT[:4].all(axis=1).sum(axis=0).tolist()
    score_study(tmp_path, "s", Stopped(SEEDS[:4], SEEDS[:5], 0.1, 0.05).narrow(H))  # the same numbers: the table stays
    score_study(tmp_path, "s", ScoreSpec("h_score", h_score, "easier", seeds=list(SEEDS), runs=4))
    assert load_scores(path).conventions == scores.conventions
    assert score_study(tmp_path, "s", H).stem == "h_score", "going on with all runs disturbs nothing"
    text = ScoreSpec("tfidf", h_score, "harder", needs=["text"], seeds=list(SEEDS))
    own = ScoreSpec("h_score", h_score, "easier", seeds=[2, 13])
    assert (stopped.narrow(text), stopped.narrow(own)) == (text, own)


@pytest.mark.parametrize(
    ("stop_when", "message"),
    [
        (0.02, "scoring.stop_when must be null or have the one key open_share, got 0.02"),
        ({"share": 0.02}, "have the one key open_share, got {'share': 0.02}"),
        ({"open_share": 0}, "open_share must be a number above 0 and below 1, a share of all samples (0.02 is 2%), or"),
        ({"open_share": 2}, "or null, got 2"),
        ({"open_share": "few"}, "or null, got 'few'"),
        ({"open_share": True}, "or null, got True"),
    ],
)
def test_what_is_no_share_is_refused(stop_when: Any, message: str) -> None:
    with pytest.raises(ValueError) as told:  # noqa: PT011
        open_share_of(stop_when)
    assert message in str(told.value)


def test_a_share_or_nothing() -> None:
    assert open_share_of(None) is open_share_of({"open_share": None}) is None
    assert open_share_of({"open_share": 0.02}) == 0.02
    check_stop(None, ScoreSpec("h_score", h_score, "easier", runs=2))
    with pytest.raises(ValueError, match=r"score\.runs=2 and scoring\.stop_when\.open_share=0\.02 both say how many"):
        check_stop(0.02, ScoreSpec("h_score", h_score, "easier", runs=2))
    with pytest.raises(ValueError, match=r"looks at 3 runs before it may stop, and only 3 are planned: give more"):
        check_stop(0.02, replace(H, seeds=[1, 2, 3]))
    cell = ScoreSpec("h_score", h_score, "easier", runs=2)
    check_stop(None, H, [cell])
    with pytest.raises(ValueError, match=r"may end scoring before the runs that sensitivity looks at: leave one of"):
        check_stop(0.02, H, [cell])


def test_a_study_stops_is_resumed_and_goes_on(
    tiny: list[str], run_command: Command, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    others = (
        "aum ambiguous confidence correctness forgetting loss soft_h tfidf_distance threshold_closeness variability"
    )
    options = [*tiny, "trainer.max_epochs=1", "scoring.seeds=[5,4,3,2,1]", "comparison.seeds=[11]", "study=s"]
    options += ["arms.winning_ticket.keep=0..1", "arms.winning_ticket.allow_missing_class=true", "~arms.random_like"]
    options += [f"paths.root={tmp_path}", *(f"~scores.{name}" for name in others.split())]
    early, tables = "scoring.stop_when.open_share=0.9", tmp_path / "studies/s/scores"
    for _ in range(2):  # the second time everything is complete
        code, out, err = run_command("study", *options, early)
        assert code == 0, err
        assert "stopped after 3 of 5 scoring runs: at most " in out + err
        assert sorted(path.name for path in tmp_path.glob("runs/*/*/full*/seed=?")) == ["seed=1", "seed=2", "seed=3"]
        assert {"h_score-S3", "el2n-S3"} <= {path.stem for path in tables.glob("*")}
        assert not (tables / "h_score.parquet").exists()
        assert planned_seeds(tmp_path, "s") == [1, 2, 3]
        assert out.count("not needed") == 2
    report = json.loads((tmp_path / "studies/s/report.json").read_text())
    assert report["incomplete"] == []
    assert report["provenance"]["scoring_seeds"] == [1, 2, 3]
    assert {row["S"] for row in report["rows"] if row["arm"] == "winning_ticket"} == {3}
    assert "stopped after 3 of 5" in (tmp_path / "studies/s/report.html").read_text()
    code, _, err = run_command(
        "export", "study=s", "subset=winning_ticket", f"out={tmp_path}/x.csv", f"paths.root={tmp_path}"
    )
    assert code == 1
    assert "the study has h_score-S3" in err
    with caplog.at_level(logging.INFO):
        code, _, err = run_command("study", *options)
    assert code == 0, err
    assert load_scores(tables / "h_score.parquet").seeds == (1, 2, 3, 4, 5)
    assert planned_seeds(tmp_path, "s") == [1, 2, 3, 4, 5]
    code, _, err = run_command("study", *options, early, "score.runs=2")
    assert code == 1
    assert "both say how many runs score" in err
