"""Two arms example by example and slice by slice, against scipy, by hand and by how often they err."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from hprune.science.examples import bootstrap, mcnemar, mcnemar_p, mean_gaps
from hprune.science.slices import compare_slices, thirds

VALUES = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
CHANCES = np.array([0.05, 0.05, 0.8, 0.05, 0.05])


def test_bootstrap_is_scipys() -> None:
    gaps = np.random.default_rng(0).choice(VALUES, p=CHANCES, size=500) + 0.01
    ours = bootstrap(gaps)
    theirs = stats.bootstrap((gaps,), np.mean, n_resamples=10_000, method="percentile").confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=3e-3)
    assert ours.mean == pytest.approx(gaps.mean())
    assert bootstrap(gaps) == ours


def test_bootstrap_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    samples = rng.choice(VALUES, p=CHANCES, size=(2000, 400))
    found = [bootstrap(gaps, resamples=1000, seed=i) for i, gaps in enumerate(samples)]
    assert 0.93 < np.mean([interval.low <= 0 <= interval.high for interval in found]) < 0.97


def test_bootstrap_of_a_large_set_is_quick() -> None:
    gaps = np.random.default_rng(2).integers(-6, 7, size=10_000) / 6
    started = time.perf_counter()
    bootstrap(gaps)
    assert time.perf_counter() - started < 0.5  # 0.02 s


def test_bootstrap_takes_differences_of_any_value() -> None:
    gaps = np.random.default_rng(3).normal(0.2, 1, size=900)
    ours = bootstrap(gaps, resamples=5000)
    assert (ours.low, ours.high) == pytest.approx(
        (gaps.mean() - 1.96 * stats.sem(gaps), gaps.mean() + 1.96 * stats.sem(gaps)), abs=5e-3
    )


@pytest.mark.parametrize("gaps", [[], [0.1, float("nan")]])
def test_bootstrap_needs_numbers(gaps: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one example and finite differences"):
        bootstrap(np.array(gaps))


def test_mcnemar_by_hand() -> None:
    arm = np.array([1] * 50 + [1] * 8 + [0] * 1 + [0] * 41, dtype=bool)
    full = np.array([1] * 50 + [0] * 8 + [1] * 1 + [0] * 41, dtype=bool)
    found = mcnemar(arm, full)
    assert (found.gained, found.lost) == (8, 1)
    assert found.p_value == pytest.approx(2 * (1 + 9) / 2**9)  # of 9 changes none or one is a loss
    assert mcnemar(arm, arm).p_value == 1.0
    assert mcnemar(full, arm).p_value == found.p_value


def test_mcnemar_errs_at_most_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    changed = rng.binomial(300, 0.1, size=4000)
    gained = rng.binomial(changed, 0.5)
    counts, times = np.unique(np.stack([gained, changed - gained]), axis=1, return_counts=True)
    wrong = sum(n for (a, b), n in zip(counts.T, times, strict=True) if mcnemar_p(int(a), int(b)) <= 0.05)
    assert 0.02 < wrong / 4000 <= 0.05


def test_gaps_of_examples_are_means_over_shared_seeds() -> None:
    arm = {1: np.array([True, False]), 2: np.array([True, True]), 3: np.array([False, False])}
    full = {1: np.array([False, False]), 2: np.array([True, False])}
    assert mean_gaps(arm, full).tolist() == [0.5, 0.5]


def test_slices_are_paired_differences_within() -> None:
    rng = np.random.default_rng(5)
    full = {seed: rng.random(1000) < 0.9 for seed in range(5)}
    hurt = np.arange(1000) < 200
    arm = {seed: np.where(hurt, rng.random(1000) < 0.5, rng.random(1000) < 0.9) for seed in range(5)}
    masks = {"hurt": hurt, "rest": ~hurt, "none": np.zeros(1000, dtype=bool)}
    found = compare_slices(arm, full, masks)
    assert list(found) == ["hurt", "rest"]
    assert found["hurt"].examples == 200
    assert found["hurt"].difference.verdict == "worse"
    assert found["rest"].difference.verdict == "not distinguishable"
    gaps = [arm[s][hurt].mean() - full[s][hurt].mean() for s in range(5)]
    assert found["hurt"].difference.p_value == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue)
    p = sorted(part.difference.p_value or 0 for part in found.values())
    assert sorted(part.difference.p_holm or 0 for part in found.values()) == pytest.approx(
        [2 * p[0], max(2 * p[0], p[1])]
    )
    whole = sum(part.examples * part.difference.interval.mean for part in found.values()) / 1000
    assert whole == pytest.approx(mean_gaps(arm, full).mean())  # slices add up
    with pytest.raises(ValueError, match="arms must share seeds"):
        compare_slices(arm, {9: full[0]}, masks)


@pytest.mark.parametrize("lengths", [[], [7], [7] * 5, [1, 1, 1, 1, 9], list(range(100))])
def test_thirds_hold_every_example_once(lengths: list[int]) -> None:
    masks = list(thirds(np.array(lengths, dtype=np.int64)).values())
    assert np.sum(masks, axis=0, dtype=int).tolist() == [1] * len(lengths) if lengths else masks == []
    sizes = [int(mask.sum()) for mask in masks]
    assert sizes == [34, 32, 34] or sizes == [34, 33, 33] or len(lengths) < 100
