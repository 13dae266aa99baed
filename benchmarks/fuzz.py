"""Hostile input by the thousand: `python benchmarks/fuzz.py --cases 10000`.

Cases of `tests/hostile.py`, spread over its targets: a row for each says how many were refused with a message of ours,
accepted, ended in a traceback, hung, or left a partial file. The last three must be 0; what they were is printed below.
Names of columns, files and classes go through the shell's rules and Hydra's grammar: one that comes out otherwise, or
is refused (but for `${`), counts as a traceback.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.hostile import TARGETS, try_cases

COLUMNS = ("cases", "refused", "accepted", "traceback", "hang", "partial")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="another one tries other cases")
    parser.add_argument("--only", default="", help="targets whose name holds this")
    options = parser.parse_args()
    warnings.simplefilter("error")
    targets = [target for target in TARGETS if options.only in target.name]
    print("| target | cases | refused with our message | accepted | tracebacks | hangs | partial files | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    bad: list[str] = []
    for target in targets:
        started = time.perf_counter()
        tally = try_cases(target, -(-options.cases // len(targets)), seed=options.seed)
        counts = " | ".join(f"{tally.outcomes[column]:,}" for column in COLUMNS)
        print(f"| {target.name} | {counts} | {time.perf_counter() - started:.0f} |", flush=True)
        bad += [f"{target.name}: {why}\n    {case!r:.300}" for why, case in tally.examples.items()]
    print(*bad, sep="\n")
    return len(bad) > 0


if __name__ == "__main__":
    sys.exit(main())
