"""Tokenizers: a model's own, or one trained on the texts of the task for a model from scratch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hprune.storage.model_folder import TOKENIZER_FILES
from hprune.training.build import from_hub_or_folder, packed_file, place_of
from hprune.training.spec import ModelSpec

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # in the order of RoBERTa and OPT: pad is 1


def load_tokenizer(spec: ModelSpec, texts: Callable[[], Iterable[str]]) -> PreTrainedTokenizerBase:
    """The model's tokenizer, with a pad token; for a model from scratch, one trained on the `texts`.

    Raises:
        ValueError: if it has none, one that is not fast, or nothing to pad with.
        OSError: if there is no such model here and the hub cannot be reached.
    """
    if spec.path is None:
        tokenizer: PreTrainedTokenizerBase = _train_tokenizer(spec, texts())
    else:
        if packed_file(spec, tokenizer=True) is None:
            _require_tokenizer_files(place_of(spec, tokenizer=True))
        tokenizer = from_hub_or_folder(spec, AutoTokenizer.from_pretrained, tokenizer=True)
        if not tokenizer.is_fast:  # whose content is not known, so that cached tokens could be another's
            raise ValueError(
                f"the tokenizer of model {spec.path}, {type(tokenizer).__name__}, is written in Python only; a fast "
                "one (tokenizer.json) is needed, so choose a model that has one"
            )
    if tokenizer.pad_token is None:  # GPT-like models were trained without one; any id does, as it is masked
        if tokenizer.eos_token is None:
            raise ValueError(
                f"the tokenizer of {spec.path} has neither a pad token nor an end token to pad with; add one"
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _require_tokenizer_files(place: Path | str) -> None:
    """A folder without a tokenizer must not pass: transformers would make up an empty one without a word."""
    if not isinstance(place, Path) or _needs_no_file(place):
        return
    if not any((place / name).is_file() for name in TOKENIZER_FILES):
        there = ", ".join(sorted(p.name for p in place.iterdir())) or "nothing"
        raise ValueError(
            f"model.path={place} has no tokenizer ({', '.join(TOKENIZER_FILES)}); it holds {there}; copy that of the "
            "model that it was trained from there: AutoTokenizer.from_pretrained(BASE).save_pretrained(FOLDER)"
        )


def _needs_no_file(folder: Path) -> bool:
    """Whether a folder's tokenizer has no vocabulary, as those of CANINE and ByT5, which take characters or bytes."""
    try:
        name = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("tokenizer_class")
    except (OSError, ValueError, AttributeError):
        return False
    kind = getattr(transformers, name, None) if isinstance(name, str) and name.isidentifier() else None
    return getattr(kind, "vocab_files_names", None) == {}


def _train_tokenizer(spec: ModelSpec, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE with the special tokens of RoBERTa, or of OPT for a model_type of that name."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=spec.vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    decoder = (spec.config or {}).get("model_type") == "opt"
    single, pair = ("</s> $A", "</s> $A </s> $B") if decoder else ("<s> $A </s>", "<s> $A </s> </s> $B </s>")
    bpe.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    bos = "</s>" if decoder else "<s>"
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=bos, eos_token="</s>", cls_token="<s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", mask_token="<mask>", model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
