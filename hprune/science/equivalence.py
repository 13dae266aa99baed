"""Equivalence: is the difference smaller than what matters? Two one-sided tests (TOST, Schuirmann 1987)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hprune.science.crossed import NO_SPREAD

POINTS = 2000
"""Observed deviations that power is the mean over: right to a part in a thousand."""


@dataclass(frozen=True)
class Equivalence:
    """The test of "they differ by the margin or more"."""

    margin: float
    p_value: float
    low: float
    high: float
    """The interval of level 1 - 2 alpha, 90%: within the margin to both sides exactly if p < alpha."""
    power: float
    """The chance to show equivalence were there no difference at all."""
    shown: bool


def equivalence_of(mean: float, *, error: float, df: float, margin: float, alpha: float = 0.05) -> Equivalence:
    """Test an observed difference against a margin, by two one-sided t tests at alpha.

    Args:
        mean: the observed difference.
        error: its standard error; 0 if nothing varies, and then the difference itself decides.
        df: degrees of freedom of that error.
        margin: the smallest difference that matters, above 0, stated before the differences were seen.
        alpha: level of each test, and so of both.
    """
    if error < NO_SPREAD:
        shown = abs(mean) < margin
        return Equivalence(margin, 0.0 if shown else 1.0, mean, mean, 1.0, shown)
    from scipy.stats import t

    p = float(t.sf((margin - abs(mean)) / error, df))  # of the nearer end
    half = float(t.ppf(1 - alpha, df) * error)
    power = equivalence_power(error=error, df=df, margin=margin, alpha=alpha)
    return Equivalence(margin, p, mean - half, mean + half, power, p < alpha)


def equivalence_power(*, error: float, df: float, margin: float, alpha: float) -> float:
    """The chance to show equivalence if the true difference is 0.

    E_s max(0, 2 Phi((margin - t s) / error) - 1), over the distribution of the observed standard error s; the mean over
    `POINTS` quantiles of it.
    """
    from scipy.stats import norm, t

    reach = margin / error - t.ppf(1 - alpha, df) * _deviations(df)
    return float(np.maximum(0, 2 * norm.cdf(reach) - 1).mean())


@lru_cache(maxsize=256)
def _deviations(df: float) -> NDArray[np.float64]:
    """Quantiles of the observed over the true standard error, (POINTS,), each as likely as the others."""
    from scipy.stats import chi2

    return np.sqrt(chi2.ppf((np.arange(POINTS) + 0.5) / POINTS, df) / df)
