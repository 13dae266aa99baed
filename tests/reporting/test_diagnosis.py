"""Each sign is seen where it is, with what to do, and not where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hprune.reporting.diagnosis import diagnose
from hprune.reporting.first_epoch import _counted
from hprune.reporting.summary import summarise
from hprune.science.records import Dynamics
from hprune.science.scores.h_score import h_score
from hprune.score import ScoreSpec, score_study
from tests.reporting.conftest import COMPARISON, SCORING, study_of


def signs(report: dict[str, Any]) -> dict[str, str]:
    found = diagnose(report)
    assert all(finding["advice"].endswith(".") and finding["told"].endswith(".") for finding in found)
    return {finding["sign"]: finding["told"] for finding in found}


def row(report: dict[str, Any], arm: str) -> dict[str, Any]:
    return next(row for row in report["rows"] if (row["arm"], row["metric"]) == (arm, "accuracy"))


def test_a_study_without_signs_has_none(report: dict[str, Any]) -> None:
    report |= {"histogram": {}, "convergence": {}}
    assert signs(report) == {}


def test_nothing_to_look_at_is_no_sign(report: dict[str, Any]) -> None:
    report |= {"rows": [], "histogram": {}, "slices": [], "convergence": {}}
    assert signs(report) == {}


def test_arms_that_are_all_worse_than_random(report: dict[str, Any]) -> None:
    ticket = row(report, "winning_ticket")
    ticket["verdict_to_random"] = "worse"
    assert signs(report)["worse_than_random"] == "The arm that a score chose is worse than as many random samples."
    report["rows"].append({**ticket, "arm": "el2n", "label": "el2n"})
    assert signs(report)["worse_than_random"].startswith("All 2 arms that a score chose are worse")
    report["rows"][-1]["verdict_to_random"] = "not distinguishable"
    assert "worse_than_random" not in signs(report)
    report["rows"][-1]["rule"] = "hprune.science.select.random_same_classes"
    assert signs(report)["worse_than_random"].startswith("The arm that a score chose is"), "no score chose the other"


def test_a_large_drop_names_the_slices_that_lost_most(report: dict[str, Any]) -> None:
    ticket = row(report, "winning_ticket")
    ticket |= {"verdict": "worse", "difference": {**ticket["difference"], "mean": -0.05, "low": -0.06, "high": -0.04}}
    assert signs(report)["large_drop"] == "The winning ticket loses 5.0 points."
    for part, mean in zip(report["slices"], (-0.09, -0.2), strict=True):
        part |= {"verdict": "worse", "difference": {**part["difference"], "mean": mean}}
    assert signs(report)["large_drop"] == "The winning ticket loses 5.0 points, more in class yes (20.0 points)."
    ticket["difference"]["high"] = -0.015
    assert "large_drop" not in signs(report), "its interval reaches within two margins"


@pytest.mark.parametrize("random", [True, False])
def test_a_small_subset_without_loss(report: dict[str, Any], random: bool) -> None:
    row(report, "winning_ticket")["verdict"] = "equivalent"
    if random:
        row(report, "random_like")["verdict"] = "equivalent"
    found = signs(report)
    assert ("saturated" in found, "go_further" in found) == (random, not random)
    if random:
        assert found["saturated"].endswith("does as well as all of them, and so do as many that a score chose.")
        row(report, "random_like")["n"] = 310  # larger than the ticket: no sign of saturation
        assert "go_further" in signs(report)
    row(report, "winning_ticket")["fraction"] = row(report, "random_like")["fraction"] = 0.5
    assert not {"saturated", "go_further"} & set(signs(report))


def test_misses_in_the_first_epoch(report: dict[str, Any]) -> None:
    report["first_epoch"] = {"table": "h_score", "hardest": 300, "missed_first_only": 240}
    told = "20% of the samples have H = 0, and 80% of these were only missed in the first epoch."
    assert signs(report)["first_epoch"] == told
    for few in ({"hardest": 300, "missed_first_only": 100}, {"hardest": 100, "missed_first_only": 90}):
        report["first_epoch"] = few
        assert "first_epoch" not in signs(report)


def test_what_is_missed_first_only_is_what_skipping_the_epoch_brings_back() -> None:
    rng = np.random.default_rng(0)
    dynamics = Dynamics(np.arange(500), rng.random((4, 3, 500)) < 0.5)

    class Stored:
        def pieces(self) -> list[Dynamics]:
            return [
                Dynamics(dynamics.sample_ids[cut], dynamics.correct[..., cut]) for cut in (slice(200), slice(200, 500))
            ]

    h = dynamics.correct.all(axis=1).sum(axis=0)
    skipped = dynamics.prefix(skip=1).correct.all(axis=1).sum(axis=0)
    inside, left = (h > 0) & (h < 4), (h > 0) & (h < 4) & ~((skipped > 0) & (skipped < 4))
    assert (skipped[left] == 4).all(), "whoever leaves the ticket is right in all later epochs of all runs"
    expected = {
        "hardest": int((h == 0).sum()), "missed_first_only": int(((h == 0) & (skipped > 0)).sum()),
        "ticket": int(inside.sum()), "ticket_by_first": int(left.sum()),
    }  # fmt: skip
    assert _counted(Stored()) == expected | {"by_class": {}}  # type: ignore[arg-type]
    assert 0 < expected["missed_first_only"] < expected["hardest"]
    assert 0 < expected["ticket_by_first"] < expected["ticket"]
    labels = rng.integers(0, 3, 500)
    told = _counted(Stored(), labels, ("no", "so so", "yes", "never"))  # type: ignore[arg-type]
    assert told == expected | {
        "by_class": {
            name: {
                "samples": int((labels == k).sum()), "ticket": int((inside & (labels == k)).sum()),
                "ticket_by_first": int((left & (labels == k)).sum()),
            }
            for k, name in enumerate(("no", "so so", "yes", "never"))
        }
    }  # fmt: skip


def test_a_ticket_that_epoch_1_alone_made(report: dict[str, Any]) -> None:
    counts = {"table": "h_score", "hardest": 0, "missed_first_only": 0, "ticket": 993, "ticket_by_first": 717}
    classes = {
        "no": {"samples": 900, "ticket": 700, "ticket_by_first": 588},
        "yes": {"samples": 1100, "ticket": 293, "ticket_by_first": 129},
    }
    report["first_epoch"] = counts | {"by_class": classes}
    told = (
        "717 of the 993 samples of the winning ticket (72%) are in it only through epoch 1: every run has them right "
        "in all later epochs"
    )
    assert signs(report)["ticket_by_first_epoch"] == f"{told}; 82% of these are no, and 45% of all samples."
    advice = next(one["advice"] for one in diagnose(report) if one["sign"] == "ticket_by_first_epoch")
    assert "random_same_classes" in advice
    assert "skip_epochs" not in advice, "these tickets train far worse"
    classes["no"]["samples"] = 5000
    assert signs(report)["ticket_by_first_epoch"] == f"{told}.", "its classes are those of all"
    report["first_epoch"] = counts | {"by_class": {}}
    assert signs(report)["ticket_by_first_epoch"] == f"{told}.", "the data are gone"
    for few in ({"ticket_by_first": 496}, {"ticket": 0, "ticket_by_first": 0}):
        report["first_epoch"] = counts | few | {"by_class": {}}
        assert "ticket_by_first_epoch" not in signs(report)


def test_a_study_says_what_of_its_ticket_is_there_through_epoch_1_only(tmp_path: Path) -> None:
    """Run s = 1, 2, 3 has sample i right in epoch 1 where i > 3 s, and in epoch 2 where i >= 3 s."""
    study = study_of(tmp_path, "late", [f"sample {i}" for i in range(12)], late=-1)
    study.runs("full", SCORING)
    study.runs("full", COMPARISON)
    score_study(study.root, "late", ScoreSpec("h_score", h_score, "easier"))
    assert summarise(study.root, "late", study.data)["first_epoch"] == {
        "table": "h_score", "hardest": 4, "missed_first_only": 1,  # sample 3
        "ticket": 6, "ticket_by_first": 1,  # 4 to 9, sample 9
        "by_class": {
            "n": {"samples": 6, "ticket": 3, "ticket_by_first": 1},
            "y": {"samples": 6, "ticket": 3, "ticket_by_first": 0},
        },
    }  # fmt: skip
    assert summarise(study.root, "late", None)["first_epoch"]["by_class"] == {}, "the data are gone"


def test_a_ticket_that_has_not_settled(report: dict[str, Any]) -> None:
    report["convergence"] = {"h_score-eval_pass": {"one_more": 500.0}, "h_score": {"samples": 1000, "one_more": 30.0}}
    assert signs(report)["not_settled"] == (
        "The winning ticket has not settled: one more scoring run would add about 3.0% of the samples."
    )
    for little in (20.0, None):
        report["convergence"] = {"h_score": {"samples": 1000, "one_more": little}}
        assert "not_settled" not in signs(report)


def test_texts_that_occur_more_than_once(report: dict[str, Any]) -> None:
    train = {"texts": 1000, "groups": 10, "samples": 20, "conflicting": 0}
    report["duplicates"] = {"train": train, "evaluation": {"validation": {"samples": 50, "in_train": 1}}, "by_h": []}
    found = signs(report)
    assert (
        found["leaks"] == "1 of 50 validation examples occurs in the train texts: right answers to them may be memory."
    )
    assert found["duplicates"].startswith("20 train texts occur more than once: a run learns each of them")
    train["samples"] = 10
    report["duplicates"]["evaluation"]["validation"]["samples"] = 100
    assert not {"leaks", "duplicates"} & set(signs(report)), "one in a hundred is no sign"


def test_a_pooler_that_says_nothing(report: dict[str, Any]) -> None:
    """Little by itself, and little beside the mean states."""
    report["pooler"] = {"mean_abs": 0.052, "spread": 0.036, "spread_of_mean_pooling": 0.247, "samples": 256}
    assert signs(report)["dead_pooler"] == (
        "The pooler that the head reads says nearly the same of every sample: its outputs spread by 0.036 (their mean "
        "absolute value is 0.052), the mean states of the last layer by 0.25."
    )
    advice = next(finding["advice"] for finding in diagnose(report) if finding["sign"] == "dead_pooler")
    assert "model.pooling=mean" in advice
    for change in ({"spread": 0.2, "spread_of_mean_pooling": 0.5}, {"spread_of_mean_pooling": 0.06}):
        assert "dead_pooler" not in signs(report | {"pooler": report["pooler"] | change})
    assert "dead_pooler" in signs(report | {"pooler": report["pooler"] | {"spread": 0.0}})
    assert "dead_pooler" not in signs(report | {"pooler": None})


def test_classes_that_moved(report: dict[str, Any]) -> None:
    table = report["histogram"]["h_score"]
    for value in table["values"]:
        value["by_class"] = {"no": 10, "yes": 10}
    assert "classes_moved" not in signs(report)
    table["values"][0]["by_class"] = {"no": 110, "yes": 10}  # H = 0 takes no
    assert signs(report)["classes_moved"] == (
        "The classes moved: no is 50% of the winning ticket, and 71% of all samples."
    )
    for value in table["values"]:
        value["by_class"] = {}
    assert "classes_moved" not in signs(report)
