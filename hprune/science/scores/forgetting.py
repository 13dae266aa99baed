"""Forgetting events (arXiv 1812.05159): how often was a sample right in an epoch and wrong in the next?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hprune.science.records import Dynamics


def forgetting(dynamics: Dynamics, *, never_learned: str | float = "epochs") -> NDArray[np.float32]:
    """Count the changes from right to wrong between consecutive epochs, summed over runs.

    With E epochs a run has at most E // 2 of them, so with three the count is 0 or 1 and ties abound.

    Args:
        dynamics: the runs.
        never_learned: what a run counts instead for a sample that it never had right: `epochs`, E (the authors');
            `inf` (data_diet); a number, such as 1000 (cartography) or 0 (DeepCore, CCS, dPrune), which ranks noise with
            what is easiest.

    Returns:
        (N,), 0..S*E with `epochs`; higher is harder. The highest are kept, those with 0 are called unforgettable.

    Raises:
        ValueError: if `never_learned` is none of these.

    Example:
        >>> trends = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 1, 0], [0, 1, 0, 0]], dtype=bool)
        >>> forgetting(Dynamics(np.arange(4), trends.T[None])).tolist()
        [4.0, 0.0, 2.0, 1.0]
    """
    value = _counted(never_learned, dynamics.epochs)
    right = dynamics.correct
    events = (right[:, :-1] & ~right[:, 1:]).sum(axis=1, dtype=np.float32)  # (S, N)
    return np.where(right.any(axis=1), events, np.float32(value)).sum(axis=0)


def _counted(never_learned: str | float, epochs: int) -> float:
    if never_learned == "epochs":
        return epochs
    try:
        value = float(never_learned)
    except (TypeError, ValueError):
        value = float("nan")
    if isinstance(never_learned, bool) or not value >= 0:
        raise ValueError(
            f"forgetting.never_learned must be epochs, inf or a number of at least 0, got {never_learned!r}"
        )
    return value
