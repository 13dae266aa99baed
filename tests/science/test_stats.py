"""Intervals against scipy and by how often they cover; break-even by the paper's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hprune.science.cost import pay_back
from hprune.science.stats import t_interval


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_interval_is_scipys(n: int) -> None:
    sample = np.random.default_rng(n).normal(size=n)
    low, high = stats.t.interval(0.95, n - 1, loc=sample.mean(), scale=stats.sem(sample))
    ours = t_interval(dict(enumerate(sample)))
    assert (ours.low, ours.high) == pytest.approx((low, high))
    assert ours.seeds == n


def test_three_seeds_span_two_and_a_half_standard_deviations() -> None:
    ours = t_interval({1: -1.0, 2: 0.0, 3: 1.0})
    assert ours.high == pytest.approx(2.484, abs=1e-3)


@pytest.mark.parametrize("n", [3, 5])
def test_interval_covers_as_often_as_it_says(n: int) -> None:
    """Values over seeds, and differences of two arms that share what a seed brings to both."""
    rng = np.random.default_rng(n)
    seed_effect, noise = rng.normal(size=(2000, 1, n)), rng.normal(size=(2000, 2, n))
    arm, full = np.moveaxis(seed_effect + 0.3 * noise, 1, 0)
    for samples, truth in ((arm, 0.0), (arm + 0.1 - full, 0.1)):
        found = [t_interval(dict(enumerate(sample))) for sample in samples]
        hits = [i.low is not None and i.high is not None and i.low <= truth <= i.high for i in found]
        assert 0.93 < np.mean(hits) < 0.97


def test_an_interval_needs_numbers() -> None:
    with pytest.raises(ValueError, match="at least one finite value a seed"):
        t_interval({})
    with pytest.raises(ValueError, match="at least one finite value a seed"):
        t_interval({1: float("nan")})


def test_break_even_is_the_papers_arithmetic() -> None:
    for share, runs in [(0.33, 9), (0.21, 8), (0.62, 16)]:  # ceil of S / (1 - p) with S = 6
        assert pay_back(scoring_seconds=6, full_run_seconds=1, subset_run_seconds=share).break_even == runs
    assert pay_back(scoring_seconds=6, full_run_seconds=1, subset_run_seconds=1.2).break_even is None
    with pytest.raises(ValueError, match="must not be negative"):
        pay_back(scoring_seconds=-1, full_run_seconds=1, subset_run_seconds=1)
