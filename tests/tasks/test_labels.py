"""Labels are read by value: numbers, booleans and texts, in files with types and without."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hprune.tasks.classification import Classification
from hprune.tasks.columns import as_untyped
from hprune.tasks.labels import class_labels
from hprune.tasks.load import load_task
from hprune.tasks.multiple_choice import MultipleChoice
from hprune.tasks.relabel import with_labels
from hprune.tasks.spec import TaskSpec
from tests.conftest import SHARED


def untyped(labels: list[str]) -> pa.Table:
    """A split as a file without types gives it."""
    return as_untyped(pa.table({"label": pa.array(labels, pa.large_string())}))


def hub(labels: Any, names: list[str]) -> pa.Table:
    field = pa.field("label", pa.array(labels).type, metadata={"names": json.dumps(names)})
    return pa.table([pa.array(labels)], schema=pa.schema([field]))


def table_of(labels: Any) -> pa.Table:
    if isinstance(labels, pa.Table):
        return labels
    texts = isinstance(labels, list) and all(isinstance(one, str) for one in labels)
    return untyped(labels) if texts else pa.table({"label": labels})


def read(labels: Any, label_names: Any = None, **splits: Any) -> tuple[dict[str, list[int]], Any]:
    spec = TaskSpec("own", Classification(), label_names=label_names)
    numbers, names = class_labels(spec, {"train": table_of(labels)} | {k: table_of(v) for k, v in splits.items()})
    return {split: of_split.tolist() for split, of_split in numbers.items()}, names


SPLIT = ["1", "10", "2", "-1", "NA", " 3", ""]
CASES: dict[str, tuple[Any, Any, list[int], tuple[str, ...]]] = {
    "numbers sort as numbers": (SPLIT, None, [0, 3, 1, -1, -1, 2, -1], ("1", "2", "3", "10")),
    "whole floats": (["1.0", "", "2.0", "NaN"], None, [0, -1, 1, -1], ("1", "2")),
    "a zero in front": (["011", "11"], None, [0, 1], ("011", "11")),
    "a plus": (["+1", "1"], None, [0, 1], ("+1", "1")),
    "a power": (["1e3", "1000"], None, [1, 0], ("1000", "1e3")),
    "as they are written": (["TRUE", "FALSE", "TRUE", "null"], None, [1, 0, 1, -1], ("FALSE", "TRUE")),
    "as they are written most often": (["true", "False", "True", "True"], None, [1, 0, 1, 1], ("False", "True")),
    "types have no writing": (pa.array([True, False, None]), None, [1, 0, -1], ("false", "true")),
    "yes is a text": (["yes", "no", "NA"], None, [2, 1, 0], ("NA", "no", "yes")),
    "t is a text": (["t", "f"], None, [1, 0], ("f", "t")),
    "dates are texts": (["2021-02-01", "2021-01-01"], None, [1, 0], ("2021-01-01", "2021-02-01")),
    "beyond 64 bits": (["100000000000000000001", "7"], None, [1, 0], ("7", "100000000000000000001")),
    "booleans by name": (["TRUE", "FALSE", "true"], [True, False], [0, 1, 0], ("True", "False")),
    "booleans of a type by name": (pa.array([True, False]), [True, False], [0, 1], ("True", "False")),
    "booleans by their text": (["TRUE", "FALSE"], ["true", "false"], [0, 1], ("true", "false")),
    "no is false": (["TRUE", "FALSE"], ["no", "yes"], [1, 0], ("no", "yes")),
    "YAML's no": (["no", "yes"], [False, True], [0, 1], ("no", "yes")),
    "YAML's Yes": (["No", "Yes", "maybe"], [True, False, "maybe"], [1, 0, 2], ("Yes", "No", "maybe")),
    "YAML's on": (["on", "off"], [True, False], [0, 1], ("on", "off")),
    "YAML's no for numbers": (["0", "1"], [False, True], [0, 1], ("False", "True")),
    "floats by name": (["1.0", "2.0"], [2.0, 1.0], [1, 0], ("2.0", "1.0")),
    "numbers by name in another order": (["1", "2"], ["2", "1"], [1, 0], ("2", "1")),
    "three for three": (["-1", "0", "1"], ["neg", "neu", "pos"], [0, 1, 2], ("neg", "neu", "pos")),
    "three for three of a type": (pa.array([1, -1, 0]), ["neg", "neu", "pos"], [2, 0, 1], ("neg", "neu", "pos")),
    "three for three floats": (["-1.0", "", "0.0", "1.0"], ["n", "o", "p"], [0, -1, 1, 2], ("n", "o", "p")),
    "two for two": (["-1", "1"], ["no", "yes"], [0, 1], ("no", "yes")),
    "five for five": (["-2", "2", "0", "-1", "1"], list("abcde"), [0, 4, 2, 1, 3], tuple("abcde")),
    "two for two beside none": (["-1", "0", "1"], ["no", "yes"], [-1, 0, 1], ("no", "yes")),
    "minus one is named": (["-1", "0", "1"], [-1, 0, 1], [0, 1, 2], ("-1", "0", "1")),
    "minus one is not named": (["-1", "0", "1"], [0, 1], [-1, 0, 1], ("0", "1")),
    "SNLI": (pa.array([-1, 0, 1, 2]), None, [-1, 0, 1, 2], ("0", "1", "2")),
    "texts of a type sort as texts": (pa.array(["10", "9"]), None, [0, 1], ("10", "9")),
    "texts of a type as places": (pa.array(["1", "0"]), ["a", "b"], [1, 0], ("a", "b")),
    "places of the hub": (hub([0, -1, 1], ["a", "b"]), None, [0, -1, 1], ("a", "b")),
    "names of the hub": (hub(["b", "a", ""], ["b", "a"]), None, [0, 1, -1], ("b", "a")),
    "other names than the hub's": (hub([0, 1], ["a", "b"]), ["c", "d"], [0, 1], ("c", "d")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_labels_are_read_by_value(case: str) -> None:
    labels, label_names, numbers, names = CASES[case]
    assert read(labels, label_names) == ({"train": numbers}, names)


@pytest.mark.parametrize("case", [case for case, (_, _, numbers, _) in CASES.items() if -1 not in numbers])
def test_a_class_is_written_as_its_rows_write_it(case: str) -> None:
    labels, label_names, numbers, names = CASES[case]
    spec, raw = TaskSpec("own", Classification(), label_names=label_names), table_of(labels)
    turned = {row: numbers[-1 - row] for row in range(len(numbers))}
    made = with_labels(spec, raw, turned, names)
    assert made.schema == raw.schema
    assert class_labels(spec, {"train": made})[0]["train"].tolist() == list(turned.values())


FAULTS: dict[str, tuple[Any, Any, str]] = {
    "a scale without names": (["-1", "0", "1"], None, r"has the labels -1, 0, 1, where -1 may be a class or mean no "
        r"label: task\.label_names=\[-1,0,1\] says that it is a class, task\.label_names=\[0,1\], or empty"),
    "two signs without names": (pa.array([-1, 1]), None, r"task\.label_names=\[-1,1\] says .*, empty cells that"),
    "three of which one is missing": (["-1", "0", "2"], list("abc"), r"labels -1, 0, 2, where -1 may be a class"),
    "fewer than the names": (["-1", "1"], list("abc"), r"labels -1, 1, where -1 may be a class"),
    "fractions": (["1.5", "2"], None, r"must be class names or whole numbers, column 'label' is numbers, for e"),
    "booleans by place": (["TRUE", "FALSE"], ["ham", "spam"], r"labels \['false', 'true'\], which are booleans, and "
        r"known are \['ham', 'spam'\]: booleans are classes by value, so set task\.label_names=\[false,true\] or null"),
    "YAML's yes in two ways": (["yes", "no", "YES"], [False, True], r"the boolean true, which may be any of YES, yes "
        r"of column 'label': put every name in quotes, as in 'task\.label_names=\[\"YES\",\"yes\"\]'"),
    "another order than the hub's": (hub([0, 1], ["a", "b"]), ["b", "a"], r"the classes of the data in another order"),
    "negative without names": (["-2", "0", "1"], None, r"the train split has labels \['-2'\], known are \['0', '1'\]"),
    "a power by its number": (["1e3", "2e3"], [1000.0, 2000.0], r"known are \['1000.0', '2000.0'\], which are what "
        r"YAML makes of numbers and times: put the names in quotes, as in 'task\.label_names=\[\"1e3\",\"2e3\"\]'"),
    "a time by its number": (["10:30", "11:30"], [630, 690], r"as in 'task\.label_names=\[\"?10:30"),
    "booleans beside numbers": (["0", "1", "true"], None, r"has 0 or 1 beside booleans \(0, 1, true\), and it "
        r"cannot be told whether 1 is true; .*'task\.label_names=\[\"0\",\"1\",\"true\"\]'"),
    "booleans beside numbers and NA": (["1", "true", "NA"], None, r"whether 1 is true; write them in one way$"),
    "nothing": (["NA", ""], None, "no row of the train split can be used, none has a label"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_what_could_mean_two_things_is_refused(case: str) -> None:
    labels, label_names, message = FAULTS[case]
    with pytest.raises(ValueError, match=message) as caught:
        read(labels, label_names)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("train", "names", "other", "expected"),
    [
        (["-1", "0", "1"], ["neg", "neu", "pos"], ["1", "-1"], [2, 0]),
        (["TRUE", "FALSE"], None, pa.array([True, None, False]), [1, -1, 0]),
        (["TRUE", "FALSE"], [True, False], ["true", "False"], [0, 1]),
        (["1", "2"], None, ["2", "NA", "-1"], [1, -1, -1]),
        (["1", "2"], None, pa.array(["2", "1"]), [1, 0]),
        (["a", "b"], None, ["NA", ""], [-1, -1]),
        (hub([0, 1], ["a", "b"]), None, hub([0, 1], ["b", "a"]), [1, 0]),
        (hub([0, 1], ["a", "b"]), None, ["0", "1"], [0, 1]),
        (hub([0, 1], ["a", "b"]), None, ["b", "a"], [1, 0]),
        (["b", "a"], None, hub([0, 1, -1], ["b", "a"]), [1, 0, -1]),
        (["0", "1"], None, hub([0, 1], ["a", "b"]), [0, 1]),
        (hub([0, 1, 2], ["1", "2", "3"]), None, ["3", "1"], [2, 0]),
        (hub([0, 1, 2], ["1", "2", "3"]), None, ["0", "2"], [0, 2]),
        (hub([0, 1, 2], ["1", "2", "3"]), None, pa.array([3, -1]), [2, -1]),
        (hub([0, 1, 2], ["1", "2", "3"]), ["1", "2", "3"], ["1", "2"], [0, 1]),
        (hub([0, 1, 2], ["1", "2", "3"]), ["x", "y", "z"], ["1", "2"], [1, 2]),
        (hub([0, 1, 2], ["1", "2", "x"]), ["1", "2", "x"], ["1", "2"], [0, 1]),
        (hub([0, 1, 2], ["1", "2", "x"]), None, ["0", "1"], [0, 1]),
        (hub([0, 1, 2], ["-1", "0", "1"]), None, ["-1", "0", "1"], [0, 1, 2]),
        (hub([0, 1, 2], ["0", "1", "5"]), None, ["0", "1"], [0, 1]),
        (hub([0, 1, 2], ["1", "2", "3"]), None, hub([0, 1], ["3", "1"]), [2, 0]),
        (["1", "2", "3"], None, hub([0, 1], ["3", "1"]), [2, 0]),
        (["1", "2", "3"], None, hub([0, 2], ["3", "1", "2"]), [2, 1]),
    ],
)
def test_other_splits_are_read_by_the_classes_of_train(train: Any, names: Any, other: Any, expected: list[int]) -> None:
    assert read(train, names, validation=other)[0]["validation"] == expected


@pytest.mark.parametrize(
    ("train", "other", "message"),
    [
        (hub([0, 1, 2], ["1", "2", "3"]), ["1", "2"], r"has the numbers 1, 2, which may be names of classes or their "
            r"places: the data of the train split calls 0, 1, \.\. 1, 2, 3; 'task\.label_names=\[\"1\",\"2\",\"3\"\]'"),
        (hub([0, 1, 2], ["-1", "0", "1"]), pa.array([0, 1]), r"label_names=\[\"class -1\",\"class 0\",\"class 1\"\]'"),
        (hub([0, 1, 2], ["1", "2", "x"]), ["1", "2"], r"'task\.label_names=\[\"1\",\"2\",x\]' says that they"),
        (hub([0, 1, 2], ["01", "02", "03"]), ["1", "2"], r"may be names of classes or their places"),
        (["1", "2"], hub([0, 1], ["a", "b"]), r"are \['a', 'b'\] by its own data, and those of the train split"),
    ],
)  # fmt: skip
def test_numbers_that_may_be_names_or_places_are_refused(train: Any, other: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(train, validation=other)


def test_a_split_of_minus_one_alone_is_no_class() -> None:
    message = r"every label of the test split is -1, which is neg in the train split: .*task\.splits\.test=null"
    with pytest.raises(ValueError, match=message):
        read(["-1", "0", "1"], ["neg", "neu", "pos"], test=["-1", "-1"])
    assert read(["0", "1"], ["neg", "pos"], test=["-1", "-1"])[0]["test"] == [-1, -1]


def test_minus_one_is_never_an_option() -> None:
    labels = pa.array([-1, 0, 1, 2])
    for names in (None, list("wxyz")):
        spec = TaskSpec("race", MultipleChoice(), text=("a", "b"), label_names=names)
        numbers, found = class_labels(spec, {"train": table_of(labels)}, tuple("ABCD"))
        assert (numbers["train"].tolist(), found) == ([-1, 0, 1, 2], tuple(names or "ABCD"))


CELLS = st.one_of(
    st.lists(st.sampled_from(["0", "1", "2", "17", "-1", "", "NA", "nan", " 5"]), min_size=2, max_size=12),
    st.lists(st.sampled_from(["1.0", "2.0", "-1.0", "30.", "", "NaN", "N/A"]), min_size=2, max_size=12),
    st.lists(st.sampled_from(["a", "b ", "NA", "2", "true", "", "1.5", "-1"]), min_size=2, max_size=12),
)


@given(CELLS)
def test_texts_are_read_as_arrow_reads_a_file(cells: list[str]) -> None:
    """Where Arrow's types say what is written, labels are what they were when files were read by its types."""
    content = "text,label\n" + "".join(f't,"{cell}"\n' if cell else "t,\n" for cell in cells)
    typed = pa.csv.read_csv(io.BytesIO(content.encode())).select(["label"])

    def result(raw: pa.Table) -> Any:
        try:
            return read(raw)
        except ValueError as error:
            return str(error).split("column 'label' is")[0]

    assert result(untyped(cells)) == result(typed)


