"""Several tickets: a verdict on the method that chooses, not on one subset that it chose.

Comparison seeds are nested in tickets: ticket t of T, chosen by its own scoring runs, is trained with its own K seeds,
and the full set with all T K of them. Averaged over the seeds of a ticket, the paired differences are a table (T, n) of
tickets by examples, which `hprune.science.crossed` analyses as it does seeds by examples: the spread between tickets
holds the choice of the ticket and, as each has its own seeds, the seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hprune.science.crossed import NO_SPREAD, Estimate, crossed, over_seeds


@dataclass(frozen=True)
class Components:
    """Where the variance of a method's difference comes from, in the unit of the metric."""

    ticket: float | None
    """Standard deviation between tickets, beyond what their seeds explain; None where each has one seed."""
    seed: float | None
    """Standard deviation between seeds of one ticket, on these examples; None where each has one."""
    example: float | None
    """Standard error that the examples add, which more tickets and seeds do not make smaller; None if not known."""


def seeds_of_tickets(seeds: Sequence[int], tickets: int, *, scoring: Sequence[int] = ()) -> tuple[tuple[int, ...], ...]:
    """Deal the comparison seeds out to tickets, in equal parts of neighbours: ticket t has seeds[t K : (t + 1) K].

    Args:
        seeds: the comparison seeds, in their order.
        tickets: T.
        scoring: the scoring seeds, which a message does not suggest to compare by.

    Raises:
        ValueError: if there are no tickets, or the seeds do not divide evenly.

    Example:
        >>> seeds_of_tickets([11, 12, 13, 14, 15, 16], 3)
        ((11, 12), (13, 14), (15, 16))
    """
    if tickets < 1:
        raise ValueError(f"comparison.tickets must hold at least one group of scoring seeds, got {tickets}")
    each, over = divmod(len(seeds), tickets)
    if over or not each:
        enough = f"{tickets * each} or {tickets * (each + 1)}" if each else f"{tickets}"
        example = extended(seeds, tickets * max(each + 1, 2), avoiding=scoring)
        raise ValueError(
            f"comparison.seeds must divide evenly among the {tickets} tickets of comparison.tickets, as each seed "
            f"trains one of them, got {len(seeds)}; give {enough} seeds, or as many groups of scoring seeds as divide "
            f"{len(seeds)}; for example comparison.seeds={listed(example)}"
            + ("" if each else ", as with two seeds or more each ticket has a verdict, too")
        )
    return tuple(tuple(seeds[t * each : (t + 1) * each]) for t in range(tickets))


def extended(seeds: Sequence[int], number: int, *, avoiding: Sequence[int] = ()) -> list[int]:
    """The first so many of the seeds, with further ones, above all of these and those to avoid, if they are too few.

    Example:
        >>> extended([3, 1], 4, avoiding=[8]), extended([], 2), extended([3, 1], 1)
        ([3, 1, 9, 10], [101, 102], [3])
    """
    free = max([*seeds, *avoiding, 0 if seeds else 100]) + 1
    return [*seeds, *range(free, free + max(number - len(seeds), 0))][:number]


def listed(seeds: Sequence[int]) -> str:
    """`[1,2,3]`, as an override has it."""
    return f"[{','.join(map(str, seeds))}]"


def ticket_of_seed(seed: int, seeds: Sequence[int], tickets: int) -> int:
    """Which ticket a comparison seed trains: 0..T-1.

    Raises:
        ValueError: if it is no comparison seed, or the seeds do not divide evenly.
    """
    for ticket, own in enumerate(seeds_of_tickets(seeds, tickets)):
        if seed in own:
            return ticket
    raise ValueError(f"seed {seed} must be one of comparison.seeds, {', '.join(map(str, seeds))}")


def over_tickets(gaps: Sequence[NDArray[np.floating]]) -> tuple[Estimate, Components]:
    """The difference of a method, its standard error with tickets, seeds and examples random, and its components.

    Tickets count alike, whatever their number of seeds: then the spread of their means is an unbiased estimate of what
    tickets and seeds add to the variance of the mean, for unequal numbers, too.

    Args:
        gaps: for each of at least two tickets (K_t, n): what each example contributes to the metric's difference, arm
            minus reference, for each seed of the ticket. n = 1 where that is not known: then (K_t, 1) of differences,
            and examples are taken as they are.

    Returns:
        The estimate, whose `seeds` are tickets, and the components.
    """
    means = np.stack([table.mean(axis=0) for table in gaps])  # (T, n)
    by_ticket = means.mean(axis=1)
    varies = means.shape[1] > 1 and np.ptp(means, axis=0).max() >= NO_SPREAD
    estimate = crossed(means) if varies else over_seeds(by_ticket)
    deviations = [table.mean(axis=1) - mean for table, mean in zip(gaps, by_ticket, strict=True)]
    df = sum(deviation.size - 1 for deviation in deviations)
    if not df:
        return estimate, Components(None, None, estimate.example_error)
    seed = sum(float(deviation @ deviation) for deviation in deviations) / df
    of_seeds = seed * float(np.mean([1 / len(table) for table in gaps]))
    ticket = max(float(by_ticket.var(ddof=1)) - of_seeds, 0.0)
    components = Components(float(np.sqrt(ticket)), float(np.sqrt(seed)), estimate.example_error)
    return estimate, components
