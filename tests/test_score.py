"""Scoring a stored study: what is written is the score of the whole, and nothing is written when anything is wrong."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from hprune import Dynamics, RunKey, RunRecord, h_score
from hprune import score as module
from hprune.reporting.summary import _histogram
from hprune.science.scores.ambiguous import ambiguous
from hprune.science.scores.forgetting import forgetting
from hprune.science.select import highest, lowest
from hprune.science.subset import SubsetSpec, choose
from hprune.score import ScoreSpec, score_study
from hprune.storage import dynamics as storage
from hprune.storage.runs import finish_run, load_record, run_folder, save_record, start_run
from hprune.storage.scores import load_scores
from hprune.storage.studies import add_run, runs_of
from hprune.study import _make_table

Command = Callable[..., "tuple[int, str, str]"]
SEEDS, EPOCHS, SAMPLES = (3, 1, 20), 3, 101
H = ScoreSpec("h_score", h_score, "easier")


def mean_error(dynamics: Dynamics) -> NDArray[np.float32]:
    assert dynamics.el2n is not None
    return dynamics.el2n.mean(axis=(0, 1))


ERROR = ScoreSpec("error", mean_error, "harder", needs=["el2n"])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with study `s` of three complete runs; records are read in pieces of about 20 samples."""
    monkeypatch.setattr(storage, "PIECE_BYTES", 20 * 3 * 11)
    for seed in SEEDS:
        rng, folder = np.random.default_rng(seed), run_folder(tmp_path, RunKey("t", "m", "full", seed), {})
        start_run(folder)
        correct = rng.random((EPOCHS, SAMPLES)) < 0.8
        real = [rng.random((EPOCHS, SAMPLES), dtype=np.float32) for _ in range(3)]
        ids, digest = np.arange(0, 2 * SAMPLES, 2), folder.settings_hash
        save_record(folder, RunRecord(folder.key, ids, correct, *real, "train_pass", "data", digest))
        finish_run(folder, {})
        add_run(tmp_path, "s", folder, "scoring", SEEDS)
    return tmp_path


def whole(root: Path, **prefix: Any) -> Dynamics:
    return Dynamics.stack([load_record(run.path, "train_pass") for run in runs_of(root, "s")]).prefix(**prefix)


@pytest.mark.parametrize("spec", [H, ERROR], ids=["whole", "real"])
@pytest.mark.parametrize("prefix", [{}, {"runs": 2}, {"epochs": 1}, {"runs": 1, "epochs": 2}, {"skip": 1}], ids=str)
def test_the_table_is_the_score_of_the_whole(root: Path, spec: ScoreSpec, prefix: dict[str, Any]) -> None:
    spec = replace(spec, **{"skip_epochs" if name == "skip" else name: value for name, value in prefix.items()})
    scores, dynamics = load_scores(score_study(root, "s", spec)), whole(root, **prefix)
    expected = spec.function(dynamics)
    assert (scores.values.dtype, scores.values.tobytes()) == (expected.dtype, expected.tobytes())
    assert scores.sample_ids.tolist() == dynamics.sample_ids.tolist()
    assert (scores.seeds, scores.epochs, scores.data_hash) == (dynamics.seeds, prefix.get("epochs", EPOCHS), "data")
    names = {"score": spec.name, "function": f"{spec.function.__module__}.{spec.function.__name__}"}
    skipped = {"skip_epochs": 1} if "skip" in prefix else {}
    assert scores.conventions == {**names, **skipped, "missing_runs_allowed": False}
    score_study(root, "s", replace(spec, allow_missing=True))  # nothing is: the same table