# --- whole tasks


@pytest.mark.skipif(not (SHARED / "cases").is_dir(), reason="needs the cases of ../shared")
@pytest.mark.parametrize(
    ("file", "label", "names", "counts"),
    [
        ("F02/toxic.csv", "toxic", [True, False], {"you awful thing": 0, "a kind word": 1}),
        ("F02/toxic.csv", "toxic", None, {"you awful thing": 1, "a kind word": 0}),
        ("F08/mood.csv", "mood", ["neg", "neu", "pos"], {"sad day": 0, "plain day": 1, "glad day": 2}),
    ],
)
def test_cases_that_failed(file: str, label: str, names: Any, counts: dict[str, int]) -> None:
    path = str(SHARED / "cases" / file)
    data = load_task(TaskSpec("own", Classification(), label=label, label_names=names, train_file=path))
    for table in (data.train, data.evaluation["validation"]):
        found = {
            text.rsplit(" ", 1)[0]: k
            for text, k in zip(*(table[c].to_pylist() for c in ("text", "label")), strict=True)
        }
        assert found == counts
    assert data.train.num_rows + data.evaluation["validation"].num_rows == pa.csv.read_csv(path).num_rows


def task_of(tables: dict[str, pa.Table], **options: Any) -> TaskSpec:
    made = {"splits": {name: name for name in tables}, "generate": tables.__getitem__, **options}
    return TaskSpec("own", Classification(), **made)


