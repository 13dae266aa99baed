"""Tests keep their levels, powers are what they say, and verdicts follow from them: simulated, and against scipy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from hprune.science.equivalence import equivalence_of, equivalence_power
from hprune.science.power import detectable_difference, power_against
from hprune.science.sign_flip import sign_flip_p_value
from hprune.science.stats import compare, holm

SEEDS, STUDIES = 6, 3000
UNIT = {"error": 1 / np.sqrt(SEEDS), "df": SEEDS - 1}
"""Of gaps with standard deviation 1 over these seeds."""


def gaps(shift: float = 0.0, *, seed: int = 0, studies: int = STUDIES, arms: int = 1) -> NDArray[Any]:
    """Gaps of many studies with standard deviation 1: (studies, arms, seeds)."""
    return np.random.default_rng(seed).normal(shift, 1, size=(studies, arms, SEEDS))


def as_arms(study: NDArray[Any]) -> dict[str, dict[int, float]]:
    return {f"arm{i}": dict(enumerate(values)) for i, values in enumerate(study)}


NOTHING = dict.fromkeys(range(SEEDS), 0.0)


def test_the_interval_of_a_difference_covers_as_often_as_it_says() -> None:
    found = [compare(as_arms(study), NOTHING)["arm0"].interval for study in gaps(0.7, seed=1, studies=1500)]
    hits = np.mean([interval.low <= 0.7 <= interval.high for interval in found])  # type: ignore[operator]
    assert 0.93 < hits < 0.97


def test_the_t_test_rejects_as_often_as_it_says_if_there_is_nothing() -> None:
    found = [compare(as_arms(study), NOTHING)["arm0"].verdict for study in gaps(seed=2, studies=1500)]
    assert 0.03 < np.mean([verdict != "not distinguishable" for verdict in found]) < 0.07


@pytest.mark.parametrize("draw", ["normal", "t3", "uniform"])
def test_the_sign_flip_test_keeps_its_level_whatever_the_distribution(draw: str) -> None:
    rng = np.random.default_rng(3)
    drawn = {
        "normal": rng.normal,
        "t3": lambda size: rng.standard_t(3, size),
        "uniform": lambda size: rng.uniform(-1, 1, size),
    }
    p = np.array([sign_flip_p_value(study) for study in drawn[draw](size=(2000, SEEDS))])
    assert 0.02 < (p <= 0.05).mean() < 0.045  # of 64 flips two have a p of 0.031, the next 0.0625
    assert p.min() == 2 / 64


def test_the_sign_flip_test_is_scipys_and_its_definition() -> None:
    rng = np.random.default_rng(4)
    for size in (1, 2, 5, 8):
        sample = rng.normal(0.3, 1, size=size)
        means = [abs(np.mean(np.array(signs) * sample)) for signs in itertools.product([1, -1], repeat=size)]
        expected = np.mean(np.array(means) >= abs(sample.mean()) - 1e-12)
        assert sign_flip_p_value(sample) == pytest.approx(expected)
    found = stats.permutation_test((sample,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p_value(sample) == pytest.approx(found.pvalue)
    assert sign_flip_p_value(np.zeros(4)) == 1
    many = rng.normal(0.6, 1, size=20)
    assert sign_flip_p_value(many) == pytest.approx(stats.ttest_1samp(many, 0).pvalue, abs=0.01)


def test_five_seeds_can_never_show_a_difference_at_five_percent_by_flipping() -> None:
    assert sign_flip_p_value(np.arange(1.0, 6.0)) == 0.0625
    assert sign_flip_p_value(np.arange(1.0, 7.0)) == 0.03125


def test_holm_by_hand_and_as_scipy_has_a_kin_of_it() -> None:
    # four hypotheses: 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1, which is raised to the one before
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).tolist() == [1, 1]
    p = np.random.default_rng(5).random((200, 4)) ** 2
    for some in p:
        assert (holm(some) <= np.minimum(1, some * 4) + 1e-12).all()  # never worse than Bonferroni
        assert (holm(some) >= stats.false_discovery_control(some) - 1e-12).all()  # nor than what bounds less


def test_holm_keeps_the_chance_of_any_false_claim() -> None:
    p = stats.ttest_1samp(gaps(seed=6, arms=4), 0, axis=2).pvalue  # (studies, arms)
    assert (p < 0.05).any(axis=1).mean() > 0.15, "uncorrected, one of four is often wrong"
    assert np.mean([(holm(some) < 0.05).any() for some in p]) < 0.06


@pytest.mark.parametrize(("arms", "margin"), [(1, 1.3), (4, 2.0)])
def test_power_is_how_often_it_finds_it(arms: int, margin: float) -> None:
    alpha = 0.05 / arms
    said = power_against(margin, **UNIT, alpha=alpha)
    p = stats.ttest_1samp(gaps(margin, seed=7)[:, 0], 0, axis=1).pvalue
    assert (p < alpha).mean() == pytest.approx(said, abs=0.03)
    assert power_against(0.0, **UNIT, alpha=alpha) == pytest.approx(alpha)
    assert power_against(500.0, **UNIT, alpha=alpha) == 1


@pytest.mark.parametrize("alpha", [0.05, 0.0125])
def test_what_is_detectable_is_found_in_four_of_five(alpha: float) -> None:
    difference = detectable_difference(**UNIT, alpha=alpha)
    assert power_against(difference, **UNIT, alpha=alpha) == pytest.approx(0.8, abs=1e-6)
    p = stats.ttest_1samp(gaps(difference, seed=8)[:, 0], 0, axis=1).pvalue
    assert (p < alpha).mean() == pytest.approx(0.8, abs=0.03)
    assert detectable_difference(error=3 * UNIT["error"], df=UNIT["df"], alpha=alpha) == pytest.approx(3 * difference)


@pytest.mark.parametrize("margin", [1.0, 1.5])
def test_equivalence_is_claimed_as_seldom_as_it_says_at_the_margin_and_as_often_at_nothing(margin: float) -> None:
    def claimed(shift: float, seed: int) -> float:
        studies = gaps(shift, seed=seed)[:, 0]
        spreads = studies.std(axis=1, ddof=1)
        found = zip(studies.mean(axis=1), spreads, strict=True)
        return float(np.mean([_shown(mean, spread, margin) for mean, spread in found]))

    assert claimed(margin, 9) < 0.06
    assert claimed(0.0, 10) == pytest.approx(equivalence_power(**UNIT, margin=margin, alpha=0.05), abs=0.03)


def _shown(mean: float, spread: float, margin: float) -> bool:
    limit = stats.t.ppf(0.95, SEEDS - 1) * spread / np.sqrt(SEEDS)  # the 90% interval within the margin
    return bool(-margin < mean - limit and mean + limit < margin)


def test_equivalence_is_the_ninety_percent_interval_within_the_margin() -> None:
    rng = np.random.default_rng(11)
    for _ in range(200):
        sample, margin = rng.normal(0.2, 0.4, size=SEEDS), 0.6
        mean, spread = float(sample.mean()), float(sample.std(ddof=1))
        found = equivalence_of(mean, error=spread / np.sqrt(SEEDS), df=SEEDS - 1, margin=margin)
        low, high = stats.t.interval(0.9, SEEDS - 1, loc=mean, scale=spread / np.sqrt(SEEDS))
        assert (found.low, found.high) == pytest.approx((low, high))
        assert found.shown == (-margin < low and high < margin) == _shown(mean, spread, margin)
        one_sided = [
            stats.ttest_1samp(sample, -margin, alternative="greater").pvalue,
            stats.ttest_1samp(sample, margin, alternative="less").pvalue,
        ]
        assert found.p_value == pytest.approx(max(one_sided))


@pytest.mark.parametrize(
    ("shift", "noise", "verdict", "within"),
    [
        (0.0, 0.001, "equivalent", True),
        (0.002, 0.0005, "better", True),
        (-0.002, 0.0005, "worse", True),
        (0.05, 0.001, "better", False),
        (0.0, 0.05, "not distinguishable", False),
    ],
)
def test_verdicts(shift: float, noise: float, verdict: str, within: bool) -> None:
    wave = noise * np.array([1, -1, 0.5, -0.5, 0.8, -0.8])
    gap = compare({"arm": dict(enumerate(0.9 + shift + wave))}, dict.fromkeys(range(6), 0.9), margin=0.01)["arm"]
    assert (gap.verdict, gap.within_margin) == (verdict, within)
    assert gap.power is not None
    assert gap.detectable is not None
    assert (gap.power > 0.8) == (gap.detectable < 0.01)


def test_a_family_is_corrected_and_its_members_are_powered_at_its_strictest_level() -> None:
    rng = np.random.default_rng(12)
    reference = dict(enumerate(rng.normal(size=SEEDS)))
    arms = {
        name: dict(enumerate(rng.normal(shift, 1, size=SEEDS))) for name, shift in (("a", 3.0), ("b", 0.0), ("c", 1.0))
    }
    family = compare(arms, reference, margin=1.0)
    alone = {name: compare({name: arm}, reference, margin=1.0)[name] for name, arm in arms.items()}
    assert [gap.p_value for gap in family.values()] == [gap.p_value for gap in alone.values()]
    expected = holm(np.array([gap.p_value for gap in alone.values()], dtype=float))
    assert [gap.p_holm for gap in family.values()] == pytest.approx(expected.tolist())
    assert all(family[name].detectable > alone[name].detectable for name in arms)  # type: ignore[operator]
    assert compare({}, reference) == {}


@pytest.mark.parametrize("size", [17, 20, 25])
def test_sign_flips_of_many_seeds(size: int) -> None:
    """All 2^K of twenty, against what scipy draws; beyond, drawn with a fixed seed, and never 0."""
    sample = np.random.default_rng(size).normal(0.4, 1, size=size)
    theirs = stats.permutation_test((sample,), np.mean, permutation_type="samples", vectorized=True, n_resamples=50_000)
    assert sign_flip_p_value(sample) == pytest.approx(theirs.pvalue, abs=0.01)
    assert sign_flip_p_value(sample) == sign_flip_p_value(sample)
    assert 0 < sign_flip_p_value(np.ones(size)) < 1e-4


def test_sign_flips_that_tie_but_for_rounding_count() -> None:
    assert sign_flip_p_value(np.full(7, 0.1)) == 2 / 2**7
    assert sign_flip_p_value(np.array([0.3, 0.1, 0.2, -0.6])) == 1
