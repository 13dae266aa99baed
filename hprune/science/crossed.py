"""One standard error for two sources of chance: retraining seeds and evaluation examples, crossed.

The model of a paired difference, seed s and example e, is that of studies in which several readers judge the same cases
(Dorfman, Berbaum and Metz 1992):

    d[s, e] = mean + seed[s] + example[e] + rest[s, e]

all but the mean random. With the mean squares of the two-way table (MS_S, MS_E, MS_R), what seeds and examples add to
the variance of the mean is

    A = MS_S / (S n)        B = max(MS_E - MS_R, 0) / (S n)        error = sqrt(A + B)

A is estimated from nu = S - 1 degrees of freedom, B from hundreds. Hillis (2007) gives t with nu ((A + B) / A)^2
degrees of freedom. With few seeds A is small by chance so often that this overstates them: with three, the test rejects
what is true in up to 7.5% of studies, at 5%. We let the degrees of freedom grow more slowly at first, and faster as B
outweighs A: df = min(nu exp(B / (k A)), n - 1), with k = 1 + 6 / nu^2. The constants of k were chosen for normal
effects: whatever B / A, 95% intervals cover 95.0% to 96.2% from three seeds on, and 94.5% to 97.0% with two.
`benchmarks/coverage.py` has the coverage for answers that are right or wrong, and that of other rules.

Coverage is over all studies. Given that a few seeds happen to agree, the interval covers less, as any t interval does.
Where all means are the same, of seeds and of examples, A + B = 0, though examples may still disagree: then the error is
sqrt(MS_R / (S n)), with n - 1 degrees of freedom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_SPREAD = 1e-9
"""Differences that vary by less are the same but for rounding: t tests have nothing to go by."""


@dataclass(frozen=True)
class Estimate:
    """A mean difference, its standard error and the degrees of freedom of that error: all that a t test needs."""

    mean: float
    error: float
    """0 if nothing varies."""
    df: float
    seeds: int
    """Runs, or tickets, that the error is estimated from."""
    examples: int | None = None
    """Evaluation examples whose chance is in the error, too; None: the error is of the seeds alone."""
    example_error: float | None = None
    """What the examples alone add to the error, sqrt(B)."""

    @property
    def varies(self) -> bool:
        """Whether there is a spread to test against."""
        return self.error >= NO_SPREAD

    @property
    def p_value(self) -> float | None:
        """Two-sided, of no difference: 1 if nothing varies and there is none, None if there is one all the same."""
        if not self.varies:
            return 1.0 if abs(self.mean) < NO_SPREAD else None
        from scipy.stats import t  # half a second: not paid by `--help`

        return float(2 * t.sf(abs(self.mean) / self.error, self.df))

    def half_width(self, level: float = 0.95) -> float:
        """Half of the two-sided interval: a t quantile times the standard error."""
        from scipy.stats import t

        return float(t.ppf((1 + level) / 2, self.df) * self.error)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The ends of the two-sided interval."""
        half = self.half_width(level)
        return self.mean - half, self.mean + half


def over_seeds(gaps: NDArray[np.float64]) -> Estimate:
    """The estimate from one number a seed, (S,), S at least 2: the examples are taken as they are."""
    return Estimate(float(gaps.mean()), float(gaps.std(ddof=1) / np.sqrt(gaps.size)), gaps.size - 1, gaps.size)


def crossed(gaps: NDArray[np.floating]) -> Estimate:
    """The estimate with seeds and examples random, as above.

    Args:
        gaps: (S, n) what each example contributes to the metric's difference, arm minus reference, for each seed; the
            mean of a row is that seed's difference. S and n at least 2.

    Example:
        >>> found = crossed(np.array([[1.0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]))
        >>> round(found.mean, 3), found.examples
        (0.167, 4)
    """
    by_seed, by_example, rest = (square / gaps.size for square in mean_squares(gaps))
    seeds, n = gaps.shape
    return _estimate(float(gaps.mean()), by_seed, by_example - rest, seeds - 1, rest, seeds, n)