def split_of(labels: list[Any]) -> pa.Table:
    return pa.table({"text": [f"text {i}" for i in range(len(labels))], "label": labels})


def test_a_class_with_one_row_stays_in_train(caplog: pytest.LogCaptureFixture) -> None:
    labels = ["odd", *["no", "yes"] * 20, "rare"]
    with caplog.at_level("INFO"):
        data = load_task(task_of({"train": split_of(labels)}))
    assert data.label_names == ("no", "odd", "rare", "yes")
    assert {0, 41} <= set(data.train["sample_id"].to_pylist())
    assert "2 classes with one row stay in train (odd, rare)" in caplog.text
    held = data.evaluation["validation"]
    assert np.bincount(held["label"].to_numpy()).tolist() == [2, 0, 0, 2]
    assert sorted([*data.train["sample_id"].to_pylist(), *held["sample_id"].to_pylist()]) == list(range(42))


def test_too_few_rows_to_hold_out_name_classes_and_a_fraction_that_works() -> None:
    tables = {"train": split_of([f"c{i % 7}" for i in range(21)])}
    with pytest.raises(ValueError, match=r"3 would be held out and 18 stay, .*each of the 7 classes with two rows or"
                                         r" more \(c0, c1, c2, .*set task\.validation_fraction=0\.334"):  # fmt: skip
        load_task(task_of(tables))
    assert load_task(task_of(tables, validation_fraction=0.334)).evaluation["validation"].num_rows == 8


