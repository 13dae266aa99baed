"""Does it pay? What scoring cost, what each later run saves, and after how many runs that is even."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PayBack:
    """The cost of a subset against the full set, all in one unit: seconds of training, or operations.

    `break_even` is the number of later runs on the subset after which scoring is paid back; None if a run on the subset
    is not cheaper than one on the full set, so it never is.
    """

    scoring: float
    full_run: float
    subset_run: float
    break_even: int | None

    @property
    def selection_to_tuning(self) -> float | None:
        """STR = scoring / full run (arXiv 2505.12212); S where each scoring run is as dear as a full one.

        None if a full run costs nothing.
        """
        return self.scoring / self.full_run if self.full_run > 0 else None

    @property
    def saved(self) -> float:
        """What each later run saves; negative if it costs more."""
        return self.full_run - self.subset_run

    @property
    def saved_share(self) -> float | None:
        """The same as a share of a full run."""
        return self.saved / self.full_run if self.full_run > 0 else None


def pay_back(*, scoring: float, full_run: float, subset_run: float) -> PayBack:
    """Break-even = ceil(scoring / (full run - subset run)).

    With S scoring runs as dear as a full one and a subset that costs the share p of it, this is S / (1 - p).

    Raises:
        ValueError: if a cost is negative.

    Example:
        >>> paid = pay_back(scoring=60, full_run=10, subset_run=3.3)
        >>> paid.break_even, paid.selection_to_tuning, round(paid.saved_share, 2)
        (9, 6.0, 0.67)
    """
    costs = (scoring, full_run, subset_run)
    if min(costs) < 0:
        raise ValueError(f"costs must not be negative, got {costs}")
    saved = full_run - subset_run
    even = math.ceil(round(scoring / saved, 9)) if saved > 0 else None  # 6 / (1 - 0.4) is 10.000000000000002
    return PayBack(*costs, even)


def makespan(durations: Sequence[float], at_once: int, *, first: float = 0.0) -> float:
    """When the last of several jobs ends, if each is taken, in order, by the first of the workers that is free.

    Args:
        durations: of the jobs, from 0.
        at_once: workers.
        first: what a worker takes beside for its first job.

    Raises:
        ValueError: if there is no worker, or a duration is negative.

    Example:
        >>> makespan([3, 3, 2, 2], 2), makespan([3, 3, 2, 2], 1), makespan([3, 3, 2, 2], 9, first=1)
        (5.0, 10.0, 4)
    """
    if at_once < 1 or min([*durations, first]) < 0:
        raise ValueError(f"needs a worker and durations from 0, got {at_once} workers, {list(durations)}, {first}")
    free = [first] * min(at_once, len(durations)) or [0.0]
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)
