"""How the samples of each class spread over the values of a score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hprune.reporting.figures import score_histogram
from hprune.reporting.summary import MANY_CLASSES, _histogram
from hprune.science.records import Scores
from hprune.tasks.spec import TaskData


def histogram(classes: int) -> dict[str, Any]:
    """Of two samples a class: one has the smallest value, the other one of three."""
    ids, rng = np.arange(2 * classes), np.random.default_rng(0)
    values = np.where(ids < classes, 0, rng.integers(1, 4, ids.size)).astype(np.int16)
    names = tuple(f"class {k}" for k in range(classes))
    train = pa.table({"sample_id": ids, "text": ["a"] * ids.size, "label": ids % classes})
    data = TaskData(train, {}, names, ("text",), "x", {})
    return _histogram(Scores("h_score", ids, values, "easier", (1, 2, 3), 2, "train_pass", "x", {}), data)


@pytest.mark.parametrize("classes", [3, MANY_CLASSES, MANY_CLASSES + 1])
def test_every_sample_is_counted_once_and_many_classes_only_where_they_are(classes: int) -> None:
    values = histogram(classes)["values"]
    assert [value["value"] for value in values] == [0, 1, 2, 3]
    assert [sum(value["by_class"].values()) for value in values] == [value["count"] for value in values]
    assert sum(value["count"] for value in values) == 2 * classes
    entries = sum(len(value["by_class"]) for value in values)
    assert entries == (4 * classes if classes <= MANY_CLASSES else 2 * classes)


def test_the_figure_is_the_same_without_classes_that_have_none_there() -> None:
    table = histogram(30)
    shorter = [value | {"by_class": {k: n for k, n in value["by_class"].items() if n}} for value in table["values"]]
    assert score_histogram("h", table | {"values": shorter}) == score_histogram("h", table)