def test_columns_are_given_by_their_places() -> None:
    raw = pa.table({"is it; spam=?": ["a", "b"], "größe [1]": ["c", "d"], "label": ["x", "y"]})
    turned = raw.select(["label", "größe [1]", "is it; spam=?"])
    by_name = load_task(task_of({"train": raw, "validation": turned}, text=["is it; spam=?", "größe [1]"]))
    by_place = load_task(task_of({"train": raw, "validation": turned}, text=["@1", "@2"], label="@3"))
    assert by_place.text == by_name.text == ("is it; spam=?", "größe [1]")
    assert by_place.data_hash == by_name.data_hash
    assert by_place.evaluation_hashes == by_name.evaluation_hashes
    chosen = load_task(task_of({"train": raw, "validation": turned}, text=["@1"], slices=["@2"], where={"@1": "[ab]"}))
    assert chosen.slices["validation"].to_pydict() == {"größe [1]": ["c", "d"]}
    for options, message in (
        (
            {"text": ["@4"]},
            r"task\.text=@4 must be the place of one of the 3 columns, which are @1 is it; spam=\?, @2 ",
        ),
        ({"text": ["@1"], "label": "@0"}, r"task\.label=@0 must be the place"),
        ({"text": ["@3"], "label": "@3"}, r"task\.text must name different columns, none of them task\.label"),
    ):
        with pytest.raises(ValueError, match=message):
            load_task(task_of({"train": raw}, **options))


