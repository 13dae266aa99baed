"""What a study plans stands in one file: written once a change, whole, and of the study that was given it."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from hprune.science.records import RunKey
from hprune.storage.plan_file import PlannedTicket, StudyPlan, content_of, one_writer, plan_file, read_plan, write_plan
from hprune.storage.runs import RunFolder, finish_run, run_folder, start_run
from hprune.storage.studies import add_run, plan_of, planned_seeds, planned_tickets, study_folder
from hprune.stored_config import config_of_study, run_of_study


def folder(root: Path, seed: int = 1, subset: str = "full", data: str = "d", **settings: Any) -> RunFolder:
    rule = {"subset": {"rule": "everything"}, "task": {"data": data}, "model": {"weights": "w"}}
    made = run_folder(root, RunKey("own", "tiny", subset, seed), {**rule, **settings})
    start_run(made)
    return made


def config(file: str, model: str = "m") -> dict[str, Any]:
    return {"task": {"train_file": file, "text": ["text"]}, "model": {"path": model}, "study": "s"}


def finish(run: RunFolder, stored: dict[str, Any]) -> None:
    finish_run(run, {
        "data_hash": "d", "label_names": ["n", "y"], "samples": 1, "full_samples": 1, "primary_metric": "accuracy",
        "metrics": {"validation": {"accuracy": 0.5}}, "cost": {"train_seconds": 1.0}, "subset": {}, "config": stored,
        "versions": {},
    })  # fmt: skip


def stored(root: Path, study: str = "s") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(plan_file(study_folder(root, study)).read_text())
    return content


def test_the_file_changes_with_the_plan_only(tmp_path: Path) -> None:
    for seed in (1, 2, 3):  # the jobs of a sweep
        add_run(tmp_path, "s", folder(tmp_path, seed), "scoring", (1, 2, 3), config=config("a.csv"))
    file = plan_file(study_folder(tmp_path, "s"))
    assert stored(tmp_path)["counter"] == 0
    before = (file.read_bytes(), file.stat().st_ino)
    add_run(tmp_path, "s", folder(tmp_path, 11), "comparison", (1, 2, 3), config=config("a.csv"))
    assert (file.read_bytes(), file.stat().st_ino) == before
    add_run(tmp_path, "s", folder(tmp_path, 11), "comparison", (1, 2), config=config("a.csv"))
    assert stored(tmp_path)["counter"] == 1
    assert planned_seeds(tmp_path, "s") == [1, 2]
    add_run(tmp_path, "s", folder(tmp_path, 12), "comparison", (1, 2, 3), config=config("a.csv"), plans=False)
    assert planned_seeds(tmp_path, "s") == [1, 2]


def test_the_time_of_a_pointer_says_nothing_of_the_plan(tmp_path: Path) -> None:
    """A copy, a restore or a touch gives files other times."""
    add_run(tmp_path, "s", folder(tmp_path, 1), "scoring", (1, 2, 3))
    add_run(tmp_path, "s", folder(tmp_path, 2), "scoring", (1, 2), tickets=[PlannedTicket((1, 2), (11,))])
    first, _ = sorted((study_folder(tmp_path, "s") / "runs").glob("*.json"))
    os.utime(first, (2e9, 2e9))
    assert planned_seeds(tmp_path, "s") == [1, 2]
    assert planned_tickets(tmp_path, "s") == [PlannedTicket((1, 2), (11,))]


def test_a_study_without_a_plan_is_read_as_ever_and_gets_one(tmp_path: Path) -> None:
    for seed, planned in ((1, (1, 2, 3)), (2, (1, 2))):
        add_run(tmp_path, "s", folder(tmp_path, seed), "scoring", planned)
    plan_file(study_folder(tmp_path, "s")).unlink()
    assert planned_seeds(tmp_path, "s") == [1, 2]
    assert plan_of(tmp_path, "s") == StudyPlan((1, 2))
    add_run(tmp_path, "s", folder(tmp_path, 2), "scoring", (2, 1), config=config("a.csv"))
    assert stored(tmp_path)["expected_seeds"] == [2, 1]


def test_no_change_is_lost_where_many_write_at_once(tmp_path: Path) -> None:
    runs = [folder(tmp_path, seed) for seed in range(12)]
    writers = [
        threading.Thread(target=add_run, args=(tmp_path, "s", run, "scoring", (seed, 99)))
        for seed, run in enumerate(runs)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert stored(tmp_path)["counter"] == len(runs) - 1
    assert not list(study_folder(tmp_path, "s").glob(".*"))


def test_what_a_killed_writer_left_is_no_lock(tmp_path: Path) -> None:
    study_folder(tmp_path, "s").mkdir(parents=True)
    (study_folder(tmp_path, "s") / ".plan.lock").touch()
    add_run(tmp_path, "s", folder(tmp_path), "scoring", (1,))
    assert planned_seeds(tmp_path, "s") == [1]
    with one_writer(study_folder(tmp_path, "s")):
        write_plan(study_folder(tmp_path, "s"), StudyPlan((1,)), scores=True)
    assert stored(tmp_path)["counter"] == 0


def test_a_writer_that_is_stopped_is_waited_for_with_a_word_and_then_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("TELL_AFTER", "WAIT_SECONDS"):
        monkeypatch.setattr(f"hprune.storage.plan_file.{name}", 0.05)
    with one_writer(tmp_path):
        assert not caplog.records
        with one_writer(tmp_path):
            file = f"another process holds {tmp_path / '.plan.lock'}"
            assert caplog.messages == [f"{file}: waiting up to 0 seconds for it", f"{file}: going on"]


def test_each_study_has_the_places_that_it_was_given(tmp_path: Path) -> None:
    """Two files of the same texts and labels are one run: the study of the second has the second's columns."""
    run = folder(tmp_path)
    add_run(tmp_path, "old", run, "scoring", (1,), config=config("old.csv", "m1"))
    finish(run, {**config("old.csv", "m1"), "data": {"max_length": 8}})
    add_run(tmp_path, "new", run, "scoring", (1,), config=config("new.csv", "m2"))
    for study, place, model in (("old", "old.csv", "m1"), ("new", "new.csv", "m2")):
        found = config_of_study(tmp_path, study, parts=())
        assert (found.task.train_file, found.model.path, found.data.max_length) == (place, model, 8)
    plan_file(study_folder(tmp_path, "new")).unlink()  # as by an older version
    assert config_of_study(tmp_path, "new", parts=()).task.train_file == "old.csv"


