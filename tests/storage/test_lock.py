"""Who works in a folder is known: where locks keep nobody out, and where the folder goes away under a run."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from hprune.science.records import RunKey
from hprune.storage.files import write_json
from hprune.storage.lock import LOCK, OWNER, AtWorkError, LostFolderError, at_work, locked
from hprune.storage.manifests import read_failure
from hprune.storage.runs import RunFolder, check_ours, fail_run, finish_run, run_folder, start_run

KEY = RunKey("own", "tiny", "full", 1)


@pytest.fixture
def always_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that grants every lock, as NFS with nolock does over machines."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)


@pytest.fixture
def other() -> Iterator[psutil.Process]:
    """Another process that lives."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield psutil.Process(process.pid)
        process.kill()


def owned_by(folder: Path, **changes: Any) -> bytes:
    """Let another one own a folder; what its mark says."""
    with locked(folder):
        who = json.loads((folder / OWNER).read_text())
    (folder / OWNER).write_text(json.dumps(who | {"token": "other"} | changes))
    (folder / LOCK).touch()
    return (folder / OWNER).read_bytes()


@pytest.mark.parametrize("code", ["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EINVAL"])
def test_no_locks_are_one_line_with_place_and_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    monkeypatch.setattr(fcntl, "flock", refused)
    with (
        pytest.raises(OSError, match=rf"{tmp_path}/run lies on .* without locks .*paths\.root=FOLDER") as caught,
        locked(tmp_path / "run"),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.usefixtures("always_granted")
def test_a_second_start_on_this_machine_touches_nothing(tmp_path: Path, other: psutil.Process) -> None:
    before = owned_by(tmp_path, pid=other.pid, started=other.create_time())
    (tmp_path / ".run.json.half.tmp").write_text("half written by the other one")
    assert at_work(tmp_path)
    with pytest.raises(AtWorkError, match=rf"is being worked on by process {other.pid} on "), locked(tmp_path):
        pass
    assert (tmp_path / OWNER).read_bytes() == before
    assert (tmp_path / ".run.json.half.tmp").exists()
    other.kill()
    other.wait()
    with locked(tmp_path):
        assert not (tmp_path / ".run.json.half.tmp").exists()
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("always_granted")
def test_a_process_number_that_was_given_to_another_one_is_no_owner(tmp_path: Path, other: psutil.Process) -> None:
    owned_by(tmp_path, pid=other.pid, started=other.create_time() - 3600)
    with locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("always_granted")
def test_who_waits_takes_its_turn(tmp_path: Path, other: psutil.Process, monkeypatch: pytest.MonkeyPatch) -> None:
    owned_by(tmp_path, pid=other.pid, started=other.create_time())
    looks: list[float] = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            other.kill()
            other.wait()

    monkeypatch.setattr("hprune.storage.lock.time.sleep", look)
    with locked(tmp_path, wait=True):
        assert len(looks) == 3


def test_who_waits_says_for_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, after a few seconds; whoever need not wait says nothing."""
    monkeypatch.setattr("hprune.storage.lock.TELL_AFTER", 0.05)

    def wait() -> None:
        with locked(tmp_path, wait=True):
            pass

    wait()
    assert not caplog.records
    with locked(tmp_path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        while not caplog.records:
            waiting.join(0.02)
    waiting.join()
    told = f"waiting for process {os.getpid()} on "
    assert [(told in one, f"which works in {tmp_path}" in one) for one in caplog.messages] == [(True, True)]


@pytest.mark.usefixtures("always_granted")
def test_a_start_on_another_machine_takes_the_folder_over_and_leaves_no_failed_run(tmp_path: Path) -> None:
    """It cannot see whether the owner lives; so the first stops at its next write, without one."""
    folder = run_folder(tmp_path, KEY, {"lr": 0.1})
    with locked(folder.path) as claim:
        first = replace(folder, claim=claim)
        start_run(first)
        check_ours(first)
        second = owner_of(folder.path) | {"token": "second", "host": "elsewhere", "pid": 7}
        (folder.path / OWNER).write_text(json.dumps(second))
        with pytest.raises(LostFolderError, match=r"was taken over by process 7 on elsewhere since .*flock"):
            finish_run(first, {})
        fail_run(first, "no")
        assert {file.name for file in folder.path.iterdir()} == {"identity.json", LOCK, OWNER}
    assert owner_of(folder.path)["token"] == "second", "who leaves does not take the other's mark away"


@pytest.mark.usefixtures("always_granted")
def test_to_look_whether_a_run_is_at_work_elsewhere_changes_nothing(tmp_path: Path) -> None:
    before = owned_by(tmp_path, place="elsewhere-1", host="elsewhere")
    assert not at_work(tmp_path)
    assert (tmp_path / OWNER).read_bytes() == before


def owner_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / OWNER).read_text())
    return found


def removed(path: Path, _: Path) -> None:
    shutil.rmtree(path)


def removed_and_made_again(path: Path, _: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


def moved_away(path: Path, elsewhere: Path) -> None:
    path.rename(elsewhere)


def replaced_by_another_run(path: Path, elsewhere: Path) -> None:
    path.rename(elsewhere)
    start_run(run_folder(elsewhere.parent / "other", replace(KEY, seed=2), {"lr": 0.1}))
    next((elsewhere.parent / "other").rglob("seed=2")).rename(path)


def another_run_copied_into_it(path: Path, elsewhere: Path) -> None:
    (path / "identity.json").write_text(json.dumps({"key": asdict(replace(KEY, seed=2)), "settings": {"lr": 0.1}}))


def without_identity(path: Path, _: Path) -> None:
    (path / "identity.json").unlink()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (removed, "was removed or replaced while"),
        (removed_and_made_again, "was removed or replaced while"),
        (moved_away, "was removed or replaced while"),
        (replaced_by_another_run, "was removed or replaced while"),
        (another_run_copied_into_it, r"folder of another run, differing in seed \(2 there, 1 here\)"),
        (without_identity, "identity.json is gone"),
    ],
)
def test_a_run_whose_folder_goes_away_fails_by_name_and_leaves_nothing(tmp_path: Path, change: Any, told: str) -> None:
    folder = run_folder(tmp_path, KEY, {"lr": 0.1})
    with locked(folder.path) as claim:
        run = replace(folder, claim=claim)
        start_run(run)
        change(folder.path, tmp_path / "elsewhere")
        before = contents(folder.path)
        for write in (check_ours, lambda run: finish_run(run, {})):
            with pytest.raises(LostFolderError, match=told) as caught:
                write(run)
            assert "\n" not in str(caught.value)
        fail_run(run, "no")
        assert contents(folder.path) == before
    assert {name: text for name, text in before.items() if name not in (LOCK, OWNER)} == contents(folder.path)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()} if folder.exists() else {}


def test_what_is_written_into_a_folder_that_is_gone_does_not_bring_it_back(tmp_path: Path) -> None:
    """Removed between the look whether it is there and the write."""
    folder = tmp_path / "run"

    def removed_under_it(place: Path) -> None:
        with locked(folder):
            write_json(place, {})
            assert place.exists()
            shutil.rmtree(folder)
            write_json(place, {})

    for name in ("run.json", "fold=1/run.json"):
        with pytest.raises(LostFolderError, match="was removed or replaced"):
            removed_under_it(folder / name)
        assert not folder.exists()
    write_json(folder / "run.json", {})
    assert folder.exists()


def test_the_identity_of_another_seed_is_refused(tmp_path: Path) -> None:
    folder, other = (run_folder(tmp_path, replace(KEY, seed=n), {"lr": 0.1}) for n in (1, 2))
    for one in (folder, other):
        start_run(one)
    shutil.copy(other.path / "identity.json", folder.path)
    with pytest.raises(ValueError, match=r"holds a run of other settings, differing in seed \(2 there, 1 here\)"):
        start_run(folder)


def test_the_failure_of_another_run_is_named(tmp_path: Path) -> None:
    runs: list[RunFolder] = [run_folder(tmp_path, replace(KEY, seed=n), {"lr": 0.1}) for n in (1, 2)]
    for run in runs:
        start_run(run)
        fail_run(run, f"of seed {run.key.seed}")
    assert read_failure(runs[0].path) == "of seed 1"
    shutil.copy(runs[1].path / "failure.json", runs[0].path)
    with pytest.raises(ValueError, match=r"failure\.json is of another run, own/tiny/full/seed=2: remove it"):
        read_failure(runs[0].path)
