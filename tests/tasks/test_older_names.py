"""A study that 0.1.0 began is continued where its class names were numbers: the same runs, and no other data's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hprune.report import unchanged_study
from hprune.storage.known_names import read_otherwise
from hprune.storage.runs import RunFolder, finish_run, run_folder, start_run
from hprune.storage.studies import add_run
from hprune.tasks.older_names import older_names
from hprune.training.settings import settings_of
from hprune.training.units import load_samples

TEXTS = [f"a day like day {i}" for i in range(12)]


def own(compose_run: Callable[..., Any], train: Path) -> Any:
    """A run on files of one's own, with class names found in them."""
    files = [f"task.train_file={train}", f"task.validation_file={train}", "task.data_dir=null"]
    return compose_run("task=own", *files, "trainer.accelerator=cpu", "trainer.precision=32")


def write_csv(path: Path, labels: tuple[str, ...]) -> Path:
    path.write_text("text,label\n" + "".join(f"{text},{labels[i % 3]}\n" for i, text in enumerate(TEXTS)))
    return path


def write_parquet(path: Path, names: list[str]) -> Path:
    """As `datasets` writes a ClassLabel."""
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": {"names": names, "_type": "ClassLabel"}}
    table = pa.table({"text": TEXTS, "label": [i % 3 % 2 for i in range(12)]})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), path)
    return path


@pytest.mark.parametrize(
    ("labels", "older"),
    [
        (("True", "false", "TRUE"), ("0", "1")),
        (("011", "012", "011"), ("11", "12")),
        (("011", "9", "9"), ("9", "11")),
        (("1.0", "2.0", "1"), ("1", "2")),
        (("b", " a", "-1"), ("a", "b")),
        (("5", "-1", "3"), ("3", "5")),
        (("2020-01-02", "2020-01-03", ""), None),
        (("1.5", "2", "3"), None),
    ],
)
def test_the_names_that_older_runs_have(
    tmp_path: Path, compose_run: Callable[..., Any], labels: tuple[str, ...], older: tuple[str, ...] | None
) -> None:
    """The right values are those that 0.1.0 gave."""
    from hprune.tasks.source import read_splits

    task = own(compose_run, write_csv(tmp_path / "train.csv", labels)).task
    train = read_splits(task)["train"]
    assert older_names(task, train) == older
    assert older_names(replace(task, label_names=("x", "y")), train) is None


def folder_of(root: Path, spec: Any) -> RunFolder:
    return run_folder(root, spec.key, settings_of(spec, load_samples(spec, root=root), None))


def older_run(root: Path, spec: Any, names: list[str]) -> RunFolder:
    """What 0.1.0 left of a run on the same samples that it began."""
    now = settings_of(spec, load_samples(spec, root=root), None)
    folder = run_folder(root, spec.key, {**now, "task": {**now["task"], "label_names": names}})
    start_run(folder)
    return folder


@pytest.mark.parametrize(("kind", "older"), [("booleans", ["0", "1"]), ("zeros", ["11", "12"]), ("names", ["0", "1"])])
def test_runs_of_before_are_found_by_the_names_that_they_have(
    tmp_path: Path, compose_run: Callable[..., Any], kind: str, older: list[str]
) -> None:
    write: dict[str, Callable[[], Path]] = {
        "booleans": lambda: write_csv(tmp_path / "train.csv", ("true", "False", "true")),
        "zeros": lambda: write_csv(tmp_path / "train.csv", ("011", "012", "011")),
        "names": lambda: write_parquet(tmp_path / "train.parquet", ["negative", "positive"]),
    }
    spec = own(compose_run, write[kind]())
    before = older_run(tmp_path / "began", spec, older)
    assert folder_of(tmp_path / "began", spec).path == before.path
    assert folder_of(tmp_path / "began", replace(spec, seed=2)).settings_hash == before.settings_hash
    data = load_samples(spec, root=tmp_path / "began")
    assert list(data.label_names) != older  # which are the true ones, beside the settings
    fresh = folder_of(tmp_path / "other", spec)
    assert fresh.settings["task"]["label_names"] == list(data.label_names)


