"""One input for each kind of fault that 0.1.0 had: is it right here? `python benchmarks/faults.py [--code FOLDER]`.

Each is a call that every version has: a command, a task that is read, a lock. It says what came, and whether that is
right; beside it stands the test of the suite that holds it right. `--code` names a checkout of another version, in which
each must be wrong, or its test could not have failed there. The exit code is 1 if any is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import fcntl
import gzip
import importlib
import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
HERE = Path(__file__).parents[1]
_asked = [sys.argv[at + 1] for at, word in enumerate(sys.argv[:-1]) if word == "--code"]
CODE = Path(_asked[0] if _asked else HERE).resolve()
sys.path.insert(0, str(CODE))  # before anything of hprune is imported

TINY = (
    "model=tiny_roberta", "model.config.hidden_size=16", "model.config.num_hidden_layers=1",
    "model.config.num_attention_heads=2", "model.config.intermediate_size=32", "model.vocab_size=300",
    "trainer.threads=1", "trainer.max_epochs=2", "data.batch_size=16", "optim.lr=5e-3", "scoring.seeds=[1,2]",
    "comparison.seeds=[11,12]",
)  # fmt: skip
Row = dict[str, Any]
Probe = Callable[["Place"], tuple[bool, object]]


@dataclass(frozen=True)
class Fault:
    """A kind of fault, the test that holds it right, and what tries it."""

    line: str
    test: str
    """File below tests/ and function."""
    probe: Probe


FAULTS: list[Fault] = []


def fault(line: str, test: str) -> Callable[[Probe], Probe]:
    """Add what tries a line: whether it is right, and what came."""

    def add(probe: Probe) -> Probe:
        FAULTS.append(Fault(line, test, probe))
        return probe

    return add


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The line that says it."""
        return ([line for line in (self.err or self.out).splitlines() if line.strip()] or [""])[-1]

    def refused(self, *words: str) -> bool:
        """Whether it ended with one line that holds these words, not with a traceback."""
        return self.code == 1 and "Traceback" not in self.err and all(word in self.err for word in words)


@dataclass(frozen=True)
class Place:
    """A folder of its own, and what is done there."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def write(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="")
        return path

    def rows(self, name: str, rows: Sequence[Row]) -> Path:
        """A CSV of these rows."""
        made = io.StringIO(newline="")
        writer = csv.DictWriter(made, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return self.write(name, made.getvalue())

    def task(self, *options: str, **values: Any) -> Any:
        """Read a task: the options are of the command line, the values what YAML would have there."""
        from hydra import compose, initialize_config_dir
        from omegaconf import OmegaConf

        from hprune.command import CONF, run_spec
        from hprune.tasks.load import load_task

        with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
            cfg = compose("train", overrides=["task=own", *options])
        for key, value in values.items():
            OmegaConf.update(cfg, f"task.{key}", value)
        return load_task(run_spec(cfg).task)

    def command(self, name: str, *options: str) -> Ended:
        """Run a command in this process."""
        out, err, argv, code = io.StringIO(), io.StringIO(), sys.argv, 0
        handlers = list(logging.getLogger().handlers)
        sys.argv = [f"hprune.{name}", *options, f"paths.root={self.root}"]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                importlib.import_module(f"hprune.{name}").main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
            err.write(stop.code if isinstance(stop.code, str) else "")
        except BaseException:
            code = 70
            err.write(traceback.format_exc())
        finally:
            sys.argv = argv
            logging.getLogger().handlers[:] = handlers
            logging.disable(logging.NOTSET)
        return Ended(code, out.getvalue(), err.getvalue())

    def must(self, name: str, *options: str) -> Ended:
        """Run a command that prepares what is tried."""
        ended = self.command(name, *options)
        if ended.code:
            raise RuntimeError(f"{name} {options} ends with {ended.code}: {ended.err[-2000:]}")
        return ended

    @contextlib.contextmanager
    def process(self, name: str, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command in a process group of its own, which is ended at the end."""
        command = [sys.executable, "-m", f"hprune.{name}", *options, f"paths.root={self.root}"]
        made = subprocess.Popen(
            command, cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(CODE), **environment}, start_new_session=True,
        )  # fmt: skip
        try:
            yield made
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(made.pid, signal.SIGKILL)
            made.communicate()

    def run(self, seed: int, subset: str = "full") -> Path:
        """The folder of a run."""
        (found,) = self.root.glob(f"runs/*/*/{subset}-*/seed={seed}")
        return found


