"""How well small sets rank configurations: laws of the statistics, and data whose truth is known."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kendalltau

from benchmarks.rank_statistics import BY_CHANCE, Comparison, compare, judged_choice, regret, tau_b
from tests.conftest import ROOT


def study(
    rng: np.random.Generator, levels: dict[str, NDArray[np.float64]], runs: int = 3, examples: int = 200
) -> dict[str, NDArray[np.bool_]]:
    """Answers of runs on sets where configurations have these levels (logits): examples differ, and so do runs."""
    easy = rng.normal(1, 1, examples)
    return {
        name: level[:, None, None] + rng.normal(0, 0.1, (level.size, runs, 1)) + easy
        + rng.normal(0, 1, (level.size, runs, examples)) > 0
        for name, level in levels.items()
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_tau_b_is_that_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, rng.integers(2, 9), (2, rng.integers(4, 13), 5)).astype(float)
    x[0], x[1], y[0], y[1] = 0, 1, 0, 1  # not all tied
    expected = [kendalltau(x[:, at], y[:, at]).statistic for at in range(5)]
    assert tau_b(x, y) == pytest.approx(expected)


def test_a_ranking_that_ties_all_tells_nothing() -> None:
    assert tau_b(np.ones(4), np.arange(4.0)) == 0


def test_a_pair_of_the_same_configuration_does_not_count() -> None:
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 1.0, 3.0, 4.0])
    twice = [0, 1, 2, 3, 3]
    once = [(i, j) for i in range(4) for j in range(i)]
    pairs = [(*pair, 2 if 3 in pair else 1) for pair in once]  # those with the configuration that is there twice
    signs = [(np.sign((x[i] - x[j]) * (y[i] - y[j])), times) for i, j, times in pairs]
    assert tau_b(x[twice], y[twice]) == pytest.approx(sum(s * t for s, t in signs) / sum(t for _, t in signs))


def test_the_best_are_judged_together_where_they_share_it() -> None:
    assert judged_choice(np.array([3.0, 3.0, 1.0]), np.array([1.0, 2.0, 9.0])) == 1.5


@pytest.mark.parametrize("seed", range(10))
def test_regret_is_never_negative_by_the_same_data(seed: int) -> None:
    by, judged = np.random.default_rng(seed).integers(0, 5, (2, 8, 100)).astype(float)
    assert (regret(by, judged, judged) >= 0).all()
    assert (regret(by, judged, judged) > 0).any()
    assert (regret(judged, judged, by) == 0).all()


def test_a_set_like_the_full_one() -> None:
    right = study(np.random.default_rng(0), {"full": np.linspace(-1, 1, 8)})
    found = compare(right | {"same": right["full"]}, "full", resamples=200)
    same, full = found["same"], found["full"]
    assert same.tau.value == 1
    assert same.tau.these[1] == same.tau.others[1] == 1
    assert same.tau_one_run.value == full.tau_one_run.value <= 1
    assert same.below_ceiling.value == same.regret.value == 0
    assert same.below_ceiling.these[0] < 0 < same.below_ceiling.these[1]
    assert full.below_ceiling.these == full.regret.these == (0, 0)


def test_without_noise_there_is_nothing_to_doubt() -> None:
    """Each run of a configuration has the same examples right, the next configuration 40 more; or in reverse."""
    right = np.broadcast_to(np.arange(300) < 100 + 40 * np.arange(5)[:, None, None], (5, 3, 300))
    found = compare({"full": right, "reversed": right[::-1]}, "full", resamples=200)
    assert found["full"].tau_one_run.these == (1, 1)
    assert found["reversed"].tau.value == found["reversed"].tau_one_run.value == -1
    assert found["reversed"].tau.these == (-1, -1)
    assert found["reversed"].below_ceiling.value == 2
    assert found["reversed"].regret.value == pytest.approx(160 / 300, abs=0.02)  # halves differ by a few examples
    assert found["reversed"].regret.these[0] < 160 / 300 < found["reversed"].regret.these[1]
    assert found[BY_CHANCE].regret.value == pytest.approx(80 / 300, abs=0.02)
    assert found[BY_CHANCE].tau.these == (0, 0)


def test_luck_is_no_regret() -> None:
    """Where all configurations are as good, no choice loses anything, though the best of the runs looks better."""
    rng, crossed, same = np.random.default_rng(1), [], []
    for _ in range(60):
        right = study(rng, {"full": np.zeros(8), "small": np.zeros(8)}, examples=100)
        crossed.append(compare(right, "full", resamples=1)["small"].regret.value)
        by, judged = (right[name].mean(axis=(1, 2)) for name in ("small", "full"))
        same.append(regret(by, judged, judged))
    error = np.std(crossed, ddof=1) / np.sqrt(60)
    assert abs(np.mean(crossed)) < 3 * error
    assert np.mean(same) > 10 * error


def test_intervals_hold_what_other_runs_and_examples_give() -> None:
    """Coverage of the mean over many studies of two sets that rank somewhat differently."""
    rng = np.random.default_rng(2)
    level = rng.normal(0, 0.3, 8)
    levels = {"full": level, "small": level + rng.normal(-0.2, 0.2, 8)}
    numbers = [field.name for field in fields(Comparison)]

    def values(resamples: int) -> Comparison:
        return compare(study(rng, levels), "full", resamples=resamples, halvings=4)["small"]

    truth = np.mean([[getattr(one, name).value for name in numbers] for one in (values(1) for _ in range(200))], axis=0)
    holds = []
    for one in (values(100) for _ in range(40)):
        ends = np.array([getattr(one, name).these for name in numbers])
        holds.append((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
    assert (np.mean(holds, axis=0) >= 0.85).all()


def test_more_examples_and_runs_say_more() -> None:
    level = np.linspace(-0.5, 0.5, 8)
    widths = []
    for runs, examples in ((2, 100), (6, 2000)):
        right = study(np.random.default_rng(3), {"full": level, "small": level}, runs, examples)
        low, high = compare(right, "full", resamples=200)["small"].tau_one_run.these
        widths.append(high - low)
    assert widths[1] < widths[0]


def test_the_order_of_the_configurations_does_not_matter() -> None:
    right = study(np.random.default_rng(4), {"full": np.linspace(-1, 1, 6), "small": np.linspace(-1, 1, 6) ** 2})
    order = [3, 1, 5, 0, 4, 2]
    one, other = (
        compare(each, "full", resamples=2)["small"]
        for each in (right, {name: value[order] for name, value in right.items()})
    )
    for field in fields(Comparison):
        assert getattr(one, field.name).value == pytest.approx(getattr(other, field.name).value)


@pytest.mark.parametrize("shape", [(1, 3, 9), (3, 1, 9), (3, 3, 1)])
def test_one_of_anything_is_not_enough(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least two of each"):
        compare({"full": np.ones(shape, dtype=bool)}, "full")


def test_sets_must_hold_the_same() -> None:
    with pytest.raises(ValueError, match="the same configurations, runs and examples"):
        compare({"full": np.ones((3, 3, 9), dtype=bool), "small": np.ones((3, 2, 9), dtype=bool)}, "full")


def test_sweeps_are_listed_before_there_is_anything(tmp_path: Path) -> None:
    work = tmp_path / "fresh work"
    command = [sys.executable, str(ROOT / "benchmarks" / "ranking.py"), str(work)]
    listed = subprocess.run([*command, "--list"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(listed) == 4
    table = f"{work}/results/studies/sentences_mean/scores/h_score-seeds1+2+3+4+5+6.parquet"
    for line, name in zip(listed, ("full", "winning_ticket", "random_like", "random_same_classes"), strict=True):
        words = shlex.split(line)
        assert words[:4] == ["python", "-m", "hprune.train", "-m"]
        assert {f"subset={name}", f"task.data_dir='{work}/data/sst2_sentences'", "scoring.seeds=[1,2,3,4,5,6]"} <= {
            *words
        }
        assert any(table in word for word in words) == (name != "full")
    assert not work.exists()
    refused = subprocess.run([*command, "--list", "--scores", "h.parquet"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "its name does not say its runs" in refused.stderr
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "--data: there is no" in refused.stderr
