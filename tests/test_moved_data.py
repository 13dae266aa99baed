"""Whose columns and whose file: studies that share runs by content, data that moved, data that are gone or others."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hprune.own_sources import note_sources
from hprune.storage.exports import free_name
from hprune.storage.manifests import sealed
from hprune.tasks.moved import at_place, way_out

Command = Callable[..., "tuple[int, str, str]"]


def write(path: Path, keys: str, last: str = "day 39") -> None:
    """Forty texts, the same whatever the keys."""
    texts = [f"{'good' if i % 2 else 'bad'} day {i}" for i in range(39)] + [f"good {last}"]
    with path.open("w", newline="") as file:
        rows = [(f"{keys}-{i:03}", text, i % 2) for i, text in enumerate(texts)]
        csv.writer(file).writerows([("key", "text", "label"), *rows])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, tiny: list[str], run_command: Command) -> Path:
    """Studies `old` and `new` of two files with the same texts and other keys; the second shares the first's run."""
    here = tmp_path_factory.mktemp("both")
    options = [option for option in tiny if not option.startswith(("task", "trainer.max", "scoring"))]
    for name in ("old", "new"):
        write(here / f"{name}.csv", name)
        code, _, err = run_command(
            "train", "task=own", f"task.train_file={here}/{name}.csv", f"task.validation_file={here}/old.csv", *options,
            "trainer.max_epochs=1", "scoring.seeds=[1]", "seed=1", f"study={name}", f"paths.root={here}/root",
        )  # fmt: skip
        assert code == 0, err
        code, _, err = run_command("score", f"study={name}", f"paths.root={here}/root")
        assert code == 0, err
    assert len(list(here.glob("root/runs/**/run.json"))) == 1
    return here


@pytest.fixture
def here(both: Path, tmp_path: Path) -> Path:
    """The same, to be changed: the files moved to `moved`, nothing where the studies have them."""
    shutil.copytree(both / "root", tmp_path / "root")
    (tmp_path / "moved").mkdir()
    for name in ("old", "new"):
        shutil.copy(both / f"{name}.csv", tmp_path / "moved")
    for place in (f"{both}/", f"{tmp_path}/moved/", f"{tmp_path}/moved/gone-"):  # named by this user
        files = {"train_file": f"{place}new.csv", "validation_file": f"{place}old.csv"}
        note_sources(tmp_path / "root", {"task": files})
    return tmp_path


def keys_of(path: Path) -> set[str]:
    return {json.loads(line)["key"].split("-")[0] for line in path.read_text().splitlines()}


@pytest.mark.parametrize("name", ["old", "new"])
def test_an_export_has_the_columns_of_the_file_that_its_study_was_given(
    both: Path, tmp_path: Path, run_command: Command, name: str
) -> None:
    root = f"paths.root={both}/root"
    for out in ("pruned.jsonl", "sheet.csv"):
        how = ["subset=full"] if out == "pruned.jsonl" else ["values=0..S"]
        code, _, err = run_command(
            "export" if how == ["subset=full"] else "triage", f"study={name}", *how, f"out={tmp_path}/{out}", root
        )
        assert code == 0, err
    code, _, err = run_command(
        "triage", f"study={name}", f"read={tmp_path}/sheet.csv", f"out={tmp_path}/mended.jsonl", root
    )
    assert code == 0, err
    assert keys_of(tmp_path / "pruned.jsonl") == keys_of(tmp_path / "mended.jsonl") == {name}
    for out in ("pruned.jsonl", "sheet.csv", "mended.jsonl"):
        told = json.loads((tmp_path / f"{out}.provenance.json").read_text())
        assert told["source"]["files"]["train"] == str(both / f"{name}.csv")


