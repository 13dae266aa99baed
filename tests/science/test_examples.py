"""Comparisons example by example: simulated, and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hprune.science.examples import mcnemar, paired_bootstrap


def test_the_bootstrap_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    n, seeds, hits = 400, 3, 0
    for study in range(1000):
        hard = rng.beta(
            2, 1, size=n
        )  # each example has a chance of its own, and the arm is better by 0.05 of what is left
        reference = rng.random((seeds, n)) < hard
        arm = rng.random((seeds, n)) < hard + 0.05 * (1 - hard)
        found = paired_bootstrap(arm, reference, resamples=1000, seed=study)
        hits += found.low <= 0.05 * (1 - 2 / 3) <= found.high
    assert 0.93 <= hits / 1000 <= 0.97


def test_the_bootstrap_is_scipys() -> None:
    rng = np.random.default_rng(1)
    arm, reference = rng.random((4, 300)) < 0.85, rng.random((4, 300)) < 0.8
    found = paired_bootstrap(arm, reference)
    gaps = arm.mean(axis=0) - reference.mean(axis=0)
    theirs = stats.bootstrap((gaps,), np.mean, method="percentile", n_resamples=9999, rng=2).confidence_interval
    assert found.mean == pytest.approx(arm.mean() - reference.mean())
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.003)
    assert found == paired_bootstrap(arm, reference)


def test_mcnemar_is_the_exact_binomial_test_of_the_examples_that_differ() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        arm, reference = rng.random(60) < 0.8, rng.random(60) < 0.7
        found = mcnemar(arm, reference)
        both = [
            sum(a and not r for a, r in zip(arm, reference, strict=True)),
            sum(r and not a for a, r in zip(arm, reference, strict=True)),
        ]
        assert [found.gained, found.lost] == both
        tail = min(1.0, 2 * stats.binom.cdf(min(both), sum(both), 0.5))
        assert found.p_value == pytest.approx(tail)
    assert mcnemar(arm, arm).p_value == 1


def test_mcnemar_keeps_its_level() -> None:
    rng = np.random.default_rng(3)
    p = [mcnemar(*(rng.random((2, 200)) < 0.8)).p_value for _ in range(1500)]
    assert np.mean(np.array(p) < 0.05) < 0.05
