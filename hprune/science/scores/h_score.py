"""The H-score (arXiv 2407.08887): in how many runs was a sample never wrong?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hprune.science.records import Dynamics


def h_score(dynamics: Dynamics) -> NDArray[np.int16]:
    """Count the runs that got a sample right in every epoch: H_i = sum_s prod_e correct[s, e, i].

    H = 0 means wrong at least once in each run, not wrong always; H = S means right in every epoch of every run.

    Args:
        dynamics: the runs to count, all on the same samples; `Dynamics.prefix` looks at fewer runs or epochs.

    Returns:
        (N,), 0..S; higher is easier.

    Example:
        >>> right = np.array([[[1, 1, 0], [1, 0, 0]], [[1, 1, 1], [1, 1, 0]]], dtype=bool)
        >>> h_score(Dynamics(np.arange(3), right)).tolist()
        [2, 1, 0]
    """
    return dynamics.correct.all(axis=1).sum(axis=0, dtype=np.int16)
