"""Data with very many columns, and very many classes: seconds and memory beside those of a tenth of them.

    python benchmarks/wide_and_many.py [--columns 10000] [--classes 20000] [--no-train]

Each line is a process of its own, so that the memory is its peak. Columns: a CSV file of 50 rows is read as a task, and
its table is exported; so is one of durations and formulas, which CSV has in another form. Classes, 3 rows each: the
task is read and a third of it held out; subsets are chosen by a random H in four ways and described; answers to as many
examples as there are classes are evaluated, in batches; what each example contributes to three metrics; one epoch is
trained, by the command (`tiny_roberta`); and the commands make a whole study (two scoring runs, three arms of one seed,
two epochs of a smaller model), its report, an export and a triage sheet that is read back. Linear is 10; the answers
themselves, one number a class for each example, are 100, and what is kept of them is not.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROWS, PER_CLASS, FRACTION = 50, 3, 0.34
IMPORTED = ["hprune.data.datamodule", "hprune.storage.exports", "hprune.tasks.classification", "hprune.tasks.load",
            "hprune.science.pseudovalues", "hprune.science.select", "hprune.science.subset"]  # fmt: skip
"""What every process begins with, so that importing takes its time once."""
PARTS: dict[str, Callable[[Path, int], Any]] = {}


def part(name: str) -> Callable[[Callable[[Path, int], Any]], Callable[[Path, int], Any]]:
    """A line of the table; what comes back is done once the clock runs."""

    def add(function: Callable[[Path, int], Any]) -> Callable[[Path, int], Any]:
        PARTS[name] = function
        return function

    return add


def wide_file(folder: Path, columns: int) -> Path:
    """A CSV file with many columns beside text and label."""
    path = folder / "wide.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", *(f"c{i}" for i in range(columns))])
        writer.writerows([f"text {row}", "ab"[row % 2], *(row * i % 97 for i in range(columns))] for row in range(ROWS))
    return path


def many_file(folder: Path, classes: int) -> Path:
    """A CSV file with some short texts of each of many classes."""
    path = folder / "many.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([f"word{k % 500} word{i}", f"class {k}"] for i in range(PER_CLASS) for k in range(classes))
    return path


def task_of(path: Path) -> Any:
    """A task of that file."""
    from hprune.tasks.classification import Classification
    from hprune.tasks.spec import TaskSpec

    return TaskSpec("own", Classification(), train_file=str(path), validation_fraction=FRACTION)


@part("columns: read")
def _read_wide(folder: Path, columns: int) -> Any:
    from hprune.tasks.load import load_task

    return partial(load_task, task_of(wide_file(folder, columns)))


@part("columns: export")
def _export_wide(folder: Path, columns: int) -> Any:
    from hprune.storage.exports import write_export
    from hprune.tasks.source import read_splits

    table = read_splits(task_of(wide_file(folder, columns)))["train"]
    return partial(write_export, folder / "out.csv", table, np.empty(0, np.int64), formulas="keep")


@part("columns: formulas")
def _export_formulas(folder: Path, columns: int) -> Any:
    import pyarrow as pa

    from hprune.storage.exports import write_export

    half = columns // 2
    times, texts = pa.array([datetime.timedelta(seconds=1)] * ROWS), pa.array(["=1"] * ROWS)
    table = pa.table({f"={i}": times if i < half else texts for i in range(columns)})
    return partial(write_export, folder / "formulas.csv", table, np.empty(0, np.int64))


@part("classes: read")
def _read_many(folder: Path, classes: int) -> Any:
    from hprune.tasks.load import load_task

    return partial(load_task, task_of(many_file(folder, classes)))


@part("classes: choose")
def _choose(folder: Path, classes: int) -> Any:
    from hprune.science.records import Scores
    from hprune.science.select import by_value, lowest, random_like, random_same_classes
    from hprune.science.subset import SubsetSpec, choose, describe

    rng, n = np.random.default_rng(0), classes * PER_CLASS
    labels, ids = np.arange(n) % classes, np.arange(n)
    h, seeds = rng.integers(0, 7, n).astype(np.int16), {"seeds": [1, 2, 3, 4, 5, 6]}
    scores = Scores("h_score", ids, h, "easier", tuple(range(1, 7)), 3, "train_pass", "x", seeds)
    names = tuple(f"class {k}" for k in range(classes))
    specs = [
        SubsetSpec("ticket", by_value, keep="1..S-1", allow_missing_class=True),
        SubsetSpec("random", random_like, fraction=0.5, balance="share", allow_missing_class=True),
        SubsetSpec("lowest", lowest, fraction=0.5, balance="equal", allow_missing_class=True),
        SubsetSpec("same", random_same_classes, keep="1..S-1", allow_missing_class=True),
    ]

    def all_of_them() -> None:
        for spec in specs:
            chosen = choose(spec, scores, sample_ids=ids, labels=labels, label_names=names, data_hash="x", seed=1)
            describe(chosen, n, names)

    return all_of_them


@part("classes: evaluate")
def _evaluate(folder: Path, classes: int) -> Any:
    import torch

    from hprune.data.datamodule import Encoded
    from hprune.tasks.classification import Classification

    kind, batch = Classification(), 64
    labels = np.arange(classes)
    empty: Any = None

    def all_of_them() -> None:
        answers = []
        for start in range(0, classes, batch):
            logits = torch.randn(min(batch, classes - start), classes)
            of_batch = {"labels": torch.from_numpy(labels[start : start + batch])}
            answers.append(kind.answer(logits, of_batch))
        whole = {name: torch.cat([answer[name] for answer in answers]) for name in answers[0]}
        kind.evaluate(whole, Encoded(empty, labels))

    return all_of_them


@part("classes: contributions")
def _contributions(folder: Path, classes: int) -> Any:
    from hprune.science.pseudovalues import METRICS, contributions

    rng, label = np.random.default_rng(0), np.arange(classes)
    pred = np.where(rng.random(classes) < 0.5, label, rng.integers(0, classes, classes))
    return lambda: [contributions(METRICS[name], label, pred) for name in ("accuracy", "macro_f1", "mcc")]


@part("classes: train")
def _train(folder: Path, classes: int) -> Any:
    command = [sys.executable, "-m", "hprune.train", "task=own", f"task.train_file={many_file(folder, classes)}"]
    command += [f"task.validation_fraction={FRACTION}", "model=tiny_roberta", "trainer.max_epochs=1"]
    command += ["data.batch_size=64", f"paths.root={folder / 'root'}"]
    return partial(subprocess.run, command, cwd=folder, check=True, capture_output=True)


TINY = (
    "model=tiny_roberta", "model.config.hidden_size=16", "model.config.num_hidden_layers=1",
    "model.config.num_attention_heads=2", "model.config.intermediate_size=32", "model.vocab_size=300",
    "trainer.threads=1", "trainer.max_epochs=2", "data.batch_size=64", "optim.lr=5e-3",
)  # fmt: skip


@part("classes: study")
def _study(folder: Path, classes: int) -> Any:
    sheet = f"{folder}/sheet.csv"
    keep = "keep=0..S"  # hardly a sample is right in so few steps
    commands = [
        ["study", "task=own", f"task.train_file={many_file(folder, classes)}", f"task.validation_fraction={FRACTION}",
         *TINY, "scoring.seeds=[1,2]", "comparison.seeds=[11]", f"arms.winning_ticket.{keep}",
         f"arms.random_like.{keep}"],
        ["report"], ["export", "subset=winning_ticket", f"subset.{keep}", f"out={folder}/out.csv"],
        ["triage", "values=0..S", f"out={sheet}"], ["triage", f"read={sheet}", f"out={folder}/mended.csv"],
    ]  # fmt: skip

    def all_of_them() -> None:
        for command, *options in commands:
            line = [sys.executable, "-m", f"hprune.{command}", *options, "study=s", f"paths.root={folder}/root"]
            subprocess.run(line, cwd=folder, check=True, capture_output=True)

    return all_of_them


def measure(name: str, size: int, answer: Any) -> None:
    """In a process of its own: seconds, and the most memory it and its children had."""
    with tempfile.TemporaryDirectory() as folder:
        work = PARTS[name](Path(folder), size)
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
    of = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    answer.put((seconds, max(of) / 1024))


def measured(name: str, size: int) -> tuple[float, float]:
    """Seconds and megabytes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    answer = context.Queue()
    process = context.Process(target=measure, args=(name, size, answer))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{name} with {size:,} ended with {process.exitcode}")
    found: tuple[float, float] = answer.get()
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=20_000)
    parser.add_argument("--no-train", action="store_true")
    parser.add_argument("--only", default="", help="parts whose names hold this")
    options = parser.parse_args()
    print("| | a tenth | seconds | MB | all | seconds | MB | seconds grow by |")
    print("|---|---|---|---|---|---|---|---|")
    for name in PARTS:
        if options.only not in name or (options.no_train and name.endswith(("train", "study"))):
            continue
        size = options.columns if name.startswith("columns") else options.classes
        small, large = measured(name, size // 10), measured(name, size)
        cells = [f"{size // 10:,}", *_cells(*small), f"{size:,}", *_cells(*large), f"{large[0] / small[0]:.1f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _cells(seconds: float, megabytes: float) -> list[str]:
    return [f"{seconds:.3f}", f"{megabytes:,.0f}"]


if __name__ == "__main__":
    main()
