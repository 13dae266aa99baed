"""Selections keep what they say, in order, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from hprune.science.select import by_value, highest, kept_by_value_and_class, lowest, random_like, subset_size

H = np.random.default_rng(0).integers(0, 7, size=1000).astype(np.int16)


def test_by_value_keeps_exactly_the_kept_values() -> None:
    kept = by_value(H, runs=6, seed=0, keep="1..S-1")
    assert kept.tolist() == [i for i, value in enumerate(H) if 0 < value < 6]
    assert by_value(H, runs=6, seed=5, keep="1..S-1").tolist() == kept.tolist()
    with pytest.raises(ValueError, match="needs an integer score"):
        by_value(H / 6, runs=6, seed=0, keep="1..S-1")


@pytest.mark.parametrize("select", [random_like, highest, lowest])
def test_equal_size_increasing_and_seeded(select) -> None:  # type: ignore[no-untyped-def]
    size = by_value(H, runs=6, seed=0, keep="2..5").size
    kept = select(H, runs=6, seed=3, keep="2..5")
    assert kept.size == size
    assert (np.diff(kept) > 0).all()
    assert kept.tolist() == select(H, runs=6, seed=3, keep="2..5").tolist()
    assert kept.tolist() != select(H, runs=6, seed=4, keep="2..5").tolist()


def test_random_like_is_uniform_over_samples() -> None:
    hits = np.zeros(200)
    for seed in range(400):
        hits[random_like(H[:200], runs=6, seed=seed, fraction=0.25)] += 1
    assert hits.sum() == 400 * 50
    assert hits.min() > 60  # 100 expected, standard deviation 8.7
    assert hits.max() < 140


def test_extremes_leave_nothing_better_behind() -> None:
    for select, sign in [(highest, 1), (lowest, -1)]:
        kept = select(H, runs=6, seed=0, fraction=0.3)
        rest = np.setdiff1d(np.arange(H.size), kept)
        assert (sign * H[kept]).min() >= (sign * H[rest]).max()


def test_size_is_given_once() -> None:
    for keep, fraction in [(None, None), ("1..5", 0.5)]:
        with pytest.raises(ValueError, match=r"exactly one of subset\.keep and subset\.fraction"):
            subset_size(H, runs=6, keep=keep, fraction=fraction)
    with pytest.raises(ValueError, match=r"fraction must lie in \(0, 1\]"):
        subset_size(H, runs=6, keep=None, fraction=1.5)


def test_counts_add_up() -> None:
    labels = np.random.default_rng(1).integers(0, 3, size=H.size)
    counts = kept_by_value_and_class(H, labels, by_value(H, runs=6, seed=0, keep="1..5"))
    assert sum(kept + removed for kept, removed in counts["score"].values()) == H.size
    assert sum(kept + removed for kept, removed in counts["label"].values()) == H.size
    assert counts["score"][0][0] == 0
    assert counts["score"][6][0] == 0
    assert all(counts["score"][value][1] == 0 for value in range(1, 6))
    assert "score" not in kept_by_value_and_class(H / 6, labels, np.arange(3))
