"""The answer in sentences: each verdict says what it means, beside what it is compared with, and how sure that is."""

from __future__ import annotations

from typing import Any

import pytest

from hprune.reporting.answer import headline
from hprune.reporting.details import certainty_tables
from hprune.reporting.page import _line as page_row
from hprune.reporting.wording import meanings, notes, verdict


def said(report: dict[str, Any]) -> str:
    return " ".join(headline(report))


def test_equivalence_names_the_margin(report: dict[str, Any]) -> None:
    row = report["rows"][2]
    row["verdict"] = "equivalent"
    row["difference"]["within_margin"] = True
    assert "accuracy on validation is equivalent to full training within 1 point (difference -0.2 points" in said(
        report
    )
    assert verdict(row) == "equivalent within 1 point"
    assert any(text.startswith("Equivalent: a difference of 1 point or more") for text in meanings(report))


@pytest.mark.parametrize("found", ["better", "worse"])
def test_a_difference_smaller_than_the_margin_is_said_to_be(report: dict[str, Any], found: str) -> None:
    row = report["rows"][2]
    row["verdict"] = found
    row["difference"]["within_margin"] = True
    row["difference"]["equivalence"]["margin"] = 0.005
    assert f"is {found} than with full training, though by less than 0.5 points (difference" in said(report)
    assert verdict(row) == f"{found}, by under 0.5 points"


def test_what_could_have_been_found_is_said(report: dict[str, Any]) -> None:
    found = "A true difference to full training of 1.9 points would be found in four of five studies like this one"
    margin = "one of 1 point, the margin, in 40% of them; if there were none, equivalence would be shown in 20%."
    assert f"{found}, {margin}" in said(report)
    report["rows"][2]["difference"] |= {"power": None, "equivalence": None}  # no margin was stated
    assert f"{found}." in said(report)
    report["rows"][2]["difference"]["detectable"] = None
    assert "would be found" not in said(report)


def test_a_difference_that_there_cannot_be_is_no_number(report: dict[str, Any]) -> None:
    gap = report["rows"][2]["difference"]
    gap["detectable"] = 1.0
    assert "A true difference to full training of 100.0 points would be found" in said(report)
    gap["detectable"] = 1.613
    text = "With so few seeds no possible difference would be found in four of five studies like this one"
    assert f"{text}, one of 1 point, the margin, in 40% of them" in said(report)
    assert "161" not in said(report)
    tested = page_row(report["rows"][2])["test"]
    assert tested.endswith("finds no possible difference in 4 of 5 studies: too few seeds")
    assert [row["detectable"] for row in certainty_tables(report)[0]["rows"]] == ["1.9", "none"]
    report["primary_metric"] = report["rows"][0]["metric"] = report["rows"][2]["metric"] = "mcc"  # in -1..1
    assert "A true difference to full training of 1.613 would be found" in said(report)


def test_identical_results_are_no_case_of_missing_predictions(report: dict[str, Any]) -> None:
    unknown, ticket = "Where it is not known what each example contributes", report["rows"][2]
    ticket["difference"] |= {"examples": None, "mean": 0.0, "low": 0.0, "high": 0.0}
    ticket["verdict"] = "equivalent"
    assert not any(unknown in note for note in notes(report))
    assert any(note.startswith("winning_ticket: no seed differs from the full set at all") for note in notes(report))
    ticket["difference"] |= {"mean": 0.01, "low": 0.01, "high": 0.01}
    ticket["verdict"] = "no verdict (no spread)"
    assert not any(unknown in note for note in notes(report))
    assert any(note.startswith("winning_ticket: every seed gives the same difference") for note in notes(report))
    ticket["difference"]["low"] = 0.0
    assert any(unknown in note for note in notes(report))
    assert not any(note.startswith("winning_ticket: ") for note in notes(report))


def test_other_ways_to_choose_as_many_stand_beside_the_ticket(report: dict[str, Any]) -> None:
    ticket = report["rows"][2]
    gap = {**ticket["difference"], "to": "winning_ticket", "mean": -0.012, "within_margin": False}
    other = {**ticket, "arm": "el2n", "label": "el2n", "difference_to_ticket": gap, "verdict_to_ticket": "worse"}
    report["rows"].append(other)
    assert "As many samples chosen otherwise, beside the winning ticket: el2n -1.2 points (worse)." in said(report)
    gap["to"] = "winning_ticket [optim.lr=1e-05]"
    assert "chosen otherwise" not in said(report), "beside another ticket"


def test_budgets_are_explained_where_there_are_two(report: dict[str, Any]) -> None:
    assert not any("[steps]" in text for text in meanings(report))
    report["rows"].append({**report["rows"][2], "label": "winning_ticket [steps]", "budget": "steps"})
    assert any("as many steps of the optimiser as the full set" in text for text in meanings(report))
    assert "The winning ticket [steps] keeps 20%" in said(report)


def test_a_verdict_that_its_interval_seems_to_contradict_is_explained(report: dict[str, Any]) -> None:
    def explained() -> bool:
        return any("An interval may leave out 0" in text for text in notes(report))

    assert not explained()
    report["rows"][2]["difference"]["high"] = -0.001
    assert explained()
    report["rows"][2]["verdict"] = "worse"
    assert not explained()


def test_a_margin_that_was_changed_is_told(report: dict[str, Any]) -> None:
    report["margins"] = [0.01, 0.03]
    assert "The margin was changed between runs (0.01, 0.03): the smallest is used." in notes(report)
    report["margins"] = [None, 0.01]
    assert "The margin was changed between runs (none, 0.01): the smallest is used." in notes(report)


def test_several_other_sets_share_one_sentence(report: dict[str, Any]) -> None:
    first = report["rows"][:4]
    for name, mean, found in (("hans", -0.05, "worse"), ("anli", 0.002, "not distinguishable")):
        for row in first:
            gap = row["difference"] and {**row["difference"], "mean": mean}
            report["rows"].append({**row, "eval_set": name, "difference": gap, "verdict": gap and found})
    hans, anli = "hans -5.0 points (worse)", "anli +0.2 points (not distinguishable)"
    assert f"On other sets, accuracy beside full training: {hans}; {anli}." in said(report)
