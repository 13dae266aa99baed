"""Every row exactly once, all batches but one full, drawn from the seed alone, and little of it padding."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from hprune.data.batching import POOL, Batching, by_length, padded_share, plan_batches

WAYS = get_args(Batching)


def as_lists(plan: list[np.ndarray]) -> list[list[int]]:
    return [batch.tolist() for batch in plan]


def check_is_a_partition(plan: list[np.ndarray], rows: int, batch_size: int) -> None:
    assert sorted(row for batch in plan for row in batch.tolist()) == list(range(rows))
    sizes = [batch.size for batch in plan]
    assert len(plan) == -(-rows // batch_size)
    assert sorted(sizes, reverse=True)[: rows // batch_size] == [batch_size] * (rows // batch_size)
    assert sum(size != batch_size for size in sizes) == (rows % batch_size > 0)


@pytest.mark.parametrize("batching", WAYS)
@pytest.mark.parametrize("case", range(40))
def test_every_row_once_and_one_batch_at_most_not_full(batching: Any, case: int) -> None:
    rng = np.random.default_rng(case)
    rows, batch_size = int(rng.integers(1, 3000)), int(rng.integers(1, 40))
    lengths = rng.integers(1, 200, rows)
    plan = plan_batches(lengths, batch_size=batch_size, seed=case, batching=batching, epoch=int(rng.integers(0, 3)))
    check_is_a_partition(plan, rows, batch_size)
    check_is_a_partition(by_length(lengths, batch_size), rows, batch_size)


@pytest.mark.parametrize("batching", WAYS)
@pytest.mark.parametrize("beside", [-1, 0, 1])
@pytest.mark.parametrize("pools", [1, 2, 3])
def test_the_borders_of_the_pools(batching: Any, beside: int, pools: int) -> None:
    rows = pools * POOL * 4 + beside
    plan = plan_batches(np.arange(1, rows + 1), batch_size=4, seed=0, batching=batching)
    check_is_a_partition(plan, rows, 4)


@pytest.mark.parametrize("batching", WAYS)
def test_the_plan_follows_from_seed_and_epoch(batching: Any) -> None:
    lengths = np.random.default_rng(0).integers(1, 99, 500)

    def plan(seed: int = 1, epoch: int = 0) -> list[list[int]]:
        return as_lists(plan_batches(lengths, batch_size=16, seed=seed, batching=batching, epoch=epoch))

    assert plan() == plan()
    different = [plan(), plan(seed=2), plan(epoch=1), plan(epoch=2), plan(seed=2, epoch=1)]
    assert len({str(one) for one in different}) == 5


def test_by_length_draws_nothing_and_pads_least() -> None:
    lengths = np.random.default_rng(0).integers(1, 99, 500)
    plan = by_length(lengths, 16)
    assert (np.diff(lengths[np.concatenate(plan)]) >= 0).all()
    others = [plan_batches(lengths, batch_size=16, seed=seed, batching="bucketed") for seed in range(5)]
    assert all(padded_share(lengths, plan) <= padded_share(lengths, other) for other in others)


def test_padded_share_is_its_definition() -> None:
    lengths = np.array([1, 4, 2, 2])
    assert padded_share(lengths, [np.array([0, 1]), np.array([2, 3])]) == pytest.approx(3 / 12)
    assert padded_share(lengths, [np.array([0]), np.array([1]), np.array([2, 3])]) == 0


@pytest.mark.parametrize("seed", range(5))
def test_padded_share_of_rows_with_several_sequences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [rng.integers(1, 30, size).tolist() for size in rng.integers(1, 5, 23)]  # tokens of each sequence
    longest = np.array([max(row) for row in rows])
    plan = plan_batches(longest, batch_size=4, seed=seed)
    grid = sum(max(max(rows[r]) for r in batch) * sum(len(rows[r]) for r in batch) for batch in plan)
    real = sum(map(sum, rows))
    found = padded_share(longest, plan, sequences=np.array([len(row) for row in rows]), tokens=real)
    assert found == pytest.approx((grid - real) / grid)


@pytest.mark.parametrize("seed", range(5))
def test_buckets_pad_far_less_on_skewed_lengths(seed: int) -> None:
    lengths = np.random.default_rng(seed).lognormal(3, 0.8, 4000).astype(np.int64) + 2
    share = {way: padded_share(lengths, plan_batches(lengths, batch_size=32, seed=seed, batching=way)) for way in WAYS}
    assert share["bucketed"] < share["random"] / 3


def test_batches_of_a_bucketed_plan_come_in_random_order() -> None:
    lengths = np.arange(1, 1601)
    longest = [int(lengths[batch].max()) for batch in plan_batches(lengths, batch_size=32, seed=0)]
    assert longest != sorted(longest)
    assert abs(np.corrcoef(np.arange(50), longest)[0, 1]) < 0.5


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.batching must be one of bucketed, random, max_length, got 'sorted'"):
        plan_batches(np.ones(3, np.int64), batch_size=1, seed=0, batching="sorted")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"data\.batch_size must be at least 1, got 0"):
        plan_batches(np.ones(3, np.int64), batch_size=0, seed=0)
