"""How much two subsets of the same samples have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Overlap:
    """Two subsets A and B of N samples; None where that is not defined."""

    jaccard: float | None
    """|A and B| / |A or B|, 0..1; None if both are empty."""
    kappa: float | None
    """Cohen's kappa of being in A and in B: 1 for the same subset, 0 for what chance gives subsets of these sizes; None
    if both hold everything or both nothing."""


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> Overlap:
    """Compare two subsets.

    kappa = (p_o - p_e) / (1 - p_e), where p_o is the share of samples that both hold or both leave out, and p_e what is
    to be expected of independent subsets of these sizes (Cohen 1960). Large subsets have a large Jaccard by their size.

    Args:
        a: (N,) whether a sample is in A.
        b: (N,) whether it is in B.

    Raises:
        ValueError: if the two are not of the same samples, or there are none.

    Example:
        >>> overlap(np.array([1, 1, 1, 0], bool), np.array([1, 1, 0, 0], bool))
        Overlap(jaccard=0.6666666666666666, kappa=0.5)
    """
    if a.shape != b.shape or a.size == 0:
        raise ValueError(f"an overlap is of two subsets of the same samples, got {a.shape} and {b.shape}")
    either, share_a, share_b = int((a | b).sum()), float(a.mean()), float(b.mean())
    expected = share_a * share_b + (1 - share_a) * (1 - share_b)
    observed = float((a == b).mean())
    return Overlap(
        jaccard=int((a & b).sum()) / either if either else None,
        kappa=None if expected == 1 else (observed - expected) / (1 - expected),
    )
