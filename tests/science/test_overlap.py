"""Overlap of two subsets, against scikit-learn's formulas written out, and its laws."""

from __future__ import annotations

import numpy as np
import pytest

from hprune.science.overlap import Overlap, overlap


def by_counts(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """From the table of the two by two, as textbooks have it."""
    both, only_a, only_b, none = (int(x.sum()) for x in (a & b, a & ~b, ~a & b, ~a & ~b))
    total = a.size
    chance = ((both + only_a) * (both + only_b) + (none + only_a) * (none + only_b)) / total**2
    return both / (both + only_a + only_b), ((both + none) / total - chance) / (1 - chance)


@pytest.mark.parametrize("seed", range(10))
def test_it_is_what_textbooks_say_and_does_not_mind_the_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 200)) < rng.uniform(0.1, 0.9, (2, 1))
    found = overlap(a, b)
    assert (found.jaccard, found.kappa) == pytest.approx(by_counts(a, b))
    assert overlap(b, a) == found
    assert overlap(a, a) == Overlap(1.0, 1.0)


def test_chance_gives_no_kappa_however_large_the_subsets_are() -> None:
    rng = np.random.default_rng(0)
    kappas, jaccards = [], []
    for _ in range(200):
        a, b = (np.isin(np.arange(500), rng.choice(500, size, replace=False)) for size in (400, 450))
        found = overlap(a, b)
        assert found.kappa is not None
        assert found.jaccard is not None
        kappas.append(found.kappa)
        jaccards.append(found.jaccard)
    assert abs(np.mean(kappas)) < 0.01
    assert np.mean(jaccards) > 0.7


def test_what_is_not_defined_is_none() -> None:
    nothing, everything = np.zeros(3, bool), np.ones(3, bool)
    assert overlap(nothing, nothing) == Overlap(None, None)
    assert overlap(everything, everything) == Overlap(1.0, None)
    assert overlap(everything, nothing) == Overlap(0.0, 0.0)
    for a, b in ((nothing, np.ones(4, bool)), (np.zeros(0, bool), np.zeros(0, bool))):
        with pytest.raises(ValueError, match="two subsets of the same samples"):
            overlap(a, b)
