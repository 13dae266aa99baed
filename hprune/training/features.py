"""What a body says of sequences, without its head and without learning: mean states, and the vector of its pooler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hprune.data.datamodule import Batch
from hprune.tasks.classification import model_inputs, packing
from hprune.training.pooling import pooled


def body_of(model: nn.Module) -> Any:
    """The body of a transformer, under adapters, too."""
    model = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
    return model.base_model


@contextmanager
def judging(body: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients: nothing is drawn; afterwards each module is in the mode that it was in."""
    modes = [(module, module.training) for module in body.modules()]
    body.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def vectors_of(body: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """The mean state of each sequence, and the pooler's vector, in float32.

    Where layers are packed and the last one computes first tokens only, every token is called a first one.

    Args:
        body: in evaluation mode.
        batch: of its device, packed if its layers are.

    Returns:
        (M, D), and (M, P) or None if it has no pooler.
    """
    more, mask = packing(batch), batch["attention_mask"]
    starts = more.get("starts")
    if starts is not None:
        more["starts"] = torch.arange(len(more["real"]), device=starts.device)
    said = body(**model_inputs(batch), **more)
    hidden, vector = said.last_hidden_state, said.get("pooler_output")
    if starts is not None and hidden.shape[:2] != mask.shape:  # (T, 1, D)
        grid = hidden.new_zeros(mask.numel(), hidden.shape[-1]).index_copy(0, more["real"], hidden[:, 0])
        hidden, vector = grid.unflatten(0, mask.shape), None if vector is None else vector[starts]
    return pooled(hidden.float(), mask, "mean"), None if vector is None else vector.float()
