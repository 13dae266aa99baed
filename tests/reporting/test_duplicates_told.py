"""Duplicates and overlap are counted as planted, told in one line, and only where there are any."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hprune.reporting.diagnosis import diagnose
from hprune.reporting.duplicates import overlap_notes, overlap_of, overlap_told
from hprune.reporting.page import render_page
from hprune.reporting.terminal import print_table
from hprune.science.records import Scores
from hprune.tasks.load import content_hash
from hprune.tasks.spec import TaskData


def table(texts: list[str], labels: list[int], first: int = 0) -> pa.Table:
    ids = np.arange(first, first + len(texts))
    return pa.table({"sample_id": ids, "text": pa.array(texts, pa.large_string()), "label": labels})


def data_of(train: pa.Table, **evaluation: pa.Table) -> TaskData:
    return TaskData(train, evaluation, ("no", "yes"), ("text",), content_hash(train), {})


def scores_of(data: TaskData, values: list[int]) -> Scores:
    ids = data.train["sample_id"].to_numpy().copy()
    return Scores("h_score", ids, np.array(values, np.int16), "easier", (1, 2), 2, "train_pass", data.data_hash)


TRAIN = table(["a film", "A  FILM", "good", "bad", "good", "so so"], [0, 1, 1, 0, 1, 0])


def test_what_was_planted_is_counted() -> None:
    data = data_of(TRAIN, validation=table(["bad ", "new", "bad", "Good"], [0] * 4, 9), test=table(["other"], [1]))
    found = overlap_of(data, data.data_hash, scores_of(data, [0, 0, 2, 2, 2, 2]))
    assert found == {
        "train": {"texts": 6, "groups": 2, "samples": 4, "conflicting": 2},
        "evaluation": {"validation": {"samples": 4, "in_train": 3}, "test": {"samples": 1, "in_train": 0}},
        "by_h": [
            {"value": 0, "count": 2, "duplicates": 1.0, "leaks": 0.0},
            {"value": 1, "count": 0, "duplicates": None, "leaks": None},
            {"value": 2, "count": 4, "duplicates": 0.5, "leaks": 0.75},
        ],
    }
    assert overlap_told({"duplicates": found}) == {
        "leaks": (3 / 4, "3 of 4 validation examples occur in the train texts: right answers to them may be memory."),
        "duplicates": (
            4 / 6,
            "4 train texts occur more than once, 2 of them with different labels (100.0% of H = 0, 50.0% of H = S): a "
            "run learns each of them from the others, too, so their H, above all H = S, is not comparable.",
        ),
    }


def test_parts_of_a_row_are_no_duplicates() -> None:
    rows = table(["one", "two", "One", "three"], [0, 1, 0, 1], first=10)
    owner = np.array([0, 0, 1, 2, 3, 3])
    train = pa.table({"sample_id": np.arange(6), "row": rows["sample_id"].take(pa.array(owner)), "label": [0] * 6,
                      "text": rows["text"].take(pa.array(owner))})  # fmt: skip
    whole = data_of(train, validation=table(["three"], [1]))
    data = TaskData(**{**vars(whole), "uncut": (rows, "")})
    found = overlap_of(data, data.data_hash, scores_of(data, [0, 0, 0, 2, 2, 2]))
    assert found is not None
    assert found["train"] == {"texts": 4, "groups": 1, "samples": 2, "conflicting": 0}
    assert [entry["duplicates"] for entry in found["by_h"]] == [pytest.approx(2 / 3), None, pytest.approx(1 / 3)]
    assert [entry["leaks"] for entry in found["by_h"]] == [0, None, pytest.approx(2 / 3)]


def test_nothing_is_said_where_there_is_nothing() -> None:
    data = data_of(table(["a", "b"], [0, 1]), validation=table(["c"], [1]))
    found = overlap_of(data, data.data_hash, None)
    assert found is not None
    assert found["by_h"] == []
    for nothing in ({"duplicates": found}, {"duplicates": None}, {}):
        assert overlap_told(nothing) == {}
        assert overlap_notes(nothing) == []


def test_data_that_are_gone_or_others_are_not_counted() -> None:
    data = data_of(TRAIN)
    assert overlap_of(None, data.data_hash, None) is None
    assert overlap_of(data, "0" * 64, None) is None
    other = scores_of(data_of(table(["x"], [0])), [1])
    found = overlap_of(data, data.data_hash, other)
    assert found is not None
    assert found["by_h"] == []


def test_the_terminal_says_it(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    data = data_of(TRAIN, validation=table(["bad"], [0]))
    print_table(report)
    assert "train texts" not in capsys.readouterr().out
    few = overlap_of(data, data.data_hash, None)
    assert few is not None
    few["evaluation"]["validation"] |= {"samples": 100}
    few["train"]["texts"] = 1000
    print_table({**report, "duplicates": few})
    assert "1 of 100 validation examples occurs in the train texts" in capsys.readouterr().out


def test_the_page_says_it_once(report: dict[str, Any]) -> None:
    data = data_of(TRAIN, validation=table(["bad"], [0]))
    found = {"duplicates": overlap_of(data, data.data_hash, None)}
    few = {"duplicates": {**found["duplicates"], "evaluation": {"validation": {"samples": 100, "in_train": 1}}}}  # type: ignore[dict-item]
    for rows in (report["rows"], []):  # with arms, and without
        for said in (found, few):  # as a sign, as a note
            told = {**report, **said, "rows": rows}
            page = render_page({**told, "diagnosis": diagnose(told)})
            assert page.count("validation examples occurs") == 1
        assert "train texts" not in render_page({**report, "rows": rows})
