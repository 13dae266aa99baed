"""How long training itself took: the batches, without validation, clean passes and checkpoints; and the validation."""

from __future__ import annotations

import time
from typing import Any

import lightning as L


class Stopwatch(L.Callback):
    """Seconds of the batches, without checkpoints and what lies between two epochs; kept over an interruption.

    `validation` are those of the validation between epochs.
    """

    def __init__(self) -> None:
        self.seconds, self.validation = 0.0, 0.0
        self.since: float | None = None
        self.validating = 0.0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock, unless it runs: the time between two batches counts."""
        if self.since is None:
            self.since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count until now."""
        assert self.since is not None
        now = time.perf_counter()
        self.seconds, self.since = self.seconds + now - self.since, now

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the other clock."""
        self.validating = time.perf_counter()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop it."""
        self.validation += time.perf_counter() - self.validating

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock."""
        self.since = None

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Stop the clock here, too."""
        self.since = None

    def state_dict(self) -> dict[str, Any]:
        """In the checkpoint."""
        return {"seconds": self.seconds, "validation": self.validation}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue."""
        self.seconds, self.validation = state_dict["seconds"], state_dict.get("validation", 0.0)
