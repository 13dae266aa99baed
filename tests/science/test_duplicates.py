"""Duplicates by hash are those that comparing every pair finds; what counts as one text is a matter of form only."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hprune.science.duplicates import normalised, repeated, text_keys


@pytest.mark.parametrize("seed", range(20))
def test_repeated_is_what_pairs_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    words = [("a b", "c d", "e")[k] + str(rng.integers(6)) for k in rng.integers(3, size=n)]
    labels = rng.integers(3, size=n)
    found = repeated(text_keys((word,) for word in words), labels)
    twins = [[j for j in range(n) if j != i and words[j] == words[i]] for i in range(n)]
    assert found.inside.tolist() == [bool(own) for own in twins]
    assert found.groups == sum(count > 1 for count in Counter(words).values())
    assert found.conflicting == sum(len({labels[j] for j in [i, *(k for k in range(n) if words[k] == words[i])]}) > 1
                                    for i in range(n))  # fmt: skip


@given(st.text(max_size=20))
@settings(max_examples=60)
def test_a_normalised_text_stays(text: str) -> None:
    once = normalised(text)
    assert normalised(once) == once
    assert normalised(f"\n {text}\t") == once
    assert normalised(text.casefold()) == once or not text.isascii()  # folding İ first is another text


@pytest.mark.parametrize(
    ("one", "other"),
    [("A  Fine\nfilm", "a fine film"), ("Straße", "STRASSE"), ("ﬁne", "fine"), ("Å", "A\u030a"), ("Ｈ１", "h1"),
     ("a\u00a0b", "A b"), ("Ⅳ", "iv")],
)  # fmt: skip
def test_form_makes_no_other_text(one: str, other: str) -> None:
    assert text_keys([(one,)]) == text_keys([(other,)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab",), ("a b",)),
        (("a b", "c"), ("a", "b c")),
        (("a", ""), ("", "a")),
        (("fine",), ("fine.",)),
        (("é",), ("e",)),
    ],
)
def test_other_texts_have_other_keys(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert text_keys([one]) != text_keys([other])


def test_half_a_pair_is_a_text_like_any() -> None:
    assert text_keys([("\ud800 x",)]).size == 1
    assert text_keys([]).size == 0
