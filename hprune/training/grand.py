"""GraNd (arXiv 2107.07075) in the last layer: the norm of the gradient of a sample's loss, exactly, without a pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hprune.data.datamodule import Batch
from hprune.tasks.spec import TaskKind


class LastLayer:
    """Watches what enters the layer that gives the logits.

    The gradient of the cross entropy in its weights is (p - y) h^T, in its biases p - y, so the norm of both is
    ||p - y|| sqrt(||h||^2 + 1): the error norm times that of what enters. Nothing is divided by the size of the batch.

    Args:
        model: with the head of a task of classes.
        kind: the task's.

    Raises:
        ValueError: for another kind of task, or a model that does not end in a linear layer with an output a class.
    """

    def __init__(self, model: nn.Module, kind: TaskKind) -> None:
        outputs = getattr(getattr(model, "config", None), "num_labels", None)
        linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer.weight.requires_grad]
        if not getattr(kind, "merges", False) or not linear or linear[-1].out_features != outputs:
            raise ValueError(
                f"record.grand=true needs a task of classes and a model whose last layer is linear, got "
                f"{type(kind).__name__} and {type(model).__name__}; set record.grand=false"
            )
        self.biases = 0 if linear[-1].bias is None else 1
        self.entered: Tensor | None = None
        linear[-1].register_forward_pre_hook(self._watch)

    def _watch(self, layer: nn.Module, given: tuple[Any, ...]) -> None:
        self.entered = given[0].detach()

    def gradient_norm(self, error: Tensor, batch: Batch) -> Tensor:
        """The norm of each sample's gradient, (B,).

        Args:
            error: (B,) ||p - y||_2 of the batch that was just computed.
            batch: that batch; a decoder's layer sees every token, and the last real one counts.
        """
        assert self.entered is not None, "the model was just called"
        entered, self.entered = self.entered.float(), None
        if entered.ndim == 3:  # (B, L, H)
            last = batch["attention_mask"].sum(dim=1) - 1
            entered = entered[torch.arange(len(entered), device=entered.device), last]
        return error * torch.sqrt(entered.square().sum(dim=-1) + self.biases)
