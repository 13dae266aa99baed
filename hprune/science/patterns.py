"""In which runs was a sample never wrong? How often each answer occurs, gathered piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hprune.science.records import Dynamics

MOST_RUNS = 16
"""With S runs there are up to 2^S patterns; with more runs than this they are not counted."""


def right_throughout(dynamics: Dynamics) -> NDArray[np.bool_]:
    """(S, n): whether a run had a sample right in every epoch; H adds up its rows."""
    return np.asarray(dynamics.correct.all(axis=1))


@dataclass(frozen=True, eq=False)
class Patterns:
    """The patterns of success over S runs that occur, and how many samples have each.

    Everything that the H-score says of any subset of the runs follows from them: H over some runs is the number of ones
    among those.
    """

    runs: int
    """S, 1..16."""
    codes: NDArray[np.int64]  # (P,) increasing; bit s is 1 where run s was right in every epoch
    counts: NDArray[np.int64]  # (P,) samples, each above 0

    @classmethod
    def of(cls, pieces: Iterable[NDArray[np.bool_]]) -> Patterns:
        """Count the patterns of samples that come in pieces.

        Args:
            pieces: one array (S, n) after the other, true where a run had a sample right in every epoch.

        Raises:
            ValueError: there are no samples, no runs, or more than 16.

        Example:
            >>> found = Patterns.of([np.array([[1, 0, 1], [1, 0, 0]], dtype=bool)])
            >>> found.codes.tolist(), found.counts.tolist()
            ([0, 1, 3], [1, 1, 1])
        """
        runs, counts = 0, np.zeros(0, dtype=np.int64)
        for right in pieces:
            runs = right.shape[0]
            if not 1 <= runs <= MOST_RUNS:
                raise ValueError(f"patterns are counted for 1..{MOST_RUNS} runs, got {runs}")
            codes = np.zeros(right.shape[1], dtype=np.int64)
            for run in range(runs):
                codes |= right[run].astype(np.int64) << run
            found = np.bincount(codes, minlength=2**runs)
            counts = found if not counts.size else counts + found
        if not counts.sum():
            raise ValueError("patterns need at least one sample, got none")
        occurring = np.flatnonzero(counts)
        return cls(runs, occurring, counts[occurring])

    @property
    def samples(self) -> int:
        """N."""
        return int(self.counts.sum())

    @property
    def histogram(self) -> NDArray[np.int64]:
        """(S + 1,): the number of samples with H = 0..S."""
        return _counted(np.bitwise_count(self.codes), self.counts, self.runs + 1)

    def among(self, runs: Sequence[int]) -> Patterns:
        """The patterns over some of the runs, given by their positions 0..S-1, which become 0, 1, ... in that order."""
        codes = np.zeros_like(self.codes)
        for place, run in enumerate(runs):
            codes |= (self.codes >> run & 1) << place
        counts = _counted(codes, self.counts, 2 ** len(runs))
        occurring = np.flatnonzero(counts)
        return Patterns(len(runs), occurring, counts[occurring])


def _counted(at: NDArray[np.integer], counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The counts that fall on each of the places 0..size - 1."""
    total = np.zeros(size, dtype=np.int64)
    np.add.at(total, at, counts)
    return total
