"""What recording costs as the train set grows: `python benchmarks/recording_scale.py [LARGEST]` (default 10,000,000).

Three epochs of made-up judgements go through the recorder. Timed: writing down a batch of 32 rows that lie anywhere
(500 of them), closing an epoch (the check that each sample was seen once, the copy to the host), and saving the record
of three epochs. Numbers are random, which is the worst case for the size of the file. Memory is counted by tensor.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from hprune.science.records import RunKey, RunRecord
from hprune.storage.runs import run_folder, save_record
from hprune.tasks.spec import Judgement
from hprune.training.recorder import Recorder

EPOCHS, BATCH, TIMED = 3, 32, 500


def seconds(work: Callable[..., Any], *arguments: Any) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def judgement(size: int) -> Judgement:
    """Made-up numbers of a batch."""
    prob = torch.rand(size)
    return Judgement(prob > 0.5, prob, torch.randn(size), (1 - prob) * 2**0.5)


def measure(samples: int, folder: Path) -> str:
    """A row of the table."""
    recorder = Recorder(np.arange(samples), ["train_pass"])
    metric, closing, writing = recorder.judged["train_pass"], [], []
    timed = BATCH * min(TIMED, samples // BATCH)
    for epoch in range(EPOCHS):
        rows = torch.randperm(samples)
        writing += [seconds(metric.update, judgement(BATCH), part) for part in rows[:timed].split(BATCH)]
        for part in rows[timed:].split(2**20):
            metric.update(judgement(part.numel()), part)
        closing.append(
            seconds(recorder.on_train_epoch_end, SimpleNamespace(current_epoch=epoch, should_stop=False), None)
        )
    held = [getattr(metric, name) for name in metric._defaults] + list(metric._defaults.values())
    kept = [values for epoch in recorder.epochs["train_pass"] for values in epoch.values()]
    state, record = (sum(values.untyped_storage().nbytes() for values in tensors) for tensors in (held, kept))
    key = RunKey("made_up", "none", "full", 1)
    made = RunRecord(
        key, np.arange(samples), **recorder.arrays("train_pass"), measured="train_pass", data_hash="", settings_hash=""
    )
    place = run_folder(folder, key, {})
    saving = seconds(save_record, place, made)
    file = place.path / "record.train_pass.parquet"
    size = file.stat().st_size
    file.unlink()
    return (
        f"| {samples:,} | {1e6 * statistics.median(writing):.0f} | {1e3 * statistics.median(closing):.3g} "
        f"| {state / samples:.1f} + {record / samples / EPOCHS:.1f} | {(state + record) / samples / EPOCHS:.1f} "
        f"| {saving:.3g} | {size / samples / EPOCHS:.1f} |"
    )


def main(largest: int) -> None:
    """Print the table."""
    print(
        "| samples | a batch of 32 written down, microseconds | an epoch closed, ms "
        "| bytes of memory a sample: once + each epoch | together, a sample and epoch, E = 3 "
        "| record saved, s | bytes on disk a sample and epoch |"
    )
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for power in range(3, 9):
            if 10**power <= largest:
                print(measure(10**power, Path(folder)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 10_000_000)
