"""Do batches bucketed by length change what is learned or recorded?

    python benchmarks/batching_equivalence.py WORK [OVERRIDES]

Trains the demo, or what OVERRIDES say, with ten seeds in bucketed and ten other seeds in random batches (WORK keeps the
runs; the same command continues). Accuracy and the share of samples that a run has right in every epoch are tested for
equivalence by two one-sided Welch tests, within margins that were set before: 3 points. Winning tickets of five runs
are compared by Jaccard overlap: is it lower between the two ways of batching than within one? The p-value is that of
the permutation test which deals the twenty runs anew to the two ways, 200 times.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from scipy import stats

from hprune.at_once import Planned, StudyPlace, at_once_of, training
from hprune.command import CONF, run_spec
from hprune.storage.runs import load_record, read_manifest
from hprune.storage.studies import runs_of
from hprune.training.units import load_samples

SEEDS = {"bucketed": range(1, 11), "random": range(101, 111)}
HALF = 5
MARGIN = 0.03


def _train(work: Path, batching: str, run: list[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Validation accuracy of each run, (10,), and which samples it had right in every epoch, (10, N)."""
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        overrides = [*run, f"data.batching={batching}", f"study={batching}"]
        specs = [run_spec(compose("train", overrides=overrides), seed=seed) for seed in SEEDS[batching]]
    data, place = load_samples(specs[0], root=work), StudyPlace(work, batching, tuple(SEEDS[batching]))
    at_once = at_once_of("auto", specs[0].trainer, runs=len(specs))
    with training(place, data, at_once=at_once) as collect:
        for done in collect(Planned(str(spec.seed), spec, "scoring") for spec in specs):
            print(f"{batching}, seed {done.spec.seed}", file=sys.stderr, flush=True)
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


def gap(right: NDArray[np.bool_], first: list[int], second: list[int]) -> tuple[float, float]:
    """Mean overlap of winning tickets within a way, and between the two, over a few disjoint halves of its runs."""
    halves = [combination for combination in combinations(range(2 * HALF), HALF) if 0 in combination][::12]
    within, between = [], []
    for half in halves:
        other = [i for i in range(2 * HALF) if i not in half]
        tickets = [ticket(right[[way[i] for i in part]]) for way in (first, second) for part in (half, other)]
        within += [jaccard(tickets[0], tickets[1]), jaccard(tickets[2], tickets[3])]
        between += [jaccard(tickets[0], tickets[3]), jaccard(tickets[1], tickets[2])]
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
    shares = [
        np.array([ticket(runs[list(half)]).mean() for half in ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))]) for runs in right
    ]
    single = [runs.mean(axis=1) for runs in right]
    yield "| | bucketed, mean (sd) | random, mean (sd) | difference | margin | p of a difference beyond it |"
    yield "|---|---|---|---|---|---|"
    for name, (a, b) in {"accuracy": accuracy, "share of samples right in every epoch of a run": single}.items():
        difference, p = equivalence(a, b, MARGIN)
        said = (f"{values.mean():.3f} ({values.std(ddof=1):.3f})" for values in (a, b))
        yield f"| {name} | {' | '.join(said)} | {difference:+.4f} | {MARGIN} | {p:.2g} |"
    a, b = (values.mean() for values in shares)
    yield f"| share in the winning ticket of 5 runs | {a:.3f} | {b:.3f} | {a - b:+.4f} | | |"
    both = np.concatenate(right)
    first, second = list(range(10)), list(range(10, 20))
    within, between = gap(both, first, second)
    rng, deals = np.random.default_rng(0), 200
    lower = 0
    for _ in range(deals):
        dealt = rng.permutation(20).tolist()
        one, other = gap(both, dealt[:10], dealt[10:])
        lower += one - other >= within - between
    yield ""
    yield "| overlap (Jaccard) of winning tickets of 5 runs | mean |"
    yield "|---|---|"
    yield f"| two sets of seeds, the same batching | {within:.4f} |"
    yield f"| bucketed against random | {between:.4f} |"
    yield f"| p of so large a gap by chance ({deals:,} deals of the runs) | {(1 + lower) / (1 + deals):.3f} |"


if __name__ == "__main__":
    print("\n".join(rows(Path(sys.argv[1]), sys.argv[2:] or ["+experiment=demo"])))
