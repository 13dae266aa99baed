"""From what six runs left on disk to H, 20,000 samples, 3 epochs: `python benchmarks/records_to_scores.py`.

Goals: 40 ms, and 100 times as fast as the way of the authors' code, which is done here on the same logits: it saves the
logits of every batch, makes a list of each sample's, then compares them with the labels one by one. Both read their own
files, which the machine has just written, in turns in one process.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hprune.science.records import RunKey, RunRecord
from hprune.science.scores.h_score import h_score
from hprune.score import ScoreSpec, score_study
from hprune.storage.dynamics import StoredDynamics
from hprune.storage.runs import finish_run, run_folder, save_record, start_run
from hprune.storage.studies import add_run, runs_of

SEEDS, EPOCHS, SAMPLES, CLASSES, BATCH = (1, 2, 3, 4, 5, 6), 3, 20_000, 2, 32


def make(root: Path, labels: NDArray[np.int64]) -> None:
    """Write what six runs leave, in both ways: records, and logits by batch with the order of the samples."""
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=(EPOCHS, SAMPLES, CLASSES)).astype(np.float32)
        logits += 2 * np.eye(CLASSES, dtype=np.float32)[labels] * np.arange(1, EPOCHS + 1)[:, None, None]
        folder = run_folder(root, RunKey("cost", "none", "full", seed), {})
        start_run(folder)
        real = [rng.random((EPOCHS, SAMPLES), dtype=np.float32) for _ in range(3)]
        correct = logits.argmax(axis=-1) == labels
        key, ids = folder.key, np.arange(SAMPLES)
        save_record(folder, RunRecord(key, ids, correct, *real, "train_pass", "data", folder.settings_hash))
        finish_run(folder, {})
        add_run(root, "cost", folder, "scoring", SEEDS)
        theirs, order = root / "logits" / str(seed), rng.permutation(SAMPLES)
        theirs.mkdir(parents=True)
        batches = [batch for epoch in logits for batch in torch.from_numpy(epoch[order]).split(BATCH)]
        torch.save([batch.clone() for batch in batches], theirs / "outputs.pt")
        torch.save(order.tolist(), theirs / "order.pt")


def ours(root: Path) -> list[int]:
    """Open the records, check them, H."""
    stored = StoredDynamics.open([run.path for run in runs_of(root, "cost")], "train_pass")
    return np.concatenate([h_score(piece) for piece in stored.pieces()]).tolist()


def ours_with_table(root: Path) -> None:
    """The whole command: the same, and the score table."""
    path = score_study(root, "cost", ScoreSpec("h_score", h_score, "easier"))
    path.unlink()


def theirs(root: Path, labels: torch.Tensor) -> list[int]:
    """Load the logits of each run, and ask of each sample in each epoch whether it was right."""
    right: list[list[list[int]]] = [[[] for _ in range(SAMPLES)] for _ in range(EPOCHS)]
    for folder in sorted((root / "logits").iterdir()):
        flat = [sample.tolist() for batch in torch.load(folder / "outputs.pt") for sample in batch]
        outputs, order = torch.as_tensor(flat).view(EPOCHS, -1, CLASSES), torch.load(folder / "order.pt")
        for epoch in range(EPOCHS):
            for position, sample in enumerate(order):
                right[epoch][sample].append(int(outputs[epoch][position].argmax() == labels[sample]))
    return torch.as_tensor(right).prod(dim=0).sum(dim=1).tolist()


def seconds(function: Callable[[], Any]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    labels = np.random.default_rng(0).integers(0, CLASSES, SAMPLES)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make(root, labels)
        assert ours(root) == theirs(root, torch.from_numpy(labels))
        jobs = [lambda: ours(root), lambda: ours_with_table(root), lambda: theirs(root, torch.from_numpy(labels))]
        values, table, loops = zip(*[[seconds(job) for job in jobs] for _ in range(7)], strict=True)
        files = sum(path.stat().st_size for path in root.glob("runs/**/record.*.parquet"))
        logits = sum(path.stat().st_size for path in root.glob("logits/**/*.pt"))
    ratio = [statistics.median(b / a for a, b in zip(way, loops, strict=True)) for way in (values, table)]
    print(f"| {SAMPLES:,} samples, S = {len(SEEDS)}, E = {EPOCHS} | median of 7 | range | on disk |")
    print("|---|---|---|---|")
    rows = {
        f"records to H ({ratio[0]:.0f} times as fast, goal 100)": (values, files),
        f"and the score table ({ratio[1]:.0f} times as fast)": (table, files),
        "the authors' way: logits to H": (loops, logits),
    }
    for name, (took, size) in rows.items():
        middle, low, high = (1e3 * pick(took) for pick in (statistics.median, min, max))
        print(f"| {name} | {middle:,.0f} ms | {low:,.0f} .. {high:,.0f} ms | {size / 1e6:.1f} MB |")


if __name__ == "__main__":
    main()