def welch_over_seeds(arm: NDArray[np.float64], reference: NDArray[np.float64]) -> Estimate:
    """Welch's estimate from one number a seed of each, (S,) and (S',): seeds of the two are taken as unrelated."""
    own, other = arm.var(ddof=1) / arm.size, reference.var(ddof=1) / reference.size
    df = _satterthwaite(own, arm.size - 1, other, reference.size - 1)
    mean = float(arm.mean() - reference.mean())
    return Estimate(mean, float(np.sqrt(own + other)), df, min(arm.size, reference.size))


def welch(arm: NDArray[np.floating], reference: NDArray[np.floating]) -> Estimate:
    """Like `crossed`, but with the seeds of arm and reference taken as unrelated; examples are paired as ever.

    Args:
        arm: (S, n) what each example contributes to the metric, for each seed.
        reference: (S', n) likewise, of the same examples; S' may differ.
    """
    n = arm.shape[1]
    (own, _, own_rest), (other, _, other_rest) = mean_squares(arm), mean_squares(reference)
    own, other = own / arm.size, other / reference.size
    rest = own_rest / arm.size + other_rest / reference.size
    gaps = arm.mean(axis=0) - reference.mean(axis=0)  # (n,)
    nu = _satterthwaite(own, len(arm) - 1, other, len(reference) - 1)
    seeds = min(len(arm), len(reference))
    return _estimate(float(gaps.mean()), own + other, gaps.var(ddof=1) / n - rest, nu, rest, seeds, n)


def mean_squares(table: NDArray[np.floating]) -> tuple[float, float, float]:
    """The mean squares of a two-way table without repeats: of its rows, its columns, and what is left.

    Args:
        table: (S, n), both at least 2.
    """
    (rows, columns), mean = table.shape, table.mean()
    by_row, by_column = table.mean(axis=1) - mean, table.mean(axis=0) - mean
    left = np.square(table - mean - by_row[:, None] - by_column).sum()
    return (
        float(columns * np.square(by_row).sum() / (rows - 1)),
        float(rows * np.square(by_column).sum() / (columns - 1)),
        float(left / ((rows - 1) * (columns - 1))),
    )


def blended_df(nu: float, seeds_part: float, examples_part: float, most: float) -> float:
    """The degrees of freedom of A + B, A known from nu of them and B from many: nu exp(B / (k A)), k = 1 + 6 / nu^2.

    Args:
        nu: degrees of freedom of A, at least 1.
        seeds_part: A.
        examples_part: B.
        most: what they are at most, at least nu; the result where A is 0.

    Example:
        >>> blended_df(2, 1.0, 0.0, 871), round(blended_df(2, 1.0, 5.0, 871), 6), blended_df(2, 0.0, 1.0, 871)
        (2.0, 14.778112, 871)
    """
    unit = (1 + 6 / nu**2) * seeds_part
    if examples_part >= unit * np.log(most / nu):
        return most
    return float(nu * np.exp(examples_part / unit))


def _estimate(
    mean: float, seeds_part: float, examples_part: float, nu: float, rest: float, seeds: int, n: int
) -> Estimate:
    """Put the two parts together; where neither varies, what is left, so that the error is 0 only if nothing varies."""
    examples_part, most = max(examples_part, 0.0), float(max(n - 1, nu))
    error, of_examples = float(np.sqrt(seeds_part + examples_part)), float(np.sqrt(examples_part))
    if error < NO_SPREAD:
        return Estimate(mean, float(np.sqrt(rest)), most, seeds, n, of_examples)
    return Estimate(mean, error, blended_df(nu, seeds_part, examples_part, most), seeds, n, of_examples)


def _satterthwaite(own: float, own_df: int, other: float, other_df: int) -> float:
    """Welch's degrees of freedom of a sum of two variances; the smaller one's if both are 0."""
    if own + other <= 0:
        return float(min(own_df, other_df))
    return float((own + other) ** 2 / (own**2 / own_df + other**2 / other_df))
