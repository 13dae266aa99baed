"""The recorder: for each epoch, how right the model was on each sample, every sample exactly once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from hprune.science.records import COLUMNS, Measured
from hprune.tasks.spec import Judgement
from hprune.training.budget import cut_off
from hprune.training.ranks import rank


def _total(counts: Tensor) -> Tensor:
    """Of all devices, without growing."""
    return counts.sum(dim=0, dtype=counts.dtype)


class SampleJudgement(Metric):
    """The judgement on each row of the train table in one epoch: 14 bytes a sample, on the model's device.

    Args:
        num_samples: N, the rows that are trained on.
        columns: what is judged.
    """

    full_state_update = False
    correct: Tensor  # (N,) int8: right 1, wrong 0, unseen -1
    true_prob: Tensor  # (N,) float32
    margin: Tensor  # (N,) float32
    el2n: Tensor  # (N,) float32
    seen: Tensor  # (N,) uint8, how often, must end at 1; wraps at 256

    def __init__(self, num_samples: int, columns: Sequence[str] = COLUMNS) -> None:
        super().__init__()
        self.columns = columns
        blank = {"correct": (-1, torch.int8), "seen": (0, torch.uint8)}
        for name in (*columns, "seen"):
            value, dtype = blank.get(name, (-torch.inf, torch.float32))
            default = torch.full((num_samples,), value, dtype=dtype)
            # over devices, "max" keeps the one that saw the sample
            self.add_state(name, default, dist_reduce_fx=_total if name == "seen" else "max", persistent=True)
        self._shrink_defaults()

    def update(self, judgement: Judgement, row: Tensor) -> None:
        """Write down a batch: `row` (B,) says which rows of the train table were judged."""
        for name in self.columns:
            values = getattr(self, name)
            values[row] = getattr(judgement, name).to(values.dtype)
        self.seen.index_add_(0, row, torch.ones_like(row, dtype=torch.uint8))

    def _apply(self, *given: Any, **named: Any) -> Any:
        """Torch calls this to move the state to a device, which writes the defaults out in full."""
        moved = super()._apply(*given, **named)
        self._shrink_defaults()
        return moved

    def _shrink_defaults(self) -> None:
        """Keep one number for each state, seen N times: what a reset copies takes no room itself."""
        for name, value in self._defaults.items():
            assert isinstance(value, Tensor)
            self._defaults[name] = value[:1].clone().expand(value.shape)

    def compute(self) -> dict[str, Tensor]:
        """The columns of the epoch."""
        return {name: getattr(self, name) for name in (*self.columns, "seen")}


class Recorder(L.Callback):
    """Logs the correctness of every sample in every epoch, and its probability, margin and EL2N.

    `train_pass` takes the logits of the training step itself (dropout on, before the update) at no cost; `eval_pass`
    judges every sample by a clean pass after each epoch, `out_of_fold` so those that are held out of the training. Its
    state is in the checkpoint.

    Args:
        sample_ids: (N,) the id of each row, to name rows in errors.
        measured: the ways of measuring.
        grand: record GraNd, too.
    """

    def __init__(self, sample_ids: NDArray[np.int64], measured: Sequence[Measured], *, grand: bool = False) -> None:
        self.sample_ids, self.columns = sample_ids, (*COLUMNS, *(("grand",) if grand else ()))
        self.epochs: dict[Measured, list[dict[str, Tensor]]] = {way: [] for way in measured}
        self.judged = {way: SampleJudgement(sample_ids.size, self.columns) for way in measured}
        self.clean_seconds = 0.0
        """Of the clean passes so far."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Move the state to the model's device."""
        for metric in self.judged.values():
            metric.to(pl_module.device)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write down what the training step itself saw."""
        if "train_pass" in self.judged:
            self._write("train_pass", Judgement(**{name: outputs[name] for name in self.columns}), batch)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the epoch: judge by a clean pass if asked to, check that every sample was seen once.

        One that a budget of steps cut off is no epoch of the record.
        """
        if cut_off(trainer):
            return
        if "eval_pass" in self.judged:
            self._clean_pass("eval_pass", trainer.datamodule.clean_pass(), trainer, pl_module)  # type: ignore[attr-defined]
        if "out_of_fold" in self.judged:
            held_out = trainer.datamodule.evaluation_loader("out_of_fold")  # type: ignore[attr-defined]
            self._clean_pass("out_of_fold", held_out, trainer, pl_module)
        for way, metric in self.judged.items():
            columns = {name: values.cpu().clone() for name, values in metric.compute().items()}
            self._check_once(columns.pop("seen").numpy(), way, trainer.current_epoch)
            self.epochs[way].append(columns)
            metric.reset()

    def arrays(self, way: Measured) -> dict[str, NDArray[Any]]:
        """The record of one way of measuring: each column as (E, N)."""
        stacked = {name: torch.stack([epoch[name] for epoch in self.epochs[way]]).numpy() for name in self.columns}
        return {**stacked, "correct": stacked["correct"].astype(bool)}

    def state_dict(self) -> dict[str, Any]:
        """Tensors only, so that a checkpoint loads without unpickling; those of all processes together."""
        judged = {}
        for way, metric in self.judged.items():
            with metric.sync_context():
                judged[way] = {name: values.clone() for name, values in metric.state_dict().items()}
        return {"epochs": self.epochs, "judged": judged, "clean_seconds": self.clean_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue a record."""
        self.epochs, self.clean_seconds = state_dict["epochs"], state_dict.get("clean_seconds", 0.0)
        if rank() == 0:  # they are those of all processes
            for way, state in state_dict["judged"].items():
                self.judged[way].load_state_dict(state)

    @torch.no_grad()
    def _clean_pass(self, way: Measured, batches: Iterable[Any], trainer: L.Trainer, pl_module: Any) -> None:
        started = time.perf_counter()
        pl_module.eval()
        for batch in batches:
            batch = pl_module.transfer_batch_to_device(batch, pl_module.device, 0)
            with trainer.precision_plugin.forward_context():
                outputs = pl_module(batch)
            self._write(way, pl_module.judge(outputs, batch), batch)
        pl_module.train()
        self.judged[way].seen[:1].cpu()  # a device may not be done yet
        self.clean_seconds += time.perf_counter() - started

    def _write(self, way: Measured, judged: Judgement, batch: Any) -> None:
        """Write down what is known of a batch, unless another process has its samples."""
        own = slice(0 if "filler" in batch else None)
        self.judged[way].update(
            Judgement(**{name: getattr(judged, name)[own] for name in self.columns}), batch["row"][own]
        )

    def _check_once(self, seen: NDArray[np.uint8], way: Measured, epoch: int) -> None:
        for wrong, what in ((seen == 0, "not recorded"), (seen > 1, "recorded more than once")):
            if wrong.any():
                ids = self.sample_ids[wrong]
                raise ValueError(
                    f"{ids.size} of {seen.size} samples were {what} in epoch {epoch + 1} ({way}), "
                    f"first ids {ids[:10].tolist()}; every sample must be recorded exactly once an epoch: "
                    "the batches handed to the trainer are not those of the data module"
                )
