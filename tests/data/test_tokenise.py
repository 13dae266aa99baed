"""The token table holds what the tokenizer says of each text alone, and is made once."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

import hprune.data.tokenise as tokenise_module
from hprune.data.tokenise import TokenTable, cached_tokens, joined, tokenise

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
    for name in ("token_type_ids", "first", "chars"):
        own, other = getattr(a, name), getattr(b, name)
        assert (own is None) == (other is None), name
        if own is not None:
            assert (own.tolist(), own.dtype) == (other.tolist(), other.dtype), name
    assert list(a.targets) == list(b.targets)
    for name, values in a.targets.items():
        assert (values.tolist(), values.dtype) == (b.targets[name].tolist(), b.targets[name].dtype), name
    assert (a.samples, a.lengths.tolist()) == (b.samples, b.lengths.tolist())


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("types", [False, True])
@pytest.mark.parametrize("columns", [(TEXTS,), (TEXTS, SECOND)], ids=["single", "pair"])
def test_tokens_do_not_depend_on_how_many_texts_are_taken_at_a_time(
    monkeypatch: pytest.MonkeyPatch, columns: Any, types: bool, size: int
) -> None:
    whole = tokenise(tokenizer(types), columns, 6)
    monkeypatch.setattr(tokenise_module, "CHUNK", size)
    assert_equal(tokenise(tokenizer(types), columns, 6), whole)


def table_of(samples: int, seed: int, parts: bool = True) -> TokenTable:
    """A table of random tokens, with everything that a table may have."""
    rng = np.random.default_rng(seed)
    first = np.cumsum([0, *rng.integers(1, 4, samples)], dtype=np.int64)
    sequences = int(first[-1]) if parts else samples
    offsets = np.cumsum([0, *rng.integers(1, 6, sequences)], dtype=np.int64)
    size = int(offsets[-1])
    return TokenTable(
        rng.integers(0, 90, size).astype(np.int32),
        offsets,
        rng.integers(0, 2, size).astype(np.int8),
        truncated=int(rng.integers(0, 9)),
        first=first if parts else None,
        targets={"start": rng.integers(0, 9, sequences), "spans": rng.integers(0, 9, (sequences, 3, 2))},
        chars=rng.integers(-1, 99, (size, 2)).astype(np.int32),
    )


def rows_of(tokens: TokenTable) -> list[list[tuple[Any, ...]]]:
    """Everything that a table says of each sample, as nested lists."""
    first = np.arange(tokens.offsets.size) if tokens.first is None else tokens.first
    assert tokens.token_type_ids is not None and tokens.chars is not None  # noqa: PT018
    rows = []
    for i in range(tokens.samples):
        rows.append([])
        for j in range(first[i], first[i + 1]):
            own = slice(tokens.offsets[j], tokens.offsets[j + 1])
            values = [tokens.input_ids[own], tokens.token_type_ids[own], tokens.chars[own]]
            rows[-1].append(tuple(v.tolist() for v in [*values, *(t[j] for t in tokens.targets.values())]))
    return rows


@pytest.mark.parametrize("parts", [True, False])
@pytest.mark.parametrize("sizes", [[4], [1, 1], [3, 0, 2], [0, 4], [2, 5, 1, 3]])
def test_joined_tables_hold_the_samples_of_each_in_turn(sizes: list[int], parts: bool) -> None:
    tables = [table_of(size, seed, parts) for seed, size in enumerate(sizes)]
    together = joined(tables)
    assert rows_of(together) == [row for table in tables for row in rows_of(table)]
    assert together.samples == sum(sizes)
    assert together.truncated == sum(table.truncated for table in tables)
    assert (together.input_ids.dtype, together.offsets.dtype) == (np.int32, np.int64)
    assert (together.first is None) == (not parts)


def test_nothing_joined_is_an_empty_table() -> None:
    assert (joined([]).samples, joined([]).offsets.tolist(), joined([]).truncated) == (0, [0], 0)


def test_each_sequence_may_be_a_sample_of_its_own() -> None:
    tokens = table_of(5, seed=0)
    apart = tokens.each_sequence()
    assert apart.samples == tokens.lengths.size == tokens.offsets.size - 1 > tokens.samples
    assert rows_of(apart) == [[sequence] for row in rows_of(tokens) for sequence in row]


@pytest.mark.parametrize("parts", [True, False])
def test_the_cache_gives_back_everything_that_a_table_has(tmp_path: Path, parts: bool) -> None:
    made = table_of(6, seed=1, parts=parts)
    for tokens in (cached_tokens(tmp_path / "t", lambda: made),
                   cached_tokens(tmp_path / "t", lambda: pytest.fail("made again"))):  # fmt: skip
        assert_equal(tokens, made)
        assert rows_of(tokens) == rows_of(made)


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


@pytest.mark.parametrize("name", ["facts.json", "offsets.npy", "input_ids.npy", "first.npy", "targets.spans.npy"])
@pytest.mark.parametrize("how", ["gone", "empty", "half", "other"])
def test_a_damaged_cache_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, how: str) -> None:
    made = table_of(6, seed=1)
    cached_tokens(tmp_path, lambda: made)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes({"empty": b"", "half": content[: len(content) // 2]}.get(how, b"{}"))
    if how == "gone":
        (tmp_path / name).unlink()
    assert_equal(cached_tokens(tmp_path, lambda: made), made)
    assert ("are damaged" in caplog.text) == ((name, how) != ("facts.json", "gone"))
    assert (tmp_path / name).read_bytes() == content
    assert_equal(cached_tokens(tmp_path, lambda: pytest.fail("made again")), made)


def test_arrays_of_different_tables_do_not_pass(tmp_path: Path) -> None:
    made, other = table_of(6, seed=1), table_of(9, seed=2)
    cached_tokens(tmp_path / "t", lambda: made)
    cached_tokens(tmp_path / "other", lambda: other)
    (tmp_path / "other/offsets.npy").replace(tmp_path / "t/offsets.npy")
    assert_equal(cached_tokens(tmp_path / "t", lambda: made), made)


def test_who_needs_the_same_tokens_waits(tmp_path: Path) -> None:
    """And what a killed process left half written is gone."""
    made = table_of(6, seed=1)

    def slowly() -> TokenTable:
        time.sleep(0.3)
        return made

    with ThreadPoolExecutor(2) as two:
        first = two.submit(cached_tokens, tmp_path, slowly)
        time.sleep(0.1)
        second = two.submit(cached_tokens, tmp_path, lambda: pytest.fail("made twice"))
        assert_equal(first.result(), second.result())
    (tmp_path / ".offsets.npy.host-1.99.tmp").write_bytes(b"half")
    (tmp_path / ".lock").touch()
    assert_equal(cached_tokens(tmp_path, lambda: pytest.fail("made again")), made)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["input_ids.npy", "offsets.npy", "chars.npy", "targets.start.npy"])
def test_one_flipped_bit_in_a_cached_table_is_seen(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """The shapes still fit, so nothing but the digest tells."""
    made = table_of(6, seed=1)
    cached_tokens(tmp_path, lambda: made)
    content = bytearray((tmp_path / name).read_bytes())
    content[-3] ^= 4
    (tmp_path / name).write_bytes(content)
    assert_equal(cached_tokens(tmp_path, lambda: made), made)
    assert f"are damaged ({name} is not what was stored): they are made again" in caplog.text


def test_a_whole_table_of_other_texts_is_no_table_of_these(tmp_path: Path) -> None:
    made, other = table_of(6, seed=1), table_of(6, seed=2)
    cached_tokens(tmp_path / "t", lambda: made)
    cached_tokens(tmp_path / "other", lambda: other)
    for file in (tmp_path / "other").iterdir():
        file.replace(tmp_path / "t" / file.name)
    assert_equal(cached_tokens(tmp_path / "t", lambda: made), made)


def test_edited_facts_of_a_cached_table_are_seen(tmp_path: Path) -> None:
    made = table_of(6, seed=1)
    cached_tokens(tmp_path, lambda: made)
    facts = json.loads((tmp_path / "facts.json").read_text())
    (tmp_path / "facts.json").write_text(json.dumps(facts | {"truncated": facts["truncated"] + 1}))
    assert cached_tokens(tmp_path, lambda: made).truncated == made.truncated


def test_a_table_of_an_older_version_is_made_again_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = table_of(6, seed=1)
    cached_tokens(tmp_path, lambda: made)
    facts = json.loads((tmp_path / "facts.json").read_text())
    for name in ("table", "digests", "digest"):
        del facts[name]
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    assert_equal(cached_tokens(tmp_path, lambda: made), made)
    assert "were stored by an older version, without digests: they are made again" in caplog.text
    assert "damaged" not in caplog.text
    assert_equal(cached_tokens(tmp_path, lambda: pytest.fail("made again")), made)


def test_a_table_is_compared_with_its_digests_once_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = table_of(6, seed=1)
    cached_tokens(tmp_path, lambda: made)
    monkeypatch.setattr(tokenise_module, "sha256_of_file", lambda _: pytest.fail("read again"))
    assert_equal(cached_tokens(tmp_path, lambda: pytest.fail("made again")), made)
