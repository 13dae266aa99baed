"""The margin that a comparison can resolve, estimated from runs of the full set alone, before any comparison run."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hprune.science.crossed import blended_df, mean_squares
from hprune.science.equivalence import equivalence_power
from hprune.science.power import WANTED, detectable_difference

ALPHA = 0.05
STEP = 0.005
"""Margins are rounded up to multiples of this: half a point."""
LEAST = 0.01
MOST = 0.03
"""A larger margin says little to a user: what resolves only more needs more seeds, tickets or examples."""
CAUTION = 0.4
"""How often what we take the spread of seeds for is below the true one."""


def resolvable_margin(full_runs: NDArray[np.generic], *, seeds: int, tickets: int = 1, power: float = WANTED) -> float:
    """The smallest margin that a planned comparison of one arm with the full set resolves with a given power.

    To resolve it is both: to show equivalence within it, were there no difference, and to find a difference as large,
    were there one; each at 5%, with `power`. What is known are runs of the full set, f[s, e], seed s and example e.
    Their two-way table gives the variance between seeds, and the variance within an example, v = mean of p (1 - p) for
    right answers with chance p; two such runs disagree on 2 v of the examples. We assume of the arm, which nobody has
    trained yet:

    - Its runs vary as those of the full set, and independently of them: the difference of two runs has twice the
      variance of one. If the same seed makes the two alike, we overstate it.
    - It disagrees with the full set at most twice as often as the full set with itself. With chance q of the arm to
      have an example right, the two disagree on p (1 - q) + q (1 - p) = p (1 - p) + q (1 - q) + (p - q)^2; at twice 2 v
      the mean of (p - q)^2, which bounds the variance of an example's systematic difference, is 2 v.
    - Which ticket it is matters as much as which seed: the variance between tickets is that between seeds.

    The seeds' mean square of S runs is mostly below its expectation if S is small, and a margin too small costs more
    power than one too large gains; so we divide it by the 40% quantile of chi^2 / (S - 1).

    Args:
        full_runs: (S, n) whether each of at least two runs of the full set has each example right, or what examples
            contribute to another metric.
        seeds: comparison seeds that are planned, over all tickets; at least 2 for each of one ticket.
        tickets: how many of them there are; with several, the margin is that of the verdict on the method.
        power: that is wanted of each test.

    Returns:
        The margin in the unit of the metric, above 0 unless all runs answer alike; `rounded_margin` makes it readable.

    Raises:
        ValueError: if there are too few runs, seeds or tickets to estimate anything.
    """
    if full_runs.ndim != 2 or min(full_runs.shape) < 2:
        raise ValueError(f"a margin needs at least two runs of the full set and two examples, got {full_runs.shape}")
    if tickets < 1 or seeds < max(2, tickets):
        raise ValueError(
            f"a margin needs at least two comparison.seeds, and one for each ticket, got {seeds} for {tickets} tickets"
        )
    error, df = _planned_error(full_runs.astype(np.float64), seeds, tickets)
    return error * _margin_in_errors(df, power)


def rounded_margin(resolvable: float) -> float:
    """The margin to state: one point to three, rounded up to a multiple of half a point.

    Example:
        >>> [rounded_margin(found) for found in (0.0043, 0.0126, 0.015, 2.1)]
        [0.01, 0.015, 0.015, 0.03]
    """
    return round(min(MOST, max(LEAST, STEP * float(np.ceil(round(resolvable / STEP, 6))))), 6)


def _planned_error(full_runs: NDArray[np.float64], seeds: int, tickets: int) -> tuple[float, float]:
    """The standard error of the planned difference, and its degrees of freedom."""
    from scipy.stats import chi2

    (runs, n), (by_seed, _, within) = full_runs.shape, mean_squares(full_runs)
    by_seed = max(by_seed / (chi2.ppf(CAUTION, runs - 1) / (runs - 1)), within)  # its expectation is no smaller
    of_run = by_seed / n  # variance of the metric of a run, on these examples
    between = (by_seed - within) / n
    seeds_part = 2 * of_run / seeds + (between / tickets if tickets > 1 else 0.0)
    examples_part = 2 * within / n
    nu = (tickets if tickets > 1 else seeds) - 1
    return float(np.sqrt(seeds_part + examples_part)), blended_df(nu, seeds_part, examples_part, max(n - 1, nu))


@lru_cache(maxsize=256)
def _margin_in_errors(df: float, power: float) -> float:
    """The margin that both tests resolve, in standard errors."""
    from scipy.optimize import brentq

    def lacking(margin: float) -> float:
        return equivalence_power(error=1.0, df=df, margin=margin, alpha=ALPHA) - power

    high = 4.0
    while lacking(high) < 0:
        high *= 2
    return max(detectable_difference(error=1.0, df=df, alpha=ALPHA, power=power), float(brentq(lacking, 0.0, high)))
