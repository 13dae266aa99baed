"""Variability (dataset cartography, arXiv 2009.10795): how much did the probability change over the epochs?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hprune.science.moments import mean_of, std_of
from hprune.science.records import Dynamics


def variability(dynamics: Dynamics, *, ddof: int = 0) -> NDArray[np.float32]:
    """Standard deviation of the probability of the true label over epochs, mean over runs: mean_s std_e p[s, e, i].

    Args:
        dynamics: the runs; `score.runs=1` gives cartography's number, which has one.
        ddof: 0 divides by E, as cartography does; 1 by E - 1.

    Returns:
        (N,), 0..0.5 (0..0.71 with ddof = 1), for one run at most sqrt(c (1 - c)) of its confidence c. High ones are
        cartography's ambiguous samples, neither easy nor hard, which it keeps.

    Raises:
        ValueError: if `ddof` is not a whole number from 0, or there are no more epochs than that.
    """
    assert dynamics.true_prob is not None
    return mean_of(std_of(run, ddof=ddof) for run in dynamics.true_prob)
