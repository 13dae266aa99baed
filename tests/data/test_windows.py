"""Windows are cut from what the tokenizer says of each text alone, and every token knows its characters."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hprune.data import windows as windows_module
from hprune.data.tokenise import TokenTable
from hprune.data.windows import tokenise_windows
from hprune.training.spec import ModelSpec
from hprune.training.tokenizer import load_tokenizer
from tests.tiny import MODELS, Style, word_tokenizer

RNG = np.random.default_rng(0)
WORDS = [f"{a}{b}" for a in ("ka", "lo", "mi", "nu", "été") for b in ("", "pe", "ri", "so")]
QUESTIONS = ["who ka ?", "lo", "  mi nupe  été ?", "when was nuso", "ka lo mi", "lori ?", "milo"]
CONTEXTS = [" ".join(RNG.choice(WORDS, size)) for size in (40, 3, 25, 1, 64, 12, 33)]
CONTEXTS[2] = "  " + CONTEXTS[2].replace(" ", "   ", 5) + "\n\tka  "
STYLES: tuple[Style, ...] = ("bert", "opt", "bare")
END = 2


def cut(style: Style, *, max_length: int = 24, stride: int = 6, closed: bool = False, **options: Any) -> TokenTable:
    tokenizer = options.pop("tokenizer", None) or word_tokenizer([*QUESTIONS, *CONTEXTS], style, **options)
    questions, contexts = options.get("questions", QUESTIONS), options.get("contexts", CONTEXTS)
    return tokenise_windows(tokenizer, questions, contexts, max_length=max_length, stride=stride, closed=closed)


def ids_of(tokens: TokenTable, j: int) -> list[int]:
    ids: list[int] = tokens.input_ids[tokens.offsets[j] : tokens.offsets[j + 1]].tolist()
    return ids


def chars_of(tokens: TokenTable, j: int) -> list[list[int]]:
    assert tokens.chars is not None
    chars: list[list[int]] = tokens.chars[tokens.offsets[j] : tokens.offsets[j + 1]].tolist()
    return chars


def around(style: Style, question: list[int], context: list[int], closed: bool) -> list[int]:
    """A window, as the style of the tokenizer has it."""
    if style == "bert":
        return [0, *question, END, *context, END]
    start, between = ([END], [END]) if style == "opt" else ([], [])
    return [*start, *question, *between, *context, *([END] if closed else [])]


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("max_length", "stride"), [(24, 6), (20, 0), (30, 12), (200, 6)])
def test_windows_are_cut_from_the_single_encodings(style: Style, max_length: int, stride: int, closed: bool) -> None:
    tokens = cut(style, max_length=max_length, stride=stride, closed=closed)
    single = word_tokenizer([*QUESTIONS, *CONTEXTS], style).backend_tokenizer
    assert tokens.first is not None
    assert tokens.samples == len(QUESTIONS)
    for i, (question, context) in enumerate(zip(QUESTIONS, CONTEXTS, strict=True)):
        asked = single.encode(question, add_special_tokens=False).ids
        read = single.encode(context, add_special_tokens=False)
        room = max_length - closed - len(around(style, asked, [], closed=False))
        starts = range(0, max(1, len(read.ids) - stride), room - stride)
        own = range(tokens.first[i], tokens.first[i + 1])
        assert [ids_of(tokens, j) for j in own] == [
            around(style, asked, read.ids[s : s + room], closed) for s in starts
        ]
        before = len(around(style, asked, [], closed=False)) - (style == "bert")
        for j, s in zip(own, starts, strict=True):
            places = [list(place) for place in read.offsets[s : s + room]]
            chars = chars_of(tokens, j)
            assert chars[before : before + len(places)] == places
            assert all(pair == [-1, -1] for pair in chars[:before] + chars[before + len(places) :])
            assert [context[a:b] for a, b in places] == [single.id_to_token(t) for t in read.ids[s : s + room]]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("max_length", "stride"), [(24, 6), (20, 0), (30, 12)])
def test_every_token_is_in_a_window_and_neighbours_share_the_stride(style: Style, max_length: int, stride: int) -> None:
    tokens = cut(style, max_length=max_length, stride=stride)
    assert tokens.first is not None
    assert tokens.truncated == 0
    assert tokens.lengths.max() <= max_length
    for i, context in enumerate(CONTEXTS):
        shown = [
            [tuple(pair) for pair in chars_of(tokens, j) if pair[0] >= 0]
            for j in range(tokens.first[i], tokens.first[i + 1])
        ]
        assert len({pair for window in shown for pair in window}) == len(context.split())
        for left, right in pairwise(shown):
            assert left[len(left) - stride :] == right[:stride]
            assert not set(left) & set(right[stride:])


@pytest.mark.parametrize("max_length", [24, 30, 200])
@pytest.mark.parametrize("style", STYLES)
def test_a_closed_window_ends_with_one_end_token(style: Style, max_length: int) -> None:
    tokens = cut(style, max_length=max_length, closed=True)
    for j in range(tokens.lengths.size):
        ids = ids_of(tokens, j)
        assert ids[-1] == END
        assert ids[-2] != END
        assert chars_of(tokens, j)[-1] == [-1, -1]
        assert len(ids) <= max_length


def test_types_follow_the_windows() -> None:
    for closed in (False, True):
        tokens = cut("bert", types=True, closed=closed)
        assert tokens.token_type_ids is not None
        for j in range(tokens.lengths.size):
            types = tokens.token_type_ids[tokens.offsets[j] : tokens.offsets[j + 1]].tolist()
            border = ids_of(tokens, j).index(END) + 1
            assert types == [0] * border + [1] * (len(types) - border)
        opened = cut("opt", types=True, closed=closed)
        assert opened.token_type_ids is not None
        assert opened.token_type_ids.size == opened.input_ids.size


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_chunks_leave_no_trace(style: Style, closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cut(style, closed=closed, types=True)
    monkeypatch.setattr(windows_module, "CHUNK", 2)
    chunked = cut(style, closed=closed, types=True)
    for name in ("input_ids", "offsets", "token_type_ids", "first", "chars"):
        a, b = getattr(whole, name), getattr(chunked, name)
        assert (a.dtype, a.tolist()) == (b.dtype, b.tolist()), name


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_a_long_question_is_cut_and_leaves_room(style: Style, closed: bool) -> None:
    tokenizer = word_tokenizer([*QUESTIONS, *CONTEXTS], style)
    question, context = " ".join(WORDS * 5), CONTEXTS[0]
    tokens = tokenise_windows(tokenizer, [question], [context], max_length=24, stride=6, closed=closed)
    room = 24 - 6 - (tokenizer.num_special_tokens_to_add(pair=True) + 2)
    asked = tokenizer(question, add_special_tokens=False)["input_ids"][:room]
    shown = set()
    for j in range(tokens.lengths.size):
        ids, chars = ids_of(tokens, j), chars_of(tokens, j)
        before = {"bert": 1, "opt": 1, "bare": 0}[style]
        assert ids[before : before + room] == asked
        assert len(ids) <= 24
        shown |= {tuple(pair) for pair in chars if pair[0] >= 0}
    assert len(shown) == len(context.split())


def byte_level(architecture: str = "opt") -> Any:
    return load_tokenizer(ModelSpec("tiny", config=MODELS[architecture], vocab_size=300), lambda: CONTEXTS)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("cut_at", range(4))
@pytest.mark.parametrize("letter", ["é", "東", "🙂"])
def test_a_question_of_characters_in_several_tokens_is_cut_too(letter: str, cut_at: int, closed: bool) -> None:
    context = "the cat sat on the mat and saw " * 5
    tokens = tokenise_windows(
        byte_level(), ["x" * cut_at + letter * 90], [context], max_length=48, stride=12, closed=closed
    )
    assert tokens.lengths.max() <= 48
    assert tokens.chars is not None
    shown = {i for a, b in tokens.chars.tolist() for i in range(a, b) if a >= 0}
    assert {i for i, c in enumerate(context.rstrip()) if c != " "} <= shown


@pytest.mark.parametrize("architecture", ["roberta", "opt"])
def test_byte_level_tokens_point_at_their_text(architecture: str) -> None:
    tokenizer = byte_level(architecture)
    tokens = tokenise_windows(tokenizer, QUESTIONS, CONTEXTS, max_length=40, stride=8, closed=False)
    assert tokens.first is not None
    for i, context in enumerate(CONTEXTS):
        for j in range(tokens.first[i], tokens.first[i + 1]):
            for token, (a, b) in zip(ids_of(tokens, j), chars_of(tokens, j), strict=True):
                text = tokenizer.decode([token])
                if a >= 0 and "\ufffd" not in text:
                    assert context[a:b].strip() == text.strip()


def test_without_a_separator_a_new_line_stands_between() -> None:
    tokenizer = byte_level()
    tokenizer.backend_tokenizer.post_processor = None
    assert tokenizer.num_special_tokens_to_add(pair=True) == 0
    tokens = tokenise_windows(tokenizer, QUESTIONS, CONTEXTS, max_length=400, stride=8, closed=True)
    assert tokens.lengths.size == len(QUESTIONS)
    for i, (question, context) in enumerate(zip(QUESTIONS, CONTEXTS, strict=True)):
        assert tokenizer.decode(ids_of(tokens, i)).strip() == f"{question.strip()} \n{context}</s>".strip()
        places = [pair for pair in chars_of(tokens, i) if pair[0] >= 0]
        assert {p for a, b in places for p in range(a, b)} >= {p for p, c in enumerate(context) if not c.isspace()}
        assert max(b for _, b in places) <= len(context)


@pytest.mark.parametrize("style", STYLES)
def test_a_stride_without_room_is_refused(style: Style) -> None:
    with pytest.raises(ValueError, match=r"windows of 24 tokens \(data.max_length.*share 20 .*task.kind.stride.*raise"):
        cut(style, max_length=24, stride=20)
    special = {"bert": 3, "opt": 2, "bare": 0}[style] + 2
    cut(style, max_length=24, stride=24 - special - 8)
    with pytest.raises(ValueError, match="leave no room for a question"):
        cut(style, max_length=24, stride=24 - special - 7)


def test_a_tokenizer_without_an_end_token_cannot_close_windows() -> None:
    tokenizer = word_tokenizer(CONTEXTS, "bare")
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match=r"no end token to close a window with.*task.kind.no_answer=first"):
        cut("bare", tokenizer=tokenizer, closed=True)
    cut("bare", tokenizer=tokenizer, closed=False)
    tokenizer.sep_token = "</s>"
    assert ids_of(cut("bare", tokenizer=tokenizer, closed=True), 0)[-1] == END
