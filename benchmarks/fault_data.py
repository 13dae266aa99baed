"""Faults of data that come in as something else than they are, and go out so."""

from __future__ import annotations

import csv
import gzip
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.fault_place import BERT, TINY, Place, Row, by_text, came, fault, plain_rows, said, scored


@fault("F01: a TSV has no quotation", "tasks/test_reading.py::test_a_tsv_has_no_quotation")
def _(at: Place) -> tuple[bool, object]:
    rows = [
        f"{quote}text {i}\t{('neg', 'pos')[i % 2]}" for i, quote in enumerate(["", "", '"', *[""] * 9, '"'] + [""] * 11)
    ]
    file = at.write("a.tsv", "text\tlabel\n" + "\n".join(rows) + "\n")
    found = came(lambda: len(by_text(at.task(f"task.train_file={file}"))))
    return found == 24, f"{found} of 24 rows"


@fault("F01: a backslash before a quote",
       "tasks/test_reading.py::test_backslashes_before_quotes_are_refused_by_line_and_read_when_named")  # fmt: skip
def _(at: Place) -> tuple[bool, object]:
    lines = [f'"she said \\"no\\" and left {i}",{i % 2}' for i in range(20)]
    file = at.write("a.csv", "text,label\n" + "\n".join(lines) + "\n")
    found = came(lambda: sorted(by_text(at.task(f"task.train_file={file}")))[0])
    return found == 'she said "no" and left 0' or said(found, "line 2", "task.quoting"), found


@fault("F02: booleans by name", "tasks/test_labels.py::test_labels_are_read_by_value")
def _(at: Place) -> tuple[bool, object]:
    file = at.rows("a.csv", [{"text": f"{i % 2} {i}", "toxic": ("FALSE", "TRUE")[i % 2]} for i in range(20)])
    found = by_text(at.task(f"task.train_file={file}", "task.label=toxic", "task.label_names=[true,false]"))
    return str(found["1 1"]).lower() == "true", f"TRUE is called {found['1 1']}"


@fault("F02: `label_names: [no, yes]` in YAML", "tasks/test_labels.py::test_labels_are_read_by_value")
def _(at: Place) -> tuple[bool, object]:
    file = moods(at, "no", "yes")
    found = came(
        lambda: by_text(at.task(f"task.train_file={file}", "task.label=mood", label_names=[False, True]))["yes day 1"]
    )
    return found == "yes", found


TICKETS = [
    {
        "id": f"{i:06}", "big": f"1000000000000000000{i % 10}", "time": f"10:{i:02}", "price": f"{i}.50",
        "flag": ("FALSE", "TRUE")[i % 2], "day": f"2021-01-{i % 28 + 1:02}", "gone": ("NA", "")[i % 2],
        "text": f"a word {i}", "label": ("x", "y")[i % 2],
    }
    for i in range(60)
]  # fmt: skip


def read_back(path: Path) -> list[Row]:
    """The cells of an export, without our own columns; texts in quotes against formulas are none here."""
    if path.suffix in (".csv", ".tsv"):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    elif path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    else:
        import pyarrow.parquet as pq

        rows = pq.read_table(path).to_pylist()
    return [{k: v for k, v in row.items() if k in TICKETS[0]} for row in rows]


@fault("F03: cells that are carried along", "test_round_trip.py::test_what_is_only_carried_along_comes_out_as_it_came")
def _(at: Place) -> tuple[bool, object]:
    scored(at, at.rows("tickets.csv", TICKETS))
    at.must("triage", "study=s", f"out={at.folder}/sheet.csv", "values=0..S")
    wrong = {}
    for form in (".csv", ".tsv", ".jsonl", ".parquet"):
        for command, more in (("export", "subset=full"), ("triage", f"read={at.folder}/sheet.csv")):
            out = at.folder / f"{command}{form}"
            if (ended := at.command(command, "study=s", f"out={out}", more)).code:
                wrong[out.name] = ended.last
                continue
            for cells, right in zip(read_back(out), TICKETS, strict=True):
                wrong |= {f"{k} in {form}": f"{right[k]} is {v}" for k, v in cells.items() if v != right[k]}
    return not wrong, "; ".join(f"{k}: {v}" for k, v in list(wrong.items())[:6]) or "as they came"


