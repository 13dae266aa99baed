"""How the values of a score are distributed, gathered piece by piece."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Distribution:
    """How often each whole value occurs; of real values the smallest, the largest and the median.

    Args:
        samples: how many values will come.
        top: the values 0..top are counted even if there are none.
    """

    def __init__(self, samples: int, top: int) -> None:
        self.samples, self.seen = samples, 0
        self.counts = dict.fromkeys(range(top + 1), 0)
        self.real: NDArray[np.float32] | None = None  # (N,) as they came
        self.low, self.high = math.inf, -math.inf

    def add(self, values: NDArray[Any]) -> None:
        """Take the next values."""
        if np.issubdtype(values.dtype, np.integer):
            for value, count in zip(*_occurring(values), strict=True):
                self.counts[value] = self.counts.get(value, 0) + count
        else:
            self.real = np.empty(self.samples, dtype=np.float32) if self.real is None else self.real
            self.real[self.seen : self.seen + values.size] = values
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self.seen += values.size

    def median(self) -> float:
        """The middle of the real values, in single precision."""
        assert self.real is not None, "whole values are counted"
        middle = [(self.samples - 1) // 2, self.samples // 2]
        self.real.partition(middle)
        return float(self.real[middle].mean(dtype=np.float64))


def _occurring(values: NDArray[np.integer]) -> tuple[list[int], list[int]]:
    """The values that occur, and how often."""
    low, high = int(values.min()), int(values.max())
    if high - low >= 2**16:
        found, counts = np.unique(values, return_counts=True)
        return found.tolist(), counts.tolist()
    counts = np.bincount(values.astype(np.int64) - low)  # no sorting
    return (np.flatnonzero(counts) + low).tolist(), counts[counts > 0].tolist()
