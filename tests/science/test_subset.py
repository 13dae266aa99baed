"""A subset joins only the data that was scored, is never empty, and never loses a class unasked."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from hprune import Scores, Subset
from hprune.science.select import by_value, highest, random_like, random_same_classes
from hprune.science.subset import SubsetSpec, choose, describe

IDS = np.arange(10, 20)
VALUES = np.array([0, 0, 1, 1, 2, 2, 3, 3, 3, 3], dtype=np.int16)
LABELS = np.array([0, 1, 0, 1, 0, 0, 0, 1, 1, 1])


def scores(**changes: Any) -> Scores:
    made = Scores(
        "h_score", IDS.copy(), VALUES.copy(), "easier", seeds=(1, 2, 3), epochs=2, measured="train_pass", data_hash="d"
    )
    return replace(made, **changes)


def chosen(keep: Any, table: Scores | None, **options: Any) -> Subset:
    spec = SubsetSpec("winning_ticket", by_value, keep=keep, **options)
    return choose(spec, table, sample_ids=IDS, labels=LABELS, label_names=("no", "yes"), data_hash="d", seed=1)


def test_the_winning_ticket_and_its_provenance() -> None:
    subset = chosen("1..S-1", scores())
    assert subset.sample_ids.tolist() == [12, 13, 14, 15]
    assert subset.provenance["score"] == {"0": [0, 2], "1": [2, 0], "2": [2, 0], "3": [0, 4]}
    assert subset.provenance["label"] == {"0": [3, 2], "1": [1, 4]}
    assert describe(subset, 10, ("no", "yes")).splitlines() == [
        "winning_ticket keeps 4 of 10 samples (40.0%)",
        "  by score (kept, removed): 0: 0, 2; 1: 2, 0; 2: 2, 0; 3: 0, 4",
        "  by label (kept, removed): no: 3, 2; yes: 1, 4",
    ]


def test_everything_needs_no_score() -> None:
    subset = choose(
        SubsetSpec("full"), None, sample_ids=IDS, labels=LABELS, label_names=("no", "yes"), data_hash="d", seed=1
    )
    assert subset.sample_ids.tolist() == IDS.tolist()


def test_scores_of_other_data_are_refused() -> None:
    with pytest.raises(ValueError, match="belongs to other data"):
        chosen("1..2", scores(data_hash="e"))
    with pytest.raises(ValueError, match="belongs to other data"):
        chosen("1..2", scores(sample_ids=IDS + 1))
    with pytest.raises(ValueError, match=r"name its table with subset\.scores"):
        chosen("1..2", None)


def test_an_empty_subset_is_refused_with_the_counts() -> None:
    with pytest.raises(ValueError, match=r"keeps none of 10 samples \(samples per score 0: 2, 1: 2, 3: 6\)"):
        chosen("2", scores(values=np.where(VALUES == 2, 3, VALUES).astype(np.int16)))


def test_a_lost_class_is_refused_unless_allowed() -> None:
    with pytest.raises(ValueError, match="keeps no sample of class yes"):
        chosen("2", scores())
    assert chosen("2", scores(), allow_missing_class=True).sample_ids.tolist() == [14, 15]


def test_a_keep_set_is_thinned_to_the_shares_of_all_and_random_samples_may_have_its_classes() -> None:
    """Of 10 samples, five of each class, the ticket has three and one."""
    for balance in ("share", "equal"):
        subset = chosen("1..S-1", scores(), balance=balance)
        assert subset.provenance["label"] == {"0": [1, 4], "1": [1, 4]}
        assert set(subset.sample_ids) <= {12, 13, 14, 15}
    spec = SubsetSpec("r", random_same_classes, keep="1..S-1")
    drawn = choose(spec, scores(), sample_ids=IDS, labels=LABELS, label_names=("no", "yes"), data_hash="d", seed=2)
    assert drawn.provenance["label"] == {"0": [3, 2], "1": [1, 4]}
    assert (drawn.provenance["scores"], drawn.provenance["seeds"]) == ("h_score", [1, 2, 3])


@pytest.mark.parametrize("select", [by_value, random_same_classes])
@pytest.mark.parametrize("balance", ["share", "equal"])
def test_a_keep_set_without_a_class_cannot_be_balanced(select: Any, balance: Any) -> None:
    spec = SubsetSpec("ticket", select, keep="2", balance=balance, allow_missing_class=True)
    message = (
        rf"subset 'ticket' with subset.balance={balance} keeps nothing: its keep-set '2' has no sample of class yes "
        r"\(no: 2, yes: 0\); choose a wider keep-set, such as 0..S-1, or set subset.balance=null"
    )
    with pytest.raises(ValueError, match=message):
        choose(spec, scores(), sample_ids=IDS, labels=LABELS, label_names=("no", "yes"), data_hash="d", seed=1)


def test_an_empty_keep_set_is_no_matter_of_balance() -> None:
    with pytest.raises(ValueError, match="keeps none of 10 samples"):
        chosen("2", scores(values=np.where(VALUES == 2, 3, VALUES).astype(np.int16)), balance="share")


def test_everything_is_not_balanced_and_what_is_random_says_so() -> None:
    with pytest.raises(ValueError, match=r"subset 'full' keeps every sample, whatever its class; balance one that has"):
        SubsetSpec("full", balance="share")
    random = {select: SubsetSpec("s", select).at_random for select in (by_value, highest, random_like)}
    assert random == {by_value: False, highest: False, random_like: True}
    assert SubsetSpec("s", partial(random_same_classes), keep=1).at_random
