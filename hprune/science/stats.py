"""How sure are we? Intervals over seeds, and arms compared with a reference over seeds and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hprune.science.crossed import NO_SPREAD, Estimate, crossed, over_seeds, welch, welch_over_seeds
from hprune.science.equivalence import Equivalence, equivalence_of
from hprune.science.power import detectable_difference, power_against
from hprune.science.sign_flip import sign_flip_p_value

Verdict = Literal[
    "better", "worse", "equivalent", "not distinguishable", "no verdict (one seed)", "no verdict (no spread)"
]
ByExample = Mapping[int, NDArray[np.floating]]
"""By seed, (n,) what each example contributes to a metric: `hprune.science.pseudovalues`."""


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its two-sided interval; without at least two seeds there is no interval."""

    mean: float
    low: float | None
    high: float | None
    seeds: int


@dataclass(frozen=True)
class OverSeeds:
    """The same difference with the examples taken as they are: the paired t test over seeds alone."""

    low: float
    high: float
    p_value: float | None
    p_welch: float | None
    error: float
    df: float


@dataclass(frozen=True)
class Difference:
    """A paired difference, arm minus reference, over the seeds that both have."""

    interval: Interval
    p_value: float | None
    """Of the primary test, two-sided: over seeds and examples where it is known what each example contributes, else
    over seeds."""
    verdict: Verdict
    test: str
    spread: float | None = None
    """Standard deviation of the gaps over seeds."""
    error: float | None = None
    """Standard error of the difference, and the degrees of freedom of that error: what all tests below go by."""
    df: float | None = None
    examples: int | None = None
    """Examples whose chance is in the error; None: it is of the seeds alone."""
    p_holm: float | None = None
    """The p value corrected for the number of arms: what the verdict goes by."""
    p_welch: float | None = None
    """Of the same test with the seeds of the two taken as unrelated."""
    p_sign_flip: float | None = None
    """Of the exact sign-flip test over seeds, which assumes no distribution; with K seeds it is at least 2^(1-K)."""
    over_seeds: OverSeeds | None = None
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
    found = over_seeds(sample)
    low, high = found.interval(level)
    return Interval(found.mean, low, high, int(sample.size))


def compare(
    arms: Mapping[str, Mapping[int, float]],
    reference: Mapping[int, float],
    *,
    higher_is_better: bool = True,
    level: float = 0.95,
    margin: float | None = None,
    by_example: Mapping[str, ByExample] | None = None,
    reference_by_example: ByExample | None = None,
) -> dict[str, Difference]:
    """Compare a family of arms with one reference, seed by seed.

    An arm is better or worse if the test, corrected by Holm's method for the number of arms, says so; else equivalent
    if two one-sided tests (TOST) show a difference within the margin; else not distinguishable. All go by one standard
    error: over seeds and examples (`hprune.science.crossed`) where it is known of every common seed of the two what
    each example contributes, else over seeds (the paired t test).

    Where the difference is the same for every seed, there is nothing to test by: a difference has no verdict, and none
    is equivalent within any margin, but not where the two are known to differ in some examples that cancel out.

    Args:
        arms: by their names, the metric for each seed: all the arms that are compared on one evaluation set.
        reference: the metric of the reference for each seed; pairs are formed over the seeds in both.
        higher_is_better: direction of the metric.
        level: one minus the level of the tests.
        margin: the largest difference that does not matter, stated before looking; None: equivalence is not tested.
        by_example: by the names of arms, what each example contributes to the metric for each seed.
        reference_by_example: the same of the reference, of the same examples.

    Raises:
        ValueError: if an arm shares no seed with the reference.
    """
    known = by_example or {}
    found = {
        name: difference_between(values, reference, known.get(name, {}), reference_by_example or {}, level=level)
        for name, values in arms.items()
    }
    return judged(found, higher_is_better=higher_is_better, level=level, margin=margin)


def judged(
    found: Mapping[str, Difference], *, higher_is_better: bool = True, level: float = 0.95, margin: float | None = None
) -> dict[str, Difference]:
    """A family of differences with what it takes several of them to say: Holm's p values, power, verdicts.

    Args:
        found: by the names of arms, as `difference_between` and `difference_of` give them.
        higher_is_better: direction of the metric.
        level: one minus the level of the tests.
        margin: the largest difference that does not matter; None: equivalence is not tested.
    """
    done = dict(found)
    tested = {name: gap for name, gap in found.items() if gap.error is not None}
    p_values = [1.0 if gap.p_value is None else gap.p_value for gap in tested.values()]  # an arm that has none counts
    for (name, gap), p in zip(tested.items(), holm(np.array(p_values)), strict=True):
        if gap.p_value is not None:
            gap = _with_power(replace(gap, p_holm=float(p)), level=level, arms=len(tested), margin=margin)
            done[name] = replace(gap, verdict=_verdict(gap, level, higher_is_better))
    return done


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


