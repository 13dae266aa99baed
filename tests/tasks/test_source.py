"""Every format gives the same rows, text is taken letter by letter, and each thing that is wrong is named."""

from __future__ import annotations

import functools
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hprune.tasks import demo_corpus
from hprune.tasks.classification import Classification
from hprune.tasks.load import load_task
from hprune.tasks.source import read_file, read_splits
from hprune.tasks.spec import TaskSpec, settings_of_source

Rows = list[dict[str, Any]]
TEXTS = [
    "plain",
    "comma, tab\t",
    "two\nlines",
    'a "quote"',
    "é 漢 🙂",
    "null",
    "NA",
    "nan",
    "007",
    "1.50",
    "2020-01-02",
]
ROWS: Rows = [{"text": text, "label": i % 2} for i, text in enumerate(TEXTS)]


def spec(**options: Any) -> TaskSpec:
    return TaskSpec(
        "own", Classification(), **{name: str(v) if isinstance(v, Path) else v for name, v in options.items()}
    )


def as_read(name: str, rows: Rows) -> Rows:
    """Rows as they are read from a file of this name: without types, numbers are texts."""
    if not name.endswith((".csv", ".tsv")):
        return rows
    return [{column: "" if value is None else str(value) for column, value in row.items()} for row in rows]


def write_csv(path: Path, rows: Rows) -> None:
    pd.DataFrame(rows).to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")


def write_parquet(path: Path, rows: Rows) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)


def write_lines(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_array(path: Path, rows: Rows) -> None:
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")


WRITERS: list[tuple[str, Callable[[Path, Rows], None]]] = [
    ("a.csv", write_csv),
    ("a.tsv", write_csv),
    ("a.parquet", write_parquet),
    ("a.jsonl", write_lines),
    ("a.json", write_lines),
    ("b.json", write_array),
]


@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, write: Callable[[Path, Rows], None]) -> None:
    write(tmp_path / name, ROWS)
    assert read_splits(spec(train_file=tmp_path / name))["train"].to_pylist() == as_read(name, ROWS)


@pytest.mark.parametrize(
    "texts", [["007", "1.0", "+5"], ["NA", "null", ""], ["2020-01-02", "2020-01-03 10:00"], ["True"]]
)
@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_text_that_looks_like_something_else_is_text(
    tmp_path: Path, name: str, write: Callable[[Path, Rows], None], texts: list[str]
) -> None:
    write(tmp_path / name, [{"text": text, "label": 0} for text in texts])
    assert read_splits(spec(train_file=tmp_path / name))["train"]["text"].to_pylist() == texts


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    for name, write in WRITERS:
        if name != "a.parquet":
            write(tmp_path / name, ROWS)
            (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + (tmp_path / name).read_bytes())
            assert read_splits(spec(train_file=tmp_path / name))["train"].to_pylist() == as_read(name, ROWS)


def test_a_sample_may_be_long(tmp_path: Path) -> None:
    rows = [{"text": "short", "label": 0}, {"text": "x" * 3_000_000, "label": 1}, {"text": "short", "label": 0}]
    for name in ("a.jsonl", "a.csv"):
        (write_lines if name == "a.jsonl" else write_csv)(tmp_path / name, rows)
        assert read_splits(spec(train_file=tmp_path / name))["train"].to_pylist() == as_read(name, rows)


def test_a_missing_key_is_a_missing_value(tmp_path: Path) -> None:
    rows: Rows = [{"text": "a"}, {"label": 1, "text": "b"}, {"label": 0}]
    expected = [{"text": row.get("text"), "label": row.get("label")} for row in rows]
    for write in (write_lines, write_array):
        write(tmp_path / "a.json", rows)
        assert read_splits(spec(train_file=tmp_path / "a.json"))["train"].to_pylist() == expected


