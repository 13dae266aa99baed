"""Every score of `conf/score` that looks at runs, on (S, E, N) = (6, 3, 10^7): seconds and memory.

    python benchmarks/all_scores.py [--samples 10000000] [--stored 1000000]

Goals: under 10 s for all of them together, and under 4 GiB, the dynamics (2.3 GB) included. They are drawn at
random and lie in memory; each score goes through them in pieces as `hprune.score` does, one thread. Making them is not
timed. The second table is of the whole of `hprune.score` for `--stored` samples: to read the records, which are random
and so hardly compressed, to compute, and to write the table. There reading and writing are most of it.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir

from hprune.command import CONF
from hprune.science.records import CONTINUOUS, OPTIONAL, Dynamics, RunKey, RunRecord
from hprune.score import ScoreSpec, instantiate_spec, score_study
from hprune.storage.runs import finish_run, run_folder, save_record, start_run
from hprune.storage.studies import add_run

RUNS, EPOCHS, PIECE = 6, 3, 2**17


def all_scores() -> Iterator[ScoreSpec]:
    """Those that look at runs, as their YAML files say."""
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        for path in sorted((CONF / "score").glob("*.yaml")):
            spec = instantiate_spec(compose("score", overrides=["study=s", f"score={path.stem}"]).score)
            if not spec.of_texts and not set(spec.needs) & set(OPTIONAL):
                yield spec


def pieces_of(samples: int) -> list[Dynamics]:
    """Random dynamics in pieces."""
    rng, pieces = np.random.default_rng(0), []
    for start in range(0, samples, PIECE):
        n = min(PIECE, samples - start)
        prob = rng.random((RUNS, EPOCHS, n), dtype=np.float32)
        real = {name: prob if name == "true_prob" else prob + np.float32(0.1) for name in CONTINUOUS}
        pieces.append(Dynamics(np.arange(start, start + n), prob > 0.2, **real))
    return pieces


def make_study(root: Path, samples: int) -> None:
    """Write the records of as many runs, of random numbers, and the study that scores them."""
    seeds = tuple(range(1, RUNS + 1))
    for seed in seeds:
        rng, folder = np.random.default_rng(seed), run_folder(root, RunKey("scale", "none", "full", seed), {})
        start_run(folder)
        prob, margin, el2n = (rng.random((EPOCHS, samples), dtype=np.float32) for _ in range(3))
        own = (folder.key, np.arange(samples), prob > 0.2, prob, margin, el2n, "train_pass", "", folder.settings_hash)
        save_record(folder, RunRecord(*own))
        finish_run(folder, {})
        add_run(root, "scale", folder, "scoring", seeds)


def time_stored(samples: int) -> None:
    """Time each score from the records of a study to its table."""
    print(f"\n| from records of {samples:,} samples to the table | seconds |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        make_study(Path(folder), samples)
        began = time.perf_counter()
        for spec in all_scores():
            since = time.perf_counter()
            score_study(Path(folder), "scale", spec)
            print(f"| {spec.name} | {time.perf_counter() - since:.2f} |", flush=True)
        print(f"| all, one after the other | {time.perf_counter() - began:.2f} |")


def main() -> None:
    """Time each score over all pieces, then from disk."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--stored", type=int, default=1_000_000)
    options = parser.parse_args()
    samples = options.samples
    pieces, total = pieces_of(samples), 0.0
    print("| score | seconds | ns a sample |\n|---|---|---|")
    for spec in all_scores():
        since = time.perf_counter()
        for piece in pieces:
            spec.function(piece)
        seconds = time.perf_counter() - since
        total += seconds
        print(f"| {spec.name} | {seconds:.2f} | {1e9 * seconds / samples:.0f} |", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"| all | {total:.2f} | {1e9 * total / samples:.0f} |\n\npeak memory {peak:.2f} GiB")
    time_stored(options.stored)


if __name__ == "__main__":
    main()