def waited(for_what: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    """What there is once it is there, at most two minutes later."""
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if found := for_what():
            return found
        time.sleep(0.02)
    raise RuntimeError("it did not come: " + (process.communicate()[1] if process.poll() is not None else ""))


def died(act: Callable[[], Any], dies: Callable[[Path, Path], bool]) -> None:
    """Do something in a child that is killed in place of a rename."""
    child = os.fork()
    if child == 0:
        before = os.replace

        def replace(source: Any, target: Any, **more: Any) -> None:
            if dies(Path(source), Path(target)):
                os.kill(os.getpid(), signal.SIGKILL)
            before(source, target, **more)

        os.replace = os.rename = replace
        with contextlib.suppress(BaseException):
            act()
        os._exit(0)
    if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
        raise RuntimeError("it was not killed")


def plain_rows(size: int = 60) -> list[Row]:
    """Short texts of two classes."""
    from hprune.tasks.demo_corpus import generate

    made = generate("train", num_samples=size).to_pydict()
    return [{"text": text.translate({ord(sign): None for sign in ",;|"}) + f" {i}", "label": ("no", "yes")[label]}
            for i, (text, label) in enumerate(zip(made["sentence"], made["label"], strict=True))]  # fmt: skip


def by_text(data: Any) -> dict[str, str]:
    """The name of the class of each text, in every split."""
    pairs: dict[str, str] = {}
    for table in (data.train, *data.evaluation.values()):
        for text, label in zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True):
            pairs[text] = data.label_names[label]
    return pairs


def came(act: Callable[[], object]) -> object:
    """What it gives, or the error of ours that it ends with."""
    try:
        return act()
    except (ValueError, OSError) as error:
        return f"{type(error).__name__}: {error}"


def said(what: object, *words: str) -> bool:
    return isinstance(what, str) and what.startswith(("ValueError", "OSError")) and all(word in what for word in words)


# ---------------------------------------------------------------- 1. data comes in as it is


@fault("F01: a TSV has no quotation", "tasks/test_reading.py::test_a_tsv_has_no_quotation")
def _(at: Place) -> tuple[bool, object]:
    rows = [f'{quote}text {i}\t{("neg", "pos")[i % 2]}' for i, quote in enumerate(["", "", '"', *[""] * 9, '"'] + [""] * 11)]
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
    found = came(lambda: by_text(at.task(f"task.train_file={file}", "task.label=mood", label_names=[False, True]))["yes day 1"])
    return found == "yes", found


TICKETS = [
    {"id": f"{i:06}", "big": f"1000000000000000000{i % 10}", "time": f"10:{i:02}", "price": f"{i}.50",
     "flag": ("FALSE", "TRUE")[i % 2], "day": f"2021-01-{i % 28 + 1:02}", "gone": ("NA", "")[i % 2], "text": f"a word {i}", "label": ("x", "y")[i % 2]}
    for i in range(60)
]  # fmt: skip


def scored(at: Place, file: Path, study: str = "s") -> None:
    """Two scoring runs on all rows of a file, and their scores."""
    where = ("task=own", f"task.train_file={file}", f"task.validation_file={file}", f"study={study}")
    for seed in (1, 2):
        at.must("train", *where, *TINY, f"seed={seed}")
    at.must("score", f"study={study}")


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


@fault("F06: nested texts that look like dates", "tasks/test_reading.py::test_nested_texts_that_look_like_dates_are_texts")
def _(at: Place) -> tuple[bool, object]:
    from hprune.tasks.source import read_file

    file = at.write("a.jsonl", "".join(json.dumps({"text": "a", "meta": {"days": ["2016-07-01"]}}) + "\n" for _ in range(3)))
    found = read_file([file])["meta"].to_pylist()[0]["days"][0]
    return found == "2016-07-01", repr(found)


def model_of(kind: str, more: Row, limit: Any) -> object:
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


BERT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
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
    return at.rows("mood.csv", [{"text": f"{values[i % len(values)]} day {i}", "mood": values[i % len(values)]}
                                for i in range(30)])  # fmt: skip


@fault("F08: -1, 0, 1 with three names", "tasks/test_labels.py::test_labels_are_read_by_value")
def _(at: Place) -> tuple[bool, object]:
    found = by_text(at.task(f"task.train_file={moods(at, '-1', '0', '1')}", "task.label=mood", "task.label_names=[neg,neu,pos]"))
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


@fault("labels: a ClassLabel's names in another order", "tasks/test_labels.py::test_what_could_mean_two_things_is_refused")
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
    return "".join(f"{sign.join(map(str, row.values()))}\n" for row in [dict.fromkeys(("text", "label"), 0), *plain_rows()]).replace(
        f"0{sign}0", f"text{sign}label", 1)  # fmt: skip


