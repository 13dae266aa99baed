"""The soft H-score: the H-score with probabilities in place of right and wrong, and so without its ties."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hprune.science.records import Dynamics


def soft_h(dynamics: Dynamics) -> NDArray[np.float32]:
    """Sum over runs of the product over epochs of the probability of the true label: sum_s prod_e p[s, e, i].

    The number of runs that would have a sample right in every epoch if answers were drawn by their probabilities.

    Returns:
        (N,), 0..S; higher is easier. The samples in the middle are kept.
    """
    assert dynamics.true_prob is not None
    total = np.zeros(dynamics.correct.shape[2], dtype=np.float32)
    for run in dynamics.true_prob:
        total += run.prod(axis=0)  # row by row
    return total
