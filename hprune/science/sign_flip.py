"""The sign-flip test: were arm and reference exchangeable, each gap could as well have the other sign."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST = 16
"""Gaps whose signs are all flipped; beyond, a fixed sample of flips is drawn."""


def sign_flip_p_value(gaps: NDArray[np.float64]) -> float:
    """Share of all 2^K ways to choose the signs of K gaps that give a mean at least as far from 0, two-sided.

    It assumes no distribution but that gaps are as likely positive as negative if there is no difference. Its smallest
    value is 2^(1-K): with five gaps 0.0625, so five seeds can never show a difference at 5%; with six 0.031.

    Args:
        gaps: (K,), arm minus reference for each seed.

    Example:
        >>> sign_flip_p_value(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
        0.0625
    """
    if gaps.size > MOST:
        from scipy.stats import permutation_test

        found = permutation_test(
            (gaps,), np.mean, permutation_type="samples", vectorized=True, n_resamples=100_000, rng=0
        )
        return float(found.pvalue)
    signs = 1 - 2 * (np.arange(2**gaps.size)[:, None] >> np.arange(gaps.size) & 1)  # (2^K, K)
    sums = np.abs(signs @ gaps)
    return float((sums >= sums[0] - 1e-9 * np.abs(gaps).sum()).mean())  # the first flips none
