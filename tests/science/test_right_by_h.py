"""What a judge has right is counted by H as a loop would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hprune.science.judge import right_by_h


@given(st.integers(1, 5), st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=40))
def test_every_sample_is_counted_where_it_belongs(runs: int, samples: list[tuple[bool, int]]) -> None:
    samples = [(right, min(h, runs)) for right, h in samples]
    right, h = np.array([one for one, _ in samples], dtype=bool), np.array([one for _, one in samples], dtype=int)
    found = right_by_h(right, h, runs)
    regions = {"H = 0": lambda v: v == 0, "0 < H < S": lambda v: 0 < v < runs, "H = S": lambda v: v == runs}
    for group in found["groups"]:
        own = [r for r, v in samples if regions[group["group"]](v)]
        assert (group["count"], group["right"]) == (len(own), sum(own))
        assert group["share"] == (pytest.approx(sum(own) / len(own)) if own else None)
    assert sum(group["count"] for group in found["groups"]) == len(samples)
    assert [(row["value"], row["count"], row["right"]) for row in found["by_h"]] == [
        (k, sum(v == k for _, v in samples), sum(r for r, v in samples if v == k)) for k in range(runs + 1)
    ]
    ends = (found["ordinary"], found["hard_core"])
    assert sum(end["count"] for end in ends) == found["groups"][0]["count"]
    if found["groups"][0]["count"]:
        assert sum(end["share"] for end in ends) == pytest.approx(1)
    else:
        assert [end["share"] for end in ends] == [None, None]
