"""Tokenise once: flat tokens and offsets on disk, by content hash, memory-mapped by every run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hprune.storage import shapes
from hprune.storage.files import one_line, read_json, sha256_of_file, sha256_of_json, whole_file, write_json
from hprune.storage.lock import left_behind, locked
from hprune.storage.places import writable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)

FACTS = "facts.json"
CHUNK = 5_000
"""Texts that are tokenised at a time: what the tokenizer hands out takes fifty times the room of the tokens."""


@dataclass(frozen=True, eq=False)
class TokenTable:
    """The tokens of m sequences end to end; sequence j is `input_ids[offsets[j]:offsets[j + 1]]`.

    A sample is one sequence, or several that follow each other: the windows of a long text, the options of a question.
    """

    input_ids: NDArray[np.int32]  # (T,)
    offsets: NDArray[np.int64]  # (m + 1,)
    token_type_ids: NDArray[np.int8] | None  # (T,), for models that tell the texts of a pair apart
    truncated: int  # sequences that were longer than the model takes, and were cut
    first: NDArray[np.int64] | None = None  # (n + 1,) sample i is first[i] .. first[i + 1] - 1; None: it is sequence i
    targets: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)  # (m, ...) each, what a kind of task needs
    chars: NDArray[np.int32] | None = None  # (T, 2) where a token stands in the text that is searched; -1: elsewhere
    lost: int = 0  # answers that no sequence holds as a whole

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(m,) tokens of each sequence, special tokens included."""
        return np.diff(self.offsets)

    @property
    def samples(self) -> int:
        """n, the number of samples."""
        return int((self.offsets if self.first is None else self.first).size - 1)

    def each_sequence(self) -> TokenTable:
        """The same tokens with every sequence a sample of its own."""
        return replace(self, first=None)


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Sequence[str]], max_length: int) -> TokenTable:
    """Tokenise one column of texts, or a pair of columns, cut at `max_length` tokens.

    Args:
        tokenizer: a fast tokenizer.
        texts: one or two sequences of n texts.
        max_length: longest sample in tokens, special tokens included; a pair is cut at its longer text.
    """
    parts = []
    for columns in _chunks(texts):
        if len(columns) == 2:
            columns[1] = [separator(tokenizer) + text for text in columns[1]]
        encoded = tokenizer(*columns, truncation=True, max_length=max_length, return_attention_mask=False)
        cut = 0 if encoded.encodings is None else sum(bool(e.overflowing) for e in encoded.encodings)
        parts.append(flat_tokens(encoded, truncated=cut))
    return joined(parts)


def separator(tokenizer: PreTrainedTokenizerBase) -> str:
    """What must stand between the texts of a pair: nothing where the tokenizer puts a token there, else a new line."""
    special = [tokenizer.num_special_tokens_to_add(pair=pair) for pair in (False, True)]
    return "" if special[1] > special[0] else "\n"


def flat_tokens(encoded: Any, *, truncated: int) -> TokenTable:
    """The sequences of one call of a tokenizer end to end."""
    types = encoded.get("token_type_ids")
    return TokenTable(
        input_ids=flat(encoded["input_ids"], np.int32),
        offsets=np.cumsum([0, *map(len, encoded["input_ids"])], dtype=np.int64),
        token_type_ids=None if types is None else flat(types, np.int8),
        truncated=truncated,
    )


def joined(parts: Sequence[TokenTable]) -> TokenTable:
    """Tables behind each other, as one; without any, an empty one."""
    if not parts:
        return TokenTable(np.empty(0, dtype=np.int32), np.zeros(1, dtype=np.int64), None, 0)
    if len(parts) == 1:
        return parts[0]

    def together(name: str) -> Any:
        arrays = [getattr(part, name) for part in parts]
        return None if arrays[0] is None else np.concatenate(arrays)

    def counted(name: str) -> Any:
        arrays = [getattr(part, name) for part in parts]
        return None if arrays[0] is None else np.cumsum(np.concatenate([[0], *map(np.diff, arrays)]), dtype=np.int64)

    return TokenTable(
        together("input_ids"),
        counted("offsets"),
        together("token_type_ids"),
        sum(part.truncated for part in parts),
        counted("first"),
        {name: np.concatenate([part.targets[name] for part in parts]) for name in parts[0].targets},
        together("chars"),
        sum(part.lost for part in parts),
    )


def flat(rows: Iterable[Iterable[int]], dtype: type) -> NDArray[Any]:
    """The numbers of all rows, end to end."""
    return np.fromiter(chain.from_iterable(rows), dtype=dtype)


def cached_tokens(folder: Path, make: Callable[[], TokenTable]) -> TokenTable:
    """Memory-map the token table in `folder`; make and store it first if it is not there whole, or is damaged.

    `facts.json` is written last, so that its existence means that the rest is there. It has a digest of each array,
    compared once a process, as what is mapped is read only when it is needed. A table of an older version, without
    digests, is made again. Processes that need the same table wait for the one that makes it. Where nothing
    can be written, what is there is read, or made and not kept.
    """
    if not writable(folder):
        return _read_or_made(folder, make)
    if not (folder / FACTS).exists() or left_behind(folder):
        with locked(folder, wait=True):
            if not (folder / FACTS).exists():
                _store(folder, make())
    try:
        return _load(folder)
    except _OlderTableError:
        problem = "were stored by an older version, without digests"
    except Exception as error:  # numpy has many for a broken header, and whatever it is, the way out is the same
        problem = f"are damaged ({one_line(error)})"
    with locked(folder, wait=True):
        with suppress(Exception):
            return _load(folder)  # as another process has made it, just now
        log.warning("the tokens in %s %s: they are made again", folder, problem)
        _store(folder, make())
    return _load(folder)


