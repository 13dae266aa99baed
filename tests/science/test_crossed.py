"""Seeds and examples crossed: against linear models and SciPy, and by how often the intervals cover."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from hprune.science.crossed import blended_df, crossed, mean_squares, over_seeds, welch, welch_over_seeds
from hprune.science.stats import compare


def table(
    rng: np.random.Generator, seeds: int, n: int, *, seed: float, example: float, rest: float
) -> NDArray[np.float64]:
    """Normal effects with these standard deviations, and no difference."""
    effects = seed * rng.normal(size=(seeds, 1)) + example * rng.normal(size=n)
    return np.asarray(effects + rest * rng.normal(size=(seeds, n)))


@pytest.mark.parametrize(("seeds", "n"), [(2, 2), (3, 17), (6, 40)])
def test_mean_squares_are_those_of_a_linear_model(seeds: int, n: int) -> None:
    """Sequential sums of squares of an intercept, the seeds' and the examples' columns, fitted by least squares."""
    values = table(np.random.default_rng(n), seeds, n, seed=1, example=1, rest=1)
    at = [axis.ravel() for axis in np.indices((seeds, n))]
    columns = [np.ones((seeds * n, 1)), np.eye(seeds)[at[0]], np.eye(n)[at[1]]]
    left = []
    for k in range(1, 4):
        design = np.hstack(columns[:k])
        fit = design @ np.linalg.lstsq(design, values.ravel(), rcond=None)[0]
        left.append(float(np.square(values.ravel() - fit).sum()))
    expected = [
        (left[0] - left[1]) / (seeds - 1), (left[1] - left[2]) / (n - 1), left[2] / ((seeds - 1) * (n - 1))
    ]  # fmt: skip
    assert mean_squares(values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seed", "example", "rest"), [(0.0, 0.0, 1.0), (0.1, 0.0, 1.0), (0.0, 0.5, 1.0), (0.2, 0.5, 0.3)]
)
def test_the_squared_error_is_the_variance_of_the_mean(seed: float, example: float, rest: float) -> None:
    rng, seeds, n = np.random.default_rng(0), 4, 100
    found = [crossed(table(rng, seeds, n, seed=seed, example=example, rest=rest)) for _ in range(3000)]
    expected = seed**2 / seeds + example**2 / n + rest**2 / (seeds * n)
    assert np.var([one.mean for one in found]) == pytest.approx(expected, rel=0.1)
    # where the examples add nothing, what is estimated of them is cut off at 0, and so is not negative on the whole
    assert 0.95 < np.mean([one.error**2 for one in found]) / expected < (1.15 if example else 1.25)


def binary(rng: np.random.Generator, seeds: int, n: int, *, seed: float, example: float) -> NDArray[np.float64]:
    """Right answers of an arm minus those of the full set: logit-normal difficulty, effects of examples and seeds."""
    difficulty = 3 + 3 * rng.normal(size=n)

    def right() -> NDArray[np.float64]:
        logits = difficulty + example * rng.normal(size=n) + seed * rng.normal(size=(seeds, 1))
        return (rng.random((seeds, n)) < 1 / (1 + np.exp(-logits))).astype(float)

    return right() - right()


def goals_met(hits: int, studies: int) -> bool:
    """No difference: intervals cover at most 97%, tests err in at most 5.5%, to two standard errors of a simulation."""
    off = 2 * float(np.sqrt(0.05 * 0.95 / studies))
    return 0.945 - off <= hits / studies <= 0.97 + off


@pytest.mark.parametrize(("seed", "example"), [(0.0, 0.0), (0.0, 1.5), (0.15, 0.0), (0.15, 1.5), (0.5, 1.5)])
@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_intervals_of_accuracies_cover(seeds: int, seed: float, example: float) -> None:
    """No difference on the whole; over seeds alone, the interval misses it far more often where examples differ."""
    rng, studies, n = np.random.default_rng([seeds, int(100 * seed), int(10 * example)]), 1500, 277
    hits, alone = 0, 0
    for _ in range(studies):
        gaps = binary(rng, seeds, n, seed=seed, example=example)
        for_all, for_these = crossed(gaps), over_seeds(gaps.mean(axis=1))
        hits += abs(for_all.mean) <= for_all.half_width()
        alone += abs(for_these.mean) <= for_these.half_width()
    assert goals_met(hits, studies)
    if example and seeds == 6:
        assert alone / studies < hits / studies - (0.1 if seed < 0.5 else 0.0)


@pytest.mark.parametrize(
    ("nu", "least", "most"), [(1, 0.945, 0.97), (2, 0.9495, 0.963), (3, 0.9495, 0.963), (5, 0.9495, 0.963)]
)
def test_normal_effects_are_covered_whatever_the_examples_add(nu: int, least: float, most: float) -> None:
    """By integration, not by chance: A is chi^2 with nu degrees of freedom, 1 on average, B is known."""
    v = (np.arange(1200) + 0.5) / 1200
    a, weights = stats.chi2.ppf(v**4, nu) / nu, 4 * v**3 / v.size  # fine where A is small
    covered = []
    for b in (0.0, *np.geomspace(0.01, 300, 30)):
        df = [blended_df(nu, float(one), b, 871) for one in a]
        off = stats.t.ppf(0.975, df) * np.sqrt((a + b) / (1 + b))
        covered.append(float(weights @ (2 * stats.norm.cdf(off) - 1)))
    assert covered[0] == pytest.approx(0.95, abs=5e-4)
    assert least <= min(covered)
    assert max(covered) <= most


def test_without_examples_of_their_own_it_is_the_paired_t_test() -> None:
    gaps = table(np.random.default_rng(1), 6, 50, seed=1, example=0, rest=1)
    gaps -= gaps.mean(axis=0) - gaps.mean()  # every example has the same mean over seeds
    found, scipys = crossed(gaps), stats.ttest_1samp(gaps.mean(axis=1), 0)
    assert [found.p_value, found.df] == pytest.approx([scipys.pvalue, 5])
    low, high = scipys.confidence_interval(0.95)
    assert found.interval() == pytest.approx((low, high))


def test_without_seeds_of_their_own_it_is_the_t_test_over_examples() -> None:
    """Seeds that average to the same, and to little noise: what is left is the mean over examples."""
    rng = np.random.default_rng(2)
    examples = rng.normal(0.1, 1, size=400)
    rest = 1e-4 * rng.normal(size=(3, 400))
    found = crossed(examples + rest - rest.mean(axis=1, keepdims=True))
    expected = stats.ttest_1samp(examples, 0)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-3)
    assert found.df == 399


def test_over_seeds_and_welch_are_scipys() -> None:
    rng = np.random.default_rng(3)
    arm, full = rng.normal(0.5, 2, size=6), rng.normal(size=4)
    assert over_seeds(arm).p_value == pytest.approx(stats.ttest_1samp(arm, 0).pvalue)
    ours, scipys = welch_over_seeds(arm, full), stats.ttest_ind(arm, full, equal_var=False)
    assert [ours.p_value, ours.df] == pytest.approx([scipys.pvalue, scipys.df])


def test_welch_with_examples_that_add_nothing_is_welch() -> None:
    rng = np.random.default_rng(4)
    arm, full = (table(rng, seeds, 60, seed=0.3, example=0, rest=1) for seeds in (5, 3))
    for one in (arm, full):
        one -= one.mean(axis=0) - one.mean()
    ours = welch(arm, full)
    assert ours.p_value == pytest.approx(stats.ttest_ind(arm.mean(1), full.mean(1), equal_var=False).pvalue)


def test_what_the_two_share_of_an_example_cancels() -> None:
    rng = np.random.default_rng(5)
    arm, full = (table(rng, 4, 80, seed=0.1, example=0.5, rest=1) for _ in range(2))
    shared = 100 * rng.normal(size=80)
    assert welch(arm + shared, full + shared).error == pytest.approx(welch(arm, full).error)
    assert crossed(arm + 3 - full).error == pytest.approx(crossed(arm - full).error)


def test_degrees_of_freedom_grow_from_the_seeds_to_the_examples() -> None:
    for nu in (1, 2, 5):
        grown = [blended_df(nu, 1.0, part, 871) for part in (0, 0.1, 1, 10, 1e3, 1e9)]
        assert grown[0] == nu
        assert grown == sorted(grown)
        assert grown[-1] == 871
        assert grown[2] < 4 * nu  # by Hillis


def test_where_all_means_are_the_same_the_error_is_what_is_left() -> None:
    """Two seeds, right on different examples: the same mean for each seed and each example."""
    gaps = np.tile([[0.5, -0.5], [-0.5, 0.5]], 10)
    for found, left in (
        (crossed(gaps), mean_squares(gaps)[2]),
        (welch(gaps, -gaps), 2 * mean_squares(gaps)[2]),
    ):
        assert [found.error, found.df, found.p_value] == pytest.approx([np.sqrt(left / 40), 19, 1])
    assert crossed(np.ones((2, 20))).error == 0


def seedwise(values: NDArray[np.float64]) -> dict[int, NDArray[np.floating]]:
    return dict(enumerate(values))


def test_a_comparison_goes_by_examples_where_it_knows_them_of_every_seed() -> None:
    rng = np.random.default_rng(6)
    arm, full = ((rng.random((4, 200)) < chance).astype(float) for chance in (0.8, 0.85))
    values = [dict(enumerate(side.mean(axis=1))) for side in (arm, full)]
    known: dict[str, dict[int, NDArray[np.floating]]] = {"arm": seedwise(arm), "other": {}}
    arms = {"arm": values[0], "other": values[0]}
    family = compare(arms, values[1], margin=0.05, by_example=known, reference_by_example=seedwise(full))
    expected = crossed(arm - full)
    ours, other = family["arm"], family["other"]
    assert (ours.p_value, ours.error, ours.df) == (expected.p_value, expected.error, expected.df)
    assert (ours.interval.low, ours.interval.high) == expected.interval()
    assert ours.test == "paired t test over 4 seeds and 200 examples, two-sided"
    assert ours.p_welch == welch(arm, full).p_value
    assert (other.examples, other.test) == (None, "paired t test, two-sided, n = 4 seeds")
    assert ours.over_seeds == other.over_seeds
    assert other.over_seeds is not None
    assert (other.p_value, other.p_welch) == (other.over_seeds.p_value, other.over_seeds.p_welch)
    assert ours.equivalence is not None
    low, high = expected.interval(0.9)
    assert (ours.equivalence.low, ours.equivalence.high) == pytest.approx((low, high))
    del known["arm"][2]
    partly = compare(arms, values[1], by_example=known, reference_by_example=seedwise(full))["arm"]
    assert (partly.examples, partly.p_value) == (None, other.p_value)


def test_seeds_that_all_answer_alike_say_nothing_of_chance() -> None:
    right = np.tile(np.arange(20) < 12, (3, 1)).astype(float)
    values = dict.fromkeys(range(3), 0.6)
    full = np.ones((3, 20))
    gap = compare(
        {"arm": values}, dict.fromkeys(range(3), 1.0),
        by_example={"arm": seedwise(right)}, reference_by_example=seedwise(full),
    )["arm"]  # fmt: skip
    assert gap.verdict == "no verdict (no spread)"
    same = compare(
        {"arm": values}, values, by_example={"arm": seedwise(right)}, reference_by_example=seedwise(right)
    )["arm"]  # fmt: skip
    assert (same.verdict, same.p_value) == ("not distinguishable", 1.0)
