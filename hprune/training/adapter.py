"""Adapters: train a few weights beside the frozen model, by `peft`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from hprune.training.spec import LoraSpec


def with_adapter(model: PreTrainedModel, spec: LoraSpec | None) -> PreTrainedModel:
    """The model with LoRA adapters beside its frozen weights; without a spec, the model itself.

    What is not pre-trained (the head, a pooler that it reads) is trained as a whole.

    Raises:
        ValueError: if `peft` is not installed, or the model has none of the layers that were asked for.
    """
    if spec is None:
        return model
    try:
        import peft
    except ImportError as error:
        raise ValueError("model/adapter=lora needs peft: pip install -c constraints.txt -e '.[lora]'") from error
    names = [name for name, _ in model.named_children() if name != model.base_model_prefix]
    head = {name: getattr(model, name) for name in names}
    if getattr(model.base_model, "pooler", None) is not None:
        head["pooler"] = model.base_model.pooler
    trained = [module for module in head.values() if any(weight.requires_grad for weight in module.parameters())]
    config = peft.LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,  # type: ignore[arg-type]
        lora_dropout=spec.dropout,
        target_modules=spec.targets if isinstance(spec.targets, str) else list(spec.targets),
        exclude_modules=rf"(.*\.)?({'|'.join(head)})(\..*)?",
    )
    _check_targets(model, spec, head)
    try:
        adapted = peft.get_peft_model(model, config)
    except (ValueError, re.error) as error:
        raise ValueError(
            f"model.adapter.targets={spec.targets} names no layer of this model outside its head; "
            "use all-linear, or names of its linear layers, such as [query, value] or [q_proj, v_proj]"
        ) from error
    for module in trained:
        module.requires_grad_(True)
    return adapted  # type: ignore[return-value]


def _check_targets(model: PreTrainedModel, spec: LoraSpec, head: Mapping[str, Any]) -> None:
    """Refuse a list of layers with a name that no layer outside the head has; peft takes what it finds."""
    layers = {name for name, _ in model.named_modules() if name.split(".")[0] not in head}
    names = [] if isinstance(spec.targets, str) else spec.targets
    unknown = [name for name in names if not any(f".{layer}".endswith(f".{name}") for layer in layers)]
    if unknown:
        linear = (name for name, layer in model.base_model.named_modules() if isinstance(layer, nn.Linear))
        raise ValueError(
            f"model.adapter.targets={spec.targets} names no layer of this model outside its head by {unknown[0]!r}; "
            f"use all-linear, or names of its linear layers: {', '.join(sorted({n.split('.')[-1] for n in linear}))}"
        )


def merged(model: PreTrainedModel) -> PreTrainedModel:
    """The model with its adapters added into its weights, as any other model is saved."""
    merge = getattr(model, "merge_and_unload", None)
    return model if merge is None else merge()
