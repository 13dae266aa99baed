"""What a comparison could have found: the power of the paired t test and of the test for equivalence.

Both are means over the spread u = s / sigma that n seeds may happen to show, u^2 ~ chi2(n - 1) / (n - 1), of the
probability given that spread, which is one of the normal distribution. That is the noncentral t, without its overflows.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

NODES = 4096
"""Quantiles of the spread that are averaged over: power is right to a few parts in ten thousand."""


def power_of_t_test(difference: float, *, sd: float, n: int, alpha: float = 0.05) -> float:
    """The probability that the two-sided paired t test finds a true difference.

    Args:
        difference: the true mean of the paired differences.
        sd: their standard deviation over seeds, above 0.
        n: seeds, at least 2.
        alpha: level of the test.

    Returns:
        alpha..1.

    Example:
        >>> round(power_of_t_test(0.5, sd=1.0, n=34), 2)
        0.81
    """
    from scipy.stats import norm, t

    reach = t.ppf(1 - alpha / 2, n - 1) * _spreads(n - 1)
    shift = difference * np.sqrt(n) / sd
    return float(np.mean(norm.sf(reach - shift) + norm.cdf(-reach - shift)))


def detectable(*, sd: float, n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference that the two-sided paired t test finds with this power.

    Args:
        sd: standard deviation of the paired differences over seeds, above 0.
        n: seeds, at least 2.
        alpha: level of the test.
        power: in alpha..1.

    Returns:
        A difference above 0; five seeds find 1.68 standard deviations in four of five cases.
    """
    from scipy.optimize import brentq
    from scipy.stats import t

    most = 50.0 * float(t.ppf(1 - alpha / 2, n - 1)) / np.sqrt(n)
    return sd * float(brentq(lambda d: power_of_t_test(d, sd=1.0, n=n, alpha=alpha) - power, 0.0, most, xtol=1e-6))


def power_of_tost(margin: float, *, sd: float, n: int, alpha: float = 0.05, difference: float = 0.0) -> float:
    """The probability that two one-sided tests find a true difference to be within the margin.

    Args:
        margin: above 0.
        sd: standard deviation of the paired differences over seeds, above 0.
        n: seeds, at least 2.
        alpha: level of each test.
        difference: the true mean of the paired differences; at the margin the result is at most alpha.

    Returns:
        0..1.
    """
    from scipy.stats import norm, t

    reach = t.ppf(1 - alpha, n - 1) * _spreads(n - 1)
    wide, shift = margin * np.sqrt(n) / sd, difference * np.sqrt(n) / sd
    inside = norm.cdf(wide - reach - shift) - norm.cdf(reach - wide - shift)
    return float(np.mean(inside.clip(0)))  # no mean is within where the interval is wider than the margins


@lru_cache
def _spreads(freedom: int) -> NDArray[np.float64]:
    """Quantiles of s / sigma, (NODES,), each as likely as the others."""
    from scipy.stats import chi2

    return np.sqrt(chi2.ppf((np.arange(NODES) + 0.5) / NODES, freedom) / freedom)
