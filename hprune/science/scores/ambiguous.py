"""Ambiguous samples as the authors of the H-score choose them: probabilities that differ over runs and epochs alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hprune.science.moments import each_epoch, std_of
from hprune.science.records import Dynamics


def ambiguous(dynamics: Dynamics, *, ddof: int = 1) -> NDArray[np.float32]:
    """Standard deviation of the probability of the true label over all S x E values: std_{s,e} p[s, e, i].

    Not cartography's variability, which knows one run and divides by E.

    Args:
        dynamics: the runs.
        ddof: 1 divides by S E - 1, as the authors' code does.

    Returns:
        (N,), 0..0.71; the highest are kept, as many as a subset of the H-score has.

    Raises:
        ValueError: if `ddof` is not a whole number from 0, or there are no more values than that.
    """
    assert dynamics.true_prob is not None
    return std_of(each_epoch(dynamics.true_prob), ddof=ddof)