def test_the_options_of_a_question_are_given_by_their_place() -> None:
    raw = pa.table({"a": ["x", "z"], "q": ["y", "w"], "which one?": [["1", "2"], ["3", "4"]], "label": ["A", "B"]})
    spec = task_of({"train": raw, "validation": raw}, text=["@1", "@2"], label="@4")
    data = load_task(replace(spec, kind=MultipleChoice(options="@3", num_options=2)))
    assert data.train["options"].to_pylist() == [["1", "2"], ["3", "4"]]


def test_places_are_those_of_the_train_split_in_files_of_any_order(tmp_path: Path) -> None:
    """Class names, and numbers as they are written, belong to the column of that name."""
    features = {"a": {"_type": "ClassLabel", "names": ["x", "y"]}, "b": {"_type": "ClassLabel", "names": ["p", "q"]}}
    columns = {"a": [0, 1], "text": ["t", "u"], "b": [1, 0]}
    for name, order, names in (("train", ["a", "text", "b"], ["x", "y"]), ("other", ["b", "text", "a"], ["y", "x"])):
        features["a"]["names"] = names
        kept = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
        table = pa.table(columns).select(order).replace_schema_metadata(kept)
        pq.write_table(table, tmp_path / f"{name}.parquet")
    files = {"train_file": str(tmp_path / "train.parquet"), "validation_file": str(tmp_path / "other.parquet")}
    data = load_task(TaskSpec("own", Classification(), text=["@2"], label="@1", **files))
    assert data.label_names == ("x", "y")
    assert data.train["label"].to_pylist() == [0, 1]
    assert data.evaluation["validation"]["label"].to_pylist() == [1, 0]


