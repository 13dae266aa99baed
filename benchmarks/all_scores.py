"""Every score of `conf/score` that looks at runs, on (S, E, N) = (6, 3, 10^7): seconds and memory.

    python benchmarks/all_scores.py [--samples 10000000]

Goals: under 10 s for all of them together, and under 4 GiB, the dynamics (2.3 GB) included. They are drawn at
random and lie in memory; each score goes through them in pieces as `hprune.score` does, one thread. Making them and
reading records from disk are not timed (`scoring_scale.py` does that).
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator

import numpy as np
from hydra import compose, initialize_config_dir

from hprune.command import CONF
from hprune.science.records import CONTINUOUS, OPTIONAL, Dynamics
from hprune.score import ScoreSpec, instantiate_spec

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


def main() -> None:
    """Time each score over all pieces."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000_000)
    samples = parser.parse_args().samples
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


if __name__ == "__main__":
    main()
