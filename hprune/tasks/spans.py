"""Spans of text and spans of tokens: the tokens of an answer in each window, and the best span that a model found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune.data.tokenise import TokenTable


def find_spans(
    tokens: TokenTable, places: Sequence[tuple[int, int] | None], null: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    """The first and last token of each window's answer; the null position twice where it does not hold it whole.

    Args:
        tokens: windows of n questions, with `first` and `chars`.
        places: n, the first and last + 1 character of the answer in the context; None: there is no answer.
        null: (m,) the null position of each window.

    Returns:
        (m, 2), and the number of answers that no window holds.
    """
    assert tokens.chars is not None
    assert tokens.first is not None
    span, lost = np.stack([null, null], axis=1).astype(np.int64), 0
    for place, start, stop in zip(places, tokens.first[:-1], tokens.first[1:], strict=True):
        if place is None:
            continue
        found = False
        for j in range(start, stop):
            begin = int(tokens.offsets[j])
            chars = tokens.chars[begin : tokens.offsets[j + 1]]
            inside = np.flatnonzero(chars[:, 0] >= 0)
            if inside.size and chars[inside[0], 0] <= place[0] and chars[inside[-1], 1] >= place[1]:
                own = chars[inside]  # every token that touches the answer is its own: a character may have several
                head = int(np.searchsorted(own[:, 1], place[0], side="right"))
                tail = int(np.searchsorted(own[:, 0], place[1], side="left")) - 1
                if head <= tail:
                    span[j], found = (inside[head], inside[tail]), True
        lost += not found
    return span, lost


def best_spans(
    logit: NDArray[Any], at: NDArray[Any], tokens: TokenTable, max_length: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The best span of each window among its n best starts and ends.

    Args:
        logit: (m, n, 2) the largest start and end logits of each window, descending.
        at: (m, n, 2) their tokens.
        tokens: the windows, with `chars`.
        max_length: longest span in tokens.

    Returns:
        (m,) its score, the sum of both logits (-inf if no pair is a span of the context), its first and its last + 1
        character in the context.
    """
    assert tokens.chars is not None
    where = np.minimum(tokens.offsets[:-1, None, None] + at, tokens.offsets[1:, None, None] - 1)
    chars = np.asarray(tokens.chars[where])  # (m, n, 2 choices, 2 ends)
    length = at[:, None, :, 1] - at[:, :, None, 0] + 1  # (m, starts, ends)
    real = (chars[..., 0] >= 0) & (at < tokens.lengths[:, None, None])  # (m, n, 2), neither question nor padding
    inside = real[:, :, None, 0] & real[:, None, :, 1]
    allowed = inside & (length >= 1) & (length <= max_length)
    score = np.where(allowed, logit[:, :, None, 0].astype(np.float64) + logit[:, None, :, 1], -np.inf)
    best = score.reshape(len(score), -1).argmax(axis=1)
    window, (head, tail) = np.arange(len(score)), np.divmod(best, score.shape[2])
    return (
        score[window, head, tail],
        chars[window, head, 0, 0].astype(np.int64),
        chars[window, tail, 1, 1].astype(np.int64),
    )
