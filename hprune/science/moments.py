"""Mean and spread of the values of each sample, added up in one order: a sample's number is the same in any company.

In double precision, as the last digits of many values in single precision go astray; the results are single again.
"""

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
    return (total / number).astype(np.float32)


def std_of(rows: Rows, *, ddof: int) -> NDArray[np.float32]:
    """Standard deviation of rows of n values each, value by value: the root of squared deviations / (rows - ddof).

    Equal values have none at all.

    Raises:
        ValueError: if `ddof` is not a whole number in 0..rows - 1.
    """
    listed = list(rows)
    total, number = _added(listed)
    if type(ddof) is not int or not 0 <= ddof < number:
        raise ValueError(
            f"ddof must be a whole number from 0, below the {number} values that each sample has, got {ddof!r}; "
            "more epochs or runs give more values"
        )
    mean = total / number
    squares, _ = _added(np.square(row - mean) for row in listed)
    return np.sqrt(squares / (number - ddof)).astype(np.float32)


def each_epoch(values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The rows of an array (S, E, n): one for each epoch of each run."""
    return [row for run in values for row in run]


def _added(rows: Iterable[NDArray[np.floating]]) -> tuple[NDArray[np.float64], int]:
    rows = iter(rows)
    total, number = next(rows).astype(np.float64), 1
    for row in rows:
        total += row
        number += 1
    return total, number