def test_an_arm_of_other_data_leaves_the_places_of_the_study(tmp_path: Path) -> None:
    """They stay those of what is scored; what scores replaces them."""
    arm, run = folder(tmp_path, 11, "a_first_arm", data="other"), folder(tmp_path, 1)
    add_run(tmp_path, "s", arm, "comparison", (1,), config=config("other.csv"))
    assert stored(tmp_path)["config"]["task"]["train_file"] == "other.csv"
    add_run(tmp_path, "s", run, "scoring", (1,), config=config("own.csv"))
    add_run(tmp_path, "s", arm, "comparison", (1, 2), config=config("other.csv"))
    assert stored(tmp_path)["config"]["task"]["train_file"] == "own.csv"
    assert planned_seeds(tmp_path, "s") == [1, 2]
    finish(arm, config("other.csv"))
    assert config_of_study(tmp_path, "s", parts=()).task.train_file == "other.csv", "nothing else is complete"
    finish(run, config("elsewhere.csv"))
    assert config_of_study(tmp_path, "s", parts=()).task.train_file == "own.csv"
    assert run_of_study(tmp_path, "s")[0] == run.path


def test_a_plan_names_no_code_that_is_not_trusted(tmp_path: Path) -> None:
    run, evil = folder(tmp_path), config("a.csv")
    evil["task"]["kind"] = {"_target_": "os.system"}
    add_run(tmp_path, "s", run, "scoring", (1,), config=evil)
    finish(run, config("a.csv"))
    with pytest.raises(ValueError, match=r"plan\.json: its config names 'os\.system'.*trust_code=true"):
        config_of_study(tmp_path, "s", parts=())
    assert config_of_study(tmp_path, "s", trust_code=True).task.kind


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counter": -1}, "counter must be a whole number from 0"),
        ({"expected_seeds": ["1"]}, "expected_seeds must be a list"),
        ({"config": [1]}, "config must be an object"),
        ({"content": {"task": 1}}, "content must be an object"),
        ({"tickets": [{"scoring": [1]}]}, "tickets must be a list"),
    ],
)
def test_a_plan_of_another_shape_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    add_run(tmp_path, "s", folder(tmp_path), "scoring", (1,))
    file = plan_file(study_folder(tmp_path, "s"))
    file.write_text(json.dumps({**stored(tmp_path), **change}))
    with pytest.raises(ValueError, match=rf"plan\.json: {message}.*it was altered"):
        read_plan(file.parent)
    with pytest.raises(ValueError, match="it was altered"):
        add_run(tmp_path, "s", folder(tmp_path), "scoring", (1,))


def test_what_a_run_is_of_does_not_depend_on_its_arm(tmp_path: Path) -> None:
    assert content_of(folder(tmp_path).settings) == content_of(folder(tmp_path, 2, "ticket", lr=3).settings)
    assert content_of(folder(tmp_path).settings) != content_of(folder(tmp_path, data="other").settings)
