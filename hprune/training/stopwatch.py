"""How long training itself took: the batches, without validation, clean passes and checkpoints."""

from __future__ import annotations

import time
from typing import Any

import lightning as L


class Stopwatch(L.Callback):
    """Seconds from the start of each epoch to the end of its last batch, summed; kept over an interruption."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.started = self.last = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self.started = self.last = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time."""
        self.last = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the epoch."""
        self.seconds += self.last - self.started

    def state_dict(self) -> dict[str, Any]:
        """In the checkpoint."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue."""
        self.seconds = state_dict["seconds"]
