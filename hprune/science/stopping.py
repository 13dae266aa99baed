"""May scoring stop early? What one run alone brings into the winning ticket, and what the runs that are left would."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hprune.science.patterns import Patterns

LEAST_RUNS = 3
"""Fewer say nothing about how much runs differ."""
LEVEL = 0.95


def gains(right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many samples each run alone moves into the winning ticket of the s - 1 others.

    g_j counts the samples with exactly one dissenting run, j: a single success (H = 1) or a single failure (H = s - 1).

    Args:
        right: (s, n), true where a run had a sample right in every epoch, s >= 2; add up what several pieces give.

    Returns:
        (s,).

    Example:
        >>> gains(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)).tolist()
        [1, 0, 1]
    """
    h, runs = right.sum(axis=0), right.shape[0]
    return np.asarray(right[:, h == 1].sum(axis=1) + (~right[:, h == runs - 1]).sum(axis=1), dtype=np.int64)


def gains_of(patterns: Patterns) -> NDArray[np.int64]:
    """The same from counted patterns: (S,)."""
    bits = (patterns.codes >> np.arange(patterns.runs)[:, None] & 1).astype(bool)  # (S, P)
    h = np.bitwise_count(patterns.codes)
    alone = (bits & (h == 1)).astype(np.int64) + (~bits & (h == patterns.runs - 1))
    return np.asarray(alone @ patterns.counts)


def gain_limit(gained: Iterable[int], left: int) -> float:
    """At most how many samples r further runs bring into the winning ticket: a one-sided 95% prediction limit.

    r (mean g + t(0.95, s - 1) sd sqrt(1/s + 1/r)), where sd^2 is the largest of the variance of g over runs, the mean
    of g, as counts scatter at least so much, and 1/s.

    Runs that differ by chance only are exchangeable; then the mean of g_j is an unbiased estimate of what the s-th run
    was expected to bring, and further runs bring less and less: for a sample that is right throughout with chance p,
    the s-th run does so with chance p^(s-1) (1 - p) + (1 - p)^(s-1) p, which falls with s. So r times the mean bounds
    what r runs are expected to bring, and the rest of the formula is for their scatter, as if gains were normal and did
    not fall. No limit sees a run coming that is unlike all before it, such as the first one that diverges.

    Args:
        gained: (s,) what each run alone brings, s >= 3.
        left: r, how many runs are left, from 0.

    Returns:
        A number of samples; 0 if no run is left.

    Raises:
        ValueError: if there are fewer than three runs.
    """
    g = np.array(list(gained), dtype=np.float64)
    if g.size < LEAST_RUNS:
        raise ValueError(f"what runs differ in takes at least {LEAST_RUNS} runs to see, got {g.size}")
    if left == 0:
        return 0.0
    from scipy.stats import t  # half a second: not paid by `--help`

    sd = np.sqrt(max(g.var(ddof=1), g.mean(), 1 / g.size))
    return float(left * (g.mean() + t.ppf(LEVEL, g.size - 1) * sd * np.sqrt(1 / g.size + 1 / left)))
