"""How easy are the samples? A beta-binomial distribution of H, with or without samples that are never or always right.

A sample is right throughout in a run with its own chance p; p is spread over the samples as a beta distribution, beside
which shares of them may lie at p = 0 and p = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_RUNS = 3
"""Fewer runs do not tell a spread from point masses."""
BOUND = 6.0
"""log a and log b lie in -6..6."""


@dataclass(frozen=True, eq=False)
class Fit:
    """The likeliest distribution of one form.

    With a point mass at 0 (or 1) the number of samples with H = 0 (or S) is fitted as it is, and the beta distribution
    by those in between; so two parameters are searched for, whatever the form.
    """

    at_zero: bool
    at_one: bool
    """Whether there is a point mass there."""
    log_a: float
    log_b: float
    weight: float
    """The share of the samples under the beta distribution, 0..1."""
    aic: float
    """2 (parameters - log likelihood); the lowest fits best."""
    scatter: NDArray[np.float64]  # (2, 2) covariance of log a and log b, by the curvature of the likelihood

    def gain(
        self, counts: NDArray[np.integer], more: int, at: tuple[float, float] | None = None
    ) -> tuple[float, float]:
        """How many samples with H = 0, and with H = S, are expected to be in the winning ticket after `more` runs.

        n_0 (1 - P(0 of S + r) / P(0 of S)), where a point mass at 0 adds to both chances, and likewise for S.

        Args:
            counts: (S + 1,) that it was fitted to.
            more: r, how many further runs.
            at: other values of log a and log b, with the weight that fits these best.
        """
        log_a, log_b = (self.log_a, self.log_b) if at is None else at
        runs, samples, cells = len(counts) - 1, counts.sum(), _cells(log_a, log_b, len(counts) - 1)
        later = _cells(log_a, log_b, runs + more)
        free = self._free(runs)
        weight = counts[free].sum() / samples / cells[free].sum()
        found = []
        for point, end in ((self.at_zero, 0), (self.at_one, -1)):
            lost = cells[end] - later[end]
            found.append(samples * weight * lost if point else counts[end] * lost / cells[end])
        return float(min(found[0], counts[0])), float(min(found[1], counts[-1]))

    def _free(self, runs: int) -> slice:
        return slice(int(self.at_zero), runs + 1 - self.at_one)


def fit_beta_binomial(counts: NDArray[np.integer]) -> list[Fit]:
    """The likeliest beta-binomial distribution of H in each form: plain, with a point mass at 0, at 1, at both.

    A form whose point mass would have to be below nothing is left out; the plain one is always there.

    Args:
        counts: (S + 1,) samples with H = 0..S, S >= 3.

    Returns:
        The forms, the best by AIC first.

    Raises:
        ValueError: if there are fewer than three runs, or no samples.
    """
    runs, samples = len(counts) - 1, int(np.sum(counts))
    if runs < LEAST_RUNS or not samples:
        raise ValueError(f"a beta-binomial fit takes at least {LEAST_RUNS} runs and a sample, got {runs} and {samples}")
    forms = [
        (zero, one) for zero in (False, True) for one in (False, True) if not (zero and one and runs == LEAST_RUNS)
    ]
    fits = [fit for zero, one in forms if (fit := _fit(np.asarray(counts), zero, one)) is not None]
    return sorted(fits, key=lambda fit: fit.aic)


def _fit(counts: NDArray[np.integer], at_zero: bool, at_one: bool) -> Fit | None:
    from scipy.optimize import minimize

    runs, samples = len(counts) - 1, counts.sum()
    free = slice(int(at_zero), runs + 1 - at_one)
    inside = counts[free]
    if not inside.sum():
        return None

    def loss(log_ab: Any) -> float:
        cells = _cells(log_ab[0], log_ab[1], runs)[free]
        return -float(inside @ (np.log(cells) - np.log(cells.sum())))

    # by comparing values alone: gradients of two numbers are not worth the threads that L-BFGS would start
    best = minimize(
        loss, (0, 0), method="Nelder-Mead", bounds=[(-BOUND, BOUND)] * 2, options={"xatol": 1e-5, "fatol": 1e-7}
    )
    log_a, log_b = map(float, best.x)
    cells = _cells(log_a, log_b, runs)
    weight = float(inside.sum() / samples / cells[free].sum())
    ends = [(counts[end] / samples, weight * cells[end]) for point, end in ((at_zero, 0), (at_one, -1)) if point]
    if any(there < under_beta for there, under_beta in ends):
        return None
    shares = np.array([*(there for there, _ in ends), inside.sum() / samples])
    fixed = float(samples * np.sum(shares * np.log(np.where(shares > 0, shares, 1)))) if ends else 0.0
    aic = 2 * (2 + len(ends) + best.fun - fixed)
    return Fit(at_zero, at_one, log_a, log_b, weight, aic, _scatter(loss, best.x))


def _cells(log_a: float, log_b: float, runs: int) -> NDArray[np.float64]:
    """(S + 1,): the chances of H = 0..S under the beta distribution."""
    from scipy.special import betaln, gammaln  # half a second: not paid by `--help`

    a, b, h = np.exp(log_a), np.exp(log_b), np.arange(runs + 1)
    ways = gammaln(runs + 1) - gammaln(h + 1) - gammaln(runs - h + 1)
    return np.asarray(np.exp(np.maximum(ways + betaln(h + a, runs - h + b) - betaln(a, b), -700)))


def _scatter(loss: Any, at: NDArray[np.float64], step: float = 1e-3) -> NDArray[np.float64]:
    """The inverse of the curvature of a loss of two numbers, by differences; flat directions count as one wide."""
    e, curvature = step * np.eye(2), np.empty((2, 2))
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        both, across = loss(at + e[i] + e[j]) + loss(at - e[i] - e[j]), loss(at + e[i] - e[j]) + loss(at - e[i] + e[j])
        curvature[i, j] = (both - across) / (4 * step**2)
    values, vectors = np.linalg.eigh(curvature)
    return np.asarray((vectors / np.maximum(values, 1.0)) @ vectors.T)
