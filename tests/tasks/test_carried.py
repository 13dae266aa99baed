"""Columns that only an export has: whose they are is known by their cells, and no run's name depends on them."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from hprune.report import check_carried
from hprune.science.records import RunKey
from hprune.storage.runs import run_folder
from hprune.storage.studies import add_run, plan_of
from hprune.tasks.carried import carried_columns, differing_columns

SPEC: Any = SimpleNamespace(text=("text",), label="label", kind=SimpleNamespace())
CELLS: dict[str, tuple[list[Any], list[Any]]] = {
    "texts": (["a", "bc"], ["ab", "c"]),
    "no text": (["a", ""], ["a", None]),
    "numbers": ([1, 2], [1, 3]),
    "no number": ([0, 2], [None, 2]),
    "fractions": ([1.5, 2.0], [1.5, 2.5]),
    "booleans": ([True, False], [True, None]),
    "bytes": ([b"\xff", b""], [b"\xfe", b""]),
    "dates": ([datetime.date(2020, 1, 2)] * 2, [datetime.date(2020, 1, 3)] * 2),
    "lists": ([[1, 2], [3]], [[1], [2, 3]]),
    "objects": ([{"a": 1}, None], [{"a": 2}, None]),
}


def of(**columns: Any) -> dict[str, str]:
    return carried_columns(SPEC, pa.table({"text": ["x", "y"], "label": [0, 1], **columns}))


@pytest.mark.parametrize("cells", CELLS.values(), ids=CELLS.keys())
def test_a_digest_is_of_the_cells(cells: tuple[list[Any], list[Any]]) -> None:
    here, other = map(pa.array, cells)
    assert of(key=here) != of(key=other)
    apart = pa.chunked_array([here.slice(0, 1), pa.array([], here.type), here.slice(1)])
    assert of(key=apart) == of(key=here) == of(key=pa.concat_arrays([here, here]).slice(2))
    assert list(of(key=here)) == ["key"]
    assert differing_columns(of(key=here), of(key=other)) == "key has other cells, or another type"


def test_what_the_task_uses_is_not_carried_along_and_a_row_may_not_move() -> None:
    table = pa.table({"text": ["x", "y"], "label": [0, 1], "key": [1, 2], "options": [["a"], ["b"]]})
    assert list(carried_columns(SPEC, table)) == ["key", "options"]
    choice: Any = SimpleNamespace(text=("text",), label="label", kind=SimpleNamespace(options="options"))
    assert list(carried_columns(choice, table)) == ["key"]
    assert of(key=[1, 2]) != of(key=[2, 1])
    assert of(key=pa.array([1, 2], pa.int8())) == of(key=[1, 2])


def test_cells_of_two_kinds_are_never_alike_and_no_cell_is_beyond_it() -> None:
    """Arrow has dates that Python has not; a file with them in a column that nobody uses is read."""
    zeros = [
        pa.array([0, 0]), pa.array([0.0, 0.0]), pa.array([False, False]), pa.array(["0", "0"]), pa.array([b"0", b"0"]),
        pa.array([0, 0], pa.timestamp("s")), pa.array([0, 0], pa.date32()), pa.array([[0], [0]]),
    ]  # fmt: skip
    assert len({of(key=column)["key"] for column in zeros}) == len(zeros)
    assert of(key=pa.array([2**64 - 1] * 2, pa.uint64())) != of(key=pa.array([-1, -1]))
    assert of(key=pa.array([1.0] * 2)) != of(key=pa.array([4607182418800017408] * 2))
    far = pa.array([2**61, -(2**61)])
    types = (pa.timestamp("s"), pa.timestamp("us", "Foo/Bar"), pa.duration("s"), pa.time64("ns"), pa.date64())
    rare = [far.view(kind) for kind in types]
    rare += [pa.array([2**31 - 1, 0], pa.int32()).view(pa.date32()), pa.array([[2**61], []], pa.list_(pa.int64()))]
    rare += [pa.array([1, 2]).cast(pa.decimal128(22, 2)), pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64()))]
    rare += [
        pa.array(["a", "b"]).dictionary_encode(),
        pa.array([{"a": [1]}, {"a": []}]),
        pa.array([1.0, 2.5], pa.float16()),
    ]
    assert len({of(key=column)["key"] for column in rare}) == len(rare)


def test_a_column_more_among_many_is_no_other_column() -> None:
    many = {f"c{i}": [i, i] for i in range(300)}
    assert differing_columns(of(**many), of(first=[1, 2], **many)) == ""


def test_an_export_has_the_columns_of_the_study(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Refused by name unless the study is trained with the other file; what came newly is told."""
    settings = {"task": {"data": "d"}, "model": {}}
    folder = run_folder(tmp_path, RunKey("t", "m", "full", 1), settings)
    config = {"task": {"train_file": "a.csv"}, "model": {}}
    now: Any = SimpleNamespace(carried={"id": "1", "page": "9"})

    def given(columns: dict[str, str] | None) -> None:
        add_run(tmp_path, "s", folder, "scoring", (1,), config=config, columns=columns)

    def check() -> None:
        caplog.clear()
        check_carried(tmp_path, "s", now, {"settings": settings})

    caplog.set_level("INFO")
    given(None)  # as older versions did
    check()
    assert "were not compared" in caplog.text
    given({"id": "2", "source": "3"})
    with pytest.raises(ValueError, match=r"'s' was given: id has other cells, or another type; source is gone\. Bring"):
        check()
    given({"id": "1"})
    check()
    assert "had not when study s was run: page" in caplog.text
    given({"id": "1", "page": "9"})
    check()
    assert not caplog.text
    plan = plan_of(tmp_path, "s")
    assert plan is not None
    assert plan.columns == now.carried
