"""What pays and what does not, by hand: break-even, saving, STR, and how long jobs take side by side."""

from __future__ import annotations

import itertools

import pytest

from hprune.science.cost import makespan, pay_back
from hprune.science.forecast import Amounts, Growing, Prices


@pytest.mark.parametrize("runs", [2, 6, 20])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.99])
def test_the_ratio_is_the_number_of_runs_that_cost_a_full_one(runs: int, share: float) -> None:
    for unit in (1.0, 7e15):  # seconds or operations
        paid = pay_back(scoring=runs * unit, full_run=unit, subset_run=share * unit)
        assert paid.selection_to_tuning == pytest.approx(runs)
        assert paid.saved_share == pytest.approx(1 - share)
        assert paid.saved == pytest.approx((1 - share) * unit)


def test_break_even_is_the_first_number_of_runs_that_saves_as_much_as_scoring_took() -> None:
    for scoring, full, subset in itertools.product((0, 1, 6, 60), (1, 10), (0.1, 0.25, 0.4, 0.9)):
        even = pay_back(scoring=scoring, full_run=full, subset_run=subset * full).break_even
        counted = next(n for n in range(10_000) if n * full + 1e-6 >= scoring + n * subset * full)
        assert even == counted


def test_what_costs_as_much_as_the_full_set_or_more_is_never_paid_back() -> None:
    assert pay_back(scoring=1, full_run=10, subset_run=10).break_even is None
    worse = pay_back(scoring=1, full_run=10, subset_run=12)
    assert worse.break_even is None
    assert worse.saved == -2
    nothing = pay_back(scoring=1, full_run=0, subset_run=0)
    assert (nothing.selection_to_tuning, nothing.saved_share) == (None, None)


def test_jobs_side_by_side() -> None:
    jobs = [3.0, 1.0, 4.0, 1.0, 5.0]
    assert makespan(jobs, 1) == sum(jobs)
    assert makespan(jobs, 5) == makespan(jobs, 50) == max(jobs)
    assert makespan([], 3) == 0
    for workers in range(1, 6):
        assert max(max(jobs), sum(jobs) / workers) <= makespan(jobs, workers) <= sum(jobs)
        assert makespan(jobs, workers, first=2) >= makespan(jobs, workers) + 2
    assert makespan(jobs, 2) == 9  # 3 + 1 + 5 on one, 1 + 4 on the other


@pytest.mark.parametrize(("jobs", "workers"), [([1.0], 0), ([-1.0], 1)])
def test_jobs_that_cannot_be_done(jobs: list[float], workers: int) -> None:
    with pytest.raises(ValueError, match="needs a worker and durations from 0, got"):
        makespan(jobs, workers)


WORK = Amounts(train=100, clean_pass=40, evaluation=30, checkpoints=2)


def test_work_scales_with_the_samples_but_for_evaluation() -> None:
    assert WORK.on(1) == WORK
    assert WORK.on(0.5) == Amounts(50, 20, 30, 2)
    assert WORK.on(0.5, same_steps=True) == Amounts(
        100, 40, 30, 5
    )  # twice the epochs: six, so five checkpoints between, and a validation after every second
    assert WORK.on(0.6, same_steps=True).evaluation == pytest.approx(50)  # five epochs, each validated
    assert WORK.on(0.13, same_steps=True).evaluation == pytest.approx(30 / 0.91)  # 23 epochs, every seventh validated
    for share in (0, -1, 1.1):
        with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
            WORK.on(share)


def test_work_by_folds() -> None:
    assert WORK.folds(None, judged=9) == WORK
    assert WORK.folds(5, judged=9) == Amounts(400, 9, 150, 10)  # five models on four fifths each
    with pytest.raises(ValueError, match="needs two folds"):
        WORK.folds(1, judged=9)


def test_seconds_are_prices_times_work() -> None:
    prices = Prices(fixed=5, first=9, train=1, clean_pass=2, evaluation=3, checkpoint=4)
    assert prices.seconds(WORK) == 5 + 100 + 80 + 90 + 8
    assert prices.seconds(WORK, runs=3) - prices.seconds(WORK) == 10
    assert Prices().seconds(WORK) == 0
    assert Prices.mean([prices, Prices(fixed=1, train=3)]) == Prices(3, 4.5, 2, 1, 1.5, 2)


def test_files_grow_by_rows_and_columns() -> None:
    assert Growing(10, 2).size(5) == 20
    assert Growing(10, 2).times(3).size(5) == 60
