"""The margin that is stated beforehand is one that the comparison resolves, as often as it says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hprune.science.crossed import crossed
from hprune.science.margin import resolvable_margin, rounded_margin
from hprune.science.stats import compare
from hprune.science.tickets import over_tickets

N = 600


def chances(rng: np.random.Generator, example: float) -> NDArray[np.float64]:
    """(2, n) logits of the full set and of an arm."""
    difficulty = 3 + 3 * rng.normal(size=N)
    return difficulty + np.stack([np.zeros(N), example * rng.normal(size=N)])


def runs(rng: np.random.Generator, logit: NDArray[np.float64], seeds: int, spread: float) -> NDArray[np.float64]:
    logits = logit + spread * rng.normal(size=(seeds, 1))
    return (rng.random((seeds, N)) < 1 / (1 + np.exp(-logits))).astype(float)


@pytest.mark.parametrize(("spread", "example"), [(0.0, 0.0), (0.1, 0.8), (0.3, 0.5)])
@pytest.mark.parametrize("seeds", [4, 8])
def test_a_margin_from_full_runs_is_resolved_in_four_of_five_studies(seeds: int, spread: float, example: float) -> None:
    """An arm without a difference is shown to be within the margin; so much as the assumptions allow it differs."""
    rng, shown = np.random.default_rng([seeds, int(10 * spread)]), []
    for _ in range(200):
        full, arm = chances(rng, example)
        margin = resolvable_margin(runs(rng, full, 6, spread), seeds=seeds)
        gaps = runs(rng, arm, seeds, spread) - runs(rng, full, seeds, spread)
        low, high = crossed(gaps).interval(0.9)
        shown.append(-margin < low and high < margin)
    assert 0.77 < np.mean(shown) <= 1


def test_a_difference_as_large_as_the_margin_is_found() -> None:
    rng, found = np.random.default_rng(5), []
    for _ in range(200):
        full, arm = chances(rng, 0.8)
        margin = resolvable_margin(runs(rng, full, 6, 0.1), seeds=6)
        gaps = runs(rng, arm, 6, 0.1) - runs(rng, full, 6, 0.1)
        gap = compare({"arm": dict(enumerate(gaps.mean(axis=1) + margin))}, dict.fromkeys(range(6), 0.0),
                      by_example={"arm": dict(enumerate(gaps + margin))},
                      reference_by_example=dict(enumerate(np.zeros((6, N)))))["arm"]  # fmt: skip
        found.append(gap.verdict == "better")
    assert np.mean(found) > 0.77


def test_of_several_tickets_it_is_the_margin_of_the_method() -> None:
    rng, shown = np.random.default_rng(6), []
    for _ in range(200):
        full, arm = chances(rng, 0.5)
        margin = resolvable_margin(runs(rng, full, 6, 0.2), seeds=12, tickets=4)
        gaps = [
            runs(rng, arm + 0.2 * rng.normal(), 3, 0.2) - runs(rng, full, 3, 0.2) for _ in range(4)
        ]  # fmt: skip
        low, high = over_tickets(gaps)[0].interval(0.9)
        shown.append(-margin < low and high < margin)
    assert np.mean(shown) > 0.77


def test_more_seeds_more_examples_and_steadier_runs_resolve_smaller_margins() -> None:
    rng = np.random.default_rng(7)
    full, _ = chances(rng, 0)
    steady, shaky = runs(rng, full, 6, 0.05), runs(rng, full, 6, 0.6)
    assert resolvable_margin(steady, seeds=10) < resolvable_margin(steady, seeds=4)
    assert resolvable_margin(steady, seeds=6) < resolvable_margin(shaky, seeds=6)
    assert resolvable_margin(np.tile(steady, 4), seeds=6) < resolvable_margin(steady, seeds=6)
    assert resolvable_margin(steady, seeds=6) < resolvable_margin(steady, seeds=6, tickets=2)
    assert resolvable_margin(np.ones((3, N), dtype=bool), seeds=6) == 0


@pytest.mark.parametrize(
    ("shape", "seeds", "tickets", "message"),
    [
        ((1, 10), 6, 1, "at least two runs"),
        ((3, 1), 6, 1, "two examples"),
        ((3, 10), 1, 1, "at least two comparison.seeds"),
        ((3, 10), 3, 4, "one for each ticket"),
    ],
)
def test_too_little_to_go_by_is_refused(shape: tuple[int, int], seeds: int, tickets: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolvable_margin(np.zeros(shape), seeds=seeds, tickets=tickets)


def test_margins_are_rounded_up_to_three_points_at_most() -> None:
    rng = np.random.default_rng(8)
    for value in rng.uniform(0.03, 3, size=50):
        assert rounded_margin(float(value)) == 0.03
    for value in rng.uniform(0, 0.03, size=50):
        stated = rounded_margin(float(value))
        assert stated >= max(value, 0.01)
        assert stated - max(value, 0.01) < 0.005
        assert round(stated / 0.005) == pytest.approx(stated / 0.005)
    assert rounded_margin(0.02) == 0.02
