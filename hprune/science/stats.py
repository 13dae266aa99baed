"""How sure are we? Intervals over seeds, and arms compared with a reference seed by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hprune.science.equivalence import Equivalence, equivalence_of
from hprune.science.power import detectable_difference, power_against
from hprune.science.sign_flip import sign_flip_p_value

Verdict = Literal[
    "better", "worse", "equivalent", "not distinguishable", "no verdict (one seed)", "no verdict (no spread)"
]

NO_SPREAD = 1e-9
"""Gaps that differ by less over seeds are the same but for rounding: t tests have nothing to go by."""


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its two-sided interval; without at least two seeds there is no interval."""

    mean: float
    low: float | None
    high: float | None
    seeds: int


@dataclass(frozen=True)
class Difference:
    """A paired difference, arm minus reference, over the seeds that both have."""

    interval: Interval
    p_value: float | None
    """Of the paired t test, two-sided: the primary test."""
    verdict: Verdict
    test: str
    spread: float | None = None
    """Standard deviation of the gaps over seeds."""
    p_holm: float | None = None
    """The same, corrected for the number of arms: what the verdict goes by."""
    p_sign_flip: float | None = None
    """Of the exact sign-flip test, which assumes no distribution; with K seeds it is at least 2^(1-K)."""
    detectable: float | None = None
    """The smallest true difference that the test would find in 4 of 5 studies like this one, at its strictest level."""
    power: float | None = None
    """The chance that it would find a true difference as large as the margin."""
    equivalence: Equivalence | None = None
    """Whether the two differ by less than a margin stated beforehand."""

    @property
    def within_margin(self) -> bool:
        """Whether the difference, be there one or not, is shown to be smaller than the margin."""
        return self.equivalence is not None and self.equivalence.shown


def t_interval(values: Mapping[int, float], *, level: float = 0.95) -> Interval:
    """Mean +- t quantile x standard error over seeds.

    Args:
        values: one number for each seed.
        level: coverage of the interval, two-sided.

    Returns:
        The interval; `low` and `high` are None with one seed. With three seeds and level 0.95 it spans +- 2.48 standard
        deviations, with five +- 1.24.

    Raises:
        ValueError: no values, or values that are not finite.
    """
    sample = np.array([values[seed] for seed in sorted(values)], dtype=np.float64)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError(f"an interval needs at least one finite value a seed, got {dict(values)}")
    if sample.size == 1:
        return Interval(float(sample[0]), None, None, 1)
    from scipy.stats import t  # half a second: not paid by `--help`

    half = float(t.ppf((1 + level) / 2, sample.size - 1) * sample.std(ddof=1) / np.sqrt(sample.size))
    mean = float(sample.mean())
    return Interval(mean, mean - half, mean + half, int(sample.size))


def compare(
    arms: Mapping[str, Mapping[int, float]],
    reference: Mapping[int, float],
    *,
    higher_is_better: bool = True,
    level: float = 0.95,
    margin: float | None = None,
) -> dict[str, Difference]:
    """Compare a family of arms with one reference, seed by seed.

    An arm is better or worse if the paired t test, corrected by Holm's method for the number of arms, says so; else
    equivalent if two one-sided t tests (TOST) show a difference within the margin; else not distinguishable.

    Args:
        arms: by their names, the metric for each seed: all the arms that are compared on one evaluation set.
        reference: the metric of the reference for each seed; pairs are formed over the seeds in both.
        higher_is_better: direction of the metric.
        level: one minus the level of the tests.
        margin: the largest difference that does not matter, stated before looking; None: equivalence is not tested.

    Raises:
        ValueError: if an arm shares no seed with the reference.
    """
    found = {name: _paired(values, reference, level) for name, values in arms.items()}
    tested = {name: gap for name, gap in found.items() if gap.interval.seeds > 1}
    p_values = [1.0 if gap.p_value is None else gap.p_value for gap in tested.values()]  # an arm that has none counts
    for (name, gap), p in zip(tested.items(), holm(np.array(p_values)), strict=True):
        if gap.p_value is not None:
            gap = _with_power(replace(gap, p_holm=float(p)), level=level, arms=len(tested), margin=margin)
            found[name] = replace(gap, verdict=_verdict(gap, level, higher_is_better))
    return found


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct p values for their number by Holm's method (1979): those below alpha keep the family-wise error at alpha.

    The i-th smallest of m (from 0) becomes p (m - i), but no smaller than those before it, and at most 1.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist()
        [0.03, 0.06, 0.06, 0.02]
    """
    order = np.argsort(p_values, kind="stable")
    raised = np.maximum.accumulate(p_values[order] * (p_values.size - np.arange(p_values.size)))
    corrected = np.empty_like(raised)
    corrected[order] = np.minimum(raised, 1)
    return corrected


def _paired(arm: Mapping[int, float], reference: Mapping[int, float], level: float) -> Difference:
    """The gaps of one arm, tested by themselves."""
    common = sorted(set(arm) & set(reference))
    if not common:
        raise ValueError(f"arms must share seeds to be compared, got {sorted(arm)} and {sorted(reference)}")
    gaps = np.array([arm[seed] - reference[seed] for seed in common])
    interval = t_interval(dict(zip(common, gaps, strict=True)), level=level)
    test = f"paired t test, two-sided, n = {len(common)} seeds"
    if len(common) == 1:
        return Difference(interval, None, "no verdict (one seed)", test)
    spread, flips = float(gaps.std(ddof=1)), sign_flip_p_value(gaps)
    if spread < NO_SPREAD and abs(interval.mean) >= NO_SPREAD:
        return Difference(interval, None, "no verdict (no spread)", test, spread, p_sign_flip=flips)
    from scipy.stats import ttest_1samp

    p = 1.0 if spread < NO_SPREAD else float(ttest_1samp(gaps, 0.0).pvalue)
    return Difference(interval, p, "not distinguishable", test, spread, p_sign_flip=flips)


def _with_power(gap: Difference, *, level: float, arms: int, margin: float | None) -> Difference:
    """What the tests of this gap can tell; `detectable` and `power` at the level of Holm's first step."""
    spread, seeds, strictest = gap.spread, gap.interval.seeds, (1 - level) / arms
    assert spread is not None, "there are several seeds"
    if spread < NO_SPREAD:
        return gap
    gap = replace(gap, detectable=detectable_difference(spread=spread, seeds=seeds, alpha=strictest))
    if margin is None:
        return gap
    return replace(
        gap,
        power=power_against(margin, spread=spread, seeds=seeds, alpha=strictest),
        equivalence=equivalence_of(gap.interval.mean, spread=spread, seeds=seeds, margin=margin, alpha=1 - level),
    )


def _verdict(gap: Difference, level: float, higher_is_better: bool) -> Verdict:
    assert gap.p_holm is not None
    if gap.p_holm < 1 - level:
        return "better" if (gap.interval.mean > 0) == higher_is_better else "worse"
    return "equivalent" if gap.within_margin else "not distinguishable"
