"""Area under the margin (AUM, arXiv 2001.10528): how far was the right answer ahead of the best other?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hprune.science.moments import each_epoch, mean_of
from hprune.science.records import Dynamics


def aum(dynamics: Dynamics) -> NDArray[np.float32]:
    """Mean margin: mean_s mean_e (logit of the true label minus the largest other).

    Returns:
        (N,), any real number; higher is easier. A low one marks a wrong label, so its authors drop the lowest.
    """
    assert dynamics.margin is not None
    return mean_of(each_epoch(dynamics.margin))