@fault("F04: dates, decimals, bytes to JSON lines", "storage/test_export_cells.py::test_the_usual_form_of_every_type")
def _(at: Place) -> tuple[bool, object]:
    import datetime
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = plain_rows()
    extra = {"day": datetime.date(2021, 1, 11), "at": datetime.datetime(2021, 1, 11, 10, 31),
             "price": decimal.Decimal("1.50"), "nested": [datetime.date(2021, 1, 11)]}  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row | extra for row in rows]), at.folder / "a.parquet")
    scored(at, at.folder / "a.parquet")
    ended = at.command("export", "study=s", "subset=full", f"out={at.folder}/x.jsonl")
    if ended.code:
        return False, ended.last
    first = json.loads((at.folder / "x.jsonl").read_text().splitlines()[0])
    return (first["day"], first["nested"]) == ("2021-01-11", ["2021-01-11"]), {k: first[k] for k in extra}


def two_files(at: Place) -> None:
    """Studies `old` and `new` of the same texts with other keys: they share their runs."""
    for name in ("old", "new"):
        scored(at, at.rows(f"{name}.csv", [{"key": f"{name}-{i}", **r} for i, r in enumerate(plain_rows())]), name)


@fault("F05: the columns of the file that the study was given",
       "test_moved_data.py::test_an_export_has_the_columns_of_the_file_that_its_study_was_given")  # fmt: skip
def _(at: Place) -> tuple[bool, object]:
    two_files(at)
    at.must("export", "study=new", "subset=full", f"out={at.folder}/x.csv")
    key = read_lines(at.folder / "x.csv")[0]["key"]
    return key == "new-0", f"the export of the study of new.csv has {key}"


