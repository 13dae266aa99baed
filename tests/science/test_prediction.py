"""The fit finds what was planted, stays within what is certain, and its intervals hold what they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import betabinom

from hprune.science.beta_binomial import fit_beta_binomial
from hprune.science.convergence import certain_part
from hprune.science.prediction import predict_sizes
from hprune.science.stopping import gains


@pytest.mark.parametrize(("a", "b", "runs"), [(1.5, 0.3, 6), (0.4, 0.6, 8), (2.0, 2.0, 4)])
@pytest.mark.parametrize("masses", [(0.0, 0.0), (0.0, 0.3), (0.2, 0.0), (0.1, 0.4)])
def test_the_fit_finds_what_was_planted(a: float, b: float, runs: int, masses: tuple[float, float]) -> None:
    """Of exact expectations of a million samples; so the prediction for more runs is that of the planted truth, too."""
    zero, one = masses
    beta, later = (betabinom(total, a, b).pmf(range(total + 1)) for total in (runs, 2 * runs))
    cells = (1 - zero - one) * beta
    cells[0] += zero
    cells[-1] += one
    counts = np.round(1e6 * cells).astype(np.int64)
    best = fit_beta_binomial(counts)[0]
    assert (best.at_zero, best.at_one) == (zero > 0, one > 0)
    assert (np.exp(best.log_a), np.exp(best.log_b)) == pytest.approx((a, b), rel=0.05)
    gain = (1 - zero - one) * 1e6 * (beta[0] - later[0] + beta[-1] - later[-1])
    assert sum(best.gain(counts, runs)) == pytest.approx(gain, rel=0.02)


def test_aic_is_that_of_the_multinomial_likelihood() -> None:
    counts = np.array([232, 163, 213, 246, 172, 215, 759])
    for fit in fit_beta_binomial(counts):
        cells = fit.weight * betabinom(6, np.exp(fit.log_a), np.exp(fit.log_b)).pmf(range(7))
        if fit.at_zero:
            cells[0] = counts[0] / counts.sum()
        if fit.at_one:
            cells[-1] = counts[-1] / counts.sum()
        assert cells.sum() == pytest.approx(1)
        parameters = 2 + fit.at_zero + fit.at_one
        assert fit.aic == pytest.approx(2 * (parameters - counts @ np.log(cells)))


@pytest.mark.parametrize(
    "counts",
    [[0, 0, 0, 9], [9, 0, 0, 0], [0, 5, 0, 0], [1, 0, 0, 0, 1], [0, 3, 3, 0], [10**8, 1, 0, 2, 10**9], [5] * 20],
)
def test_a_prediction_is_within_what_is_certain(counts: list[int]) -> None:
    certain, still_open = certain_part(np.array(counts))
    runs = len(counts) - 1
    found = predict_sizes(np.array(counts), [runs, runs + 1, 2 * runs, 100 * runs])
    assert (found[0].low, found[0].size, found[0].high) == (certain,) * 3
    for one in found:
        assert certain <= one.low <= one.size <= one.high <= certain + still_open + 1e-6
    sizes = [one.size for one in found]
    assert sizes == sorted(sizes)


def test_what_cannot_be_predicted_is_refused() -> None:
    with pytest.raises(ValueError, match="takes at least 3 runs and a sample, got 2 and 6"):
        predict_sizes(np.array([1, 2, 3]), [4])
    with pytest.raises(ValueError, match="takes at least 3 runs and a sample, got 3 and 0"):
        predict_sizes(np.zeros(4, dtype=int), [4])
    with pytest.raises(ValueError, match=r"predictions are for 3 runs or more, which there are, got \[2\]"):
        predict_sizes(np.array([1, 2, 3, 4]), [2])


def covered(differ: float, known: bool, studies: int = 90) -> float:
    """How often the interval at S + 2 and 2 S holds the size that came out, in studies of 2,000 samples."""
    inside = []
    for seed in range(studies):
        rng = np.random.default_rng(seed)
        runs, (a, b) = (4, 6, 8)[seed % 3], [(1.5, 0.3), (0.4, 0.3), (3.0, 0.15)][seed // 3 % 3]
        p, u = rng.beta(a, b, 2000), rng.random(2000)
        p = np.where(u < 0.1, 0, np.where(u < 0.4, 1, p)) if seed % 2 else p
        shifted = expit(logit(np.clip(p, 1e-12, 1 - 1e-12)) + differ * rng.standard_normal((2 * runs, 1)))
        right: Any = rng.random((2 * runs, 2000)) < np.where((p == 0) | (p == 1), p, shifted)
        counts = np.bincount(right[:runs].sum(axis=0), minlength=runs + 1)
        at = [runs + 2, 2 * runs]
        for one in predict_sizes(counts, at, gained=gains(right[:runs]) if known else None):
            h = right[: one.runs].sum(axis=0)
            inside.append(one.low <= ((h > 0) & (h < one.runs)).sum() <= one.high)
    return float(np.mean(inside))


def test_intervals_hold_where_runs_differ_by_chance_only() -> None:
    assert covered(0.0, known=False, studies=45) >= 0.9
    assert covered(0.0, known=True, studies=45) >= 0.9


def test_where_runs_differ_they_hold_if_that_is_known() -> None:
    assert covered(0.3, known=True) >= 0.9
    assert covered(0.5, known=True) >= 0.85
    assert covered(0.5, known=False) < 0.8, "what the docstring says of it"