def test_the_size_of_the_pieces_does_not_show(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = score_study(root, "s", H)
    before = path.read_bytes()
    for size in (1, 1000, 2**27):
        monkeypatch.setattr(storage, "PIECE_BYTES", size)
        score_study(root, "s", H)  # an equal table stays
        path.unlink()
        score_study(root, "s", H)
        assert path.read_bytes() == before


def test_the_log_says_how_the_values_are_distributed(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hprune.score")
    for spec in (H, ERROR):
        score_study(root, "s", spec)
    counted, real = caplog.messages
    first, *bars = counted.splitlines()
    assert first == "h_score of 101 samples from S = 3 runs, E = 3 epochs (train_pass), higher is easier"
    counts = np.bincount(h_score(whole(root)), minlength=4)
    assert [(int(bar.split()[0]), int(bar.split()[1])) for bar in bars] == list(enumerate(counts))
    low, middle, high = np.quantile(mean_error(whole(root)), [0, 0.5, 1])
    assert real.endswith(f"higher is harder: from {low:.4g} to {high:.4g}, median {middle:.4g}")


def test_only_what_takes_long_says_how_far_it_is(
    root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "hprune.score")
    path = score_study(root, "s", H)
    assert len(caplog.messages) == 1
    path.unlink()
    caplog.clear()
    monkeypatch.setattr(module, "PROGRESS_SECONDS", 0)
    score_study(root, "s", H)
    assert caplog.messages[:-1] == [f"scored {done} of 101 samples" for done in (20, 40, 60, 80, 100)]


def nothing_written(root: Path) -> bool:
    return list((root / "studies/s/scores").glob("*")) == []


def test_a_record_that_is_damaged_leaves_no_table(root: Path, run_command: Callable[..., tuple[int, str, str]]) -> None:
    file = runs_of(root, "s")[1].path / "record.train_pass.parquet"
    before = file.read_bytes()
    column = pq.read_metadata(file).row_group(0).column(3)
    assert column.path_in_schema == "correct_2"
    end = column.data_page_offset + column.total_compressed_size
    page = bytearray(before)
    page[end - 1] ^= 1
    for content, message in ((bytes(page), "is not readable Parquet"), (before[:-100], "was altered after the run")):
        file.write_bytes(content)
        code, _, err = run_command("score", "study=s", f"paths.root={root}")
        assert code == 1
        assert err.startswith(f"hprune score: {file} {message}")
        assert "Traceback" not in err
        assert nothing_written(root)
    file.write_bytes(before)
    score_study(root, "s", H)


def test_values_that_are_no_numbers_are_refused_in_whatever_piece(root: Path) -> None:
    def broken(dynamics: Dynamics) -> NDArray[np.float32]:
        return np.where(dynamics.sample_ids == 150, np.nan, 1).astype(np.float32)

    with pytest.raises(ValueError, match=r"must be numbers, got 1 that are none, first ids \[150\]"):
        score_study(root, "s", ScoreSpec("broken", broken, "easier"))
    assert nothing_written(root)


def test_another_score_of_the_same_name_is_refused(root: Path) -> None:
    def from_id(first: int) -> Callable[[Dynamics], NDArray[np.int16]]:
        return lambda dynamics: h_score(dynamics) + (dynamics.sample_ids > first).astype(np.int16)

    score_study(root, "s", replace(H, function=from_id(1000)))
    with pytest.raises(ValueError, match=r"holds another score, differing in the values of 25 samples; give this one"):
        score_study(root, "s", replace(H, function=from_id(150)))


@pytest.mark.parametrize("needs", [["logits"], [], "correct", None, ["correct", "label"], 3, [["correct"]]])
def test_a_score_needs_columns_that_a_record_has(needs: Any) -> None:
    with pytest.raises(ValueError, match=r"score\.needs must list columns of a record, of correct, .*, got "):
        ScoreSpec("x", h_score, "easier", needs=needs)


def test_a_column_that_is_not_asked_for_is_named(root: Path) -> None:
    def greedy(dynamics: Dynamics) -> Any:
        return dynamics.margin.mean(axis=(0, 1))  # type: ignore[union-attr]

    with pytest.raises(ValueError, match=r"greedy looks at a column that score\.needs does not list.*\['correct'\]"):
        score_study(root, "s", ScoreSpec("greedy", greedy, "easier"))
    assert not list(root.glob("studies/s/scores/*"))


def test_whole_numbers_below_zero_or_far_apart_are_described(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    def shifted(dynamics: Dynamics) -> NDArray[np.int32]:
        return h_score(dynamics).astype(np.int32) - 2

    def spread(dynamics: Dynamics) -> NDArray[np.int64]:
        return dynamics.sample_ids * 1_000_000

    with caplog.at_level(logging.INFO):
        for function in (shifted, spread):
            score_study(root, "s", ScoreSpec(function.__name__, function, "easier"))
    assert f"\n{-2:>5} " in caplog.text
    assert f"from 0 to {(2 * SAMPLES - 2) * 1_000_000}, {SAMPLES} different values" in caplog.text


def test_what_a_score_was_told_stands_in_its_table(root: Path) -> None:
    forgets = replace(H, name="forgetting", higher_is="harder", function=partial(forgetting, never_learned=1000))
    scores = load_scores(score_study(root, "s", forgets))
    assert scores.conventions == {
        "score": "forgetting", "function": "hprune.science.scores.forgetting.forgetting", "never_learned": 1000,
        "missing_runs_allowed": False,
    }  # fmt: skip
    for other in (partial(forgetting, never_learned=0), forgetting, lambda dynamics: forgetting(dynamics)):
        with pytest.raises(ValueError, match=r"holds another score, differing in conventions"):
            score_study(root, "s", replace(forgets, function=other))


@pytest.mark.parametrize("value", ["inf", "'inf'"])
def test_infinity_can_be_said_on_the_command_line(root: Path, value: str, run_command: Command) -> None:
    options = ["study=s", "score=forgetting", f"score.function.never_learned={value}", f"paths.root={root}"]
    code, _, err = run_command("score", *options)
    assert code == 0, err
    scores = load_scores(root / "studies/s/scores/forgetting.parquet")
    assert (scores.conventions["never_learned"], scores.values.dtype) == ("inf", np.float32)


def test_infinite_scores_are_the_highest(root: Path) -> None:
    never = replace(H, name="forgetting", higher_is="harder", function=partial(forgetting, never_learned="inf"))
    scores = load_scores(score_study(root, "s", never))
    labels, infinite = np.arange(SAMPLES) % 2, np.isinf(scores.values)
    facts = {"sample_ids": scores.sample_ids, "labels": labels, "label_names": ("a", "b"), "data_hash": "data"}
    size = int(infinite.sum()) + 5
    for select, kept in ((highest, infinite), (lowest, ~infinite)):
        for seed in range(3):
            chosen = choose(SubsetSpec("x", select, size=size), scores, **facts, seed=seed).sample_ids  # type: ignore[arg-type]
            overlap = np.isin(chosen, scores.sample_ids[kept]).sum()
            assert overlap == min(size, kept.sum())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "score.function.ddof=x",
            "ddof must be a whole number from 0, below the 3 values that each sample has, got 'x",
        ),
        ("+score.function.weight=1", "score.function cannot be given {'ddof': 0, 'weight': 1}: got an unexpected key"),
    ],
)
def test_wrong_parameters_are_told_in_one_line(root: Path, option: str, message: str, run_command: Command) -> None:
    code, _, err = run_command("score", "study=s", "score=variability", option, f"paths.root={root}")
    assert (code, err.count("\n"), message in err) == (1, 0, True), err


