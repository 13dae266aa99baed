"""Verdicts: paired differences of a family of arms to one reference, over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hprune.science.power import detectable, power_of_t_test, power_of_tost
from hprune.science.significance import Floats, check_margin, holm, paired_t, sign_flip, tost
from hprune.science.stats import Interval, t_interval

Verdict = Literal[
    "better", "worse", "equivalent", "not distinguishable", "no verdict (one seed)", "no verdict (no spread)"
]

NO_SPREAD = 1e-9
"""Gaps that differ by less over seeds are the same but for rounding: the t test has nothing to go by."""


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests: whether a difference is within a margin that was stated beforehand."""

    margin: float
    p_value: float  # below alpha: equivalent; not corrected for the number of arms
    low: float  # of the (1 - 2 alpha) interval
    high: float
    power: float  # to find equivalence if the true difference were 0, with the observed spread


@dataclass(frozen=True)
class Power:
    """What the paired t test could have found, with these seeds and the observed spread of the differences."""

    alpha: float  # after Holm: that of the first step, alpha / family, which does not hang on the other arms
    detectable: float  # the smallest true difference that is found in 80% of cases
    at_margin: float | None  # how often a true difference as large as the margin is found


@dataclass(frozen=True)
class Difference:
    """A paired difference, arm minus reference, over the seeds that both have; None is what could not be computed."""

    interval: Interval
    sd: float | None  # of the paired differences over seeds
    p_value: float | None  # paired t test
    p_holm: float | None  # the same, corrected over the family: what the verdict goes by
    p_sign_flip: float | None  # exact under symmetry, uncorrected; a check that asks for no normal distribution
    power: Power | None
    equivalence: Equivalence | None
    within_margin: bool | None  # whether the test for equivalence holds, also beside "better" and "worse"
    verdict: Verdict
    test: str


def compare(
    arms: Mapping[str, Mapping[int, float]],
    reference: Mapping[int, float],
    *,
    higher_is_better: bool = True,
    level: float = 0.95,
    margin: float | None = None,
) -> dict[str, Difference]:
    """Compare arms with one reference, seed by seed.

    The arms are a family: all that are compared with this reference by one metric on one evaluation set. Holm corrects
    their paired t tests, so that in at most 1 - level of families any arm is called better or worse that is not, and
    an arm's verdict hangs on how many others were tried. Intervals and tests for equivalence are each arm's own.

    Args:
        arms: the metric for each seed, by the arm's name.
        reference: the metric of the reference for each seed; pairs are formed over the seeds that both have.
        higher_is_better: direction of the metric, which decides between "better" and "worse".
        level: of the intervals; one minus alpha, the level of the tests.
        margin: the largest difference that does not matter, stated beforehand; None asks for no equivalence.

    Returns:
        For each arm its difference. The verdict is "better" or "worse" if p_holm < alpha; else "equivalent" if the test
        for equivalence has p < alpha; else "not distinguishable".

    Raises:
        ValueError: if an arm shares no seed with the reference, or the margin is not above 0.

    Example:
        >>> full, ticket, easy = ({1: a, 2: b, 3: c} for a, b, c in [(90, 91, 89), (90.2, 91, 88.9), (80, 82, 79)])
        >>> found = compare({"ticket": ticket, "easy": easy}, full, margin=1)
        >>> {arm: difference.verdict for arm, difference in found.items()}
        {'ticket': 'equivalent', 'easy': 'worse'}
    """
    gaps = {}
    for label, arm in arms.items():
        common = sorted(set(arm) & set(reference))
        if not common:
            raise ValueError(f"arms must share seeds to be compared, got {sorted(arm)} and {sorted(reference)}")
        gaps[label] = {seed: arm[seed] - reference[seed] for seed in common}
    return judge(gaps, higher_is_better=higher_is_better, level=level, margin=margin)


def judge(
    gaps: Mapping[str, Mapping[int, float]],
    *,
    higher_is_better: bool = True,
    level: float = 0.95,
    margin: float | None = None,
) -> dict[str, Difference]:
    """Verdicts on a family of paired differences: `compare` without the subtraction.

    Args:
        gaps: the differences for each seed, by what they belong to.
        higher_is_better: as in `compare`, and so `level` and `margin`.
        level: see there.
        margin: see there.

    Raises:
        ValueError: if the margin is not above 0, or a difference is not finite.
    """
    if margin is not None:
        check_margin(margin)
    p_values = {label: _p_value(np.array(list(gap.values()))) for label, gap in gaps.items()}
    tested = {label: p for label, p in p_values.items() if p is not None}
    p_holm = dict(zip(tested, holm(np.array(list(tested.values()))).tolist(), strict=True))
    alpha = round(1 - level, 12)
    return {
        label: _difference(gap, p_values[label], p_holm.get(label), len(tested), higher_is_better, alpha, margin)
        for label, gap in gaps.items()
    }


def _p_value(gaps: Floats) -> float | None:
    """None where there is nothing to test: one seed, or the same difference with every seed, unless that is 0."""
    if gaps.size == 1:
        return None
    if np.ptp(gaps) >= NO_SPREAD:
        return float(paired_t(gaps))
    return 1.0 if abs(gaps.mean()) < NO_SPREAD else None


def _difference(
    by_seed: Mapping[int, float],
    p_value: float | None,
    p_holm: float | None,
    family: int,
    higher_is_better: bool,
    alpha: float,
    margin: float | None,
) -> Difference:
    gaps, interval = np.array(list(by_seed.values())), t_interval(by_seed, level=1 - alpha)
    spread = gaps.size > 1 and bool(np.ptp(gaps) >= NO_SPREAD)
    equivalence = _equivalence(by_seed, margin, alpha) if spread and margin is not None else None
    within = None if equivalence is None else equivalence.p_value < alpha
    verdict: Verdict
    if p_holm is None:
        verdict = "no verdict (one seed)" if gaps.size == 1 else "no verdict (no spread)"
    elif p_holm < alpha:
        verdict = "better" if (interval.mean > 0) == higher_is_better else "worse"
    else:
        verdict = "equivalent" if within else "not distinguishable"
    corrected = f", Holm over {family}" if family > 1 else ""
    return Difference(
        interval,
        sd=float(gaps.std(ddof=1)) if gaps.size > 1 else None,
        p_value=p_value,
        p_holm=p_holm,
        p_sign_flip=float(sign_flip(gaps)) if gaps.size > 1 else None,
        power=_power(gaps, margin, alpha / max(family, 1)) if spread else None,
        equivalence=equivalence,
        within_margin=within,
        verdict=verdict,
        test=f"paired t test, two-sided, n = {gaps.size} seeds{corrected}",
    )


def _equivalence(by_seed: Mapping[int, float], margin: float, alpha: float) -> Equivalence:
    gaps, interval = np.array(list(by_seed.values())), t_interval(by_seed, level=1 - 2 * alpha)
    assert interval.low is not None, "there are two seeds or more"
    assert interval.high is not None, "likewise"
    power = power_of_tost(margin, sd=float(gaps.std(ddof=1)), n=gaps.size, alpha=alpha)
    return Equivalence(margin, float(tost(gaps, margin)), interval.low, interval.high, power)


def _power(gaps: Floats, margin: float | None, alpha: float) -> Power:
    sd, n = float(gaps.std(ddof=1)), gaps.size
    at_margin = None if margin is None else power_of_t_test(margin, sd=sd, n=n, alpha=alpha)
    return Power(alpha, detectable(sd=sd, n=n, alpha=alpha), at_margin)
