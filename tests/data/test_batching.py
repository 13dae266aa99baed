"""Every row exactly once, all batches but one full, drawn from the seed alone, and little of it padding."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from scipy.stats import spearmanr

from hprune.data.batching import POOL, Batching, by_length, padded_share, plan_batches, plan_subset

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


def drawn(case: int, rows: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of all rows, and the rows that are kept."""
    rng = np.random.default_rng([case, 7])
    kept = np.sort(rng.choice(rows, max(1, round(share * rows)), replace=False))
    return rng.lognormal(3, 0.6, rows).astype(np.int64) + 2, kept


def places(plan: list[np.ndarray], rows: int) -> np.ndarray:
    """(rows,) in which batch each stands."""
    found = np.full(rows, -1)
    for number, batch in enumerate(plan):
        found[batch] = number
    return found


@pytest.mark.parametrize("batching", WAYS)
@pytest.mark.parametrize("case", range(20))
def test_a_plan_of_a_subset_has_every_kept_row_once(batching: Any, case: int) -> None:
    rng = np.random.default_rng(case)
    rows, batch_size = int(rng.integers(1, 3000)), int(rng.integers(1, 40))
    lengths, kept = drawn(case, rows, float(rng.random()))
    how = {"batch_size": batch_size, "seed": case, "batching": batching, "epoch": int(rng.integers(0, 3))}
    plan = plan_subset(lengths, kept, **how)
    check_is_a_partition(plan, kept.size, batch_size)
    assert as_lists(plan) == as_lists(plan_subset(lengths, kept, **how))
    everything = plan_subset(lengths, np.arange(rows), **how)
    assert as_lists(everything) == as_lists(plan_batches(lengths, **how)), "a subset of all rows is the full set"


@pytest.mark.parametrize("batching", ["random", "max_length"])
def test_without_buckets_a_subset_is_the_full_order_without_the_others(batching: Any) -> None:
    lengths, kept = drawn(0, 1000, 0.4)
    full = np.concatenate(plan_batches(lengths, batch_size=8, seed=3, batching=batching))
    plan = plan_subset(lengths, kept, batch_size=8, seed=3, batching=batching)
    assert kept[np.concatenate(plan)].tolist() == [row for row in full.tolist() if row in set(kept.tolist())]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8, 0.99])
@pytest.mark.parametrize("seed", range(4))
def test_a_bucketed_plan_of_a_subset_is_its_definition(seed: int, share: float) -> None:
    """By lists: take the full plan's rows that are kept, in pools of 50 batches; sort by length; cut; sort by time.

    Of an even length plus seed the rows come forwards in time, of an odd one backwards.
    """
    size, rows = 4, 1500
    lengths, kept = drawn(seed, rows, share)
    full = as_lists(plan_batches(lengths, batch_size=size, seed=seed))
    in_time = [(at, row) for at, batch in enumerate(full) for row in batch if row in set(kept.tolist())]
    expected = []
    for start in range(0, len(in_time), size * POOL):
        pool = in_time[start : start + size * POOL]
        pool.sort(key=lambda one: (lengths[one[1]], one[0] if (lengths[one[1]] + seed) % 2 == 0 else -one[0]))
        cut = [pool[at : at + size] for at in range(0, len(pool), size)]
        cut.sort(key=lambda batch: sum(at for at, _ in batch) / len(batch))
        expected += [[row for _, row in batch] for batch in cut]
    plan = plan_subset(lengths, kept, batch_size=size, seed=seed)
    assert [kept[batch].tolist() for batch in plan] == expected


@pytest.mark.parametrize(("rows", "share", "least"), [(1000, 0.5, 0.4), (4000, 0.7, 0.8), (16000, 0.3, 0.9)])
def test_a_kept_row_is_trained_when_the_full_set_would_train_it(rows: int, share: float, least: float) -> None:
    """Rank correlation of a row's place in both plans; with an order drawn for the kept rows there is none."""
    shared, own = [], []
    for seed in range(6):
        lengths, kept = drawn(seed, rows, share)
        full = places(plan_batches(lengths, batch_size=32, seed=seed), rows)[kept]
        subset = places(plan_subset(lengths, kept, batch_size=32, seed=seed), kept.size)
        before = places(plan_batches(lengths[kept], batch_size=32, seed=seed), kept.size)
        shared.append(spearmanr(full, subset).statistic)
        own.append(spearmanr(full, before).statistic)
    assert np.mean(shared) > least
    assert abs(np.mean(own)) < 0.15


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_subset_in_the_order_of_the_full_set_is_padded_no_more(share: float) -> None:
    shares: dict[str, list[float]] = {"shared": [], "own": []}
    for seed in range(6):
        lengths, kept = drawn(seed, 8000, share)
        own = lengths[kept]
        shares["shared"].append(padded_share(own, plan_subset(lengths, kept, batch_size=32, seed=seed)))
        shares["own"].append(padded_share(own, plan_batches(own, batch_size=32, seed=seed)))
    assert np.mean(shares["shared"]) < 1.03 * np.mean(shares["own"])


@pytest.mark.parametrize(("rows", "share"), [(4000, 0.1), (4000, 0.5), (1000, 0.5)])
def test_short_texts_do_not_come_first(rows: int, share: float) -> None:
    """Over seeds, the place of a batch says nothing about its length, though many texts are of one length.

    But for the one that is not full, which has the longest of the last pool.
    """
    found = []
    for seed in range(100):
        kept = drawn(seed, rows, share)[1]
        lengths = np.random.default_rng(seed).poisson(4, rows) + 3
        plan = [batch for batch in plan_subset(lengths, kept, batch_size=32, seed=seed) if batch.size == 32]
        found.append(spearmanr(np.arange(len(plan)), [lengths[kept[batch]].mean() for batch in plan]).statistic)
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.batching must be one of bucketed, random, max_length, got 'sorted'"):
        plan_batches(np.ones(3, np.int64), batch_size=1, seed=0, batching="sorted")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"data\.batch_size must be at least 1, got 0"):
        plan_batches(np.ones(3, np.int64), batch_size=0, seed=0)
    with pytest.raises(ValueError, match=r"data\.batch_size must be at least 1, got 0"):
        plan_subset(np.ones(3, np.int64), np.arange(2), batch_size=0, seed=0)
