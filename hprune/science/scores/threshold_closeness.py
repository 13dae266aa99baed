"""Closeness to the threshold (dataset cartography, arXiv 2009.10795): how far is its mean from both ends?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hprune.science.records import Dynamics
from hprune.science.scores.confidence import confidence


def threshold_closeness(dynamics: Dynamics) -> NDArray[np.float32]:
    """c (1 - c) of the confidence c: of the mean probability, not the mean of p (1 - p).

    Returns:
        (N,), 0..0.25; high ones lie between easy and hard.
    """
    mean = confidence(dynamics)
    return mean * (1 - mean)
