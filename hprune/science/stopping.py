"""May scoring stop early? What one run alone brings into the winning ticket, and what the runs that are left would."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hprune.science.patterns import Patterns

LEAST_RUNS = 3
"""Fewer say nothing about how much runs differ."""
UNLIKE = 3
"""How many times as much as any before it one of the runs that are left may bring."""


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


def gain_limit(gained: Iterable[int], left: int) -> int:
    """At most how many samples r further runs bring into the winning ticket, by what each run so far brings.

    (r + 2) max g: as if each brought as many as the run that brought most so far, and one of them three times as many.

    Runs that differ by chance only are exchangeable; then the mean of g_j is an unbiased estimate of what the s-th run
    was expected to bring, and further runs bring less and less: for a sample that is right throughout with chance p,
    the s-th run does so with chance p^(s-1) (1 - p) + (1 - p)^(s-1) p, which falls with s. So r mean g already bounds
    what r runs are expected to bring, and r max g the scatter of runs alike. The rest is for a run that is unlike the
    others: of eight real ones, one brought nearly three times as many as any other, of six others one 3.5 times as
    many, which the bound still held (benchmarks/RESULTS.md). It is a margin, no confidence level: the next run brings
    more than all s before it with a chance of up to 1 / (s + 1), and nothing bounds by how much.

    Args:
        gained: (s,) what each run alone brings, s >= 3.
        left: r, how many runs are left, from 0.

    Returns:
        A number of samples; 0 if no run is left.

    Raises:
        ValueError: if there are fewer than three runs.

    Example:
        >>> gain_limit([4, 9, 5], left=2)
        36
    """
    g = list(gained)
    if len(g) < LEAST_RUNS:
        raise ValueError(f"what runs differ in takes at least {LEAST_RUNS} runs to see, got {len(g)}")
    return (left - 1 + UNLIKE) * max(1, *map(int, g)) if left else 0
