"""Where a difference lies: paired differences over seeds in parts of an evaluation set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hprune.science.compare import Difference, judge
from hprune.science.significance import Floats


@dataclass(frozen=True)
class Slice:
    """A part of an evaluation set, and how an arm differs from the reference there."""

    examples: int
    arm: float  # mean over seeds
    reference: float
    difference: Difference


def compare_slices(
    arm: Mapping[int, Floats],
    reference: Mapping[int, Floats],
    slices: Mapping[str, NDArray[np.bool_]],
    *,
    level: float = 0.95,
) -> dict[str, Slice]:
    """Compare two arms in parts of an evaluation set, seed by seed.

    The slices are a family: paired t tests, corrected by Holm over all that are given, as a reader looks at all of them
    for the one where the arm fails.

    Args:
        arm: (n,) for each seed, how right each example is, in 0..1.
        reference: likewise; pairs are formed over the seeds that both have.
        slices: (n,) which examples belong to each slice; they may overlap. One without examples is left out.
        level: of the intervals and, as one minus alpha, of the tests.

    Raises:
        ValueError: if the two share no seed.
    """
    seeds = sorted(set(arm) & set(reference))
    if not seeds:
        raise ValueError(f"arms must share seeds to be compared, got {sorted(arm)} and {sorted(reference)}")
    inside = {name: mask for name, mask in slices.items() if mask.any()}
    ours, theirs = (
        {name: {seed: float(run[seed][mask].mean()) for seed in seeds} for name, mask in inside.items()}
        for run in (arm, reference)
    )
    gaps = {name: {seed: ours[name][seed] - theirs[name][seed] for seed in seeds} for name in inside}
    return {
        name: Slice(int(inside[name].sum()), _mean(ours[name]), _mean(theirs[name]), found)
        for name, found in judge(gaps, level=level).items()
    }


def _mean(values: Mapping[int, float]) -> float:
    return float(np.mean(list(values.values())))


def thirds(lengths: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """Short, middle and long examples, a third each but for ties, which stay together.

    Args:
        lengths: (n,).

    Returns:
        A mask (n,) for each third that is not empty, named by the lengths in it.

    Example:
        >>> {name: int(mask.sum()) for name, mask in thirds(np.array([3, 5, 5, 8, 9, 20])).items()}
        {'3..5': 3, '8': 1, '9..20': 2}
    """
    at = np.digitize(lengths, np.quantile(lengths, [1 / 3, 2 / 3]), right=True) if lengths.size else lengths
    masks = [mask for k in range(3) if (mask := at == k).any()]
    return {_span(lengths[mask]): mask for mask in masks}


def _span(lengths: NDArray[np.int64]) -> str:
    low, high = int(lengths.min()), int(lengths.max())
    return str(low) if low == high else f"{low}..{high}"
