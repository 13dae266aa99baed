"""Power against the noncentral t distribution, and against how often the tests do find a difference."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hprune.science.power import detectable, power_of_t_test, power_of_tost
from hprune.science.significance import paired_t, tost

STUDIES = 20_000


def studies(n: int, difference: float, sd: float) -> np.ndarray:
    return np.random.default_rng(n).normal(difference, sd, size=(STUDIES, n))


@pytest.mark.parametrize("n", [3, 5, 6, 10, 30])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 8])
def test_power_is_that_of_the_noncentral_t(n: int, alpha: float) -> None:
    limit = stats.t.ppf(1 - alpha / 2, n - 1)
    for shift in (0.0, 0.5, 2.0, 3.0):
        exact = stats.nct.sf(limit, n - 1, shift) + stats.nct.cdf(-limit, n - 1, shift)
        if np.isfinite(exact):  # scipy overflows at some
            assert power_of_t_test(shift / np.sqrt(n), sd=1.0, n=n, alpha=alpha) == pytest.approx(exact, abs=5e-4)


def test_the_usual_sample_size() -> None:
    # for a medium effect of half a standard deviation, at 5% and 80%, textbooks and calculators say 34 pairs
    assert power_of_t_test(0.5, sd=1.0, n=34) == pytest.approx(0.808, abs=2e-3)
    assert detectable(sd=1.0, n=34) == pytest.approx(0.495, abs=2e-3)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_what_is_detectable_is_found_in_four_of_five_cases(n: int, alpha: float) -> None:
    smallest = detectable(sd=0.01, n=n, alpha=alpha)
    assert np.mean(paired_t(studies(n, smallest, 0.01)) < alpha) == pytest.approx(0.8, abs=0.015)
    assert power_of_t_test(smallest, sd=0.01, n=n, alpha=alpha) == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("margin", [1.0, 1.5, 3.0])
@pytest.mark.parametrize("difference", [0.0, 0.5])
def test_power_of_tost_is_how_often_it_finds_equivalence(n: int, margin: float, difference: float) -> None:
    found = np.mean(tost(studies(n, difference, 1.0), margin) < 0.05)
    assert power_of_tost(margin, sd=1.0, n=n, difference=difference) == pytest.approx(found, abs=0.015)


def test_power_of_tost_at_the_margin_is_at_most_its_level() -> None:
    for sd in (0.1, 1.0, 10.0):
        assert power_of_tost(1.0, sd=sd, n=5, difference=1.0) <= 0.0501
    assert power_of_tost(1.0, sd=1e-6, n=5) == 1.0
    assert power_of_tost(1.0, sd=1e3, n=5) < 1e-6


def test_power_grows_with_seeds_and_falls_with_spread() -> None:
    by_seeds = [detectable(sd=1.0, n=n) for n in (2, 3, 5, 10, 50)]
    assert by_seeds == sorted(by_seeds, reverse=True)
    assert detectable(sd=2.0, n=5) == pytest.approx(2 * detectable(sd=1.0, n=5))
    assert detectable(sd=1.0, n=5, alpha=0.01) > detectable(sd=1.0, n=5)
