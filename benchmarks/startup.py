"""How long one waits before anything happens: `python benchmarks/startup.py`.

Wall time of whole processes, the interpreter's own start included; they take turns, five rounds. The first step is that
of `hprune train` with the demo's small model, tokens cached: the process ends itself after it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

FIRST_STEP = """
import os, runpy, sys
import hprune.training.stopwatch as stopwatch
stopwatch.Stopwatch.on_train_batch_end = lambda *_: os._exit(0)
sys.argv = ["hprune.train", "+experiment=demo", f"paths.root={sys.argv[1]}"]
runpy.run_module("hprune.train", run_name="__main__")
"""
LIBRARIES = "import torch, lightning, transformers"
LINES = {
    "`python -m hprune.train --help`": (["-m", "hprune.train", "--help"], "1 s"),
    "`import hprune`": (["-c", "import hprune"], "0.3 s"),
    f"`{LIBRARIES}`": (["-c", LIBRARIES], ""),
    "`hprune train` to the end of its first step": (["-c", FIRST_STEP], "3 s more than that"),
    "`import numpy`, for comparison": (["-c", "import numpy"], ""),
    "an empty Python, for comparison": (["-c", ""], ""),
}


def seconds(arguments: list[str], root: str) -> float:
    """Wall time of one process."""
    more = [root] if FIRST_STEP in arguments else []
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments, *more], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as root:  # the first round reads from disk, and tokenises
        rounds = [{line: seconds(arguments, root) for line, (arguments, _) in LINES.items()} for _ in range(6)][1:]
    print("| | seconds, median of 5 | fastest .. slowest | goal |")
    print("|---|---|---|---|")
    for line, (_, goal) in LINES.items():
        times = [times[line] for times in rounds]
        print(f"| {line} | {statistics.median(times):.2f} | {min(times):.2f} .. {max(times):.2f} | {goal} |")
    subprocess.run([sys.executable, "-c", "import hprune, sys; assert 'torch' not in sys.modules"], check=True)


if __name__ == "__main__":
    main()
