"""How many runs are enough? What fewer runs than S would have chosen, and what is certain whatever more would say.

Over all C(S, s) ways to take s of S runs, H over those s is hypergeometric given H over all: so expectations follow
from the histogram of H alone. How far single choices of runs scatter needs the patterns of success.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hprune.science.keep import KeepSpec, keep_values
from hprune.science.patterns import Patterns

TICKET = "1..S-1"
"""The keep-set of the winning ticket."""
MOST_SUBSETS = 256
"""Subsets of the runs that are looked at for each s: all of them up to S = 10, else so many drawn at random."""


@dataclass(frozen=True)
class AtRuns:
    """What s of the S runs would have kept, over the subsets of s runs that were looked at."""

    runs: int
    """s."""
    subsets: int
    """How many were looked at: all C(S, s), or a sample of them."""
    size: float
    """Mean number of samples kept."""
    sd: float
    """Standard deviation of that number over the subsets of runs: of a population if all were looked at."""
    low: int
    high: int
    """The smallest and the largest number."""
    overlap: float
    """Mean Jaccard index with what all S runs keep, 0..1; 1 where both keep nothing."""
    overlap_low: float
    """The smallest."""


def expected_histogram(counts: NDArray[np.integer], runs: int) -> NDArray[np.float64]:
    """How many samples have H = k over s of S runs, expected over all C(S, s) ways to take them.

    E n_k(s) = sum_h n_h C(h, k) C(S - h, s - k) / C(S, s).

    Args:
        counts: (S + 1,) samples with H = 0..S over all runs.
        runs: s, 1..S.

    Returns:
        (s + 1,), summing to N.

    Raises:
        ValueError: if s is not in 1..S.

    Example:
        >>> expected_histogram(np.array([1, 4, 5]), 1).tolist()
        [3.0, 7.0]
    """
    total = len(counts) - 1
    if not 1 <= runs <= total:
        raise ValueError(f"runs must be in 1..{total}, those that there are, got {runs}")
    ways = math.comb(total, runs)
    chance = [
        [math.comb(h, k) * math.comb(total - h, runs - k) / ways for k in range(runs + 1)] for h in range(total + 1)
    ]
    return np.asarray(counts, dtype=np.float64) @ np.array(chance)


def expected_size(counts: NDArray[np.integer], runs: int, keep: KeepSpec = TICKET) -> float:
    """How many samples s of S runs keep, expected over all C(S, s) ways to take them.

    For the winning ticket sum_h n_h (1 - C(h, s) / C(S, s) - C(S - h, s) / C(S, s)), which grows with s. With one run
    it is empty.

    Args:
        counts: (S + 1,) samples with H = 0..S over all runs.
        runs: s, 1..S.
        keep: a keep-set as in `keep_values`, where S stands for the s runs.

    Raises:
        ValueError: if s is not in 1..S.

    Example:
        >>> expected_size(np.array([1, 2, 2, 5]), 2)
        2.6666666666666665
    """
    expected = expected_histogram(counts, runs)
    return float(expected[list(_kept(keep, runs))].sum())


def certain_part(counts: NDArray[np.integer]) -> tuple[int, int]:
    """How many samples any further runs leave in the winning ticket, and how many they may still bring into it.

    A sample with a success and a failure (0 < H < S) stays in; H = 0 and H = S are open. So with whatever further runs
    the ticket has between `certain` and `certain + open` samples, and both ends can be met.

    Args:
        counts: (S + 1,) samples with H = 0..S.

    Returns:
        certain, open.
    """
    certain = int(np.sum(counts[1:-1]))
    return certain, int(np.sum(counts)) - certain


def convergence(
    patterns: Patterns, *, keep: KeepSpec = TICKET, most: int = MOST_SUBSETS, seed: int = 0
) -> list[AtRuns]:
    """What every number of runs from 1 to S would have kept, and how that scatters over the choice of runs.

    Args:
        patterns: of success over the S runs.
        keep: a keep-set as in `keep_values`, where S stands for the number of runs that are taken; where it is empty
            or cannot be asked of so few runs, nothing is kept.
        most: how many subsets of the runs are looked at for each s; where there are more, so many are drawn.
        seed: of the draw.

    Returns:
        One entry for each s, by increasing s. The overlap of winning tickets is |ticket(s)| / |ticket(S)|, as that of
        some of the runs is part of that of all.
    """
    kept, found = _kept_lookup(keep, patterns.runs), []
    final = kept[np.bitwise_count(patterns.codes)]
    size_of_all = int(patterns.counts[final].sum())
    for runs in range(1, patterns.runs + 1):
        lookup, sizes, overlaps = _kept_lookup(keep, runs), [], []
        for mask in _masks(patterns.runs, runs, most, seed):
            chosen = lookup[np.bitwise_count(patterns.codes & mask)]
            size, common = (int(patterns.counts[part].sum()) for part in (chosen, chosen & final))
            either = size + size_of_all - common
            sizes.append(size)
            overlaps.append(common / either if either else 1.0)
        found.append(
            AtRuns(
                runs, len(sizes), float(np.mean(sizes)), float(np.std(sizes)), min(sizes), max(sizes),
                float(np.mean(overlaps)), min(overlaps),
            )
        )  # fmt: skip
    return found


def _kept(keep: KeepSpec, runs: int) -> tuple[int, ...]:
    """The values of H that are kept with so many runs; none where the keep-set asks for more runs than there are."""
    try:
        return keep_values(keep, runs=runs)
    except ValueError:
        keep_values(keep, runs=10**4)  # one that cannot be read is refused all the same
        return ()


def _kept_lookup(keep: KeepSpec, runs: int) -> NDArray[np.bool_]:
    """(s + 1,): whether H = 0..s is kept."""
    kept = np.zeros(runs + 1, dtype=bool)
    kept[list(_kept(keep, runs))] = True
    return kept


def _masks(total: int, runs: int, most: int, seed: int) -> list[int]:
    """Which runs are taken, a bit each: all ways to take s of S, or some different ones drawn at random."""
    if math.comb(total, runs) <= most:
        return [sum(1 << run for run in taken) for taken in itertools.combinations(range(total), runs)]
    rng, drawn = np.random.default_rng((seed, runs)), dict[int, None]()
    while len(drawn) < most:
        drawn[sum(1 << int(run) for run in rng.choice(total, runs, replace=False))] = None
    return list(drawn)
