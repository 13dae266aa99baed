"""Numbers that a user sets, checked where the value is born."""

from __future__ import annotations

import math
from typing import Any


def check_whole(key: str, value: Any, *, low: int) -> None:
    """Refuse what is not a whole number of at least `low`; a truth value is none.

    Raises:
        ValueError: with the key, the rule and the value.
    """
    if type(value) is not int:
        raise ValueError(f"{key} must be a whole number, got {value!r}")
    if value < low:
        raise ValueError(f"{key} must be at least {low}, got {value}")


def check_number(
    key: str, value: Any, *, rule: str, low: float = 0.0, open_low: bool = False, high: float = math.inf
) -> None:
    """Refuse what is not a number in [low, high), or in (low, high) if `open_low`; `rule` says it in words.

    Raises:
        ValueError: with the key, the rule and the value.
    """
    number = type(value) in (int, float)
    if not number or not low <= value < high or (open_low and value == low):
        raise ValueError(f"{key} must be {rule}, got {value!r}")


LARGEST_SEED = 2**32 - 1
"""Of a run: what generators that take 32 bits are seeded with (Lightning's `seed_everything`, for new weights)."""


def check_seed(key: str, seed: Any) -> None:
    """Refuse what cannot seed a run.

    Raises:
        ValueError: naming the key, the rule and what came.
    """
    check_whole(key, seed, low=0)
    if seed > LARGEST_SEED:
        raise ValueError(f"{key} must be below 2^32, which is what generators are seeded with, got {seed}")


def check_seeds(seeds: Any, key: str) -> tuple[int, ...]:
    """Refuse what is not a list of seeds, and a seed that is listed twice: it would be counted as two runs.

    Raises:
        ValueError: naming what came, and the repeated or too large seeds.
    """
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise ValueError(f"{key} must be a list of whole numbers from 0, such as [1,2,3], got {seeds!r}")
    repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if repeated:
        raise ValueError(f"{key} must list each seed once, got {seeds}, with {repeated} more than once")
    check_seed(key, max(seeds))
    return tuple(seeds)
