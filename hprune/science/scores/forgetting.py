"""Forgetting events (arXiv 1812.05159): how often was a sample right in an epoch and wrong in the next?"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from hprune.science.records import Dynamics


def forgetting(dynamics: Dynamics, *, never_learned: str | float = "epochs") -> NDArray[np.int32] | NDArray[np.float32]:
    """Count the changes from right to wrong between consecutive epochs, summed over runs.

    With E epochs a run has at most E // 2 of them, so with three the count is 0 or 1 and ties abound.

    Args:
        dynamics: the runs.
        never_learned: what a run counts instead for a sample that it never had right: `epochs`, E (the authors');
            `inf` (data_diet); a whole number, such as 1000 (cartography) or 0 (DeepCore, CCS, dPrune), which ranks
            noise with what is easiest.

    Returns:
        (N,), 0..S*E with `epochs`, whole but with `inf`; higher is harder. The highest are kept, those with 0 are
        called unforgettable.

    Raises:
        ValueError: if `never_learned` is none of these.

    Example:
        >>> trends = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 1, 0], [0, 1, 0, 0]], dtype=bool)
        >>> forgetting(Dynamics(np.arange(4), trends.T[None])).tolist()
        [4, 0, 2, 1]
    """
    value = _counted(never_learned, dynamics.epochs)
    events, unlearned = (np.zeros(dynamics.correct.shape[2], dtype=np.int32) for _ in range(2))
    for run in dynamics.correct:
        for before, after in itertools.pairwise(run):
            events += before > after
        unlearned += ~run.any(axis=0)
    if math.isinf(value):
        return np.where(unlearned > 0, np.float32(np.inf), events.astype(np.float32))
    return events + np.int32(value) * unlearned


def _counted(never_learned: str | float, epochs: int) -> float:
    if never_learned == "epochs":
        return epochs
    if never_learned in ("inf", math.inf):
        return math.inf
    if type(never_learned) is not int or not 0 <= never_learned <= 10**6:
        raise ValueError(
            f"forgetting.never_learned must be epochs, inf or a whole number in 0..1000000, got {never_learned!r}"
        )
    return never_learned
