"""The judge never sees what it judges, and its words are those of its numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hprune.reporting.judge import cross_validated, judge_facts, judge_view
from hprune.reporting.page import render_page
from hprune.science.records import Scores

RNG = np.random.default_rng(0)
LABELS = np.arange(400) % 2
PLAIN = RNG.normal(size=(400, 8)).astype(np.float32)


def scores_of(values: np.ndarray, runs: int) -> Scores:
    return Scores(
        "h_score", np.arange(values.size), values, "easier", tuple(range(runs)), 2, "train_pass", "d" * 64, {}
    )


def test_what_the_features_tell_is_judged_rightly() -> None:
    told = PLAIN + 5 * LABELS[:, None].astype(np.float32)
    assert cross_validated(told, LABELS).all()
    assert 0.35 < cross_validated(PLAIN, LABELS).mean() < 0.65
    wrong = LABELS.copy()
    wrong[:20] = 1 - wrong[:20]  # mislabelled: the judge goes by what the others say
    found = cross_validated(told, wrong)
    assert not found[:20].any()
    assert found[20:].all()


def test_no_sample_is_judged_by_what_learned_it() -> None:
    """A feature of its own for every sample is all that a judge needs to remember it, and no help for the others."""
    own = np.eye(400, dtype=np.float32)
    assert cross_validated(own, LABELS).mean() < 0.6


def test_the_scale_of_a_feature_is_nothing_and_the_folds_are_always_the_same() -> None:
    told = PLAIN + LABELS[:, None].astype(np.float32)
    first = cross_validated(told, LABELS)
    assert 0.8 < first.mean() < 1
    assert (first == cross_validated(told, LABELS)).all()
    assert (first == cross_validated(told * 1024, LABELS)).mean() > 0.99


def test_three_classes_one_of_them_rare() -> None:
    labels = np.where(np.arange(400) == 7, 2, LABELS)
    found = cross_validated(PLAIN + 5 * labels[:, None].astype(np.float32), labels)
    assert not found[7]  # a class of one is in no other fold
    assert found.sum() == 399


@pytest.mark.parametrize("labels", [[0, 0, 0, 0, 0, 1], [0, 0, 1, 1], [0] * 9])
def test_too_little_to_judge_by_is_refused(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="a judge needs 5 samples at least, and two of each of two classes"):
        cross_validated(PLAIN[: len(labels)], np.array(labels))


def facts() -> dict[str, Any]:
    """H = 0 for 40 samples, of which 10 are labelled as their features say."""
    labels, h = LABELS.copy(), np.where(np.arange(400) < 40, 0, np.where(np.arange(400) < 100, 1, 2))
    labels[:30] = 1 - labels[:30]
    return judge_facts(PLAIN + 9 * LABELS[:, None].astype(np.float32), labels, scores_of(h.astype(np.int16), 2))


def test_the_facts_by_h() -> None:
    found = facts()
    assert [(group["count"], group["right"]) for group in found["groups"]] == [(40, 10), (60, 60), (300, 300)]
    assert (found["ordinary"], found["hard_core"]) == ({"count": 10, "share": 0.25}, {"count": 30, "share": 0.75})
    assert (found["samples"], found["dimensions"], found["folds"], found["S"]) == (400, 8, 5, 2)
    assert found["accuracy"] == pytest.approx(370 / 400)
    assert found["majority"] == 0.5


def test_the_page_says_it(report: dict[str, Any]) -> None:
    assert "independent judge" not in render_page(report)
    assert "independent judge" not in render_page(report | {"judge": None})
    page = render_page(report | {"judge": facts()})
    assert "An independent judge of the labels" in page
    assert "has the label of 25% of the samples with H = 0 right (100% of 0 &lt; H &lt; S and 100% of H = S)." in page
    assert "These 10 are ordinary samples" in page
    assert "the other 30 are a hard core, or mislabelled." in page
    view = judge_view({"judge": facts()})
    assert view is not None
    assert [row["share"] for row in view["rows"]] == ["25%", "100%", "100%"]


def test_without_h_0_there_is_nothing_to_explain() -> None:
    h = np.where(np.arange(400) < 100, 1, 2).astype(np.int16)
    view = judge_view({"judge": judge_facts(PLAIN, LABELS, scores_of(h, 2))})
    assert view is not None
    assert view["sentences"] == []
    assert view["rows"][0] == {"value": 0, "count": "0", "right": "0", "share": ""}
