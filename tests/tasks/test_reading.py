"""Data is read as it stands: cells letter by letter, in the dialect that is there, from every form that people have."""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hprune.tasks.classification import Classification
from hprune.tasks.extractive_qa import ExtractiveQA
from hprune.tasks.load import load_task
from hprune.tasks.multiple_choice import MultipleChoice
from hprune.tasks.reading.arrow_files import END
from hprune.tasks.reading.delimited import DialectError, read_delimited
from hprune.tasks.reading.dialect import read_found
from hprune.tasks.reading.form import Form
from hprune.tasks.source import read_file, read_splits
from hprune.tasks.spec import TaskSpec
from tests.conftest import SHARED

CASES, DATA = SHARED / "cases", SHARED / "data"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="needs the cases of ../shared/cases")


def spec(**options: Any) -> TaskSpec:
    return TaskSpec("own", Classification(), **{n: str(v) if isinstance(v, Path) else v for n, v in options.items()})


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# --- cells


CARRIED = {
    "ticket": ["000037", "37"], "user": ["10000000000000000977", "10000000000000001954"], "at": ["10:31", "24:00"],
    "price": ["1.50", "1e3"], "vip": ["FALSE", "true"], "day": ["2021-01-11", "2021-02-30"], "none": ["NA", ""],
    "text": ["wrong bill", "broken lamp"], "label": ["billing", "repair"],
}  # fmt: skip


@pytest.mark.parametrize("end", ["csv", "tsv"])
def test_no_cell_is_taken_for_a_number_a_time_or_nothing(tmp_path: Path, end: str) -> None:
    pd.DataFrame(CARRIED).to_csv(tmp_path / f"a.{end}", index=False, sep="\t" if end == "tsv" else ",")
    found = read_splits(spec(train_file=tmp_path / f"a.{end}"))["train"]
    assert found.to_pydict() == CARRIED
    with pytest.raises(ValueError, match=r"no row of the train split matches"):
        load_task(spec(train_file=tmp_path / f"a.{end}", where={"ticket": "^0037$"}))


@needs_cases
def test_cells_of_tickets_come_as_they_stand() -> None:
    file = CASES / "F03" / "tickets.csv"
    with file.open(newline="") as lines:
        names, *rows = csv.reader(lines)
    found = read_file([file])
    assert found.column_names == names
    assert [list(row.values()) for row in found.to_pylist()] == rows


def test_a_file_of_texts_beside_one_with_types_makes_texts(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "label": [0, 1], "id": [7, 8]}), tmp_path / "a.parquet")
    files = [tmp_path / "a.parquet", written(tmp_path / "b.csv", "text,label,id\nc,1,007\n")]
    task = spec(train_file=[str(file) for file in files], validation_file=files[0])
    assert read_splits(task)["train"]["id"].to_pylist() == ["7", "8", "007"]
    assert load_task(task).train["label"].to_pylist() == [0, 1, 1]


# --- dialects of CSV


