"""Power: what a comparison with this standard error would find, were it there."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

WANTED = 0.8
"""The usual power: four studies of five find it."""


def power_against(difference: float, *, error: float, df: float, alpha: float) -> float:
    """The chance that a two-sided t test rejects when the true difference is `difference`.

    P(|T| > t), T noncentral t with df degrees of freedom and noncentrality difference / error.

    Args:
        difference: the true one.
        error: standard error of the observed difference, above 0.
        df: degrees of freedom of that error.
        alpha: level of the test.

    Returns:
        alpha (no difference) to 1.
    """
    from scipy.stats import nct, t

    limit, shift = t.ppf(1 - alpha / 2, df), abs(difference) / error
    # far out its distribution function comes back as nan: there is then nothing left of it on this side
    below, above = np.nan_to_num(nct.cdf([-limit, limit], df, shift))
    return float(below + 1 - above)


def detectable_difference(*, error: float, df: float, alpha: float, power: float = WANTED) -> float:
    """The smallest true difference that the t test finds with the given power; the arguments as above."""
    return error * _detectable_errors(df, alpha, power)


@lru_cache(maxsize=4096)
def _detectable_errors(df: float, alpha: float, power: float) -> float:
    """The same in standard errors: it is asked for every arm, metric and slice, often with the same df."""
    from scipy.optimize import brentq

    def lacking(shift: float) -> float:
        return power_against(shift, error=1.0, df=df, alpha=alpha) - power

    high = 4.0
    while lacking(high) < 0:
        high *= 2
    return float(brentq(lacking, 0.0, high, xtol=1e-7))
