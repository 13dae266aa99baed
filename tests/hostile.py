"""Input that is wrong by accident or on purpose, and what must become of it.

The law: our own failure (`ValueError`, `OSError`, `FloatingPointError`) or success comes out, nothing else, in a few
seconds, and after a failure there is no file that was not there before. `tests/test_fuzz.py` tries some cases of every
target, `benchmarks/fuzz.py` very many.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import logging
import shlex
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue
from rich.console import Console

from hprune import status
from hprune.command import CONF, check_sections, instantiate, plain, run_spec
from hprune.composition import check_arms
from hprune.data.checks import check_seeds, check_whole
from hprune.data.tokenise import TokenTable, cached_tokens
from hprune.export import check_writing, subset_of
from hprune.overrides import overrides_of
from hprune.report import data_of_study, task_of_study
from hprune.reporting.page import render_page
from hprune.reporting.summary import summarise
from hprune.reporting.terminal import print_table
from hprune.root import root_of
from hprune.science.records import RunKey, RunRecord, Subset
from hprune.science.scores.h_score import h_score
from hprune.science.subset import SubsetSpec, choose
from hprune.score import ScoreSpec, instantiate_spec, score_study
from hprune.storage.exports import SUFFIXES, check_target, write_export
from hprune.storage.files import write_table
from hprune.storage.manifests import read_identity
from hprune.storage.override import override
from hprune.storage.places import local_path
from hprune.storage.runs import finish_run, load_record, run_folder, save_record, save_subset, start_run
from hprune.storage.scores import load_scores, score_path, scores_for
from hprune.storage.studies import add_run, runs_of
from hprune.tasks.classification import Classification
from hprune.tasks.extractive_qa import ExtractiveQA
from hprune.tasks.load import load_task
from hprune.tasks.multiple_choice import MultipleChoice
from hprune.tasks.spec import TaskSpec

OURS = (ValueError, OSError, FloatingPointError)
TOLD_BY_HYDRA = (HydraException, MissingMandatoryValue, ConfigAttributeError, ConfigKeyError)
"""What Hydra, or `hprune.command`, tells in one line, too."""
SECONDS = 10
"""A case that takes longer hangs."""
ROWS, SEEDS = 24, (1, 2, 3)


class Hang(BaseException):
    """A case did not end in time."""


@dataclass
class Tally:
    """What became of the cases of one target."""

    outcomes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Any] = field(default_factory=dict)  # the last case of each thing that must not be

    def add(self, outcome: str, why: str, case: Any) -> None:
        """Count a case."""
        self.outcomes["cases"] += 1
        self.outcomes[outcome] += 1
        if why:
            self.examples[why] = case


@dataclass(frozen=True)
class Target:
    """Something that reads input: how to draw a case, and how to try it below a folder."""

    name: str
    cases: SearchStrategy[Any]
    attempt: Callable[[Path, Any], None]


# --- what is hostile

LETTERS = st.sampled_from(
    ["", " ", "a", "=1+1", "@x", "-", "[red]", "[/foo]", "<script>alert(1)</script>", "\x00", "\x1b[31m", "\u202e",
     "é漢🙂", "${a}", "${oc.env:HOME}", "../..", "/etc/passwd", "s3://b/x", "memory://x", "file:///x", "nan", "NULL",
     "1e999", "x" * 5000]
)  # fmt: skip
TEXTS = LETTERS | st.text(max_size=20)
NUMBERS = st.sampled_from([0, 1, -1, 2**31, 2**63 - 1, 2**63, 10**30, 0.5, -0.0, 1e-300, 1e308]) | st.integers()
REALS = NUMBERS | st.floats()
SCALARS = st.none() | st.booleans() | REALS | TEXTS
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
SHARE = st.floats(0, 1, exclude_max=True)
BYTES = st.one_of(
    st.tuples(st.just("flip"), SHARE, st.integers(0, 7)),
    st.tuples(st.just("cut"), SHARE, st.just(0)),
    st.tuples(st.just("replace"), st.binary(max_size=200), st.just(0)),
    st.tuples(st.just("insert"), SHARE, st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("remove"), st.just(0), st.just(0)),
)
VALUES = st.tuples(
    st.sampled_from(["set", "delete", "whole"]), st.lists(st.integers(0, 50), min_size=1, max_size=5), JSON
)


def damaged(content: bytes, damage: tuple[Any, ...]) -> bytes | None:
    """The bytes of a file after one kind of damage; None: it is gone."""
    kind, where, what = damage
    if kind == "flip" and content:
        at = int(where * len(content))
        return content[:at] + bytes([content[at] ^ (1 << what)]) + content[at + 1 :]
    if kind in ("cut", "insert"):
        at = int(where * len(content))
        return content[:at] if kind == "cut" else content[:at] + what + content[at:]
    if kind in ("set", "delete", "whole"):
        return json.dumps(_changed(json.loads(content), kind, where, what)).encode()
    return where if kind == "replace" else None if kind == "remove" else content


def _changed(content: Any, kind: str, steps: list[int], value: Any) -> Any:
    """JSON with another value somewhere, found by counting at each level."""
    if kind == "whole":
        return value
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else []
    if not keys:
        return value
    key = list(keys)[steps[0] % len(keys)]
    if len(steps) > 1 and isinstance(content[key], (dict, list)):
        content[key] = _changed(content[key], kind, steps[1:], value)
    elif kind == "delete":
        del content[key]
    else:
        content[key] = value
    return content


# --- a study that nobody trained


def make_study(root: Path) -> None:
    """A root with study `s`: three scoring runs, two arms of two seeds, one failed run, a score table."""
    file = root / "train.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("text,label\n" + "".join(f"sample {i},{'ny'[i % 2]}\n" for i in range(ROWS)))
    overrides = ["task=own", f"task.train_file={file}", f"task.validation_file={file}", "model=tiny_roberta"]
    spec = run_spec(composed("train", *overrides))
    data = load_task(spec.task)
    ids = data.train["sample_id"].to_numpy().copy()
    for arm, seeds in (("full", SEEDS), ("full", (11, 12)), ("winning_ticket", (11, 12))):
        for seed in seeds:
            rule = {"rule": "everything"} if arm == "full" else {"rule": "by_value", "scores": "0" * 64}
            key, purpose = RunKey("own", "tiny", arm, seed), "scoring" if seed in SEEDS else "comparison"
            folder = run_folder(root, key, {"lr": 0.1, "subset": rule})
            add_run(root, "s", folder, purpose, SEEDS)
            start_run(folder)
            kept = ids if arm == "full" else ids[::2].copy()
            save_record(folder, _record(key, folder.settings_hash, data.data_hash, kept))
            save_subset(folder, Subset(arm, kept.copy(), data.data_hash, {"rule": "everything"}))
            write_table(folder.path / "predictions.validation.parquet", pa.table({"sample_id": ids, "label": ids % 2}))
            accuracy = 0.8 + 0.01 * seed
            finish_run(folder, {
                "data_hash": data.data_hash, "label_names": list(data.label_names), "samples": kept.size,
                "full_samples": ids.size, "primary_metric": "accuracy", "epochs": [{"loss": 0.5}],
                "metrics": {"validation": {"accuracy": accuracy, "macro_f1": accuracy / 2}}, "text_columns": ["text"],
                "subset": {} if arm == "full" else {"scores": "h_score", "seeds": list(SEEDS), "epochs": 2},
                "cost": {"train_seconds": 1.5}, "config": dict(spec.config), "versions": {"python": "3"},
            })  # fmt: skip
    for made in root.glob(
        "runs/**/run.json"
    ):  # as 0.1.0 left them: a digest would refuse every change before its shape
        made.write_text(json.dumps({k: v for k, v in json.loads(made.read_text()).items() if k != "digest"}))
    failed = run_folder(root, RunKey("own", "tiny", "other", 11), {"lr": 0.1, "subset": {"rule": "other"}})
    add_run(root, "s", failed, "comparison", SEEDS)
    start_run(failed)
    (failed.path / "failure.json").write_text('{"message": "ValueError: no", "time": "now"}')
    (failed.path / "resume.ckpt").write_bytes(b"PK\x03\x04 an epoch")
    score_study(root, "s", ScoreSpec("h_score", h_score, "easier"))


def _record(key: RunKey, settings_hash: str, data_hash: str, ids: Any) -> RunRecord:
    right = np.broadcast_to(ids >= 4 * (key.seed % 4), (2, ids.size)).copy()
    real = [np.full(right.shape, value, dtype=np.float32) for value in (0.5, 0.1, 1.0)]
    return RunRecord(
        key, ids.copy(), right, *real, measured="train_pass", data_hash=data_hash, settings_hash=settings_hash
    )


def composed(command: str, *overrides: str) -> Any:
    """The config of a command, as if typed."""
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        return compose(command, overrides=list(overrides))


# --- what is tried


def show_status(root: Path) -> None:
    """As `hprune.status`."""
    console = Console(file=io.StringIO(), width=140, markup=False, emoji=False)
    console.print(status._studies(root, ["s"]))
    console.print(status._runs(*status._everything(root, ["s"])))


def show_report(root: Path) -> None:
    """As `hprune.report`, without the page, which takes its time."""
    report = summarise(root, "s", data_of_study(root, "s"))
    json.dumps(report, allow_nan=False).encode()
    with contextlib.redirect_stdout(io.StringIO()):
        print_table(report)


def show_page(root: Path) -> None:
    """As `hprune.report`, the page only."""
    render_page(summarise(root, "s", data_of_study(root, "s"))).encode()


def score(root: Path) -> None:
    """As `hprune.score`, under a new name."""
    score_study(root, "s", ScoreSpec("again", h_score, "easier"))


def select(root: Path) -> None:
    """As `hprune.export`, up to the file."""
    data = load_task(task_of_study(root, "s"))
    spec: SubsetSpec = instantiate(composed_once("export", "study=s", "out=x.csv").subset)
    scores = scores_for(spec, root=root, study="s")
    ids, labels = data.train["sample_id"].to_numpy().copy(), data.train["label"].to_numpy()
    facts: dict[str, Any] = {"label_names": data.label_names, "data_hash": data.data_hash, "seed": 1}
    choose(spec, scores, sample_ids=ids, labels=labels, **facts)


def read_records(root: Path) -> None:
    """Every record as a whole, and what a run claims to be."""
    for run in runs_of(root, "s"):
        if (run.path / "run.json").exists():
            load_record(run.path, "train_pass")
        read_identity(run.path)


def go_on(root: Path) -> None:
    """As a scoring run of other settings that would join the study."""
    add_run(root, "s", run_folder(root, RunKey("own", "tiny", "full", 4), {"lr": 0.2}), "scoring", SEEDS)


ACTIONS = {f.__name__: f for f in (show_status, show_report, score, select, read_records, go_on)}
SLOW = {"show_page": show_page}


def _study_target(name: str, patterns: str, damage: SearchStrategy[Any]) -> Target:
    """Files of a study, damaged before something is done with it."""

    def attempt(root: Path, case: tuple[int, Any, str]) -> None:
        which, how, action = case
        files = sorted(file for one in patterns.split() for file in root.glob(one))
        file = files[which % len(files)]
        new = damaged(file.read_bytes(), how)
        file.unlink() if new is None else file.write_bytes(new)
        ({**ACTIONS, **SLOW})[action](root)

    actions = st.sampled_from([*ACTIONS] * 6 + [*SLOW])
    return Target(name, st.tuples(st.integers(0, 20), damage, actions), attempt)


KINDS = {"one text": (Classification(), ["text"]), "question": (ExtractiveQA(), ["text", "more"]),
         "choice": (MultipleChoice(), ["text", "more"])}  # fmt: skip
OBJECTS = st.dictionaries(st.sampled_from(["text", "answer_start", "a"]), st.lists(SCALARS, max_size=2), max_size=3)
CELLS = SCALARS | st.binary(max_size=5) | st.lists(TEXTS, max_size=4) | OBJECTS
ANSWERS = {"text": st.lists(TEXTS, max_size=2), "answer_start": st.lists(st.integers(-1, 9), max_size=2)}
COLUMN = st.one_of(*(st.lists(st.none() | cell, min_size=6, max_size=6) for cell in (
    TEXTS, NUMBERS, st.floats(), st.booleans(), st.sampled_from(["yes", "no"]), st.integers(-1, 3), st.dates(), CELLS,
    st.binary(max_size=5), st.lists(TEXTS, min_size=4, max_size=4), st.fixed_dictionaries(ANSWERS),
)))  # fmt: skip
NAMES = st.sampled_from(["text", "label", "more", "options", "sample_id", "", "=x", "\x00", "hprune:row"])
ALIKE = st.sampled_from(["a", "b", "c d", "é"])
FULL = st.fixed_dictionaries({
    "text": st.lists(ALIKE, min_size=40, max_size=40), "more": st.lists(ALIKE | TEXTS, min_size=40, max_size=40),
    "label": st.sampled_from([[0, 1] * 20, ["yes", "no"] * 20, [{"text": ["a"], "answer_start": [0]}] * 40]),
    "options": st.just([["a", "b", "c", "d"]] * 40),
})  # fmt: skip
"""Tables that can be read: what is wrong is somewhere else."""
ODD = st.dictionaries(NAMES, COLUMN, min_size=1, max_size=4) | st.fixed_dictionaries(
    {"text": COLUMN, "label": COLUMN}, optional={"more": COLUMN, "options": COLUMN}
)
WHOLE = st.booleans()
TABLES = WHOLE.flatmap(lambda whole: FULL if whole else ODD)
OTHERS = ["utf-8-sig", "latin-1", "utf-16", "cp037", "nonsense", "base64", "rot13", ""]
ENCODINGS = st.sampled_from(["utf8"] * 8 + OTHERS)


def _try_file(root: Path, case: dict[str, Any]) -> None:
    """Read a data file of any form, after any damage, as any kind of task."""
    file = root / f"data{case['suffix']}"
    content = _file_of(case["table"], case["suffix"], case["encoding"])
    if case["damage"] is not None:
        content = damaged(content, case["damage"])
    if content is not None:
        file.write_bytes(content)
    kind, text = KINDS[case["kind"]]
    encoding = case["encoding"] if case["suffix"] in (".csv", ".tsv") else "utf8"
    load_task(TaskSpec("own", kind, text=text, train_file=str(file), encoding=encoding))


def _file_of(table: dict[str, list[Any]], suffix: str, encoding: str) -> bytes:
    """A file that holds a table as well as its form allows."""
    if suffix == ".parquet":
        columns = {}
        for name, values in table.items():
            try:
                columns[name] = pa.array(values)
            except (pa.ArrowException, OverflowError, UnicodeEncodeError):
                columns[name] = pa.array([repr(value) for value in values])
        buffer = io.BytesIO()
        with contextlib.suppress(pa.ArrowException):  # an empty struct has no place in Parquet
            pq.write_table(pa.table(columns), buffer)
        return buffer.getvalue()
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    if suffix in (".jsonl", ".json"):
        lines = [json.dumps(row, default=str) for row in rows]
        text = "\n".join(lines) if suffix == ".jsonl" else f"[{','.join(lines)}]"
        return text.encode("utf-8", "surrogatepass")
    lines = [[*table], *([("" if value is None else str(value)) for value in row.values()] for row in rows)]
    quoted = ("\t" if suffix == ".tsv" else ",").join
    text = "\n".join(quoted('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines)
    try:
        return text.encode(encoding, "replace")
    except (LookupError, UnicodeError, AttributeError, TypeError):
        return text.encode("utf-8", "replace")


COMMANDS = {
    "train": ("train", "task=own", "task.train_file=x.csv", "model=tiny_roberta"),
    "eval set": ("train", "task=snli", "+eval_set@task.also.hans=hans", "task.train_file=x.csv"),
    "lora": ("train", "task=squad_v2", "task.train_file=x.csv", "model/adapter=lora"),
    "race": ("train", "task=race", "subset=random_like"),
    "score": ("score", "study=s"),
    "export": ("export", "study=s", "out=x.csv", "subset=highest"),
    "study": ("study", "task=demo", "model=tiny_roberta"),
    "report": ("report", "study=s"),
}
composed_once = functools.cache(composed)
CONFIG_VALUES = (
    SCALARS
    | st.lists(SCALARS, max_size=3)
    | st.dictionaries(TEXTS, SCALARS, max_size=2)
    | st.sampled_from(["0..99999999999", "1..S-99999999999999999999", "S", "9" * 5000, "??", "?" * 3, [1, 2, 10**12]])
)


def _leaves(config: Any, prefix: str = "") -> Iterator[str]:
    """The keys of a config, sections among them."""
    for key, value in config.items():
        if key in ("hydra", "_target_", "_partial_"):
            continue
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")


def _try_config(root: Path, case: tuple[str, list[tuple[int, Any]]]) -> None:
    """Put values where others were, and do what a command does with its config before it works."""
    name, changes = case
    config = OmegaConf.create(OmegaConf.to_container(composed_once(*COMMANDS[name])))
    for which, value in changes:
        keys = list(_leaves(OmegaConf.to_container(config)))
        OmegaConf.update(config, keys[which % len(keys)], value, merge=False)
    if name in ("train", "eval set", "lora", "race"):
        _use_subset(run_spec(config).subset, 1)
    elif name == "score":
        root_of(config)
        score_study(root, config.study, instantiate_spec(config.score))
    elif name == "export":
        root_of(config)
        check_writing(config)
        check_whole("seed", config.seed, low=0)
        check_target(local_path(config.out, "out"))
        _use_subset(subset_of(config), config.seed)
    elif name == "report":
        root_of(config)
        runs_of(root, config.study)
    else:
        check_sections(config, "scoring", "comparison", "arms")
        check_seeds(plain(config.scoring.seeds), "scoring.seeds")
        check_seeds(plain(config.comparison.seeds), "comparison.seeds")
        check_arms(config.arms)
        for subset in config.arms.values():
            run_spec(config, subset=subset, seed=1)
        instantiate_spec(config.score)


def _use_subset(spec: SubsetSpec, seed: int) -> None:
    ids, labels = np.arange(12), np.arange(12) % 2
    scores = load_scores(TABLE.path)
    scores = type(scores)(**{**vars(scores), "sample_ids": ids, "values": np.arange(12, dtype=np.int16) % 4})
    facts: dict[str, Any] = {"label_names": ("n", "y"), "data_hash": scores.data_hash, "seed": seed}
    choose(spec, scores if spec.select else None, sample_ids=ids, labels=labels, **facts)


class TABLE:
    """The score table of the study that is there."""

    path: Path


def _try_overrides(root: Path, case: tuple[str, list[str]]) -> None:
    command, overrides = case
    config = composed(*COMMANDS[command], *overrides)
    plain(config)
    if command == "train":
        run_spec(config)


def _try_facts(root: Path, case: tuple[Any, dict[str, list[Any]], str]) -> None:
    """A score table with other facts, and columns that stand for its own."""
    change, columns, action = case
    file = score_path(root, "s", "h_score")
    table = pq.read_table(file)
    facts = damaged(table.schema.metadata[b"hprune"], change)
    for name, values in columns.items():
        try:
            column = pa.array((values * ROWS)[: table.num_rows])
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            continue
        at = table.schema.get_field_index(name)
        table = table.append_column(name, column) if at < 0 else table.set_column(at, name, column)
    with contextlib.suppress(pa.ArrowException):  # an empty struct has no place in Parquet
        pq.write_table(table.replace_schema_metadata({"hprune": facts}), file)
    load_scores(file)
    ACTIONS[action](root)


OVERRIDES = st.lists(st.builds(
    "{}{}={}".format, st.sampled_from(["", "+", "++", "~"]),
    st.sampled_from(["task", "task.text", "seed", "optim.lr", "subset", "subset.keep", "paths.root", "model", "x"]),
    TEXTS,
), min_size=1, max_size=2)  # fmt: skip


def _try_export(root: Path, case: dict[str, Any]) -> None:
    """Write a table in any form, and read what was written."""
    table = pa.table({n: pa.array(v, pa.large_string()) for n, v in case["table"].items()})
    out = root / f"out{case['suffix']}"
    ids = np.arange(table.num_rows) + case["first"]
    write_export(out, table, ids, formulas=case["formulas"])
    if case["suffix"] in (".csv", ".tsv") and table.num_rows:
        content = out.read_text(encoding="utf-8")
        if case["formulas"] == "escape":
            assert not any(cell.startswith(("=", "@")) for cell in content.replace('"', "").split("\n")), content


EXPORTS = st.fixed_dictionaries({
    "table": st.dictionaries(st.sampled_from(["text", "=x", "a,b", 'q"']), st.lists(
        st.none() | TEXTS.filter(lambda text: text.isprintable()), min_size=4, max_size=4), min_size=1),
    "suffix": st.sampled_from(list(SUFFIXES)), "formulas": st.sampled_from(["escape", "keep"]),
    "first": st.sampled_from([0, 2**31, 2**63 - 10]),
})  # fmt: skip


def _try_tokens(root: Path, case: tuple[int, Any]) -> None:
    """A table in the cache of tokens after any damage: what comes back is whole."""
    tokens = TokenTable(np.arange(40, dtype=np.int32), np.arange(0, 41, 5), np.zeros(40, dtype=np.int8), 1)
    cached_tokens(root / "cache", lambda: tokens)
    files = sorted((root / "cache").iterdir())
    file = files[case[0] % len(files)]
    new = damaged(file.read_bytes(), case[1])
    file.unlink() if new is None else file.write_bytes(new)
    found = cached_tokens(root / "cache", lambda: tokens)
    assert found.input_ids.size == 40 == found.lengths.sum()


SIGNS = "ab 1=;:,.[](){}$\"'\\/@#%&!?*+-|~^<>`äßé\u4e2d\U0001f600\t"
ONE_NAME = st.text(
    st.sampled_from(SIGNS) | st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=8
) | st.sampled_from(
    ["1", "007", "1.50", "1e3", "+1", "1_000", "0x1f", "-1e5", "10:30", "2021-01-11", "nan", "inf", "null", "NULL", "~",
     "true", "False", "yes", "no", "on", "Off", "???", "größe [cm]; a=b, c", "it's", 'say "x"', "a$b", "$5", "$HOME",
     "C:\\new", "a\\", 'a\\"', "\\'", "@1", "@2", "@9", "{a: b}", "{}", "[1]", "[a,b]", "(a)", "glob(*)", "a,b",
     "a=b", "-x", "!", "# a", "*", "!!str a", "&a", "%s", "..", " ", "${x}", "\\${x}"]
)  # fmt: skip
CLASS_NAME = ONE_NAME.map(str.strip).filter(lambda name: name not in ("", "-1"))
TYPED_NAMES = st.fixed_dictionaries({
    "columns": st.lists(ONE_NAME.filter(lambda name: name not in ("sample_id", "label")),
                        min_size=3, max_size=3, unique=True),
    "classes": st.lists(CLASS_NAME, min_size=2, max_size=3, unique=True),
    "file": ONE_NAME.filter(lambda name: not set(name) & set("/\0\t") and len(name.encode()) < 200),
    "place": st.booleans(),
})  # fmt: skip


def _try_names(root: Path, case: dict[str, Any]) -> None:
    """Names as `override` writes them, through the shell's rules and Hydra's: each comes out as it went in.

    `${` is refused by name, in any of them but that of a column which is given by its place.
    """
    (text, label, more), classes = case["columns"], case["classes"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{case['file']}.jsonl"
        rows = [{text: f"text {i}", label: classes[i % len(classes)], more: f"m{i}"} for i in range(12)]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        by_place = case["place"] and not {"@1", "@2", "@3"} & {text, label, more}
        given = {"task.text": ["@1"] if by_place else [text], "task.label": "@2" if by_place else label,
                 "task.slices": ["@3"] if by_place else [more], "task.label_names": classes,
                 "task.train_file": file, "task.validation_file": [file]}  # fmt: skip
        words = [shlex.split(override(key, value)) for key, value in given.items()]
        assert all(len(word) == 1 for word in words), words
        arguments = [word for (word,) in words]
        assert [one.key_or_group for one in overrides_of(arguments)] == [*given]
        stored = [*classes, str(file), *([] if by_place else [text, label, more])]
        if any("${" in name for name in stored):
            with pytest.raises(ValueError, match=r"holds \$\{, which a stored config cannot") as refused:
                run_spec(composed("train", "task=own", *arguments))
            raise refused.value
        try:
            data = load_task(run_spec(composed("train", "task=own", *arguments)).task)
        except ValueError as error:  # a name is never refused
            raise AssertionError(f"refused: {error}") from error
        assert (data.text, data.label_names) == ((text,), tuple(classes))
        assert data.train["label"].to_pylist() == [i % len(classes) for i in range(12)]
        assert data.slices["validation"].column_names == [more]


TARGETS = (
    Target("configs, values", st.tuples(
        st.sampled_from([*COMMANDS]),
        st.lists(st.tuples(st.integers(0, 200), CONFIG_VALUES), min_size=1, max_size=2)), _try_config),
    Target("configs, overrides as typed", st.tuples(st.sampled_from([*COMMANDS]), OVERRIDES), _try_overrides),
    Target("names, as they are pasted", TYPED_NAMES, _try_names),
    Target("data files", st.fixed_dictionaries({
        "table": TABLES, "suffix": st.sampled_from([".csv", ".tsv", ".jsonl", ".json", ".parquet"]),
        "encoding": ENCODINGS, "damage": WHOLE.flatmap(lambda whole: st.none() if whole else BYTES),
        "kind": st.sampled_from([*KINDS])}), _try_file),
    _study_target("run.json", "runs/**/run.json", VALUES | BYTES),
    _study_target("identity.json, failure.json", "runs/**/[if]*.json", VALUES | BYTES),
    _study_target("study pointers", "studies/*/runs/*.json", VALUES | BYTES),
    _study_target("records", "runs/**/record.*.parquet", BYTES),
    _study_target("subsets, predictions, checkpoints", "runs/**/[ps]*.parquet runs/**/resume.ckpt", BYTES),
    _study_target("score tables", "studies/*/scores/*.parquet", BYTES),
    Target("score tables, other facts and columns", st.tuples(
        VALUES, st.dictionaries(st.sampled_from(["sample_id", "value", "x"]), COLUMN), st.sampled_from([*ACTIONS])),
        _try_facts),
    Target("exports", EXPORTS, _try_export),
    Target("token caches", st.tuples(st.integers(0, 9), BYTES), _try_tokens),
)  # fmt: skip


# --- how it is tried


@contextlib.contextmanager
def a_study() -> Iterator[tuple[Path, dict[Path, bytes]]]:
    """A folder with a study, and what it holds."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        make_study(root)
        TABLE.path = Path(folder) / "h_score.parquet"
        TABLE.path.write_bytes(score_path(root, "s", "h_score").read_bytes())
        yield root, {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}


