"""Keep-sets: which values of a score stay, written as `1..S-1`, `2..S` or `[2, 3, 4]`."""

from __future__ import annotations

import re
from collections.abc import Sequence

KeepSpec = str | int | Sequence[int]

MOST_SHOWN = 10
_TERM = re.compile(r"^(?:(?P<number>\d+)|S(?:-(?P<minus>\d+))?)$")


def keep_values(keep: KeepSpec, *, runs: int) -> tuple[int, ...]:
    """Resolve a keep-set for a score that runs from 0 to S.

    Args:
        keep: a range `low..high` (both ends included), one value, a comma-separated list of these, or a list of
            integers. `S` stands for the number of runs, `S-1` for one less.
        runs: S, the number of runs behind the score.

    Returns:
        The kept values, increasing, each in 0..S.

    Raises:
        ValueError: if the text cannot be read, a value lies outside 0..S, or nothing is kept.

    Example:
        >>> keep_values("1..S-1", runs=6), keep_values([2, 3, 4], runs=6), keep_values("0..1,S", runs=4)
        ((1, 2, 3, 4, 5), (2, 3, 4), (0, 1, 4))
    """
    if isinstance(keep, bool) or not isinstance(keep, (str, int, Sequence)):
        raise ValueError(f"keep must be a range such as 1..S-1 or a list such as [2, 3, 4], got {keep!r}")
    parts = [str(keep)] if isinstance(keep, (str, int)) else [str(value) for value in keep]
    kept: set[int] = set()
    for part in ",".join(parts).split(","):
        kept.update(_one_range(part, runs))
    if not kept:
        raise ValueError(_why_empty(keep, runs))
    outside = sorted(value for value in kept if not 0 <= value <= runs)
    if outside:
        raise ValueError(
            f"keep={_shown(keep)} asks for {outside}, but with S = {runs} runs the score lies in 0..{runs}"
        )
    return tuple(sorted(kept))


def _one_range(part: str, runs: int) -> range:
    """`low..high` or one value, as integers; empty if low > high."""
    ends = re.sub(r"[\s\[\]()]", "", part).split("..")
    if len(ends) > 2:
        raise ValueError(f"a keep range has two ends, as in 1..S-1, got {part!r}")
    low, high = _term(ends[0], part, runs), _term(ends[-1], part, runs)
    return range(max(low, -MOST_SHOWN), min(high, runs + MOST_SHOWN) + 1)  # of what lies outside, a few to show


def _term(text: str, part: str, runs: int) -> int:
    match = _TERM.match(text)
    if match is None:
        raise ValueError(f"cannot read {text!r} in keep={part!r}: write numbers, S or S-1, as in 1..S-1 or [2, 3, 4]")
    if match["number"] is not None:
        return int(match["number"])
    return runs - int(match["minus"] or 0)


def _why_empty(keep: KeepSpec, runs: int) -> str:
    if runs == 1:
        return (
            f"keep={_shown(keep)} is empty: with S = 1 run the score is 0 or 1, so nothing lies strictly between "
            "0 and S and the winning ticket is empty by definition; score at least 2 runs (the paper uses 6)"
        )
    return f"keep={_shown(keep)} keeps nothing with S = {runs} runs; give a range with low <= high, as in 1..S-1"


def _shown(keep: KeepSpec) -> str:
    return keep if isinstance(keep, str) else str(list(keep) if isinstance(keep, Sequence) else keep)
