"""Folds: every sample is judged by models that were not trained on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fold_of(labels: NDArray[np.int64], folds: int, *, seed: int) -> NDArray[np.int64]:
    """Deal the samples of each class out to the folds, so that all are as large, and alike in classes, as can be.

    Args:
        labels: (N,) the classes.
        folds: K.
        seed: of the run, which draws folds of its own.

    Returns:
        (N,) the fold of each sample, 0..K-1; two folds differ by at most one sample, and by at most one of each class.

    Raises:
        ValueError: if there are fewer than two folds, or more than samples.

    Example:
        >>> np.bincount(fold_of(np.array([0, 0, 0, 1, 1, 1]), 3, seed=1)).tolist()
        [2, 2, 2]
    """
    if not 2 <= folds <= labels.size:
        raise ValueError(f"data.folds must lie in 2..{labels.size:,}, the number of samples, got {folds}")
    shuffled = np.random.default_rng([seed, 0xF01D]).permutation(labels.size)
    found = np.empty(labels.size, dtype=np.int64)
    found[shuffled[np.argsort(labels[shuffled], kind="stable")]] = np.arange(labels.size) % folds
    return found
