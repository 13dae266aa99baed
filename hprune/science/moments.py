"""Mean and spread of the values of each sample, added up in one order: a sample's number is the same in any company."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Rows = Iterable[NDArray[np.float32]]


def mean_of(rows: Rows) -> NDArray[np.float32]:
    """Mean of rows of n values each, value by value.

    numpy's own mean adds a single column in another order than several, so its last digit depends on n.
    """
    total, number = _added(rows)
    return total / np.float32(number)


def std_of(rows: Rows, *, ddof: int) -> NDArray[np.float32]:
    """Standard deviation of rows of n values each, value by value: squared deviations add up to n - ddof of them."""
    listed = list(rows)
    mean = mean_of(listed)
    total, number = _added(np.square(row - mean) for row in listed)
    return np.sqrt(total / np.float32(number - ddof))


def each_epoch(values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The rows of an array (S, E, n): one for each epoch of each run."""
    return list(values.reshape(-1, values.shape[-1]))


def _added(rows: Rows) -> tuple[NDArray[np.float32], int]:
    total, number = None, 0
    for row in rows:
        if total is None:
            total = row.copy()
        else:
            total += row
        number += 1
    assert total is not None, "there is a run with an epoch"
    return total, number
