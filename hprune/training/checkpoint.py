"""What a run needs to continue after an interruption: a checkpoint at the end of each epoch, and the metrics so far."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from hprune.storage.files import whole_file

log = logging.getLogger(__name__)


class EpochCheckpoint(Checkpoint):
    """Replace one checkpoint after every epoch but the last; it appears whole or not at all.

    A `Checkpoint`, so that Lightning calls it after every other callback has closed the epoch.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save, unless this was the last epoch."""
        if trainer.current_epoch + 1 < (trainer.max_epochs or 0):
            with whole_file(self.path) as temporary:
                trainer.save_checkpoint(temporary)


class History(Checkpoint):
    """The logged metrics of each epoch, as plain values.

    A `Checkpoint` too: called after the module has logged its own.

    Args:
        shown: the metric to say of each epoch, beside the losses.
    """

    def __init__(self, shown: str) -> None:
        self.shown = (f"validation/{shown}", "validation/loss", "train/loss")
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Append the metrics of the epoch."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.epochs.append({"epoch": trainer.current_epoch, **metrics})
        shown = ", ".join(f"{name} {metrics[name]:.4f}" for name in self.shown)
        log.info("  epoch %d of %s: %s", trainer.current_epoch + 1, trainer.max_epochs, shown)

    def state_dict(self) -> dict[str, Any]:
        """In the checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue."""
        self.epochs = state_dict["epochs"]
