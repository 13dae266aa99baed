"""Does a small set rank configurations as the full set does? Kendall's tau-b and regret, with intervals.

The data are, for each set, `right[c, k, e]`: whether run k of configuration c has evaluation example e right.

Each number is the mean, over runs and examples that might have been drawn, of what a way of working reaches:

- `tau`: both sets rank the configurations by the mean of K runs each.
- `tau_one_run`: the small set ranks by one run of each configuration, the full set by its K - 1 runs of other seeds;
  the mean over the K choices of that one run. Here the full set can meet itself, and its own value is the ceiling:
  what the noise of runs leaves to any set.
- `regret`: the accuracy on the full set of the configuration that the full set would choose, minus that of the one
  that the small set would choose. Both choose by one run of each configuration, on half of the examples; both
  choices are judged by the other K - 1 runs of the full set, on the other half. So neither is flattered by the luck
  that it was chosen for. It may be negative, as the full set chooses by one run, too; the full set's own regret is 0.

The intervals redraw the following, and compute every number anew:

- Examples, together for all runs, which are all judged by the same. Their weights are drawn from Poisson's
  distribution with mean 1, so that no example ever comes into both halves.
- Runs, within each configuration and set. The mean of K runs that are redrawn from K varies by (K - 1) / K of what it
  should, too little where K is 3, so deviations from the mean are stretched by sqrt(K / (K - 1)). Runs are redrawn
  apart for each configuration, as one seed gives two configurations different runs. All configurations of a seed do
  share one random sample, but what it does to all of them alike changes no ranking.
- For the second interval also configurations, together for all sets: how much hangs on this choice of them? One
  that is drawn twice ties with itself in both rankings, and tau-b leaves such pairs out. The first interval says what
  holds for these configurations, and is the one to quote: they are a designed grid and no random sample of anything.

Redrawing both examples and runs counts the chance of a single answer more than once, so intervals err on the wide side
(Owen, The pigeonhole bootstrap, 2007). A redrawn tau carries noise twice, from the data and from the redrawing, and is
too low on average, as a redrawn regret is too high; so an interval is the estimate plus the quantiles of what is
redrawn about its own mean. A regret of 0 in all replicates has an interval without width, which says too much.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Right = NDArray[np.bool_]  # (C, K, n): configurations, runs, evaluation examples
Interval = tuple[float, float]

BY_CHANCE = "any configuration, by chance"
"""No set: what choosing without looking would cost, as the scale of a regret."""
AT_A_TIME = 100
"""Replicates in memory at once."""
TIED = 1e-9
"""Accuracies that differ by less are the same but for rounding."""
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% intervals: for these configurations, and where the configurations were others, too."""

    value: float
    these: Interval
    others: Interval


@dataclass(frozen=True)
class Comparison:
    """How one set ranks, beside the full set; see the head of this file."""

    tau: Estimate
    tau_one_run: Estimate
    below_ceiling: Estimate
    """The full set's own `tau_one_run` minus this set's."""
    regret: Estimate


def tau_b(x: Array, y: Array) -> Array:
    """Kendall's tau-b: sum of sign(dx) sign(dy) over all pairs / sqrt(pairs untied in x * pairs untied in y).

    Args:
        x: (C, ...) numbers of C configurations; each place of the further axes is a ranking of its own.
        y: (C, ...) likewise.

    Returns:
        (...), -1..1; 0 where x or y ties all configurations, and so tells nothing (scipy has nan).

    Example:
        >>> tau_b(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 4.0, 3.0])).round(3).item()
        0.667
    """
    first, second = np.triu_indices(len(x), 1)
    gaps = [values[first] - values[second] for values in (x, y)]
    a, b = (np.sign(np.where(np.abs(gap) < TIED, 0.0, gap)) for gap in gaps)
    untied = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    return np.divide((a * b).sum(axis=0), untied, out=np.zeros_like(untied), where=untied > 0)


def judged_choice(by: Array, judged: Array) -> Array:
    """What judges the configuration that is best by another number; the mean over those that share the best.

    Args:
        by: (C, ...) what is chosen by, higher is better.
        judged: (C, ...) what a choice is judged by.
    """
    best = by >= by.max(axis=0) - TIED
    return (best * judged).sum(axis=0) / best.sum(axis=0)


def regret(by: Array, reference: Array, judged: Array) -> Array:
    """What the choice by `by` lacks to the choice by `reference`; never negative where `reference` is `judged` itself.

    Args:
        by: (C, ...) accuracy in the runs of a small set.
        reference: (C, ...) accuracy in the runs of the full set that it chooses by.
        judged: (C, ...) accuracy in the runs of the full set that judge both choices.
    """
    return judged_choice(reference, judged) - judged_choice(by, judged)


