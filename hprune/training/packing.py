"""Layers compute no padding: it is taken out before the first layer and put back after the last.

A batch is a grid of sequences, padded to the longest. All that a layer does but attention looks at one token at a time,
so layers see the real tokens in one row, (1, T, D), and attention alone lays them out as the grid. Embeddings, poolers
and heads see the grid, as ever. Where the head reads the first token only, the last layer of a BERT or its like stops
computing the others once they were attended to.

Batches carry what this takes (`hprune.data.datamodule.PaddedBatches`), and transformers hands it down to every layer:
`real` (T,) the places of the real tokens in the flattened grid, `starts` (B,) the places of the first tokens among the
real ones, `grid` (B, L) the attention mask. Nothing is asked of the device.
"""

from __future__ import annotations

import functools
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

LAYERS = {
    "bert": "encoder.layer",
    "camembert": "encoder.layer",
    "electra": "encoder.layer",
    "roberta": "encoder.layer",
    "xlm-roberta": "encoder.layer",
    "distilbert": "transformer.layer",
    "opt": "decoder.layers",
}
"""Where the layers of an architecture are. Positions must be told by its embeddings, not in its layers."""


def pack(model: PreTrainedModel, *, pooled: bool) -> bool:
    """Let the layers of a model compute real tokens only, if its architecture is known to allow it.

    Args:
        model: changed in place; from now on it takes `real`, `starts` and `grid` with its inputs.
        pooled: whether the head of an encoder reads the first token of a sequence only.

    Returns:
        Whether it was done; if not, the model is as it was, and takes padded batches.
    """
    cut, dropped = (getattr(model.config, name, 0) for name in ("chunk_size_feed_forward", "layerdrop"))
    reads_padding = getattr(model.config, "summary_type", "first") != "first"  # ELECTRA's head for multiple choice
    if model.config.model_type not in LAYERS or cut or dropped or reads_padding:
        return False
    layers = model.base_model.get_submodule(LAYERS[model.config.model_type])
    assert isinstance(layers, nn.ModuleList)
    AttentionInterface.register("packed", packed_attention)
    model.config._attn_implementation = "packed"  # masks are made for known names only: none is made
    layers[0].register_forward_pre_hook(_take_out, with_kwargs=True)
    behind_attention = getattr(getattr(layers[-1], "attention", None), "output", None)
    if pooled and behind_attention is not None:
        firsts: list[Tensor] = []
        layers[-1].register_forward_pre_hook(functools.partial(_note_firsts, firsts), with_kwargs=True)
        behind_attention.register_forward_pre_hook(functools.partial(_keep_firsts, firsts))
        layers[-1].register_forward_hook(_as_grid_of_firsts)
    else:
        layers[-1].register_forward_hook(_put_back, with_kwargs=True)
    return True


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    *,
    real: Tensor,
    grid: Tensor,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention within each sequence of a packed batch, in the form that transformers asks for.

    Args:
        module: the attention layer; `is_causal` says whether tokens see only those before them.
        query: (1, H, T, d), and `key` and `value` alike.
        attention_mask: none, as `grid` says which tokens there are.
        real: (T,) places of the tokens in the flattened grid.
        grid: (B, L) 1 at real tokens; padding is on the right.
        dropout: of attention weights.
        scaling: of the products; by default 1 / sqrt(d).

    Returns:
        (1, T, H, d), and no weights.
    """
    (batch, length), (heads, tokens, size) = grid.shape, query.shape[1:]
    padded = tokens < batch * length
    causal = bool(getattr(module, "is_causal", False))  # with padding on the right no real token sees any

    def lay_out(flat: Tensor) -> Tensor:  # (1, H, T, d) -> (B, H, L, d)
        rows = flat[0].transpose(0, 1).reshape(tokens, heads * size)
        if padded:
            rows = rows.new_zeros(batch * length, heads * size).index_copy(0, real, rows)
        return rows.view(batch, length, heads, size).transpose(1, 2)

    attended = F.scaled_dot_product_attention(
        lay_out(query),
        lay_out(key),
        lay_out(value),
        attn_mask=grid.bool()[:, None, None, :] if padded and not causal else None,
        dropout_p=dropout,
        is_causal=causal,
        scale=scaling,
    )
    rows = attended.transpose(1, 2).reshape(batch * length, heads * size)
    return (rows.index_select(0, real) if padded else rows).view(1, tokens, heads, size), None


def _take_out(layer: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Before the first layer: (B, L, D) -> (1, T, D)."""
    hidden, *rest = inputs
    rows, real = hidden.flatten(0, 1), named["real"]
    if real.numel() < rows.shape[0]:
        rows = rows.index_select(0, real)
    return (rows.unsqueeze(0), *rest), named


def _put_back(layer: nn.Module, inputs: Any, named: dict[str, Any], hidden: Tensor) -> Tensor:
    """After the last layer: (1, T, D) -> (B, L, D), zero at padding."""
    (batch, length), rows, real = named["grid"].shape, hidden[0], named["real"]
    if real.numel() < batch * length:
        rows = rows.new_zeros(batch * length, rows.shape[-1]).index_copy(0, real, rows)
    return rows.unflatten(0, (batch, length))


def _note_firsts(firsts: list[Tensor], layer: nn.Module, inputs: Any, named: dict[str, Any]) -> None:
    firsts[:] = [named["starts"]]


def _keep_firsts(firsts: list[Tensor], behind_attention: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Behind the attention of the last layer: (1, T, D) -> (1, B, D), what was attended to and what it is added to."""
    return tuple(hidden.index_select(1, firsts[0]) for hidden in inputs)


def _as_grid_of_firsts(layer: nn.Module, inputs: Any, hidden: Tensor) -> Tensor:
    """After the last layer: (1, B, D) -> (B, 1, D), a grid of first tokens."""
    return hidden[0].unsqueeze(1)
