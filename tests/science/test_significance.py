"""Tests against scipy and textbooks, and how often they err: simulated with fixed seeds, all studies at once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hprune.science.significance import holm, paired_t, sign_flip, tost

STUDIES = 20_000


def null(n: int, *families: int, seed: int = 0) -> np.ndarray:
    """Paired differences over n seeds of studies in which no arm differs from the reference."""
    return np.random.default_rng(seed).normal(size=(STUDIES, *families, n))


def test_paired_t_is_scipys() -> None:
    rng = np.random.default_rng(3)
    full = rng.normal(0.9, 0.01, size=6)
    arm = full + rng.normal(0.005, 0.003, size=6)
    assert paired_t(arm - full) == pytest.approx(stats.ttest_rel(arm, full).pvalue)


@pytest.mark.parametrize("n", [2, 3, 6, 9])
def test_sign_flip_is_scipys_exact_permutation_test(n: int) -> None:
    gaps = np.random.default_rng(n).normal(0.7, 1, size=n)
    scipys = stats.permutation_test(
        (gaps, np.zeros(n)),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
    )
    assert sign_flip(gaps) == pytest.approx(scipys.pvalue)


def test_sign_flip_by_hand() -> None:
    # Of the 8 signings of 1, 2, 3 the means of +++ and --- are as far from 0 as that of +++; with 1, 2, -3 all but two
    # are at least as far from 0 as the observed 0, and with -1, 2, 3 four are.
    assert sign_flip(np.array([[1.0, 2, 3], [1, 2, -3], [-1, 2, 3]])).tolist() == [0.25, 1.0, 0.5]
    assert sign_flip(np.full(5, 0.1)) == 2 / 2**5
    assert sign_flip(np.zeros(4)) == 1.0


@pytest.mark.parametrize("n", [20, 21])
def test_sign_flip_of_many_seeds_agrees_with_the_t_test(n: int) -> None:
    gaps = np.random.default_rng(1).normal(0.4, 1, size=n)
    assert sign_flip(gaps) == pytest.approx(paired_t(gaps), abs=0.01)
    assert sign_flip(gaps) == sign_flip(gaps)


def test_holm_is_the_textbooks() -> None:
    # the usual example of four hypotheses, two of them rejected at 5%; then ties, and families of one and none
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.5, 0.02, 0.02, 0.9])) == pytest.approx([1.0, 0.08, 0.08, 1.0])
    assert holm(np.array([0.03])).tolist() == [0.03]
    assert holm(np.array([])).tolist() == []


def test_holm_is_stepping_down_until_one_fails() -> None:
    rng = np.random.default_rng(5)
    for p in rng.random((200, 5)) ** 3:
        rejected = np.zeros(5, dtype=bool)
        for step, i in enumerate(np.argsort(p)):
            if p[i] >= 0.05 / (5 - step):
                break
            rejected[i] = True
        assert ((holm(p) < 0.05) == rejected).all()


def test_tost_is_two_one_sided_tests_and_an_interval() -> None:
    rng = np.random.default_rng(6)
    for gaps in rng.normal(0.003, 0.006, size=(200, 5)):
        low = stats.ttest_1samp(gaps, -0.01, alternative="greater").pvalue
        high = stats.ttest_1samp(gaps, 0.01, alternative="less").pvalue
        p = tost(gaps, 0.01)
        assert p == pytest.approx(max(low, high))
        ends = stats.t.interval(0.90, 4, loc=gaps.mean(), scale=stats.sem(gaps))
        assert (p < 0.05) == (ends[0] > -0.01 and ends[1] < 0.01)


@pytest.mark.parametrize("margin", [0.0, -0.01, float("nan"), float("inf")])
def test_what_is_no_margin_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match=r"a margin must be a number above 0, .* 0.01 is one point"):
        tost(np.array([0.1, 0.2]), margin)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_tests_err_as_often_as_they_say(n: int) -> None:
    gaps = null(n)
    assert np.mean(paired_t(gaps) < 0.05) == pytest.approx(0.05, abs=0.005)
    for alpha in (0.05, 0.1):
        assert np.mean(sign_flip(gaps) <= alpha) <= alpha + 0.005
    skewed = np.sign(gaps) * np.exp(2 * np.abs(gaps))  # symmetric, and far from normal
    assert np.mean(sign_flip(skewed) <= 0.1) <= 0.105


def test_sign_flip_of_eight_seeds_is_as_large_as_it_says() -> None:
    assert np.mean(sign_flip(null(8)) <= 0.05) == pytest.approx(12 / 256, abs=0.005)  # the largest step below 0.05


@pytest.mark.parametrize("shared", [0.0, 0.7])
def test_holm_errs_anywhere_in_a_family_as_seldom_as_it_says(shared: float) -> None:
    """Six arms, alone or with the reference's noise in all of them; also where two of the six do differ."""
    gaps = np.sqrt(1 - shared) * null(5, 6) + np.sqrt(shared) * null(5, 1, seed=1)
    assert np.mean((paired_t(gaps) < 0.05).any(axis=-1)) > 0.1  # without it they err often
    assert np.mean((holm(paired_t(gaps)) < 0.05).any(axis=-1)) <= 0.055
    gaps[:, :2] += 5.0
    p = holm(paired_t(gaps))
    assert np.mean((p[:, 2:] < 0.05).any(axis=-1)) <= 0.055
    assert np.mean(p[:, :2] < 0.05) > 0.8


@pytest.mark.parametrize("n", [3, 5, 10])
def test_tost_errs_at_the_margin_as_often_as_it_says(n: int) -> None:
    for side in (-1, 1):
        assert np.mean(tost(0.3 * null(n) + side, 1.0) < 0.05) <= 0.055
    assert np.mean(tost(0.3 * null(n) + 1.1, 1.0) < 0.05) < 0.05