@fault("delimiters ; tab |", "tasks/test_reading.py::test_the_delimiter_is_found_and_named")
def _(at: Place) -> tuple[bool, object]:
    signs = {"semicolon.csv": ";", "tab.csv": "\t", "pipe.csv": "|"}
    return forms(at, {name: lambda p, s=sign: p.write_text(texts_with(s)) for name, sign in signs.items()})  # type: ignore[misc]


@fault(".csv.gz, .jsonl.gz, .zst, .ndjson", "tasks/test_reading.py::test_compressed_files_are_read_and_damage_is_told_on_one_line")
def _(at: Place) -> tuple[bool, object]:
    import pyarrow as pa

    comma, lines = texts_with(",").encode(), "".join(json.dumps(row) + "\n" for row in plain_rows()).encode()

    def zst(path: Path) -> None:
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(comma)

    return forms(at, {"a.csv.gz": lambda p: p.write_bytes(gzip.compress(comma)), "b.jsonl.gz": lambda p: p.write_bytes(gzip.compress(lines)),
                      "c.csv.zst": zst, "d.ndjson": lambda p: p.write_bytes(lines)})  # fmt: skip


@fault(".arrow, folders by save_to_disk", "tasks/test_reading.py::test_saved_data_sets_are_read_as_files_and_as_folders")
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


@fault("SQuAD's own JSON", "tasks/test_reading.py::test_squads_own_form_has_a_row_a_question")
def _(at: Place) -> tuple[bool, object]:
    made = {"data": [{"title": "t", "paragraphs": [
        {"context": "My hat is red .", "qas": [{"id": f"q{i}", "question": "?", "answers": [{"text": "red", "answer_start": 10}]}
                                               for i in range(20)]}]}]}  # fmt: skip
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
    rows = [{"article": "sums", "question": f"{i} + 1?", "options": [i, i + 1, i + 2, i + 3], "answer": "B"} for i in range(20)]
    file = at.write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    found = came(lambda: at.task("task=race", f"task.train_file={file}").train["options"].to_pylist()[0][1])
    return isinstance(found, str) and found.isdigit(), found


# ---------------------------------------------------------------- models


