"""The scores of the field give the numbers of those who published them, and closed forms."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, stats

from hprune import Dynamics
from hprune.science.scores.ambiguous import ambiguous
from hprune.science.scores.aum import aum
from hprune.science.scores.confidence import confidence
from hprune.science.scores.correctness import correctness
from hprune.science.scores.el2n import el2n
from hprune.science.scores.forgetting import forgetting
from hprune.science.scores.h_score import h_score
from hprune.science.scores.loss import loss
from hprune.science.scores.soft_h import soft_h
from hprune.science.scores.tfidf_distance import tfidf_distance
from hprune.science.scores.threshold_closeness import threshold_closeness
from hprune.science.scores.variability import variability

Score = Callable[[Dynamics], NDArray[Any]]


def recorded(logits: Any, gold: Any) -> Dynamics:
    """What the recorder would write of logits (S, E, N, K)."""
    logits = np.asarray(logits, dtype=np.float64)
    gold = np.asarray(gold)
    prob = np.exp(logits - logits.max(-1, keepdims=True))
    prob /= prob.sum(-1, keepdims=True)
    truth = np.eye(logits.shape[-1])[gold]  # (N, K)
    at = (..., np.arange(gold.size), gold)
    others = np.where(truth.astype(bool), -np.inf, logits).max(-1)
    real = {"true_prob": prob[at], "margin": logits[at] - others, "el2n": np.linalg.norm(prob - truth, axis=-1)}
    columns = {name: values.astype(np.float32) for name, values in real.items()}
    return Dynamics(np.arange(gold.size), logits.argmax(-1) == gold, **columns)


def of_trends(*trends: str) -> Dynamics:
    """One run; each trend says for one sample in which epochs it was right."""
    return Dynamics(np.arange(len(trends)), np.array([[int(c) for c in trend] for trend in trends], dtype=bool).T[None])


CARTOGRAPHY = recorded(  # four samples, three epochs: what their code prints for them
    [[[[2, 0], [0, 1], [1, 0], [0.5, -0.5]], [[3, 0], [1, 0], [1.5, 0], [1, -1]], [[3, -1], [0, 2], [2, 0], [-1, 1]]]],
    [0, 1, 1, 0],
)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (confidence, [0.9384616415, 0.6269323528, 0.1901899527, 0.5770195127]),
        (variability, [0.0425094391, 0.2604144438, 0.0613765482, 0.3294464341]),
        (correctness, [3, 2, 0, 2]),
        (lambda d: forgetting(d, never_learned=1000), [0, 1, 1000, 1]),
        (threshold_closeness, [0.057751389, 0.2338881778, 0.1540177346, 0.2440679947]),
        (h_score, [1, 0, 0, 0]),
        (aum, [3, 2 / 3, -3 / 2, 1 / 3]),
    ],
    ids=["confidence", "variability", "correctness", "forgetfulness", "threshold_closeness", "h_score", "aum"],
)
def test_cartographys_four_samples(score: Score, expected: list[float]) -> None:
    assert score(CARTOGRAPHY) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("never_learned", "first"), [("inf", np.inf), ("epochs", 4), (1000, 1000), (0, 0), (np.inf, np.inf)]
)
def test_forgetting_in_its_four_conventions(never_learned: Any, first: float) -> None:
    trends = of_trends("0000", "1111", "1010", "0100")
    found = forgetting(trends, never_learned=never_learned)
    assert found.tolist() == [first, 0, 2, 1]
    assert found.dtype == (np.float32 if np.isinf(first) else np.int32)


def test_forgetting_by_dprunes_examples_and_over_runs() -> None:
    found = forgetting(of_trends("101", "011", "111", "100", "000"), never_learned=0)
    assert found.tolist() == [1, 0, 0, 1, 0]
    assert forgetting(of_trends("10101")).tolist() == [2]
    once = of_trends("0000", "1111", "1010", "0100")
    twice = Dynamics(once.sample_ids, np.concatenate([once.correct] * 2))
    assert forgetting(twice).tolist() == [8, 0, 4, 2], "two runs double it"


@pytest.mark.parametrize("wrong", ["never", -1, "nan", float("nan"), 2.5, "7", 10**9, None, True, [1]])
def test_forgetting_refuses(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"forgetting\.never_learned must be epochs, inf or a whole number in 0\.\."):
        forgetting(of_trends("01"), never_learned=wrong)


def test_the_margin_by_the_aum_librarys_tests() -> None:
    assert aum(recorded([[[[1, 2, 3]]]], [1])).tolist() == [-1]
    assert aum(recorded([[[[6, 5, 4]]]], [0])).tolist() == [1]
    assert aum(recorded([[[[1, 2, 3]], [[6, 5, 4]]]], [1])).tolist() == [-1]


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_el2n_of_equal_logits(classes: int) -> None:
    found = el2n(recorded(np.zeros((2, 3, 4, classes)), np.zeros(4, dtype=int)))
    assert found == pytest.approx(np.full(4, np.sqrt(1 - 1 / classes)), abs=1e-6)


def test_el2n_of_a_sure_model_and_of_chosen_epochs() -> None:
    sure = np.zeros((1, 2, 2, 3))
    sure[..., 0] = 200  # of class 0 in both epochs
    assert el2n(recorded(sure, [0, 1])) == pytest.approx([0, np.sqrt(2)], abs=1e-6)
    rng = np.random.default_rng(0)
    dynamics = recorded(rng.normal(size=(3, 4, 5, 3)), rng.integers(0, 3, 5))
    assert dynamics.el2n is not None
    assert el2n(dynamics, at=[1, 3]) == pytest.approx(dynamics.el2n[:, [0, 2]].mean(axis=(0, 1)), abs=1e-6)
    assert el2n(dynamics) == pytest.approx(dynamics.el2n.mean(axis=(0, 1)), abs=1e-6)


@pytest.mark.parametrize("at", [[], [0], [5], [1.0], "1", 1, [True]])
def test_el2n_refuses(at: Any) -> None:
    dynamics = recorded(np.zeros((1, 4, 1, 2)), [0])
    with pytest.raises(ValueError, match=r"el2n\.at must list epochs in 1\.\.4, those that are scored, got"):
        el2n(dynamics, at=at)


@pytest.mark.parametrize("shape", [(1, 2, 30), (6, 3, 500)])
def test_moments_are_numpys(shape: tuple[int, int, int]) -> None:
    prob = np.random.default_rng(1).random(shape, dtype=np.float32)
    dynamics = Dynamics(np.arange(shape[2]), prob > 0.5, true_prob=prob)
    exact = prob.astype(np.float64)
    assert confidence(dynamics) == pytest.approx(exact.mean(axis=(0, 1)), abs=1e-6)
    assert variability(dynamics) == pytest.approx(exact.std(axis=1).mean(axis=0), abs=1e-6)
    assert variability(dynamics, ddof=1) == pytest.approx(exact.std(axis=1, ddof=1).mean(axis=0), abs=1e-6)
    assert ambiguous(dynamics) == pytest.approx(exact.reshape(-1, shape[2]).std(axis=0, ddof=1), abs=1e-6)
    assert loss(dynamics) == pytest.approx(-np.log(exact).mean(axis=(0, 1)), rel=1e-5)
    assert soft_h(dynamics) == pytest.approx(exact.prod(axis=1).sum(axis=0), abs=1e-6)


def test_spread_needs_more_than_one_value() -> None:
    one = Dynamics(np.arange(2), np.ones((1, 1, 2), dtype=bool), true_prob=np.ones((1, 1, 2), dtype=np.float32))
    assert variability(one).tolist() == [0, 0]
    for score in (variability, ambiguous):
        for ddof in (1, -1, 0.5, "0", None, True):
            with pytest.raises(ValueError, match=r"ddof must be a whole number from 0, below the 1 values .*, got "):
                score(one, ddof=ddof)  # type: ignore[arg-type]


def test_many_values_lose_no_digits_and_equal_ones_have_no_spread() -> None:
    prob = 0.98 + 0.02 * np.random.default_rng(4).random((10, 100, 50), dtype=np.float32)
    dynamics = Dynamics(np.arange(50), prob > 0.5, true_prob=prob)
    assert confidence(dynamics) == pytest.approx(prob.mean(axis=(0, 1), dtype=np.float64), abs=1e-7)
    assert ambiguous(dynamics) == pytest.approx(prob.reshape(-1, 50).std(axis=0, ddof=1, dtype=np.float64), abs=1e-8)
    same = np.full((6, 3, 2), 0.1, dtype=np.float32)
    for score in (variability, ambiguous):
        assert score(Dynamics(np.arange(2), same > 0.5, true_prob=same)).tolist() == [0, 0]


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_variability_is_bounded_by_confidence(seed: int, epochs: int) -> None:
    prob = np.random.default_rng(seed).beta(0.3, 0.3, size=(1, epochs, 50)).astype(np.float32)
    dynamics = Dynamics(np.arange(50), prob > 0.5, true_prob=prob)
    exact = prob.mean(axis=(0, 1), dtype=np.float64)  # in single precision 1 - c loses its digits
    assert (variability(dynamics) <= np.sqrt(exact * (1 - exact)) + 1e-6).all()


def test_soft_h_is_h_where_probabilities_are_certain_and_its_expectation_elsewhere() -> None:
    rng = np.random.default_rng(2)
    right = rng.random((5, 3, 200)) < 0.7
    assert (
        soft_h(Dynamics(np.arange(200), right, true_prob=right.astype(np.float32))).tolist()
        == h_score(Dynamics(np.arange(200), right)).tolist()
    )
    prob = np.full((5, 3, 20_000), 0.8, dtype=np.float32)
    drawn = rng.random(prob.shape) < prob
    dynamics = Dynamics(np.arange(20_000), drawn, true_prob=prob)
    assert h_score(dynamics).mean() == pytest.approx(soft_h(dynamics).mean(), abs=0.03)


def test_h_of_independent_answers_is_binomial() -> None:
    q, runs, epochs, samples = 0.85, 6, 3, 40_000
    right = np.random.default_rng(3).random((runs, epochs, samples)) < q
    counts = np.bincount(h_score(Dynamics(np.arange(samples), right)), minlength=runs + 1)
    expected = samples * stats.binom.pmf(np.arange(runs + 1), runs, q**epochs)
    assert stats.chisquare(counts, expected).pvalue > 0.001
    ticket = 1 - (1 - q**epochs) ** runs - q ** (epochs * runs)
    assert counts[1:-1].sum() / samples == pytest.approx(ticket, abs=0.01)


def test_a_probability_of_zero_has_a_finite_loss() -> None:
    prob = np.zeros((2, 2, 1), dtype=np.float32)
    assert loss(Dynamics(np.arange(1), prob > 0, true_prob=prob))[0] == pytest.approx(87.3365, abs=1e-3)


EASIER: list[Score] = [h_score, confidence, correctness, aum, soft_h]
HARDER: list[Score] = [el2n, loss, forgetting]


@pytest.mark.parametrize("score", [*EASIER, *HARDER])
def test_directions(score: Score) -> None:
    """A sample that every run has right throughout, one that each has wrong, and one in between."""
    logits = np.zeros((3, 4, 3, 2))
    logits[:, :, 0, 0], logits[:, :, 1, 1] = 9, 9
    logits[:, ::2, 2, 0], logits[:, 1::2, 2, 1] = 1, 1
    found = score(recorded(logits, [0, 0, 0])).astype(float)
    ordered = found[[1, 2, 0]] if score in EASIER else found[[0, 2, 1]]
    assert (np.diff(ordered) >= 0).all()
    assert ordered[0] < ordered[2]


@pytest.mark.parametrize("score", [variability, ambiguous, threshold_closeness])
def test_what_lies_between_is_highest(score: Score) -> None:
    """These tell neither end from the other: what is always right and what is always wrong are alike."""
    logits = np.zeros((2, 4, 3, 2))
    logits[:, :, 0, 0], logits[:, :, 1, 1] = 9, 9
    logits[:, ::2, 2, 0], logits[:, 1::2, 2, 1] = 3, 3
    always, never, between = score(recorded(logits, [0, 0, 0]))
    assert always == pytest.approx(never, abs=1e-6)
    assert between > always


def test_tfidf_distance_is_that_from_the_point_with_the_least_sum() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [
        "the film is good",
        "the film is bad",
        "the film is the film",
        "quantum chromodynamics lectures",
        "a good film",
    ]
    vectors = TfidfVectorizer().fit_transform(texts).toarray()

    def total(point: NDArray[np.float64]) -> float:
        return float(np.linalg.norm(vectors - point, axis=1).sum())

    found = tfidf_distance(texts)
    best = optimize.minimize(total, vectors.mean(axis=0), method="BFGS", options={"gtol": 1e-9}).x
    assert found == pytest.approx(np.linalg.norm(vectors - best, axis=1), abs=1e-3)
    assert float(found.sum()) <= total(best) + 1e-4
    assert found.argmax() == 3, "which shares no word with the others"
    with pytest.raises(ValueError, match="tfidf_distance needs texts with words of two letters or more"):
        tfidf_distance(["a", "!"])


WORDS = [f"word{i}" for i in range(40)]


def sentences(number: int, seed: int, empty: bool = False) -> list[str]:
    """Texts of which some are equal, and some, if asked for, hold no word at all."""
    rng = np.random.default_rng(seed)
    drawn = [" ".join(rng.choice(WORDS, size=rng.integers(0 if empty else 1, 5))) for _ in range(number)]
    return [*drawn, *drawn[: number // 3], "word0"]


@settings(max_examples=30)
@given(st.integers(0, 200), st.booleans())
@example(104, True)  # texts without a word are the median
@example(51, True)  # they nearly are
def test_tfidf_distances_are_those_of_a_dense_search(seed: int, empty: bool) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = sentences(25, seed, empty)
    vectors = TfidfVectorizer().fit_transform(texts).toarray()
    point = vectors.mean(axis=0)
    for _ in range(2000):  # Weiszfeld, smoothed so that a point of the data does not hold it
        weights = 1 / np.sqrt(np.square(vectors - point).sum(axis=1) + 1e-20)
        point = weights @ vectors / weights.sum()
    assert tfidf_distance(texts) == pytest.approx(np.linalg.norm(vectors - point, axis=1), abs=1e-4)


def test_tfidf_distance_is_of_the_texts_not_of_their_order_and_bounded() -> None:
    texts = sentences(60, seed=3, empty=True)
    found, order = tfidf_distance(texts), np.random.default_rng(0).permutation(len(texts))
    assert tfidf_distance([texts[i] for i in order]) == pytest.approx(found[order], abs=1e-5)
    assert tfidf_distance(texts).tobytes() == found.tobytes()
    assert found.dtype == np.float32
    assert (found >= 0).all()
    assert (found <= 2).all()
    assert tfidf_distance(["same text"] * 4) == pytest.approx(0, abs=1e-6)


def test_tfidf_distance_takes_many_texts() -> None:
    """20,000 words for 20,000 texts: as a full matrix 3 GiB."""
    rng = np.random.default_rng(5)
    texts = [" ".join(f"w{i}" for i in row) for row in rng.zipf(1.3, size=(20_000, 12)) % 20_000]
    tracemalloc.start()
    found = tfidf_distance(texts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 * 2**20
    assert found.shape == (20_000,)
    assert np.isfinite(found).all()