def refused(path: Path, content: str | bytes, **options: Any) -> str:
    with pytest.raises(ValueError, match="is not readable as") as caught:
        read_splits(spec(train_file=written(path, content), **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def read(path: Path, content: str | bytes, **options: Any) -> list[tuple[str, ...]]:
    table = read_splits(spec(train_file=written(path, content), **options))["train"]
    return [tuple(row.values()) for row in table.to_pylist()]


BACKSLASHES = 'text,label\n"she said \\"no\\" and left",0\n"C:\\new, \\\\host",1\nplain,0\n'


def test_backslashes_before_quotes_are_refused_by_line_and_read_when_named(tmp_path: Path) -> None:
    message = refused(tmp_path / "a.csv", BACKSLASHES)
    assert "in line 2 a quote within a field in quotes is not doubled" in message
    assert "task.quoting=backslash reads it" in message
    rows = [('she said "no" and left', "0"), ("C:\\new, \\host", "1"), ("plain", "0")]
    assert read(tmp_path / "a.csv", BACKSLASHES, quoting="backslash") == rows


BARE = 'text,label\nplain,0\nshe said \\"no\\" and left,1\n'


def test_an_escaped_quote_without_quotes_around_is_refused_by_line_and_read_when_named(tmp_path: Path) -> None:
    message = refused(tmp_path / "a.csv", BARE)
    assert 'line 3 has \\" in a field without quotes around it: set task.quoting=backslash if it means' in message
    assert read(tmp_path / "a.csv", BARE, quoting="backslash")[1] == ('she said "no" and left', "1")
    assert read(tmp_path / "a.csv", BARE, quoting="double")[1] == ('she said \\"no\\" and left', "1")
    assert read(tmp_path / "a.csv", 'text,label\nC:\\new\\,1\n5" and \\n,0\n') == [
        ("C:\\new\\", "1"),
        ('5" and \\n', "0"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_first_line_by_which_excel_is_told_the_delimiter_is_no_header(tmp_path: Path, end: str) -> None:
    content = f"sep=;{end}text;label{end}a, b;1{end}"
    assert read(tmp_path / "a.csv", content) == [("a, b", "1")]
    assert "in line 3" in refused(tmp_path / "a.csv", f'sep=;{end}text;label{end}"a;1{end}')
    assert read(tmp_path / "a.csv", f"sep=,{end}text;label{end}a, b;1{end}", delimiter="semicolon") == [("a, b", "1")]


def test_a_delimiter_that_does_not_fit_is_refused_with_the_one_that_does(tmp_path: Path) -> None:
    message = refused(tmp_path / "a.csv", "text;label\na;1\n", delimiter="comma")
    assert message.endswith("none of the columns of the task; by task.delimiter=semicolon it does")
    (tmp_path / "a.csv").write_bytes(gzip.compress(b"text,label\na,1\n"))
    assert refused(tmp_path / "a.csv", (tmp_path / "a.csv").read_bytes()).endswith("it is compressed: call it a.csv.gz")


def test_an_escaped_delimiter_is_refused_with_the_dialect_that_reads_it(tmp_path: Path) -> None:
    message = refused(tmp_path / "a.csv", "text,label\nyes\\, no,1\n")
    assert "got 3 in line 2" in message
    assert "task.quoting=backslash reads it" in message
    assert read(tmp_path / "a.csv", "text,label\nyes\\, no,1\n", quoting="backslash") == [("yes, no", "1")]


def test_with_backslashes_a_quote_ends_a_field_or_is_refused(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", 'text,label\n"a ""b"" \\"c\\"",1\n', quoting="backslash") == [('a "b" "c"', "1")]
    assert "in line 2 a quote within" in refused(tmp_path / "a.csv", 'text,label\n"a"b,1\n', quoting="backslash")
    assert "in line 2 does not end" in refused(tmp_path / "a.csv", 'text,label\n"a\\",1\n', quoting="backslash")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('text,label\n"a"b,1\n', "in line 2 a quote within a field in quotes is not doubled"),
        ('text,label\n"a\nb",1\n"c" ,1\n', "in line 4 a quote within"),
        ('text,label\r\n"a ""b""",1\r\n"c,1\r\n', "the field that begins with a quote in line 3 does not end"),
        ('text,label\r5" x,1\r"c,1', "the field that begins with a quote in line 3 does not end"),
        ('text,label\n"a\nb",1\nc\n', "Expected 2 columns, got 1 in line 4"),
        ('text,label\n"a""b",1\n\n5" wide,2,3\n', "Expected 2 columns, got 3 in line 4"),
    ],
)
def test_a_row_that_breaks_the_rules_is_refused_by_line(tmp_path: Path, content: str, message: str) -> None:
    assert message in refused(tmp_path / "a.csv", content)


def test_a_named_dialect_that_does_not_fit_names_one_that_does(tmp_path: Path) -> None:
    message = refused(tmp_path / "a.csv", 'text,label\n"a, b",1\n', quoting="none")
    assert "Expected 2 columns, got 3 in line 2" in message
    assert "task.quoting=double reads it" in message
    assert "task.quoting=none reads it" in refused(tmp_path / "a.csv", 'text,label\n"Never,1\nagain,0\n')
    assert read(tmp_path / "a.csv", 'text,label\n"Never,1\nagain,0\n', quoting="none") == [
        ('"Never', "1"),
        ("again", "0"),
    ]


LETTERS = st.text(st.sampled_from('a",\t;|\n\r\\'), max_size=6)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('ab",\n\r'), max_size=30), st.sampled_from([",", "\t"]))
def test_quotes_are_allowed_where_the_csv_module_allows_them(text: str, delimiter: str) -> None:
    """Letters in any order: the same rows as by Python's csv module in its strict mode, or refused where it refuses."""
    content = f"x{delimiter}y\n" + text.replace(",", delimiter)
    try:
        _, *rows = [
            row for row in csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True) if row
        ]
        expected = rows if all(len(row) == 2 for row in rows) else None
    except csv.Error:
        expected = None
    try:
        found = [list(row.values()) for row in read_delimited(content.encode(), delimiter, "double").to_pylist()]
    except DialectError:
        found = None  # type: ignore[assignment]
    assert found == expected


