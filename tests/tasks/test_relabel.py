"""Labels are corrected in the coding that they came in: read again, the split has the new classes, else no change."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hprune.tasks.classification import Classification
from hprune.tasks.extractive_qa import ExtractiveQA
from hprune.tasks.load import load_task
from hprune.tasks.multiple_choice import MultipleChoice
from hprune.tasks.relabel import why_no_relabel, with_labels
from hprune.tasks.source import read_splits
from hprune.tasks.spec import TaskSpec

HUB = pa.field("label", pa.int64(), metadata={"names": json.dumps(["neg", "pos", "odd"])})
CODINGS: dict[str, tuple[Any, tuple[str, ...] | None]] = {
    "texts": (pa.array(["no", " yes", "yes", "no", None, "yes"]), None),
    "large texts": (pa.array(["no", "yes", "yes", "no", "", "yes"], pa.large_string()), None),
    "numbers": (pa.array([0, 1, 1, 0, -1, 2]), None),
    "small numbers by name": (pa.array([1, 5, 5, 1, -1, 5], pa.int8()), ("1", "3", "5")),
    "numbers by place": (pa.array([0, 1, 1, 0, None, 2]), ("a", "b", "c")),
    "floats": (pa.array([0.0, 1.0, 1.0, 0.0, float("nan"), 2.0]), None),
    "truths": (pa.array([True, False, False, True, None, True]), None),
    "categories": (pa.array(["no", "yes", "yes", "no", None, "yes"]).dictionary_encode(), None),
}


def spec_of(folder: Path, label: Any, names: tuple[str, ...] | None, field: pa.Field | None = None) -> TaskSpec:
    table = pa.table({"text": [f"text {i}" for i in range(len(label))], "label": label, "other": range(len(label))})
    if field is not None:
        table = table.set_column(1, field, table["label"])
    pq.write_table(table, folder / "train.parquet")
    file = str(folder / "train.parquet")
    return TaskSpec("own", Classification(), label_names=names, train_file=file, validation_file=file)


@pytest.mark.parametrize("coding", CODINGS)
def test_the_split_read_again_has_the_new_classes(tmp_path: Path, coding: str) -> None:
    spec = spec_of(tmp_path, *CODINGS[coding])
    before, raw = load_task(spec), read_splits(spec)["train"]
    ids, labels = (before.train[name].to_numpy() for name in ("sample_id", "label"))
    assert with_labels(spec, raw, {}, before.label_names) is raw
    new = {int(ids[0]): int(labels[1]), int(ids[1]): int(labels[0])}
    made = with_labels(spec, raw, new, before.label_names)
    assert made.schema == raw.schema
    assert made.drop_columns(["label"]).equals(raw.drop_columns(["label"]))
    pq.write_table(made, tmp_path / "corrected.parquet")
    after = load_task(replace(spec, train_file=str(tmp_path / "corrected.parquet")))
    expected = [before.label_names[new.get(i, label)] for i, label in zip(ids.tolist(), labels.tolist(), strict=True)]
    assert [after.label_names[label] for label in after.train["label"].to_pylist()] == expected
    undone = with_labels(spec, made, {int(ids[0]): int(labels[0]), int(ids[1]): int(labels[1])}, before.label_names)
    assert [str(one).strip() for one in undone["label"].to_pylist()] == [
        str(one).strip() for one in raw["label"].to_pylist()
    ]


def test_names_of_the_hub_stay(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, pa.array([0, 1, 1, 0]), None, HUB)
    raw = read_splits(spec)["train"]
    made = with_labels(spec, raw, {0: 1}, ("neg", "pos", "odd"))
    assert made["label"].to_pylist() == [1, 1, 1, 0]
    assert made.schema.field("label").metadata == raw.schema.field("label").metadata
    with pytest.raises(ValueError, match=r"no row of the train split is of class 'odd', so it is not known how column "
                                         r"'label' writes it; relabel to classes that occur"):  # fmt: skip
        with_labels(spec, raw, {0: 2}, ("neg", "pos", "odd"))


def test_who_can_be_relabelled() -> None:
    assert why_no_relabel(Classification()) is None
    assert why_no_relabel(MultipleChoice()) is None
    assert why_no_relabel(MultipleChoice(unit="option")) == "they are parts of a row"
    assert why_no_relabel(ExtractiveQA(unit="window")) == "they are parts of a row"
    assert why_no_relabel(ExtractiveQA()) == "what is right of them is an answer and not a class"


@pytest.mark.parametrize("seed", range(5))
def test_letters_of_options(seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = pa.table({"answer": pa.array(list("ABCD") + ["ABCD"[k] for k in rng.integers(4, size=8)])})
    spec = TaskSpec("race", MultipleChoice(), text=("article", "question"), label="answer")
    new = {int(row): int(rng.integers(4)) for row in rng.choice(12, size=5, replace=False)}
    made = with_labels(spec, raw, new, tuple("ABCD"))
    assert made["answer"].to_pylist() == [
        "ABCD"[new[i]] if i in new else old for i, old in enumerate(raw["answer"].to_pylist())
    ]
