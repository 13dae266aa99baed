"""Tests over seeds. Differences come as arrays whose last axis is the seeds, so a thousand studies are one call."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_FLIPPED = 20
"""Seeds up to which every flip of signs is counted, 2^20 of them; beyond, `DRAWN` are drawn with a fixed seed."""
DRAWN = 2**15
SAME = 1e-9
"""Relative: sums that differ by less are the same but for rounding."""


def paired_t(gaps: Floats) -> Floats:
    """The two-sided p value of the paired t test, whose null hypothesis is that the mean difference is 0.

    Args:
        gaps: (..., n) paired differences, one a seed; they must not all be the same.

    Returns:
        (...) in 0..1.
    """
    from scipy.stats import ttest_1samp

    return np.asarray(ttest_1samp(gaps, 0.0, axis=-1).pvalue)


def sign_flip(gaps: Floats) -> Floats:
    """The two-sided p value of the sign-flip test: how many flips of signs give a mean at least as far from 0?

    Exact for differences that are symmetric about 0 under the null hypothesis, whatever their shape. The smallest value
    that n seeds can give is 2 / 2^n: 0.0625 with five, so it finds nothing at 5% with fewer than six.

    Args:
        gaps: (..., n) paired differences, one a seed.

    Returns:
        (...) in 2^(1-n)..1.

    Example:
        >>> float(sign_flip(np.array([0.5, 1.0, 2.0, 0.1, 0.7]))), float(sign_flip(np.array([1.0, -1.0])))
        (0.0625, 1.0)
    """
    gaps = np.asarray(gaps, dtype=np.float64)
    sums = gaps[..., :1]  # the first sign stays: the other half of the flips is the mirror image
    if gaps.shape[-1] > MOST_FLIPPED:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(gaps.shape[-1], DRAWN))
        sums = np.concatenate([gaps.sum(axis=-1, keepdims=True), gaps @ signs], axis=-1)
    else:
        for i in range(1, gaps.shape[-1]):
            sums = np.concatenate([sums + gaps[..., i, None], sums - gaps[..., i, None]], axis=-1)
    observed = np.abs(gaps.sum(axis=-1, keepdims=True))
    rounding = SAME * np.abs(gaps).sum(axis=-1, keepdims=True)
    return np.mean(np.abs(sums) >= observed - rounding, axis=-1)


def holm(p_values: Floats) -> Floats:
    """Holm's correction: p values that may each be compared with alpha while at most alpha of families err anywhere.

    The i-th smallest of m becomes the largest of (m - j + 1) p_(j) over j <= i, at most 1. It needs no independence.

    Args:
        p_values: (..., m), a family along the last axis.

    Returns:
        (..., m) in the order that came, each at least as large as before.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03, 0.005])).round(3).tolist()
        [0.03, 0.06, 0.06, 0.02]
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, axis=-1)
    steps = np.take_along_axis(p_values, order, axis=-1) * np.arange(p_values.shape[-1], 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(steps, axis=-1), 1.0)
    return np.take_along_axis(adjusted, np.argsort(order, axis=-1), axis=-1)


def tost(gaps: Floats, margin: float) -> Floats:
    """The p value of two one-sided paired t tests, whose null hypothesis is a mean difference of the margin or more.

    p = the larger of P(T >= (mean + margin) / se) and P(T >= (margin - mean) / se). It is below alpha if and only if
    the (1 - 2 alpha) t interval of the mean lies within (-margin, margin).

    Args:
        gaps: (..., n) paired differences, one a seed; they must not all be the same.
        margin: the largest difference that does not matter, above 0, stated before the differences were seen.

    Returns:
        (...) in 0..1; small means equivalent.

    Raises:
        ValueError: if the margin is not above 0.
    """
    check_margin(margin)
    from scipy.stats import t

    n = gaps.shape[-1]
    nearest = margin - np.abs(gaps.mean(axis=-1))
    return np.asarray(t.sf(nearest / (gaps.std(axis=-1, ddof=1) / np.sqrt(n)), n - 1))


def check_margin(margin: float) -> None:
    """Refuse what is no margin.

    Raises:
        ValueError: if it is not a finite number above 0.
    """
    if not (np.isfinite(margin) and margin > 0):
        raise ValueError(
            f"a margin must be a number above 0, in the unit of the metric, got {margin!r}; 0.01 is one point"
        )