@pytest.mark.parametrize("value", [object(), float("nan"), h_score])
def test_parameters_are_plain_values(value: Any) -> None:
    with pytest.raises(ValueError, match=r"score\.function cannot be given .*never_learned"):
        replace(H, function=partial(forgetting, never_learned=value))


def test_a_study_goes_on_without_a_table_that_no_arm_needs(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    spread = replace(H, name="spread", function=partial(ambiguous, ddof=1), needs=["true_prob"], runs=1, epochs=1)
    table = partial(_make_table, root, "s", spread, cast(Any, None))
    table(needed=False)
    assert "the score table spread-S1-E1 was not made, and no arm needs it: ddof must be a whole" in caplog.text
    with pytest.raises(ValueError, match="score spread: ddof must be a whole number"):
        table(needed=True)


def test_infinite_scores_are_kept_and_shown(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hprune.score")
    never = replace(H, name="forgetting", function=partial(forgetting, never_learned="inf"), epochs=1)
    scores = load_scores(score_study(root, "s", never))
    infinite = np.isinf(scores.values)
    assert 0 < infinite.sum() < SAMPLES
    assert "from 0 to inf" in caplog.text
    shown = _histogram(scores, None)
    assert shown["infinite"] == infinite.sum()
    assert sum(value["count"] for value in shown["values"]) == SAMPLES - infinite.sum()
    json.dumps(shown, allow_nan=False)


@pytest.mark.parametrize("wrong", [["text", "correct"], [], "text", None])
def test_needs_are_columns_or_text(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"score\.needs must list columns of a record, .*, or be \[text\], got"):
        replace(H, needs=wrong)
