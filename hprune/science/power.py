"""Power: what a comparison of so many seeds, with gaps that spread so much, would find, were it there."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

WANTED = 0.8
"""The usual power: four studies of five find it."""


def power_against(difference: float, *, spread: float, seeds: int, alpha: float) -> float:
    """The chance that the two-sided paired t test rejects when the true difference is `difference`.

    P(|T| > t), T noncentral t with n - 1 degrees of freedom and noncentrality difference sqrt(n) / spread.

    Args:
        difference: the true one.
        spread: standard deviation of the gaps over seeds.
        seeds: n, their number.
        alpha: level of the test.

    Returns:
        alpha (no difference) to 1.
    """
    from scipy.stats import nct, t

    limit, shift = t.ppf(1 - alpha / 2, seeds - 1), abs(difference) * np.sqrt(seeds) / spread
    # far out its distribution function comes back as nan: there is then nothing left of it on this side
    below, above = np.nan_to_num(nct.cdf([-limit, limit], seeds - 1, shift))
    return float(below + 1 - above)


def detectable_difference(*, spread: float, seeds: int, alpha: float, power: float = WANTED) -> float:
    """The smallest true difference that the paired t test finds with the given power; the arguments as above."""
    return spread * _detectable_spreads(seeds, alpha, power)


@lru_cache
def _detectable_spreads(seeds: int, alpha: float, power: float) -> float:
    """The same in spreads: it is asked for every arm, metric and slice, and hangs on none of them."""
    from scipy.optimize import brentq

    def lacking(shift: float) -> float:
        return power_against(shift, spread=np.sqrt(seeds), seeds=seeds, alpha=alpha) - power

    high = 1.0
    while lacking(high) < 0:
        high *= 2
    return float(brentq(lacking, 0.0, high) / np.sqrt(seeds))
