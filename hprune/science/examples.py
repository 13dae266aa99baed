"""Comparisons example by example: would another evaluation set of the same kind give the same answer?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ExampleInterval:
    """The difference in accuracy with an interval over examples; the seeds are taken as they are."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class McNemar:
    """Examples that the arm has right and the reference wrong, and the other way round."""

    gained: int
    lost: int
    p_value: float


def paired_bootstrap(
    arm: NDArray[np.bool_], reference: NDArray[np.bool_], *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> ExampleInterval:
    """Percentile interval of the difference in accuracy, by drawing the examples of the set anew, both arms together.

    Args:
        arm: (K, n) whether each of K seeds has each of n examples right.
        reference: (K, n) likewise, of the same examples.
        level: coverage, two-sided.
        resamples: how often the set is drawn.
        seed: of the drawing.
    """
    gaps = arm.mean(axis=0) - reference.mean(axis=0)  # (n,) few different values: drawing examples is drawing counts
    values, counts = np.unique(np.round(gaps, 9), return_counts=True)
    drawn = np.random.default_rng([seed, 0xB007]).multinomial(gaps.size, counts / gaps.size, size=resamples)
    low, high = np.quantile(drawn @ values / gaps.size, [(1 - level) / 2, (1 + level) / 2])
    return ExampleInterval(float(gaps.mean()), float(low), float(high))


def mcnemar(arm: NDArray[np.bool_], reference: NDArray[np.bool_]) -> McNemar:
    """The exact McNemar test of one seed: of the examples that only one of the two has right, is it half each?

    Args:
        arm: (n,) whether the arm has each example right.
        reference: (n,) likewise.

    Example:
        >>> mcnemar(np.array([True] * 9 + [False]), np.array([False] * 9 + [True]))
        McNemar(gained=9, lost=1, p_value=0.021484375)
    """
    gained, lost = int((arm & ~reference).sum()), int((~arm & reference).sum())
    if gained + lost == 0:
        return McNemar(0, 0, 1.0)
    from scipy.stats import binomtest

    return McNemar(gained, lost, float(binomtest(gained, gained + lost).pvalue))
