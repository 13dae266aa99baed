"""What an interrupted run continues from: a checkpoint by time and at epoch ends, and the metrics so far."""

from __future__ import annotations

import logging
import math
import time
import zipfile
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from hprune.storage.files import one_line, whole_file

log = logging.getLogger(__name__)

LAYOUT = 2
"""Of what a checkpoint holds; to be raised whenever older ones can no longer be continued from."""
STATE = "ResumeCheckpoint"


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint straight to disk, whole or not at all; Lightning would hold a second copy in memory."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write it."""
        save_whole(checkpoint, Path(path))


def save_whole(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint whole or not at all.

    Raises:
        OSError: if that fails; torch makes of a full disk a RuntimeError about positions.
    """
    with whole_file(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(checkpoint, file)
        except RuntimeError as error:
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def check_checkpoint(path: Path, processes: int = 1) -> None:
    """Read a checkpoint, a file or a folder of them: its checksums, and whether a run of this version wrote it.

    Args:
        path: the file; or the folder, with a file for each of the processes.
        processes: that train the run.

    Raises:
        ValueError: if it was altered or cut off, a file is missing, or it is another version's; the message names it.
    """
    if path.is_dir():
        for number in range(processes):
            check_checkpoint(path / f"{number}.ckpt")
        return
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, RuntimeError, EOFError, FileNotFoundError) as error:
        broken = one_line(error)
    if broken is not None:
        raise ValueError(
            f"{path} is not a readable checkpoint ({broken}); it was altered or cut off: "
            "remove it, and the same command trains this run from the start"
        )
    try:
        layout = torch.load(path, mmap=True, weights_only=True, map_location="cpu")["callbacks"][STATE]["layout"]
    except OSError:
        raise
    except Exception:  # what torch's reader of plain values raises depends on what it met
        layout = None
    if layout != LAYOUT:
        raise ValueError(
            f"{path} is not a checkpoint of this version of hprune (layout {layout!r:.20}, must be {LAYOUT}): "
            "continue with the version that wrote it, or remove it, and the same command trains this run from the start"
        )


class ResumeCheckpoint(Checkpoint):
    """Replaces one checkpoint whenever `minutes` have passed, within an epoch too, and after every epoch but the last.

    Within an epoch only where the optimiser has just stepped: gradients that wait for others are not saved.
    A `Checkpoint`, so that Lightning calls it after every other callback has closed the batch or the epoch.

    Args:
        path: of the checkpoint.
        minutes: between two.
    """

    def __init__(self, path: Path, *, minutes: float) -> None:
        self.path, self.seconds = path, minutes * 60
        self.saved, self.steps, self.look = time.monotonic(), 0, 0
        self.resumed = 0  # how many times the run was continued
        self.spent = 0.0  # seconds of writing

    @property
    def state_key(self) -> str:
        """Where its state lies in the checkpoint."""
        return STATE

    def state_dict(self) -> dict[str, Any]:
        """In the checkpoint."""
        return {"resumed": self.resumed, "layout": LAYOUT, "spent": self.spent}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Once more."""
        self.resumed, self.spent = state_dict["resumed"] + 1, state_dict.get("spent", 0.0)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time."""
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if stepped and not trainer.is_last_batch and self._due(trainer):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save, unless this was the last epoch."""
        if trainer.current_epoch + 1 < (trainer.max_epochs or 0):
            self._save(trainer)

    def _due(self, trainer: L.Trainer) -> bool:
        """Whether it is time, by the clock of the first process; the others hear of it again half-way there."""
        self.steps += 1
        passed = time.monotonic() - self.saved
        if trainer.world_size == 1:
            return passed >= self.seconds
        if self.steps < self.look:
            return False
        left = (self.seconds - passed) / passed * self.steps  # in steps
        left = trainer.strategy.broadcast(left)
        self.look = self.steps + math.ceil(left / 2)
        return left <= 0

    def _save(self, trainer: L.Trainer) -> None:
        started = time.monotonic()
        trainer.save_checkpoint(self.path)
        self.saved, self.steps, self.look = time.monotonic(), 0, 0
        self.spent += self.saved - started


class History(Checkpoint):
    """The logged metrics of each epoch, as plain values; those of a validation where there was one.

    A `Checkpoint` too: called after the module has logged its own.

    Args:
        shown: the metric to say of each epoch, beside the losses.
    """

    def __init__(self, shown: str) -> None:
        self.shown = (f"validation/{shown}", "validation/loss", "train/loss")
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Append the metrics of the epoch."""
        validated = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        metrics = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()  # an earlier validation's stay
            if validated or not name.startswith("validation/")
        }
        self.epochs.append({"epoch": trainer.current_epoch, **metrics})
        shown = ", ".join(f"{name} {metrics[name]:.4f}" for name in self.shown if name in metrics)
        log.info("  epoch %d of %s: %s", trainer.current_epoch + 1, trainer.max_epochs, shown)

    def state_dict(self) -> dict[str, Any]:
        """In the checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue."""
        self.epochs = state_dict["epochs"]
