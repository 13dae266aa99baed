"""Models: pre-trained by hub id or folder, or built from a configuration and trained from scratch."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from hprune.storage.files import sha256_of_file
from hprune.tasks.spec import TaskKind
from hprune.training.pooling import KEY, check_read, pool
from hprune.training.spec import ModelSpec, Pooling

log = logging.getLogger(__name__)


def load_model(
    spec: ModelSpec, kind: TaskKind, *, label_names: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> PreTrainedModel:
    """The model with the head of this kind of task, in float32 and in training mode. Seed before: the head is random.

    Raises:
        ValueError: if the model does not fit the tokenizer, the classes or `model.pooling`.
        OSError: if there is no such model here and the hub cannot be reached.
    """
    config = config_of(spec, tokenizer)
    pooling = _pooling_for(spec, kind, config)
    loader, names = kind.head(config.model_type, label_names)
    head = {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {n: i for i, n in enumerate(names)},
    }
    if spec.path is None:
        model = loader.from_config(config_of(spec, tokenizer, head))
    else:
        _check_order_of_classes(spec, names)
        model = _pretrained(spec, loader, head)
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise ValueError(
            f"the tokenizer of model {spec.name!r} has {len(tokenizer)} tokens, but the model takes {rows}: "
            "they do not belong together"
        )
    model.config.pad_token_id = tokenizer.pad_token_id
    model.config.use_cache = False  # of keys and values, for text that is yet to come
    if pooling != "own":
        check_read(pool(model, pooling), kind, pooling)
        if not hasattr(config, KEY) and type(model).__name__ in (config.architectures or ()):
            log.warning("%s: the checkpoint's head was not trained on model.pooling=%s", spec.name, pooling)
    elif hasattr(model.config, KEY):  # every token is read: no pooling is to be saved
        delattr(model.config, KEY)
    return model.train()  # from_pretrained returns it in evaluation mode, without dropout


def load_body(spec: ModelSpec) -> PreTrainedModel:
    """The pre-trained body alone, in float32.

    Raises:
        ValueError: if the checkpoint lacks weights of it, a pooler aside.
        OSError: if there is no such model here and the hub cannot be reached.
    """
    options = {"dtype": torch.float32, "output_loading_info": True}
    model, loading = from_hub_or_folder(spec, AutoModel.from_pretrained, **options)
    missing = sorted(key for key in loading["missing_keys"] if not f".{key}".startswith(".pooler."))
    if missing:
        raise ValueError(f"the checkpoint of model {spec.name!r} lacks weights of its body ({missing[0]}, ...)")
    model.config.use_cache = False
    return model


def config_of(
    spec: ModelSpec, tokenizer: PreTrainedTokenizerBase, head: Mapping[str, Any] | None = None
) -> PreTrainedConfig:
    """The model's configuration, without its weights."""
    if spec.path is not None:
        found: PreTrainedConfig = from_hub_or_folder(spec, AutoConfig.from_pretrained)
        return found
    return _fresh_config(spec, tokenizer, head or {})


def is_causal(model_type: str) -> bool:
    """Whether an architecture is a decoder, whose tokens see only those before them."""
    return model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def model_identity(spec: ModelSpec) -> dict[str, Any]:
    """What the model is, by content: a hash of a folder's files, a hub commit, or the configuration itself."""
    identity, saved = _weights(spec)
    if spec.adapter is not None:
        identity["adapter"] = asdict(spec.adapter)
    if (pooling := _pooling(spec, saved)) != "own":  # which was all there was: older runs keep their names
        identity["pooling"] = pooling
    return identity


def weights_identity(spec: ModelSpec) -> dict[str, Any]:
    """What the weights are that training starts from, whatever is put on them."""
    return _weights(spec)[0]


def _weights(spec: ModelSpec) -> tuple[dict[str, Any], Any]:
    """What the weights are, and the pooling that they were saved with, None if it is not said."""
    if spec.path is None:
        return {"config": dict(spec.config or {}), "vocab_size": spec.vocab_size}, None
    folder = Path(spec.path)
    if folder.is_dir():
        files = sorted(p for p in folder.iterdir() if p.suffix in (".json", ".safetensors", ".bin", ".txt", ".model"))
        stamps = tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
        saved = (
            from_hub_or_folder(spec, PreTrainedConfig.get_config_dict)[0] if (folder / "config.json").is_file() else {}
        )
        return {"sha256": _digest_of_files(stamps)}, saved.get(KEY)
    config = from_hub_or_folder(spec, AutoConfig.from_pretrained)
    return {"hub": spec.path, "commit": getattr(config, "_commit_hash", None)}, getattr(config, KEY, None)


def _pooling(spec: ModelSpec, saved: Any) -> Pooling:
    """What the head reads: as `model.pooling` says, or as a model was saved by a run with another.

    Raises:
        ValueError: if both say something, and not the same.
    """
    if saved not in (*get_args(Pooling), None) or (saved is not None and spec.pooling not in ("own", saved)):
        raise ValueError(
            f"model.pooling={spec.pooling}, but the model in {spec.path} was saved with {KEY}: {saved!r:.40} in its "
            "config.json: its head reads that; leave out model.pooling, or take the checkpoint that it was trained from"
        )
    return spec.pooling if saved is None else saved


