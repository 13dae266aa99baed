"""Which weights a study's model started from: two models of one name are told apart by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hprune.storage.model_names import called_alike, name_of_weights

IDENTITY = (
    "model.sha256",
    "model.hub",
    "model.commit",
    "model.base",
    "model.base.sha256",
    "model.base.hub",
    "model.base.commit",
)
"""The settings that say which weights a run started from."""


def weights_of(manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a run's manifest says of its weights; None for a model from scratch.

    Returns:
        {name, sha256, hub, commit}: the name by its folder or hub id; by content the digest of a folder, or the commit
        of a hub id.
    """
    config, settings = manifest.get("config", {}).get("model"), manifest["settings"].get("model")
    identity = settings if isinstance(settings, Mapping) else {}
    facts = {key: text if isinstance(text := identity.get(key), str) else None for key in ("sha256", "hub", "commit")}
    if not (facts["sha256"] or facts["hub"]):
        return None
    path = config.get("path") if isinstance(config, Mapping) else None
    return {"name": name_of_weights(path) if isinstance(path, str) and path else None, **facts}


def other_name(model: str, weights: Mapping[str, Any] | None) -> str | None:
    """The name of the weights, by their folder or hub id, where it is not that of the model."""
    name = weights["hub"] or weights["name"] if weights else None
    return None if not name or called_alike(name_of_weights(name), model) else str(name)


def model_and_weights(report: Mapping[str, Any]) -> str:
    """The name of the model, and which weights these are: `minilm (weights: all-MiniLM-L6-v2, sha256 1b2c3d4e)`.

    Args:
        report: what report.json holds; one of an older version does not say the weights.

    Example:
        >>> weights = {"name": "roberta-base", "sha256": "1b2c3d4e5f", "hub": None, "commit": None}
        >>> model_and_weights({"model": "roberta_base", "weights": weights})
        'roberta_base (sha256 1b2c3d4e)'
    """
    model, weights = str(report["model"]), report.get("weights")
    if not weights:
        return model
    name = other_name(model, weights)
    said = [f"weights: {name}"] if name else []
    digests = {"sha256": weights["sha256"], "commit": weights["commit"]}
    said += [f"{kind} {digest[:8]}" for kind, digest in digests.items() if isinstance(digest, str)]
    return f"{model} ({', '.join(said)})" if said else model
