"""The tokens of an answer, and the best span that a model found, against loops that try everything."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hprune.data.tokenise import TokenTable
from hprune.tasks.spans import best_spans, find_spans

Chars = list[tuple[int, int]]


def table(samples: list[list[Chars]]) -> TokenTable:
    """Windows as the characters of their tokens, (-1, -1) outside of the context."""
    windows = [window for sample in samples for window in sample]
    offsets = np.cumsum([0, *map(len, windows)])
    chars = np.array([pair for window in windows for pair in window], dtype=np.int32).reshape(-1, 2)
    first = np.cumsum([0, *map(len, samples)])
    return TokenTable(np.zeros(offsets[-1], dtype=np.int32), offsets, None, 0, first=first, chars=chars)


def drawn(rng: np.random.Generator, pieces: bool = False) -> tuple[list[list[Chars]], list[int]]:
    """Samples in overlapping windows: question, context, end; tokens of 1 to 4 characters, some with gaps between."""
    samples, ends = [], []
    for _ in range(4):
        tokens: Chars = []
        at = int(rng.integers(0, 2))
        for _ in range(int(rng.integers(3, 15))):
            width = int(rng.integers(1, 5))
            same = int(rng.integers(1, 4)) if pieces else 1  # byte-level tokens of one character share its place
            tokens += [(at, at + width)] * same
            at += width + int(rng.integers(0, 2))
        size, stride = 6, int(rng.integers(0, 4))
        starts = range(0, max(1, len(tokens) - stride), size - stride)
        question = [(-1, -1)] * int(rng.integers(1, 4))
        samples.append([question + tokens[s : s + size] + [(-1, -1)] for s in starts])
        ends.append(at)
    return samples, ends


def touching(window: Chars, place: tuple[int, int]) -> list[int]:
    return [j for j, (a, b) in enumerate(window) if a >= 0 and a < place[1] and b > place[0]]


@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_an_answer_is_all_tokens_that_touch_it(seed: int, pieces: bool) -> None:
    rng = np.random.default_rng(seed)
    samples, _ = drawn(rng, pieces)
    places: list[tuple[int, int] | None] = []
    for sample in samples:  # from the start of a token to the end of one, or one character less
        context = sorted({pair for window in sample for pair in window if pair[0] >= 0})
        a, b = sorted(rng.integers(0, len(context), 2))
        start, stop = context[a][0], context[min(b, a + 4)][1]
        inner = int(rng.integers(0, 2)) if context[a][1] - start > 1 else 0
        places.append(None if rng.random() < 0.2 else (start + inner, stop))
    windows = [window for sample in samples for window in sample]
    null = rng.integers(0, 2, len(windows))
    span, lost = find_spans(table(samples), places, null)
    expected, expected_lost, w = [], 0, 0
    for sample, place in zip(samples, places, strict=True):
        found = False
        for window in sample:
            context = [pair for pair in window if pair[0] >= 0]
            own = touching(window, place) if place else []
            if place and context[0][0] <= place[0] and context[-1][1] >= place[1]:
                expected.append([own[0], own[-1]])
                found = True
            else:
                expected.append([null[w], null[w]])
            w += 1
        expected_lost += place is not None and not found
    assert span.tolist() == np.array(expected).tolist()
    assert lost == expected_lost


def test_a_character_of_several_tokens_is_found_whole() -> None:
    tokens = table([[[(-1, -1), (0, 2), (2, 3), (2, 3), (2, 3), (3, 4)]]])
    span, lost = find_spans(tokens, [(2, 3)], np.zeros(1, dtype=np.int64))
    assert (span.tolist(), lost) == ([[2, 4]], 0)


def test_white_space_around_an_answer_is_not_its_neighbours() -> None:
    tokens = table([[[(-1, -1), (0, 3), (4, 7), (8, 11), (-1, -1)]]])  # "one two six"
    for place in ((3, 7), (4, 8), (3, 8)):
        assert find_spans(tokens, [place], np.zeros(1, dtype=np.int64))[0].tolist() == [[2, 2]]


def test_what_no_token_holds_is_lost() -> None:
    tokens = table([[[(-1, -1), (0, 3), (5, 7), (-1, -1)]]])
    span, lost = find_spans(tokens, [(3, 5)], np.zeros(1, dtype=np.int64))
    assert (span.tolist(), lost) == ([[0, 0]], 1)


@pytest.mark.parametrize("seed", range(15))
def test_the_best_span_is_the_best_of_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples, _ = drawn(rng)
    tokens = table(samples)
    windows = [window for sample in samples for window in sample]
    n, longest = int(rng.integers(1, 7)), int(rng.integers(1, 6))
    width = max(map(len, windows)) + 2
    logits = np.full((len(windows), width, 2), np.finfo(np.float32).min, dtype=np.float32)  # as padding has them
    for w, window in enumerate(windows):
        drawn_logits = rng.integers(-3, 4, (len(window), 2)) if seed % 2 else rng.normal(0, 3, (len(window), 2))
        logits[w, : len(window)] = drawn_logits
    at = np.argsort(-logits, axis=1, kind="stable")[:, :n]
    score, start, end = best_spans(np.take_along_axis(logits, at, axis=1), at, tokens, longest)
    for w, window in enumerate(windows):
        best: tuple[float, int, int] = (-np.inf, -1, -1)
        for s in at[w, :, 0]:
            for e in at[w, :, 1]:
                if max(s, e) >= len(window) or min(window[s][0], window[e][0]) < 0:
                    continue
                value = float(logits[w, s, 0]) + float(logits[w, e, 1])
                if s <= e < s + longest and value > best[0]:
                    best = (value, window[s][0], window[e][1])
        assert score[w] == pytest.approx(best[0], abs=1e-6)
        if np.isfinite(best[0]):
            assert (start[w], end[w]) == best[1:]


def test_no_pair_is_a_span() -> None:
    tokens = table([[[(-1, -1), (0, 1), (1, 2), (-1, -1)]]])
    logit: NDArray[np.float32] = np.ones((1, 2, 2), dtype=np.float32)
    at = np.array([[[0, 1], [2, 1]]])  # starts 0 and 2, end 1: outside, and backwards
    assert best_spans(logit, at, tokens, 5)[0].tolist() == [-np.inf]
    opened = table([[[(-1, -1), (0, 1), (1, 2)]]])  # nothing closes it
    padding = np.array([[[3, 3], [4, 5]]])
    assert best_spans(logit, padding, opened, 5)[0].tolist() == [-np.inf]
