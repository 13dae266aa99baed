"""Exports that are tasks of their own: the same classes, or it is said what makes them the same."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from hprune.storage.exports import write_export
from hprune.tasks.classification import Classification
from hprune.tasks.columns import as_untyped
from hprune.tasks.labels import class_labels
from hprune.tasks.multiple_choice import MultipleChoice
from hprune.tasks.read_again import classes_if_read
from hprune.tasks.source import read_splits
from hprune.tasks.spec import TaskSpec

SPEC = TaskSpec("own", Classification())


def texts(*labels: str) -> pa.Table:
    """As a CSV gives them."""
    return as_untyped(pa.table({"label": pa.array(labels, pa.large_string()), "text": list(labels)}))


def named(labels: list[int], names: list[str]) -> pa.Table:
    field = pa.field("label", pa.int64(), metadata={"names": json.dumps(names)})
    return pa.table([pa.array(labels), ["a"] * len(labels)], schema=pa.schema([field, pa.field("text", pa.string())]))


def labels_of(spec: TaskSpec) -> tuple[list[int], tuple[str, ...]]:
    numbers, names = class_labels(spec, {"train": read_splits(spec)["train"]})
    return numbers["train"].tolist(), names


def told(original: pa.Table, out: Path, spec: TaskSpec = SPEC, rows: Any = None) -> str | None:
    exported = original if rows is None else original.take(pa.array(rows))
    return classes_if_read(spec, original, exported, out, "escape")


NUMBERS = texts(*map(str, range(12)))


def test_numbers_that_become_texts_sort_otherwise(tmp_path: Path) -> None:
    message = told(NUMBERS, tmp_path / "a.jsonl")
    assert message == (
        "read as a task of its own, its classes are 0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9; "
        """with 'task.label_names=["0","1","2","3","4","5","6","7","8","9","10","11"]' they are those of this task"""
    )
    for name in ("a.csv", "a.tsv", "a.parquet", "a.ids"):
        assert told(NUMBERS, tmp_path / name) is None
    assert told(NUMBERS, tmp_path / "a") == message  # a saved data set keeps no mark that a file had no types


def test_a_class_without_a_row_and_names_that_a_form_loses(tmp_path: Path) -> None:
    assert "its classes are 0, 1, 3" in str(told(texts("0", "1", "2", "3"), tmp_path / "a.csv", rows=[0, 1, 3]))
    message = str(told(named([0, 1], ["neg", "pos"]), tmp_path / "a.csv"))
    assert message.endswith("its classes are 0, 1; with 'task.label_names=[neg,pos]' they are those of this task")
    assert told(named([0, 1], ["neg", "pos"]), tmp_path / "a.parquet") is None


def test_what_no_names_mend_is_left_to_a_form_with_types(tmp_path: Path) -> None:
    message = "read as a task of its own, its classes are 1, 1.0, 2; a .parquet of it keeps those of this task"
    assert told(texts("1", "1.0", "2"), tmp_path / "a.jsonl") == message
    assert told(texts("1", "1.0", "2"), tmp_path / "a.parquet") is None


def test_labels_that_come_to_mean_other_classes_are_told(tmp_path: Path) -> None:
    """Of -1, 0, 1 by three names the rows without -1 are two values for three names: places."""
    spec, rows = replace(SPEC, label_names=("neg", "neu", "pos")), pa.table({"label": [-1, 0, 1], "text": list("abc")})
    message = told(rows, tmp_path / "a.parquet", spec, rows=[1, 2])
    assert message == (
        "read as a task of its own, its labels stand for other classes of the same names; "
        "write the names of the classes into its column 'label'"
    )


def test_other_kinds_say_their_classes_themselves(tmp_path: Path) -> None:
    spec = replace(SPEC, kind=MultipleChoice(), text=("text", "text_2"))
    assert told(NUMBERS, tmp_path / "a.jsonl", spec) is None


LABELS = st.one_of(
    *(
        st.lists(st.sampled_from(some), min_size=1, max_size=6)
        for some in (
            ["0", "2", "10"],
            ["1", "1.0", "2"],
            ["TRUE", "false", "true"],
            ["a", "B", "=c", ""],
            ["011", "11"],
        )
    )
)


@settings(max_examples=40, deadline=None)
@given(LABELS.filter(any), st.sampled_from(["csv", "tsv", "jsonl", "parquet"]))
def test_the_advice_makes_them_the_same(tmp_path_factory: pytest.TempPathFactory, labels: list[str], form: str) -> None:
    """Without a message the file has the task's classes, with one it has others; the names that it gives mend that."""
    original, out = texts(*labels), tmp_path_factory.mktemp("a") / f"a.{form}"
    here = class_labels(SPEC, {"train": original})
    write_export(out, original, original["label"].combine_chunks())
    own, message = replace(SPEC, train_file=str(out)), told(original, out)
    if message is None:
        assert labels_of(own) == (here[0]["train"].tolist(), here[1])
    elif "; with " in message:
        (argument,) = shlex.split(message.split("; with ")[1].removesuffix(" they are those of this task"))
        names = OverridesParser.create().parse_override(argument).value()
        assert labels_of(replace(own, label_names=[str(name) for name in names])) == (
            here[0]["train"].tolist(),
            here[1],
        )
