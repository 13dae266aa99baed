"""The data map is that of all samples at once, whatever the pieces, and draws the same samples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from hprune.science.data_map import data_map
from hprune.science.records import Dynamics


def dynamics(samples: int, runs: int = 3, epochs: int = 2) -> Dynamics:
    rng = np.random.default_rng(samples)
    prob = rng.random((runs, epochs, samples), dtype=np.float32)
    return Dynamics(3 * np.arange(samples), prob > 0.3, true_prob=prob)


def pieces(whole: Dynamics, size: int) -> Iterator[Dynamics]:
    assert whole.true_prob is not None
    for start in range(0, whole.sample_ids.size, size):
        part = slice(start, start + size)
        ids = whole.sample_ids[part].copy()
        yield Dynamics(ids, whole.correct[:, :, part].copy(), true_prob=whole.true_prob[:, :, part].copy())


@pytest.mark.parametrize("size", [1, 7, 50])
def test_pieces_do_not_show(size: int) -> None:
    whole = dynamics(50)
    one = data_map([whole], samples=50, runs=3, most=20)
    other = data_map(pieces(whole, size), samples=50, runs=3, most=20)
    for name in ("confidence", "variability", "h", "counts"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for name in ("mean_confidence", "mean_variability"):
        assert np.allclose(getattr(one, name), getattr(other, name), equal_nan=True), name


def test_it_is_its_definition() -> None:
    whole = dynamics(40)
    found = data_map([whole], samples=40, runs=3, most=100)
    assert whole.true_prob is not None
    h = whole.correct.all(axis=1).sum(axis=0)
    assert found.h.tolist() == h.tolist()
    assert np.allclose(found.confidence, whole.true_prob.mean(axis=(0, 1)), atol=1e-6)
    assert np.allclose(found.variability, whole.true_prob.std(axis=1).mean(axis=0), atol=1e-6)
    assert found.counts.tolist() == [int((h == value).sum()) for value in range(4)]
    for value in range(4):
        inside = h == value
        if inside.any():
            assert found.mean_confidence[value] == pytest.approx(found.confidence[inside].mean(), abs=1e-6)
        else:
            assert np.isnan(found.mean_confidence[value])


def test_the_draw_is_by_seed_and_even() -> None:
    whole = dynamics(300)
    draws = [data_map([whole], samples=300, runs=3, most=60, seed=seed) for seed in (0, 0, 1)]
    assert draws[0].confidence.size == 60
    assert np.array_equal(draws[0].confidence, draws[1].confidence)
    assert not np.array_equal(draws[0].confidence, draws[2].confidence)
    assert draws[0].counts.sum() == 300
    often = np.zeros(300)
    everyone = data_map([whole], samples=300, runs=3, most=300).confidence
    for seed in range(200):
        often += np.isin(everyone, data_map([whole], samples=300, runs=3, most=60, seed=seed).confidence)
    assert abs(often / 200 - 0.2).max() < 0.15  # five standard deviations
