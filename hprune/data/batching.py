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
