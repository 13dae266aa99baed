"""A batch is its rows' tokens, padded on the right, whatever was pruned; loaders give every row once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hprune.data.batching import plan_batches, plan_subset
from hprune.data.datamodule import DataSpec, Encoded, FineTuningData, PaddedBatches, PlannedBatches
from hprune.data.tokenise import TokenTable

PAD = 99
KEPT = np.array([1, 4, 5, 9, 12, 13, 14, 20, 28, 29])


def encoded(rows: int = 30, types: bool = True, seed: int = 0) -> Encoded:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 12, rows)
    total = int(lengths.sum())
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    kinds = rng.integers(0, 2, total).astype(np.int8) if types else None
    tokens = TokenTable(rng.integers(0, 90, total).astype(np.int32), offsets, kinds, truncated=0)
    labels = rng.integers(0, 3, rows)
    labels.flags.writeable = False  # as Arrow gives them
    return Encoded(tokens, labels)


def data_of(spec: DataSpec, seed: int = 1, kept: Any = KEPT) -> FineTuningData:
    return FineTuningData(encoded(), kept, {"validation": encoded(17, seed=1)}, spec, pad_id=PAD, seed=seed)


def check_batch(batch: dict[str, torch.Tensor], data: Encoded, positions: np.ndarray, width: int | None = None) -> None:
    tokens = data.tokens
    rows = batch["row"].tolist()
    longest = int(tokens.lengths[positions[rows]].max())
    for i, row in enumerate(rows):
        position = positions[row]
        own = slice(tokens.offsets[position], tokens.offsets[position + 1])
        ids = tokens.input_ids[own].tolist()
        padding = (width or longest) - len(ids)
        assert batch["input_ids"][i].tolist() == ids + [PAD] * padding
        assert batch["attention_mask"][i].tolist() == [1] * len(ids) + [0] * padding
        assert batch["labels"][i] == data.labels[position]
        if tokens.token_type_ids is not None:
            assert batch["token_type_ids"][i].tolist() == tokens.token_type_ids[own].tolist() + [0] * padding
    assert all(values.dtype == torch.int64 for values in batch.values())


@pytest.mark.parametrize("types", [True, False])
@pytest.mark.parametrize("width", [None, 12, 20])
@pytest.mark.parametrize("positions", [np.arange(30), KEPT], ids=["full", "subset"])
def test_a_batch_is_its_rows_padded_right(types: bool, width: int | None, positions: np.ndarray) -> None:
    data = encoded(types=types)
    batches = PaddedBatches(data, positions, pad_id=PAD, width=width)
    rng = np.random.default_rng(0)
    for size in (1, 3, positions.size):
        rows = rng.permutation(positions.size)[:size]
        batch = batches[rows]
        assert batch["row"].tolist() == rows.tolist()
        assert set(batch) == {"input_ids", "attention_mask", "labels", "row", *(["token_type_ids"] if types else [])}
        check_batch(batch, data, positions, width)


def several(samples: int, seed: int, types: bool) -> Encoded:
    """Samples of one to four sequences, with targets of each sequence."""
    rng = np.random.default_rng(seed)
    first = np.cumsum([0, *rng.integers(1, 5, samples)], dtype=np.int64)
    offsets = np.cumsum([0, *rng.integers(1, 12, first[-1])], dtype=np.int64)
    total = int(offsets[-1])
    tokens = TokenTable(
        rng.integers(0, 90, total).astype(np.int32),
        offsets,
        rng.integers(0, 2, total).astype(np.int8) if types else None,
        truncated=0,
        first=first,
        targets={"start": rng.integers(0, 9, first[-1]), "spans": rng.integers(0, 9, (first[-1], 2, 3))},
    )
    return Encoded(tokens, rng.integers(0, 4, samples))


@given(st.integers(1, 12), st.integers(0, 2**31), st.sampled_from([None, 12, 20]), st.booleans())
def test_a_batch_holds_exactly_the_sequences_of_its_rows(
    samples: int, seed: int, width: int | None, types: bool
) -> None:
    data, rng = several(samples, seed, types), np.random.default_rng(seed + 1)
    tokens, first = data.tokens, data.tokens.first
    assert first is not None
    positions = np.sort(rng.choice(samples, int(rng.integers(1, samples + 1)), replace=False))  # a subset is kept
    rows = rng.permutation(positions.size)[: int(rng.integers(1, positions.size + 1))]
    batches = PaddedBatches(data, positions, pad_id=PAD, width=width)
    batch = batches[rows]
    expected = [(b, j) for b, row in enumerate(rows) for j in range(first[positions[row]], first[positions[row] + 1])]
    assert list(zip(batch["sample"].tolist(), batch["sequence"].tolist(), strict=True)) == expected
    longest = max(int(tokens.lengths[j]) for _, j in expected)
    for m, (_, j) in enumerate(expected):
        own = slice(tokens.offsets[j], tokens.offsets[j + 1])
        ids = tokens.input_ids[own].tolist()
        padding = (width or longest) - len(ids)
        assert batch["input_ids"][m].tolist() == ids + [PAD] * padding
        assert batch["attention_mask"][m].tolist() == [1] * len(ids) + [0] * padding
        if tokens.token_type_ids is not None:
            assert batch["token_type_ids"][m].tolist() == tokens.token_type_ids[own].tolist() + [0] * padding
        for name, values in tokens.targets.items():
            assert batch[name][m].tolist() == values[j].tolist()
    assert batch["row"].tolist() == rows.tolist()
    assert batch["labels"].tolist() == data.labels[positions[rows]].tolist()
    assert all(values.dtype == torch.int64 for values in batch.values())
    names = {"input_ids", "attention_mask", "labels", "row", "sample", "sequence", *tokens.targets}
    assert set(batch) == names | ({"token_type_ids"} if types else set())
    # what batches are planned by, and what a run costs
    of_row = [range(first[p], first[p + 1]) for p in positions]
    assert batches.lengths.tolist() == [max(int(tokens.lengths[j]) for j in own) for own in of_row]
    assert batches.sequences.tolist() == [len(own) for own in of_row]
    assert batches.tokens == sum(int(tokens.lengths[j]) for own in of_row for j in own)


@pytest.mark.parametrize("batching", ["bucketed", "random", "max_length"])
def test_every_sequence_is_seen_once_where_samples_have_several(batching: Any) -> None:
    data, other = several(30, 0, types=False), several(17, 1, types=True)
    spec = DataSpec(batch_size=4, eval_batch_size=5, max_length=16, batching=batching)
    module = FineTuningData(data, KEPT, {"validation": other}, spec, pad_id=PAD, seed=1)
    for loader, source, positions in (
        (module.train_dataloader(), data, KEPT),
        (module.clean_pass(), data, KEPT),
        (module.val_dataloader(), other, np.arange(17)),
    ):
        batches, first = list(loader), source.tokens.first
        assert first is not None
        seen = sorted(j for batch in batches for j in batch["sequence"].tolist())
        assert seen == [j for p in positions for j in range(first[p], first[p + 1])]
        for batch in batches:
            owners = np.searchsorted(first, batch["sequence"].numpy(), side="right") - 1
            assert positions[batch["row"].numpy()[batch["sample"].numpy()]].tolist() == owners.tolist()


def test_one_sequence_a_sample_is_the_same_with_and_without_saying_so() -> None:
    plain = encoded()
    said = replace(plain, tokens=replace(plain.tokens, first=np.arange(31)))
    bare, told = (PaddedBatches(data, KEPT, pad_id=PAD) for data in (plain, said))
    rows = np.array([3, 0, 7])
    more = {"sample": torch.arange(3), "sequence": torch.from_numpy(KEPT[rows])}
    expected, found = bare[rows] | more, told[rows]
    assert set(expected) == set(found)
    assert all(torch.equal(expected[name], found[name]) for name in found)
    assert (bare.lengths.tolist(), bare.tokens) == (told.lengths.tolist(), told.tokens)
    assert bare.sequences.tolist() == told.sequences.tolist() == [1] * KEPT.size


@pytest.mark.parametrize(("batching", "workers"), [("bucketed", 0), ("bucketed", 1), ("random", 0), ("max_length", 0)])
def test_training_sees_every_kept_row_once(batching: Any, workers: int) -> None:
    data = data_of(DataSpec(batch_size=4, max_length=16, batching=batching, workers=workers))
    batches = list(data.train_dataloader())
    assert sorted(row for batch in batches for row in batch["row"].tolist()) == list(range(KEPT.size))
    assert len(data.train_dataloader()) == len(batches) == 3
    for batch in batches:
        check_batch(batch, encoded(), KEPT, 16 if batching == "max_length" else None)


def test_evaluation_and_clean_pass_see_every_row_once() -> None:
    data = data_of(DataSpec(batch_size=4, eval_batch_size=5))
    for loader, source, positions in (
        (data.evaluation_loader("validation"), encoded(17, seed=1), np.arange(17)),
        (data.val_dataloader(), encoded(17, seed=1), np.arange(17)),
        (data.clean_pass(), encoded(), KEPT),
    ):
        batches = list(loader)
        assert sorted(row for batch in batches for row in batch["row"].tolist()) == list(range(positions.size))
        assert max(batch["row"].numel() for batch in batches) == 5
        for batch in batches:
            check_batch(batch, source, positions)


def rows_by_epoch(order: Any, seed: int = 1, batching: Any = "bucketed") -> list[list[list[int]]]:
    data = data_of(DataSpec(batch_size=3, order=order, batching=batching), seed=seed)
    loader, epochs = data.train_dataloader(), []
    for epoch in range(3):
        data.plan.set_epoch(epoch)
        epochs.append([batch["row"].tolist() for batch in loader])
    return epochs


@pytest.mark.parametrize("batching", ["bucketed", "random"])
def test_a_fixed_order_is_kept_and_a_reshuffled_one_is_not(batching: Any) -> None:
    fixed = rows_by_epoch("fixed", batching=batching)
    assert fixed[0] == fixed[1] == fixed[2]
    fresh = rows_by_epoch("reshuffled", batching=batching)
    assert len({str(epoch) for epoch in fresh}) == 3
    assert fresh[0] == fixed[0], "the first epoch is the same"
    for order in ("fixed", "reshuffled"):
        assert rows_by_epoch(order, batching=batching) == rows_by_epoch(order, batching=batching)
        assert rows_by_epoch(order, 2, batching) != rows_by_epoch(order, 1, batching)


@pytest.mark.parametrize("order", ["fixed", "reshuffled"])
def test_an_epoch_can_be_entered_without_those_before(order: Any) -> None:
    lengths = encoded().tokens.lengths
    through = PlannedBatches(lengths, DataSpec(batch_size=4, order=order), 1)
    for epoch in range(3):
        through.set_epoch(epoch)
        expected = [batch.tolist() for batch in through]
    resumed = PlannedBatches(lengths, DataSpec(batch_size=4, order=order), 1)
    resumed.set_epoch(2)
    assert [batch.tolist() for batch in resumed] == expected
    assert len(resumed) == len(expected)


def test_kept_rows_come_in_the_order_of_the_full_set_or_in_one_of_their_own() -> None:
    spec, lengths = DataSpec(batch_size=4, order="reshuffled"), encoded().tokens.lengths
    how = {"pad_id": PAD, "seed": 3}
    shared = FineTuningData(encoded(), KEPT, {}, spec, order_from="full_set", **how)  # type: ignore[arg-type]
    own = FineTuningData(encoded(), KEPT, {}, spec, **how)  # type: ignore[arg-type]
    assert len(shared.plan) == len(own.plan) == -(-KEPT.size // 4)
    for epoch in range(3):
        drawn = {"batch_size": 4, "seed": 3, "epoch": epoch}
        expected = plan_subset(lengths, KEPT, **drawn), plan_batches(lengths[KEPT], **drawn)  # type: ignore[arg-type]
        for data, plan in zip((shared, own), expected, strict=True):
            data.plan.set_epoch(epoch)
            assert [batch["row"].tolist() for batch in data.train_dataloader()] == [batch.tolist() for batch in plan]


@pytest.mark.parametrize("order", ["fixed", "reshuffled"])
@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_a_plan_in_the_order_of_the_full_set_is_continued(order: Any, done: int) -> None:
    def plan() -> PlannedBatches:
        return PlannedBatches(encoded().tokens.lengths, DataSpec(batch_size=4, order=order), 1, KEPT)

    through = plan()
    epochs = []
    for epoch in range(3):
        through.set_epoch(epoch)
        epochs.append([batch.tolist() for batch in through])
    assert len(epochs[0]) == len(through) == 3
    resumed = plan()
    resumed.continue_at(1, done)
    assert [batch.tolist() for batch in resumed] == (epochs[1][done:] if done < 3 else epochs[2])


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_draws_nothing_from_the_global_generator(workers: int) -> None:
    data = data_of(DataSpec(batch_size=4, workers=workers))
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index]
    for loader in (data.train_dataloader(), data.clean_pass(), data.val_dataloader()):
        list(loader)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == numpy_before  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, r"data\.batch_size must be at least 1, got 0"),
        ({"eval_batch_size": -1}, r"data\.eval_batch_size must be at least 1, got -1"),
        ({"max_length": 0}, r"data\.max_length must be at least 2, got 0"),
        ({"order": "sorted"}, r"data\.order must be fixed or reshuffled, got 'sorted'"),
        ({"batching": "sorted"}, r"data\.batching must be one of .* got 'sorted'"),
    ],
)
def test_what_cannot_be_batched_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataSpec(**options)
