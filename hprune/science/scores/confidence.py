"""Confidence (dataset cartography, arXiv 2009.10795): how probable was the right answer?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hprune.science.moments import each_epoch, mean_of
from hprune.science.records import Dynamics


def confidence(dynamics: Dynamics) -> NDArray[np.float32]:
    """Mean probability of the true label: c_i = mean_s mean_e p[s, e, i].

    Cartography has one run; `score.runs=1` gives its number.

    Returns:
        (N,), 0..1; higher is easier. Cartography keeps low ones as hard-to-learn, high ones as easy-to-learn.
    """
    assert dynamics.true_prob is not None
    return mean_of(each_epoch(dynamics.true_prob))
