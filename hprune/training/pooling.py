"""A head on the mean, or the maximum, of what the last layer says of the real tokens (`model.pooling`).

The heads of encoders read one vector of a sequence: the state of its first token, or what the checkpoint's pooler makes
of it. A checkpoint trained for sentence embeddings says a sequence by the mean instead, and its pooler may be dead:
almost the same vector whatever the sequence. A hook on the body gives every head the pooled vector in place of either:
the states become a sequence of that one vector, and `pooler_output`, where there is one, becomes the vector itself. So
the head has nothing else that it could read, which `check_read` makes sure of. A pooler that nobody reads is frozen.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from hprune.tasks.spec import TaskKind
from hprune.training.spec import Pooling

KEY = "hprune_pooling"
"""Of a saved model's config.json: what its head was trained on, where it is not what its architecture reads."""


def pool(model: PreTrainedModel, how: Pooling) -> PreTrainedModel:
    """Let the head of an encoder read the pooled states of the real tokens.

    A model that `trainer.save_model` kept is used in transformers by
    `pool(AutoModelForSequenceClassification.from_pretrained(FOLDER), "mean")`.

    Args:
        model: with a head that reads one vector a sequence; changed in place.
        how: `mean` or `max`; `own` leaves the model as it is.

    Returns:
        The model.

    Raises:
        ValueError: if its body cannot be told from its head, or takes no attention mask.
    """
    if how == "own":
        return model
    body = model.base_model
    names = list(inspect.signature(body.forward).parameters)
    if body is model or "attention_mask" not in names:
        raise refusal(model, how)
    body.register_forward_hook(functools.partial(_pool_states, how, names.index("attention_mask")), with_kwargs=True)
    unread = getattr(body, "pooler", None)
    if isinstance(unread, nn.Module):
        unread.requires_grad_(False)
    setattr(model.config, KEY, how)  # which a saved model says, and the count of operations goes by
    return model


def pooled(hidden: Tensor, mask: Tensor, how: Pooling) -> Tensor:
    """The mean or the maximum over the real tokens of each sequence, in each dimension.

    Args:
        hidden: (B, L, D) states of the last layer.
        mask: (B, L) 1 at real tokens, of which every sequence has one at least.
        how: `mean`, summed in float32 at least, or `max`.

    Returns:
        (B, D), in the type of `hidden`.
    """
    padding = ~mask.bool().unsqueeze(-1)
    if how == "max":
        return hidden.masked_fill(padding, -torch.inf).amax(dim=1)
    wide = hidden.masked_fill(padding, 0).to(torch.promote_types(hidden.dtype, torch.float32))
    return (wide.sum(dim=1) / mask.bool().sum(dim=1, keepdim=True)).to(hidden.dtype)


def check_read(model: PreTrainedModel, kind: TaskKind, how: Pooling) -> None:
    """Refuse a head that reads anything but the pooled vector: a vector of NaN must make NaN of every output.

    Args:
        model: that `pool` was given; its mode stays.
        kind: of task.
        how: for the message.

    Raises:
        ValueError: naming the architecture.
    """
    rows = getattr(kind, "num_options", 2)  # one question, or two texts
    ids = torch.full((rows, 3), next(token for token in (3, 4, 5) if token != model.config.pad_token_id))
    training = model.training
    spoiled = model.base_model.register_forward_hook(_spoil)
    try:
        with torch.no_grad():
            outputs = kind.outputs(model.eval(), {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    except (RuntimeError, ValueError, IndexError, AttributeError, TypeError) as error:
        raise refusal(model, how) from error
    finally:
        spoiled.remove()
        model.train(training)
    if not outputs.isnan().all():
        raise refusal(model, how)


def refusal(model: PreTrainedModel, how: Pooling) -> ValueError:
    """What to say where a model's head cannot be given the pooled vector."""
    return ValueError(
        f"model.pooling={how} is for encoders whose head reads one vector of a sequence, such as BERT, RoBERTa or "
        f"DeBERTa; {type(model).__name__} ({model.config.model_type}) is none: set model.pooling=own"
    )


def _pool_states(
    how: Pooling, place: int, body: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any
) -> Any:
    """After the body: one vector a sequence, (B, 1, D), in place of all its states."""
    mask = named.get("attention_mask", inputs[place] if len(inputs) > place else None)
    hidden = output.last_hidden_state
    return _replaced(output, pooled(hidden, hidden.new_ones(hidden.shape[:2]) if mask is None else mask, how))


def _replaced(output: ModelOutput, vector: Tensor) -> ModelOutput:
    output["last_hidden_state"] = vector.unsqueeze(1)
    if output.get("pooler_output") is not None:
        output["pooler_output"] = vector
    return output


def _spoil(body: nn.Module, inputs: Any, output: ModelOutput) -> ModelOutput:
    return _replaced(output, torch.full_like(output["last_hidden_state"][:, 0], torch.nan))