WRITERS = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(LETTERS, LETTERS), min_size=1, max_size=5), st.sampled_from(WRITERS), st.sampled_from(",;\t|")
)
def test_what_a_program_wrote_comes_back(rows: list[tuple[str, str]], quoting: Any, delimiter: str) -> None:
    lines = io.StringIO(newline="")
    csv.writer(lines, delimiter=delimiter, quoting=quoting).writerows([("text", "label"), *rows])
    found = read_delimited(lines.getvalue().encode(), delimiter, "double")
    assert [tuple(row.values()) for row in found.to_pylist()] == rows
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, delimiter=delimiter, quoting=quoting, doublequote=False, escapechar="\\")
    writer.writerows([("text", "label"), *rows])
    found = read_delimited(lines.getvalue().encode(), delimiter, "backslash")
    assert [tuple(row.values()) for row in found.to_pylist()] == rows


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.text(st.sampled_from('a", \\'), max_size=5), st.sampled_from("01")), min_size=1, max_size=4)
)
def test_what_backslashes_escape_is_read_as_meant_or_refused(rows: list[tuple[str, str]]) -> None:
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, doublequote=False, escapechar="\\")
    writer.writerows([("text", "label"), *rows])
    content = lines.getvalue().encode()
    found = None
    with suppress(DialectError):
        found = read_found(Path("a.csv"), content, Form(needed=("text", "label")))
    if found is None:
        with pytest.raises(DialectError, match=r"task\.quoting=backslash"):
            read_found(Path("a.csv"), content, Form(needed=("text", "label")))
    elif '"' in "".join(text for text, _ in rows):
        assert [tuple(row.values()) for row in found.to_pylist()] == rows


# --- dialects of TSV


UNBALANCED = (
    'text\tlabel\nplain\tneg\n"Never again, she wrote\tpos\nplain\tneg\n"So it goes, he sang\tneg\n"all" of it\tpos\n'
)


def test_a_tsv_has_no_quotation(tmp_path: Path) -> None:
    expected = [tuple(line.split("\t")) for line in UNBALANCED.splitlines()[1:]]
    assert read(tmp_path / "a.tsv", UNBALANCED) == expected
    assert load_task(spec(train_file=tmp_path / "a.tsv", validation_file=tmp_path / "a.tsv")).train.num_rows == 5


@needs_cases
def test_two_texts_that_begin_with_a_quote_are_two_texts() -> None:
    lines = (CASES / "F01" / "unbalanced.tsv").read_text().splitlines()[1:]
    found = read_file([CASES / "F01" / "unbalanced.tsv"])
    assert ["\t".join(row.values()) for row in found.to_pylist()] == lines
    assert len(lines) == 24


@pytest.mark.parametrize("quoting", WRITERS)
def test_a_tsv_that_a_program_quoted_is_read_without_its_quotes(tmp_path: Path, quoting: Any) -> None:
    rows = [('he said ""x""', "1"), ('"', "2"), ("a\tb", "1"), ("two\nlines", "2"), ("plain", "1")]
    frame = pd.DataFrame(rows, columns=["text", "label"])
    for chosen in (rows, rows[:2] + rows[4:], rows[2:3], rows[4:]):
        frame = pd.DataFrame(chosen, columns=["text", "label"])
        assert read(tmp_path / "a.tsv", frame.to_csv(index=False, sep="\t", quoting=quoting)) == chosen


UNCLEAR = [
    'text\tlabel\nbye\tneg\n"Hello"\tpos\n',  # a text in quotes, or quotes around a text
    'text\tlabel\nbye\tneg\n"Never\tpos\nsaid so"\tneg\n',  # one row of two lines, or two rows
]


