"""Training samples a second, against HF Trainer and a bare PyTorch loop.

    python benchmarks/training_speed.py MODEL DATA [--samples 512] [--rounds 5] [--precision 32]

MODEL is a folder with weights and tokenizer, DATA one with SST-2 as files. Everyone fine-tunes the same samples for one
epoch, in batches of 32, in the same process, in turns, in a new order each round; building the trainer is not counted.
HF Trainer runs as the authors of the H-score ran it (padded to 128), with dynamic padding, and grouped by length; the
bare loop takes the very batches that hprune takes, once with the model as transformers has it, and once packed.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from transformers import DataCollatorWithPadding, PreTrainedModel, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_pt_utils import get_length_grouped_indices

from hprune.command import CONF, run_spec
from hprune.science.records import Subset
from hprune.tasks.load import load_task
from hprune.tasks.spec import TaskData
from hprune.training.assemble import Assembled, assemble
from hprune.training.guard import StopOnNonFinite
from hprune.training.quiet import quiet_libraries
from hprune.training.recorder import Recorder
from hprune.training.seeding import SeedEachStep
from hprune.training.settings import RunSpec
from hprune.training.stopwatch import Stopwatch


def make_spec(model: str, data: str, samples: int, precision: str) -> RunSpec:
    """One epoch over a sample of SST-2."""
    overrides = [
        "+experiment=sst2_minilm", f"model.path={model}", f"task.data_dir={data}", f"task.max_train_samples={samples}",
        "record=train_pass", "trainer.max_epochs=1", f"trainer.precision={precision}",
    ]  # fmt: skip
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        return run_spec(compose("train", overrides=overrides))


def parts_of(spec: RunSpec, data: TaskData, folder: str, *, packed: bool = True) -> Assembled:
    """Model and batches of a run, as hprune makes them."""
    ids = data.train["sample_id"].to_numpy().copy()
    spec = dataclasses.replace(spec, data=dataclasses.replace(spec.data, packed=packed))
    return assemble(spec, data, Subset("full", ids, data.data_hash, {}), root=Path(folder))


def hprune(spec: RunSpec, parts: Assembled, data: TaskData) -> Callable[[], float]:
    """What `hprune train` trains with, recording included."""

    def seconds() -> float:
        ids, stopwatch = data.train["sample_id"].to_numpy(), Stopwatch()
        callbacks = [SeedEachStep(1), stopwatch, StopOnNonFinite(ids), Recorder(ids, ["train_pass"])]
        L.Trainer(
            max_epochs=1, accelerator="cpu", precision=spec.trainer.precision, gradient_clip_val=1.0,
            callbacks=callbacks, limit_val_batches=0, logger=False, enable_checkpointing=False,
            enable_model_summary=False, enable_progress_bar=False, use_distributed_sampler=False,
        ).fit(parts.module, datamodule=parts.datamodule)  # fmt: skip
        return stopwatch.seconds

    return seconds


def bare(spec: RunSpec, parts: Assembled) -> Callable[[], float]:
    """The loop that one would write by hand, over the same batches: no recording, no logging."""
    model, kind = parts.module.model, parts.module.kind

    def seconds() -> float:
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.0, fused=True)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=len(parts.datamodule.plan))
        started = time.perf_counter()
        for batch in parts.datamodule.train_dataloader():
            with torch.autocast("cpu", torch.bfloat16, enabled=spec.trainer.precision.startswith("bf16")):
                outputs = kind.outputs(model, batch)
            kind.loss(outputs, batch).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        return time.perf_counter() - started

    return seconds


class Grouped(Trainer):
    """Groups by length as HF Trainer does on a large set, 50 batches at a time: on a small one it looks at fewer."""

    def _get_train_sampler(self, *_: Any) -> Any:
        lengths = [len(row["input_ids"]) for row in self.train_dataset]  # type: ignore[union-attr]
        return get_length_grouped_indices(lengths, 32, mega_batch_mult=50)


class Clock(TrainerCallback):
    """Seconds from the start of the epoch to the end of its last step."""

    started = last = 0.0

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Start."""
        self.started = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Note the time."""
        self.last = time.perf_counter()


def hf_trainer(
    spec: RunSpec, parts: Assembled, folder: str, *, to: int | None = None, how: type[Trainer] = Trainer
) -> Callable[[], float]:
    """HF Trainer over the same samples."""
    tokens, labels = parts.datamodule.train.data.tokens, parts.datamodule.train.data.labels
    rows = [
        {"input_ids": tokens.input_ids[a:b].tolist(), "attention_mask": [1] * int(b - a), "labels": int(label)}
        for a, b, label in zip(tokens.offsets, tokens.offsets[1:], labels, strict=False)
    ]
    padding = {"padding": "max_length", "max_length": to} if to else {"padding": True}
    collator = DataCollatorWithPadding(parts.tokenizer, **padding)
    arguments = TrainingArguments(
        folder, num_train_epochs=1, per_device_train_batch_size=32, learning_rate=5e-5, use_cpu=True, report_to="none",
        save_strategy="no", disable_tqdm=True, logging_strategy="no",
        bf16=spec.trainer.precision.startswith("bf16"),
    )  # fmt: skip

    def seconds() -> float:
        clock, model = Clock(), parts.module.model
        trainer = how(model, arguments, collator, rows, callbacks=[clock])  # type: ignore[arg-type]
        assert isinstance(model, PreTrainedModel)
        trainer.train()
        return clock.last - clock.started

    return seconds


def main() -> None:
    """Run the rounds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="32", choices=["32", "bf16"])
    parser.add_argument("--skip", nargs="*", default=[], help="words in the names of those that are left out")
    given = parser.parse_args()
    spec = make_spec(given.model, given.data, given.samples, given.precision)
    data = load_task(spec.task)
    with tempfile.TemporaryDirectory() as folder, quiet_libraries():
        plain, packed = parts_of(spec, data, folder, packed=False), parts_of(spec, data, folder)
        everyone = {
            "hprune": hprune(spec, parts_of(spec, data, folder), data),
            "bare loop, packed": bare(spec, packed),
            "bare loop": bare(spec, plain),
            "HF Trainer, grouped by length": hf_trainer(
                spec, parts_of(spec, data, folder, packed=False), folder, how=Grouped
            ),
            "HF Trainer, dynamic padding": hf_trainer(spec, parts_of(spec, data, folder, packed=False), folder),
            "HF Trainer, padded to 128": hf_trainer(spec, parts_of(spec, data, folder, packed=False), folder, to=128),
        }
        everyone = {name: run for name, run in everyone.items() if not any(word in name for word in given.skip)}
        rounds, draw = [], random.Random(0)
        for _ in range(given.rounds):
            order = draw.sample(list(everyone), len(everyone))
            took = {name: everyone[name]() for name in order}
            rounds.append(took)
            print({name: round(seconds, 2) for name, seconds in took.items()}, flush=True)
    mean = np.diff(packed.datamodule.train.data.tokens.offsets).mean()
    print(f"\n{given.samples} phrases of SST-2, {mean:.1f} tokens each, {given.precision}, {given.rounds} rounds\n")
    print("| | samples a second, median | hprune is faster by, median (lowest .. highest) |")
    print("|---|---|---|")
    for name in everyone:
        ratios = sorted(took[name] / took["hprune"] for took in rounds)
        speed = given.samples / statistics.median(took[name] for took in rounds)
        print(f"| {name} | {speed:.1f} | {statistics.median(ratios):.2f} ({ratios[0]:.2f} .. {ratios[-1]:.2f}) |")


if __name__ == "__main__":
    main()
