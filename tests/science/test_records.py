"""Invariants are checked at birth, and runs that do not fit together are refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hprune import Dynamics, RunKey, RunRecord, Scores


def record(seed: int = 1, **changes: Any) -> RunRecord:
    rng = np.random.default_rng(seed)
    epochs, samples = changes.pop("shape", (3, 5))
    floats = {name: rng.random((epochs, samples)).astype(np.float32) for name in ("true_prob", "margin", "el2n")}
    made = RunRecord(
        key=RunKey("task", "model", "full", seed),
        sample_ids=np.arange(samples) * 2,
        correct=rng.random((epochs, samples)) < 0.5,
        **floats,
        measured="train_pass",
        data_hash="d",
        settings_hash="s",
    )
    return replace(made, **changes)


def test_stack_orders_by_seed_whatever_the_order_of_the_list() -> None:
    records = [record(seed) for seed in (3, 1, 2)]
    dynamics = Dynamics.stack(records)
    assert dynamics.seeds == (1, 2, 3)
    assert (dynamics.correct[0] == records[1].correct).all()
    assert dynamics.true_prob is not None
    assert (dynamics.true_prob[2] == records[0].true_prob).all()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: record(1), r"its own seed, got \[1\] more than once"),
        (lambda: record(2, data_hash="e"), r"differ in data \(d and e\)"),
        (lambda: record(2, settings_hash="t"), r"differ in settings \(s and t\)"),
        (lambda: record(2, measured="eval_pass"), r"differ in measured \(train_pass and eval_pass\)"),
        (lambda: record(2, key=RunKey("task", "other", "full", 2)), r"differ in model \(model and other\)"),
        (lambda: record(2, shape=(2, 5)), r"differ in epochs \(3 and 2\)"),
        (lambda: record(2, shape=(3, 6)), r"differ in number of samples \(5 and 6\)"),
        (lambda: record(2, sample_ids=np.arange(5)), "differ in sample ids"),
    ],
)
def test_stack_refuses_runs_that_do_not_fit(other, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        Dynamics.stack([record(1), other()])


def test_stack_needs_records() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        Dynamics.stack([])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_ids": np.array([0, 2, 2, 3, 4])}, "strictly increasing, got 2 before 2"),
        ({"sample_ids": np.arange(5, dtype=np.int32)}, "1-d int64"),
        ({"correct": np.ones((3, 4), dtype=bool)}, r"must be bool \(E, 5\)"),
        ({"correct": np.ones((3, 5), dtype=np.int8)}, "must be bool"),
        ({"margin": np.ones((3, 4), dtype=np.float32)}, r"RunRecord\.margin must have the shape of `correct`"),
        ({"measured": "sometimes"}, "must be one of"),
    ],
)
def test_record_invariants(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        record(1, **changes)


def test_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        record().correct[0, 0] = True


def test_scores_must_be_finite_and_one_a_sample() -> None:
    facts: dict[str, Any] = {
        "name": "x",
        "higher_is": "harder",
        "seeds": (1,),
        "epochs": 1,
        "measured": "train_pass",
        "data_hash": "d",
    }
    with pytest.raises(ValueError, match=r"must be numbers, got 1 that are none, first ids \[7\]"):
        Scores(sample_ids=np.array([3, 7]), values=np.array([1.0, np.nan]), **facts)
    with pytest.raises(ValueError, match="one a sample"):
        Scores(sample_ids=np.array([3, 7]), values=np.array([1.0]), **facts)
    with pytest.raises(ValueError, match="higher_is"):
        Scores(sample_ids=np.array([3]), values=np.array([1.0]), **(facts | {"higher_is": "up"}))
