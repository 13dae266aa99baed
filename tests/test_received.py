"""A root or a study that came from elsewhere: nothing is written outside it, nothing outside it is read unasked.

And one that cannot be written is read all the same.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hprune import own_sources
from hprune.command import plain
from hprune.data.tokenise import TokenTable, cached_tokens
from hprune.own_sources import note_sources, outside_sources
from hprune.report import data_of_study, task_of_study
from hprune.science.records import RunKey
from hprune.storage import places
from hprune.storage.files import write_json
from hprune.storage.lock import at_work, locked
from hprune.storage.margins import store_margin
from hprune.storage.places import check_stays, keep_below
from hprune.storage.runs import run_folder
from hprune.storage.studies import add_run
from tests.hostile import composed, make_study

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the study `s`, whose data lie in it."""
    root = tmp_path_factory.mktemp("made") / "root"
    make_study(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of it, as somebody may have sent it: its configs name the data of the other root."""
    shutil.copytree(made, tmp_path / "root")
    return tmp_path / "root"


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


# --- writes stay below the root


def new_run(root: Path, seed: int = 9) -> Any:
    return run_folder(root, RunKey("own", "tiny", "full", seed), {"lr": 0.1, "subset": {"rule": "everything"}})


def work_in_a_run(root: Path) -> None:
    with locked(new_run(root).path):
        raise AssertionError("the lock was given")


def work_in_a_stored_run(root: Path) -> None:
    with locked(new_run(root, 1).path):
        raise AssertionError("the lock was given")


def add(root: Path) -> None:
    add_run(root, "s", new_run(root), "scoring", (1, 2, 3))


def fix_margin(root: Path) -> None:
    store_margin(root, "s", {"margin": 0.01, "why": "said"})


def tokenise(root: Path) -> None:
    new_run(root)
    tokens = TokenTable(np.arange(4, dtype=np.int32), np.arange(0, 5, 2), None, 0)
    cached_tokens(root / "cache" / "tokens" / "0123", lambda: tokens)


def score_again(root: Path) -> None:
    from hprune.science.scores.h_score import h_score
    from hprune.score import ScoreSpec, score_study

    score_study(root, "s", ScoreSpec("again", h_score, "easier"))


def sensitivity(root: Path) -> None:
    from hprune.sensitivity import write_sensitivity

    write_sensitivity(keep_below(root), ["s"], name="s")


def report(root: Path) -> None:
    from hprune.report import write_report

    write_report(root, "s", None)


STORED_RUN = "runs/own/tiny/full-*/seed=1"
PLACES: list[tuple[str, Callable[[Path], None]]] = [
    ("runs", work_in_a_run), ("runs/own", work_in_a_run), ("runs/own/tiny/full-*", work_in_a_run),
    (STORED_RUN, work_in_a_stored_run), ("studies", add), ("studies/s", add), ("studies/s/runs", add),
    ("studies/s", score_again), ("studies/s/scores", score_again), ("studies/s", fix_margin), ("studies", fix_margin),
    ("cache", tokenise), ("cache/tokens", tokenise), ("cache/tokens/0123", tokenise),
    ("sensitivity", sensitivity), ("sensitivity/s", sensitivity), ("studies/s", report),
    *((f"{STORED_RUN}/{name}", work_in_a_stored_run)
      for name in ("log.txt", ".lock", ".owner.json", "failure.json", "identity.json", "resume.ckpt", "model",
                   "fold=1", "checkpoints/last.ckpt", "run.json", "record.train_pass.parquet")),
    ("studies/s/.plan.lock", add), ("studies/s/report.html", report), ("studies/s/report.json", report),
    ("studies/s/scores/again.parquet", score_again),
]  # fmt: skip


def lead_out(root: Path, name: str, outside: Path, *, file: bool) -> Path:
    """Put a link in the place of a file or folder, which is made if there is none; where it leads."""
    run = str(next(root.glob(STORED_RUN)).relative_to(root))
    place = root / name.replace(STORED_RUN, run).replace("runs/own/tiny/full-*", str(Path(run).parent))
    there = outside / place.name
    outside.mkdir()
    if place.exists():
        shutil.move(place, there)
    elif file:
        there.write_text("not yours")
    else:
        there.mkdir()
        (there / "not_yours").write_text("")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(there)
    return there


@pytest.mark.parametrize(("name", "write"), PLACES, ids=[f"{name}-{write.__name__}" for name, write in PLACES])
def test_nothing_is_written_through_a_link_that_leads_out(
    root: Path, tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    file = "." in Path(name).name
    lead_out(root, name, tmp_path / "outside", file=file)
    before = contents(tmp_path / "outside")
    with pytest.raises(ValueError, match=r"leads out of .*(below paths.root only|put a copy there)"):
        write(root)
    assert contents(tmp_path / "outside") == before


def test_a_link_to_what_is_not_there_is_one_too(root: Path, tmp_path: Path) -> None:
    (root / "cache").symlink_to(tmp_path / "outside")
    with pytest.raises(ValueError, match="leads out of"):
        tokenise(root)
    assert not (tmp_path / "outside").exists()


def test_whether_a_process_is_at_work_is_looked_at_without_following_links(root: Path, tmp_path: Path) -> None:
    run = new_run(root, 1).path
    (tmp_path / "outside").write_text("not yours")
    (run / ".lock").symlink_to(tmp_path / "outside")
    assert not at_work(run)
    assert (tmp_path / "outside").read_text() == "not yours"


def test_a_sweep_writes_nothing_outside(root: Path, tmp_path: Path, run_command: Command) -> None:
    lead_out(root, "sweeps", tmp_path / "outside", file=False)
    before = contents(tmp_path / "outside")
    code, _, err = run_command("report", "-m", "study=s", f"paths.root={root}")
    assert code == 1
    assert "sweeps leads out of" in err
    assert contents(tmp_path / "outside") == before


def test_links_that_stay_inside_and_a_root_that_is_one_are_fine(root: Path, tmp_path: Path) -> None:
    (root / "elsewhere").mkdir()
    shutil.move(root / "studies" / "s" / "scores", root / "elsewhere" / "scores")
    (root / "studies" / "s" / "scores").symlink_to("../../elsewhere/scores")
    (tmp_path / "link").symlink_to(root)
    for place in (root, tmp_path / "link"):
        score_again(place)
        add(place)
        tokenise(place)
        with locked(new_run(place).path):
            pass
    assert (root / "elsewhere" / "scores" / "again.parquet").exists()


def test_what_lies_in_no_root_may_lie_anywhere(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "exports").symlink_to(tmp_path / "data")
    write_json(tmp_path / "exports" / "a.json", {})
    assert (tmp_path / "data" / "a.json").exists()


def test_the_innermost_root_counts_and_may_lead_where_it_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_results", {})
    (tmp_path / "outside").mkdir()
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer" / "inner").symlink_to(tmp_path / "outside")
    keep_below(tmp_path / "outer")
    with pytest.raises(ValueError, match="leads out"):
        check_stays(tmp_path / "outer" / "inner" / "x")
    keep_below(tmp_path / "outer" / "inner")
    check_stays(tmp_path / "outer" / "inner" / "x")
    keep_below(tmp_path / "trial", tmp_path / "outside")
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / "cache").symlink_to(tmp_path / "outside")
    check_stays(tmp_path / "trial" / "cache" / "x")


# --- nothing outside is read unasked


def change(root: Path, part: str = "task", **values: Any) -> None:
    for file in root.glob("runs/**/run.json"):
        content = json.loads(file.read_text())
        content["config"][part] |= values
        file.write_text(json.dumps(content))


def at_home(root: Path) -> None:
    """Let the data lie in the root itself."""
    change(root, train_file=str(root / "train.csv"), validation_file=str(root / "train.csv"))


@pytest.mark.parametrize(
    "named",
    [{"hub_id": "somebody/their_set"}, {"hub_id": "a/b", "hub_revision": "refs/pr/1"}, {"train_file": "/etc/passwd"},
     {"train_file": ["/etc/passwd", "/etc/hosts"]}, {"data_dir": "/etc"}, {"validation_file": "secret.csv"},
     {"test_file": "~/secret.csv"}, {"data_dir": "../.."}, {"train_file": "file:///etc/passwd"}],
)  # fmt: skip
def test_files_and_hub_ids_of_a_study_that_came_from_elsewhere_are_asked_for(root: Path, named: dict[str, Any]) -> None:
    at_home(root)
    assert data_of_study(root, "s") is not None, "what lies in the root needs no trust"
    key = next(iter(named))
    change(root, **({"train_file": None} if key == "hub_id" else {}), **named)
    with pytest.raises(ValueError, match=rf"run\.json: its config names .*task\.{key}=.*set trust_code=true, once"):
        task_of_study(root, "s")
    task_of_study(root, "s", trust_code=True)
    task_of_study(root, "s")
    change(root, **{key: "another/one"})
    with pytest.raises(ValueError, match="trust_code=true"):
        task_of_study(root, "s")


def test_a_revision_is_of_the_hub_id_that_it_was_named_with(root: Path) -> None:
    """A user's own revisions of one data set open none of another, which anybody may have proposed."""
    hub = {"hub_id": "a/b", "hub_revision": "main"}
    for named in (hub, {"hub_id": "c/d", "hub_revision": "refs/pr/1"}):
        note_sources(root, {"task": named})
    check = functools.partial(own_sources.check_sources, Path("run.json"), root, parts=["task"], given={})
    check({"task": hub})
    for other in ({"hub_revision": "refs/pr/1"}, {"hub_revision": None}, {"hub_config": "x"}):
        with pytest.raises(ValueError, match=r"task\.hub_id='a/b'"):
            check({"task": hub | other})


def test_a_study_is_its_users_below_the_root_that_it_was_made_under(root: Path, tmp_path: Path) -> None:
    config = json.loads(next(root.glob("runs/**/run.json")).read_text())["config"]
    with pytest.raises(ValueError, match="trust_code=true"):
        task_of_study(root, "s")
    note_sources(root, config)
    task_of_study(root, "s")
    (tmp_path / "link").symlink_to(root)
    task_of_study(tmp_path / "link", "s")
    shutil.copytree(root, tmp_path / "copy")
    with pytest.raises(ValueError, match="trust_code=true"):
        task_of_study(tmp_path / "copy", "s")


def test_a_run_that_is_registered_is_noted(root: Path, compose_run: Callable[..., Any], corpus_dir: Path) -> None:
    from hprune.collect import register_run
    from hprune.tasks.load import load_task

    spec = compose_run("seed=1", "model.path=somebody/model")
    config = {"task": {"data_dir": str(corpus_dir)}, "model": {"path": "somebody/model"}}
    for part in ("task", "model"):
        assert outside_sources(root, plain(spec.config), part)
    with pytest.raises(ValueError, match=r"task\.data_dir="):
        own_sources.check_sources(Path("run.json"), root, spec.config, ["task"], given={})
    spec = compose_run("seed=1")
    register_run(spec, load_task(spec.task), root=root, study="mine", scoring_seeds=(1,), purpose="scoring")
    own_sources.check_sources(Path("run.json"), root, spec.config, ["task", "model"], given={})
    with pytest.raises(ValueError, match=r"model\.path='somebody/model'"):
        own_sources.check_sources(Path("run.json"), root, config, ["model"], given={})


def test_a_folder_of_the_root_is_not_a_way_out_of_it(root: Path, tmp_path: Path) -> None:
    (root / "data").mkdir()
    (tmp_path / "secret.csv").write_text("text,label\na,b\n")
    assert outside_sources(root, {"task": {"data_dir": str(root / "data")}}, "task") == {}
    (root / "data" / "train.csv").symlink_to(tmp_path / "secret.csv")
    assert outside_sources(root, {"task": {"data_dir": str(root / "data")}}, "task")
    assert outside_sources(root, {"model": {"path": str(root / "not_there")}}, "model"), (
        "transformers asks the hub then"
    )
    (root / "model").mkdir()
    assert not outside_sources(root, {"model": {"path": str(root / "model")}}, "model")
    (root / "model" / "adapter_config.json").write_text('{"base_model_name_or_path": "somebody/model"}')
    assert outside_sources(root, {"model": {"path": str(root / "model")}}, "model"), "it names another model"


def test_every_key_that_names_a_source_is_known() -> None:
    """A key of the configuration that is new and may name a file or a hub id belongs into own_sources, too."""
    config = composed("train", "task=own", "task.train_file=x", "model=tiny_roberta")
    known = {*own_sources.PATHS["task"], *own_sources.HUB}
    assert {key for key in config.task if any(word in key for word in ("hub", "file", "dir", "path"))} == known
    assert {key for key in config.model if any(word in key for word in ("hub", "file", "dir", "path"))} <= {"path"}


def test_without_a_place_to_note_it_trust_is_asked_for_each_time(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file" / "state"))
    for _ in range(2):
        task_of_study(root, "s", trust_code=True)
        with pytest.raises(ValueError, match="trust_code=true"):
            task_of_study(root, "s")


@pytest.mark.parametrize(
    "kind",
    [{"_target_": "hprune.tasks.load.load_task"}, {"_target_": "hprune.tasks.source.read_file", "paths": ["/etc/x"]}],
)
def test_no_function_that_opens_files_is_called_by_a_stored_config(root: Path, kind: dict[str, Any]) -> None:
    at_home(root)
    change(root, kind=kind)
    with pytest.raises(ValueError, match=r"its config names 'hprune\.tasks"):
        task_of_study(root, "s")


def test_the_commands_say_so_and_the_report_appears(
    root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hprune.tasks import source

    monkeypatch.setattr(source, "_read_hub", lambda spec: pytest.fail("the hub was asked"))
    at_home(root)
    change(root, hub_id="somebody/their_set", train_file=None)
    code, _, err = run_command("report", "study=s", f"paths.root={root}")
    assert code == 0, err
    assert err.count("trust_code=true") == 1
    assert "the report goes without classes and texts" in err
    assert "sample 1" not in (root / "studies/s/report.html").read_text()
    for command in ("export", "triage"):
        code, _, err = run_command(command, "study=s", f"out={tmp_path}/x.csv", f"paths.root={root}")
        assert code == 1
        assert len(err.splitlines()) == 1
        assert "task.hub_id='somebody/their_set'" in err
        assert "trust_code=true" in err
    assert not (tmp_path / "x.csv").exists()


# --- what cannot be written is read

READ_ALL = """
import sys
from importlib import import_module
from pathlib import Path
root, out = sys.argv[1:]
try:
    Path(root, "new").touch()
    sys.exit("it can be written")
except OSError:
    pass
for command, *more in (
    ["status"], ["status", "study=s"], ["export", "study=s", f"out={out}/x.csv"],
    ["report", "study=s", f"out={out}/page"],
    ["sensitivity", "study=s", f"out={out}/side"], ["triage", "study=s", f"out={out}/t.csv"], ["report", "study=s"],
    ["sensitivity", "study=s"], ["train", "task=own"], ["status", "-m", "study=s,t"],
):
    sys.argv = [command, *more, f"paths.root={root}"]
    try:
        import_module(f"hprune.{command}").main()
        print("CODE", command, 0)
    except SystemExit as stop:
        print("CODE", command, *(str(stop.code).splitlines()))
"""


def read_only(root: Path) -> list[str]:
    """What starts a process to which a folder is read only: root may write wherever a mount lets it."""
    if os.geteuid():
        for place in (root, *root.rglob("*")):
            place.chmod(0o555 if place.is_dir() else 0o444)
        return []
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    start = ["unshare", "--mount", "sh", "-c", mount, str(root)]
    if shutil.which("unshare") is None or subprocess.run([*start, "true"], capture_output=True, check=False).returncode:
        pytest.skip("root can write everywhere, and no mount can be made")
    return start


def test_a_root_that_cannot_be_written_is_read(root: Path, tmp_path: Path) -> None:
    at_home(root)
    (next(root.glob(STORED_RUN)) / ".lock").touch()  # a process was killed there
    before, out = contents(root), tmp_path / "out"
    out.mkdir()
    done = subprocess.run(
        [*read_only(root), sys.executable, "-c", READ_ALL, str(root), str(out)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    for place in (root, *root.rglob("*")):
        place.chmod(0o755)
    codes = [line.removeprefix("CODE ") for line in done.stdout.splitlines() if line.startswith("CODE ")]
    assert codes[:6] == ["status 0", "status 0", "export 0", "report 0", "sensitivity 0", "triage 0"], done.stderr
    assert all("cannot be written; let the files lie elsewhere with out=FOLDER" in code for code in codes[6:8]), codes
    assert all("choose another place with paths.root=FOLDER" in code for code in codes[8:]), codes
    assert contents(root) == before
    assert {"x.csv", "page/report.html", "page/report.json", "side/sensitivity.html", "t.csv"} <= set(contents(out))


def test_tokens_are_read_or_made_where_none_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = TokenTable(np.arange(4, dtype=np.int32), np.arange(0, 5, 2), None, 0)
    cached_tokens(tmp_path / "kept", lambda: tokens)
    (tmp_path / "kept" / ".lock").touch()
    before = contents(tmp_path)
    monkeypatch.setattr("hprune.data.tokenise.writable", lambda folder: False)
    kept = cached_tokens(tmp_path / "kept", lambda: pytest.fail("they are there"))
    assert kept.input_ids.tolist() == [0, 1, 2, 3]
    assert cached_tokens(tmp_path / "new", lambda: tokens) is tokens
    assert contents(tmp_path) == before