@pytest.mark.parametrize("content", UNCLEAR)
def test_a_tsv_that_may_be_either_is_refused_by_line(tmp_path: Path, content: str) -> None:
    message = refused(tmp_path / "a.tsv", content)
    assert "line 3 has a field that begins with a quote" in message
    assert "task.quoting=none" in message
    assert "task.quoting=double" in message
    assert read(tmp_path / "a.tsv", content, quoting="none") == [tuple(r.split("\t")) for r in content.splitlines()[1:]]
    assert read(tmp_path / "a.tsv", content, quoting="double")[1][0].strip('"') == read(
        tmp_path / "a.tsv", content, quoting="double"
    )[1][0]  # fmt: skip


def test_a_tsv_that_can_be_read_in_no_way_names_both_lines(tmp_path: Path) -> None:
    message = refused(tmp_path / "a.tsv", 'text\tlabel\n"Hello\tpos\nbye\tneg\tx\n')
    assert "Expected 2 columns, got 3 in line 3" in message
    assert "the field that begins with a quote in line 2 does not end" in message


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the data of ../shared/data")
@pytest.mark.parametrize(("name", "least"), [("mrpc/validation", 80), ("qnli/validation", 15), ("rte/train", 70)])
def test_files_of_glue_are_read_as_they_are(tmp_path: Path, name: str, least: int) -> None:
    """As GLUE writes them: nothing quoted, a byte order mark in MRPC."""
    frame = pq.read_table(DATA / f"{name}.parquet").to_pandas().astype(str)
    assert sum(frame[column].str.startswith('"').sum() for column in frame) >= least
    lines = ["\t".join(row) for row in [list(frame.columns), *frame.to_numpy().tolist()]]
    path = written(tmp_path / "train.tsv", "\ufeff" + "\n".join(lines) + "\n")
    assert read_file([path]).to_pandas().to_numpy().tolist() == frame.to_numpy().tolist()
    frame.to_csv(path, index=False, sep="\t")
    assert read_file([path]).to_pandas().to_numpy().tolist() == frame.to_numpy().tolist()


# --- delimiters


@pytest.mark.parametrize(("key", "letter"), [("comma", ","), ("semicolon", ";"), ("tab", "\t"), ("pipe", "|")])
def test_the_delimiter_is_found_and_named(
    tmp_path: Path, key: str, letter: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [("a, b; c | d", "0", ""), ("e", "1", "x")]
    content = pd.DataFrame(rows, columns=["text", "label", "more"]).to_csv(index=False, sep=letter)
    with caplog.at_level(logging.INFO):
        assert read(tmp_path / "a.csv", content) == rows
    assert (f"columns are parted by {key}" in caplog.text) == (key != "comma")
    assert read(tmp_path / "a.csv", content, delimiter=key) == rows
    assert read(tmp_path / "a.csv", content, text=["@1"], label="@2") == rows
    assert read(tmp_path / "a.tsv", content, delimiter=key) == rows


def test_a_header_that_fits_two_delimiters_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path / "a.csv", "text;label|text\n", label="gold")
    assert "by several delimiters, semicolon and pipe: set task.delimiter=semicolon" in message


@pytest.mark.parametrize(
    ("key", "known"), [("delimiter", "comma, semicolon, tab, pipe"), ("quoting", "double, backslash, none")]
)
def test_a_dialect_that_is_none_is_refused(key: str, known: str) -> None:
    with pytest.raises(ValueError, match=rf"task\.{key} must be one of auto, {known}, got '::'"):
        spec(**{key: "::"})


def test_the_sign_itself_is_a_delimiter_too() -> None:
    assert spec(delimiter=";").delimiter == "semicolon"


def test_a_header_without_the_tasks_columns_shows_what_it_has(tmp_path: Path) -> None:
    message = refused(tmp_path / "a.csv", "review;stars\ngood, very;1\n")
    assert "by commas it has one column, and by task.delimiter=semicolon it has review, stars: name those" in message
    assert read(tmp_path / "a.csv", "review;stars\ngood, very;1\n", text=["review"]) == [("good, very", "1")]


# --- JSON


def lines_of(path: Path, *rows: str) -> Path:
    return written(path, "".join(f"{row}\n" for row in rows))


QUESTION = (
    '{{"question": "When?", "context": "It opened on {0}.", "answers": {{"text": ["{0}"], "answer_start": [13]}}}}'
)


