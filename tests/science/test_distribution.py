"""What is gathered piece by piece is what numpy says of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hprune.science.distribution import Distribution


def gathered(values: np.ndarray, size: int, top: int = 3) -> Distribution:
    made = Distribution(values.size, top=top)
    for start in range(0, values.size, size):
        made.add(values[start : start + size])
    return made


@given(
    st.lists(st.integers(-3, 9) | st.sampled_from([-(2**31), 2**17, 2**31 - 1]), min_size=1, max_size=60),
    st.integers(1, 20),
)
def test_whole_values_are_counted(values: list[int], size: int) -> None:
    made = gathered(np.array(values, dtype=np.int32), size)
    assert made.counts == {value: values.count(value) for value in {0, 1, 2, 3, *values}}
    assert (made.seen, made.real) == (len(values), None)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60), st.integers(1, 20))
def test_real_values_have_a_range_and_a_median(values: list[float], size: int) -> None:
    made = gathered(np.array(values, dtype=np.float32), size)
    assert (made.low, made.high) == (min(values), max(values))
    assert made.median() == pytest.approx(np.median(np.array(values, dtype=np.float64)))
