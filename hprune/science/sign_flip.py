"""The sign-flip test: were arm and reference exchangeable, each gap could as well have the other sign."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST = 20
"""Gaps whose signs are all flipped; beyond, `DRAWN` flips are drawn with a fixed seed."""
DRAWN = 2**16


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
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(DRAWN, gaps.size))
        sums = np.append(signs @ gaps, gaps.sum())  # what was seen is one of the flips, so p is never 0
    else:
        sums = gaps[:1]  # the first sign stays: the other half of the flips mirrors this one
        for gap in gaps[1:]:
            sums = np.concatenate([sums + gap, sums - gap])
    return float((np.abs(sums) >= abs(gaps.sum()) - 1e-9 * np.abs(gaps).sum()).mean())
