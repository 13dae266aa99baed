"""TF-IDF distance (SCDP, arXiv 2501.02432): how unlike the others is a text? Needs no training at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def tfidf_distance(texts: Sequence[str], *, tolerance: float = 1e-8, most_rounds: int = 2000) -> NDArray[np.float32]:
    """Distance of each text's TF-IDF vector from the geometric median of all: ||x_i - m||_2.

    The vectors are scikit-learn's `TfidfVectorizer` by its defaults, of length 1; m minimises the sum of distances, and
    is found by Weiszfeld's rounds from the mean on, or is a text where these only creep towards one. Unlike other
    scores its number depends on all samples.

    Args:
        texts: N texts, those of a pair as one.
        tolerance: the rounds end when m moves by less.
        most_rounds: or after so many.

    Returns:
        (N,), 0..2; higher is harder, or at least rarer. Its authors keep the farthest where few are kept, else draw
        evenly over the distances (`stratified`).

    Raises:
        ValueError: if no text holds a word of two letters or more.
    """
    vectors = _vectors(texts)
    squared = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()
    median = np.asarray(vectors.mean(axis=0)).ravel()
    for _ in range(most_rounds):
        weights = 1 / np.maximum(_distances(vectors, squared, median), 1e-12)
        moved = vectors.T @ weights / weights.sum()
        step, median = float(np.linalg.norm(moved - median)), moved
        if step < tolerance:
            break
    distances = _distances(vectors, squared, median)
    nearest = vectors[[int(distances.argmin())]].toarray()[0]
    if _is_median(nearest, vectors, there := _distances(vectors, squared, nearest)):
        distances = there
    return distances.astype(np.float32)


def _is_median(point: NDArray[np.float64], vectors: Any, distances: NDArray[np.float64]) -> bool:
    """Whether a point of the data is the geometric median: others pull at it no more than those that lie on it hold."""
    here = distances < 1e-6  # what rounding leaves of 0
    weights = np.where(here, 0, 1 / np.maximum(distances, 1e-6))
    return bool(np.linalg.norm(vectors.T @ weights - weights.sum() * point) <= here.sum())


def _vectors(texts: Sequence[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer  # seconds of import

    try:
        return TfidfVectorizer().fit_transform(texts)
    except ValueError as error:
        raise ValueError(f"tfidf_distance needs texts with words of two letters or more ({error})") from error


def _distances(vectors: Any, squared: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(np.maximum(squared - 2 * (vectors @ point) + point @ point, 0)))
