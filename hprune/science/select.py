"""Selections: from one score a sample to the positions that are kept.

Every selection has the same form, `(pool, **its own parameters) -> positions`, and is pure: the positions come back
increasing, and the same arguments give the same positions. What is drawn is drawn by the seed of the run that will be
trained on the selection, so anew for each run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hprune.science.keep import KeepSpec, keep_values
from hprune.science.records import Direction

Positions = NDArray[np.int64]
Values = NDArray[Any]
Balance = Literal["share", "equal"]


@dataclass(frozen=True, eq=False)
class Pool:
    """What a selection chooses from: N samples, the size that is asked for, and the seed of the run."""

    values: Values  # (N,) the score
    labels: NDArray[np.int64]  # (N,) the classes
    runs: int  # S behind the score
    higher_is: Direction
    size: int
    keep: KeepSpec | None
    seed: int


Selection = Callable[[Pool], Positions]


def by_value(pool: Pool) -> Positions:
    """Keep the samples whose score is one of the kept values; `keep: 1..S-1` is the winning ticket.

    Raises:
        ValueError: if the scores are not integers in 0..S, or `keep` is missing or cannot be read.
    """
    if pool.keep is None:
        raise ValueError("this subset keeps by value: give subset.keep, such as 1..S-1; by size keep highest or lowest")
    return np.flatnonzero(np.isin(pool.values, kept_values(pool.values, pool.keep, runs=pool.runs)))


def random_like(pool: Pool) -> Positions:
    """Draw a random subset: the baseline of equal size."""
    rng = np.random.default_rng([pool.seed, 0x5E1EC7])
    return np.sort(rng.choice(pool.labels.size, size=pool.size, replace=False))


def random_same_classes(pool: Pool, *, kept: Selection = by_value) -> Positions:
    """Draw as many samples of each class as a keep-set has, from all samples of that class.

    The score says how many samples of a class are drawn, and has no part in which: what a model gains from the keep-set
    beyond this comes from the samples, not from their classes.

    Args:
        pool: what to choose from, with the keep-set.
        kept: the selection whose classes are counted.

    Raises:
        ValueError: if the keep-set is missing, as where `subset.sized_by` turned it into a size, or cannot be read.
    """
    if pool.keep is None:
        raise ValueError(
            "random_same_classes takes the number of each class from a keep-set: give subset.keep, such as 1..S-1, "
            "with subset.sized_by, fraction and size null; subset.scores names the table that it counts in"
        )
    classes, counts = np.unique(pool.labels[kept(pool)], return_counts=True)
    return _drawn(pool, np.arange(pool.labels.size), dict(zip(classes.tolist(), counts.tolist(), strict=True)), 0xC1A55)


def highest(pool: Pool) -> Positions:
    """Keep the highest scores, ties broken at random by seed."""
    return _first(-pool.values.astype(np.float64), pool)


def lowest(pool: Pool) -> Positions:
    """Keep the lowest scores, ties broken at random by seed."""
    return _first(pool.values.astype(np.float64), pool)


def stratified(pool: Pool, *, cut: float = 0.0, strata: int = 50) -> Positions:
    """Coverage-centric selection (CCS, arXiv 2210.15809): drop the hardest, then draw evenly over the score's range.

    What is left after the cut falls into `strata` strata of equal width; the size is shared out evenly, the smallest
    stratum first, so that what it cannot give goes to the larger ones. Infinite scores are a stratum of their own.

    Args:
        pool: what to choose from.
        cut: share of the samples, the hardest, that are dropped first, in [0, 1); never so many that too few are left.
        strata: their number, from 1; empty ones count for nothing.

    Raises:
        ValueError: if `cut` or `strata` is out of range.
    """
    if type(cut) not in (int, float) or not 0 <= cut < 1:
        raise ValueError(f"select.cut must lie in [0, 1), the share of the hardest that is dropped, got {cut!r}")
    if type(strata) is not int or strata < 1:
        raise ValueError(f"select.strata must be a whole number from 1, got {strata!r}")
    rng = np.random.default_rng([pool.seed, 0xCC5])
    values = pool.values.astype(np.float64) * (1 if pool.higher_is == "harder" else -1)  # higher is harder
    left = max(values.size - int(cut * values.size), pool.size)
    kept = _first(values, replace(pool, size=left))
    members = _strata(values[kept], strata)
    quotas = _evenly(np.array([stratum.size for stratum in members]), pool.size)
    drawn = [rng.choice(stratum, size=quota, replace=False) for stratum, quota in zip(members, quotas, strict=True)]
    return np.sort(kept[np.concatenate(drawn)])


def per_class(pool: Pool, select: Selection, balance: Balance) -> Positions:
    """Apply a selection within each class, which gets its share of the size, or as much as every other.

    Args:
        pool: what to choose from.
        select: the selection.
        balance: `share` keeps the proportions of the classes (largest remainders); `equal` gives each class as much,
            and what a small class cannot give to the larger ones.

    Raises:
        ValueError: if `balance` is neither.
    """
    if balance not in ("share", "equal"):
        raise ValueError(f"subset.balance must be share, equal or null, got {balance!r}")
    classes, counts = np.unique(pool.labels, return_counts=True)
    quotas = _shares(counts, pool.size) if balance == "share" else _evenly(counts, pool.size)
    kept, members = [], by_class(pool.labels)
    for label, quota in zip(classes, quotas, strict=True):
        inside = members[int(label)]
        seed = int(np.random.SeedSequence([pool.seed, int(label)]).generate_state(1)[0])  # classes are drawn apart
        part = replace(pool, values=pool.values[inside], labels=pool.labels[inside], size=int(quota), seed=seed)
        kept.append(inside[select(part)])
    return np.sort(np.concatenate(kept))


def thinned(pool: Pool, *, balance: Balance) -> Positions:
    """Keep the largest part of a keep-set in which the classes have the shares of the full set, or equal ones.

    With m_k samples of class k in the keep-set and c_k of N in all, `share` keeps n = floor(N min_k m_k / c_k), shared
    out in proportion to c_k by largest remainders; `equal` keeps min_k m_k of each. Classes that have too many are
    thinned at random by seed.

    Args:
        pool: what to choose from, with the keep-set.
        balance: `share` or `equal`.

    Returns:
        The positions; none if the keep-set lacks a class altogether.

    Raises:
        ValueError: if `keep` is missing or cannot be read, or the scores are not integers in 0..S.

    Example:
        >>> labels = np.repeat([0, 1], [60, 30])
        >>> values = np.repeat([0, 1, 0, 1], [40, 20, 14, 16])  # the keep-set has 20 and 16
        >>> pool = Pool(values, labels, runs=2, higher_is="easier", size=0, keep="1..S-1", seed=1)
        >>> [np.bincount(labels[thinned(pool, balance=balance)]).tolist() for balance in ("share", "equal")]
        [[20, 10], [16, 16]]
    """
    kept = by_value(pool)
    classes, counts = np.unique(pool.labels, return_counts=True)
    there = np.bincount(np.searchsorted(classes, pool.labels[kept]), minlength=classes.size)
    quotas = np.full_like(counts, there.min())
    if balance == "share":
        quotas = _shares(counts, int((there * counts.sum() // counts).min()))
    return _drawn(pool, kept, dict(zip(classes.tolist(), quotas.tolist(), strict=True)), 0x7417)


def balanced(pool: Pool, select: Selection, balance: Balance) -> Positions:
    """Apply a selection so that its classes have the shares of the full set, or equal ones.

    A size is shared out over the classes (`per_class`); a keep-set is thinned (`thinned`), and `random_same_classes`
    takes its counts from the thinned one.

    Raises:
        ValueError: if `balance` is neither share nor equal.
    """
    if getattr(select, "func", select) is by_value:
        return thinned(pool, balance=balance)
    if getattr(select, "func", select) is random_same_classes:
        return random_same_classes(pool, kept=partial(thinned, balance=balance))
    return per_class(pool, select, balance)


def subset_size(
    values: Values, *, runs: int, keep: KeepSpec | None = None, fraction: float | None = None, size: int | None = None
) -> int:
    """The number of samples to keep: as many as `keep` would, a fraction of all, rounded, or `size`.

    Raises:
        ValueError: unless exactly one of the three is given, and the fraction lies in (0, 1], the size in 1..N.
    """
    given = {"keep": keep, "fraction": fraction, "size": size}
    if sum(value is not None for value in given.values()) != 1:
        shown = ", ".join(f"subset.{name}={value!r}" for name, value in given.items())
        raise ValueError(
            "give the size by exactly one of subset.keep, subset.fraction and subset.size, the others null, "
            f"got {shown}"
        )
    if size is not None:
        if type(size) is not int or not 1 <= size <= values.size:
            raise ValueError(f"subset.size must lie in 1..{values.size:,}, the number of samples, got {size!r}")
        return size
    if keep is not None:
        return int(np.isin(values, kept_values(values, keep, runs=runs)).sum())
    if fraction is None or type(fraction) not in (int, float) or not 0 < fraction <= 1:
        raise ValueError(f"fraction must lie in (0, 1], the share that is kept, got {fraction!r}")
    return round(fraction * values.size)


def kept_values(values: Values, keep: KeepSpec, *, runs: int) -> tuple[int, ...]:
    """The values of a whole-numbered score in 0..S that a keep-set keeps.

    Raises:
        ValueError: if the scores are not such numbers, or `keep` cannot be read.
    """
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(
            f"keep counts values and needs an integer score such as h_score, got {values.dtype}; "
            "use highest or lowest, with subset.sized_by=h_score or subset.keep=null subset.fraction=0.3"
        )
    if values.max(initial=0) > runs:
        raise ValueError(
            f"keep-sets count runs, 0..S = {runs}, but this score goes up to {values.max()}; "
            "use highest or lowest, with subset.sized_by=h_score or subset.keep=null subset.fraction=0.3"
        )
    return keep_values(keep, runs=runs)


def _first(values: NDArray[np.float64], pool: Pool) -> Positions:
    """The positions of the smallest values."""
    ties = np.random.default_rng([pool.seed, 0x71E5]).permutation(values.size)
    return np.sort(np.lexsort((ties, values))[: pool.size])


def _drawn(pool: Pool, among: Positions, quotas: Mapping[int, int], salt: int) -> Positions:
    """So many of each class, at random among some positions; classes are drawn apart."""
    members, none = by_class(pool.labels[among]), np.empty(0, dtype=np.int64)
    parts = [
        np.random.default_rng([pool.seed, label, salt]).choice(
            among[members.get(label, none)], size=quota, replace=False
        )
        for label, quota in quotas.items()
    ]
    return np.sort(np.concatenate([np.empty(0, dtype=np.int64), *parts]))


def _strata(values: NDArray[np.float64], number: int) -> list[Positions]:
    """Positions by strata of equal width, those without any left out."""
    finite = np.isfinite(values)
    at = np.where(values > 0, number, -1)  # of what is infinite
    if finite.any():
        low, high = values[finite].min(), values[finite].max()
        width = (high - low) / number or 1.0  # all equal: one stratum
        at[finite] = np.minimum((values[finite] - low) / width, number - 1).astype(np.int64)
    return [np.flatnonzero(at == stratum) for stratum in np.unique(at)]


def _shares(counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """`size` in proportion to the counts, by largest remainders."""
    exact = size * counts / counts.sum()
    quotas = np.floor(exact).astype(np.int64)
    quotas[np.argsort(quotas - exact, kind="stable")[: size - quotas.sum()]] += 1
    return quotas


def _evenly(counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """`size` in equal parts, but no more than the counts: what a small one cannot give goes to the larger ones."""
    quotas, wanted = np.zeros_like(counts), size
    for i, place in enumerate(np.argsort(counts, kind="stable")):
        quotas[place] = min(counts[place], wanted // (counts.size - i))
        wanted -= quotas[place]
    return quotas


def by_class(labels: NDArray[np.int64]) -> dict[int, Positions]:
    """The positions of each class that occurs, ascending."""
    order = np.argsort(labels, kind="stable")
    classes, first = np.unique(labels[order], return_index=True)
    return dict(zip(classes.tolist(), np.split(order, first[1:]), strict=True)) if labels.size else {}


def kept_by_value_and_class(
    values: Values | None, labels: NDArray[np.int64], positions: Positions
) -> dict[str, dict[int, tuple[int, int]]]:
    """Count what a selection keeps and removes: `{"score": {value: (kept, removed)}, "label": {...}}`.

    Without a score, or with a real-valued one, only the labels are counted.
    """
    kept = np.zeros(labels.size, dtype=bool)
    kept[positions] = True
    groups = {"label": labels}
    if values is not None and np.issubdtype(values.dtype, np.integer):
        groups = {"score": values, "label": labels}
    counts = {}
    for name, group in groups.items():
        found, at = np.unique(group, return_inverse=True)
        pairs = (np.bincount(at[of], minlength=found.size).tolist() for of in (kept, ~kept))
        counts[name] = dict(zip(found.tolist(), zip(*pairs, strict=True), strict=True))
    return counts
