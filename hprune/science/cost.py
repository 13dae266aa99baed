"""Does it pay? What scoring cost, what each later run saves, and after how many runs that is even."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class PayBack:
    """The cost of a subset against the full set, in seconds of training.

    `break_even` is the number of later runs on the subset after which scoring is paid back; None if a run on the subset
    is not faster than one on the full set, so it never is.
    """

    scoring_seconds: float
    full_run_seconds: float
    subset_run_seconds: float
    break_even: int | None


def pay_back(*, scoring_seconds: float, full_run_seconds: float, subset_run_seconds: float) -> PayBack:
    """Break-even = ceil(scoring / (full run - subset run)).

    With S scoring runs as dear as a full one and a subset that costs the share p of it, this is S / (1 - p).

    Raises:
        ValueError: if a duration is negative.

    Example:
        >>> pay_back(scoring_seconds=60, full_run_seconds=10, subset_run_seconds=3.3).break_even
        9
    """
    durations = (scoring_seconds, full_run_seconds, subset_run_seconds)
    if min(durations) < 0:
        raise ValueError(f"durations must not be negative, got {durations}")
    saved = full_run_seconds - subset_run_seconds
    even = math.ceil(scoring_seconds / saved) if saved > 0 else None
    return PayBack(*durations, even)
