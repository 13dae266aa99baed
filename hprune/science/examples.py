"""Two arms example by example: what an evaluation set of this size can tell, and which answers changed.

Intervals over seeds say what other seeds would give on the same examples; those here, what other examples would give to
the same trained models. A difference should survive both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hprune.science.significance import Floats

RESAMPLES = 10_000
AT_ONCE = 2**22
"""Counts that are drawn at a time, 32 MiB."""


@dataclass(frozen=True)
class Bootstrap:
    """The mean difference over examples, with the percentile interval of their resampling."""

    mean: float
    low: float
    high: float
    examples: int


@dataclass(frozen=True)
class Changes:
    """Examples that an arm gets right and the reference does not, and the other way round, with one seed."""

    gained: int
    lost: int
    p_value: float  # exact McNemar: both are as likely under the null hypothesis


def bootstrap(gaps: Floats, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0) -> Bootstrap:
    """Resample examples with replacement: the percentile interval of the mean difference.

    Only the number of times that each distinct difference is drawn matters, which is multinomial: differences of right
    and wrong over S seeds take at most 2 S + 1 values, so ten thousand resamples of any set take milliseconds.

    Args:
        gaps: (n,) arm minus reference for each example, averaged over the seeds.
        level: coverage of the interval, two-sided.
        resamples: how many.
        seed: of the drawing.

    Raises:
        ValueError: no examples, or differences that are not finite.

    Example:
        >>> bootstrap(np.array([1.0, 0.0, 0.0, -1.0] * 100))
        Bootstrap(mean=0.0, low=-0.0675, high=0.07, examples=400)
    """
    gaps = np.asarray(gaps, dtype=np.float64)
    if gaps.size == 0 or not np.isfinite(gaps).all():
        raise ValueError(f"a bootstrap needs at least one example and finite differences, got {gaps.size} examples")
    values, counts = np.unique(gaps.round(9), return_counts=True)
    rng, step = np.random.default_rng(seed), max(AT_ONCE // values.size, 1)
    means = [
        rng.multinomial(gaps.size, counts / gaps.size, size=min(step, resamples - start)) @ values / gaps.size
        for start in range(0, resamples, step)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Bootstrap(float(gaps.mean()), float(low), float(high), gaps.size)


def mcnemar(arm: NDArray[np.bool_], reference: NDArray[np.bool_]) -> Changes:
    """Count the answers that changed, with the exact test of McNemar: gained ~ Binomial(gained + lost, 1/2).

    Args:
        arm: (n,) whether each example is right with the arm.
        reference: (n,) likewise, of a run with the same seed.

    Example:
        >>> mcnemar(np.array([1, 1, 1, 0, 1], dtype=bool), np.array([0, 0, 1, 1, 1], dtype=bool))
        Changes(gained=2, lost=1, p_value=1.0)
    """
    gained, lost = int((arm & ~reference).sum()), int((reference & ~arm).sum())
    return Changes(gained, lost, mcnemar_p(gained, lost))


def mcnemar_p(gained: int, lost: int) -> float:
    """The two-sided p value of the exact McNemar test; 1 where no answer changed."""
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def mean_gaps(arm: Mapping[int, Floats], reference: Mapping[int, Floats]) -> Floats:
    """Arm minus reference for each example, (n,), averaged over the seeds that both have."""
    return np.mean(
        [arm[seed].astype(np.float64) - reference[seed] for seed in sorted(set(arm) & set(reference))], axis=0
    )
