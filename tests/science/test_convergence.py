"""What fewer runs would have chosen is what brute force over all their choices says; what is certain is certain."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import hypergeom

from hprune.science.convergence import certain_part, convergence, expected_histogram, expected_size
from hprune.science.keep import keep_values
from hprune.science.patterns import Patterns

SEEDS = range(8)


def made(seed: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    runs, samples = int(rng.integers(2, 8)), int(rng.integers(1, 200))
    return rng.random((runs, samples)) < rng.beta(0.5, 0.5, samples)


def kept(right: np.ndarray[Any, Any], keep: Any) -> np.ndarray[Any, Any]:
    try:
        values = keep_values(keep, runs=len(right))
    except ValueError:
        values = ()
    return np.isin(right.sum(axis=0), values)


@pytest.mark.parametrize("seed", SEEDS)
def test_patterns_are_counted_whatever_the_pieces(seed: int) -> None:
    right = made(seed)
    cuts = np.sort(np.random.default_rng(seed).integers(0, right.shape[1] + 1, 3))
    whole, pieces = Patterns.of([right]), Patterns.of(np.split(right, cuts, axis=1))
    assert (whole.codes.tolist(), whole.counts.tolist()) == (pieces.codes.tolist(), pieces.counts.tolist())
    expected: dict[int, int] = {}
    for column in right.T:
        code = sum(int(bit) << place for place, bit in enumerate(column))
        expected[code] = expected.get(code, 0) + 1
    assert dict(zip(whole.codes.tolist(), whole.counts.tolist(), strict=True)) == expected
    assert whole.samples == right.shape[1]
    assert whole.histogram.tolist() == np.bincount(right.sum(axis=0), minlength=len(right) + 1).tolist()
    taken = np.random.default_rng(seed).permutation(len(right))[:2]
    some, again = whole.among(taken.tolist()), Patterns.of([right[taken]])
    assert (some.codes.tolist(), some.counts.tolist()) == (again.codes.tolist(), again.counts.tolist())


def test_patterns_need_samples_and_not_too_many_runs() -> None:
    with pytest.raises(ValueError, match=r"patterns are counted for 1\.\.16 runs, got 17"):
        Patterns.of([np.ones((17, 1), dtype=bool)])
    for pieces in ([], [np.ones((3, 0), dtype=bool)]):
        with pytest.raises(ValueError, match="patterns need at least one sample, got none"):
            Patterns.of(pieces)


@pytest.mark.parametrize("keep", ["1..S-1", "2..S", "0", "S", [1, 3]])
@pytest.mark.parametrize("seed", SEEDS)
def test_fewer_runs_by_brute_force(seed: int, keep: Any) -> None:
    right = made(seed)
    patterns, total = Patterns.of([right]), len(right)
    final = kept(right, keep)
    for entry in convergence(patterns, keep=keep):
        chosen = [kept(right[list(taken)], keep) for taken in itertools.combinations(range(total), entry.runs)]
        sizes = [int(one.sum()) for one in chosen]
        overlaps = [(one & final).sum() / (one | final).sum() if (one | final).any() else 1.0 for one in chosen]
        assert (entry.subsets, entry.low, entry.high) == (math.comb(total, entry.runs), min(sizes), max(sizes))
        told = (entry.size, entry.sd, entry.overlap, entry.overlap_low)
        assert told == pytest.approx((np.mean(sizes), np.std(sizes), np.mean(overlaps), min(overlaps)))
        assert entry.size == pytest.approx(expected_size(patterns.histogram, entry.runs, keep))


@pytest.mark.parametrize("seed", SEEDS)
def test_expectations_are_hypergeometric(seed: int) -> None:
    rng = np.random.default_rng(seed)
    total = int(rng.integers(1, 30))
    counts, h = rng.integers(0, 10**9, total + 1), np.arange(total + 1)
    sizes = []
    for runs in range(1, total + 1):
        expected = expected_histogram(counts, runs)
        assert expected == pytest.approx([counts @ hypergeom.pmf(k, total, h, runs) for k in range(runs + 1)], rel=1e-9)
        left_out = [math.comb(x, runs) / math.comb(total, runs) for x in range(total + 1)]
        inside = 1 - np.array(left_out) - np.array(left_out[::-1])
        sizes.append(expected_size(counts, runs))
        assert sizes[-1] == pytest.approx(counts @ inside if runs > 1 else 0, rel=1e-9)
    assert np.all(np.diff(sizes) >= -1e-6)
    assert expected_histogram(counts, total) == pytest.approx(counts)
    for wrong in (0, total + 1):
        with pytest.raises(ValueError, match=rf"runs must be in 1\.\.{total}, those that there are, got {wrong}"):
            expected_histogram(counts, wrong)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_certain_stays_and_the_overlap_is_a_share(seed: int) -> None:
    """The ticket of any runs is part of that of more, whose size is within the bounds; both ends occur."""
    right = made(seed)
    runs = max(1, len(right) - 2)
    certain, still_open = certain_part(Patterns.of([right[:runs]]).histogram)
    first, final = kept(right[:runs], "1..S-1"), kept(right, "1..S-1")
    assert not np.any(first & ~final)
    assert certain == first.sum() <= final.sum() <= certain + still_open
    alike, other = (np.concatenate([right[:runs], [row]]) for row in (right[0], ~right[0]))
    open_ones = ~first
    assert kept(alike, "1..S-1")[open_ones].sum() == 0
    assert kept(other, "1..S-1").sum() == certain + still_open
    size = final.sum()
    for entry in convergence(Patterns.of([right])):
        assert entry.overlap == pytest.approx(entry.size / size if size else 1)


def test_many_runs_are_sampled_by_a_seed() -> None:
    right = np.random.default_rng(0).random((13, 500)) < np.random.default_rng(1).beta(1, 0.5, 500)
    patterns = Patterns.of([right])
    found, again, other = (convergence(patterns, most=64, seed=seed) for seed in (0, 0, 1))
    assert found == again != other
    assert [entry.subsets for entry in found] == [min(math.comb(13, runs), 64) for runs in range(1, 14)]
    for entry in found:
        expected = expected_size(patterns.histogram, entry.runs)
        assert abs(entry.size - expected) <= 5 * entry.sd / 8 + 1e-9
        assert entry.low <= expected <= entry.high


def test_a_keep_set_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot read 'many'"):
        convergence(Patterns.of([made(1)]), keep="many")