def small_model(folder: Path) -> Path:
    """A folder with a small BERT and its tokenizer."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from hprune.training.spec import ModelSpec
    from hprune.training.tokenizer import load_tokenizer

    spec = ModelSpec("tiny", config={"model_type": "bert", **BERT}, vocab_size=300)
    tokenizer = load_tokenizer(spec, lambda: ["a good day", "a bad day"] * 30)
    torch.manual_seed(0)
    BertForSequenceClassification(BertConfig(**BERT, vocab_size=len(tokenizer), max_position_embeddings=64)).save_pretrained(folder)  # type: ignore[arg-type]
    tokenizer.save_pretrained(folder)
    return folder


def trained_with(at: Place, path: Path | str, *options: str) -> Ended:
    file = at.rows("a.csv", plain_rows())
    return at.command("train", "task=own", f"task.train_file={file}", *[o for o in TINY if not o.startswith("model")],
                      f"model.path={path}", "study=s", "seed=1", *options)  # fmt: skip


@fault("the name of what is loaded", "test_model_name.py::test_what_the_commands_call_a_model")
def _(at: Place) -> tuple[bool, object]:
    ended = trained_with(at, small_model(at.folder / "all-MiniLM-L6-v2"), "model=roberta_base")
    found = [path.parts[-3] for path in at.root.glob("runs/*/*/*/seed=1")]
    return bool(found) and "roberta" not in found[0], found or ended.last


@fault("a LoRA adapter", "training/test_model_folder.py::test_a_lora_adapter_is_added_into_its_base")
def _(at: Place) -> tuple[bool, object]:
    import peft
    from transformers import AutoModelForSequenceClassification

    base = small_model(at.folder / "base")
    config: Any = peft.LoraConfig(r=2, target_modules=["query", "value"], task_type="SEQ_CLS")
    adapted: Any = peft.get_peft_model(AutoModelForSequenceClassification.from_pretrained(base), config)
    adapted.save_pretrained(at.folder / "lora")
    ended = trained_with(at, at.folder / "lora", "model=minilm")
    return ended.code == 0, ended.last


@fault("a folder with remote code", "training/test_model_folder.py::test_code_that_comes_with_a_model_is_never_run")
def _(at: Place) -> tuple[bool, object]:
    folder = small_model(at.folder / "mine")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C"}}))
    (folder / "mine.py").write_text("raise SystemExit('it was run')")
    ended = trained_with(at, folder, "model=minilm")
    return ended.refused("code of its own") and "it was run" not in ended.err, ended.last


@fault("a sentence-transformers folder", "training/test_model_folder.py::test_a_model_for_sentence_embeddings")
def _(at: Place) -> tuple[bool, object]:
    small_model(at.folder / "embedder" / "0_Transformer")
    at.write("embedder/modules.json", json.dumps([{"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}]))
    ended = trained_with(at, at.folder / "embedder", "model=minilm")
    return ended.code == 0, ended.last


@fault("GGUF", "training/test_gguf.py::test_what_is_no_whole_gguf_model_is_refused")
def _(at: Place) -> tuple[bool, object]:
    at.write("packed/model.gguf", "GGUF and so on")
    ended = trained_with(at, at.folder / "packed", "model=minilm")
    return ended.refused("packed") and "config.json" not in ended.err, ended.last


@fault("paths that are printed can be pasted", "storage/test_override.py::test_the_way_out_of_a_message_can_be_pasted")
def _(at: Place) -> tuple[bool, object]:
    import shlex

    from hydra.core.override_parser.overrides_parser import OverridesParser

    scored(at, at.rows("a.csv", plain_rows()))
    out = at.folder / "June (2), a=b.csv"
    told = at.must("triage", "study=s", "values=0..S", f'out="{out}"').err
    (line,) = [line for line in told.splitlines() if "then: " in line]
    words = [word for word in shlex.split(line.partition("then: ")[2], comments=False) if "=" in word]
    try:
        found = {o.key_or_group: str(o.value()) for o in OverridesParser.create().parse_overrides(words)}
    except Exception as error:
        return False, f"{' '.join(words[2:])}: {type(error).__name__}"
    return found.get("read") == str(out), line.partition("then: ")[2]


@fault("names with signs", "test_overrides.py::test_what_is_wrong_is_told_in_one_line")
def _(at: Place) -> tuple[bool, object]:
    file = at.rows("a.csv", [{"a=b": row["text"], "label": row["label"]} for row in plain_rows()])
    ended = at.command("train", "task=own", f"task.train_file={file}", *TINY, "task.text=[a=b]", "study=s", "seed=1")
    return ended.refused("in quotes: write"), ended.err.strip().splitlines()[0]


@fault("columns by position", "tasks/test_labels.py::test_columns_are_given_by_their_places")
def _(at: Place) -> tuple[bool, object]:
    file = at.rows("a.csv", plain_rows())
    found = came(lambda: len(by_text(at.task(f"task.train_file={file}", "task.text=[@1]", "task.label=@2"))))
    return found == 60, found


# ---------------------------------------------------------------- wide and many


@fault("10,000 columns", "tasks/test_reading.py::test_many_columns_are_read_in_time")
def _(at: Place) -> tuple[bool, object]:
    seconds = {}
    for columns in (500, 2000):
        file = at.rows(f"{columns}.csv", [row | {f"c{i}": i for i in range(columns)} for row in plain_rows(20)])
        start = time.perf_counter()
        at.task(f"task.train_file={file}", "task.validation_fraction=0.2")
        seconds[columns] = round(time.perf_counter() - start, 2)
    return seconds[2000] < max(8 * seconds[500], 1), f"seconds by columns: {seconds}"


@fault("20,000 classes", "tasks/test_class_metrics.py::test_of_very_many_classes_less_is_kept_and_metrics_stay")
def _(at: Place) -> tuple[bool, object]:
    import resource

    size = 4000
    rows = [{"text": f"word{i % 500}", "label": f"c{i % size}"} for i in range(2 * size)]
    file = at.rows("many.csv", rows)
    with at.process("train", "task=own", f"task.train_file={file}", f"task.validation_file={file}", *TINY, "study=s", "seed=1",
                    "data.batch_size=64") as made:  # fmt: skip
        err = made.communicate()[1]
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    if made.returncode:
        return False, f"ends with {made.returncode}: {err.strip().splitlines()[-1:]}"
    (file,) = at.root.glob("runs/*/*/*/seed=1/predictions.validation.parquet")
    return file.stat().st_size < 10 * 2**20, f"{file.stat().st_size / 2**20:.0f} MB of predictions of {size:,} classes, {used:,.0f} MB of memory"


@fault("a very long text warns", "training/test_samples.py::test_a_text_that_is_very_long_is_named_once_before_it_is_tokenised")
def _(at: Place) -> tuple[bool, object]:
    file = at.rows("a.csv", [*plain_rows(), {"text": "word " * 2_200_000, "label": "no"}])
    ended = at.command("train", "task=own", f"task.train_file={file}", f"task.validation_file={file}", *TINY, "study=s", "seed=1")
    told = [line for line in ended.err.splitlines() if "MB" in line]
    return ended.code == 0 and bool(told), told[:1] or "not a word"


# ---------------------------------------------------------------- 2. runs, checkpoints, tables


def corpus(at: Place) -> tuple[str, ...]:
    file = at.folder / "a.csv"
    if not file.exists():
        at.rows("a.csv", plain_rows())
    return ("task=own", f"task.train_file={file}", f"task.validation_file={file}", *TINY, "study=s")


LONG = ("trainer.max_epochs=60", "trainer.checkpoint_minutes=0")


def checkpointed(at: Place, seed: int) -> Path:
    """The checkpoint of a run that was killed."""
    with at.process("train", *corpus(at), *LONG, f"seed={seed}") as made:
        (file,) = waited(lambda: list(at.root.glob(f"runs/*/*/*/seed={seed}/resume.ckpt")), made)
    return Path(file)


@fault("C1: the checkpoint of another seed",
       "training/test_whose_checkpoint.py::test_a_checkpoint_in_the_place_of_another_seed_is_refused_and_the_way_out_works")  # fmt: skip
def _(at: Place) -> tuple[bool, object]:
    one, two = checkpointed(at, 1), checkpointed(at, 2)
    shutil.copy(one, two)
    ended = at.command("train", *corpus(at), *LONG, "seed=2")
    return ended.refused("seed"), f"exit {ended.code}: {ended.last}"


@fault("C1: one without the recorder's state", "training/test_whose_checkpoint.py::test_one_without_the_whole_record_is_named")
def _(at: Place) -> tuple[bool, object]:
    import torch

    file = checkpointed(at, 1)
    saved = torch.load(file, weights_only=False)
    saved["callbacks"] = {k: v for k, v in saved["callbacks"].items() if "Recorder" not in k}
    torch.save(saved, file)
    ended = at.command("train", *corpus(at), *LONG, "seed=1")
    return ended.refused("Recorder"), f"exit {ended.code}: {ended.last}"


def study(at: Place) -> None:
    """Two scoring runs and three arms of two seeds."""
    at.must("study", *corpus(at))


@fault("C2: a finished run in the place of another",
       "storage/test_bound.py::test_a_run_that_was_copied_into_the_place_of_another_is_refused")  # fmt: skip
def _(at: Place) -> tuple[bool, object]:
    study(at)
    ticket, other = at.run(11, "winning_ticket"), at.run(11, "random_like")
    shutil.rmtree(other)
    shutil.copytree(ticket, other)
    found = [at.command("report", "study=s"), at.command("study", *corpus(at))]
    return all(ended.refused("another run") for ended in found), [f"exit {ended.code}: {ended.last}" for ended in found]


@fault("C3: a seed behind the score table", "test_registered_last.py::test_a_seed_behind_the_score_table_trains_no_arm")
def _(at: Place) -> tuple[bool, object]:
    for seed in (1, 2, 3):
        at.must("train", *corpus(at), "scoring.seeds=[1,2,3]", f"seed={seed}")
    at.must("score", "study=s")
    ended = at.command("train", *corpus(at), "scoring.seeds=[1,3]", "subset=winning_ticket", "seed=2")
    return ended.refused("seed 2"), f"exit {ended.code}: {ended.last}"


PUBLISHED = "storage/test_publish.py::test_killed_at_every_call_it_completes"


@fault("C4: killed before the provenance", PUBLISHED)
def _(at: Place) -> tuple[bool, object]:
    scored(at, at.rows("a.csv", plain_rows()))
    export = ("export", "study=s", "subset=full", f"out={at.folder}/x.csv")
    died(lambda: at.command(*export), lambda _, target: target.name.endswith("x.csv.provenance.json"))
    ended = at.command(*export)
    return ended.code == 0, f"exit {ended.code}: {ended.last}"


@fault("C4: a saved data set killed while it is replaced", PUBLISHED)
def _(at: Place) -> tuple[bool, object]:
    scored(at, at.rows("a.csv", plain_rows()))
    out = at.folder / "x"
    at.must("export", "study=s", "subset=full", f"out={out}")
    died(lambda: at.command("export", "study=s", "subset=winning_ticket", f"out={out}", "overwrite=true"),
         lambda source, target: target == out and source.name.endswith(".tmp"))  # fmt: skip
    left = [place.name for place in at.folder.iterdir() if (place / "state.json").exists() and not place.name.endswith(".tmp")]
    return bool(left), f"the old one is {'at ' + left[0] if left else 'gone'}"


@fault("C4: triage killed before the provenance", "test_triage.py::test_killed_between_its_files_the_same_command_completes")
def _(at: Place) -> tuple[bool, object]:
    scored(at, at.rows("a.csv", plain_rows()))
    triage = ("triage", "study=s", "values=0..S", f"out={at.folder}/sheet.csv")
    died(lambda: at.command(*triage), lambda _, target: target.name.endswith("sheet.csv.provenance.json"))
    ended = at.command(*triage)
    return ended.code == 0, f"exit {ended.code}: {ended.last}"


@fault("C8: seed=2^63", "test_registered_last.py::test_a_seed_beyond_bounds_leaves_nothing")
def _(at: Place) -> tuple[bool, object]:
    scored(at, at.rows("a.csv", plain_rows()))
    at.command("train", *corpus(at), f"seed={2**63}")
    ended = at.command("report", "study=s")
    return ended.code == 0, f"report: exit {ended.code}: {ended.last}"


@fault("C8: a refused run", "test_registered_last.py::test_a_subset_that_cannot_be_trained_on_is_not_registered")
def _(at: Place) -> tuple[bool, object]:
    scored(at, at.rows("a.csv", plain_rows()))
    before = set(at.root.rglob("*.json"))
    ended = at.command("train", *corpus(at), f"seed={2**32}")
    left = [path.name for path in set(at.root.rglob("*.json")) - before]
    return ended.code == 1 and not left, left or ended.last


@fault("C8: one damaged pointer", "test_registered_last.py::test_a_damaged_reference_or_study_hides_no_other")
def _(at: Place) -> tuple[bool, object]:
    scored(at, at.rows("a.csv", plain_rows()))
    shutil.copytree(at.root / "studies/s", at.root / "studies/t")
    next(at.root.glob("studies/t/runs/*.json")).write_text("{")
    ended = at.command("status")
    return ended.code == 0, f"status of all studies: exit {ended.code}: {ended.last if ended.code else 'shown'}"


@fault("C9: which seeds are planned", "storage/test_plan_file.py::test_the_time_of_a_pointer_says_nothing_of_the_plan")
def _(at: Place) -> tuple[bool, object]:
    from hprune.storage.studies import planned_seeds

    for seeds, seed in (("[1,2]", 1), ("[1,2,3]", 3)):
        at.must("train", *corpus(at), f"scoring.seeds={seeds}", f"seed={seed}")
    first = next(at.root.glob("studies/s/runs/*seed=1.*.json"))
    os.utime(first, (time.time() + 60,) * 2)  # as a copy does that keeps no times
    found = planned_seeds(at.root, "s")
    return list(found) == [1, 2, 3], f"planned are {list(found)}, not [1, 2, 3]"


@fault("C10: a flipped bit in the cache of tokens", "data/test_tokenise.py::test_one_flipped_bit_in_a_cached_table_is_seen")
def _(at: Place) -> tuple[bool, object]:
    at.must("train", *corpus(at), "seed=1")
    right = (at.run(1) / "record.train_pass.parquet").read_bytes()
    shutil.rmtree(at.run(1))
    for file in at.root.glob("cache/tokens/*/input_ids.npy"):
        content = bytearray(file.read_bytes())
        content[-4] ^= 1
        content[-24] ^= 4
        file.write_bytes(content)
    at.must("train", *corpus(at), "seed=1")
    same = (at.run(1) / "record.train_pass.parquet").read_bytes() == right
    return same, "the same record" if same else "another record under the same identity"


@fault("C11: the CPU's instructions in run.json", "storage/test_manifests.py::test_versions_name_what_a_run_depends_on")
def _(at: Place) -> tuple[bool, object]:
    at.must("train", *corpus(at), "seed=1")
    versions = json.loads((at.run(1) / "run.json").read_text())["versions"]
    return "cpu" in versions, sorted(versions)


def seal(file: Path, content: Row) -> None:
    """Write a run.json as if a run had; where there are digests, with the one of its content."""
    from hprune.storage import manifests

    made = getattr(manifests, "sealed", dict)(content)
    file.write_text(json.dumps(made))


@fault("C13: hprune's version in run.json", "storage/test_manifests.py::test_versions_name_what_a_run_depends_on")
def _(at: Place) -> tuple[bool, object]:
    at.must("train", *corpus(at), "seed=1")
    versions = json.loads((at.run(1) / "run.json").read_text())["versions"]
    return "hprune" in versions, sorted(versions)


@fault("C13: runs of different versions", "storage/test_manifests.py::test_the_report_says_so")
def _(at: Place) -> tuple[bool, object]:
    study(at)
    file = at.run(11, "winning_ticket") / "run.json"
    content = json.loads(file.read_text())
    content["versions"]["torch"] = "1.0"
    seal(file, content)
    told = at.must("report", "study=s").out
    return "1.0" in told and "version" in told, "told" if "1.0" in told else "not a word in the report"


@fault("F3: edited metrics", "storage/test_manifests.py::test_an_edited_manifest_is_refused_with_a_way_out")
def _(at: Place) -> tuple[bool, object]:
    study(at)
    file = at.run(11, "winning_ticket") / "run.json"
    content = json.loads(file.read_text())
    content["metrics"]["validation"]["accuracy"] = 0.999
    file.write_text(json.dumps(content))
    ended = at.command("report", "study=s")
    return ended.refused("altered after the run"), f"exit {ended.code}: {ended.last}"


@fault("`hprune verify`", "test_verify.py::test_what_does_not_fit_is_named")
def _(at: Place) -> tuple[bool, object]:
    scored(at, at.rows("a.csv", plain_rows()))
    ended = at.command("verify")
    return ended.code == 0, ended.last


@fault("C5: links that lead out", "test_received.py::test_nothing_is_written_through_a_link_that_leads_out")
def _(at: Place) -> tuple[bool, object]:
    study(at)
    outside = at.write("outside/mine", "not yours")
    report = at.root / "studies/s/report.html"
    report.unlink()
    shutil.move(at.root / "cache", at.folder / "outside/cache")
    (at.root / "cache").symlink_to(at.folder / "outside/cache")
    log = at.run(11) / "log.txt"
    log.unlink(missing_ok=True)
    log.symlink_to(outside)
    shutil.rmtree(at.folder / "outside/cache/tokens", ignore_errors=True)
    at.command("report", "study=s")
    (at.run(11) / "run.json").unlink()
    ended = at.command("train", *corpus(at), "seed=11")
    written = sorted(path.name for path in (at.folder / "outside").rglob("*") if path.name not in ("mine", "cache"))
    changed = outside.read_text() != "not yours"
    return not written and not changed and ended.code == 1, f"written outside: {written or ['mine'] * changed or 'nothing'}"


@fault("C12: a hub id in a received study",
       "test_received.py::test_files_and_hub_ids_of_a_study_that_came_from_elsewhere_are_asked_for")  # fmt: skip
def _(at: Place) -> tuple[bool, object]:
    from hprune.tasks import source

    study(at)
    for file in at.root.glob("runs/**/run.json"):
        content = json.loads(file.read_text())
        content["config"]["task"] |= {"hub_id": "somebody/their_set", "train_file": None, "validation_file": None}
        seal(file, content)
    plan = at.root / "studies/s/plan.json"
    plan.unlink(missing_ok=True)
    asked, before = [], source._read_hub

    def hub(spec: Any) -> Any:
        asked.append(spec.hub_id)
        raise ValueError("not there")

    source._read_hub = hub
    try:
        ended = at.command("export", "study=s", "subset=full", f"out={at.folder}/x.csv")
    finally:
        source._read_hub = before
    return not asked and ended.refused("trust_code=true"), f"looked up: {asked or 'nothing'}; {ended.last}"


@fault("F1: a root that cannot be written", "test_received.py::test_a_root_that_cannot_be_written_is_read")
def _(at: Place) -> tuple[bool, object]:
    study(at)
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    start = ["unshare", "--mount", "sh", "-c", mount, str(at.root)] if os.geteuid() == 0 else []
    if not start:
        for place in (at.root, *at.root.rglob("*")):
            place.chmod(0o555 if place.is_dir() else 0o444)
    codes = {}
    for command, *more in (("status",), ("export", "study=s", "subset=full", f"out={at.folder}/x.csv")):
        done = subprocess.run([*start, sys.executable, "-m", f"hprune.{command}", *more, f"paths.root={at.root}"], cwd=at.folder,
                              text=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(CODE)}, check=False)  # fmt: skip
        codes[command] = done.returncode or 0
    for place in (at.root, *at.root.rglob("*")):
        place.chmod(0o755)
    return not any(codes.values()), f"exit codes {codes}"


@fault("F2: a run whose folder is removed",
       "training/test_run.py::test_a_run_whose_folder_is_removed_ends_by_name_and_makes_no_new_one")  # fmt: skip
def _(at: Place) -> tuple[bool, object]:
    with at.process("train", *corpus(at), *LONG, "seed=1") as made:
        (file,) = waited(lambda: list(at.root.glob("runs/*/*/*/seed=1/resume.ckpt")), made)
        os.kill(made.pid, signal.SIGSTOP)
        shutil.rmtree(file.parent)
        os.kill(made.pid, signal.SIGCONT)
        _, err = made.communicate(timeout=300)
    left = sorted(path.name for path in file.parent.iterdir()) if file.parent.exists() else []
    return made.returncode == 1 and not left and "Traceback" not in err, f"exit {made.returncode}, in the new folder: {left}"


@fault("F4: data that changed", "test_moved_data.py::test_the_report_says_that_data_are_gone_or_others")
def _(at: Place) -> tuple[bool, object]:
    study(at)
    at.rows("a.csv", [*plain_rows(59), {"text": "another", "label": "no"}])
    told = " ".join(at.must("report", "study=s").out.split())
    return "changed since" in told, "told" if "changed since" in told else "not a word in the report"


def locking(at: Place, flock: Callable[..., Any], owner: Row | None) -> object:
    """Enter a folder of another owner, with another flock."""
    from hprune.storage.lock import locked

    folder, before = at.folder / "run", fcntl.flock
    folder.mkdir(exist_ok=True)
    if owner is not None:
        (folder / ".owner.json").write_text(json.dumps(owner))
    fcntl.flock = flock
    try:
        with locked(folder):
            return "entered"
    except (ValueError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        fcntl.flock = before


LOCKS = "storage/test_lock.py::test_no_locks_are_one_line_with_place_and_way_out"


def refuses(number: int) -> Callable[..., Any]:
    def flock(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    return flock


@fault("flock fails with ENOLCK", LOCKS)
def _(at: Place) -> tuple[bool, object]:
    import errno

    found = str(locking(at, refuses(errno.ENOLCK), None))
    return "without locks" in found and "paths.root=" in found, found


@fault("flock fails with EOPNOTSUPP", LOCKS)
def _(at: Place) -> tuple[bool, object]:
    import errno

    found = str(locking(at, refuses(errno.EOPNOTSUPP), None))
    return "without locks" in found and "paths.root=" in found, found


@fault("flock always succeeds", "storage/test_lock.py::test_a_second_start_on_this_machine_touches_nothing")
def _(at: Place) -> tuple[bool, object]:
    """Two starts of one run at once, where the first sleeps in the folder."""
    here = "import fcntl, sys, time\nfcntl.flock = lambda *_: None\nfrom pathlib import Path\nfrom hprune.storage.lock import locked\n"
    hold = here + "with locked(Path('run')):\n    print('in', flush=True)\n    time.sleep(60)\n"
    with subprocess.Popen([sys.executable, "-c", hold], cwd=at.folder, text=True, stdout=subprocess.PIPE,
                          env={**os.environ, "PYTHONPATH": str(CODE)}) as first:  # fmt: skip
        assert first.stdout is not None
        first.stdout.readline()
        found = str(locking(at, lambda *_: None, None))
        first.kill()
    return "is being worked on by process" in found, found


@fault("a content security policy", "reporting/test_page.py::test_a_policy_allows_what_the_page_holds_and_nothing_else")
def _(at: Place) -> tuple[bool, object]:
    study(at)
    page = (at.root / "studies/s/report.html").read_text()
    return "Content-Security-Policy" in page, "in the page" if "Content-Security-Policy" in page else "none in the page"


@fault("data.workers=2, ended and resumed", "test_interrupt.py::test_interrupted_and_terminated_and_the_same_command_again")
def _(at: Place) -> tuple[bool, object]:
    lines = 0
    for _ in range(3):
        with at.process("train", *corpus(at), *LONG, "trainer.max_epochs=100", "data.workers=2", "seed=1") as made:
            before = {file.stat().st_mtime_ns for file in at.root.glob("runs/*/*/*/seed=1/resume.ckpt")}
            waited(lambda b=before: {f.stat().st_mtime_ns for f in at.root.glob("runs/*/*/*/seed=1/resume.ckpt")} - b, made)  # type: ignore[misc]
            os.killpg(made.pid, signal.SIGTERM)
            lines += made.communicate(timeout=60)[1].count("Traceback")
    return lines == 0, f"{lines} tracebacks in three ends"


# ---------------------------------------------------------------- the table


def tried(one: Fault, folder: Path) -> tuple[bool, str]:
    """Whether it is right, and what came, in one line."""
    folder.mkdir()
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    try:
        right, what = one.probe(Place(folder))
    except Exception as error:
        right, what = False, f"{type(error).__name__}: {error}"
    told = " ".join(str(what).replace(f"{folder}/", "").split()).replace("|", "\\|")
    return right, told if len(told) <= 1220 else told[:217] + "..."


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--code", help="a checkout of another version")
    parser.add_argument("--only", default="", help="lines that hold this")
    options = parser.parse_args()
    import hprune

    if not Path(hprune.__file__).is_relative_to(CODE):
        raise SystemExit(f"{hprune.__file__} is not of {CODE}")
    wrong = 0
    print("| line | test | right | what came |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as work:
        for number, one in enumerate(FAULTS):
            if options.only in one.line:
                right, told = tried(one, Path(work) / str(number))
                wrong += not right
                print(f"| {one.line} | {one.test} | {'yes' if right else 'no'} | {told} |", flush=True)
    print(f"\n{wrong} of {sum(options.only in one.line for one in FAULTS)} are wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
