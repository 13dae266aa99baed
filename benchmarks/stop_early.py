"""Where `scoring.stop_when.open_share` stops, what it claims, and what was really left out, over orders of the runs.

    python benchmarks/stop_early.py ROOT STUDY [STUDY ...] [--runs 8] [--from-seed 1] [--orders 500]
    python benchmarks/stop_early.py --simulated 20

Goal: in no order does a study that stops leave out more of the samples that all runs keep than the share that it was
given. ROOT is a folder of results (`multirun`), read only; each study needs at least four complete scoring runs. Every
way of measuring that the runs have is told. Without studies, the samples are simulated: 2,000 with chances by beta
distributions, some never or always right, 8 runs that differ by chance only, by a shift on the logit, or in that one of
them, anywhere in the order, fails at 7% of what it would have had right.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
from scipy.special import expit, logit

from hprune.science.convergence import certain_part
from hprune.science.patterns import Patterns, right_throughout
from hprune.science.records import Measured
from hprune.science.stopping import LEAST_RUNS, gain_limit, gains_of
from hprune.storage.dynamics import StoredDynamics
from hprune.storage.runs import state_of
from hprune.storage.studies import runs_of

SHARES = (0.01, 0.02, 0.03, 0.05, 0.1)
SHAPES = ((1.5, 0.3), (0.4, 0.3), (0.3, 2.0), (1.0, 1.0), (3.0, 0.15))


def of_study(root: Path, study: str, most: int, first: int) -> Iterator[tuple[str, Patterns]]:
    """The patterns of success of a study's complete scoring runs from a seed on, for each way of measuring."""
    runs = sorted(runs_of(root, study, "scoring"), key=lambda run: run.key.seed)
    paths = [run.path for run in runs if run.key.seed >= first and state_of(run.path) == "done"][:most]
    for measured in get_args(Measured):
        if paths and (paths[0] / f"record.{measured}.parquet").exists():
            pieces = StoredDynamics.open(paths, measured).pieces()
            yield f"{study}, {measured}", Patterns.of(right_throughout(piece) for piece in pieces)


def simulated(studies: int) -> Iterator[tuple[str, list[Patterns]]]:
    """Studies of each kind."""
    for name, differ, worse in (("by chance", 0.0, 1.0), ("0.3 on the logit", 0.3, 1.0), ("one is worse", 0.0, 0.93)):
        found = []
        for seed in range(studies):
            rng = np.random.default_rng(seed)
            p, u = rng.beta(*SHAPES[seed % 5], 2000), rng.random(2000)
            p = np.where(u < 0.1, 0, np.where(u < 0.5, 1, p)) if seed % 2 else p
            shifted = expit(logit(np.clip(p, 1e-12, 1 - 1e-12)) + differ * rng.standard_normal((8, 1)))
            chance = np.where((p == 0) | (p == 1), p, shifted)
            chance[rng.integers(8)] *= worse
            found.append(Patterns.of([rng.random((8, 2000)) < chance]))
        yield f"simulated, runs differ: {name}", found


def stop(patterns: Patterns, order: list[int], share: float) -> tuple[int, float, float] | None:
    """After how many runs it stops, which share it says is left out at most, and which is; None if it does not."""
    for runs in range(LEAST_RUNS, patterns.runs):
        so_far = patterns.among(order[:runs])
        certain, still_open = certain_part(so_far.histogram)
        limit = min(gain_limit(gains_of(so_far), patterns.runs - runs), still_open) / patterns.samples
        if limit <= share:
            return runs, limit, (certain_part(patterns.histogram)[0] - certain) / patterns.samples
    return None


def orders_of(runs: int, number: int) -> list[list[int]]:
    """Different orders drawn at random, the first by increasing seed."""
    rng = np.random.default_rng(0)
    return [list(range(runs)), *(rng.permutation(runs).tolist() for _ in range(number - 1))]


def tell(name: str, studies: list[Patterns], orders: int) -> None:
    """One line for each share."""
    runs = studies[0].runs
    kept = np.mean([certain_part(one.histogram)[0] / one.samples for one in studies])
    for share in SHARES:
        every = [stop(one, order, share) for one in studies for order in orders_of(runs, orders)]
        found = [one for one in every if one is not None]
        told = f"| {name} | {runs} | {kept:.1%} | {share:.0%} | {len(found) / len(every):.0%} |"
        if not found:
            print(f"{told} | | | | |", flush=True)
            continue
        after, claimed, left = (np.array(values) for values in zip(*found, strict=True))
        print(
            f"{told} {after.mean():.1f} ({after.min()} .. {after.max()}) | {claimed.mean():.2%} | {left.mean():.2%} | "
            f"{left.max():.2%} | {np.mean(left > share):.1%} |",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path)
    parser.add_argument("studies", nargs="*")
    parser.add_argument("--runs", type=int, choices=range(4, 17), default=16, help="the first so many, at most")
    parser.add_argument("--from-seed", type=int, default=1, help="the first seed")
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--simulated", type=int, default=20, help="studies of each kind, where none is named")
    options = parser.parse_args()
    heads = ["study", "runs", "in the ticket", "open_share", "orders that stop", "after runs", "claimed, mean"]
    heads += ["left out, mean", "most", "more than open_share"]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    if options.root is None:
        for name, studies in simulated(options.simulated):
            tell(name, studies, max(1, options.orders // options.simulated))
    for study in options.studies:
        for name, patterns in of_study(options.root, study, options.runs, options.from_seed):
            tell(name, [patterns], options.orders)


if __name__ == "__main__":
    main()
