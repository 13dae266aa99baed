"""Texts that occur more than once, within a train set or in it and an evaluation set, by the hash of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 8


@dataclass(frozen=True, eq=False)
class Repeated:
    """Which of N texts occur more than once, and how often their labels differ."""

    inside: NDArray[np.bool_]  # (N,)
    groups: int  # different texts that occur more than once
    conflicting: int  # samples whose text occurs with another label, too


def normalised(text: str) -> str:
    r"""A text as duplicates are told by: compatible characters are one (NFKC), so are cases and runs of white space.

    Example:
        >>> normalised("  A\tﬁne \n FILM "), normalised("Straße") == normalised("STRASSE")
        ('a fine film', True)
    """
    if text.isascii():
        return " ".join(text.lower().split())
    folded = normalize("NFKC", normalize("NFKC", text).casefold())  # folding may take characters apart
    return " ".join(folded.split())


def text_keys(samples: Iterable[tuple[str, ...]]) -> NDArray[np.uint64]:
    """(n,) 64 bits of a hash (BLAKE2b) of the normalised texts of each sample.

    Among n samples a pair of different texts has one key with a chance of about n^2 / 2^65: 3e-8 for 10^6.
    """
    digests = b"".join(
        hashlib.blake2b("\n".join(map(normalised, texts)).encode("utf-8", "replace"), digest_size=KEY_BYTES).digest()
        for texts in samples
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def repeated(keys: NDArray[np.uint64], labels: NDArray[np.int64]) -> Repeated:
    """Find the keys that occur more than once.

    Args:
        keys: (N,) of the samples, N from 1.
        labels: (N,) their classes.

    Example:
        >>> found = repeated(np.array([7, 5, 7, 9, 5], np.uint64), np.array([0, 1, 1, 0, 1]))
        >>> found.inside.tolist(), found.groups, found.conflicting
        ([True, True, True, False, True], 2, 2)
    """
    order = np.argsort(keys, kind="stable")
    first = np.flatnonzero(np.concatenate([[True], keys[order][1:] != keys[order][:-1]]))  # where each key starts
    sizes = np.diff(np.append(first, keys.size))
    sorted_labels = labels[order]
    differ = np.minimum.reduceat(sorted_labels, first) != np.maximum.reduceat(sorted_labels, first)
    inside = np.empty(keys.size, dtype=bool)
    inside[order] = np.repeat(sizes > 1, sizes)
    return Repeated(inside, int((sizes > 1).sum()), int(sizes[differ].sum()))
