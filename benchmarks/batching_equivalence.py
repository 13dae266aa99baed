"""Do batches bucketed by length change what is learned or recorded?

    python benchmarks/batching_equivalence.py WORK [OVERRIDES]

Trains the demo, or what OVERRIDES say, with twenty seeds in bucketed and twenty other seeds in random batches (WORK
keeps the runs; the same command continues). Accuracy and the share of samples that a run has right in every epoch are
tested for equivalence by two one-sided Welch tests, within margins that were set before: 3 points. Winning tickets of
five runs are compared by Jaccard overlap: is it lower between the two ways of batching than within one? The p-value is
that of the permutation test which deals all runs anew to the two ways, 500 times.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from scipy import stats

from hprune.at_once import Planned, StudyPlace, at_once_of, training
from hprune.command import CONF, run_spec
from hprune.storage.manifests import read_manifest
from hprune.storage.runs import load_record
from hprune.storage.studies import runs_of
from hprune.training.units import load_samples

SEEDS = {"bucketed": range(1, 21), "random": range(101, 121)}
RUNS = 5  # behind a winning ticket
DRAWS, DEALS = 20, 500
MARGIN = 0.03


def _train(work: Path, batching: str, run: list[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Validation accuracy of each run, (runs,), and which samples it had right in every epoch, (runs, N)."""
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        overrides = [*run, f"data.batching={batching}", f"study={batching}"]
        specs = [run_spec(compose("train", overrides=overrides), seed=seed) for seed in SEEDS[batching]]
    data, place = load_samples(specs[0], root=work), StudyPlace(work, batching, tuple(SEEDS[batching]))
    at_once = at_once_of("auto", specs[0].trainer, runs=len(specs))
    with training(place, data, at_once=at_once) as collect:
        for done in collect(Planned(str(spec.seed), spec, "scoring") for spec in specs):
            print(f"{batching}, seed {done.run.spec.seed}: {done.state}", file=sys.stderr, flush=True)
    runs = runs_of(work, batching)
    accuracy = np.array([read_manifest(run.path)["metrics"]["validation"]["accuracy"] for run in runs])
    return accuracy, np.stack([load_record(run.path, "train_pass").correct.all(axis=0) for run in runs])


def ticket(right: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The winning ticket of some runs: right throughout in some of them, not in all."""
    score = right.sum(axis=0)
    return (score > 0) & (score < right.shape[0])


def jaccard(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """The share of what either keeps that both keep."""
    return float((a & b).sum() / (a | b).sum())


def gap(right: NDArray[np.bool_], ways: NDArray[np.int64]) -> tuple[float, float]:
    """Mean overlap of two winning tickets of the same way, and of different ways; two tickets share no run.

    Args:
        right: (runs, N).
        ways: (2, runs of a way) the runs that are taken for those of each way.
    """
    rng, within, between = np.random.default_rng(0), [], []
    for _ in range(DRAWS):
        drawn = [rng.permutation(way) for way in ways]
        (a, b), (c, d) = ((ticket(right[way[:RUNS]]), ticket(right[way[RUNS : 2 * RUNS]])) for way in drawn)
        within += [jaccard(a, b), jaccard(c, d)]
        between += [jaccard(a, d), jaccard(b, c)]
    return float(np.mean(within)), float(np.mean(between))


def equivalence(a: NDArray[np.float64], b: NDArray[np.float64], margin: float) -> tuple[float, float]:
    """The difference of means, and the p-value of "they differ by the margin or more" (TOST, Welch)."""
    low = stats.ttest_ind(a + margin, b, equal_var=False, alternative="greater").pvalue
    high = stats.ttest_ind(a - margin, b, equal_var=False, alternative="less").pvalue
    return float(a.mean() - b.mean()), float(max(low, high))


def rows(work: Path, run: list[str]) -> Iterator[str]:
    """The table."""
    found = {batching: _train(work, batching, run) for batching in SEEDS}
    accuracy, right = [list(values) for values in zip(*found.values(), strict=True)]
    single = [runs.mean(axis=1) for runs in right]
    yield "| | bucketed, mean (sd) | random, mean (sd) | difference | margin | p of a difference beyond it |"
    yield "|---|---|---|---|---|---|"
    for name, (a, b) in {"accuracy": accuracy, "share of samples right in every epoch of a run": single}.items():
        difference, p = equivalence(a, b, MARGIN)
        said = (f"{values.mean():.3f} ({values.std(ddof=1):.3f})" for values in (a, b))
        yield f"| {name} | {' | '.join(said)} | {difference:+.4f} | {MARGIN} | {p:.2g} |"
    both, runs = np.concatenate(right), np.arange(sum(map(len, right)))
    within, between = gap(both, runs.reshape(2, -1))
    rng, as_large = np.random.default_rng(1), 0
    for _ in range(DEALS):
        one, other = gap(both, rng.permutation(runs).reshape(2, -1))
        as_large += one - other >= within - between
    yield ""
    yield f"| overlap (Jaccard) of winning tickets of {RUNS} runs | mean |"
    yield "|---|---|"
    yield f"| two sets of seeds, the same batching | {within:.4f} |"
    yield f"| bucketed against random | {between:.4f} |"
    yield f"| p of so large a gap by chance ({DEALS} deals of the runs) | {(1 + as_large) / (1 + DEALS):.3f} |"


if __name__ == "__main__":
    print("\n".join(rows(Path(sys.argv[1]), sys.argv[2:] or ["+experiment=demo"])))
