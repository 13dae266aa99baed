"""Questions with long contexts as overlapping windows, each token with its place in the context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hprune.data.tokenise import CHUNK, TokenTable, flat, flat_tokens, joined, separator

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def tokenise_windows(
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[str],
    contexts: Sequence[str],
    *,
    max_length: int,
    stride: int,
    closed: bool,
) -> TokenTable:
    """Tokenise n questions, each followed by its context; a context that is too long is cut into windows.

    Args:
        tokenizer: a fast tokenizer.
        questions: n questions; one that would leave no room for the context is cut.
        contexts: n contexts.
        max_length: longest window in tokens, question and special tokens included.
        stride: tokens of context that a window shares with the one before.
        closed: end each window with the end token, unless the tokenizer does: the place where a decoder has read all.

    Returns:
        The windows, with `first` (the windows of each question) and `chars` (first and last + 1 character of each token
        in the context, -1 for tokens that are not the context's).

    Raises:
        ValueError: if the stride leaves no room for a question, or there is no end token.
    """
    special = tokenizer.num_special_tokens_to_add(pair=True) + 2  # the end token, and one that an empty text may cost
    room = max_length - stride - special
    if room < 8:
        raise ValueError(
            f"windows of {max_length} tokens (data.max_length, or what the model takes) that share {stride} "
            "(task.kind.stride) leave no room for a question; raise the first or lower the second"
        )
    end = _end_token(tokenizer) if closed else None
    parts = []
    for start in range(0, len(questions), CHUNK):
        asked = _cut(tokenizer, questions[start : start + CHUNK], room)
        windows = _windows(tokenizer, asked, contexts[start : start + CHUNK], max_length - closed, stride)
        parts.append(windows if end is None or _ends_closed(windows) else _closed(windows, end))
    return joined(parts)


def _windows(
    tokenizer: Any, questions: Sequence[str], contexts: Sequence[str], max_length: int, stride: int
) -> TokenTable:
    between = separator(tokenizer)
    encoded = tokenizer(
        list(questions),
        [between + context for context in contexts],
        truncation="only_second",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_attention_mask=False,
    )
    tokens = flat_tokens(encoded, truncated=0)  # windows lose nothing
    spans = flat((place for window in encoded["offset_mapping"] for place in window), np.int32).reshape(-1, 2)
    spans = np.maximum(spans - len(between), 0)
    inside = flat(((part == 1 for part in e.sequence_ids) for e in encoded.encodings), np.bool_)
    owners = np.asarray(encoded["overflow_to_sample_mapping"], dtype=np.int64)
    first = np.searchsorted(owners, np.arange(len(questions) + 1)).astype(np.int64)
    chars = np.where((inside & (spans[:, 1] > spans[:, 0]))[:, None], spans, np.int32(-1))
    return replace(tokens, first=first, chars=chars)


def _cut(tokenizer: Any, questions: Sequence[str], room: int) -> list[str]:
    """Questions of at most `room` tokens; a token is at least a byte long, so short texts need no look."""
    asked = [question.strip() for question in questions]
    for i in range(len(asked)):
        keep = room
        while len(asked[i].encode()) > room:
            places = tokenizer(asked[i], add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
            if len(places) <= room:
                break
            asked[i], keep = asked[i][: places[keep][0]].rstrip(), keep - 1  # a character of several tokens goes whole
    return asked


def _ends_closed(windows: TokenTable) -> bool:
    """Whether the tokenizer itself ends a window with a token that is not the context's."""
    assert windows.chars is not None
    return bool((windows.chars[windows.offsets[1:] - 1, 0] < 0).all())


def _closed(windows: TokenTable, end: int) -> TokenTable:
    """The windows with one more token at the end of each."""

    def with_end(values: NDArray[Any] | None, fill: Any) -> Any:
        return None if values is None else np.insert(values, windows.offsets[1:], fill, axis=0)

    types = windows.token_type_ids
    return replace(
        windows,
        input_ids=with_end(windows.input_ids, end),
        offsets=windows.offsets + np.arange(windows.offsets.size),
        token_type_ids=with_end(types, None if types is None else types[windows.offsets[1:] - 1]),
        chars=with_end(windows.chars, -1),
    )


def _end_token(tokenizer: Any) -> int:
    found = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    if found is None:
        raise ValueError(
            "the tokenizer has no end token to close a window with: a decoder answers 'no answer' there; "
            "add one, or set task.kind.no_answer=first"
        )
    return int(found)
