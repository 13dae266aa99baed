"""How long one waits before anything happens: `python benchmarks/startup.py`.

Wall time of whole processes, the interpreter's own start included; they take turns, five rounds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

LINES = {
    "`python -m hprune.train --help`": (["-m", "hprune.train", "--help"], "2 s"),
    "`import hprune`": (["-c", "import hprune"], "0.3 s"),
    "`import numpy`, for comparison": (["-c", "import numpy"], ""),
    "an empty Python, for comparison": (["-c", ""], ""),
}


def seconds(arguments: list[str]) -> float:
    """Wall time of one process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    rounds = [{line: seconds(arguments) for line, (arguments, _) in LINES.items()} for _ in range(6)][1:]  # first: disk
    print("| | seconds, median of 5 | fastest .. slowest | goal |")
    print("|---|---|---|---|")
    for line, (_, goal) in LINES.items():
        times = [times[line] for times in rounds]
        print(f"| {line} | {statistics.median(times):.2f} | {min(times):.2f} .. {max(times):.2f} | {goal} |")
    subprocess.run([sys.executable, "-c", "import hprune, sys; assert 'torch' not in sys.modules"], check=True)


if __name__ == "__main__":
    main()