def test_categories_and_views_are_what_they_stand_for(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": pd.Categorical(["a", "b", "a"]), "label": pd.Categorical(["pos", "neg", "pos"])})
    frame.to_parquet(tmp_path / "a.parquet")
    assert read_splits(spec(train_file=tmp_path / "a.parquet"))["train"].to_pydict() == frame.to_dict("list")
    view = pa.table({"text": pa.array(["a"], pa.string_view()), "label": pa.array(["p"], pa.string_view())})
    found = read_splits(spec(generate=lambda split: view, splits={"train": "train"}))["train"]
    assert [str(kind) for kind in found.schema.types] == ["large_string", "large_string"]


@pytest.mark.parametrize("place", [".", "data", "sst2"])
@pytest.mark.parametrize("shards", [0, 1, 2, 12])
def test_a_folder_holds_splits_whole_or_in_shards(tmp_path: Path, place: str, shards: int) -> None:
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    rows: Rows = [{"text": f"t{i}", "label": i % 2} for i in range(24)]
    if not shards:
        write_parquet(folder / "train.parquet", rows)
    for shard in range(shards):
        size = 24 // shards
        write_parquet(folder / f"train-{shard:05d}-of-{shards:05d}.parquet", rows[shard * size : (shard + 1) * size])
    write_csv(folder / "validation.csv", rows[:4])
    splits = read_splits(spec(data_dir=tmp_path, hub_config="sst2", hub_id="nyu-mll/glue"))
    assert {name: table.to_pylist() for name, table in splits.items()} == {
        "train": rows,
        "validation": as_read("validation.csv", rows[:4]),
    }


def test_splits_are_found_by_the_sources_names(tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        write_csv(tmp_path / f"{name}.csv", [{"text": name, "label": 0}])
    found = read_splits(spec(data_dir=tmp_path, splits={"train": "train", "validation": "dev", "test": None}))
    assert {name: table["text"].to_pylist() for name, table in found.items()} == {
        "train": ["train"],
        "validation": ["dev"],
    }
    more = {"hard": "test", "validation": "dev", "train": "train", "absent": "nowhere"}  # ours come first
    found = read_splits(spec(data_dir=tmp_path, splits=more))
    assert [(name, *table["text"].to_pylist()) for name, table in found.items()] == [
        ("train", "train"), ("validation", "dev"), ("hard", "test"),
    ]  # fmt: skip
    asked = []

    def generate(split: str) -> pa.Table:
        asked.append(split)
        return pa.Table.from_pylist(ROWS)

    assert set(read_splits(spec(generate=generate, splits={"train": "a", "test": "b"}))) == {"train", "test"}
    assert asked == ["a", "b"]


def test_files_win_over_the_folder_and_the_folder_over_the_hub(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", [{"text": "folder", "label": 0}])
    write_csv(tmp_path / "mine.csv", [{"text": "file", "label": 0}])
    assert read_splits(spec(data_dir=tmp_path, hub_id="x/y"))["train"]["text"].to_pylist() == ["folder"]
    both = spec(train_file=tmp_path / "mine.csv", data_dir=tmp_path, hub_id="x/y")
    assert read_splits(both)["train"]["text"].to_pylist() == ["file"]


LATIN = "text,label\ncafé,0\nthé,1\n".encode("latin-1")


def test_files_take_the_place_of_a_split_and_follow_each_other(tmp_path: Path) -> None:
    """Of a folder or a generator; what comes from a file is not looked for in the source."""
    folder, other = tmp_path / "phrases", tmp_path / "sentences"
    for place, names in ((folder, ("train", "validation", "test")), (other, ("validation", "test"))):
        place.mkdir()
        for name in names:
            rows = [{"text": f"{place.name} {name} {i}", "label": i % 2} for i in range(4 if name == "train" else 3)]
            write_parquet(place / f"{name}.parquet", rows)
    write_csv(other / "more.csv", [{"label": 1, "text": "one more", "idx": 7}])
    files = [str(other / name) for name in ("validation.parquet", "test.parquet", "more.csv")]
    joined = [f"sentences {name} {i}" for name in ("validation", "test") for i in range(3)] + ["one more"]
    for source in (spec(data_dir=folder, validation_file=files), spec(train_file=folder / "train.parquet",
                                                                      validation_file=files)):  # fmt: skip
        data = load_task(source)
        assert data.train["text"].to_pylist() == [f"phrases train {i}" for i in range(4)]
        assert data.evaluation["validation"]["text"].to_pylist() == joined
        assert data.evaluation["validation"]["sample_id"].to_pylist() == list(range(7))
        assert ("test" in data.evaluation) == (source.data_dir is not None)
    (folder / "validation.parquet").write_bytes(b"broken")
    assert load_task(spec(data_dir=folder, validation_file=files)).evaluation["validation"].num_rows == 7
    with pytest.raises(ValueError, match=r"not readable as parquet"):
        load_task(spec(data_dir=folder))
    asked: list[str] = []

    def generate(split: str) -> pa.Table:
        asked.append(split)
        return pa.Table.from_pylist(ROWS)

    made = load_task(spec(generate=generate, validation_file=files[0], test_file=files[1:]))
    assert {name: table.num_rows for name, table in made.evaluation.items()} == {"validation": 3, "test": 4}
    assert asked == ["train"]
    whole = load_task(spec(train_file=[folder / "train.parquet", *files]))
    assert whole.train.num_rows + whole.evaluation["validation"].num_rows == 11


def test_other_encodings_are_read_when_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(LATIN)
    found = read_splits(spec(train_file=tmp_path / "a.csv", encoding="latin-1"))
    assert found["train"]["text"].to_pylist() == ["café", "thé"]
    (tmp_path / "a.tsv").write_bytes(LATIN.decode("latin-1").replace(",", "\t").encode("utf-16"))
    assert read_splits(spec(train_file=tmp_path / "a.tsv", encoding="utf-16"))["train"]["label"].to_pylist() == [
        "0",
        "1",
    ]


BROKEN: list[tuple[str, bytes, str]] = [
    ("a.csv", b"", r"a\.csv is empty \(0 bytes\)"),
    ("a.parquet", b"", r"a\.parquet is empty \(0 bytes\)"),
    ("a.csv", b"text,label\n", "task 'own': the train split is empty: columns text, label, but no rows"),
    ("a.json", b"[]", "the train split is empty: columns none, but no rows"),
    ("a.csv", b"\n\n", r"a\.csv is not readable as csv: .*check the file"),
    ("a.csv", b"text,label\na,b,1\n", r"a\.csv is not readable as csv: .*Expected 2 columns, got 3"),
    ("a.csv", LATIN, r"a\.csv is not readable as csv: .*UTF8.*save it as UTF-8, or set task\.encoding"),
    ("a.csv", b"text,label\na,caf\xe9\n", r"a\.csv is not .*column 'label' is not utf8.*set task\.encoding"),
    ("a.csv", "text,label\na,1\n".encode("utf-16"), r"a\.csv is not readable.*task\.encoding.*utf-16"),
    ("a.csv", b"text,text,label\na,b,1\n", r"a\.csv has more than one column 'text'"),
    ("a.parquet", b"PAR1 but no more", r"a\.parquet is not readable as parquet: .*check the file, or export it again"),
    ("a.parquet", b"text,label\na,1\n", r"a\.parquet is not readable as parquet"),
    ("a.jsonl", b'{"text": "a", "label": 1}\n{"text": \n', r"a\.jsonl is not readable as jsonl: .*in line 2"),
    (
        "a.jsonl",
        b'{"text": "a", "label": 1}\n{"text": "b", "label": "x"}\n',
        r"a\.jsonl .*changed from number to string",
    ),
    ("a.jsonl", b'{"text": "caf\xe9", "label": 1}\n', r"a\.jsonl is not readable as jsonl: .*; save it as UTF-8$"),
    ("a.json", b'[{"text": "a"}, {"te', r"a\.json is not readable as json: .*line 1 column"),
    ("a.json", b'["a", "b"]', r"a\.json is not readable as json: it must be an array of objects"),
    (
        "a.json",
        b'[{"text": "a", "label": 1}, {"text": "b", "label": "x"}]',
        r"a\.json is not .*changed from number to string in row 2",
    ),
    ("a.json", b'[{"text": "caf\xe9"}]', r"a\.json is not readable as json: .*; save it as UTF-8$"),
    ("a.xlsx", b"x", r"cannot tell the format of .*a\.xlsx: its name must end in one of \.parquet, \.csv"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN, ids=lambda value: str(value)[:20])
def test_a_broken_file_is_named_on_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_splits(spec(train_file=tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", ROWS)
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[4:40] = b"\xff" * 36
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet is not readable as parquet"):
        read_file([tmp_path / "a.parquet"])


def test_what_is_not_there_is_named_with_what_is(tmp_path: Path) -> None:
    write_csv(tmp_path / "mine.csv", ROWS)
    with pytest.raises(ValueError, match=r"no file at .*main\.csv; data files in .*: mine\.csv"):
        read_splits(spec(train_file=tmp_path / "main.csv"))
    with pytest.raises(ValueError, match=r"no file at .*val\.csv"):
        read_splits(spec(train_file=tmp_path / "mine.csv", validation_file=tmp_path / "val.csv"))
    with pytest.raises(ValueError, match=r"task\.data_dir=.*nowhere is not a folder; it must hold train\.parquet"):
        read_splits(spec(data_dir=tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"task\.data_dir=.* holds no file of the split 'train'; it holds mine\.csv"):
        read_splits(spec(data_dir=tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="it holds nothing"):
        read_splits(spec(data_dir=tmp_path / "empty"))


def test_a_missing_shard_is_not_a_smaller_set(tmp_path: Path) -> None:
    for shard in (0, 2):
        write_parquet(tmp_path / f"train-0000{shard}-of-00003.parquet", ROWS)
    with pytest.raises(ValueError, match=r"train-00002-of-00003\.parquet is one of 3 shards, but 2 are there"):
        read_splits(spec(data_dir=tmp_path))


def test_shards_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-00000-of-00002.parquet", ROWS)
    write_parquet(tmp_path / "train-00001-of-00002.parquet", [{"text": "a", "label": "positive"}])
    with pytest.raises(ValueError, match=r"train-00000-of-00002\.parquet .* do not fit together"):
        read_splits(spec(data_dir=tmp_path))


def test_an_unknown_encoding_is_named(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ROWS)
    with pytest.raises(ValueError, match=r"task\.encoding=latn-1 is not known .*use for example utf8"):
        read_splits(spec(train_file=tmp_path / "a.csv", encoding="latn-1"))


def test_no_source_lists_the_ways_to_give_one() -> None:
    with pytest.raises(ValueError, match=r"'own' has no data: give task\.train_file=FILE .*data_dir=FOLDER.*hub_id=ID"):
        read_splits(spec())


TWO_WAYS = (
    r"cannot get the data set nyu-mll/glue \(sst2\) of task 'own'.*{}.*Two ways on: .*task\.data_dir=FOLDER.*HF_HOME"
)


def test_without_network_there_are_two_ways_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path))
    with pytest.raises(OSError, match=TWO_WAYS.format("")) as caught:
        load_task(spec(hub_id="nyu-mll/glue", hub_config="sst2"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        datasets.exceptions.DatasetNotFoundError("why\nand how"),
        datasets.exceptions.DatasetGenerationError("why\nand how"),
        ConnectionError("why\nand how"),
        ValueError("why\nand how"),
        RuntimeError("why\nand how"),
        OSError("why\nand how"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_hubs_own_errors_come_with_two_ways_on(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(OSError, match=TWO_WAYS.format("TimeoutError" if not str(error) else "why and how")) as caught:
        read_splits(spec(hub_id="nyu-mll/glue", hub_config="sst2"))
    assert caught.value.__cause__ is error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("revision", [None, "v1.0"])
def test_the_hub_is_asked_for_the_revision(monkeypatch: pytest.MonkeyPatch, revision: str | None) -> None:
    asked = []

    def load(*names: Any, **options: Any) -> datasets.DatasetDict:
        asked.append((names, options))
        return datasets.DatasetDict(train=datasets.Dataset.from_dict({"text": ["a"], "label": [0]}))

    monkeypatch.setattr(datasets, "load_dataset", load)
    read_splits(spec(hub_id="x/y", hub_config="z", hub_revision=revision))
    assert asked == [(("x/y", "z"), {"revision": revision})]


@pytest.mark.parametrize("order", [["b", "a"], ["b", "c", "a"]])
def test_class_names_in_another_order_than_the_hubs_are_refused(
    monkeypatch: pytest.MonkeyPatch, order: list[str]
) -> None:
    names = sorted(order)
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
    split = datasets.Dataset.from_dict({"text": ["x", "y", "z"], "label": [0, 1, 0]}, features)
    hub = datasets.DatasetDict(train=split, validation=split)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: hub)
    message = rf"'own': task\.label_names={re.escape(str(order))} are the classes of the data in another order; "
    with pytest.raises(ValueError, match=message + rf"there 0, 1, \.\. are {re.escape(str(names))}") as caught:
        load_task(spec(hub_id="x/y", label_names=order))
    assert "\n" not in str(caught.value)
    renamed = [name.upper() for name in order]
    for given in (names, None, renamed):  # the same order, the hub's own, names of the user's
        data = load_task(spec(hub_id="x/y", label_names=given))
        assert data.label_names == tuple(given or names)
        assert data.train["label"].to_pylist() == [0, 1, 0]


def test_a_hub_set_brings_its_class_names(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})

    def split(labels: list[int]) -> datasets.Dataset:
        return datasets.Dataset.from_dict({"text": [f"t{i}" for i in range(len(labels))], "label": labels}, features)

    hub = datasets.DatasetDict(train=split([0, 1, 1, 0]), validation=split([1, 0]), test=split([-1, -1]))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: hub)
    with caplog.at_level(logging.INFO):
        data = load_task(spec(hub_id="x/y"))
    assert data.label_names == ("neg", "pos")
    assert data.train["label"].to_pylist() == [0, 1, 1, 0]
    assert set(data.evaluation) == {"validation"}
    assert "the test split has no labels and is not used" in caplog.text
    with pytest.raises(
        ValueError, match=r"x/y has no split 'training'; it has train, validation, test: set task\.splits"
    ):
        read_splits(spec(hub_id="x/y", splits={"train": "training"}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": []}, r"task\.text must name at least one column"),
        ({"text": ["text", "text"]}, r"task\.text must name different columns"),
        ({"text": ["text", "gold"], "label": "gold"}, r"task\.text .* none of them task\.label"),
        ({"text": ["sample_id"]}, r"rename column 'sample_id' in the data"),
        ({"text": ["label"], "label": "gold"}, r"rename column 'label' in the data"),
        ({"validation_fraction": 1.0}, r"task\.validation_fraction must lie in \(0, 1\), got 1\.0"),
        ({"max_train_samples": 0}, r"task\.max_train_samples must be at least 1, got 0"),
        ({"splits": {"validation": "dev"}}, r"task\.splits must name the source's train split"),
        ({"splits": {"train": None}}, r"task\.splits must name the source's train split"),
        ({"splits": {"train": None, "dev": "dev"}}, r"task\.splits .* may name validation, test and others, got"),
        ({"splits": {"train": "train", "a/b": "dev"}}, r"task\.splits must be named by letters.*, got 'a/b'"),
        ({"splits": {"train": "train", "": "dev"}}, r"task\.splits must be named by letters.*, got ''"),
        ({"max_eval_samples": 0}, r"task\.max_eval_samples must be at least 1, got 0"),
        ({"where": {"genre": "("}}, r"task\.where\.genre must be a regular expression, got '\(' \(.*unterminated"),
        ({"where": {"genre": "*"}}, r"task\.where\.genre must be a regular expression, got '\*' \(.*repeat"),
    ],
)
def test_a_task_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spec(**options)


def test_paths_may_start_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for key in ("data_dir", "train_file", "validation_file", "test_file"):
        if key != "data_dir":
            assert getattr(spec(**{key: ["~/x.csv", "y"]}), key) == [str(tmp_path / "x.csv"), "y"]
        with pytest.raises(ValueError, match=rf"task\.{key} must be a path, got \[\]"):
            spec(**{key: []})
        assert getattr(spec(**{key: "~/x.csv"}), key) == str(tmp_path / "x.csv")
        assert getattr(spec(**{key: "a~/x.csv"}), key) == "a~/x.csv"


def test_the_source_that_is_used_is_told_in_plain_values() -> None:
    generate = functools.partial(demo_corpus.generate, seed=3)
    told = [
        settings_of_source(spec(hub_id="x/y", hub_config="z", hub_revision="v1")),
        settings_of_source(spec(hub_id="x/y", data_dir="d")),
        settings_of_source(spec(data_dir="d", train_file="t.csv", test_file="u.csv")),
        settings_of_source(spec(generate=generate)),
        settings_of_source(spec(data_dir="d", validation_file=["u.csv", "v.csv"])),
    ]
    assert told == json.loads(json.dumps(told)) == [
        {"hub_id": "x/y", "hub_config": "z", "hub_revision": "v1"},
        {"data_dir": "d"},
        {"files": {"train": "t.csv", "test": "u.csv"}},
        {"generator": "hprune.tasks.demo_corpus.generate", "arguments": {"seed": 3}},
        {"data_dir": "d", "files": {"validation": ["u.csv", "v.csv"]}},
    ]  # fmt: skip


def test_patterns_may_be_numbers_and_are_taken_back_by_null() -> None:
    assert TaskSpec("own", Classification(), where={"stars": 5, "genre": None}).where == {"stars": "5"}
    assert TaskSpec("own", Classification(), where={"genre": None}).where is None


@pytest.mark.parametrize("lacks", ["text", "label", "origin"])
@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_files_of_one_split_that_lack_a_column_of_the_task_are_refused(tmp_path: Path, lacks: str, end: str) -> None:
    """Joined with nulls, their rows would be dropped as rows without text."""
    columns = {"text": ["a", "b"], "label": [0, 1], "origin": ["x", "y"], "note": ["", ""]}
    write = {"csv": pa.csv.write_csv, "parquet": pq.write_table}[end]
    write(pa.table(columns), tmp_path / f"one.{end}")
    files = [tmp_path / f"one.{end}", tmp_path / f"two.{end}"]
    task = spec(train_file=[str(file) for file in files], slices=["origin"])
    write(pa.table(columns).drop_columns(["note"]), files[1])
    assert read_splits(task)["train"].num_rows == 4
    write(pa.table(columns).rename_columns([f"my_{name}" if name == lacks else name for name in columns]), files[1])
    with pytest.raises(ValueError, match=rf"two\.{end} has no column '{lacks}', which .*one\.{end} has and the task"):
        read_splits(task)
    write(pa.table(columns).drop_columns([lacks]), files[0])
    write(pa.table(columns).drop_columns([lacks]), files[1])
    assert lacks not in read_splits(task)["train"].column_names
