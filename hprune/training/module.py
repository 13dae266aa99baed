"""The LightningModule: a transformer with a head, trained and judged by its kind of task."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import SumMetric
from transformers import PreTrainedModel, get_scheduler

from hprune.data.datamodule import Batch
from hprune.tasks.spec import Judgement, TaskKind
from hprune.training.answers import Answers, evaluation_of, everyones
from hprune.training.grand import LastLayer
from hprune.training.ranks import gathered, rank
from hprune.training.sharding import shard
from hprune.training.spec import OptimSpec


class FineTuner(L.LightningModule):
    """Fine-tunes a transformer; every step hands out how right it was on each sample, for the recorder.

    Args:
        model: a transformer with the head of the task.
        kind: loss, judgement and metrics.
        optim: AdamW and its schedule.
        steps: of the optimiser in the whole run.
        grand: judge by the gradient in the last layer, too.
    """

    def __init__(
        self, model: PreTrainedModel, kind: TaskKind, optim: OptimSpec, *, steps: int, grand: bool = False
    ) -> None:
        super().__init__()
        self.last_layer = LastLayer(model, kind) if grand else None
        self.model, self.kind, self.optim, self.steps = model, kind, optim, steps
        self.loss_sum, self.sequences = SumMetric(nan_strategy="disable"), SumMetric(nan_strategy="disable")
        self.answered: list[Answers] = []  # of the validation set so far

    def configure_model(self) -> None:
        """Spread the weights over the devices, if the strategy does."""
        if self.device_mesh is not None:
            shard(self.model, self.device_mesh["data_parallel"])

    def forward(self, batch: Batch) -> Tensor:
        """What the model says of a batch, as one tensor: logits of classes, of options, of positions."""
        return self.kind.outputs(self.model, batch)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The loss, and the judgement by the very outputs that the step learns from."""
        outputs = self(batch)
        loss = self.kind.loss(outputs, batch)
        sequences = 0 if "filler" in batch else batch["input_ids"].shape[0]
        self.loss_sum.update(loss.detach() * sequences)
        self.sequences.update(sequences)
        loss = loss * batch["weight"] if "weight" in batch else loss
        judged = {name: values for name, values in vars(self.judge(outputs, batch)).items() if values is not None}
        return {"loss": loss, **judged}

    def judge(self, outputs: Tensor, batch: Batch) -> Judgement:
        """How right the model was on each sample of the batch that it was just given."""
        judged = self.kind.judge(outputs, batch)
        if self.last_layer is None:
            return judged
        return replace(judged, grand=self.last_layer.gradient_norm(judged.el2n, batch))

    def on_train_epoch_end(self) -> None:
        """Log the mean loss over the sequences of the epoch."""
        self.log("train/loss", self.loss_sum.compute() / self.sequences.compute())
        self.loss_sum.reset()
        self.sequences.reset()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The loss so far, of each process; of the weights those that are trained, as the others are loaded anyway."""
        checkpoint["sums"] = gathered([float(self.loss_sum.sum_value), float(self.sequences.sum_value)])
        frozen = {name for name, weight in self.named_parameters() if not weight.requires_grad}
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k not in frozen}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue."""
        for metric, value in zip((self.loss_sum, self.sequences), checkpoint["sums"][rank()], strict=True):
            metric.update(value)
        self.strict_loading = all(weight.requires_grad for weight in self.parameters())

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep what is answered to a batch."""
        self.answered.append(self.predict_step(batch, batch_idx))

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of this epoch."""
        answered, self.answered = everyones(self.answered), []
        data = self.trainer.datamodule.evaluation["validation"]  # type: ignore[attr-defined]
        evaluation = evaluation_of(self.kind, answered, data, name="validation")
        self.log_dict({f"validation/{name}": value for name, value in evaluation.metrics.items()})

    def predict_step(self, batch: Batch, batch_idx: int) -> Answers:
        """What the evaluation needs of a batch: the answer to each sequence, where it belongs, and the loss."""
        outputs = self(batch)
        own = slice(0 if "filler" in batch else None)
        return Answers(
            {name: values[own].cpu() for name, values in self.kind.answer(outputs, batch).items()},
            at=batch.get("sequence", batch["row"])[own].cpu(),
            loss=self.kind.loss(outputs, batch).cpu(),
        )

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm; Lightning itself refuses a fused optimizer in bf16-mixed, where no gradient is scaled."""
        if self.trainer.precision == "16-mixed":
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> Any:
        """AdamW (no decay on biases and norms) and a schedule that ends with the run's own last step."""
        optimizer = torch.optim.AdamW(
            _decay_groups(self.model, self.optim.weight_decay),
            lr=self.optim.lr,
            betas=(self.optim.betas[0], self.optim.betas[1]),
            eps=self.optim.eps,
            fused=self.trainer.precision != "16-mixed",  # Lightning refuses to clip a fused step with a gradient scaler
        )
        warmup = round(self.optim.warmup * self.steps)
        schedule = get_scheduler(self.optim.schedule, optimizer, num_warmup_steps=warmup, num_training_steps=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay, vectors (biases, the weights of norms) do not."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
