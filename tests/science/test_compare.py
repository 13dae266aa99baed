"""Verdicts on families of arms: by hand, by their laws, and where there is nothing to go by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats

from hprune.science.compare import Difference, compare
from hprune.science.power import detectable

FULL = {1: 0.900, 2: 0.910, 3: 0.890, 4: 0.905, 5: 0.895}


def shifted(by: float, noise: float = 0.001) -> dict[int, float]:
    """The full set's values plus a difference that varies a little by seed."""
    return {seed: value + by + noise * (-1, 0.5, 1, -0.5, 0.2)[seed - 1] for seed, value in FULL.items()}


def one(arm: Mapping[int, float], reference: Mapping[int, float] = FULL, **options: float | None) -> Difference:
    return compare({"arm": arm}, reference, **options)["arm"]  # type: ignore[arg-type]


def test_a_difference_by_hand() -> None:
    gaps = np.array(
        [0.01, 0.02, 0.03, 0.02, 0.02]
    )  # mean 0.02, sd sqrt(0.0002 / 4) = 0.00707, t = 0.02 / 0.00316 = 6.32
    ours = one({seed: value + gap for (seed, value), gap in zip(FULL.items(), gaps, strict=True)})
    assert (ours.interval.mean, ours.sd) == pytest.approx((0.02, 0.0070711), rel=1e-4)
    assert ours.p_value == pytest.approx(2 * stats.t.sf(6.3246, 4), rel=1e-3)
    assert ours.p_holm == ours.p_value
    assert ours.p_sign_flip == 0.0625
    assert (ours.equivalence, ours.within_margin) == (None, None)
    assert ours.power is not None
    assert ours.power.at_margin is None
    assert ours.power.detectable == pytest.approx(1.682 * 0.0070711, rel=1e-3)
    assert ours.test == "paired t test, two-sided, n = 5 seeds"


def test_the_four_verdicts() -> None:
    said = {by: one(shifted(by), margin=0.01).verdict for by in (0.02, -0.02, 0.0)}
    assert said == {0.02: "better", -0.02: "worse", 0.0: "equivalent"}
    assert one(shifted(0.0, noise=0.02), margin=0.01).verdict == "not distinguishable"
    assert one(shifted(0.0)).verdict == "not distinguishable"  # no margin, no equivalence


def test_a_real_difference_within_the_margin_stays_one() -> None:
    ours = one(shifted(-0.004), margin=0.01)
    assert (ours.verdict, ours.within_margin) == ("worse", True)
    assert one(shifted(-0.02), margin=0.01).within_margin is False


def test_verdicts_agree_with_the_intervals_for_one_arm() -> None:
    rng = np.random.default_rng(4)
    seen = set()
    for shift in np.repeat([-0.02, 0.0, 0.02], 20):
        ours = one({s: v + shift + rng.normal(0, 0.01) for s, v in FULL.items()}, margin=0.02)
        low, high = ours.interval.low, ours.interval.high
        assert low is not None
        assert high is not None
        assert ours.equivalence is not None
        within = ours.equivalence.low > -0.02 and ours.equivalence.high < 0.02
        expected = "better" if low > 0 else "worse" if high < 0 else "equivalent" if within else "not distinguishable"
        assert (ours.verdict, ours.within_margin) == (expected, within)
        assert low < ours.equivalence.low < ours.equivalence.high < high
        seen.add(ours.verdict)
    assert seen == {"better", "worse", "equivalent", "not distinguishable"}


def test_more_arms_ask_for_more_evidence() -> None:
    arm = shifted(-0.004, noise=0.003)
    alone = one(arm)
    assert alone.verdict == "worse"
    others = {str(i): shifted(0.0, noise=0.001 * i) for i in range(1, 16)}
    among = compare({"arm": arm, **others}, FULL)["arm"]
    assert among.p_value == alone.p_value
    assert among.p_value is not None
    assert among.p_holm == pytest.approx(16 * among.p_value)
    assert among.verdict == "not distinguishable"
    assert among.interval == alone.interval
    assert among.sd is not None
    assert among.power is not None
    assert among.power.alpha == pytest.approx(0.05 / 16)
    assert among.power.detectable == pytest.approx(detectable(sd=among.sd, n=5, alpha=0.05 / 16))
    assert among.test == "paired t test, two-sided, n = 5 seeds, Holm over 16"


def test_direction_of_the_metric_decides() -> None:
    loss, full = {1: 0.31, 2: 0.32, 3: 0.30}, {1: 0.51, 2: 0.53, 3: 0.50}
    assert one(loss, full, higher_is_better=False).verdict == "better"
    assert one(loss, full).verdict == "worse"


def test_one_seed_gives_no_verdict_and_pairs_are_by_seed() -> None:
    ours = one({1: 0.9, 7: 0.1}, {1: 0.8, 9: 0.5}, margin=0.01)
    assert ours.verdict == "no verdict (one seed)"
    assert (ours.interval.low, ours.p_value, ours.interval.mean) == (None, None, pytest.approx(0.1))
    assert (ours.sd, ours.p_holm, ours.p_sign_flip, ours.power, ours.equivalence) == (None,) * 5
    with pytest.raises(ValueError, match="arms must share seeds"):
        one({1: 0.9}, {2: 0.9})


def test_no_spread() -> None:
    same = {1: 0.5, 2: 0.5, 3: 0.5}
    nothing = one(same, same, margin=0.01)
    assert (nothing.verdict, nothing.p_value, nothing.p_sign_flip) == ("not distinguishable", 1.0, 1.0)
    assert (nothing.power, nothing.equivalence, nothing.within_margin) == (None, None, None)
    constant = one({s: v + 0.1 for s, v in same.items()}, same, margin=0.01)
    assert (constant.verdict, constant.p_value, constant.p_sign_flip) == ("no verdict (no spread)", None, 0.25)
    rounding = one({1: 0.8, 2: 0.9}, {1: 0.7, 2: 0.8})
    assert rounding.verdict == "no verdict (no spread)"


def test_arms_without_a_p_value_are_not_of_the_family() -> None:
    arms = {"a": shifted(0.0), "b": {1: 0.9}, "c": shifted(0.1, noise=0.0)}
    found = compare(arms, FULL)
    assert found["a"].p_holm == found["a"].p_value
    assert [found[arm].p_holm for arm in "bc"] == [None, None]


def test_no_arms_no_verdicts_and_no_margin_below_zero() -> None:
    assert compare({}, FULL) == {}
    with pytest.raises(ValueError, match="a margin must be a number above 0"):
        one(shifted(0.0), margin=-0.01)
