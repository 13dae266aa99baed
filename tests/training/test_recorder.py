"""Every sample exactly once an epoch, joined by row, whatever the order; otherwise an error that names ids."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hprune.tasks.classification import Classification
from hprune.tasks.spec import Judgement
from hprune.training.recorder import COLUMNS, Recorder, SampleJudgement

IDS = np.arange(7) * 10
TRAINER: Any = SimpleNamespace(current_epoch=0, should_stop=False)


def judged(rows: list[int], labels: list[int], seed: int = 0) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    logits = torch.from_numpy(np.random.default_rng(seed).normal(size=(len(rows), 3)))
    return vars(Classification().judge(logits, {"labels": torch.tensor(labels)})), torch.tensor(rows)


def feed(recorder: Recorder, rows: list[int], labels: list[int], seed: int = 0) -> dict[str, torch.Tensor]:
    outputs, row = judged(rows, labels, seed)
    recorder.on_train_batch_end(TRAINER, None, outputs, {"row": row}, 0)  # type: ignore[arg-type]
    return outputs


def test_rows_are_joined_by_number_not_by_order() -> None:
    recorder = Recorder(IDS, ["train_pass"])
    first = feed(recorder, [6, 0, 3], [0, 1, 2], seed=1)
    second = feed(recorder, [5, 1], [0, 1], seed=2)
    third = feed(recorder, [2, 4], [2, 2], seed=3)
    recorder.on_train_epoch_end(TRAINER, None)  # type: ignore[arg-type]
    arrays = recorder.arrays("train_pass")
    for name in COLUMNS:
        expected = torch.cat(
            [
                first[name][1:2],
                second[name][1:],
                third[name][:1],
                first[name][2:],
                third[name][1:],
                second[name][:1],
                first[name][:1],
            ]
        )
        assert arrays[name].shape == (1, 7)
        np.testing.assert_array_equal(
            arrays[name][0], expected.to(torch.bool if name == "correct" else torch.float32).numpy()
        )


def test_a_last_batch_of_one() -> None:
    recorder = Recorder(IDS, ["train_pass"])
    feed(recorder, [0, 1, 2, 3, 4, 5], [0] * 6)
    feed(recorder, [6], [1])
    recorder.on_train_epoch_end(TRAINER, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([[0, 1, 2, 3], [5, 6]], r"1 of 7 samples were not recorded in epoch 1 \(train_pass\), first ids \[40\]"),
        (
            [[0, 1, 2, 3], [3, 4, 5, 6]],
            r"1 of 7 samples were recorded more than once in epoch 1 \(train_pass\), first ids \[30\]",
        ),
        ([[0, 0, 1, 2, 3, 4, 5, 6]], r"first ids \[0\]"),
        ([[3]], r"6 of 7 samples were not recorded"),
    ],
)
def test_gaps_and_duplicates_are_errors_that_name_ids(batches: list[list[int]], message: str) -> None:
    recorder = Recorder(IDS, ["train_pass"])
    for rows in batches:
        feed(recorder, rows, [0] * len(rows))
    with pytest.raises(ValueError, match=message):
        recorder.on_train_epoch_end(TRAINER, None)  # type: ignore[arg-type]


def test_state_survives_a_checkpoint_in_the_middle_of_an_epoch(tmp_path) -> None:  # type: ignore[no-untyped-def]
    whole, halves = Recorder(IDS, ["train_pass"]), Recorder(IDS, ["train_pass"])
    for epoch in range(2):
        for recorder in (whole, halves):
            feed(recorder, [6, 5, 4], [0, 1, 2], seed=epoch)
        if epoch == 1:
            torch.save(halves.state_dict(), tmp_path / "state.pt")
            halves = Recorder(IDS, ["train_pass"])
            halves.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        for recorder in (whole, halves):
            feed(recorder, [0, 1, 2, 3], [0, 1, 2, 0], seed=10 + epoch)
            recorder.on_train_epoch_end(TRAINER, None)  # type: ignore[arg-type]
    for name in COLUMNS:
        np.testing.assert_array_equal(whole.arrays("train_pass")[name], halves.arrays("train_pass")[name])


def test_memory_is_14_bytes_a_sample_and_13_an_epoch() -> None:
    """What a reset restores takes no room of its own; nothing grows with the length of a text."""
    recorder = Recorder(np.arange(1000), ["train_pass"])
    metric = recorder.judged["train_pass"].to(torch.device("cpu"))
    for epoch in range(3):
        feed(recorder, list(range(1000)), [0] * 1000, seed=epoch)
        held = [*metric.compute().values(), *metric._defaults.values()]
        assert sum(state.untyped_storage().nbytes() for state in held) <= 14 * 1000 + 5 * 4
        recorder.on_train_epoch_end(TRAINER, None)  # type: ignore[arg-type]
    kept = [values for epoch in recorder.epochs["train_pass"] for values in epoch.values()]
    assert sum(values.untyped_storage().nbytes() for values in kept) == 3 * 13 * 1000
    assert (metric.seen == 0).all()


def test_merging_two_devices_keeps_who_saw_the_sample() -> None:
    left, right = SampleJudgement(4), SampleJudgement(4)
    for metric, rows in ((left, [0, 3]), (right, [1, 2])):
        outputs, row = judged(rows, [0, 1], seed=rows[0])
        metric.update(Judgement(**outputs), row)
    reductions = left._reductions
    merged = {
        name: reductions[name](torch.stack([getattr(left, name), getattr(right, name)])) for name in (*COLUMNS, "seen")
    }
    assert merged["seen"].tolist() == [1, 1, 1, 1]
    assert (merged["correct"] >= 0).all()
    assert merged["margin"][3] == left.margin[3]
    assert merged["margin"][1] == right.margin[1]
