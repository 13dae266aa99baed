"""How sure are we? Intervals over seeds and paired differences, by Student's t."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

Verdict = Literal["better", "worse", "not distinguishable", "no verdict (one seed)", "no verdict (no spread)"]

NO_SPREAD = 1e-9
"""Gaps that differ by less over seeds are the same but for rounding: the t test has nothing to go by."""


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its two-sided interval; without at least two seeds there is no interval."""

    mean: float
    low: float | None
    high: float | None
    seeds: int


@dataclass(frozen=True)
class Difference:
    """A paired difference, arm minus reference, over the seeds that both have."""

    interval: Interval
    p_value: float | None
    verdict: Verdict
    test: str


def t_interval(values: Mapping[int, float], *, level: float = 0.95) -> Interval:
    """Mean +- t quantile x standard error over seeds.

    Args:
        values: one number for each seed.
        level: coverage of the interval, two-sided.

    Returns:
        The interval; `low` and `high` are None with one seed. With three seeds and level 0.95 it spans +- 2.48 standard
        deviations, with five +- 1.24.

    Raises:
        ValueError: no values, or values that are not finite.
    """
    sample = np.array([values[seed] for seed in sorted(values)], dtype=np.float64)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError(f"an interval needs at least one finite value a seed, got {dict(values)}")
    if sample.size == 1:
        return Interval(float(sample[0]), None, None, 1)
    from scipy.stats import t  # half a second: not paid by `--help`

    half = float(t.ppf((1 + level) / 2, sample.size - 1) * sample.std(ddof=1) / np.sqrt(sample.size))
    mean = float(sample.mean())
    return Interval(mean, mean - half, mean + half, int(sample.size))


def paired_difference(
    arm: Mapping[int, float], reference: Mapping[int, float], *, higher_is_better: bool = True, level: float = 0.95
) -> Difference:
    """Compare two arms seed by seed with the paired t test.

    Args:
        arm: metric of the arm for each seed.
        reference: metric of the reference for each seed; pairs are formed over the seeds in both.
        higher_is_better: direction of the metric, which decides between "better" and "worse".
        level: one minus the level of the two-sided test; the verdict is a difference when the interval leaves out 0.

    Raises:
        ValueError: if the two share no seed.
    """
    common = sorted(set(arm) & set(reference))
    if not common:
        raise ValueError(f"arms must share seeds to be compared, got {sorted(arm)} and {sorted(reference)}")
    gaps = {seed: arm[seed] - reference[seed] for seed in common}
    interval = t_interval(gaps, level=level)
    test = f"paired t test, two-sided, n = {len(common)} seeds"
    if interval.low is None or interval.high is None:
        return Difference(interval, None, "no verdict (one seed)", test)
    spread = max(gaps.values()) - min(gaps.values())
    if spread < NO_SPREAD and abs(interval.mean) >= NO_SPREAD:
        return Difference(interval, None, "no verdict (no spread)", test)
    p = 1.0 if spread < NO_SPREAD else _paired_t_p_value(np.array(list(gaps.values())))
    if p >= 1 - level:
        return Difference(interval, p, "not distinguishable", test)
    return Difference(interval, p, "better" if (interval.mean > 0) == higher_is_better else "worse", test)


def _paired_t_p_value(gaps: np.ndarray) -> float:
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(gaps, 0.0).pvalue)