def difference_of(estimate: Estimate, test: str, *, seeds: int, level: float = 0.95) -> Difference:
    """A difference by itself, from its estimate: without what it takes a family to say.

    Args:
        estimate: of the difference.
        test: what the primary test is called.
        seeds: how many seeds stand behind it.
        level: of the interval.
    """
    low, high = estimate.interval(level)
    p = estimate.p_value
    verdict: Verdict = "no verdict (no spread)" if p is None else "not distinguishable"
    facts = {"error": estimate.error, "df": float(estimate.df), "examples": estimate.examples}
    return Difference(Interval(estimate.mean, low, high, seeds), p, verdict, test, **facts)  # type: ignore[arg-type]


def difference_between(
    arm: Mapping[int, float],
    reference: Mapping[int, float],
    arm_by_example: ByExample,
    reference_by_example: ByExample,
    *,
    level: float = 0.95,
) -> Difference:
    """One arm beside its reference, tested by itself: the arguments are those of `compare`, empty where not known.

    Raises:
        ValueError: if the two share no seed.
    """
    seeds = sorted(set(arm) & set(reference))
    if not seeds:
        raise ValueError(f"arms must share seeds to be compared, got {sorted(arm)} and {sorted(reference)}")
    own, other = (np.array([values[seed] for seed in seeds], dtype=np.float64) for values in (arm, reference))
    gaps = own - other
    if len(seeds) == 1:
        return Difference(t_interval({seeds[0]: float(gaps[0])}), None, "no verdict (one seed)", _test_name(1, None))
    alone, unrelated = over_seeds(gaps), welch_over_seeds(own, other)
    low, high = alone.interval(level)
    of_seeds = OverSeeds(low, high, alone.p_value, unrelated.p_value, alone.error, float(alone.df))
    tables = _tables(seeds, arm_by_example, reference_by_example)
    estimate = alone
    if tables is not None and _vary(*tables):
        estimate, unrelated = crossed(tables[0] - tables[1]), welch(*tables)
    found = difference_of(estimate, _test_name(len(seeds), estimate.examples), seeds=len(seeds), level=level)
    if not estimate.varies and tables is not None and np.abs(tables[0] - tables[1]).max() >= NO_SPREAD:
        found = replace(found, p_value=None, verdict="no verdict (no spread)")  # the examples that differ cancel out
    return replace(
        found,
        spread=float(gaps.std(ddof=1)),
        p_welch=unrelated.p_value,
        p_sign_flip=sign_flip_p_value(gaps),
        over_seeds=of_seeds,
    )


def _tables(
    seeds: Sequence[int], arm: ByExample, reference: ByExample
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """What examples contribute in both, (S, n) each; None where that is not known of every seed."""
    if not set(seeds) <= set(arm) & set(reference) or arm[seeds[0]].size < 2:
        return None
    assert arm[seeds[0]].size == reference[seeds[0]].size, "examples are the same"
    own, other = (np.stack([side[seed] for seed in seeds]).astype(np.float64) for side in (arm, reference))
    return own, other


def _vary(own: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether some example's gap differs between seeds: where none does, seeds say nothing of chance."""
    return bool(np.ptp(own - other, axis=0).max() >= NO_SPREAD)


def _test_name(seeds: int, examples: int | None) -> str:
    """What the primary test is called."""
    if examples is None:
        return f"paired t test, two-sided, n = {seeds} seeds"
    return f"paired t test over {seeds} seeds and {examples:,} examples, two-sided"


def _with_power(gap: Difference, *, level: float, arms: int, margin: float | None) -> Difference:
    """What the tests of this gap can tell; `detectable` and `power` at the level of Holm's first step."""
    error, df, strictest = gap.error, gap.df, (1 - level) / arms
    assert error is not None, "the gap was tested"
    assert df is not None, "the gap was tested"
    if margin is not None:
        found = equivalence_of(gap.interval.mean, error=error, df=df, margin=margin, alpha=1 - level)
        gap = replace(gap, equivalence=found)
    if error < NO_SPREAD:
        return gap
    return replace(
        gap,
        detectable=detectable_difference(error=error, df=df, alpha=strictest),
        power=None if margin is None else power_against(margin, error=error, df=df, alpha=strictest),
    )


def _verdict(gap: Difference, level: float, higher_is_better: bool) -> Verdict:
    assert gap.p_holm is not None
    if gap.p_holm < 1 - level:
        return "better" if (gap.interval.mean > 0) == higher_is_better else "worse"
    return "equivalent" if gap.within_margin else "not distinguishable"
