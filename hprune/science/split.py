"""How to spend a budget on a verdict on the method: how many tickets, and how many seeds for each?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hprune.science.crossed import blended_df
from hprune.science.tickets import Components

USUAL = Components(ticket=0.006, seed=0.009, example=None)
"""Spreads to assume before a study has found its own, in the metric's own unit: 0.006 is 0.6 points of accuracy."""
POINTS = 200
"""Observed variances that an expected interval is the mean over."""
MOST_TICKETS = 50


@dataclass(frozen=True)
class Split:
    """One way to spend a budget."""

    tickets: int
    seeds_per_ticket: int
    cost: float
    """In the unit of the budget."""
    half_width: float
    """Expected half of the method's 95% interval, in the unit of the metric."""
    scoring_runs: int
    """Scoring runs of all tickets together."""
    budget: float
    """What was to be spent, in its unit; less than `cost` where it is not enough."""
    components: Components
    """The spreads that the interval is expected by."""


def best_split(
    *,
    budget: float,
    share: float,
    scoring_runs: int,
    arms: int,
    components: Components,
    full_run: float = 1.0,
    scoring_run: float | None = None,
    examples: int = 1000,
    level: float = 0.95,
) -> list[Split]:
    """All ways to spend a budget on T tickets with K seeds each, the narrowest expected interval first.

    T tickets cost T scoring_runs scoring runs, T K runs of the full set and T K runs of each arm:
    cost = T (scoring_runs scoring_run + K full_run (1 + arms share)).

    Of each T only the largest K that the budget allows is listed: more seeds never widen the interval.

    Args:
        budget: what may be spent, in full runs.
        share: cost of a run of an arm over that of a full run: the share of samples kept, at equal epochs.
        scoring_runs: S for each ticket.
        arms: how many arms are trained beside the full set.
        components: standard deviations between tickets and between seeds, and the standard error of examples, as a
            study before this one found them; what is None counts as 0.
        full_run: cost of a run of the full set.
        scoring_run: cost of a scoring run; None: that of a full run.
        examples: n of the evaluation set.
        level: of the interval.

    Returns:
        The splits, of at most `MOST_TICKETS` tickets; empty if the budget is not enough for two tickets of one seed.

    Raises:
        ValueError: if a cost is not positive, or a number not a count.
    """
    if min(budget, full_run, share) <= 0 or scoring_runs < 1 or arms < 1:
        raise ValueError(
            "budget, full_run and share must be above 0, scoring_runs and arms at least 1, "
            f"got {budget}, {full_run}, {share}, {scoring_runs}, {arms}"
        )
    scoring = scoring_runs * (full_run if scoring_run is None else scoring_run)
    of_seed = full_run * (1 + arms * share)
    splits = []
    for tickets in range(2, MOST_TICKETS + 1):
        each = int((budget / tickets - scoring) / of_seed + 1e-9)
        if each < 1:
            break
        half = expected_half_width(tickets, each, components, examples=examples, level=level)
        cost = tickets * (scoring + each * of_seed)
        splits.append(Split(tickets, each, cost, half, tickets * scoring_runs, budget, components))
    return sorted(splits, key=lambda split: split.half_width)


def expected_half_width(
    tickets: int, seeds_per_ticket: int, components: Components, *, examples: int = 1000, level: float = 0.95
) -> float:
    """The mean half-width of the method's interval: a t quantile times the standard error, as a study will find them.

    The variance of the mean is A + B, A = ticket^2 / T + seed^2 / (T K) observed with T - 1 degrees of freedom, B =
    example^2: see `hprune.science.crossed`.
    """
    nu = tickets - 1
    of_seeds = (components.seed or 0.0) ** 2 / (tickets * seeds_per_ticket)
    between = _observed((components.ticket or 0.0) ** 2 / tickets + of_seeds, nu)
    return float(_half_widths(between, (components.example or 0.0) ** 2, nu, examples, level).mean())


def _observed(variance: float, df: int) -> NDArray[np.float64]:
    """Quantiles of an observed variance, (POINTS,), each as likely as the others."""
    from scipy.stats import chi2

    return variance * chi2.ppf((np.arange(POINTS) + 0.5) / POINTS, df) / df


def _half_widths(
    part: NDArray[np.float64], example: float, nu: int, examples: int, level: float
) -> NDArray[np.float64]:
    """Of the interval by each observed variance of tickets, (POINTS,)."""
    from scipy.stats import t

    df = [blended_df(nu, own, example, max(examples - 1, nu)) for own in part]
    return np.asarray(t.ppf((1 + level) / 2, df) * np.sqrt(part + example))
