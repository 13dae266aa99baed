"""The loss: how improbable was the right answer?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hprune.science.moments import each_epoch, mean_of
from hprune.science.records import Dynamics


def loss(dynamics: Dynamics) -> NDArray[np.float32]:
    """Mean cross entropy: mean_s mean_e -log p[s, e, i].

    A probability that is 0 in single precision counts as the smallest that is not, so the loss is at most 87.4.

    Returns:
        (N,), 0..87.4; higher is harder.
    """
    assert dynamics.true_prob is not None
    smallest = np.finfo(np.float32).tiny
    return mean_of(-np.log(np.maximum(prob, smallest)) for prob in each_epoch(dynamics.true_prob))