def test_a_column_that_is_called_like_a_place_is_itself() -> None:
    raw = pa.table({"x": ["a", "b"], "@1": ["c", "d"], "label": ["x", "y"]})
    assert load_task(task_of({"train": raw, "validation": raw}, text=["@1"])).train["@1"].to_pylist() == ["c", "d"]


def test_a_corrected_label_is_found_by_the_place_of_its_column() -> None:
    raw = pa.table({"text": ["a", "b"], "what is it?": ["x", "y"]})
    made = with_labels(TaskSpec("own", Classification(), label="@2"), raw, {0: 1}, ("x", "y"))
    assert made["what is it?"].to_pylist() == ["y", "y"]


@pytest.mark.parametrize("names", [("2", "1", "0"), ("a", "b"), ("a", "b", "c", "d")])
def test_names_that_do_not_fit_a_classlabel_are_refused(names: tuple[str, ...]) -> None:
    """Numbers as names of numbers could be values; names in another number belong to other classes."""
    field = pa.field("label", pa.int64(), metadata={"names": json.dumps(["neg", "neu", "pos"])})
    raw = pa.table([pa.array([0, 1, 2])], schema=pa.schema([field]))
    spec = TaskSpec("own", Classification(), label_names=names)
    with pytest.raises(ValueError, match=r"task\.label_names=.*set task\.label_names=null"):
        class_labels(spec, {"train": raw})
    assert class_labels(replace(spec, label_names=("a", "b", "c")), {"train": raw})[1] == ("a", "b", "c")


@pytest.mark.parametrize("values", [["-1", "1"], ["-1", "0", "1"], ["-2", "-1", "0", "1"]])
@pytest.mark.parametrize("typed", [True, False])
def test_minus_one_that_may_be_a_class_is_refused_in_texts_too(values: list[str], typed: bool) -> None:
    raw = pa.table({"label": pa.array(values, pa.large_string())}) if typed else untyped(values)
    with pytest.raises(ValueError, match="-1 may be a class or mean no label"):
        class_labels(TaskSpec("own", Classification()), {"train": raw})
