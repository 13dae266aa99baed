"""What a model is called when all that is known of it is a folder or a hub id."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

LONGEST = 80
"""Characters of a name, which is a folder's."""

_SAYS_NOTHING = re.compile(
    r"models?|weights|adapter|lora|merged|final|best|last|latest|outputs?|export|snapshots|main|\d+_\w+|[0-9a-f]{40}",
    re.IGNORECASE,
)
"""Folders that are called by what they are, not by which model: the one that they lie in says it."""

_OF_A_TRAINING = re.compile(r"(checkpoint|epoch|step|seed|fold|run|v)?[-_=]?\d+", re.IGNORECASE)
"""Folders of one training among others, as `checkpoint-500` or `seed=1`: a name with what is around them."""


def name_of_weights(path: str) -> str:
    """The name of a model by the last part of its hub id, folder or GGUF file that says something.

    Args:
        path: hub id or folder, which need not exist.

    Returns:
        A name that a folder may have.

    Example:
        >>> name_of_weights("sentence-transformers/all-MiniLM-L6-v2"), name_of_weights("/data/mine/checkpoint-500")
        ('all-MiniLM-L6-v2', 'mine-checkpoint-500')
        >>> name_of_weights(f"/c/models--facebook--opt-125m/snapshots/{'0' * 40}"), name_of_weights("/größe x/model/")
        ('opt-125m', 'grosse_x')
    """
    parts = (Path(path).absolute() if os.path.exists(path) else Path(path)).parts
    said: list[str] = []
    for part in (part.removesuffix(".gguf") for part in reversed(parts)):
        if _SAYS_NOTHING.fullmatch(part):
            continue
        said.insert(0, part.rpartition("--")[2] if part.startswith("models--") else part)
        if not _OF_A_TRAINING.fullmatch(part):
            break
    return _safe("-".join(said)) or "model"


def called_alike(one: str, other: str) -> bool:
    """Whether two names are one but for signs and capitals, as `roberta-large` and `roberta_large` are."""
    return _letters(one) == _letters(other) != ""


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _safe(name: str) -> str:
    """Letters without their accents, digits, `_`, `.`, `+` and `-`."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", plain).strip("_.+-")[:LONGEST]
