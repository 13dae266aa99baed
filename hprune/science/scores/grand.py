"""GraNd (arXiv 2107.07075), in the last layer: how strongly would a sample pull at the weights?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hprune.science.moments import each_epoch, mean_of
from hprune.science.records import Dynamics


def grand(dynamics: Dynamics) -> NDArray[np.float32]:
    """Mean norm of the gradient of the loss in the last layer, over runs and epochs; runs record it on request.

    Its authors take all weights at initialisation; of the last layer alone it is ||p - y|| sqrt(1 + ||h||^2), h what
    enters it (DeepCore divides by the size of the batch, which inflates small last batches; here nothing is divided).

    Returns:
        (N,), from 0; higher is harder. The highest are kept.
    """
    assert dynamics.grand is not None
    return mean_of(each_epoch(dynamics.grand))
