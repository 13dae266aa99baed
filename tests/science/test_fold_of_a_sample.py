"""Folds are as large and as alike as can be, and drawn by the seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hprune.science.folds import fold_of


@given(st.lists(st.integers(0, 4), min_size=2, max_size=80), st.data())
def test_folds_differ_by_at_most_one_sample_in_all_and_in_each_class(labels: list[int], data: st.DataObject) -> None:
    classes = np.array(labels)
    number = data.draw(st.integers(2, classes.size))
    folds = fold_of(classes, number, seed=data.draw(st.integers(0, 5)))
    assert np.ptp(np.bincount(folds, minlength=number)) <= 1
    for label in np.unique(classes):
        assert np.ptp(np.bincount(folds[classes == label], minlength=number)) <= 1


def test_each_seed_draws_its_own() -> None:
    labels = np.arange(100) % 2
    first = fold_of(labels, 5, seed=1)
    assert first.tolist() == fold_of(labels, 5, seed=1).tolist()
    assert first.tolist() != fold_of(labels, 5, seed=2).tolist()
    together = np.mean([fold_of(labels, 5, seed=s)[0] == fold_of(labels, 5, seed=s)[2] for s in range(500)])
    assert abs(together - 9 / 49) < 0.06, "nine of the 49 others of its class share its fold"


@pytest.mark.parametrize("folds", [1, 0, 5])
def test_impossible_numbers_are_refused(folds: int) -> None:
    with pytest.raises(ValueError, match=rf"data\.folds must lie in 2\.\.4, the number of samples, got {folds}"):
        fold_of(np.zeros(4, dtype=np.int64), folds, seed=1)
