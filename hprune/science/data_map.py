"""The data map (dataset cartography, arXiv 2009.10795): confidence against variability, gathered piece by piece."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hprune.science.records import Dynamics
from hprune.science.scores.confidence import confidence
from hprune.science.scores.h_score import h_score
from hprune.science.scores.variability import variability


@dataclass(frozen=True, eq=False)
class DataMap:
    """Some samples, drawn at random, and the counts and means of all by their H."""

    confidence: NDArray[np.float32]  # (m,) in 0..1, of the samples drawn
    variability: NDArray[np.float32]  # (m,) in 0..0.5
    h: NDArray[np.int64]  # (m,) in 0..S
    counts: NDArray[np.int64]  # (S + 1,) samples of each H, all of them
    mean_confidence: NDArray[np.float64]  # (S + 1,), NaN where there is no sample
    mean_variability: NDArray[np.float64]  # (S + 1,)


def data_map(pieces: Iterable[Dynamics], *, samples: int, runs: int, most: int, seed: int = 0) -> DataMap:
    """Go through the samples once; what is held is that of `most` samples, whatever their number.

    Which are drawn depends on the seed and the number of samples, not on the size of the pieces.

    Args:
        pieces: the samples by increasing id, with `correct` and `true_prob`.
        samples: N, how many they are together.
        runs: S.
        most: how many to draw.
        seed: what draws them.
    """
    rng = np.random.default_rng([seed, 0xDA7A3A9])
    wanted = np.sort(rng.choice(samples, size=min(most, samples), replace=False, shuffle=False))
    counts = np.zeros(runs + 1, dtype=np.int64)
    sums = np.zeros((2, runs + 1))
    drawn: list[NDArray[np.float64]] = []
    seen = 0
    for piece in pieces:
        h = h_score(piece).astype(np.int64)
        values = np.stack([confidence(piece), variability(piece)])  # (2, n)
        counts += np.bincount(h, minlength=runs + 1)
        sums += [np.bincount(h, weights=row, minlength=runs + 1) for row in values]
        low, high = np.searchsorted(wanted, [seen, seen + h.size])
        here = wanted[low:high] - seen
        drawn.append(np.stack([*values[:, here], h[here]]))
        seen += h.size
    at = np.concatenate(drawn, axis=1)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return DataMap(
        at[0].astype(np.float32), at[1].astype(np.float32), at[2].astype(np.int64), counts, means[0], means[1]
    )
