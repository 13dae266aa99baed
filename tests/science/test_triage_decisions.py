"""What a person decided is read as it was meant, or refused by its line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hprune.science.triage import Decisions, Line, decide, favoured

STUDY: dict[str, Any] = {
    "sample_ids": np.array([2, 5, 7, 9]), "labels": np.array([0, 1, 2, 0]), "label_names": ("no", "-1", "yes 1"),
}  # fmt: skip


def line(sample_id: str, decision: str = "", new_label: str = "", number: int = 2) -> Line:
    return Line(f"line {number}", sample_id, decision, new_label)


def test_blank_keeps_and_the_rest_is_done() -> None:
    found = decide([line("2"), line("5", " Drop "), line("7", "RELABEL", "no"), line("9", "keep")], **STUDY)
    assert found == Decisions(4, (5,), {7: 0})
    assert found.counts == {"keep": 2, "drop": 1, "relabel": 1}
    assert found.values(STUDY["sample_ids"]).tolist() == [1, 0, 0, 1]
    assert decide([], **STUDY).values(STUDY["sample_ids"]).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(("written", "label"), [("-1", 1), ("'-1", 1), ("-1.0", 1), (" yes 1 ", 2)])
def test_what_spreadsheets_do_to_names_is_undone(written: str, label: int) -> None:
    assert decide([line("2.0", "relabel", written)], **STUDY).relabelled == {2: label}


def test_a_boolean_that_a_spreadsheet_wrote_in_capitals_is_its_class() -> None:
    study = {**STUDY, "label_names": ("false", "true", "other")}
    assert decide([line("2", "relabel", "TRUE"), line("5", "relabel", "False")], **study).relabelled == {2: 1, 5: 0}
    with pytest.raises(ValueError, match="new_label must be a class, one of true, True, other, got 'TRUE'"):
        decide([line("2", "relabel", "TRUE")], **{**STUDY, "label_names": ("true", "True", "other")})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (line("2", "maybe"), r"line 2: decision must be keep, drop, relabel or blank, got 'maybe'"),
        (line("3"), r"line 2: no sample of the study has the sample_id 3; is the sheet of another study\?"),
        (line("10"), r"no sample of the study has the sample_id 10"),
        (line("two"), r"line 2: sample_id must be a whole number, as it was written, got 'two'"),
        (line("6.55E+13"), r"sample_id must be a whole number, as it was written, got '6\.55E\+13'"),
        (line(""), r"sample_id must be a whole number, as it was written, got ''"),
        (line("2", "relabel"), r"line 2: relabel needs a new_label, one of no, -1, yes 1"),
        (line("2", "relabel", "perhaps"), r"new_label must be a class, one of no, -1, yes 1, got 'perhaps'"),
        (line("2", "relabel", "no"), r"new_label 'no' is the label that it has; write keep, or another class"),
        (line("2", "", "-1"), r"it has the new_label '-1', but its decision is blank; write relabel, or clear"),
        (line("2", "drop", "-1"), r"it has the new_label '-1', but its decision is drop; write relabel, or clear"),
    ],
)
def test_what_cannot_be_is_refused_by_its_line(wrong: Line, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decide([wrong], **STUDY)


def test_a_sample_is_decided_once() -> None:
    with pytest.raises(ValueError, match=r"line 3: sample_id 2 was there before \(line 2\); remove one of the two"):
        decide([line("2"), line("2", "drop", number=3)], **STUDY)


def test_all_faults_are_told_at_once_up_to_ten() -> None:
    with pytest.raises(ValueError, match=r"line 2: .*\n  line 3: (.|\n)*\n  and 2 more") as refused:
        decide([line("2", "?", number=number) for number in range(2, 14)], **STUDY)
    assert str(refused.value).count("line ") >= 10


def test_no_relabel_where_there_are_no_classes() -> None:
    with pytest.raises(ValueError, match=r"line 2: samples of this study cannot be relabelled, as of parts; keep or"):
        decide([line("2", "relabel", "-1")], **STUDY, no_relabel="of parts")
    assert decide([line("2", "drop")], **STUDY, no_relabel="of parts").dropped == (2,)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_favoured_is_the_likeliest_class_where_that_is_known(classes: int) -> None:
    prob = np.random.default_rng(classes).dirichlet(np.ones(classes), size=500)
    labels = np.random.default_rng(0).integers(classes, size=500)
    found = favoured(prob[np.arange(500), labels], labels, classes)
    known = found >= 0
    assert (found[known] == prob.argmax(axis=1)[known]).all()
    assert known.all() == (classes == 2)
    assert known.any()