def read_lines(path: Path) -> list[Row]:
    """The rows of a CSV."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@fault("F05: data that moved", "test_moved_data.py::test_data_that_moved")
def _(at: Place) -> tuple[bool, object]:
    scored(at, at.rows("a.csv", plain_rows()))
    (at.folder / "a.csv").rename(at.folder / "b.csv")
    where = [f"task.{name}_file={at.folder}/b.csv" for name in ("train", "validation")]
    ended = at.command("export", "study=s", "subset=full", f"out={at.folder}/x.csv", *where)
    return ended.code == 0, ended.last if ended.code else "exported"


@fault("F06: answers that look like dates", "tasks/test_reading.py::test_answers_that_are_dates_stay_what_they_are")
def _(at: Place) -> tuple[bool, object]:
    days = [f"2016-07-{i:02} 00:00:00" for i in range(1, 25)]
    rows = [{"article": "when", "question": f"when {i}?", "options": days[i % 20 : i % 20 + 4], "answer": "ABCD"[i % 4]}
            for i in range(80)]  # fmt: skip
    file = at.write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    found = came(lambda: at.task("task=race", f"task.train_file={file}").train["options"].to_pylist()[0][0])
    return isinstance(found, str) and found in days, repr(found)


@fault(
    "F06: nested texts that look like dates", "tasks/test_reading.py::test_nested_texts_that_look_like_dates_are_texts"
)
def _(at: Place) -> tuple[bool, object]:
    from hprune.tasks.source import read_file

    file = at.write(
        "a.jsonl", "".join(json.dumps({"text": "a", "meta": {"days": ["2016-07-01"]}}) + "\n" for _ in range(3))
    )
    found = read_file([file])["meta"].to_pylist()[0]["days"][0]
    return found == "2016-07-01", repr(found)


def model_of(kind: str, more: Row, limit: Any) -> object:
    """How many tokens a model of this kind takes, whose tokenizer has this limit."""
    from hprune.tasks.classification import Classification
    from hprune.training.build import load_model, longest_input
    from hprune.training.spec import ModelSpec
    from hprune.training.tokenizer import load_tokenizer

    spec = ModelSpec("tiny", config={"model_type": kind, **more}, vocab_size=300)
    tokenizer = load_tokenizer(spec, lambda: ["a good day", "a bad day"] * 30)
    tokenizer.model_max_length = limit
    model = load_model(spec, Classification(), label_names=("no", "yes"), tokenizer=tokenizer)
    return longest_input(model, tokenizer, 32)


def limits(kind: str, more: Row, limit: Any) -> tuple[bool, object]:
    """Whether a model is made, and takes texts of 32 tokens."""
    try:
        found = model_of(kind, more, limit)
    except ValueError as error:
        return "\n" not in str(error), error
    except Exception as error:
        return False, f"{type(error).__name__}: {error}"
    return found == 32, f"{found} tokens"


F07 = "training/test_build.py::test_architectures_whose_limits_and_tables_are_others"


@fault("F07: XLNet's -1", F07)
def _(at: Place) -> tuple[bool, object]:
    return limits("xlnet", {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 32}, 512)


@fault("F07: a tokenizer's -1", "training/test_build.py::test_a_limit_that_is_none_limits_nothing")
def _(at: Place) -> tuple[bool, object]:
    return limits("bert", {**BERT, "max_position_embeddings": 40}, -1)


@fault("F07: CANINE", F07)
def _(at: Place) -> tuple[bool, object]:
    return limits("canine", {**BERT, "max_position_embeddings": 64}, 512)


@fault("F07: I-BERT", F07)
def _(at: Place) -> tuple[bool, object]:
    return limits("ibert", {**BERT, "max_position_embeddings": 40}, 512)


def moods(at: Place, *values: str) -> Path:
    """A CSV with these labels in turn."""
    return at.rows("mood.csv", [{"text": f"{values[i % len(values)]} day {i}", "mood": values[i % len(values)]}
                                for i in range(30)])  # fmt: skip


@fault("F08: -1, 0, 1 with three names", "tasks/test_labels.py::test_labels_are_read_by_value")
def _(at: Place) -> tuple[bool, object]:
    found = by_text(
        at.task(f"task.train_file={moods(at, '-1', '0', '1')}", "task.label=mood", "task.label_names=[neg,neu,pos]")
    )
    names = {text.split()[0]: name for text, name in found.items()}
    return names == {"-1": "neg", "0": "neu", "1": "pos"}, f"{len(found)} of 30 rows, {names}"


@fault("F08: -1 that may be a class", "tasks/test_labels.py::test_what_could_mean_two_things_is_refused")
def _(at: Place) -> tuple[bool, object]:
    found = came(lambda: len(by_text(at.task(f"task.train_file={moods(at, '-1', '1')}", "task.label=mood"))))
    return said(found, "-1 may be a class"), found if isinstance(found, str) else f"{found} of 30 rows"


@fault("labels: 011 is no 11", "tasks/test_labels.py::test_labels_are_read_by_value")
def _(at: Place) -> tuple[bool, object]:
    found = at.task(f"task.train_file={moods(at, '011', '11', '12')}", "task.label=mood").label_names
    return set(found) == {"011", "11", "12"}, found


@fault("labels: floats 1.0, 2.0 by name", "tasks/test_labels.py::test_labels_are_read_by_value")
def _(at: Place) -> tuple[bool, object]:
    given = ("task.label=mood", "task.label_names=[2.0,1.0]")
    found = came(lambda: by_text(at.task(f"task.train_file={moods(at, '1.0', '2.0')}", *given))["2.0 day 1"])
    return found == "2.0", found


def named(at: Place, folder: str = "a.parquet") -> Any:
    """A data set of `datasets` with a ClassLabel."""
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["ham", "spam"])})
    rows = {"text": [f"{i % 2} {i}" for i in range(40)], "label": [i % 2 for i in range(40)]}
    return Dataset.from_dict(rows, features=features)


CLASSLABEL = "tasks/test_reading.py::test_class_names_in_the_metadata_of_files_are_the_classes"


@fault("labels: a ClassLabel's names in Parquet", CLASSLABEL)
def _(at: Place) -> tuple[bool, object]:
    named(at).to_parquet(str(at.folder / "a.parquet"))
    found = at.task(f"task.train_file={at.folder}/a.parquet").label_names
    return tuple(found) == ("ham", "spam"), found


@fault(
    "labels: a ClassLabel's names in another order", "tasks/test_labels.py::test_what_could_mean_two_things_is_refused"
)
def _(at: Place) -> tuple[bool, object]:
    named(at).to_parquet(str(at.folder / "a.parquet"))
    found = came(lambda: at.task(f"task.train_file={at.folder}/a.parquet", "task.label_names=[spam,ham]").label_names)
    return said(found, "another order"), found


def forms(at: Place, made: dict[str, Callable[[Path], object]]) -> tuple[bool, object]:
    """Whether each file is read as the 60 rows that it holds."""
    wrong = {}
    for name, write in made.items():
        write(at.folder / name)
        found = came(lambda name=name: len(by_text(at.task(f"task.train_file={at.folder}/{name}"))))  # type: ignore[misc]
        if found != 60:
            wrong[name] = found
    return not wrong, wrong or "read"


def texts_with(sign: str) -> str:
    """A file with this delimiter."""
    return "".join(f"{sign.join(row)}\n" for row in [("text", "label"), *(row.values() for row in plain_rows())])


@fault("delimiters: semicolon, tab, pipe", "tasks/test_reading.py::test_the_delimiter_is_found_and_named")
def _(at: Place) -> tuple[bool, object]:
    signs = {"semicolon.csv": ";", "tab.csv": "\t", "pipe.csv": "|"}
    return forms(at, {name: lambda p, s=sign: p.write_text(texts_with(s)) for name, sign in signs.items()})  # type: ignore[misc]


@fault(
    ".csv.gz, .jsonl.gz, .zst, .ndjson",
    "tasks/test_reading.py::test_compressed_files_are_read_and_damage_is_told_on_one_line",
)
def _(at: Place) -> tuple[bool, object]:
    import pyarrow as pa

    comma, lines = texts_with(",").encode(), "".join(json.dumps(row) + "\n" for row in plain_rows()).encode()

    def zst(path: Path) -> None:
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(comma)

    made = {"a.csv.gz": gzip.compress(comma), "b.jsonl.gz": gzip.compress(lines), "d.ndjson": lines}
    written = {name: partial(_write, content) for name, content in made.items()}
    return forms(at, {**written, "c.csv.zst": zst})


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


@fault(
    ".arrow, folders by save_to_disk", "tasks/test_reading.py::test_saved_data_sets_are_read_as_files_and_as_folders"
)
def _(at: Place) -> tuple[bool, object]:
    import pyarrow as pa
    import pyarrow.feather
    from datasets import Dataset

    table = pa.Table.from_pylist(plain_rows())
    return forms(at, {"a.arrow": lambda p: pyarrow.feather.write_feather(table, str(p), compression="uncompressed"),
                      "folder": lambda p: Dataset(table).save_to_disk(p)})  # fmt: skip


@fault("our own exports as folders", "test_round_trip.py::test_every_cell_comes_back")
def _(at: Place) -> tuple[bool, object]:
    scored(at, at.rows("a.csv", plain_rows()))
    at.must("export", "study=s", "subset=full", f"out={at.folder}/out")
    found = came(lambda: len(by_text(at.task(f"task.train_file={at.folder}/out"))))
    return found == 60, found


@fault("a DatasetDict's folder", "tasks/test_reading.py::test_saved_data_sets_are_read_as_files_and_as_folders")
def _(at: Place) -> tuple[bool, object]:
    from datasets import DatasetDict

    DatasetDict({"train": named(at), "validation": named(at)}).save_to_disk(at.folder / "both")
    found = came(lambda: at.task(f"task.data_dir={at.folder}/both").train.num_rows)
    return found == 40, found


@fault("data_dir with dev", "tasks/test_reading.py::test_a_validation_split_has_many_names")
def _(at: Place) -> tuple[bool, object]:
    for name, size in (("train", 60), ("dev", 20)):
        at.rows(f"d/{name}.csv", plain_rows(size))
    found = came(lambda: at.task(f"task.data_dir={at.folder}/d").train.num_rows)
    return found == 60, f"{found} rows of train.csv's 60 are trained on, without a word of dev.csv"


@fault("data_dir with a file that is not used", "tasks/test_reading.py::test_a_validation_split_has_many_names")
def _(at: Place) -> tuple[bool, object]:
    for name, size in (("train", 60), ("validation", 20), ("extra", 20)):
        at.rows(f"d/{name}.csv", plain_rows(size))
    ended = at.must("train", "task=own", f"task.data_dir={at.folder}/d", *TINY, "study=s", "seed=1")
    told = [line for line in ended.err.splitlines() if "extra.csv" in line]
    return bool(told), told[:1] or "not a word of extra.csv"


@fault("SQuAD's own JSON", "tasks/test_reading.py::test_squads_own_form_has_a_row_a_question")
def _(at: Place) -> tuple[bool, object]:
    answers = [{"text": "red", "answer_start": 10}]
    asked = [{"id": f"q{i}", "question": "?", "answers": answers} for i in range(20)]
    made = {"data": [{"title": "t", "paragraphs": [{"context": "My hat is red .", "qas": asked}]}]}
    file = at.write("train.json", json.dumps(made))
    found = came(lambda: at.task("task=squad", f"task.train_file={file}").train.num_rows)
    return found == 18, found


@fault("a JSON column of mixed types that nobody uses",
       "tasks/test_reading.py::test_a_column_of_several_types_is_refused_only_where_it_is_used")  # fmt: skip
def _(at: Place) -> tuple[bool, object]:
    rows = [row | {"more": [1, "x", [2]][i % 3]} for i, row in enumerate(plain_rows())]
    file = at.write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    found = came(lambda: len(by_text(at.task(f"task.train_file={file}"))))
    return found == 60, found


@fault("a class with one row", "tasks/test_labels.py::test_a_class_with_one_row_stays_in_train")
def _(at: Place) -> tuple[bool, object]:
    file = at.rows("a.csv", [*plain_rows(), {"text": "odd", "label": "rare"}])
    found = came(lambda: "odd" in at.task(f"task.train_file={file}").train["text"].to_pylist())
    return found is True, found


@fault("options that are numbers", "tasks/test_multiple_choice.py::test_options_that_are_numbers_or_dates_are_texts")
def _(at: Place) -> tuple[bool, object]:
    rows = [
        {"article": "sums", "question": f"{i} + 1?", "options": [i, i + 1, i + 2, i + 3], "answer": "B"}
        for i in range(20)
    ]
    file = at.write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    found = came(lambda: at.task("task=race", f"task.train_file={file}").train["options"].to_pylist()[0][1])
    return isinstance(found, str) and found.isdigit(), found


@fault("10,000 columns", "tasks/test_reading.py::test_many_columns_are_read_in_time")
def _(at: Place) -> tuple[bool, object]:
    seconds = {}
    for columns in (10, 1000, 4000):  # the first brings what is imported
        file = at.rows(f"{columns}.csv", [row | {f"c{i}": i for i in range(columns)} for row in plain_rows(20)])
        start = time.perf_counter()
        at.task(f"task.train_file={file}", "task.validation_fraction=0.2")
        seconds[columns] = round(time.perf_counter() - start, 3)
    return seconds[4000] < 8 * seconds[1000], f"seconds by columns: {seconds}"


@fault("20,000 classes", "tasks/test_class_metrics.py::test_of_very_many_classes_less_is_kept_and_metrics_stay")
def _(at: Place) -> tuple[bool, object]:
    import resource

    import pyarrow.parquet as pq

    size = 4000
    rows = [{"text": f"word{i % 500}", "label": f"c{i % size}"} for i in range(2 * size)]
    file = at.rows("many.csv", rows)
    where = ("task=own", f"task.train_file={file}", f"task.validation_file={file}", "study=s", "seed=1")
    with at.process("train", *where, *TINY, "data.batch_size=64") as made:
        err = made.communicate()[1]
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    if made.returncode:
        return False, f"ends with {made.returncode}: {err.strip().splitlines()[-1:]}"
    columns = len(pq.read_schema(at.run(1) / "predictions.validation.parquet").names)
    return columns < 100, f"{size:,} classes: {columns:,} columns of predictions, {used:,.0f} MB of memory at most"


@fault(
    "a very long text warns",
    "training/test_samples.py::test_a_text_that_is_very_long_is_named_once_before_it_is_tokenised",
)
def _(at: Place) -> tuple[bool, object]:
    file = at.rows("a.csv", [*plain_rows(), {"text": "word " * 2_200_000, "label": "no"}])
    ended = at.command(
        "train", "task=own", f"task.train_file={file}", f"task.validation_file={file}", *TINY, "study=s", "seed=1"
    )
    told = [line for line in ended.err.splitlines() if "MB" in line]
    return ended.code == 0 and bool(told), told[:1] or "not a word"
