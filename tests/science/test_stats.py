"""Intervals and verdicts against scipy and by their laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hprune.science.cost import pay_back
from hprune.science.equivalence import Equivalence
from hprune.science.stats import Difference, compare, t_interval


def one(arm: dict[int, float], reference: dict[int, float], *, higher_is_better: bool = True) -> Difference:
    """A family of one arm."""
    return compare({"arm": arm}, reference, higher_is_better=higher_is_better)["arm"]


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


def test_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        interval = t_interval(dict(enumerate(rng.normal(size=5))))
        assert interval.low is not None
        assert interval.high is not None
        hits += interval.low <= 0 <= interval.high
    assert 0.935 < hits / 2000 < 0.965


def test_paired_difference_is_scipys_paired_t_test() -> None:
    rng = np.random.default_rng(3)
    full = dict(enumerate(rng.normal(0.9, 0.01, size=6)))
    arm = {seed: value + rng.normal(0.005, 0.003) for seed, value in full.items()}
    ours = one(arm, full)
    assert ours.p_value == pytest.approx(stats.ttest_rel(list(arm.values()), list(full.values())).pvalue)
    assert ours.test == "paired t test, two-sided, n = 6 seeds"


def test_verdicts_agree_with_the_interval() -> None:
    rng = np.random.default_rng(4)
    seen = set()
    for shift in np.repeat([-0.02, 0.0, 0.02], 30):
        full = dict(enumerate(rng.normal(0.9, 0.01, size=5)))
        ours = one({s: v + shift + rng.normal(0, 0.01) for s, v in full.items()}, full)
        low, high = ours.interval.low, ours.interval.high
        assert low is not None
        assert high is not None
        assert ours.verdict == ("better" if low > 0 else "worse" if high < 0 else "not distinguishable")
        seen.add(ours.verdict)
    assert seen == {"better", "worse", "not distinguishable"}


def test_direction_of_the_metric_decides() -> None:
    loss, full = {1: 0.31, 2: 0.32, 3: 0.30}, {1: 0.51, 2: 0.53, 3: 0.50}
    assert one(loss, full, higher_is_better=False).verdict == "better"
    assert one(loss, full).verdict == "worse"


def test_one_seed_gives_no_verdict_and_pairs_are_by_seed() -> None:
    ours = one({1: 0.9, 7: 0.1}, {1: 0.8, 9: 0.5})
    assert ours.verdict == "no verdict (one seed)"
    assert (ours.interval.low, ours.p_value, ours.interval.mean) == (None, None, pytest.approx(0.1))
    with pytest.raises(ValueError, match="arms must share seeds"):
        one({1: 0.9}, {2: 0.9})


def test_no_spread() -> None:
    same = {1: 0.5, 2: 0.5, 3: 0.5}
    assert one(same, same).verdict == "not distinguishable"
    constant = one({s: v + 0.1 for s, v in same.items()}, same)
    assert (constant.verdict, constant.p_value) == ("no verdict (no spread)", None)
    rounding = one({1: 0.8, 2: 0.9}, {1: 0.7, 2: 0.8})
    assert rounding.verdict == "no verdict (no spread)"
    assert constant.p_sign_flip == pytest.approx(0.25)


@pytest.mark.parametrize("margin", [1e-6, 0.01, 0.5])
def test_what_never_differs_is_equivalent_within_any_margin(margin: float) -> None:
    values, right = {1: 0.5, 2: 0.75, 3: 0.5}, np.random.default_rng(0).integers(0, 2, (3, 40)).astype(float)
    by_example = dict(zip(values, right, strict=True))
    for known in ({}, by_example):
        same = compare({"arm": values}, values, margin=margin, by_example={"arm": known}, reference_by_example=known)
        gap = same["arm"]
        assert (gap.verdict, gap.p_value, gap.detectable, gap.power) == ("equivalent", 1.0, None, None)
        assert gap.equivalence == Equivalence(margin, 0.0, 0.0, 0.0, 1.0, True)


def test_a_margin_decides_nothing_where_a_difference_is_constant_or_cancels_out() -> None:
    values = dict.fromkeys(range(3), 0.5)
    constant = compare({"arm": dict.fromkeys(range(3), 0.505)}, values, margin=0.01)["arm"]
    assert (constant.verdict, constant.equivalence) == ("no verdict (no spread)", None)
    right, wrong = np.tile([1.0, 0.0], 10), np.tile([0.0, 1.0], 10)  # as good, on other examples
    gap = compare(
        {"arm": values}, values, margin=0.01,
        by_example={"arm": dict.fromkeys(values, right)}, reference_by_example=dict.fromkeys(values, wrong),
    )["arm"]  # fmt: skip
    assert (gap.verdict, gap.p_value, gap.equivalence) == ("no verdict (no spread)", None, None)


def test_an_arm_without_spread_counts_in_the_family() -> None:
    full = dict.fromkeys(range(6), 0.5)
    arm = {seed: 0.5 + 0.001 * seed for seed in full}
    alone, beside = one(arm, full), compare({"arm": arm, "constant": dict.fromkeys(full, 0.4)}, full)["arm"]
    assert beside.p_holm == pytest.approx(2 * alone.p_holm)
    assert beside.detectable > alone.detectable


def test_break_even_is_the_papers_arithmetic() -> None:
    for share, runs in [(0.33, 9), (0.21, 8), (0.62, 16)]:  # ceil of S / (1 - p) with S = 6
        assert pay_back(scoring=6, full_run=1, subset_run=share).break_even == runs
    assert pay_back(scoring=6, full_run=1, subset_run=1.2).break_even is None
    with pytest.raises(ValueError, match="must not be negative"):
        pay_back(scoring=-1, full_run=1, subset_run=1)
