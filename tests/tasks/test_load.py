"""The normalised tables: ids are rows of the source, labels lie in 0..K-1, the hash is of the rows and nothing else."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hprune.tasks.classification import Classification
from hprune.tasks.load import content_hash, load_task
from hprune.tasks.spec import TaskData, TaskSpec

SST2 = Path(__file__).parents[3] / "shared" / "data" / "sst2"


def spec_of(*, name: str = "own", **options: Any) -> TaskSpec:
    return TaskSpec(name, Classification(), **options)


def loaded(train: Any, validation: Any = None, test: Any = None, **options: Any) -> TaskData:
    """Load tables that are given as columns."""
    given = {"train": train, "validation": validation, "test": test}
    tables = {
        name: columns if isinstance(columns, pa.Table) else pa.table(columns)
        for name, columns in given.items()
        if columns is not None
    }
    return load_task(spec_of(generate=tables.__getitem__, splits={name: name for name in tables}, **options))


def columns(labels: Any, texts: Any = None) -> dict[str, Any]:
    return {"text": texts or [f"t{i}" for i in range(len(labels))], "label": labels}


OTHER = columns([0, 1])
OTHER_BIG = columns([0, 10**9])


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([0, 2, 1, 0], pa.int8()),
        pa.array([0, 2, 1, 0], pa.uint64()),
        pa.array([0.0, 2.0, 1.0, 0.0]),
        pa.array([0, 2, 1, 0], pa.float32()),
        pa.array([0, 2, 1, 0]).dictionary_encode(),
    ],
    ids=lambda array: str(array.type)[:12],
)
def test_whole_numbers_are_classes_in_any_type(labels: pa.Array) -> None:
    data = loaded(columns(labels), OTHER)
    assert data.train["label"].to_pylist() == [0, 2, 1, 0]
    assert data.train["label"].type == pa.int64()
    assert data.label_names == ("0", "1", "2")


def test_booleans_are_classes() -> None:
    data = loaded(columns([True, False, True]), columns([False]))
    assert data.train["label"].to_pylist() == [1, 0, 1]
    assert data.evaluation["validation"]["label"].to_pylist() == [0]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_names_are_classes_in_sorted_order(kind: pa.DataType) -> None:
    names = ["pos", "neg", "NA", "neg"]
    data = loaded(columns(pa.array(names).cast(kind)), columns(["NA", "pos"]))
    assert data.label_names == ("NA", "neg", "pos")
    assert [data.label_names[i] for i in data.train["label"].to_pylist()] == names
    assert data.evaluation["validation"]["label"].to_pylist() == [0, 2]


def test_given_names_set_the_order_and_name_the_numbers() -> None:
    assert loaded(columns(["b", "a"]), columns(["a"]), label_names=["b", "a"]).train["label"].to_pylist() == [0, 1]
    data = loaded(columns([0, 2]), OTHER, label_names=["x", "y", "z"])
    assert (data.label_names, data.train["label"].to_pylist()) == (("x", "y", "z"), [0, 2])


def test_classes_called_by_numbers_keep_their_names_in_other_files(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\na,1\nb,2\nc,other\nd,1\n")
    (tmp_path / "validation.csv").write_text("text,label\na,2\nb,1\n")
    (tmp_path / "test.csv").write_text("text,label\na,-1\nb,-1\n")
    data = load_task(spec_of(data_dir=str(tmp_path)))
    assert data.label_names == ("1", "2", "other")
    assert data.evaluation["validation"]["label"].to_pylist() == [1, 0]
    assert "test" not in data.evaluation


@pytest.mark.parametrize("numbers", [True, False])
def test_rows_without_label_or_text_leave_gaps_in_the_ids(numbers: bool, caplog: pytest.LogCaptureFixture) -> None:
    missing = [-1, None] if numbers else ["", " "]
    no, yes = (0, 1) if numbers else ("no", "yes")
    raw = columns([no, missing[0], yes, missing[1], no, yes, yes, no], ["a", "b", "c", "d", None, "", "  \n", "h"])
    data = loaded(raw, columns([no, yes]), label_names=[str(no), str(yes)])
    assert data.train["sample_id"].to_pylist() == [0, 2, 7]
    assert data.train["text"].to_pylist() == ["a", "c", "h"]
    assert data.train["label"].to_pylist() == [0, 1, 0]
    assert "own: dropped 5 of 8 rows of the train split (2 without a label, 3 without text)" in caplog.text


def test_a_float_that_is_no_number_is_no_label() -> None:
    data = loaded(columns([0.0, float("nan"), 1.0]), OTHER)
    assert data.train["sample_id"].to_pylist() == [0, 2]


def test_pairs_need_both_texts() -> None:
    raw = {"a": ["x", "y", None], "b": ["1", None, "3"], "label": [0, 1, 0]}
    data = loaded({**raw, "b": ["1", "2", None]}, raw, text=["a", "b"])
    assert data.train.column_names == ["sample_id", "a", "b", "label"]
    assert data.train["sample_id"].to_pylist() == [0, 1]
    assert data.evaluation["validation"]["sample_id"].to_pylist() == [0]


def test_csv_cells_that_are_empty_are_missing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"a, b",0\n"c\nd",1\ne,\n,1\nNA,0\n"null",1\n')
    data = load_task(spec_of(train_file=str(tmp_path / "a.csv"), validation_file=str(tmp_path / "a.csv")))
    assert data.train["text"].to_pylist() == ["a, b", "c\nd", "NA", "null"]
    assert data.train["sample_id"].to_pylist() == [0, 1, 4, 5]
    (tmp_path / "b.csv").write_text("text,label\n" + "".join(f"t{i},{['no', 'yes', ''][i % 3]}\n" for i in range(9)))
    named = load_task(spec_of(train_file=str(tmp_path / "b.csv"), validation_file=str(tmp_path / "b.csv")))
    assert named.label_names == ("no", "yes")
    assert named.train["sample_id"].to_pylist() == [0, 1, 3, 4, 6, 7]


def test_an_evaluation_split_without_labels_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        data = loaded(columns([0, 1] * 4), columns([0, 1]), columns([-1, -1]))
    assert set(data.evaluation) == set(data.evaluation_hashes) == {"validation"}
    assert "own: the test split has no labels and is not used" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        data = loaded(columns([0, 1] * 10), columns([None, None]), columns([0, -1]))
    assert data.evaluation["validation"].num_rows == 2, "held out instead"
    assert data.evaluation["test"].num_rows == 1
    assert "no validation split, held out 2 of 20" in caplog.text


# --- the content hash


def hash_of(labels: Any = (0, 1, 0), a: Any = ("x", "y", "z"), b: Any = ("1", "2", "3"), ids: Any = (0, 1, 2)) -> str:
    return content_hash(pa.table({"sample_id": list(ids), "a": list(a), "b": list(b), "label": list(labels)}))


def hash_of_rows(labels: list[int]) -> str:
    ids = list(range(len(labels)))
    return content_hash(pa.table({"sample_id": ids, "text": [f"t{i}" for i in ids], "label": labels}))


def test_the_hash_does_not_depend_on_format_and_chunks(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": [f"é, {i}\n" for i in range(40)], "label": [i % 2 for i in range(40)], "extra": "x"})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_json(tmp_path / "a.json", orient="records")
    frame.to_parquet(tmp_path / "a.parquet", row_group_size=7)
    (tmp_path / "shards").mkdir()
    for shard in range(4):
        pq.write_table(
            pa.Table.from_pandas(frame[shard * 10 : shard * 10 + 10], preserve_index=False),
            tmp_path / "shards" / f"train-{shard:05d}-of-00004.parquet",
        )
    specs = [spec_of(train_file=str(tmp_path / f"a.{end}")) for end in ("csv", "tsv", "jsonl", "json", "parquet")]
    found = [load_task(one) for one in [*specs, spec_of(data_dir=str(tmp_path / "shards"), name="other")]]
    assert len({data.data_hash for data in found}) == 1
    assert len({data.evaluation_hashes["validation"] for data in found}) == 1


def test_the_hash_does_not_depend_on_types_and_slices() -> None:
    whole = pa.table({"id": np.arange(6), "text": list("abcdef")})
    parts = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 3), whole.slice(4)])
    large = whole.cast(pa.schema([("id", pa.int64()), ("text", pa.large_string())]))
    assert content_hash(whole) == content_hash(parts) == content_hash(large) == content_hash(whole.take(np.arange(6)))


def test_the_hash_sees_every_change() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"labels": (0, 1, 1)},
        {"labels": (1, 0, 0)},
        {"a": ("x", "y", "Z")},
        {"a": ("x", "y", "z ")},
        {"a": ("y", "x", "z")},
        {"a": ("xy", "", "z")},  # moved to the row above
        {"a": ("", "xy", "z")},
        {"a": ("x", "y", "z1"), "b": ("", "2", "3")},  # moved to the column before
        {"a": ("1", "2", "3"), "b": ("x", "y", "z")},
        {"ids": (0, 1, 3)},
        {"ids": (1, 2, 3)},
        {"ids": (0, 1), "labels": (0, 1), "a": ("x", "y"), "b": ("1", "2")},
    ]
    assert len({hash_of(**change) for change in changes}) == len(changes)
    renamed = pa.table({"sample_id": [0], "premise": ["x"], "label": [0]})
    assert content_hash(renamed) != content_hash(renamed.rename_columns(["sample_id", "text", "label"]))


def chunked(values: list[Any], kind: pa.DataType, cuts: list[int]) -> pa.ChunkedArray:
    """The values as an array in pieces, cut where told; pieces are slices of longer arrays."""
    padded = pa.array([values[0], *values, values[-1]], kind)
    bounds = [0, *sorted(cuts), len(values)]
    pieces = [padded.slice(1 + a, b - a) for a, b in itertools.pairwise(bounds)]
    return pa.chunked_array(pieces, kind)


@pytest.mark.parametrize("inner", ["texts", "numbers"])
@pytest.mark.parametrize("seed", range(10))
def test_the_hash_of_lists_does_not_depend_on_chunks_and_types(seed: int, inner: str) -> None:
    rng = np.random.default_rng(seed)
    values = [
        [f"é{i}" if inner == "texts" else int(i) for i in rng.integers(0, 99, size)] for size in rng.integers(0, 4, 9)
    ]
    small, large = (pa.string(), pa.large_string()) if inner == "texts" else (pa.int16(), pa.int64())
    kinds = [pa.list_(small), pa.large_list(large), pa.list_(large)]
    cuts = [sorted(rng.integers(0, 10, size).tolist()) for size in (0, 1, 3, 5)]  # empty pieces, too
    columns = [chunked(values, kind, cut) for kind in kinds for cut in cuts]
    assert all(column.to_pylist() == values for column in columns)
    assert len({content_hash(pa.table({"options": column})) for column in columns}) == 1


def test_the_hash_of_lists_sees_lengths_and_order() -> None:
    changes: list[list[list[str]]] = [
        [["a", "b"], ["c"]],
        [["a"], ["b", "c"]],  # an option moved to the next row
        [["a", "b", "c"], []],
        [[], ["a", "b", "c"]],
        [["ab"], ["c"]],  # two options joined
        [["a", "b"], ["", "c"]],
        [["b", "a"], ["c"]],
        [["a", "b"], ["c"], []],
    ]
    for kind in (pa.list_(pa.string()), pa.large_list(pa.large_string())):
        assert len({content_hash(pa.table({"options": pa.array(rows, kind)})) for rows in changes}) == len(changes)
    numbers = [[[1, 2], [3]], [[1], [2, 3]], [[2, 1], [3]]]
    assert len({content_hash(pa.table({"starts": rows})) for rows in numbers}) == 3
    nested = [[[["a"], ["b"]]], [[["a", "b"], []]], [[["a", "b"]]]]
    assert len({content_hash(pa.table({"lists": rows})) for rows in nested}) == 3


# --- rows that are asked for

GENRES = {
    "text": [f"t{i}" for i in range(12)],
    "label": [0] * 6 + [1] * 6,
    "genre": ["fiction", "travel", "Fiction", None, "slate", "fiction/x"] * 2,
    "year": [1999, 2000, 2001, None, 2003, 2014] * 2,
}


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        (None, range(6)),
        ({}, range(6)),
        ({"genre": "fiction"}, [0, 5]),  # anywhere in the text
        ({"genre": "^fiction$"}, [0]),
        ({"genre": "(?i)^fiction"}, [0, 2, 5]),
        ({"genre": "travel|slate"}, [1, 4]),
        ({"genre": ""}, [0, 1, 2, 4, 5]),  # what is missing matches nothing
        ({"year": "^200"}, [1, 2, 4]),  # numbers as they are written
        ({"year": "^200", "genre": "^[a-z]+$"}, [1, 4]),  # all of them
    ],
)
def test_where_keeps_the_rows_that_match_with_their_ids(where: Any, wanted: Any) -> None:
    expected = [6 * half + row for half in (0, 1) for row in wanted]
    data = loaded(GENRES, {**GENRES, "label": [1] * 6 + [0] * 6}, where=where)
    for table in (data.train, data.evaluation["validation"]):
        assert table["sample_id"].to_pylist() == expected
        assert table["text"].to_pylist() == [f"t{row}" for row in expected]
    assert data.train["label"].to_pylist() == [row // 6 for row in expected]
    assert data.train.column_names == ["sample_id", "text", "label"]


def test_classes_are_those_of_the_rows_that_match() -> None:
    table = {"text": list("abcd"), "label": ["x", "y", "z", "x"], "part": ["1", "1", "2", "1"]}
    assert loaded(table, table, where={"part": "1"}).label_names == ("x", "y")


def test_where_comes_before_a_set_is_held_out_and_sampled() -> None:
    table = {**many(), "genre": ["a", "b"] * 150}
    data = loaded(table, where={"genre": "a"}, max_train_samples=50)
    held = data.evaluation["validation"]["sample_id"].to_pylist()
    assert (data.train.num_rows, len(held)) == (50, 15)
    assert all(row % 2 == 0 for row in data.train["sample_id"].to_pylist() + held)


def test_where_that_finds_nothing_is_refused() -> None:
    no_genre = columns([0, 1])
    fails("'own': the train split has no column genre, which task.where asks for; it has text, label", no_genre,
          where={"genre": "x"})  # fmt: skip
    fails("the validation split has no column genre, which", GENRES, no_genre, where={"genre": "travel|slate"})
    fails(r"no row of the train split matches task\.where\.genre='poem'; its first value is 'fiction'", GENRES,
          where={"genre": "poem"})  # fmt: skip
    fails(r"no row of the validation split matches task\.where\.year='9'; its first value is 7", GENRES,
          {**OTHER, "year": [7, 8]}, where={"year": "9"})  # fmt: skip
    fails(r"no row of the train split matches task\.where\.year='2014'", GENRES, where={"genre": "^t", "year": "2014"})
    fails(r"task\.where\.genre must be a regular expression, got '\['", GENRES, where={"genre": "["})


# --- samples and held-out sets


def many(rows: int = 300) -> dict[str, Any]:
    return columns([int(i % 10 < 3) for i in range(rows)])


def test_a_sample_of_the_train_split_is_fixed_by_its_seed() -> None:
    def ids(size: int | None, seed: int = 0) -> list[int]:
        data = loaded(many(), OTHER, max_train_samples=size, sample_seed=seed)
        assert data.train.num_rows == min(size or 300, 300)
        found: list[int] = data.train["sample_id"].to_pylist()
        assert data.train["text"].to_pylist() == [f"t{i}" for i in found]
        return found

    assert ids(50) == ids(50) == sorted(set(ids(50)))
    assert ids(50) != ids(50, seed=1)
    assert ids(300) == ids(1000) == ids(None) == list(range(300))
    hashes = {loaded(many(), OTHER, max_train_samples=size).data_hash for size in (None, 50, 51)}
    assert len(hashes) == 3


def test_a_sample_of_each_set_to_evaluate_on_is_fixed_by_its_seed() -> None:
    def ids(size: int | None, seed: int = 0) -> dict[str, list[int]]:
        data = loaded(many(), many(200), many(100), max_eval_samples=size, sample_seed=seed)
        assert data.train.num_rows == 300, "the train split stays whole"
        for name, table in data.evaluation.items():
            assert data.evaluation_hashes[name] == content_hash(table)
            assert table["text"].to_pylist() == [f"t{i}" for i in table["sample_id"].to_pylist()]
        return {name: table["sample_id"].to_pylist() for name, table in data.evaluation.items()}

    some = ids(50)
    assert some == ids(50) == {name: sorted(set(found)) for name, found in some.items()}
    assert {name: len(found) for name, found in some.items()} == {"validation": 50, "test": 50}
    assert ids(50, seed=1) != some
    assert {name: len(found) for name, found in ids(150).items()} == {"validation": 150, "test": 100}
    assert ids(200) == ids(None) == {"validation": list(range(200)), "test": list(range(100))}


def test_a_held_out_set_may_be_sampled_too() -> None:
    whole, some = loaded(many()), loaded(many(), max_eval_samples=10)
    assert some.data_hash == whole.data_hash, "what is trained on does not change"
    held = some.evaluation["validation"]["sample_id"].to_pylist()
    assert len(held) == 10
    assert set(held) <= set(whole.evaluation["validation"]["sample_id"].to_pylist())


def test_more_sets_are_evaluated_on_under_their_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sets = {"train": many(20), "matched": columns([0, 1, 1]), "mismatched": columns([1, -1, 0]),
            "hidden": columns([-1, -1]), "bare": {"text": ["x"]}}  # fmt: skip
    for name, table in sets.items():
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    splits = {"train": "train", "validation_mismatched": "mismatched", "validation": "matched", "test": None,
              "hidden": "hidden", "bare": "bare"}  # fmt: skip
    with caplog.at_level(logging.INFO):
        data = load_task(spec_of(data_dir=str(tmp_path), splits=splits))
    assert list(data.evaluation) == ["validation", "validation_mismatched"]
    assert data.evaluation["validation"]["label"].to_pylist() == [0, 1, 1]
    assert data.evaluation["validation_mismatched"]["sample_id"].to_pylist() == [0, 2]
    assert data.evaluation["validation_mismatched"]["label"].to_pylist() == [1, 0]
    assert set(data.evaluation_hashes) == set(data.evaluation)
    assert "the hidden split has no labels and is not used" in caplog.text
    assert "the bare split has no column label and is not used" in caplog.text
    pq.write_table(pa.table(columns([0, 7])), tmp_path / "mismatched.parquet")
    with pytest.raises(ValueError, match=r"the validation_mismatched split has labels \['7'\], known are"):
        load_task(spec_of(data_dir=str(tmp_path), splits=splits))


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_a_held_out_set_is_stratified_seeded_disjoint_and_complete(fraction: float) -> None:
    def split(seed: int = 0) -> tuple[list[int], list[int]]:
        data = loaded(many(), validation_fraction=fraction, split_seed=seed)
        tables = (data.train, data.evaluation["validation"])
        for table in tables:
            assert table["text"].to_pylist() == [f"t{i}" for i in table["sample_id"].to_pylist()]
            share = Counter(table["label"].to_pylist())
            assert share[1] == pytest.approx(0.3 * table.num_rows, abs=1)
        return tables[0]["sample_id"].to_pylist(), tables[1]["sample_id"].to_pylist()

    train, held = split()
    assert len(held) == 300 * fraction
    assert sorted(train + held) == list(range(300))
    assert (train, held) == (sorted(train), sorted(held))
    assert split() == (train, held)
    assert split(seed=1) != (train, held)


# --- what cannot be loaded


def fails(message: str, *tables: Any, **options: Any) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        loaded(*tables, **options)
    assert "\n" not in str(caught.value)


def test_missing_columns_list_those_present() -> None:
    raw = {"sentence": ["a"], "gold": [1]}
    fails(r"the train split has no column text, label; it has sentence, gold\. Set task\.text=\[COLUMN\]", raw)
    fails("the train split has no column label; it has sentence, gold", raw, text=["sentence"])
    fails("the validation split has no column text", columns([0, 1]), {"sentence": ["a"], "label": [0]})


def test_a_column_of_our_own_name_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "label": [0, 1], "hprune:row": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="the data has a column hprune:row, a name that hprune needs"):
        load_task(TaskSpec("own", Classification(), train_file=str(tmp_path / "a.parquet")))


def test_one_class_is_not_enough() -> None:
    fails(r"'own': the train split holds one class only \(0\); a classifier needs two", columns([0] * 20))
    fails(r"one class only \(yes\)", columns(["yes"] * 20), columns(["yes"]))
    fails(r"one class only \(a\)", columns([0] * 20), OTHER, label_names=["a", "b"])


def test_numbers_without_names_are_the_names_of_their_classes() -> None:
    stars = loaded(columns([5, 1, 3, 5, 1]), columns([3, 5, -1]))
    assert stars.label_names == ("1", "3", "5")
    assert stars.train["label"].to_pylist() == [2, 0, 1, 2, 0]
    assert stars.evaluation["validation"]["label"].to_pylist() == [1, 2]
    fails(r"validation split has labels \['4'\], known are \['1', '3', '5'\]", columns([5, 1, 3]), columns([4]))
    assert loaded(columns([0, 10**9]), OTHER_BIG).label_names == ("0", "1000000000")
    fails(r"train split has labels \['-2'\]", columns([1, 2, -2]), OTHER)


def test_numbers_sort_as_numbers() -> None:
    data = loaded(columns([10, 9, 2]), columns([10]))
    assert data.label_names == ("2", "9", "10")
    assert data.train["label"].to_pylist() == [2, 1, 0]


@pytest.mark.parametrize("names", [["1", "2"], ["2", "1"], ["1", "2", "3"], [" 1", "2 "], ["-1", "1", "2"]])
def test_numbers_that_are_the_given_names_are_matched_by_name(names: list[str]) -> None:
    order = [name.strip() for name in names]
    data = loaded(columns([1, 2, None, 2]), columns(["2", "1"]), columns([2.0, 1.0]), label_names=names)
    assert [data.label_names[k] for k in data.train["label"].to_pylist()] == ["1", "2", "2"]
    assert data.label_names == tuple(order)
    for table in data.evaluation.values():
        assert [data.label_names[k] for k in table["label"].to_pylist()] == ["2", "1"]


def test_minus_one_is_a_class_if_it_is_named() -> None:
    data = loaded(columns([-1, 1, None]), columns([1, -1]), label_names=["-1", "1"])
    assert data.train["label"].to_pylist() == [0, 1]
    assert data.evaluation["validation"]["label"].to_pylist() == [1, 0]


@pytest.mark.parametrize("labels", [[0, 2, 1, 0], ["0", "2", "1", "0"], [" 0", "2 ", "1", "0"]])
@pytest.mark.parametrize("names", [None, ["0", "1", "2"]])
def test_classes_from_0_without_a_gap_are_their_numbers(labels: Any, names: Any) -> None:
    data = loaded(columns(labels), OTHER, label_names=names)
    assert data.label_names == ("0", "1", "2")
    assert data.data_hash == hash_of_rows([0, 2, 1, 0])
    assert loaded(columns([0, 2, 1, 0]), OTHER, label_names=["a", "b", "c"]).data_hash == hash_of_rows([0, 2, 1, 0])


def test_text_labels_are_stripped_and_minus_one_is_none() -> None:
    data = loaded(columns([" pos", "neg", "-1", "pos ", " "]), columns(["neg", "pos"]))
    assert data.label_names == ("neg", "pos")
    assert data.train["sample_id"].to_pylist() == [0, 1, 3]
    assert data.train["label"].to_pylist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "a"], r"got \['a', 'a'\], with \['a'\] more than once"),
        (["b", "a", " b"], r".*with \['b'\] more than once"),
        (["a"], r"got \['a'\]$"),
        ("ab", r"got \['ab'\]$"),
        ([], r"got \[\]$"),
    ],
)
def test_class_names_must_differ(names: Any, message: str) -> None:
    fails(rf"task\.label_names must be at least two different names, {message}", OTHER, label_names=names)


def test_a_validation_split_without_a_label_column_says_how_to_go_on() -> None:
    fails(r"validation split has no column label; .*task\.splits\.validation=null \(leave out task\.validation_file\), "
          "and a part of train is held out", columns([0, 1] * 9), {"text": ["x"]})  # fmt: skip


def test_a_test_split_without_a_label_column_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        data = loaded(OTHER, OTHER, {"text": ["x", "y"]})
    assert set(data.evaluation) == {"validation"}
    assert "the test split has no column label and is not used" in caplog.text


def test_samples_of_any_size_share_their_validation_set() -> None:
    table = columns([0, 1] * 50)
    hashes = {size: loaded(table, max_train_samples=size).evaluation_hashes["validation"] for size in (20, 40, None)}
    assert len(set(hashes.values())) == 1
    data = loaded(table, max_train_samples=20)
    assert data.train.num_rows == 20
    assert not set(data.train["sample_id"].to_pylist()) & set(data.evaluation["validation"]["sample_id"].to_pylist())


def test_labels_out_of_range_are_named() -> None:
    fails(r"train split has labels \[2, 7\], but with 2 classes \(a, b\) they lie in 0\.\.1", columns([0, 7, 2]),
          OTHER, label_names=["a", "b"])  # fmt: skip
    fails(r"validation split has labels \['2'\], known are \['0', '1'\]", columns([0, 1]), columns([0, 2]))
    fails(r"train split has labels \['-2'\]", columns([0, 1, -2]), OTHER)


def test_unknown_class_names_are_named() -> None:
    fails(r"validation split has labels \['maybe'\], known are \['no', 'yes'\]; .*set task\.label_names",
          columns(["no", "yes"]), columns(["no", "maybe"]))  # fmt: skip
    fails(
        r"train split has labels \['no'\], known are \['a', 'b'\]", columns(["no", "a"]), OTHER, label_names=["a", "b"]
    )
    fails(r"validation split has labels \['0', '1'\], known are", columns(["no", "yes"]), columns([0, 1]))


@pytest.mark.parametrize(
    ("labels", "example"), [([0.0, 1.0, 0.5], "double, for example 0.5"), ([[0], [1]], r"list<.*for example \[0\]")]
)
def test_labels_that_are_no_classes_are_named_with_an_example(labels: Any, example: str) -> None:
    fails(
        rf"labels of the train split must be class names or whole numbers, column 'label' is {example}", columns(labels)
    )
    fails("labels of the validation split must be class names or whole", columns([0, 1] * 9), columns(labels))


def test_text_that_is_no_text_is_named() -> None:
    fails(r"column 'text' of the train split must hold text, it is list<", columns([0, 1], [["a"], ["b"]]), OTHER)


@pytest.mark.parametrize("labels", [[-1, -1], [None, None], ["", ""]])
def test_a_train_split_without_labels_is_refused(labels: Any) -> None:
    fails("'own': no row of the train split can be used", columns(labels), OTHER)
    fails("'own': no row of the train split can be used", columns(labels), OTHER, label_names=["0", "1"])


@pytest.mark.parametrize(
    ("labels", "message"), [([0], "of 1 rows"), ([0, 1], "of 2 rows"), (list(range(9)), "of 9 rows")]
)
def test_too_few_rows_to_hold_out(labels: Any, message: str) -> None:
    fails(rf"cannot hold out 10% {message} for validation, .*give task\.validation_file=FILE", columns(labels))


@pytest.mark.skipif(not SST2.is_dir(), reason="needs the shared copy of SST-2")
def test_sst2_is_the_official_one() -> None:
    data = load_task(spec_of(name="sst2", data_dir=str(SST2), text=["sentence"], label_names=["negative", "positive"]))
    assert data.train.num_rows == 67_349
    assert {name: table.num_rows for name, table in data.evaluation.items()} == {"validation": 872}
    assert Counter(data.train["label"].to_pylist()) == {0: 29_780, 1: 37_569}
    assert data.train["sentence"][0].as_py().strip() == "hide new secretions from the parental units"
    assert data.train["sample_id"].to_pylist() == list(range(67_349))


def test_a_validation_split_that_cannot_be_used_is_refused_with_its_counts() -> None:
    faulty = columns([0, -1], ["", "x"])
    with pytest.raises(
        ValueError, match=r"no row of the validation split can be used \(1 without a label, 1 without text, of 2\)"
    ) as found:
        loaded(columns([0, 1] * 4), faulty)
    assert "set task.splits.validation=null to hold out a part of train" in str(found.value)
