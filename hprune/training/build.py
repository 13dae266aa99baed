"""Models: pre-trained by hub id or folder, or built from a configuration and trained from scratch."""

from __future__ import annotations

import copy
import io
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, replace
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
from transformers.utils.hub import cached_file
from transformers.utils.peft_utils import find_adapter_config_file

from hprune.storage.model_folder import open_folder, weights_digest
from hprune.tasks.spec import TaskKind
from hprune.training.adapter import add_saved_adapter
from hprune.training.pooling import KEY, check_read, pool
from hprune.training.spec import ModelSpec, Pooling

log = logging.getLogger(__name__)

NO_LIMIT = 2**31
"""More tokens than any input has."""


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
        if pooling == "own" and kind.pooled and not is_causal(config.model_type):
            _tell_of_sentences(spec)
    rows = _token_rows(model)
    if rows is not None and len(tokenizer) > rows:
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
    _check_answers(model, kind, tokenizer)
    return model.train()  # from_pretrained returns it in evaluation mode, without dropout


def _check_answers(model: PreTrainedModel, kind: TaskKind, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a model that cannot answer a text of a few tokens, as one whose configuration lacks what it needs.

    Nothing is drawn: some architectures use random numbers wherever they are.

    Raises:
        ValueError: naming the architecture, and what transformers says.
    """
    ids = torch.tensor(getattr(kind, "num_options", 2) * [list(tokenizer("a b c")["input_ids"]) or [0]])
    training = model.training
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            kind.outputs(model.eval(), {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    except Exception as error:  # of transformers, over a configuration that may say anything
        raise ValueError(
            f"{type(model).__name__} ({model.config.model_type}) cannot answer a text with its configuration "
            f"({_reason(error):.200}); look into its config.json (model.config), or choose another model"
        ) from error
    finally:
        model.train(training)


def _token_rows(model: PreTrainedModel) -> int | None:
    """How many tokens a model has vectors for; None if it has no such table, as CANINE, which hashes characters."""
    try:
        table = model.get_input_embeddings()
    except (NotImplementedError, AttributeError):
        return None
    weight = getattr(table, "weight", None)
    return int(weight.shape[0]) if isinstance(weight, torch.Tensor) and weight.ndim == 2 else None


def load_body(spec: ModelSpec) -> PreTrainedModel:
    """The pre-trained body alone, in float32.

    Raises:
        ValueError: if the checkpoint lacks weights of it, a pooler aside.
        OSError: if there is no such model here and the hub cannot be reached.
    """
    options: dict[str, Any] = {"dtype": torch.float32, "output_loading_info": True}
    model, loading = from_hub_or_folder(spec, AutoModel.from_pretrained, **options)
    missing = sorted(key for key in loading["missing_keys"] if not f".{key}".startswith(".pooler."))
    if missing:
        raise ValueError(f"the checkpoint of model {spec.name!r} lacks weights of its body ({missing[0]}, ...)")
    model = _unpacked(spec, model)
    _add_adapter(spec, model)
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
    if is_local(spec.path):
        identity: dict[str, Any] = {"sha256": weights_digest(spec.path)}
        base = _base_of(spec.path)
        if base is not None and is_local(base):
            identity["base"] = _weights(replace(spec, path=base))[0]
        elif base is not None:
            identity["base"] = _on_hub(spec, base)
        return identity, from_hub_or_folder(spec, PreTrainedConfig.get_config_dict)[0].get(KEY)
    return _on_hub(spec, spec.path), getattr(from_hub_or_folder(spec, AutoConfig.from_pretrained), KEY, None)


def _on_hub(spec: ModelSpec, hub_id: str) -> dict[str, Any]:
    """A model of the hub, by the commit of the copy that is loaded."""
    config = from_hub_or_folder(spec, AutoConfig.from_pretrained)
    return {"hub": hub_id, "commit": getattr(config, "_commit_hash", None)}


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


def longest_input(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, wanted: int) -> int:
    """Tokens that a sample may have: `data.max_length`, or less if the model or its tokenizer takes less.

    A limit that is none (-1 of XLNet, 0, null) limits nothing.
    """
    positions = _limit(getattr(model.config, "max_position_embeddings", None))
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    if padding is not None and positions < NO_LIMIT:  # RoBERTa counts positions from pad + 1
        positions -= padding + 1
    return min(wanted, positions, _limit(tokenizer.model_max_length))


def _limit(tokens: Any) -> int:
    """A length that a configuration states, which may be none."""
    number = isinstance(tokens, (int, float)) and not isinstance(tokens, bool) and 0 < tokens < NO_LIMIT
    return int(tokens) if number else NO_LIMIT


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
    model = _unpacked(spec, model)
    _add_adapter(spec, model)
    return model


def _unpacked(spec: ModelSpec, model: PreTrainedModel) -> PreTrainedModel:
    """A model that was read from a GGUF file, without the mark by which transformers refuses to train or save it.

    Its weights are already floats.
    """
    if packed_file(spec) is None:
        return model
    log.info("%s: the weights of a GGUF file are rounded; training goes on from them in float32", spec.name)
    config = copy.deepcopy(model.config)
    del config.quantization_config
    with torch.random.fork_rng(devices=[]):
        plain = type(model)(config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    return plain


def _tell_of_sentences(spec: ModelSpec) -> None:
    """Say what a model for sentence embeddings was trained for, where the head reads something else."""
    opened = open_folder(str(spec.path)) if is_local(str(spec.path)) else None
    if opened is not None and opened.trained_pooling in ("mean", "max"):
        log.info(
            "%s was trained for sentence embeddings on the %s of its states: model.pooling=%s reads that, and "
            "model.pooling=own what its architecture's head reads", spec.name, *2 * (opened.trained_pooling,),
        )  # fmt: skip
    if opened is not None and opened.left_out:
        log.info("%s: only its transformer is loaded, not %s", spec.name, ", ".join(opened.left_out))


def _add_adapter(spec: ModelSpec, model: PreTrainedModel) -> None:
    """Add the LoRA adapter that `model.path` names, if it is one, into the weights of its base.

    Raises:
        ValueError: if it does not fit, or lies on the hub, where its weights would not be known by content.
    """
    path = str(spec.path)
    if is_local(path):
        if open_folder(path).base is not None:
            add_saved_adapter(model, open_folder(path).weights)
    elif find_adapter_config_file(path, local_files_only=True) is not None:
        raise ValueError(
            f"model.path={path} is a LoRA adapter on the hub; fetch it (hf download {path} --local-dir FOLDER) and "
            "give its folder, so that adapter and base are known by content"
        )


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


def is_local(path: str) -> bool:
    """Whether `model.path` names a folder of this machine, there or not, and no hub id."""
    return path.startswith((".", "/", "~")) or Path(path).exists()


def place_of(spec: ModelSpec, *, tokenizer: bool = False) -> Path | str:
    """The folder or hub id of the configuration and the weights, or of the tokenizer.

    Raises:
        ValueError: if a folder is no model that can be loaded; the message says what it is.
    """
    path = str(spec.path)
    if not is_local(path):
        return path
    opened = open_folder(path)
    if tokenizer and opened.tokenizer is not None:
        return opened.tokenizer
    base = _base_of(path)
    return opened.weights if base is None else place_of(replace(spec, path=base), tokenizer=tokenizer)


def packed_file(spec: ModelSpec, *, tokenizer: bool = False) -> str | None:
    """The name of the GGUF file that holds a model, or the base of an adapter; None if none does.

    Args:
        spec: the model.
        tokenizer: ask for its tokenizer, which an adapter may have in its own folder.
    """
    if not is_local(str(spec.path)):
        return None
    opened, base = open_folder(str(spec.path)), _base_of(str(spec.path))
    if base is None or (tokenizer and opened.tokenizer is not None):
        return opened.gguf
    return packed_file(replace(spec, path=base), tokenizer=tokenizer)


def _base_of(path: str) -> str | None:
    """The folder or hub id that the LoRA adapter in a folder is added to; None if the folder is a whole model.

    Raises:
        ValueError: if that is an adapter again.
    """
    base = open_folder(path).base
    if base is not None and is_local(base) and open_folder(base).base is not None:
        raise ValueError(
            f"model.path={path} is a LoRA adapter for {base}, which is another one; add that into its base first "
            "(merge_and_unload of peft), and name the result in base_model_name_or_path of adapter_config.json"
        )
    return base


def from_hub_or_folder(spec: ModelSpec, load: Any, *, tokenizer: bool = False, **options: Any) -> Any:
    """What `load` makes of the model's hub id or folder, without running code that comes with it.

    Raises:
        ValueError: if the folder is not there, or does not hold what is to be loaded.
        OSError: if the hub cannot be reached and there is no local copy.
    """
    path, place = str(spec.path), place_of(spec, tokenizer=tokenizer)
    packed = packed_file(spec, tokenizer=tokenizer)
    base_of_adapter = isinstance(place, str) and place != path  # which the adapter names, and is not looked up
    if base_of_adapter:
        options["local_files_only"] = True
    try:
        if packed is not None:
            return _load_packed(load, Path(place) / packed, **options)
        return load(str(place), trust_remote_code=False, **options)
    except Exception as error:  # of libraries, over files that may be anything: their kinds are many
        reason = _reason(error)
        if "Unrecognized configuration class" in str(error):
            kind = getattr(getattr(load, "__self__", None), "__name__", "such a head")
            raise ValueError(
                f"transformers has no {kind} for the architecture of model {path}: it cannot learn this kind of task; "
                "choose another model"
            ) from error
        if code := _own_code(place):
            raise ValueError(
                f"model {path} comes with code of its own ({code}), which is never run here, and transformers cannot "
                f"load it without ({reason}); choose a model whose architecture transformers has"
            ) from error
        if base_of_adapter:
            raise ValueError(
                f"model.path={path} is a LoRA adapter for the model {place}, which is not here ({reason}); "
                f"fetch it once (hf download {place}), or write its folder into adapter_config.json as "
                "base_model_name_or_path"
            ) from error
        if is_local(path):
            again = "; if the file is not whole, fetch it again" if packed is not None else ""
            raise ValueError(f"cannot load the model in {path}: {reason}{again}") from error
        raise OSError(
            f"cannot get the model {path!r}: no local copy and the hub did not give it ({reason}). "
            "Two ways on: use a local folder with model.path=FOLDER (config.json, weights, tokenizer), "
            f"or fetch it once on a machine with network (hf download {path}) "
            "and bring its cache (HF_HOME) along"
        ) from error


def _load_packed(load: Any, file: Path, **options: Any) -> Any:
    """What `load` makes of a GGUF file, which holds all of a model: nothing that lies beside it plays a part."""
    with (
        tempfile.TemporaryDirectory() as folder,
        redirect_stderr(io.StringIO()),
    ):  # its bar, whatever it is told
        (Path(folder) / "model.gguf").symlink_to(file.resolve())
        made = load(folder, gguf_file="model.gguf", trust_remote_code=False, **options)
    for part in made if isinstance(made, tuple) else (made,):
        for name in ("name_or_path", "_name_or_path"):
            if isinstance(getattr(part, name, None), str):
                setattr(part, name, str(file))
    return made


def _reason(error: BaseException) -> str:
    """The first line of what a library said, with the kind of error where the line alone says little."""
    lines = str(error).strip().splitlines()
    line = lines[0] if lines else ""
    return (
        line if isinstance(error, (OSError, ValueError, RuntimeError)) and line else f"{type(error).__name__}: {line}"
    )


def _own_code(place: Path | str) -> str | None:
    """What a model says of code that came with it, in config.json and tokenizer_config.json; None if it has none."""
    found = []
    for name in ("config.json", "tokenizer_config.json"):
        try:
            file = cached_file(str(place), name, local_files_only=True)
            content = json.loads(Path(file).read_text(encoding="utf-8"))  # type: ignore[arg-type]
            found += list((content.get("auto_map") or {}).values())
        except (OSError, ValueError, TypeError, AttributeError):
            continue
    texts = [text for entry in found for text in (entry if isinstance(entry, list) else [entry]) if text]
    return f"auto_map: {texts[0]!s:.80}" if texts else None


def _fresh_config(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase, head: Mapping[str, Any]) -> PreTrainedConfig:
    fields = dict(spec.config or {})
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    try:
        return AutoConfig.for_model(fields.pop("model_type"), vocab_size=len(tokenizer), **ids, **head, **fields)
    except (ValueError, TypeError) as error:
        raise ValueError(f"model.config of {spec.name!r} does not make a model: {error}") from error
