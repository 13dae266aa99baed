"""kill -9 at any moment of a study: `python benchmarks/kills.py --kills 50 --seed 1`.

Whole studies of a tiny model, one run and two runs at once in turns, a checkpoint after every step. Each start is
killed, with all its processes, at a moment drawn from the time that an undisturbed study takes (imports, tokens,
training, scores, report) or, every other time, from the second after a run begins, and started again until it ends
before its moment. Then every record, prediction, subset, score, metric and loss must be equal, to the byte, to those of
the undisturbed study, and no file left over. Prints where the kills fell.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.conftest import tiny_options, write_corpus
from tests.sweeps import contents, left_over

RUNS = 9
MOST = 5  # kills of one study, so that many begin
STAGES = {
    "imports": "", "scoring runs": r"scoring run, seed", "comparison runs": r"arm \w+, seed",
    "the end": r"random_like/seed=12(: .* trained| is complete)",
}  # fmt: skip
"""What the study has said when it is there."""


@dataclass
class Killed:
    """What became of one study that was killed again and again."""

    at_once: int
    stages: Counter[str] = field(default_factory=Counter)
    resumed: int = 0  # runs that were continued from a checkpoint
    different: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """How many there were."""
        return self.stages.total()


def command(root: Path, corpus: Path, at_once: int = 1) -> list[str]:
    """The study: three scoring runs, three arms of two seeds, a checkpoint after every step."""
    options = [*tiny_options(corpus), "study=s", f"paths.root={root}", f"at_once={at_once}"]
    return [sys.executable, "-m", "hprune.study", *options, "trainer.checkpoint_minutes=0"]


def start(arguments: Sequence[str], log: Path, *, after: str = "", seconds: float | None = None) -> bool:
    """Run a command in a process group of its own; whether it ended before it was killed.

    Args:
        arguments: the command.
        log: gets what it says.
        after: what it must have said before the time runs.
        seconds: after which all its processes are killed; None: never.

    Raises:
        RuntimeError: if it fails by itself.
    """
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    with log.open("wb") as said:
        process = subprocess.Popen(arguments, stdout=said, stderr=said, start_new_session=True, env=environment)
        while process.poll() is None and after not in log.read_text(errors="replace"):
            time.sleep(0.02)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False
    if code:
        raise RuntimeError(f"the study ended with {code}:\n{log.read_text(errors='replace')[-3000:]}")
    return True


def kill_again_and_again(
    arguments: Sequence[str],
    root: Path,
    undisturbed: Path,
    *,
    moments: Sequence[tuple[str, float]],
    at_once: int = 1,
) -> Killed:
    """Kill a study until it ends before the next moment, or there is none; then compare with an undisturbed one.

    Args:
        arguments: its command.
        root: where it writes.
        undisturbed: where the other one wrote.
        moments: what it must have said, and seconds from then.
        at_once: how many runs it trains at the same time.
    """
    found, log = Killed(at_once), root.with_suffix(".log")
    for after, seconds in [*moments, ("", None)]:
        ended = start(arguments, log, after=after, seconds=seconds)
        said = log.read_text(errors="replace")
        found.resumed += said.count("continues from its checkpoint")
        if ended:
            break
        found.stages[[stage for stage, sign in STAGES.items() if re.search(sign, said)][-1]] += 1
    here, there = contents(root), contents(undisturbed)
    found.different = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
    found.left_over = left_over(root)
    return found


def moment_of(rng: np.random.Generator, seconds: float) -> tuple[str, float]:
    """Any moment of a study, half of which is imports, or one in the second after one of its runs has begun."""
    if rng.random() < 0.5:
        return "", float(rng.uniform(0, seconds))
    return f"[{rng.integers(1, RUNS, endpoint=True)} of {RUNS}]", float(rng.uniform(0, 1))


def row(name: str, at_once: str, studies: Sequence[Killed]) -> str:
    """A line of the table: sums over studies."""
    stages = sum((study.stages for study in studies), Counter[str]())
    numbers = [stages.total(), *(stages[stage] for stage in STAGES), sum(study.resumed for study in studies)]
    numbers += [sum(len(study.different) for study in studies), sum(len(study.left_over) for study in studies)]
    return f"| {name} | {at_once} | {' | '.join(map(str, numbers))} |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, done = np.random.default_rng(options.seed), list[Killed]()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "corpus").mkdir()
        write_corpus(work / "corpus")
        seconds = {}
        for at_once in (1, 2):
            began = time.monotonic()
            start(command(work / f"undisturbed{at_once}", work / "corpus", at_once), work / "undisturbed.log")
            seconds[at_once] = time.monotonic() - began
        equal = contents(work / "undisturbed1") == contents(work / "undisturbed2")
        print(f"undisturbed: {seconds[1]:.0f} s, two at once {seconds[2]:.0f} s; equal to each other: {equal}\n")
        columns = ["study", "at once", "kills", *(f"in {stage}" for stage in STAGES), "runs continued"]
        print(
            f"| {' | '.join([*columns, 'files that differ', 'left over'])} |\n{'|---' * (len(columns) + 2)}|",
            flush=True,
        )
        while (left := options.kills - sum(study.kills for study in done)) > 0:
            at_once, root = len(done) % 2 + 1, work / f"killed{len(done)}"
            moments = [moment_of(rng, seconds[at_once]) for _ in range(min(left, MOST))]
            arguments = command(root, work / "corpus", at_once)
            found = kill_again_and_again(arguments, root, work / "undisturbed1", moments=moments, at_once=at_once)
            done.append(found)
            print(row(str(len(done)), str(at_once), done[-1:]), flush=True)
    print(row("all", "", done) + "\n")
    bad = [name for study in done for name in study.different + study.left_over]
    print(*bad, sep="\n")
    return len(bad) > 0 or not equal


if __name__ == "__main__":
    sys.exit(main())
