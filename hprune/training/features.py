"""What a body says of sequences, without its head and without learning: mean states, and the vector of its pooler."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hprune.data.batching import by_length
from hprune.data.datamodule import Batch, Encoded, PaddedBatches
from hprune.tasks.classification import model_inputs, packing
from hprune.tasks.columns import every_text
from hprune.tasks.spec import TaskData
from hprune.training.build import is_causal, load_body, longest_input
from hprune.training.pooling import pooled
from hprune.training.settings import RunSpec, accelerator_of
from hprune.training.spec import TrainerSpec
from hprune.training.tokenizer import load_tokenizer
from hprune.training.units import tokens_of

log = logging.getLogger(__name__)

TOLD_EVERY = 15
"""Seconds between two lines of progress."""


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
    output = body(**model_inputs(batch), **more)
    hidden, vector = output.last_hidden_state, output.get("pooler_output")
    if starts is not None and hidden.shape[:2] != mask.shape:  # (T, 1, D)
        grid = hidden.new_zeros(mask.numel(), hidden.shape[-1]).index_copy(0, more["real"], hidden[:, 0])
        hidden, vector = grid.unflatten(0, mask.shape), None if vector is None else vector[starts]
    return pooled(hidden.float(), mask, "mean"), None if vector is None else vector.float()


def mean_states(spec: RunSpec, data: TaskData, *, root: Path) -> NDArray[np.float32]:
    """The mean state of every train sample by a run's pre-trained model, before any training.

    Args:
        spec: the run; its tokens, which are cached, and its model's body.
        data: the task's tables, of one sequence a sample.
        root: where results lie.

    Returns:
        (N, D), by the rows of the train table.

    Raises:
        ValueError: if the checkpoint lacks weights, or its states are no numbers.
        OSError: if there is no such model here and the hub cannot be reached.
    """
    tokenizer = load_tokenizer(spec.model, lambda: every_text(data.train))
    body, device = load_body(spec.model).eval(), accelerator_of(TrainerSpec())
    longest, causal = longest_input(body, tokenizer, spec.data.max_length), is_causal(body.config.model_type)
    body.to(device)
    table = tokens_of(
        spec, tokenizer, data.train, data.data_hash, longest=longest, causal=causal, root=root, text=data.text
    )
    encoded = Encoded(table, data.train["label"].to_numpy())
    batches = PaddedBatches(encoded, np.arange(table.samples), pad_id=tokenizer.pad_token_id)
    states, done, last_line = np.empty((table.samples, 0), dtype=np.float32), 0, time.monotonic()
    log.info("judge: features of %d samples by %s on %s", table.samples, spec.model.name, device)
    with torch.no_grad():
        for rows in by_length(batches.lengths, spec.data.eval_batch_size):
            batch = {name: values.to(device) for name, values in batches[rows].items()}
            means = vectors_of(body, batch)[0].cpu().numpy()
            states = np.empty((table.samples, means.shape[1]), dtype=np.float32) if not done else states
            states[rows], done = means, done + rows.size
            if time.monotonic() - last_line > TOLD_EVERY:
                last_line = time.monotonic()
                log.info("judge: features of %d of %d samples", done, table.samples)
    if not np.isfinite(states).all():
        raise ValueError(f"the states of model {spec.model.name!r} are no numbers")
    return states