def _pooling_for(spec: ModelSpec, kind: TaskKind, config: PreTrainedConfig) -> Pooling:
    """What the head of this kind of task reads of this architecture.

    Raises:
        ValueError: if it cannot be given a pooled vector.
    """
    saved = getattr(config, KEY, None)
    if not kind.pooled and spec.pooling == "own":
        return "own"  # a body is a body, whatever was once on top
    pooling = _pooling(spec, saved)
    if pooling != "own" and not kind.pooled:
        raise ValueError(
            f"model.pooling={pooling} is for classification and multiple choice; {type(kind).__name__} reads every "
            "token: set model.pooling=own"
        )
    if pooling != "own" and (is_causal(config.model_type) or getattr(config, "is_encoder_decoder", False)):
        raise ValueError(
            f"model.pooling={pooling} is for encoders, and {config.model_type} is none: its head reads the last token "
            "of a decoder; set model.pooling=own"
        )
    return pooling


@functools.lru_cache(maxsize=8)
def _digest_of_files(stamps: tuple[tuple[Path, int, int], ...]) -> str:
    """Hash the content of files once in a process, as long as their sizes and times stay: weights are gigabytes."""
    return hashlib.sha256("".join(f"{file.name}:{sha256_of_file(file)};" for file, *_ in stamps).encode()).hexdigest()


def longest_input(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, wanted: int) -> int:
    """Tokens that a sample may have: `data.max_length`, or less if the model takes less."""
    positions = getattr(model.config, "max_position_embeddings", None) or wanted
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    if padding is not None:  # RoBERTa counts positions from pad + 1
        positions -= padding + 1
    return int(min(wanted, positions, tokenizer.model_max_length))


def _pretrained(spec: ModelSpec, loader: Any, head: Mapping[str, Any]) -> PreTrainedModel:
    """The pre-trained model with a fresh head; none of its body may start from random weights."""

    def load(**options: Any) -> tuple[PreTrainedModel, list[str]]:
        # float32 in so many words: the default is the dtype of the checkpoint, which is fp16 for OPT
        options |= {"dtype": torch.float32, "output_loading_info": True, "ignore_mismatched_sizes": True, **head}
        model, found = from_hub_or_folder(spec, loader.from_pretrained, **options)
        others = {key for key, *_ in found["mismatched_keys"]}
        lost = {k for k in {*found["missing_keys"], *others} if k.startswith(f"{model.base_model_prefix}.")}
        if others - lost:
            log.warning("%s: the checkpoint's head has another size and is replaced by a fresh one", spec.name)
        return model, sorted(key for key in lost if ".pooler." not in key)

    model, missing = load()
    if missing:  # with a question-answering head Llama and Qwen call their body "transformer", elsewhere "model"
        model, missing = load(key_mapping={r"^model\.": f"{model.base_model_prefix}."})
    if missing:
        raise ValueError(
            f"the checkpoint of model {spec.name!r} lacks {len(missing)} weights of its body, or has them "
            f"in another size ({missing[0]}, ...): they would be random; take a complete checkpoint"
        )
    return model


def _check_order_of_classes(spec: ModelSpec, names: Sequence[str]) -> None:
    """Refuse a head that was trained on the same classes in another order: it would answer with the wrong ones."""
    config = from_hub_or_folder(spec, AutoConfig.from_pretrained)
    theirs = [str(config.id2label[i]) for i in sorted(config.id2label)]
    own, ours = [name.casefold() for name in theirs], [str(name).casefold() for name in names]
    if own != ours and sorted(own) == sorted(ours):
        raise ValueError(
            f"model {spec.name!r} was trained on the classes {', '.join(theirs)}, in this order, "
            f"but the task has them as {', '.join(map(str, names))}: its head would answer with the wrong ones; "
            "use the model without that head, or bring data and task.label_names into the model's order"
        )


def from_hub_or_folder(spec: ModelSpec, load: Any, **options: Any) -> Any:
    """What `load` makes of the model's hub id or folder.

    Raises:
        ValueError: if the folder is not there, or does not hold what is to be loaded.
        OSError: if the hub cannot be reached and there is no local copy.
    """
    path = str(spec.path)
    looks_local = path.startswith((".", "/", "~")) or Path(path).exists()
    if looks_local and not Path(path).expanduser().is_dir():
        raise ValueError(
            f"model.path={path} is not a folder; "
            "give a folder with config.json, weights and tokenizer, or a hub id such as roberta-large"
        )
    try:
        return load(str(Path(path).expanduser()) if looks_local else path, **options)
    except (OSError, ValueError, RuntimeError) as error:
        if "Unrecognized configuration class" in str(error):
            kind = getattr(getattr(load, "__self__", None), "__name__", "such a head")
            raise ValueError(
                f"transformers has no {kind} for the architecture of model {path}: it cannot learn this kind of task; "
                "choose another model"
            ) from error
        if looks_local:
            raise ValueError(f"cannot load the model in {path}: {str(error).splitlines()[0]}") from error
        raise OSError(
            f"cannot get the model {path!r}: no local copy and the hub did not give it ({str(error).splitlines()[0]}). "
            "Two ways on: use a local folder with model.path=FOLDER (config.json, weights, tokenizer), "
            f"or fetch it once on a machine with network (huggingface-cli download {path}) "
            "and bring its cache (HF_HOME) along"
        ) from error


def _fresh_config(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase, head: Mapping[str, Any]) -> PreTrainedConfig:
    fields = dict(spec.config or {})
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    try:
        return AutoConfig.for_model(fields.pop("model_type"), vocab_size=len(tokenizer), **ids, **head, **fields)
    except (ValueError, TypeError) as error:
        raise ValueError(f"model.config of {spec.name!r} does not make a model: {error}") from error