def try_case(target: Target, root: Path, before: dict[Path, bytes], case: Any) -> tuple[str, str]:
    """What became of a case (refused, accepted, traceback, hang, partial), and of the last three, why; then tidy up."""
    outcome, why = "accepted", ""
    logging.disable(logging.CRITICAL)
    previous = signal.signal(signal.SIGALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        target.attempt(root, case)
    except (*OURS, *TOLD_BY_HYDRA) as error:
        outcome = "refused"
        str(error).encode("utf-8", "backslashreplace")
    except Hang:
        outcome, why = "hang", "hang in " + traceback.format_exc().strip().splitlines()[-3].strip()
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "hprune/" in frame.filename]
        at = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else last.filename
        outcome, why = "traceback", f"{type(error).__name__} at {at}: {str(error)[:100]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        logging.disable(logging.NOTSET)
    left = [file for file in root.rglob("*") if file.is_file() and file not in before and file.stem != "data"]
    if any(file.name.endswith(".tmp") or file.name.startswith(".") or outcome == "refused" for file in left):
        outcome, why = "partial", f"left {sorted(file.name for file in left)}"
    for file in root.rglob("*"):
        if file.is_file() and file not in before:
            file.unlink()
    for file, content in before.items():
        if not file.exists() or file.read_bytes() != content:
            file.write_bytes(content)
    return outcome, why


def _out_of_time(*_: Any) -> None:
    raise Hang


def try_cases(target: Target, number: int, *, seed: int = 0) -> Tally:
    """Try many cases of a target; the same ones every time, others for another seed."""
    tally = Tally()
    with a_study() as (root, before):

        @hypothesis.seed(seed)
        @settings(
            max_examples=number, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(target.cases)
        def run(case: Any) -> None:
            tally.add(*try_case(target, root, before, case), case)

        run()
    return tally
