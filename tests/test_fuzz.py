"""Some cases of hostile input for every target; `benchmarks/fuzz.py` tries ten thousand."""

from __future__ import annotations

import pytest

from tests.hostile import TARGETS, Target, try_cases

CASES = 40


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_hostile_input_is_refused_in_our_words_or_does_no_harm(target: Target) -> None:
    tally = try_cases(target, CASES)
    assert tally.outcomes["cases"] >= CASES / 2
    assert tally.outcomes["refused"] + tally.outcomes["accepted"] == tally.outcomes["cases"], tally.examples
