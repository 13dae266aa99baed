"""Tokenise once: flat tokens and offsets on disk, by content hash, memory-mapped by every run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hprune.storage.files import read_json, whole_file, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False)
class TokenTable:
    """The tokens of n samples end to end; sample i is `input_ids[offsets[i]:offsets[i + 1]]`."""

    input_ids: NDArray[np.int32]  # (T,)
    offsets: NDArray[np.int64]  # (n + 1,)
    token_type_ids: NDArray[np.int8] | None  # (T,), for models that tell the texts of a pair apart
    truncated: int  # samples that were longer than the model takes

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) tokens of each sample, special tokens included."""
        return np.diff(self.offsets)


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Sequence[str]], max_length: int) -> TokenTable:
    """Tokenise one column of texts, or a pair of columns, cut at `max_length` tokens.

    Args:
        tokenizer: a fast tokenizer.
        texts: one or two sequences of n texts.
        max_length: longest sample in tokens, special tokens included; a pair is cut at its longer text.
    """
    columns = [list(column) for column in texts]
    if not columns[0]:  # tokenizers take no empty batch
        return TokenTable(np.empty(0, dtype=np.int32), np.zeros(1, dtype=np.int64), None, 0)
    encoded = tokenizer(*columns, truncation=True, max_length=max_length, return_attention_mask=False)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    types = encoded.get("token_type_ids")
    encodings = encoded.encodings
    return TokenTable(
        input_ids=_flat(encoded["input_ids"], np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        token_type_ids=None if types is None else _flat(types, np.int8),
        truncated=0 if encodings is None else sum(bool(e.overflowing) for e in encodings),
    )


def cached_tokens(folder: Path, make: Callable[[], TokenTable]) -> TokenTable:
    """Memory-map the token table in `folder`; make and store it first if it is not there whole.

    `facts.json` is written last, so that its existence means that the rest is there.
    """
    if not (folder / "facts.json").exists():
        _store(folder, make())
    types = folder / "token_type_ids.npy"
    return TokenTable(
        input_ids=np.load(folder / "input_ids.npy", mmap_mode="r"),
        offsets=np.load(folder / "offsets.npy"),
        token_type_ids=np.load(types, mmap_mode="r") if types.exists() else None,
        truncated=read_json(folder / "facts.json")["truncated"],
    )


def _store(folder: Path, tokens: TokenTable) -> None:
    for name in ("input_ids", "offsets", "token_type_ids"):
        values = getattr(tokens, name)
        if values is None:
            (folder / f"{name}.npy").unlink(missing_ok=True)
            continue
        with whole_file(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, values)
    write_json(folder / "facts.json", {"samples": int(tokens.offsets.size - 1), "truncated": tokens.truncated})


def _flat(rows: Sequence[Sequence[int]], dtype: type) -> NDArray:
    total = sum(len(row) for row in rows)
    return np.fromiter((token for row in rows for token in row), dtype=dtype, count=total)
