"""Batches of rows: drawn once per run from its seed, bucketed by length to pad little, each row exactly once."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Batching = Literal["bucketed", "random", "max_length"]

POOL = 50
"""Batches in a pool that is sorted by length: enough to pad little, few enough that a batch stays a random one."""


def plan_batches(
    lengths: NDArray[np.int64], *, batch_size: int, seed: int, batching: Batching = "bucketed", epoch: int = 0
) -> list[NDArray[np.int64]]:
    """Cut the rows 0..n-1 into batches; every row stands in exactly one, all batches but one are full.

    Args:
        lengths: (n,) tokens of each row.
        batch_size: rows in a batch.
        seed: of the run; the same seed gives the same batches.
        batching: `bucketed` sorts pools of 50 batches by length, cuts them, and shuffles the batches; `random` and
            `max_length` cut a random permutation (they differ in padding only).
        epoch: 0 for an order that is fixed for the run; the epoch's number for a new order in each.

    Returns:
        Batches of row numbers, in the order they are trained in. One that is not full may stand anywhere in it.

    Raises:
        ValueError: unknown batching, or a batch size below 1.
    """
    if batching not in get_args(Batching):
        raise ValueError(f"data.batching must be one of {', '.join(get_args(Batching))}, got {batching!r}")
    if batch_size < 1:
        raise ValueError(f"data.batch_size must be at least 1, got {batch_size}")
    rng = np.random.default_rng([seed, epoch, 0xBA7C4])
    rows = rng.permutation(lengths.size)
    if batching != "bucketed":
        return _cut(rows, batch_size)
    pools = _cut(rows, batch_size * POOL)  # whole batches, so that only the last pool ends in one that is not full
    batches = [batch for pool in pools for batch in _cut(pool[np.argsort(lengths[pool], kind="stable")], batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def plan_subset(
    lengths: NDArray[np.int64],
    kept: NDArray[np.int64],
    *,
    batch_size: int,
    seed: int,
    batching: Batching = "bucketed",
    epoch: int = 0,
) -> list[NDArray[np.int64]]:
    """Cut the kept rows into batches that come when the full set's plan of the same seed would train their rows.

    So arms of one seed share their order, whatever their sizes. The full set's batches, one after the other, are
    filtered to the kept rows. For `bucketed`, pools of 50 batches of this sequence are sorted by length and cut, and
    the batches of a pool come in the order of their rows' mean place in the full plan; otherwise the sequence is cut
    as it is. Rows of equal length stand in the order of the full plan, and those of the next length in the opposite
    one, so that a batch with two lengths has rows of one time, and short batches do not come first.

    Args:
        lengths: (N,) tokens of each row of the full set.
        kept: (n,) which of these rows are kept, increasing.
        batch_size: rows in a batch.
        seed: of the run.
        batching: see `plan_batches`.
        epoch: see `plan_batches`.

    Returns:
        Batches of positions in `kept`, each in exactly one; all but one are full. If every row is kept, the full plan.

    Raises:
        ValueError: unknown batching, or a batch size below 1.
    """
    full_plan = plan_batches(lengths, batch_size=batch_size, seed=seed, batching=batching, epoch=epoch)
    if kept.size == lengths.size:
        return full_plan
    position = np.full(lengths.size, -1, dtype=np.int64)
    position[kept] = np.arange(kept.size)
    rows = position[np.concatenate(full_plan)]
    place = np.repeat(np.arange(len(full_plan)), [batch.size for batch in full_plan])[
        rows >= 0
    ]  # (n,) in the full plan
    rows = rows[rows >= 0]
    if batching != "bucketed":
        return _cut(rows, batch_size)
    batches: list[NDArray[np.int64]] = []
    own_lengths = lengths[kept[rows]]
    direction = 1 - 2 * ((own_lengths + seed) % 2)
    for pool in _cut(np.arange(rows.size), batch_size * POOL):
        sorted_pool = pool[np.lexsort((direction[pool] * place[pool], own_lengths[pool]))]
        batches += sorted(_cut(sorted_pool, batch_size), key=lambda batch: float(place[batch].mean()))
    return [rows[batch] for batch in batches]


def by_length(lengths: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Batches for evaluation: rows sorted by length, nothing drawn."""
    return _cut(np.argsort(lengths, kind="stable"), batch_size)


def padded_share(
    lengths: NDArray[np.int64],
    batches: list[NDArray[np.int64]],
    *,
    sequences: NDArray[np.int64] | None = None,
    tokens: int | None = None,
) -> float:
    """Share of the tokens in a plan that is padding, in 0..1.

    Args:
        lengths: (n,) tokens of each row, or of its longest sequence.
        batches: the plan.
        sequences: (n,) how many sequences each row has; by default one.
        tokens: of all rows together; by default the sum of `lengths`.
    """
    number = np.ones_like(lengths) if sequences is None else sequences
    padded = sum(int(lengths[batch].max() * number[batch].sum()) for batch in batches)
    return 1 - int(lengths.sum() if tokens is None else tokens) / padded


def _cut(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [rows[start : start + size] for start in range(0, rows.size, size)]
