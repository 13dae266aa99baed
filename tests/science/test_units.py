"""Parts of rows have ids of their own, in the order of the rows, from which row and part come back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hprune.science.units import PARTS, part_ids, part_numbers, row_of

COUNTS = st.lists(st.integers(0, 5), max_size=20)
PAIRS = st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, PARTS - 1)), max_size=30)


@given(COUNTS)
def test_parts_are_numbered_as_a_loop_would(counts: list[int]) -> None:
    first = np.cumsum([0, *counts], dtype=np.int64)
    owners, parts = part_numbers(first)
    expected = [(row, part) for row, count in enumerate(counts) for part in range(count)]
    assert list(zip(owners.tolist(), parts.tolist(), strict=True)) == expected


@given(PAIRS)
def test_row_and_part_come_back_from_an_id(pairs: list[tuple[int, int]]) -> None:
    rows, parts = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    ids = part_ids(rows, parts)
    assert ids.dtype == np.int64
    assert row_of(ids).tolist() == rows.tolist()
    assert (ids - row_of(ids) * PARTS).tolist() == parts.tolist()


@given(PAIRS)
def test_ids_sort_as_rows_and_then_parts(pairs: list[tuple[int, int]]) -> None:
    different = sorted(set(pairs))
    rows, parts = np.array(different, dtype=np.int64).reshape(-1, 2).T
    assert (np.diff(part_ids(rows, parts)) > 0).all()


@given(COUNTS, st.integers(0, 2**31))
def test_the_ids_of_a_table_are_unique_and_increase(counts: list[int], seed: int) -> None:
    kept = np.sort(np.random.default_rng(seed).choice(1000, len(counts), replace=False))  # ids of rows have gaps
    owners, parts = part_numbers(np.cumsum([0, *counts], dtype=np.int64))
    ids = part_ids(kept[owners], parts)
    assert (np.diff(ids) > 0).all()
    assert row_of(ids).tolist() == np.repeat(kept, counts).tolist()


def test_more_parts_than_an_id_tells_apart_are_refused() -> None:
    last = part_ids(np.array([7]), np.array([PARTS - 1]))
    assert last.tolist() == [8 * PARTS - 1]
    with pytest.raises(ValueError, match=r"row 7 has 65,537 parts, more than 65,536; raise data\.max_length"):
        part_ids(np.array([3, 7]), np.array([0, PARTS]))
