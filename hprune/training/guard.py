"""Stop a run whose loss is no longer a number, and say where; say when memory is too short, and give it back."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class StopOnNonFinite(L.Callback):
    """Raise when a loss is NaN or infinite, naming epoch, batch and sample ids.

    On a GPU losses are looked at 50 steps at a time, since each look waits for the device.

    Args:
        sample_ids: (N,) the id of each row.
    """

    def __init__(self, sample_ids: NDArray[np.int64]) -> None:
        self.sample_ids = sample_ids
        self.waiting: list[tuple[int, int, Tensor, Tensor]] = []  # epoch, batch, loss, rows

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Remember the loss; look at those that wait if it is time."""
        self.waiting.append((trainer.current_epoch, batch_idx, outputs["loss"].detach(), batch["row"]))
        if pl_module.device.type == "cpu" or len(self.waiting) >= 50:
            self._check()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look at the rest of the epoch."""
        self._check()

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Look at them before a checkpoint, which must not hold weights that diverged."""
        self._check()

    def _check(self) -> None:
        finite = (
            [] if not self.waiting else torch.isfinite(torch.stack([loss for _, _, loss, _ in self.waiting])).tolist()
        )
        waiting, self.waiting = self.waiting, []
        for (epoch, batch, loss, rows), fine in zip(waiting, finite, strict=True):
            if not fine:
                ids = self.sample_ids[rows.cpu().numpy()].tolist()
                shown = f"{ids[:10]} and {len(ids) - 10} more" if len(ids) > 10 else f"{ids}"
                raise FloatingPointError(
                    f"the loss is {loss.item()} in epoch {epoch + 1}, batch {batch + 1}, sample ids {shown}; "
                    "the run was stopped and nothing was recorded: "
                    "lower optim.lr, add optim.warmup, or train with trainer.precision=32"
                )


@contextmanager
def memory_given_back() -> Iterator[None]:
    """Around a run: hand its memory back to the system when it is over.

    Batches of many sizes leave holes that glibc keeps for itself: a process that trained thirty runs of MiniLM held
    5 GB. What was there before the run, the libraries' million objects, is not searched for garbage meanwhile.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
        if trim is not None:
            trim(0)


@contextmanager
def memory_told() -> Iterator[None]:
    """Make one error, with a way out, of what torch says in two ways when there is no memory left.

    Raises:
        MemoryError: in its place.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise MemoryError(
            f"there was not enough memory ({str(error).splitlines()[0]}): train fewer runs at once, or lower "
            "data.batch_size and raise trainer.accumulate by as much"
        ) from error
