"""Selections keep what they say, in order, the same for the same seed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hprune.science.select import (
    Pool,
    Selection,
    balanced,
    by_value,
    highest,
    kept_by_value_and_class,
    lowest,
    per_class,
    random_like,
    random_same_classes,
    stratified,
    subset_size,
    thinned,
)

H = np.random.default_rng(0).integers(0, 7, size=1000).astype(np.int16)
LABELS = np.random.default_rng(1).choice(3, p=[0.7, 0.25, 0.05], size=H.size)
SIZED: list[Selection] = [random_like, highest, lowest, stratified, partial(stratified, cut=0.3, strata=7)]


def pool(values: Any = H, size: int = 300, **changes: Any) -> Pool:
    facts = {"labels": LABELS[: len(values)], "runs": 6, "higher_is": "easier", "keep": None, "seed": 3} | changes
    return Pool(np.asarray(values), size=size, **facts)


def test_by_value_keeps_exactly_the_kept_values() -> None:
    kept = by_value(pool(keep="1..S-1"))
    assert kept.tolist() == [i for i, value in enumerate(H) if 0 < value < 6]
    assert by_value(pool(keep="1..S-1", seed=5)).tolist() == kept.tolist()
    with pytest.raises(ValueError, match="needs an integer score"):
        by_value(pool(H / 6, keep="1..S-1"))
    with pytest.raises(ValueError, match=r"give subset\.keep, such as 1\.\.S-1"):
        by_value(pool())


@pytest.mark.parametrize("select", SIZED)
def test_of_the_size_increasing_and_seeded(select: Selection) -> None:
    kept = select(pool(size=200))  # among ties
    assert kept.size == 200
    assert (np.diff(kept) > 0).all()
    assert kept.tolist() == select(pool(size=200)).tolist()
    assert kept.tolist() != select(pool(size=200, seed=4)).tolist()


@pytest.mark.parametrize("select", SIZED)
@given(st.lists(st.floats(allow_nan=False, width=32), min_size=1, max_size=60), st.data())
def test_any_scores_and_any_size(select: Selection, values: list[float], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(values)))
    kept = select(pool(values, size, higher_is=data.draw(st.sampled_from(["easier", "harder"]))))
    assert np.unique(kept).size == kept.size == size
    assert 0 <= kept.min() <= kept.max() < len(values)


def test_random_like_is_uniform_over_samples() -> None:
    hits = np.zeros(200)
    for seed in range(400):
        hits[random_like(pool(H[:200], 50, seed=seed))] += 1
    assert hits.sum() == 400 * 50
    assert hits.min() > 60  # 100 expected, standard deviation 8.7
    assert hits.max() < 140


def test_extremes_leave_nothing_better_behind() -> None:
    for select, sign in [(highest, 1), (lowest, -1)]:
        kept = select(pool())
        rest = np.setdiff1d(np.arange(H.size), kept)
        assert (sign * H[kept]).min() >= (sign * H[rest]).max()


def test_coverage_shares_the_size_out_evenly_the_smallest_stratum_first() -> None:
    values = np.repeat([0.0, 1.0, 2.0, 3.0], [5, 40, 100, 855])
    kept = stratified(pool(values, 200, higher_is="harder"), strata=4)
    assert np.unique(values[kept], return_counts=True)[1].tolist() == [5, 40, 77, 78]


@pytest.mark.parametrize(("higher_is", "gone"), [("harder", 3.0), ("easier", 0.0)])
def test_coverage_drops_the_hardest_but_never_too_many(higher_is: str, gone: float) -> None:
    values = np.repeat([0.0, 1.0, 2.0, 3.0], 250)
    kept = stratified(pool(values, 300, higher_is=higher_is), cut=0.25, strata=4)
    assert sorted(np.unique(values[kept])) == sorted({0.0, 1.0, 2.0, 3.0} - {gone})
    assert np.bincount(values[kept].astype(int)).max() == 100
    assert stratified(pool(values, 1000, higher_is=higher_is), cut=0.25).size == 1000


def test_coverage_of_equal_and_of_infinite_scores() -> None:
    assert stratified(pool(np.full(10, 2.5), 4)).size == 4
    values = np.array([0.0] * 6 + [np.inf] * 4)
    kept = stratified(pool(values, 4, higher_is="harder"), strata=5)
    assert np.isinf(values[kept]).sum() == 2


@pytest.mark.parametrize(("option", "message"), [({"cut": 1.0}, r"select\.cut must lie in \[0, 1\)"), ({"cut": "a"},
    "select.cut"), ({"strata": 0}, r"select\.strata must be a whole number from 1, got 0")])  # fmt: skip
def test_coverage_refuses(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stratified(pool(), **option)


@pytest.mark.parametrize("select", SIZED)
def test_classes_keep_their_shares_or_are_made_equal(select: Selection) -> None:
    counts = np.bincount(LABELS)
    shares = np.bincount(LABELS[per_class(pool(), select, "share")])
    assert shares.sum() == 300
    assert np.abs(shares - 0.3 * counts).max() < 1
    equal = np.bincount(LABELS[per_class(pool(), select, "equal")])
    rest = 300 - counts[2]
    assert equal.tolist() == [rest - rest // 2, rest // 2, counts[2]]  # the smallest class gives all it has


def test_within_a_class_the_extremes_are_kept() -> None:
    kept = per_class(pool(), highest, "share")
    for label in range(3):
        inside = label == LABELS
        rest = np.setdiff1d(np.flatnonzero(inside), kept)
        assert H[kept[LABELS[kept] == label]].min() >= H[rest].max()
    with pytest.raises(ValueError, match=r"subset\.balance must be share, equal or null, got 'both'"):
        per_class(pool(), highest, "both")  # type: ignore[arg-type]


def test_classes_are_drawn_apart() -> None:
    pairs = Pool(np.zeros(400), np.arange(400) % 2, runs=0, higher_is="easier", size=200, keep=None, seed=1)
    kept = per_class(pairs, random_like, "share")
    together = np.isin(kept[kept % 2 == 0] + 1, kept).mean()
    assert 0.35 < together < 0.65, "pairs of neighbours, one of each class, are not kept or removed as one"


LABELLED = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=80)
"""Samples by their H, S = 4, and their class."""


def labelled(samples: list[tuple[int, int]], seed: int = 3) -> Pool:
    values, labels = np.array(samples).T
    return pool(values.astype(np.int16), 0, labels=labels, runs=4, keep="1..S-1", seed=seed)


def counts_of(made: Pool, kept: np.ndarray) -> dict[int, int]:
    return {int(label): int((made.labels[kept] == label).sum()) for label in np.unique(made.labels)}


@given(LABELLED, st.integers(0, 9))
def test_random_of_the_same_classes_has_the_counts_of_the_keep_set(samples: list[tuple[int, int]], seed: int) -> None:
    made = labelled(samples, seed)
    kept = random_same_classes(made)
    assert (np.diff(kept) > 0).all()
    assert counts_of(made, kept) == counts_of(made, by_value(made))
    others = replace(made, values=np.random.default_rng(0).permutation(made.values))
    if counts_of(others, by_value(others)) == counts_of(made, by_value(made)):
        assert random_same_classes(others).tolist() == kept.tolist(), "the score says how many, not which"


def test_random_of_the_same_classes_is_drawn_anew_from_all_of_a_class() -> None:
    hits = np.zeros(H.size)
    for seed in range(300):
        hits[random_same_classes(pool(keep="2..S-3", seed=seed))] += 1
    ticket = (H >= 2) & (H <= 3)
    for label in range(3):
        inside = label == LABELS
        share = (ticket & inside).sum() / inside.sum()
        assert hits[inside].mean() == pytest.approx(300 * share)
        for h in (0, 6):  # out of the keep-set, and drawn like the others
            assert hits[inside & (h == H)].mean() == pytest.approx(300 * share, rel=0.12)
    one, other = (random_same_classes(pool(keep="1..S-1", seed=seed)) for seed in (3, 4))
    assert one.tolist() != other.tolist()
    assert one.tolist() == random_same_classes(pool(keep="1..S-1")).tolist()


def test_random_of_the_same_classes_needs_a_keep_set() -> None:
    with pytest.raises(
        ValueError, match=r"from a keep-set: give subset\.keep, such as 1\.\.S-1, with subset\.sized_by"
    ):
        random_same_classes(pool())


@given(LABELLED, st.integers(0, 9))
def test_a_thinned_keep_set_is_the_largest_with_the_shares_of_all(samples: list[tuple[int, int]], seed: int) -> None:
    made = labelled(samples, seed)
    ticket, kept = by_value(made), thinned(made, balance="share")
    there, every = counts_of(made, ticket), counts_of(made, np.arange(made.labels.size))
    assert np.isin(kept, ticket).all()
    assert (np.diff(kept) > 0).all()
    total = sum(every.values())
    for label, count in counts_of(made, kept).items():
        assert abs(count - kept.size * every[label] / total) < 1
    more = kept.size + 1
    assert any(more * every[label] > there[label] * total for label in every), "some class has no more to give"


@given(LABELLED)
def test_a_thinned_keep_set_of_equal_classes_has_as_many_of_each_as_the_smallest(
    samples: list[tuple[int, int]],
) -> None:
    made = labelled(samples)
    there = counts_of(made, by_value(made))
    assert counts_of(made, thinned(made, balance="equal")) == dict.fromkeys(there, min(there.values()))


@pytest.mark.parametrize("balance", ["share", "equal"])
def test_what_has_too_many_is_thinned_at_random(balance: Any) -> None:
    made = pool(keep="1..S-1", seed=3)
    kept = thinned(made, balance=balance)
    assert kept.tolist() == thinned(made, balance=balance).tolist()
    assert kept.tolist() != thinned(pool(keep="1..S-1", seed=4), balance=balance).tolist()
    random = balanced(made, random_same_classes, balance)
    assert counts_of(made, random) == counts_of(made, kept), "a random arm for what is left of the keep-set"
    assert not np.isin(random, by_value(made)).all()
    assert balanced(made, partial(by_value), balance).tolist() == kept.tolist()
    sized = pool(size=200)
    assert balanced(sized, random_like, balance).tolist() == per_class(sized, random_like, balance).tolist()


def test_a_keep_set_that_has_the_shares_already_stays_whole() -> None:
    labels, values = np.arange(40) % 2, np.repeat([0, 1], 20)
    made = pool(values, 0, labels=labels, runs=2, keep="1")
    assert thinned(made, balance="share").tolist() == thinned(made, balance="equal").tolist() == list(range(20, 40))


def test_size_is_given_once() -> None:
    for size in [{}, {"keep": "1..5", "fraction": 0.5}, {"size": 4, "fraction": 0.5}]:
        with pytest.raises(ValueError, match=r"exactly one of subset\.keep, subset\.fraction and subset\.size"):
            subset_size(H, runs=6, **size)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"fraction must lie in \(0, 1\]"):
        subset_size(H, runs=6, fraction=1.5)
    for wrong in (0, 1001, 1.5, True, "all"):
        with pytest.raises(ValueError, match=r"subset\.size must lie in 1\.\.1,000, the number of samples, got"):
            subset_size(H, runs=6, size=wrong)  # type: ignore[arg-type]
    assert subset_size(H, runs=6, size=17) == 17
    assert subset_size(H, runs=6, fraction=0.25) == 250
    assert subset_size(H, runs=6, keep="2..5") == int(((H >= 2) & (H <= 5)).sum())


def test_counts_add_up() -> None:
    counts = kept_by_value_and_class(H, LABELS, by_value(pool(keep="1..5")))
    assert sum(kept + removed for kept, removed in counts["score"].values()) == H.size
    assert sum(kept + removed for kept, removed in counts["label"].values()) == H.size
    assert counts["score"][0][0] == 0
    assert counts["score"][6][0] == 0
    assert all(counts["score"][value][1] == 0 for value in range(1, 6))
    assert "score" not in kept_by_value_and_class(H / 6, LABELS, np.arange(3))
    assert "score" not in kept_by_value_and_class(None, LABELS, np.arange(3))
