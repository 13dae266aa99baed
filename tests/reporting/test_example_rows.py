"""Arms example by example, from prediction files that nobody trained for: each number by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from hprune.reporting.comparisons import rows_of
from hprune.reporting.details import example_tables, slice_tables
from hprune.reporting.examples import example_rows
from hprune.reporting.summary import margins_of
from hprune.science.crossed import crossed
from hprune.storage.files import sha256_of_file, sha256_of_json, write_json, write_table

N, SEEDS = 300, (1, 2, 3, 4)
LABELS = np.arange(N) % 2


def chances(arm: str) -> np.ndarray:
    """The ticket is much worse on the long examples, and there alone."""
    return np.where((np.arange(N) >= 200) & (arm == "winning_ticket"), 0.4, 0.9)


def predicted(arm: str, seed: int) -> dict[str, Any]:
    right = np.random.default_rng([seed, len(arm)]).random(N) < chances(arm)
    return {
        "sample_id": np.arange(N), "label": LABELS, "pred": np.where(right, LABELS, 1 - LABELS),
        "tokens": np.arange(N, dtype=np.int32), "slice_genre": ["fiction", "letters", "fiction"] * (N // 3),
    }  # fmt: skip


def made(folder: Path, arm: str, seed: int, **columns: Any) -> dict[str, Any]:
    """A run with predictions for one set; `columns` replace others, None takes them out."""
    told = {name: column for name, column in (predicted(arm, seed) | columns).items() if column is not None}
    run = folder / f"{arm}-{seed}"
    run.mkdir(parents=True)
    file = run / "predictions.validation.parquet"
    write_table(file, pa.table(told))
    key = {"task": "t", "model": "m", "subset": arm, "seed": seed}
    settings = {"subset": {"rule": "everything" if arm == "full" else "m.by_value"}}
    files = {file.name: sha256_of_file(file)}
    digest = sha256_of_json(settings)
    write_json(run / "run.json", {"key": key, "settings": settings, "settings_hash": digest, "files": files})
    return {
        "key": key, "settings": settings, "folder": run, "label_names": ["no", "yes"], "config": {"task": {}},
        "samples": 10, "full_samples": 30, "subset": {}, "metrics": {"validation": {"accuracy": 0.5}},
    }  # fmt: skip


def arms_in(folder: Path, **columns: Any) -> dict[str, Any]:
    return {arm: [made(folder, arm, seed, **columns) for seed in SEEDS] for arm in ("full", "winning_ticket")}


def right(arm: str) -> np.ndarray:
    return np.stack([predicted(arm, seed)["pred"] == LABELS for seed in SEEDS])


def test_arms_are_beside_the_ticket_of_their_size_too(tmp_path: Path) -> None:
    arms = {arm: [made(tmp_path, arm, seed) for seed in SEEDS] for arm in ("full", "winning_ticket", "el2n")}
    examples, slices = example_rows(arms)
    assert [(row["label"], row["to"]) for row in examples] == [
        ("winning_ticket", "full"), ("el2n", "full"), ("el2n", "winning_ticket")
    ]  # fmt: skip
    assert examples[2]["difference"]["mean"] == pytest.approx(right("el2n").mean() - right("winning_ticket").mean())
    assert {row["label"] for row in slices} == {"winning_ticket", "el2n"}
    assert len(slices) == 2 * 7, "beside the full set alone"
    captions = [table["caption"] for table in example_tables({"examples": examples})]
    assert captions == [f"Accuracy on validation, 300 examples, beside {to}" for to in ("full", "winning_ticket")]


def test_examples_and_slices_by_hand(tmp_path: Path) -> None:
    examples, slices = example_rows(arms_in(tmp_path))
    (row,) = examples
    ours, full = right("winning_ticket"), right("full")
    assert (row["label"], row["eval_set"], row["metric"], row["n"]) == ("winning_ticket", "validation", "accuracy", N)
    assert row["difference"]["mean"] == pytest.approx(ours.mean() - full.mean())
    assert row["difference"]["low"] < row["difference"]["mean"] < row["difference"]["high"]
    gained, lost = int((ours[0] & ~full[0]).sum()), int((full[0] & ~ours[0]).sum())
    assert row["mcnemar"]["1"] == {
        "gained": gained,
        "lost": lost,
        "p_value": stats.binomtest(gained, gained + lost).pvalue,
    }
    found = {(part["slice"], part["value"]): part for part in slices}
    assert {column for column, _ in found} == {"class", "length", "genre"}
    assert {value for column, value in found if column == "class"} == {"no", "yes"}
    assert [part["verdict"] for part in slices if part["slice"] == "length"] == ["not distinguishable"] * 2 + ["worse"]
    letters = found["genre", "letters"]
    inside = np.arange(N) % 3 == 1
    gaps = ours[:, inside].mean(axis=1) - full[:, inside].mean(axis=1)
    assert letters["n"] == 100
    assert letters["reference"] == pytest.approx(full[:, inside].mean())
    assert letters["difference"]["over_seeds"]["p_value"] == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue)
    expected = crossed(ours[:, inside].astype(float) - full[:, inside])
    assert (letters["difference"]["p_value"], letters["difference"]["examples"]) == (expected.p_value, 100)
    assert letters["difference"]["p_holm"] >= letters["difference"]["p_value"]
    for column in ("class", "length", "genre"):  # the slices of a column hold every example once
        parts = [part for part in slices if part["slice"] == column]
        whole = sum(part["n"] * part["difference"]["mean"] for part in parts) / N
        assert whole == pytest.approx(row["difference"]["mean"])


def test_an_answer_that_is_a_text_is_right_if_it_matches(tmp_path: Path) -> None:
    """Its label and prediction say only whether there is an answer: here they always agree, and no text matches."""
    texts = {"pred": LABELS, "exact_match": np.zeros(N), "answer": ["no"] * N}
    arms = arms_in(tmp_path, **texts)
    arms["winning_ticket"] = [
        made(tmp_path / "w", "winning_ticket", s, **texts | {"exact_match": np.ones(N)}) for s in SEEDS
    ]
    examples, slices = example_rows(arms)
    assert examples[0]["metric"] == "exact_match"
    assert examples[0]["difference"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert examples[0]["mcnemar"]["1"]["gained"] == N
    assert all(part["reference"] == 0 for part in slices)
    report = {"examples": examples, "slices": slices, "rows": []}
    assert example_tables(report)[0]["caption"] == "Exact match on validation, 300 examples, beside full"
    assert slice_tables(report)[0]["caption"] == "winning_ticket: Exact match on validation"


def test_sets_of_which_too_little_is_known_are_left_out(tmp_path: Path) -> None:
    assert example_rows(arms_in(tmp_path / "a", pred=None)) == ([], [])
    assert example_rows(arms_in(tmp_path / "b", label=None)) == ([], [])
    arms = arms_in(tmp_path / "c")
    for run in arms["full"]:
        (run["folder"] / "predictions.validation.parquet").unlink()
    assert example_rows(arms) == ([], [])
    examples, slices = example_rows(arms_in(tmp_path / "d", tokens=None, slice_genre=None))
    assert len(examples) == 1
    assert {part["slice"] for part in slices} == {"class"}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"label": ["x"] * N}, "the column 'label' must hold whole numbers without gaps, it is string"),
        ({"pred": pa.array([None] * N, pa.int64())}, "the column 'pred' must hold whole numbers without gaps"),
        ({"tokens": np.linspace(0, 1, N)}, "the column 'tokens' must hold whole numbers without gaps, it is double"),
        ({"slice_genre": [None, "a", "b"] * (N // 3)}, "the column 'slice_genre' must hold values without gaps"),
    ],
)
def test_predictions_that_no_run_writes_are_refused(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        example_rows(arms_in(tmp_path, **columns))


def test_altered_predictions_and_runs_with_other_examples_are_refused(tmp_path: Path) -> None:
    arms = arms_in(tmp_path / "a")
    with (arms["full"][0]["folder"] / "predictions.validation.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match="was altered after the run"):
        example_rows(arms)
    arms = arms_in(tmp_path / "b")
    arms["full"][1] = made(tmp_path / "c", "full", 2, sample_id=np.arange(N) + 1)
    with pytest.raises(ValueError, match="runs of full answered other examples of validation"):
        example_rows(arms)


@pytest.mark.parametrize(
    ("stated", "margins"),
    [([0.01] * 2, [0.01]), ([0.03, 0.01], [0.01, 0.03]), ([None, 0.01], [None, 0.01]), ([None] * 2, [None]),
     ([True, 0.01], [None, 0.01]), ([-1, "wide"], [None]), ([float("inf"), 1], [None, 1.0])],
)  # fmt: skip
def test_margins_are_those_that_runs_stated(stated: list[Any], margins: list[Any]) -> None:
    arm = [{"config": {"comparison": {"margin": margin}}} for margin in stated]
    assert margins_of({"arm": arm}) == margins
    assert margins_of({"arm": [{"config": {}}, *arm]}) == [None, *[m for m in margins if m is not None]]


def test_differences_name_the_other_arm(tmp_path: Path) -> None:
    rows = rows_of(arms_in(tmp_path), primary_metric="accuracy", margin=None)
    assert {row["label"]: row["difference"] and row["difference"]["to"] for row in rows} == {
        "full": None, "winning_ticket": "full",
    }  # fmt: skip
