"""What a folder that `model.path` names is: where its configuration, weights and tokenizer lie, or why it is no model.

Nothing is loaded here, and no code that comes with a model is ever run.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hprune.storage.files import one_line, sha256_of_file
from hprune.storage.override import override
from hprune.storage.places import below

CONTENT = (".json", ".safetensors", ".bin", ".txt", ".model")
"""Ends of the names of files that a model and its tokenizer are read from."""
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
OTHER_WEIGHTS = {"tf_model.h5": "TensorFlow", "flax_model.msgpack": "Flax", "rust_model.ot": "Rust"}
"""Weights of other frameworks, which transformers 4 still read."""


@dataclass(frozen=True)
class ModelFolder:
    """Where the parts of a local model lie."""

    weights: Path
    """The folder of config.json and the weights; of a LoRA adapter, that of its own weights."""
    tokenizer: Path | None
    """None: it is that of the base of an adapter."""
    base: str | None = None
    """Of a LoRA adapter: the folder or hub id of the model that it is added to."""
    trained_pooling: str | None = None
    """What a model for sentence embeddings was trained to take of its states: `mean`, `max` or `first`."""
    left_out: tuple[str, ...] = ()
    """Parts of a model for sentence embeddings that are not loaded."""
    gguf: str | None = None
    """The name of the one file of a GGUF model, which holds its configuration and its tokenizer as well."""


def open_folder(path: str | Path) -> ModelFolder:
    """Say what a model's folder is.

    Raises:
        ValueError: in one line, what it is instead, and a way out.
    """
    folder = Path(path).expanduser()
    if folder.is_file() and folder.suffix.lower() == ".gguf":
        return _gguf(folder)
    if not folder.is_dir():
        raise ValueError(_no_folder(path))
    names = sorted(file.name for file in folder.iterdir())
    if not names:
        raise ValueError(f"model.path={folder} is empty; give a folder with config.json, weights and tokenizer")
    if "adapter_config.json" in names:
        return _adapter(folder, names)
    if "modules.json" in names and (found := _of_sentences(folder, names)) is not None:
        return found
    packed = [name for name in names if name.lower().endswith(".gguf") and (folder / name).is_file()]
    if packed and not any(_is_weights(name) for name in names):
        return _only_gguf(folder, packed)
    _check_weights(folder, names)
    return ModelFolder(folder, folder)


def weights_digest(path: str | Path) -> str:
    """Hex digest of the content of every file that the model in a folder is read from, its own folder's, not a base's.

    Raises:
        ValueError: if the folder is no model.
    """
    opened = open_folder(path)
    files = [*_content(opened.weights)] if opened.gguf is None else [("gguf", opened.weights / opened.gguf)]
    if opened.tokenizer is not None and opened.tokenizer != opened.weights:
        files += _content(opened.tokenizer)
    return _digest(tuple((file, name, file.stat().st_size, file.stat().st_mtime_ns) for name, file in files))


def _content(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and place of each file; shards in folders below, which an index names, by their path."""
    for file in sorted(file for file in folder.iterdir() if file.suffix in CONTENT):
        yield file.name, file
        if file.name.endswith(".index.json"):
            shards = _read(file).get("weight_map")
            for name in sorted(set(shards.values() if isinstance(shards, dict) else ())):
                if "/" in str(name):
                    yield str(name), below(folder, str(name))


@functools.lru_cache(maxsize=8)
def _digest(stamps: tuple[tuple[Path, str, int, int], ...]) -> str:
    """Hash the content of files once in a process, as long as their sizes and times stay: weights are gigabytes."""
    return hashlib.sha256("".join(f"{name}:{sha256_of_file(file)};" for file, name, *_ in stamps).encode()).hexdigest()


def _adapter(folder: Path, names: list[str]) -> ModelFolder:
    """A LoRA adapter, and the model that it is added to."""
    config = _read(folder / "adapter_config.json")
    kind, base = config.get("peft_type"), config.get("base_model_name_or_path")
    if kind != "LORA":
        raise ValueError(
            f"model.path={folder} is an adapter of the kind {kind!r:.40}, and only LORA can be added into its base "
            "here; give a folder with the whole model"
        )
    if "config.json" in names and any(_is_weights(name) for name in names):
        raise ValueError(
            f"model.path={folder} holds a whole model and beside it a LoRA adapter (adapter_config.json), and does not "
            "say which is meant; give a folder that holds one of them"
        )
    if not any(name in names for name in ("adapter_model.safetensors", "adapter_model.bin")):
        raise ValueError(f"model.path={folder} is a LoRA adapter without its weights, adapter_model.safetensors")
    if not isinstance(base, str) or not base:
        raise ValueError(
            f"model.path={folder} is a LoRA adapter whose adapter_config.json names no model that it is added to; "
            "write its folder or hub id there, in base_model_name_or_path"
        )
    near = folder / base
    tokenizer = folder if any(name in names for name in TOKENIZER_FILES) else None
    return ModelFolder(folder, tokenizer, base=str(near) if not Path(base).is_dir() and near.is_dir() else base)


