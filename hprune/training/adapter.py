"""Adapters: train a few weights beside the frozen model, by `peft`."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from hprune.training.spec import LoraSpec

log = logging.getLogger(__name__)

NEEDS_PEFT = "needs peft: pip install -c constraints.txt -e '.[lora]'"


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
        raise ValueError(f"model/adapter=lora {NEEDS_PEFT}") from error
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


def add_saved_adapter(model: PreTrainedModel, folder: Path) -> None:
    """Add a LoRA adapter that was saved by `peft` into the weights of the body that it was trained on.

    A head that was saved with it is left out: the adapter does not say which classes it answers, and in which order.

    Args:
        model: with the weights of the adapter's base; changed in place.
        folder: of adapter_config.json and its weights.

    Raises:
        ValueError: if `peft` is not installed, or some of the adapter does not fit the body.
    """
    try:
        import peft
    except ImportError as error:
        raise ValueError(f"model.path={folder} is a LoRA adapter, which {NEEDS_PEFT}") from error
    body = model.base_model
    trainable = {name: weight.requires_grad for name, weight in body.named_parameters()}
    try:
        config = peft.PeftConfig.from_pretrained(str(folder))
        config.modules_to_save, config.task_type, config.inference_mode = None, None, False  # of the body alone
        config.base_model_name_or_path = None  # which is loaded already
        low_rank, whole = _of_body(model, peft.load_peft_weights(str(folder), device="cpu"))
        adapted = peft.get_peft_model(body, config)
        names = {f"base_model.model.{name}": weight for name, weight in low_rank.items()}
        result: Any = peft.set_peft_model_state_dict(adapted, names)
        lost = [name for name in result.missing_keys if "lora_" in name] + list(result.unexpected_keys)
        if lost:
            raise ValueError(f"{lost[0]} is on one side only")
        adapted.merge_and_unload()
        body.load_state_dict({**body.state_dict(), **whole})
    except Exception as error:  # of `peft`, over files that may be anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"the LoRA adapter in {folder} does not fit {type(body).__name__} of its base ({reason:.200}); "
            "add it into the model that it was trained on (merge_and_unload of peft), save that, and give its folder"
        ) from error
    for name, weight in body.named_parameters():
        weight.requires_grad_(trainable[name])
    log.info("the LoRA adapter in %s is added into the weights of its base", folder)


def _of_body(model: PreTrainedModel, saved: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of an adapter by their names in the body: of low rank, and those that were saved as a whole.

    The body has other prefixes under another head (`bert.`, `model.`), or none.

    Raises:
        ValueError: if one belongs neither to the body nor to a head.
    """
    modules, tensors = {name for name, _ in model.base_model.named_modules()}, set(model.base_model.state_dict())
    heads = {name for name, _ in model.named_children()} - {model.base_model_prefix} | HEADS
    low_rank: dict[str, Tensor] = {}
    whole: dict[str, Tensor] = {}
    for name, weight in saved.items():
        plain = name.removeprefix("base_model.model.")
        module, sign, rest = plain.partition(".lora_")
        known, there = (modules, low_rank) if sign else (tensors, whole)
        tails = [module.split(".", cut)[-1] for cut in range(module.count(".") + 1)]
        own = next((tail for tail in tails if tail in known), None)
        if own is not None:
            there[own + sign + rest] = weight
        elif heads.isdisjoint(module.split(".")):
            raise ValueError(f"it has no {module}")
    return low_rank, whole


HEADS = frozenset(("score", "classifier", "qa_outputs", "lm_head", "cls", "pre_classifier", "classification_head"))
"""Names of heads, of whichever kind."""
