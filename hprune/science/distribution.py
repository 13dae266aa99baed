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
        top: the counts go up to here at least.
    """

    def __init__(self, samples: int, top: int) -> None:
        self.samples, self.seen = samples, 0
        self.counts = np.zeros(top + 1, dtype=np.int64)  # by value
        self.real: NDArray[np.float32] | None = None  # (N,) as they came
        self.low, self.high = math.inf, -math.inf

    def add(self, values: NDArray[Any]) -> None:
        """Take the next values."""
        if np.issubdtype(values.dtype, np.integer):
            counts = np.bincount(values, minlength=self.counts.size)
            counts[: self.counts.size] += self.counts
            self.counts = counts
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
