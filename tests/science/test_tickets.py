"""Seeds nested in tickets: how they are dealt out, how often the method's interval covers, what a budget buys."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from hprune.science.crossed import crossed, over_seeds
from hprune.science.split import best_split, expected_half_width
from hprune.science.tickets import Components, over_tickets, seeds_of_tickets, ticket_of_seed


def test_every_seed_belongs_to_one_ticket_and_all_have_as_many() -> None:
    for tickets in (1, 2, 3, 6):
        seeds = [14, 3, 9, 11, 5, 8]
        dealt = seeds_of_tickets(seeds, tickets)
        assert [seed for own in dealt for seed in own] == seeds
        assert {len(own) for own in dealt} == {6 // tickets}
        assert [ticket_of_seed(seed, seeds, tickets) for own in dealt for seed in own] == sorted(
            list(range(tickets)) * (6 // tickets)
        )


@pytest.mark.parametrize(
    ("seeds", "tickets", "message"),
    [
        (7, 3, r"comparison.seeds must divide evenly .* comparison.tickets, .* got 7; give 6 or 9 seeds"),
        (2, 3, r"got 2; give 3 seeds"),
        (4, 3, r"; for example comparison\.seeds=\[0,1,2,3,4,5\]$"),
        (0, 2, r"got 0; give 2 seeds"),
        (6, 0, r"comparison.tickets must hold at least one group"),
    ],
)
def test_seeds_that_do_not_divide_are_refused(seeds: int, tickets: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        seeds_of_tickets(range(seeds), tickets)


def test_a_seed_that_is_none_of_the_comparison_is_refused() -> None:
    with pytest.raises(ValueError, match=r"seed 9 must be one of comparison\.seeds, 1, 2"):
        ticket_of_seed(9, [1, 2], 2)


def study(
    rng: np.random.Generator, each: list[int], n: int, *, ticket: float, seed: float, example: float, rest: float
) -> list[NDArray[np.float64]]:
    """Normal effects with these standard deviations, and no difference."""
    of_example = example * rng.normal(size=n)
    return [
        ticket * rng.normal() + seed * rng.normal(size=(k, 1)) + of_example + rest * rng.normal(size=(k, n))
        for k in each
    ]


@pytest.mark.parametrize("each", [[1, 1], [3, 3], [1, 1, 1], [3] * 4, [2] * 6, [3, 1, 2, 3]])
@pytest.mark.parametrize(
    ("ticket", "seed", "example"), [(0.01, 0.01, 0.2), (0.02, 0.005, 0.0), (0.0, 0.01, 0.3), (0.0, 0.0, 0.3)]
)
def test_the_interval_of_the_method_covers(each: list[int], ticket: float, seed: float, example: float) -> None:
    """95% intervals cover 93% to 97%, tests err in at most 5.5%: to two standard errors of the simulation."""
    rng, studies, hits, errs = np.random.default_rng([len(each), int(100 * ticket)]), 1500, 0, 0
    for _ in range(studies):
        found, _ = over_tickets(study(rng, each, 277, ticket=ticket, seed=seed, example=example, rest=0.3))
        hits += abs(found.mean) <= found.half_width()
        errs += found.p_value is None or found.p_value < 0.05
    off = 2 * np.sqrt(0.05 * 0.95 / studies)
    assert 0.93 - off <= hits / studies <= 0.97 + off
    assert errs / studies <= 0.055 + off


def test_tickets_that_differ_are_the_analysis_of_their_means() -> None:
    tables = study(np.random.default_rng(5), [3, 3, 3], 60, ticket=1, seed=0.1, example=0.3, rest=0.3)
    assert over_tickets(tables)[0] == crossed(np.stack([table.mean(axis=0) for table in tables]))


def test_components_are_what_was_put_in() -> None:
    rng = np.random.default_rng(1)
    tables = study(rng, [20] * 60, 400, ticket=0.03, seed=0.02, example=0.4, rest=0.2)
    _, components = over_tickets(tables)
    assert components.ticket == pytest.approx(0.03, rel=0.25)
    assert components.seed == pytest.approx(np.sqrt(0.02**2 + 0.2**2 / 400), rel=0.1)
    assert components.example == pytest.approx(0.4 / 20, rel=0.1)
    assert over_tickets([table[:1] for table in tables])[1].seed is None


def test_one_seed_a_ticket_is_the_analysis_of_seeds() -> None:
    tables = study(np.random.default_rng(2), [1] * 4, 50, ticket=0.1, seed=0.1, example=1, rest=1)
    found, _ = over_tickets(tables)
    assert found == crossed(np.vstack(tables))
    alone, components = over_tickets([table.mean(axis=1, keepdims=True) for table in tables])
    assert alone == over_seeds(np.array([table.mean() for table in tables]))
    assert components.example is None


COMPONENTS = Components(ticket=0.01, seed=0.004, example=0.006)


def test_splits_stay_within_the_budget_and_the_narrowest_comes_first() -> None:
    splits = best_split(budget=100, share=0.3, scoring_runs=6, arms=2, components=COMPONENTS)
    assert {split.tickets for split in splits} == set(range(2, 14))
    for split in splits:
        cost = split.tickets * (6 + split.seeds_per_ticket * (1 + 2 * 0.3))
        assert split.cost == pytest.approx(cost)
        assert cost <= 100 < cost + split.tickets * 1.6
    widths = [split.half_width for split in splits]
    assert widths == sorted(widths)
    assert best_split(budget=15, share=0.3, scoring_runs=6, arms=2, components=COMPONENTS) == []
    doubled = best_split(budget=200, share=0.3, scoring_runs=6, arms=2, components=COMPONENTS, full_run=2.0)
    assert [(s.tickets, s.seeds_per_ticket) for s in doubled] == [(s.tickets, s.seeds_per_ticket) for s in splits]
    with pytest.raises(ValueError, match="must be above 0"):
        best_split(budget=100, share=0, scoring_runs=6, arms=2, components=COMPONENTS)


def test_more_tickets_pay_where_tickets_differ_and_more_seeds_where_they_do_not() -> None:
    def best(components: Components) -> int:
        return best_split(budget=120, share=0.3, scoring_runs=6, arms=1, components=components)[0].tickets

    assert best(Components(0.02, 0.002, 0.0)) > best(Components(0.0, 0.02, 0.02))


@pytest.mark.parametrize(("tickets", "each"), [(2, 3), (4, 2), (8, 1)])
def test_the_expected_interval_is_the_one_that_studies_find(tickets: int, each: int) -> None:
    rng, n, rest = np.random.default_rng(3), 400, 0.05
    widths = [
        over_tickets(study(rng, [each] * tickets, n, ticket=0.01, seed=0.004, example=0.12, rest=rest))[0].half_width()
        for _ in range(800)
    ]
    expected = expected_half_width(
        tickets, each, Components(0.01, float(np.hypot(0.004, rest / np.sqrt(n))), 0.12 / np.sqrt(n)), examples=n
    )
    assert np.mean(widths) == pytest.approx(expected, rel=0.07)
    alone = expected_half_width(tickets, each, Components(0.01, None, None))
    error = 0.01 / np.sqrt(tickets)
    nu = tickets - 1
    shrunk = np.sqrt(2 / nu) * np.exp(_log_gamma((nu + 1) / 2) - _log_gamma(nu / 2))  # mean of s / sigma
    assert alone == pytest.approx(stats.t.ppf(0.975, nu) * error * shrunk, rel=0.01)


def _log_gamma(x: float) -> float:
    from scipy.special import gammaln

    return float(gammaln(x))