def test_nested_texts_that_look_like_dates_are_texts(tmp_path: Path) -> None:
    file = lines_of(tmp_path / "a.jsonl", QUESTION.format("2016-07-01"), QUESTION.format("2014-05-12"))
    task = TaskSpec("qa", ExtractiveQA(), text=("question", "context"), label="answers", train_file=str(file),
                    validation_file=str(file))  # fmt: skip
    assert load_task(task).train["answers"].to_pylist() == [["2016-07-01"], ["2014-05-12"]]
    exam = '{"article": "a", "question": "b", "options": ["2016-07-01", "2016-07-02"], "answer": "A"}'
    file = lines_of(tmp_path / "b.jsonl", exam, exam.replace('"A"', '"B"'))
    race = TaskSpec("race", MultipleChoice(num_options=2), text=("article", "question"), label="answer",
                    train_file=str(file), validation_file=str(file))  # fmt: skip
    assert load_task(race).train["options"].to_pylist() == [["2016-07-01", "2016-07-02"]] * 2
    lines_of(file, exam.replace('"2016-07-01", "2016-07-02"', '1.50, "x"'), exam.replace('"A"', '"B"'))
    assert load_task(race).train["options"].to_pylist()[0] == ["1.50", "x"]


@needs_cases
def test_answers_that_are_dates_stay_what_they_are() -> None:
    file = str(CASES / "F06" / "train.jsonl")
    task = TaskSpec("qa", ExtractiveQA(), text=("question", "context"), label="answers", train_file=file,
                    validation_file=file)  # fmt: skip
    assert load_task(task).train["answers"].to_pylist() == [["2016-07-01"], ["2014-05-12"]]


@pytest.mark.parametrize("array", [False, True])
def test_json_values_are_what_was_written(tmp_path: Path, array: bool) -> None:
    rows = [
        '{"text": "a", "label": 0, "id": 10000000000000000977, "ratio": 0.1, "long": 0.12345678901234567890, "odd": 1}',
        '{"text": 1.50, "label": 1, "id": 10000000000000001954, "ratio": 2, "long": 1, "odd": {"é": [1.50, true]}}',
    ]
    file = written(tmp_path / "a.json", f"[{','.join(rows)}]" if array else "\n".join(rows))
    assert read_splits(spec(train_file=file))["train"].to_pydict() == {
        "text": ["a", "1.50"], "label": [0, 1], "id": ["10000000000000000977", "10000000000000001954"],
        "ratio": [0.1, 2.0], "long": ["0.12345678901234567890", "1"], "odd": ["1", '{"é": [1.50, true]}'],
    }  # fmt: skip


def test_a_column_of_several_types_is_refused_only_where_it_is_used(tmp_path: Path) -> None:
    file = lines_of(
        tmp_path / "a.jsonl", '{"text": "a", "label": 0, "meta": 1}', '{"text": "b", "label": 1, "meta": [2]}'
    )
    assert read_splits(spec(train_file=file))["train"]["meta"].to_pylist() == ["1", "[2]"]
    with pytest.raises(ValueError, match=r"column 'meta' changed from number to array in row 2"):
        read_splits(spec(train_file=file, slices=["meta"]))


def test_a_key_that_comes_twice_is_refused(tmp_path: Path) -> None:
    file = lines_of(tmp_path / "a.jsonl", '{"text": "a", "label": 0}', '{"text": "b", "text": "c", "label": 1}')
    with pytest.raises(ValueError, match=r"an object has more than one 'text' \(in what begins in line 2\)"):
        read_splits(spec(train_file=file))


def test_squads_own_form_has_a_row_a_question(tmp_path: Path) -> None:
    answers = [{"text": "red", "answer_start": 10}, {"text": "My hat", "answer_start": 0}]
    questions = [{"id": "q1", "question": "Which?", "answers": answers, "is_impossible": False},
                 {"id": "q2", "question": "Who?", "answers": [], "is_impossible": True}]  # fmt: skip
    article = {"title": "Hats", "paragraphs": [{"context": "My hat is red.", "qas": questions}]}
    file = written(tmp_path / "train-v2.0.json", json.dumps({"version": "v2.0", "data": [article, article]}))
    task = TaskSpec("squad_v2", ExtractiveQA(), text=("question", "context"), label="answers", train_file=str(file),
                    validation_file=str(file))  # fmt: skip
    raw = read_splits(task)["train"]
    assert raw.column_names == ["id", "title", "context", "question", "answers", "is_impossible"]
    assert raw.to_pylist()[:2] == raw.to_pylist()[2:]
    train = load_task(task).train
    assert train["answers"].to_pylist() == [["red", "My hat"], []] * 2
    assert train["answer_start"].to_pylist() == [[10, 0], []] * 2