def compare(
    right: Mapping[str, Right], full: str, *, resamples: int = 2000, halvings: int = 10, seed: int = 0
) -> dict[str, Comparison]:
    """Compare the rankings on every set with the one on the full set.

    Args:
        right: for each set (C, K, n): the same configurations and examples in the same order, equally many runs.
        full: the name of the full set.
        resamples: how often everything is redrawn.
        halvings: in how many ways the examples are halved for the regret.
        seed: of the halvings and of the redrawing.

    Returns:
        By set, and for `BY_CHANCE`, whose taus are 0.

    Raises:
        ValueError: if shapes differ, or there are not at least two configurations, runs and examples.
    """
    shapes = {name: one.shape for name, one in right.items()}
    shape = shapes[full]
    if set(shapes.values()) != {shape} or min(shape) < 2:
        raise ValueError(
            "every set needs the same configurations, runs and examples, (C, K, n) with at least two of each, "
            f"got {shapes}: train at least two configurations with at least two seeds on all sets"
        )
    rng = np.random.default_rng([seed, 0x7A0B])
    parts = _parts(shape[2], halvings, rng)
    found = _numbers(_accuracies(right, parts, np.ones((shape[2], 1))), full)
    these, others = list[dict[str, Array]](), list[dict[str, Array]]()
    for redrawn in _redrawn(right, parts, resamples, rng):
        these.append(_numbers(redrawn, full))
        width = redrawn[full].shape[-1]
        drawn = rng.integers(shape[0], size=(shape[0], 1, 1, width))
        others.append(_numbers({name: np.take_along_axis(one, drawn, 0) for name, one in redrawn.items()}, full))
    return {
        name: _comparison(value[:, 0], *(np.hstack([piece[name] for piece in pieces]) for pieces in (these, others)))
        for name, value in found.items()
    }


def _parts(number: int, halvings: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(n, 1 + 2 H) which examples count: all, the first halves, the second halves in the same order."""
    halves = rng.permuted(np.tile(np.arange(number) % 2 == 0, (halvings, 1)), axis=1).T
    return np.hstack([np.ones((number, 1), dtype=bool), halves, ~halves]).astype(np.float32)


def _accuracies(right: Mapping[str, Right], parts: NDArray[np.float32], weights: Array) -> dict[str, Array]:
    """(C, K, M, B) accuracy of each run on each of M parts of the examples, by each of B columns of weights (n, B)."""
    columns = (parts[:, :, None] * weights[:, None, :].astype(np.float32)).reshape(len(parts), -1)
    totals = np.maximum(columns.sum(axis=0, dtype=np.float64), 1)  # a half of very few examples may have none
    made = {}
    for name, one in right.items():
        counts = one.reshape(-1, one.shape[2]).astype(np.float32) @ columns  # whole numbers below 2^24: exact
        made[name] = (counts / totals).reshape(*one.shape[:2], parts.shape[1], -1)
    return made


def _redrawn(
    right: Mapping[str, Right], parts: NDArray[np.float32], resamples: int, rng: np.random.Generator
) -> Iterator[dict[str, Array]]:
    """The accuracies with examples and runs redrawn, so many replicates at a time as the last axis."""
    for start in range(0, resamples, AT_A_TIME):
        width = min(AT_A_TIME, resamples - start)
        made = _accuracies(right, parts, rng.poisson(1.0, size=(len(parts), width)).astype(np.float64))
        yield {name: _runs_redrawn(one, rng) for name, one in made.items()}


def _runs_redrawn(accuracies: Array, rng: np.random.Generator) -> Array:
    """(C, K, M, B) with K runs redrawn within each configuration, deviations stretched to the variance of K runs."""
    configurations, runs, _, width = accuracies.shape
    drawn = rng.integers(runs, size=(configurations, runs, 1, width))
    mean = accuracies.mean(axis=1, keepdims=True)
    return mean + np.sqrt(runs / (runs - 1)) * (np.take_along_axis(accuracies, drawn, 1) - mean)


def _numbers(accuracies: Mapping[str, Array], full: str) -> dict[str, Array]:
    """(4, B) tau, tau by one run, below the ceiling, regret of each set, and of a choice by chance."""
    reference = accuracies[full]
    runs, halvings = reference.shape[1], (reference.shape[2] - 1) // 2
    rest = [np.delete(reference, k, axis=1).mean(axis=1) for k in range(runs)]  # (C, M, B) the judges of choice k
    crossed = [np.roll(one[:, 1:], halvings, axis=1) for one in rest]  # first halves are judged by second ones
    made = {}
    for name, one in {**accuracies, BY_CHANCE: np.zeros_like(reference)}.items():
        tau = tau_b(one[:, :, 0].mean(axis=1), reference[:, :, 0].mean(axis=1))
        by_one = np.mean([tau_b(one[:, k, 0], rest[k][:, 0]) for k in range(runs)], axis=0)
        lost = [regret(one[:, k, 1:], reference[:, k, 1:], crossed[k]).mean(axis=0) for k in range(runs)]
        made[name] = np.stack([tau, by_one, np.zeros_like(tau), np.mean(lost, axis=0)])
    ceiling = made[full][1].copy()
    for numbers in made.values():
        numbers[2] = ceiling - numbers[1]
    return made


def _comparison(found: Array, these: Array, others: Array) -> Comparison:
    """The numbers of one set (4,), and replicates of them (4, B) each."""
    limits = ((-1.0, 1.0), (-1.0, 1.0), (-2.0, 2.0), (-1.0, 1.0))
    return Comparison(
        *(
            Estimate(float(value), *(_interval(value, redrawn[at], *limits[at]) for redrawn in (these, others)))
            for at, value in enumerate(found)
        )
    )


def _interval(value: float, redrawn: Array, low: float, high: float) -> Interval:
    """The estimate plus the quantiles of what is redrawn about its own mean, within the range of the number."""
    ends = value + np.quantile(redrawn - redrawn.mean(), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    first, last = np.clip(ends, low, high)
    return float(first), float(last)
