"""Gains are what leaving a run out says, and stopping by their limit leaves out no more than it promises."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from hprune.science.patterns import Patterns
from hprune.science.stopping import LEAST_RUNS, gain_limit, gains, gains_of

Right = np.ndarray[Any, Any]


def in_ticket(right: Right) -> Right:
    h = right.sum(axis=0)
    return np.asarray((h > 0) & (h < len(right)))


def studied(seed: int, *, runs: int = 8, differ: float = 0.0) -> Right:
    """A study of 1,000 samples with chances by a beta distribution, some with point masses, runs that differ or not."""
    rng = np.random.default_rng(seed)
    a, b = [(1.5, 0.3), (0.4, 0.3), (0.3, 2.0), (1.0, 1.0), (3.0, 0.15)][seed % 5]
    p, u = rng.beta(a, b, 1000), rng.random(1000)
    if seed % 2:
        p = np.where(u < 0.1, 0, np.where(u < 0.5, 1, p))
    shifted = expit(logit(np.clip(p, 1e-12, 1 - 1e-12)) + differ * rng.standard_normal((runs, 1)))
    return rng.random((runs, 1000)) < np.where((p == 0) | (p == 1), p, shifted)


def stops_after(right: Right, share: float) -> int:
    """What the rule decides, run by run."""
    for runs in range(LEAST_RUNS, len(right)):
        if gain_limit(gains(right[:runs]), len(right) - runs) <= share * right.shape[1]:
            return runs
    return len(right)


@pytest.mark.parametrize("seed", range(8))
def test_gains_are_those_of_leaving_a_run_out(seed: int) -> None:
    right = studied(seed, runs=2 + seed)
    full = in_ticket(right)
    expected = [int((full & ~in_ticket(np.delete(right, run, axis=0))).sum()) for run in range(len(right))]
    assert gains(right).tolist() == gains_of(Patterns.of([right])).tolist() == expected
    assert (gains(right[:, :300]) + gains(right[:, 300:])).tolist() == expected


def test_the_mean_gain_is_what_the_last_run_brings_and_gains_fall() -> None:
    """For exchangeable runs; the expected gain of run s is p^(s-1) (1-p) + (1-p)^(s-1) p."""
    by_rule, brought, expected = [], [], []
    for seed in range(100):
        right = studied(5 * seed, runs=5)
        by_rule.append(gains(right).mean())
        brought.append(in_ticket(right).sum() - in_ticket(right[:4]).sum())
        p = right.mean(axis=0)
        expected.append([np.sum(p ** (s - 1) * (1 - p) + (1 - p) ** (s - 1) * p) for s in range(2, 9)])
    gap = np.array(by_rule) - brought
    assert abs(gap.mean()) < 3 * gap.std() / 10
    assert np.all(np.diff(expected, axis=1) <= 1e-9)


def test_the_limit_is_its_formula() -> None:
    g = np.array([10, 14, 30, 22])
    assert [gain_limit(g, left) for left in (0, 1, 2, 5)] == [0, 90, 120, 210]
    assert gain_limit([0, 0, 0], 2) == 4, "none so far is not none ever"
    with pytest.raises(ValueError, match="takes at least 3 runs to see, got 2"):
        gain_limit([1, 2], 3)


@pytest.mark.parametrize(("share", "often"), [(0.02, 0), (0.05, 25), (0.1, 60), (0.2, 80)])
def test_no_more_is_left_out_than_was_allowed(share: float, often: int) -> None:
    """In 20 studies of 8 and of 12 runs, without and with runs that differ, of all that the full study keeps."""
    stopped = 0
    for seed in range(20):
        for differ, total in itertools.product((0.0, 0.3), (8, 12)):
            right = studied(seed, runs=total, differ=differ)
            runs = stops_after(right, share)
            left_out = in_ticket(right).sum() - in_ticket(right[:runs]).sum()
            assert left_out <= share * right.shape[1], (seed, differ, total, runs)
            stopped += runs < len(right)
    assert stopped >= often, "a rule that never stops is none"


def test_a_run_unlike_all_before_it_is_not_foreseen() -> None:
    """What the rule cannot do, and says so: a last run that answers half of the samples wrongly."""
    right = studied(1, runs=8)
    right[7] &= np.random.default_rng(0).random(1000) < 0.5
    runs = stops_after(right, 0.1)
    assert runs < 8
    assert in_ticket(right).sum() - in_ticket(right[:runs]).sum() > 100
