"""What the records of one score must agree in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # records use what is here
    from hprune.science.records import Measured, RunKey


@dataclass(frozen=True)
class RecordFacts:
    """What a record is of: the records of one score may differ in the seed of `key` only."""

    key: RunKey
    data_hash: str
    samples: int
    epochs: int
    measured: Measured
    settings_hash: str


def check_together(records: Sequence[RecordFacts]) -> None:
    """Refuse records that cannot be scored together.

    Raises:
        ValueError: no records; a repeated seed; or runs that differ in more than their seed, the message says in what.
    """
    if not records:
        raise ValueError("a score needs at least one record, got none")
    seeds = [record.key.seed for record in records]
    repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if repeated:
        raise ValueError(f"each run must have its own seed, got {repeated} more than once in {seeds}")
    first = records[0]
    for other in records[1:]:
        facts = {
            "data": (first.data_hash, other.data_hash),
            "number of samples": (first.samples, other.samples),
            "epochs": (first.epochs, other.epochs),
            "measured": (first.measured, other.measured),
            "task": (first.key.task, other.key.task),
            "model": (first.key.model, other.key.model),
            "settings": (first.settings_hash, other.settings_hash),
        }
        differing = [f"{name} ({a} and {b})" for name, (a, b) in facts.items() if a != b]
        if differing:
            raise _differ(first.key, other.key, ", ".join(differing))


def check_same_ids(first: RunKey, ids: NDArray[np.int64], other: RunKey, other_ids: NDArray[np.int64]) -> None:
    """Refuse two runs that know different samples.

    Raises:
        ValueError: if their ids are not the same.
    """
    if not np.array_equal(ids, other_ids):
        raise _differ(first, other, "sample ids")


def _differ(first: RunKey, other: RunKey, what: str) -> ValueError:
    return ValueError(f"runs of one score must differ in their seed only; {first} and {other} differ in {what}")