def test_data_that_moved(both: Path, here: Path, run_command: Command) -> None:
    """Every command says how to name their new place, takes it, and refuses another content."""
    root, place = f"paths.root={here}/root", [f"task.train_file={here}/moved/new.csv"]
    validation = f"task.validation_file={here}/moved/old.csv"
    commands = (
        ("export", f"out={here}/out.csv", "subset=full"), ("triage", f"out={here}/sheet.csv", "values=0..S"),
        ("score", "score=tfidf_distance"),
    )  # fmt: skip
    away = both.with_name(f"{both.name}-away")
    both.rename(away)
    try:
        for command, *more in commands:
            code, _, err = run_command(command, "study=new", *more, root)
            assert code == 1
            assert f"no file at {both}/new.csv" in err
            assert "lie elsewhere by now, say where: task.train_file=FILE task.validation_file=FILE" in err
            code, _, err = run_command(command, "study=new", *more, root, *place, validation)
            assert code == 0, err
        told = json.loads((here / "out.csv.provenance.json").read_text())
        assert told["source"]["files"] == {"train": f"{here}/moved/new.csv", "validation": f"{here}/moved/old.csv"}

        write(here / "moved/new.csv", "new", last="night")
        for command, *more in (*commands, ("report",)):
            code, _, err = run_command(command, "study=new", *more, root, *place, validation)
            assert code == 1
            assert "the train split is not the one that study 'new' was run on: its hash was " in err
            assert "(40 samples), it is " in err
        code, _, err = run_command("export", "study=new", f"out={here}/x.csv", root, "+task.text=[key]")
        assert code == 1
        assert "task.text is the study's own and cannot be given here" in err
    finally:
        away.rename(both)


def test_the_report_says_that_data_are_gone_or_others(here: Path, both: Path, run_command: Command) -> None:
    folder = here / "root/studies/new"

    def report(*more: str) -> tuple[str, str, dict[str, object] | None]:
        code, out, err = run_command("report", "study=new", f"paths.root={here}/root", *more)
        assert code == 0, err
        return " ".join(out.split()), (folder / "report.html").read_text(), json.loads(
            (folder / "report.json").read_text())["data"]  # fmt: skip

    moved = [f"task.train_file={here}/moved/new.csv", f"task.validation_file={here}/moved/old.csv"]
    out, page, fault = report(*moved)
    assert fault is None
    assert "cannot be read" not in out + page
    assert "changed since" not in out + page

    plan, text = folder / "plan.json", (folder / "plan.json").read_text()

    def lie_in(place: str) -> None:
        content = json.loads(text.replace(f"{both}/", place))
        plan.write_text(json.dumps(sealed({key: value for key, value in content.items() if key != "digest"})))

    lie_in(f"{here}/moved/gone-")
    out, page, fault = report()
    assert fault is not None
    assert (fault["fault"], fault["sets"]) == ("unreadable", [])
    for told in (out, page):
        assert "The data of the study cannot be read (no file at" in told
        assert "task.train_file=FILE task.validation_file=FILE" in told

    lie_in(f"{here}/moved/")
    write(here / "moved/new.csv", "new", last="night")
    out, page, fault = report()
    assert fault is not None
    assert (fault["fault"], fault["sets"]) == ("changed", ["train"])
    for told in (out, page):
        assert "The train split changed since the study was run (its hash was " in told
        assert "the report has no classes and no texts" in told

    write(here / "moved/new.csv", "new")
    write(here / "moved/old.csv", "old", last="night")
    out, page, fault = report()
    assert fault is not None
    assert (fault["fault"], fault["sets"]) == ("changed", ["validation"])
    assert "Changed since the study was run: validation" in out


def test_columns_of_ours_never_take_the_name_of_one_of_the_data() -> None:
    """An export of an export of an export has every generation's ids."""
    names = ["text"]
    for expected in ("sample_id", "hprune_sample_id", "hprune_sample_id_2", "hprune_sample_id_3"):
        names.append(free_name("sample_id", names))
        assert names[-1] == expected


def test_places() -> None:
    task = {"train_file": "a.csv", "validation_file": "b.csv", "test_file": None, "data_dir": None}
    assert at_place(task, {}) == task
    assert at_place(task, {"train_file": "c.csv"}) == {**task, "train_file": "c.csv"}
    assert at_place(task, {"data_dir": "f", "test_file": "t"}) == {
        "train_file": None, "validation_file": None, "test_file": "t", "data_dir": "f"
    }  # fmt: skip
    hub = {"hub_id": "x/y", "validation_file": "b.csv", "data_dir": None}
    assert at_place(hub, {"data_dir": "f"}) == {**hub, "data_dir": "f"}
    assert way_out(hub) == "task.data_dir=FOLDER task.validation_file=FILE"
    assert way_out({"generate": {"_target_": "x"}}) is None
    with pytest.raises(ValueError, match="made by a program"):
        at_place({"generate": {"_target_": "x"}}, {"data_dir": "f"})