def _of_sentences(folder: Path, names: list[str]) -> ModelFolder | None:
    """A model for sentence embeddings (sentence-transformers), whose transformer may lie in a folder of its own."""
    modules = [module for module in _read_list(folder / "modules.json") if isinstance(module, dict)]
    kinds = {str(module.get("type", "")).rpartition(".")[2]: str(module.get("path", "")) for module in modules}
    if "Transformer" not in kinds:
        if "config.json" in names:
            return None  # whatever else there is, this is a model
        raise ValueError(
            f"model.path={folder} is a sentence-transformers model without a transformer "
            f"({', '.join(kinds) or 'empty'}); give one that has one"
        )
    place = kinds["Transformer"]
    weights = below(folder, place) if place else folder
    inside = sorted(file.name for file in weights.iterdir()) if weights.is_dir() else []
    _check_weights(weights, inside)
    pooling = _read(folder / kinds["Pooling"] / "config.json", lenient=True) if kinds.get("Pooling") else {}
    asked = [short for key, short in POOLING.items() if pooling.get(key) or pooling.get("pooling_mode") == short]
    left_out = tuple(kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize"))
    tokenizer = weights if any(name in inside for name in TOKENIZER_FILES) else folder
    return ModelFolder(weights, tokenizer, trained_pooling=asked[0] if len(asked) == 1 else None, left_out=left_out)


POOLING = {"pooling_mode_cls_token": "first", "pooling_mode_mean_tokens": "mean", "pooling_mode_max_tokens": "max"}
"""Keys of a sentence-transformers pooling, and what they take; newer ones say it as `pooling_mode`."""


def _check_weights(folder: Path, names: list[str]) -> None:
    """Refuse a folder without a configuration, or with weights of other frameworks only.

    Raises:
        ValueError: what it is, and a way out.
    """
    others = [what for name, what in OTHER_WEIGHTS.items() if name in names]
    if others and not any(_is_weights(name) for name in names):
        raise ValueError(
            f"model.path={folder} holds weights of {others[0]} only, which transformers 5 does not read; save them as "
            "safetensors with transformers 4 (from_pretrained by from_tf=True or from_flax=True, save_pretrained), and "
            "give that folder"
        )
    if "config.json" in names:
        return
    inside = [file.parent for file in sorted(folder.glob("*/config.json")) + sorted(folder.glob("*/*/config.json"))]
    there = ", ".join(names[:20]) or "nothing"
    raise ValueError(
        f"model.path={folder} has no config.json, which says what model it is"
        + (
            f"; models lie below it: {', '.join(override('model.path', place) for place in inside[:5])}"
            if inside
            else f" (it holds {there}); give a folder with config.json, weights and tokenizer"
        )
    )


def _is_weights(name: str) -> bool:
    return name.endswith((".safetensors", ".bin")) and name.startswith(("model", "pytorch_model"))


def _no_folder(path: str | Path) -> str:
    file = Path(path).expanduser()
    if file.is_file():
        way = override("model.path", file.parent) if (file.parent / "config.json").is_file() else "its folder"
        return f"model.path={path} is a file; give {way}, with config.json, weights and tokenizer"
    return (
        f"model.path={path} is not a folder; "
        "give a folder with config.json, weights and tokenizer, or a hub id such as roberta-large"
    )


def _only_gguf(folder: Path, names: list[str]) -> ModelFolder:
    """A folder whose only weights are GGUF files."""
    parts = [_PART.search(name) for name in names]
    if len(names) > 1 and not all(part is not None and int(part[1]) > 1 for part in parts):
        those = ", ".join(override("model.path", folder / name) for name in names[:5])
        raise ValueError(f"model.path={folder} holds {len(names)} GGUF models; name the one that is meant: {those}")
    return _gguf(folder / names[0])


_PART = re.compile(r"-[0-9]{5}-of-([0-9]{5})\.gguf$", re.IGNORECASE)


def _gguf(file: Path) -> ModelFolder:
    """A GGUF model, which transformers unpacks.

    Raises:
        ValueError: if it is a part of one, or the package that reads it is not installed.
    """
    if (part := _PART.search(file.name)) and int(part[1]) > 1:
        raise ValueError(
            f"model.path={file} is one of the {int(part[1])} parts of a GGUF model, and transformers reads whole ones "
            "only: join them (llama-gguf-split --merge FIRST_PART WHOLE.gguf)"
        )
    with file.open("rb") as stream:
        magic = stream.read(4)
    if magic != b"GGUF":
        raise ValueError(f"model.path={file} is called GGUF, but does not begin as such a file does; fetch it again")
    if importlib.util.find_spec("gguf") is None:
        raise ValueError(
            f"model.path={file} is a GGUF model, which the package gguf reads: "
            "pip install -c constraints.txt -e '.[gguf]'"
        )
    return ModelFolder(file.parent, file.parent, gguf=file.name)


def _read(file: Path, *, lenient: bool = False) -> dict[str, Any]:
    content = _json(file, lenient=lenient)
    return content if isinstance(content, dict) else {}


def _read_list(file: Path) -> list[Any]:
    content = _json(file, lenient=False)
    return content if isinstance(content, list) else []


def _json(file: Path, *, lenient: bool) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if lenient:
            return None
        raise ValueError(f"{file} is not readable as JSON ({one_line(error)})") from error
