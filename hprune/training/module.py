"""The LightningModule: a transformer with a head, trained and judged by its kind of task."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric
from transformers import PreTrainedModel, get_scheduler

from hprune.tasks.spec import TaskKind
from hprune.training.spec import OptimSpec

MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class FineTuner(L.LightningModule):
    """Fine-tunes a transformer; every step hands out how right it was on each sample, for the recorder.

    Args:
        model: a transformer with the head of the task.
        kind: loss, judgement and metrics.
        num_classes: K.
        optim: AdamW and its schedule.
    """

    def __init__(self, model: PreTrainedModel, kind: TaskKind, num_classes: int, optim: OptimSpec) -> None:
        super().__init__()
        self.model, self.kind, self.optim = model, kind, optim
        self.validation_metrics = kind.metrics(num_classes)
        self.validation_loss = MeanMetric(nan_strategy="disable")
        self.train_loss = MeanMetric(nan_strategy="disable")

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits of a batch, (B, K)."""
        logits: Tensor = self.model(**{name: batch[name] for name in MODEL_INPUTS if name in batch}).logits
        return logits

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """The loss, and the judgement by the very logits that the step learns from."""
        logits = self(batch)
        loss = self.kind.loss(logits, batch["labels"])
        self.train_loss.update(loss.detach(), batch["labels"].numel())
        return {"loss": loss, **vars(self.kind.judge(logits, batch["labels"]))}

    def on_train_epoch_end(self) -> None:
        """Log the mean loss over the samples of the epoch."""
        self.log("train/loss", self.train_loss.compute())
        self.train_loss.reset()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Add a batch to the metrics of this epoch."""
        logits, labels = self(batch), batch["labels"]
        self.validation_metrics.update(logits.float(), labels)
        self.validation_loss.update(self.kind.loss(logits, labels), labels.numel())

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of this epoch."""
        self.log_dict({f"validation/{name}": value for name, value in self.validation_metrics.compute().items()})
        self.log("validation/loss", self.validation_loss.compute())
        self.validation_metrics.reset()
        self.validation_loss.reset()

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Logits with the rows that they belong to."""
        return {"logits": self(batch).float().cpu(), "row": batch["row"].cpu()}

    def configure_optimizers(self) -> Any:
        """AdamW (no decay on biases and norms) and a schedule that ends with the run's own last step."""
        steps = int(self.trainer.estimated_stepping_batches)
        optimizer = torch.optim.AdamW(
            _decay_groups(self.model, self.optim.weight_decay),
            lr=self.optim.lr,
            betas=(self.optim.betas[0], self.optim.betas[1]),
            eps=self.optim.eps,
            fused=self.trainer.precision != "16-mixed",  # Lightning refuses to clip a fused step with a gradient scaler
        )
        schedule = get_scheduler(
            self.optim.schedule, optimizer, num_warmup_steps=round(self.optim.warmup * steps), num_training_steps=steps
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay, vectors (biases, the weights of norms) do not."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