class _OlderTableError(ValueError):
    """The stored token table has no digests, as those of 0.1.0."""


def _read_or_made(folder: Path, make: Callable[[], TokenTable]) -> TokenTable:
    """The table in a folder that cannot be written, or a new one."""
    try:
        return _load(folder)
    except Exception as error:  # as above; or it is not there
        log.info("the tokens are made for this command only, as %s cannot be written (%s)", folder, one_line(error))
        return make()


def _load(folder: Path) -> TokenTable:
    facts = read_json(folder / FACTS)
    shape = {"truncated": shapes.count, "lost": shapes.count, "arrays": shapes.list_of(shapes.name)}
    shapes.check_shape(folder / FACTS, facts, shape)
    shapes.check_shape(folder / FACTS, facts, {"digests": shapes.dict_of(shapes.text, shapes.name)}, lenient=True)
    _check_digests(folder, facts)

    def stored(name: str) -> Any:
        return np.load(folder / f"{name}.npy", mmap_mode="r") if name in facts["arrays"] else None

    tokens = TokenTable(
        input_ids=stored("input_ids"),
        offsets=np.load(folder / "offsets.npy"),
        token_type_ids=stored("token_type_ids"),
        truncated=facts["truncated"],
        first=stored("first"),
        targets={name.partition(".")[2]: stored(name) for name in facts["arrays"] if name.startswith("targets.")},
        chars=stored("chars"),
        lost=facts["lost"],
    )
    _check(tokens)
    return tokens


_checked: set[str] = set()  # tables that this process has compared with their digests


def _check_digests(folder: Path, facts: Mapping[str, Any]) -> None:
    """Compare the arrays of a table with their digests, and the facts with their own; once a process, if none changes.

    Raises:
        ValueError: if they differ, or an older version stored none.
    """
    if "digests" not in facts:
        raise _OlderTableError
    files = {name: (folder / f"{name}.npy").stat() for name in facts["arrays"]}
    seen = {name: (file.st_ino, file.st_mtime_ns, file.st_size) for name, file in files.items()}
    once = sha256_of_json([str(folder), facts, seen])
    if once in _checked:
        return
    content = {name: value for name, value in facts.items() if name != "digest"}
    if facts.get("table") != folder.name or facts.get("digest") != sha256_of_json(content):
        raise ValueError("its facts are not those that were stored")
    for name in files:
        if sha256_of_file(folder / f"{name}.npy") != facts["digests"].get(name):
            raise ValueError(f"{name}.npy is not what was stored")
    _checked.add(once)


def _check(tokens: TokenTable) -> None:
    """Refuse arrays of other sizes or types than belong together."""
    total, sequences = tokens.input_ids.size, tokens.offsets.size - 1
    sizes = {"input_ids": (np.int32, total), "offsets": (np.int64, sequences + 1), "token_type_ids": (np.int8, total)}
    for name, (dtype, size) in {**sizes, "chars": (np.int32, total)}.items():
        array = getattr(tokens, name)
        if array is not None and (array.dtype != dtype or array.shape not in ((size,), (size, 2))):
            raise ValueError(f"{name} must be {np.dtype(dtype)} of {size}, it is {array.dtype} {array.shape}")
    ends = [tokens.offsets[0], 0, tokens.offsets[-1], total]
    ends += [] if tokens.first is None else [tokens.first[0], 0, tokens.first[-1], sequences]
    ends += [size for values in tokens.targets.values() for size in (len(values), sequences)]
    if ends[::2] != ends[1::2]:
        raise ValueError("its arrays do not belong together")


def _store(folder: Path, tokens: TokenTable) -> None:
    named = {name: getattr(tokens, name) for name in ("input_ids", "offsets", "token_type_ids", "first", "chars")}
    named |= {f"targets.{name}": values for name, values in tokens.targets.items()}
    arrays = {name: values for name, values in named.items() if values is not None}
    for name, values in arrays.items():
        with whole_file(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, values)
    sizes = {"samples": tokens.samples, "sequences": int(tokens.offsets.size - 1)}
    counts = {"truncated": tokens.truncated, "lost": tokens.lost}
    digests = {name: sha256_of_file(folder / f"{name}.npy") for name in arrays}
    facts = {"table": folder.name, **sizes, **counts, "arrays": list(arrays), "digests": digests}
    write_json(folder / FACTS, {**facts, "digest": sha256_of_json(facts)})


def _chunks(texts: Sequence[Sequence[str]]) -> Iterator[list[list[str]]]:
    for start in range(0, len(texts[0]), CHUNK):
        yield [list(column[start : start + CHUNK]) for column in texts]