def test_other_names_for_the_same_numbers_are_other_data(tmp_path: Path, compose_run: Callable[..., Any]) -> None:
    """Who continued the study of 0.1.0 said what 0 and 1 are: a file that has it the other way is not its data."""
    file, root = tmp_path / "train.parquet", tmp_path / "root"
    spec = own(compose_run, write_parquet(file, ["negative", "positive"]))
    before = older_run(root, spec, ["0", "1"])
    finish_run(before, {"label_names": ["0", "1"]})
    following = folder_of(root, replace(spec, seed=2))
    start_run(following)
    finish_run(following, {"label_names": list(load_samples(spec, root=root).label_names)})
    assert folder_of(root, spec).path == before.path

    write_parquet(file, ["positive", "negative"])
    assert folder_of(root, spec).path != before.path
    write_parquet(file, ["negative", "neutral", "positive"])  # one more output of the head
    assert folder_of(root, spec).path != before.path


def test_where_it_cannot_go_on_the_refusal_says_what_works(tmp_path: Path, compose_run: Callable[..., Any]) -> None:
    """9 and 011 were the numbers 9 and 11, and are the texts 011 and 9: the classes changed places."""
    root, spec = tmp_path / "root", own(compose_run, write_csv(tmp_path / "train.csv", ("9", "011", "9")))
    numbers = own(compose_run, write_csv(tmp_path / "numbers.csv", ("9", "11", "9")))
    before = folder_of(root, numbers)
    add_run(root, "s", before, "scoring", (1, 2))
    start_run(before)
    finish_run(before, {"label_names": ["9", "11"], "versions": {}})
    with pytest.raises(ValueError, match=r"0\.1\.0 took the labels for 9, 11, today they are 011, 9: with copies"):
        add_run(root, "s", folder_of(root, replace(spec, seed=2)), "scoring", (1, 2))
    add_run(root, "s", folder_of(root, replace(numbers, seed=2)), "scoring", (1, 2))  # the way out
    assert not read_otherwise({"label_names": ["9", "11"], "versions": {}}, ["9", "11"])


def finished(root: Path, spec: Any, config: dict[str, Any]) -> RunFolder:
    """A complete scoring run of study `s` with a config that it stored."""
    data = load_samples(spec, root=root)
    folder = run_folder(root, spec.key, settings_of(spec, data, None))
    add_run(root, "s", folder, "scoring", (1,), config=config)
    start_run(folder)
    finish_run(folder, {
        "data_hash": data.data_hash, "label_names": list(data.label_names), "samples": data.train.num_rows,
        "full_samples": data.train.num_rows, "primary_metric": "accuracy", "epochs": [], "subset": {}, "config": config,
        "metrics": {"validation": {"accuracy": 1.0}}, "cost": {"train_seconds": 1.0}, "versions": {},
    })  # fmt: skip
    return folder


def test_minus_one_is_no_label_where_it_was_none(tmp_path: Path, compose_run: Callable[..., Any]) -> None:
    """A study of -1, 0, 1 without names says by its classes what -1 was; every command that reads it goes by that."""
    root, file = tmp_path / "root", write_csv(tmp_path / "train.csv", ("0", "-1", "1"))
    spec = own(compose_run, file)
    with pytest.raises(ValueError, match=r"label_names=\[0,1\], or empty cells, .*this continues its studies"):
        load_samples(spec, root=root)
    of_before = replace(spec, task=replace(spec.task, label_names=("0", "1")))
    finished(root, of_before, {**spec.config, "task": {**spec.config["task"], "label_names": None}})
    task, data, manifest = unchanged_study(root, "s", trust_code=True)
    assert data.label_names == ("0", "1")
    assert data.train["sample_id"].to_pylist() == [i for i in range(12) if i % 3 != 1]
    assert task.label_names == ("0", "1")
    assert data.data_hash == manifest["data_hash"]

    write_csv(file, ("-3", "-1", "2"))  # other data: the message asks for what the commands take
    with pytest.raises(ValueError, match=r"the classes of study 's' are 0, 1: .*task.train_file=FILE") as refused:
        unchanged_study(root, "s", trust_code=True)
    assert "task.label_names" not in str(refused.value)
