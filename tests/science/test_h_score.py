"""H is its definition, follows its closed forms, and is fast."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from scipy.stats import binom, chisquare

from hprune import Dynamics, h_score


def literal_h(right: np.ndarray) -> list[int]:
    """The triple loop of the paper's formula."""
    runs, epochs, samples = right.shape
    scores = []
    for i in range(samples):
        score = 0
        for s in range(runs):
            product = 1
            for e in range(epochs):
                product *= int(right[s, e, i])
            score += product
        scores.append(score)
    return scores


@pytest.mark.parametrize("seed", range(20))
def test_h_score_is_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    right = rng.random(rng.integers(1, 7, size=3)) < rng.random()
    assert h_score(Dynamics(np.arange(right.shape[2]), right)).tolist() == literal_h(right)


def test_all_right_is_s_and_one_miss_in_each_run_is_zero() -> None:
    right = np.ones((5, 3, 4), dtype=bool)
    assert h_score(Dynamics(np.arange(4), right.copy())).tolist() == [5] * 4
    for run in range(5):
        right[run, run % 3, :] = False
    assert h_score(Dynamics(np.arange(4), right)).tolist() == [0] * 4


@pytest.mark.parametrize(("runs", "epochs", "q"), [(6, 3, 0.8), (6, 2, 0.9), (10, 3, 0.7), (2, 1, 0.5)])
def test_independent_correctness_gives_a_binomial(runs: int, epochs: int, q: float) -> None:
    samples = 40_000
    right = np.random.default_rng(7).random((runs, epochs, samples)) < q
    counts = np.bincount(h_score(Dynamics(np.arange(samples), right)), minlength=runs + 1)
    expected = binom.pmf(np.arange(runs + 1), runs, q**epochs) * samples
    frequent = expected > 5
    observed, expected = counts[frequent], expected[frequent]
    assert chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


def test_prefixes_look_at_fewer_runs_and_epochs() -> None:
    right = np.random.default_rng(0).random((6, 4, 200)) < 0.7
    dynamics = Dynamics(np.arange(200), right)
    for runs, epochs in [(1, 1), (3, 2), (6, 4)]:
        expected = literal_h(right[:runs, :epochs])
        assert h_score(dynamics.prefix(runs=runs, epochs=epochs)).tolist() == expected
    with pytest.raises(ValueError, match=r"epochs must be in 1\.\.4, what was logged, got 5"):
        dynamics.prefix(epochs=5)


def test_more_epochs_never_raise_h_and_more_runs_never_lower_it() -> None:
    dynamics = Dynamics(np.arange(500), np.random.default_rng(1).random((6, 4, 500)) < 0.8)
    by_epochs = [h_score(dynamics.prefix(epochs=e)) for e in range(1, 5)]
    by_runs = [h_score(dynamics.prefix(runs=s)) for s in range(1, 7)]
    assert all((b <= a).all() for a, b in itertools.pairwise(by_epochs))
    assert all((b >= a).all() for a, b in itertools.pairwise(by_runs))


def test_ten_million_samples_fit_in_a_gigabyte() -> None:
    right = np.random.default_rng(0).integers(0, 2, size=(6, 3, 10_000_000), dtype=np.int8).view(np.bool_)
    dynamics = Dynamics(np.arange(10_000_000), right)
    tracemalloc.start()
    scores = h_score(dynamics)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**30 - right.nbytes
    assert scores[:100].tolist() == literal_h(right[:, :, :100])
