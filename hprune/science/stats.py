"""How sure are we of a mean? Intervals over seeds, by Student's t."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its two-sided interval; without at least two seeds there is no interval."""

    mean: float
    low: float | None
    high: float | None
    seeds: int


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
