"""Several choices judged as one are judged as one choice among all their combinations."""

from __future__ import annotations

import itertools
from functools import reduce

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hprune.tasks.classification import judge_classes
from hprune.tasks.joint import judge_jointly
from hprune.tasks.spec import Judgement

NAMES = ("correct", "true_prob", "margin", "el2n")


def reference(logits: list[NDArray[np.float64]], target: list[int]) -> tuple[bool, float, float, float]:
    """Judge K choices, (L,) logits each, by writing down all combinations in their order."""
    combinations = list(itertools.product(*(range(choice.size) for choice in logits)))
    joint = reduce(np.add.outer, logits).ravel()  # the logit of each combination
    prob = reduce(np.multiply.outer, [np.exp(x - x.max()) / np.exp(x - x.max()).sum() for x in logits]).ravel()
    at = combinations.index(tuple(target))
    onehot = np.zeros(joint.size)
    onehot[at] = 1
    margin = joint[at] - np.delete(joint, at).max()
    return int(joint.argmax()) == at, float(prob[at]), float(margin), float(np.sqrt(((prob - onehot) ** 2).sum()))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_judging_is_its_definition(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    samples, length = 6, int(rng.integers(2, 5))
    windows = rng.integers(1, 4 if length < 4 else 3, samples)
    owner = rng.permutation(np.repeat(np.arange(samples), windows))
    shape = (owner.size, length, 2)
    logits = rng.integers(-2, 3, shape).astype(float) if ties else rng.normal(0, rng.choice([0.3, 3, 20]), shape)
    target = rng.integers(0, length, (owner.size, 2))
    right = rng.random(owner.size) < 0.7  # most windows right, so that whole samples are
    target[right] = logits[right].argmax(axis=1)
    logits = logits.astype(np.float32).astype(np.float64)
    found = judge_jointly(torch.tensor(logits, dtype=torch.float32), torch.tensor(target), torch.tensor(owner), samples)
    for i in range(samples):
        own = np.flatnonzero(owner == i)
        choices = [logits[w, :, c] for w in own for c in range(2)]
        correct, true_prob, margin, el2n = reference(choices, [int(target[w, c]) for w in own for c in range(2)])
        assert bool(found.correct[i]) == correct
        assert float(found.true_prob[i]) == pytest.approx(true_prob, abs=1e-6, rel=1e-5)
        assert float(found.margin[i]) == pytest.approx(margin, abs=2e-5)
        assert float(found.el2n[i]) == pytest.approx(el2n, abs=1e-6, rel=1e-5)
        assert not (found.margin[i] > 0 and not found.correct[i])
        assert not (found.margin[i] < 0 and found.correct[i])


@pytest.mark.parametrize("seed", range(5))
def test_one_choice_is_a_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = torch.tensor(rng.integers(-3, 4, (40, 5)) if seed % 2 else rng.normal(0, 4, (40, 5))).float()
    labels = torch.tensor(rng.integers(0, 5, 40))
    jointly = judge_jointly(logits[..., None], labels[:, None], torch.arange(40), 40)
    single = judge_classes(logits, labels)
    assert jointly.correct.tolist() == single.correct.tolist()
    for name in NAMES[1:]:
        torch.testing.assert_close(getattr(jointly, name), getattr(single, name), atol=2e-6, rtol=1e-5)


def of_one(logits: list[list[float]], target: list[int], windows: int = 1) -> Judgement:
    """One sample whose windows all have the same (L, C) logits."""
    many = torch.tensor(logits).expand(windows, -1, -1)
    return judge_jointly(many, torch.tensor(target).expand(windows, -1), torch.zeros(windows, dtype=torch.long), 1)


@pytest.mark.parametrize("windows", [1, 2, 3])
@pytest.mark.parametrize("gap", [5.0, 12.0, 18.0, 25.0, 40.0])
def test_a_sure_and_right_model_has_an_el2n_near_zero_to_its_last_digits(gap: float, windows: int) -> None:
    logits = [[gap, -gap], [0.0, gap / 2], [-1.0, 0.0]]
    judged = of_one(logits, [0, 1], windows)
    # ||p - onehot||^2 = (1 - p)^2 + sum of the squares of the others: from logs, as p is 1 to 16 digits
    columns = np.array(logits, dtype=np.longdouble).T
    others = [np.delete(np.exp(c - c.max()), k) for c, k in zip(columns, (0, 1), strict=True)] * windows  # over the top
    log_top = -sum(np.log1p(o.sum()) for o in others)
    surplus = np.expm1(sum(np.log1p((o**2).sum()) for o in others)) * np.exp(2 * log_top)
    expected = float(np.sqrt(surplus + np.expm1(log_top) ** 2))
    assert float(judged.el2n) == pytest.approx(expected, rel=1e-4)
    assert float(judged.true_prob) == pytest.approx(float(np.exp(log_top)), abs=1e-6)
    assert bool(judged.correct)


@pytest.mark.parametrize("gap", [20.0, 1e3, 1e5])
def test_a_sure_and_wrong_model_has_the_largest_el2n(gap: float) -> None:
    judged = of_one([[gap, 0.0], [0.0, gap]], [1, 1], 3)
    assert float(judged.el2n) == pytest.approx(np.sqrt(2), abs=1e-6)
    assert float(judged.true_prob) == pytest.approx(0, abs=1e-8)
    assert float(judged.margin) == -3 * gap
    assert not judged.correct


@pytest.mark.parametrize("gap", [1e3, 1e5])
def test_extremes_are_numbers(gap: float) -> None:
    for target in ([0, 0], [0, 1], [1, 0], [1, 1]):
        for windows in (1, 3):
            judged = of_one([[gap, -gap], [-gap, gap]], target, windows)
            for name in NAMES:
                assert torch.isfinite(getattr(judged, name).float()).all(), name
            assert 0 <= float(judged.el2n) <= np.sqrt(2) + 1e-6
            assert 0 <= float(judged.true_prob) <= 1


@pytest.mark.parametrize("seed", range(4))
def test_padding_has_no_influence(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = torch.tensor(rng.normal(0, 4, (7, 4, 2))).float()
    target, owner = torch.tensor(rng.integers(0, 4, (7, 2))), torch.tensor([0, 0, 1, 2, 2, 2, 3])
    padding = torch.full((7, 9, 2), torch.finfo(torch.float32).min)
    bare, padded = (judge_jointly(x, target, owner, 4) for x in (logits, torch.cat([logits, padding], dim=1)))
    assert bare.correct.tolist() == padded.correct.tolist()
    for name in NAMES[1:]:
        torch.testing.assert_close(getattr(bare, name), getattr(padded, name), atol=1e-6, rtol=1e-6)


def test_the_judgement_is_plain_numbers_in_float32() -> None:
    logits = torch.randn(3, 4, 2, dtype=torch.bfloat16, requires_grad=True)
    judged = judge_jointly(logits, torch.zeros(3, 2, dtype=torch.long), torch.tensor([0, 1, 1]), 2)
    assert judged.correct.dtype == torch.bool
    for name in NAMES[1:]:
        values = getattr(judged, name)
        assert (values.dtype, values.shape, values.requires_grad) == (torch.float32, (2,), False)
