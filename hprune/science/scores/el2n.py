"""EL2N (arXiv 2107.07075): how far were the probabilities from the truth?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hprune.science.moments import each_epoch, mean_of
from hprune.science.records import Dynamics


def el2n(dynamics: Dynamics, *, at: Sequence[int] | None = None) -> NDArray[np.float32]:
    """Mean error norm: mean over runs and epochs of ||softmax(logits) - onehot(label)||_2.

    Its authors measure after one early epoch by a clean pass (`record=eval_pass`) of ten runs; CCS sums the first ten
    epochs of the training pass of one.

    Args:
        dynamics: the runs.
        at: the epochs, counted from 1; None: all.

    Returns:
        (N,), 0..sqrt(2); higher is harder. The highest are kept.

    Raises:
        ValueError: if `at` names none, or one that was not logged.
    """
    assert dynamics.el2n is not None
    if at is None:
        return mean_of(each_epoch(dynamics.el2n))
    listed = isinstance(at, (list, tuple)) and bool(at)
    if not listed or any(type(epoch) is not int or not 1 <= epoch <= dynamics.epochs for epoch in at):
        raise ValueError(f"el2n.at must list epochs in 1..{dynamics.epochs}, those that are scored, got {at!r}")
    return mean_of(run[epoch - 1] for run in dynamics.el2n for epoch in at)
