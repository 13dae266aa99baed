"""Correctness (dataset cartography, arXiv 2009.10795): in how many epochs of all runs was a sample right?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hprune.science.records import Dynamics


def correctness(dynamics: Dynamics) -> NDArray[np.int16]:
    """Count the epochs of all runs in which a sample was right: sum_s sum_e correct[s, e, i].

    Returns:
        (N,), 0..S*E; higher is easier.
    """
    return dynamics.correct.sum(axis=(0, 1), dtype=np.int16)
