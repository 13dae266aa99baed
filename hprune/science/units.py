"""Ids of samples that are parts of a row: the windows of a long question, the options of a multiple-choice one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = 1 << 16
"""Parts that a row may have; the id of part p of row r is r * 2^16 + p, so ids of one row lie side by side."""


def part_ids(rows: NDArray[np.int64], parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids of parts of rows: row * 2^16 + part.

    Args:
        rows: (m,) the row that each part belongs to.
        parts: (m,) its number within the row, from 0.

    Raises:
        ValueError: if a row has more parts than an id can tell apart.

    Example:
        >>> part_ids(np.array([0, 3, 3]), np.array([0, 0, 1])).tolist()
        [0, 196608, 196609]
    """
    if parts.size and parts.max() >= PARTS:
        row = int(rows[parts.argmax()])
        raise ValueError(f"row {row} has {int(parts.max()) + 1:,} parts, more than {PARTS:,}; raise data.max_length")
    return np.asarray(rows * PARTS + parts, dtype=np.int64)


def row_of(ids: NDArray[Any]) -> NDArray[np.int64]:
    """The rows that parts belong to."""
    return np.asarray(ids // PARTS, dtype=np.int64)


def part_numbers(first: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the parts of n rows: row i has the parts first[i] .. first[i + 1] - 1 of all.

    Returns:
        (m,) the position of the row of each part, and (m,) its number within the row.
    """
    owners = np.repeat(np.arange(first.size - 1), np.diff(first))
    return owners, np.arange(owners.size) - first[owners]
