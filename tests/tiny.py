"""Tokenizers and models that are made in milliseconds, for tests of the kinds of tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from hprune.data.datamodule import Batch, Encoded, PaddedBatches
from hprune.tasks.spec import TaskKind
from hprune.training.build import load_model
from hprune.training.spec import ModelSpec

Style = Literal["bert", "opt", "bare"]
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
TEMPLATES = {"bert": ("<s> $A </s>", "<s> $A </s> $B:1 </s>:1"), "opt": ("</s> $A", "</s> $A </s> $B")}
SIZE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
MODELS: dict[str, dict[str, Any]] = {
    "roberta": {"model_type": "roberta", **SIZE, "intermediate_size": 32, "max_position_embeddings": 80,
                "type_vocab_size": 1},
    "bert": {"model_type": "bert", **SIZE, "intermediate_size": 32, "max_position_embeddings": 80},
    "opt": {"model_type": "opt", **SIZE, "word_embed_proj_dim": 16, "ffn_dim": 32, "max_position_embeddings": 80},
}  # fmt: skip


def word_tokenizer(texts: Iterable[str], style: Style = "bert", types: bool = False) -> PreTrainedTokenizerFast:
    """One token a word: `bert` closes its texts, `opt` has a token between them, `bare` has none at all."""
    words = sorted({word for text in texts for word in text.split()})
    vocabulary = {word: i for i, word in enumerate((*SPECIAL, *words))}
    made = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = WhitespaceSplit()
    if style != "bare":
        single, pair = TEMPLATES[style]
        made.post_processor = TemplateProcessing(single=single, pair=pair, special_tokens=[("<s>", 0), ("</s>", 2)])
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        model_input_names=names,
    )  # fmt: skip


def batch_of(data: Encoded, rows: list[int] | None = None, width: int | None = None) -> Batch:
    """The batch of some rows of a table, or of all."""
    chosen = np.arange(data.labels.size) if rows is None else np.array(rows)
    return PaddedBatches(data, np.arange(data.labels.size), pad_id=1, width=width)[chosen]


def model_of(architecture: str, kind: TaskKind, names: tuple[str, ...], tokenizer: Any, seed: int = 0) -> Any:
    """A model with the head of a kind of task, from random weights, without dropout."""
    torch.manual_seed(seed)
    spec = ModelSpec("tiny", config=MODELS[architecture])
    return load_model(spec, kind, label_names=names, tokenizer=tokenizer).eval()
