"""A run on a subset that takes as many steps of the optimiser as one on the full set: it ends where they are taken."""

from __future__ import annotations

from typing import Any

import lightning as L


class StopAtStep(L.Callback):
    """End the training when so many steps are taken, within an epoch too.

    By a callback, as Lightning 2.6 cannot continue a run at the end of an epoch if `max_steps` bounds it.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ask the trainer to stop, at the end of the batch."""
        if trainer.global_step >= self.steps:
            trainer.should_stop = True


def cut_off(trainer: L.Trainer) -> bool:
    """Whether the epoch that ends now was not gone through as a whole."""
    return trainer.should_stop and not trainer.is_last_batch
