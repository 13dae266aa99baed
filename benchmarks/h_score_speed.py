"""H of ten million samples, 6 runs, 3 epochs: `python benchmarks/h_score_speed.py` (goal: 1 s, 1 GiB).

The definition, read aloud as a triple loop, is timed on 20,000 samples in turn with it and scaled up.
"""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune.science.records import Dynamics
from hprune.science.scores.h_score import h_score

RUNS, EPOCHS, SAMPLES, FEW = 6, 3, 10_000_000, 20_000


def literal(correct: NDArray[np.bool_]) -> list[int]:
    """H_i = sum_s prod_e correct[s, e, i], as it is written."""
    bits, scores = correct.tolist(), []
    for i in range(correct.shape[2]):
        h = 0
        for run in bits:
            product = 1
            for epoch in run:
                product *= epoch[i]
            h += product
        scores.append(h)
    return scores


def seconds(function: Callable[[], Any]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def peak(function: Callable[[], Any]) -> float:
    """Most memory that a call holds beside its input, in GiB."""
    tracemalloc.start()
    function()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 2**30


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    correct = rng.integers(0, 2, (RUNS, EPOCHS, SAMPLES), dtype=np.uint8).view(np.bool_)
    few = np.ascontiguousarray(correct[:, :, :FEW])
    dynamics = Dynamics(np.arange(SAMPLES), correct)
    assert h_score(dynamics)[:FEW].tolist() == literal(few)
    fast, slow = zip(
        *[(seconds(lambda: h_score(dynamics)), seconds(lambda: literal(few))) for _ in range(7)], strict=True
    )
    h, loop = statistics.median(fast), statistics.median(slow) * SAMPLES / FEW
    ratio = statistics.median(SAMPLES / FEW * b / a for a, b in zip(fast, slow, strict=True))
    memory = peak(lambda: h_score(dynamics))
    print(f"| H of {SAMPLES:,} samples, S = {RUNS}, E = {EPOCHS} | seconds (median of 7) | extra memory at the peak |")
    print("|---|---|---|")
    print(f"| h_score | {h:.2f} (goal 1) | {memory:.2f} GiB (goal 1) |")
    print(f"| triple loop, {FEW:,} samples scaled up | {loop:.0f}, {ratio:.0f} times as long | |")


if __name__ == "__main__":
    main()
