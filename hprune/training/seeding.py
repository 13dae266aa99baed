"""Seeds that depend on where a run is, not on what was drawn before: an interrupted run continues as if undisturbed."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import torch


def derived_seed(seed: int, *place: int) -> int:
    """A seed for one place in a run, such as (epoch, batch): 32 bits, independent for different places."""
    return int(np.random.SeedSequence([seed, *place]).generate_state(1)[0])


class SeedEachStep(L.Callback):
    """Dropout of batch b in epoch e depends on (seed, e, b) alone, so a checkpoint needs no state of the generators.

    Of several processes, each draws its own.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed torch for this batch."""
        place = (trainer.current_epoch, batch_idx, *([trainer.global_rank] if trainer.world_size > 1 else []))
        torch.manual_seed(derived_seed(self.seed, *place))