# --- compressed, Arrow, saved data sets

ROWS = pd.DataFrame({"text": [f"é, text {i}" for i in range(60)], "label": [f"{i % 2}" for i in range(60)]})
CONTENTS = {
    ".csv": ROWS.to_csv(index=False), ".tsv": ROWS.to_csv(index=False, sep="\t"),
    ".jsonl": ROWS.to_json(orient="records", lines=True), ".ndjson": ROWS.to_json(orient="records", lines=True),
    ".json": ROWS.to_json(orient="records"),
}  # fmt: skip


def packed(path: Path, content: str) -> Path:
    codec = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
    with pa.output_stream(str(path), compression=codec) as stream:
        stream.write(content.encode())
    return path


@pytest.mark.parametrize("codec", ["", ".gz", ".zst"])
@pytest.mark.parametrize("end", CONTENTS)
def test_compressed_files_are_read_and_damage_is_told_on_one_line(tmp_path: Path, end: str, codec: str) -> None:
    path = packed(tmp_path / f"a{end}{codec}", CONTENTS[end])
    assert read_file([path]).to_pydict() == ROWS.to_dict("list")
    content = path.read_bytes()
    damaged = [content[:-3], content[: len(content) // 2]]
    if codec == ".gz":  # zstd has a checksum only where the writer asks for one
        damaged.append(content[:40] + b"\xff" * 8 + content[48:])
    for broken in damaged if codec else ():
        path.write_bytes(broken)
        with pytest.raises(
            ValueError, match=rf"a{end}{codec} is not readable as {end[1:]}{codec}: .*check the file"
        ) as e:
            read_file([path])
        assert "\n" not in str(e.value)


def test_a_compressed_file_under_a_plain_name_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", gzip.compress(CONTENTS[".csv"].encode()))
    with pytest.raises(ValueError, match=r"it is compressed: call it a\.csv\.gz"):
        read_file([path])


@pytest.mark.parametrize("form", ["file", "stream", "feather"])
def test_arrow_files_are_read_whole_or_refused(tmp_path: Path, form: str) -> None:
    table, path = pa.table({"text": list("abcdef"), "label": [0, 1] * 3}), tmp_path / "a.arrow"
    if form == "feather":
        path = tmp_path / "a.feather"
        pa.feather.write_feather(table, path, compression="uncompressed")
    else:
        with getattr(pa.ipc, f"new_{form}")(path, table.schema) as writer:
            for batch in table.to_batches(max_chunksize=2):
                writer.write_batch(batch)
    assert read_file([path]).equals(table)
    content = path.read_bytes()
    assert form != "stream" or content.endswith(END)
    for cut in range(1, len(content), 7):
        with pytest.raises(ValueError, match=rf"{path.name} is not readable as {path.suffix[1:]}"):
            read_file([written(path, content[:cut])])
    if form == "stream":
        with pytest.raises(ValueError, match=r"the stream has no end mark: it was cut off"):
            read_file([written(path, content[: -len(END)])])


FEATURES = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg"])})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with a Dataset and a DatasetDict, whose class names are not in the order of the alphabet."""
    datasets.disable_progress_bars()
    whole = datasets.Dataset.from_dict({"text": [f"t{i}" for i in range(20)], "label": [0, 1] * 10}, FEATURES)
    whole.save_to_disk(tmp_path / "one", num_shards=3)
    datasets.DatasetDict(train=whole, test=whole.select([3, 1])).save_to_disk(tmp_path / "more")
    datasets.enable_progress_bars()
    return tmp_path


def test_saved_data_sets_are_read_as_files_and_as_folders(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts = [f"t{i}" for i in range(20)]
    for task in (spec(train_file=saved / "one"), spec(data_dir=saved / "one"), spec(data_dir=saved / "more"),
                 spec(train_file=saved / "more" / "train")):  # fmt: skip
        with caplog.at_level(logging.INFO):
            splits = read_splits(task)
        assert splits["train"]["text"].to_pylist() == texts
        assert load_task(task).label_names == ("pos", "neg")
    assert read_splits(spec(data_dir=saved / "more"))["test"]["text"].to_pylist() == ["t3", "t1"]
    assert "is not used" not in caplog.text
    with pytest.raises(
        ValueError, match=r"more is a folder: set task\.data_dir=.*/more to use its splits, or task\.train"
    ):
        read_splits(spec(train_file=saved / "more"))
    (saved / "one" / "data-00001-of-00003.arrow").unlink()
    with pytest.raises(ValueError, match=r"one lacks data-00001-of-00003\.arrow, which its state\.json names"):
        read_splits(spec(train_file=saved / "one"))
    (saved / "one" / "state.json").write_text("{")
    with pytest.raises(ValueError, match=r"state\.json is damaged"):
        read_splits(spec(train_file=saved / "one"))


def test_class_names_in_the_metadata_of_files_are_the_classes(saved: Path) -> None:
    datasets.load_from_disk(str(saved / "one")).to_parquet(saved / "a.parquet")
    pq.write_table(pq.read_table(saved / "a.parquet"), saved / "a.arrow.parquet")
    task = {"validation_file": saved / "a.parquet"}
    assert load_task(spec(train_file=saved / "a.parquet", **task)).label_names == ("pos", "neg")
    assert load_task(spec(train_file=saved / "a.parquet", text=["@1"], label="@2", **task)).label_names == (
        "pos",
        "neg",
    )
    with pytest.raises(ValueError, match=r"label_names=\['neg', 'pos'\] are the classes of the data in another order"):
        load_task(spec(train_file=saved / "a.parquet", label_names=["neg", "pos"], **task))
    turned = datasets.Features({**FEATURES, "label": datasets.ClassLabel(names=["neg", "pos"])})
    datasets.Dataset.from_dict({"text": ["x"], "label": [0]}, turned).to_parquet(saved / "b.parquet")
    both = [str(saved / name) for name in ("a.parquet", "b.parquet")]
    with pytest.raises(
        ValueError, match=r"'label' has the classes \['pos', 'neg'\] in .*a\.parquet, but \['neg', 'pos'\] in"
    ):
        read_splits(spec(train_file=both))


def test_names_of_folders_are_no_columns(tmp_path: Path) -> None:
    (tmp_path / "label=x").mkdir()
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "label=x" / "a.parquet")
    assert read_file([tmp_path / "label=x" / "a.parquet"]).column_names == ["text"]


# --- folders


@pytest.mark.parametrize("name", ["dev", "valid", "val", "eval", "evaluation"])
def test_a_validation_split_has_many_names(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    for split, rows in (("train", 4), (name, 2), ("extra", 1)):
        written(tmp_path / f"{split}.csv", "text,label\n" + "".join(f"{split} {i},{i % 2}\n" for i in range(rows)))
    with caplog.at_level(logging.INFO):
        splits = read_splits(spec(data_dir=tmp_path))
    assert splits["validation"]["text"].to_pylist() == [f"{name} 0", f"{name} 1"]
    assert f"own: the validation split is {name} (task.splits.validation=null: a part of train)" in caplog.text
    assert "extra.csv is not used: +task.splits.extra=extra evaluates on it, task.validation_file=" in caplog.text
    assert set(read_splits(spec(data_dir=tmp_path, splits={"train": "train", "validation": None}))) == {"train"}
    more = {"train": "train", "validation": "validation", "other": name, "extra": "extra"}
    assert set(read_splits(spec(data_dir=tmp_path, splits=more))) == {"train", "other", "extra"}
    written(tmp_path / "validation.csv", "text,label\nplain,0\n")
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert read_splits(spec(data_dir=tmp_path))["validation"]["text"].to_pylist() == ["plain"]
    assert f"{name}.csv is not used" in caplog.text


def test_two_validation_splits_are_refused(tmp_path: Path) -> None:
    for name in ("train", "dev", "val"):
        written(tmp_path / f"{name}.csv", "text,label\na,0\n")
    with pytest.raises(ValueError, match=r"holds dev and val, .* set task\.splits\.validation=dev or val, or null"):
        read_splits(spec(data_dir=tmp_path))
    chosen = spec(data_dir=tmp_path, splits={"train": "train", "validation": "val"})
    assert set(read_splits(chosen)) == {"train", "validation"}


def test_many_columns_are_read_in_time(tmp_path: Path) -> None:
    """Ten thousand took minutes: each name was looked for among all."""
    names = ["text", "label", *(f"column {k}" for k in range(9_998))]
    path = written(tmp_path / "a.csv", ",".join(names) + "\n" + ",".join(np.arange(10_000).astype(str)) + "\n")
    assert read_file([path], needed=names).column_names == names
