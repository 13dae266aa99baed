"""Selections: from one score a sample to the positions that are kept.

Every selection has the same form, `(values, *, runs, seed, **its own parameters) -> positions`, and is pure: the
positions come back increasing, and the same arguments give the same positions. `seed` is the seed of the run that will
be trained on the selection, so whatever is drawn is drawn anew for each run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune.science.keep import KeepSpec, keep_values

Positions = NDArray[np.int64]
Values = NDArray[Any]


def by_value(values: Values, *, runs: int, seed: int, keep: KeepSpec) -> Positions:
    """Keep the samples whose score is one of the kept values; `keep: 1..S-1` is the winning ticket.

    Args:
        values: (N,) integer scores in 0..S.
        runs: S.
        seed: not used; nothing is drawn.
        keep: see `hprune.science.keep.keep_values`.

    Raises:
        ValueError: if the scores are not integers, or `keep` cannot be read.
    """
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(
            f"keep selects by value and needs an integer score such as h_score, got {values.dtype}; "
            "use highest or lowest"
        )
    if values.max(initial=0) > runs:
        raise ValueError(
            f"keep-sets count runs, 0..S = {runs}, but this score goes up to {values.max()}; "
            "use the selections highest or lowest with subset.keep=null subset.fraction=0.3"
        )
    return np.flatnonzero(np.isin(values, keep_values(keep, runs=runs)))


def random_like(
    values: Values, *, runs: int, seed: int, keep: KeepSpec | None = None, fraction: float | None = None
) -> Positions:
    """Draw a random subset of the size that `keep` would have, or of a fraction: the baseline of equal size."""
    rng = np.random.default_rng([seed, 0x5E1EC7])
    size = subset_size(values, runs=runs, keep=keep, fraction=fraction)
    return np.sort(rng.choice(values.size, size=size, replace=False))


def highest(
    values: Values, *, runs: int, seed: int, keep: KeepSpec | None = None, fraction: float | None = None
) -> Positions:
    """Keep the highest scores, ties broken at random by seed; sized like `keep` or by a fraction."""
    return _extreme(-values.astype(np.float64), subset_size(values, runs=runs, keep=keep, fraction=fraction), seed)


def lowest(
    values: Values, *, runs: int, seed: int, keep: KeepSpec | None = None, fraction: float | None = None
) -> Positions:
    """Keep the lowest scores, ties broken at random by seed; sized like `keep` or by a fraction."""
    return _extreme(values.astype(np.float64), subset_size(values, runs=runs, keep=keep, fraction=fraction), seed)


def subset_size(values: Values, *, runs: int, keep: KeepSpec | None, fraction: float | None) -> int:
    """The number of samples to keep: as many as `keep` would, or a fraction of all, rounded.

    Raises:
        ValueError: unless exactly one of the two is given and the fraction lies in (0, 1].
    """
    if (keep is None) == (fraction is None):
        raise ValueError(
            "give the size by exactly one of subset.keep and subset.fraction, the other one null, "
            f"got subset.keep={keep!r}, subset.fraction={fraction!r}"
        )
    if keep is not None:
        return int(by_value(values, runs=runs, seed=0, keep=keep).size)
    if fraction is None or type(fraction) not in (int, float) or not 0 < fraction <= 1:
        raise ValueError(f"fraction must lie in (0, 1], the share that is kept, got {fraction!r}")
    return round(fraction * values.size)


def _extreme(values: NDArray[np.float64], size: int, seed: int) -> Positions:
    ties = np.random.default_rng([seed, 0x71E5]).permutation(values.size)
    return np.sort(np.lexsort((ties, values))[:size])


def kept_by_value_and_class(
    values: Values, labels: NDArray[np.int64], positions: Positions
) -> dict[str, dict[int, tuple[int, int]]]:
    """Count what a selection keeps and removes: `{"score": {value: (kept, removed)}, "label": {...}}`.

    Real-valued scores have no row per value; only the labels are counted then.
    """
    kept = np.zeros(values.size, dtype=bool)
    kept[positions] = True
    groups = {"label": labels}
    if np.issubdtype(values.dtype, np.integer):
        groups = {"score": values, "label": labels}
    return {
        name: {int(v): (int((kept & (group == v)).sum()), int((~kept & (group == v)).sum())) for v in np.unique(group)}
        for name, group in groups.items()
    }
