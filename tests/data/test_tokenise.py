"""The token table holds what the tokenizer says of each text alone, and is made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from hprune.data.tokenise import TokenTable, cached_tokens, tokenise

WORDS = ["a", "film", "of", "great", "warmth", "and", "no", "plot", "!"]
TEXTS = ["a film", "no plot and no warmth", "", "great !", "a film of great warmth and no plot !"]
SECOND = ["no", "a film of great warmth and no plot !", "plot", "", "a unknown film"]


def tokenizer(types: bool = False) -> PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    made = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", model_input_names=names)


def sample(tokens: TokenTable, i: int, name: str = "input_ids") -> list[int]:
    values: list[int] = getattr(tokens, name)[tokens.offsets[i] : tokens.offsets[i + 1]].tolist()
    return values


@pytest.mark.parametrize("types", [False, True])
@pytest.mark.parametrize("max_length", [3, 6, 64])
@pytest.mark.parametrize("columns", [(TEXTS,), (TEXTS, SECOND)], ids=["single", "pair"])
def test_each_sample_is_the_tokenizers_own(types: bool, max_length: int, columns: Any) -> None:
    if len(columns) == 2 and max_length == 3:
        max_length = 5  # a pair has three special tokens
    reference = tokenizer(types).backend_tokenizer  # the Rust tokenizer, one text or pair at a time
    tokens = tokenise(tokenizer(types), columns, max_length)
    assert tokens.offsets.size == len(TEXTS) + 1
    full = [reference.encode(*texts).ids for texts in zip(*columns, strict=True)]
    reference.enable_truncation(max_length)
    for i, texts in enumerate(zip(*columns, strict=True)):
        alone = reference.encode(*texts)
        assert sample(tokens, i) == alone.ids
        if types:
            assert sample(tokens, i, "token_type_ids") == alone.type_ids
    assert (tokens.token_type_ids is not None) == types
    assert tokens.lengths.tolist() == [min(len(ids), max_length) for ids in full]
    assert tokens.truncated == sum(len(ids) > max_length for ids in full)


def test_the_types_tell_the_texts_of_a_pair_apart() -> None:
    tokens = tokenise(tokenizer(types=True), (["a film"], ["no plot !"]), 64)
    assert sample(tokens, 0, "token_type_ids") == [0, 0, 0, 0, 1, 1, 1, 1]


def test_an_empty_table_has_no_tokens(tmp_path: Path) -> None:
    for types in (False, True):
        tokens = cached_tokens(tmp_path / str(types), lambda types=types: tokenise(tokenizer(types), ([],), 8))  # type: ignore[misc]
        assert tokens.input_ids.size == 0
        assert tokens.offsets.tolist() == [0]
        assert tokens.truncated == 0


def assert_equal(a: TokenTable, b: TokenTable) -> None:
    assert a.input_ids.tolist() == b.input_ids.tolist()
    assert a.offsets.tolist() == b.offsets.tolist()
    assert a.truncated == b.truncated
    assert (a.token_type_ids is None) == (b.token_type_ids is None)
    if a.token_type_ids is not None and b.token_type_ids is not None:
        assert a.token_type_ids.tolist() == b.token_type_ids.tolist()


@pytest.mark.parametrize("types", [False, True])
def test_tokens_are_made_once(tmp_path: Path, types: bool) -> None:
    made = tokenise(tokenizer(types), (TEXTS,), 6)
    first = cached_tokens(tmp_path / "t", lambda: made)
    second = cached_tokens(tmp_path / "t", lambda: pytest.fail("made again"))
    for tokens in (first, second):
        assert_equal(tokens, made)
        assert isinstance(tokens.input_ids, np.memmap), "memory-mapped, not loaded"
        assert tokens.input_ids.dtype == np.int32


def test_a_half_written_cache_is_made_anew(tmp_path: Path) -> None:
    cached_tokens(tmp_path / "t", lambda: tokenise(tokenizer(types=True), (TEXTS,), 6))
    (tmp_path / "t" / "facts.json").unlink()
    (tmp_path / "t" / "offsets.npy").write_bytes(b"half")
    made = tokenise(tokenizer(), (SECOND,), 64)
    assert_equal(cached_tokens(tmp_path / "t", lambda: made), made)


def test_a_failure_while_making_leaves_no_cache(tmp_path: Path) -> None:
    def fail() -> TokenTable:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_tokens(tmp_path / "t", fail)
    made = tokenise(tokenizer(), (TEXTS,), 6)
    assert_equal(cached_tokens(tmp_path / "t", lambda: made), made)
