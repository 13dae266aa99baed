"""Faults of runs, checkpoints and tables that are taken for others, and of locks."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.fault_place import (
    CODE,
    TINY,
    Place,
    Row,
    died,
    fault,
    plain_rows,
    scored,
    waited,
)


def corpus(at: Place) -> tuple[str, ...]:
    """The options of every run here."""
    file = at.folder / "a.csv"
    if not file.exists():
        at.rows("a.csv", plain_rows())
    return ("task=own", f"task.train_file={file}", f"task.validation_file={file}", *TINY, "study=s")


LONG = ("trainer.max_epochs=60", "trainer.checkpoint_minutes=0")
BY_EPOCH = ("trainer.max_epochs=60",)


def checkpointed(at: Place, seed: int) -> Path:
    """The checkpoint of a run that was killed, of the end of an epoch."""
    with at.process("train", *corpus(at), *BY_EPOCH, f"seed={seed}") as made:
        (file,) = waited(lambda: list(at.root.glob(f"runs/*/*/*/seed={seed}/resume.ckpt")), made)
    return Path(file)


CHECKPOINTS = "training/test_whose_checkpoint.py"


@fault(
    "C1: the checkpoint of another seed",
    f"{CHECKPOINTS}::test_a_checkpoint_in_the_place_of_another_seed_is_refused_and_the_way_out_works",
)
def _(at: Place) -> tuple[bool, object]:
    one, two = checkpointed(at, 1), checkpointed(at, 2)
    shutil.copy(one, two)
    ended = at.command("train", *corpus(at), *BY_EPOCH, "seed=2")
    return ended.refused("seed"), f"exit {ended.code}: {ended.last}"


@fault(
    "C1: one without the recorder's state",
    "training/test_whose_checkpoint.py::test_one_without_the_whole_record_is_named",
)
def _(at: Place) -> tuple[bool, object]:
    import torch

    file = checkpointed(at, 1)
    saved = torch.load(file, weights_only=False)
    saved["callbacks"] = {k: v for k, v in saved["callbacks"].items() if "Recorder" not in k}
    torch.save(saved, file)
    ended = at.command("train", *corpus(at), *BY_EPOCH, "seed=1")
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
    left = [
        place.name
        for place in at.folder.iterdir()
        if (place / "state.json").exists() and not place.name.endswith(".tmp")
    ]
    return bool(left), f"the old one is {'at ' + left[0] if left else 'gone'}"


@fault(
    "C4: triage killed before the provenance",
    "test_triage.py::test_killed_between_its_files_the_same_command_completes",
)
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


@fault(
    "C10: a flipped bit in the cache of tokens", "data/test_tokenise.py::test_one_flipped_bit_in_a_cached_table_is_seen"
)
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
    found = "versions" in at.must("report", "study=s").out
    return found, "a sign" if found else "not a word in the report"


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
    return (
        not written and not changed and ended.code == 1,
        f"written outside: {written or ['mine'] * changed or 'nothing'}",
    )


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
        done = subprocess.run(
            [*start, sys.executable, "-m", f"hprune.{command}", *more, f"paths.root={at.root}"], cwd=at.folder,
            text=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(CODE)}, check=False,
        )  # fmt: skip
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
    return (
        made.returncode == 1 and not left and "Traceback" not in err,
        f"exit {made.returncode}, in the new folder: {left}",
    )


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
    """A file system that has no locks."""

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
    hold = (
        "import fcntl, sys, time\nfcntl.flock = lambda *_: None\nfrom pathlib import Path\n"
        "from hprune.storage.lock import locked\n"
        "with locked(Path('run')):\n    print('in', flush=True)\n    time.sleep(60)\n"
    )
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


@fault(
    "data.workers=2, ended and resumed", "test_interrupt.py::test_interrupted_and_terminated_and_the_same_command_again"
)
def _(at: Place) -> tuple[bool, object]:
    lines = 0
    for _ in range(3):
        with at.process("train", *corpus(at), *LONG, "trainer.max_epochs=100", "data.workers=2", "seed=1") as made:
            before = {file.stat().st_mtime_ns for file in at.root.glob("runs/*/*/*/seed=1/resume.ckpt")}
            waited(
                lambda b=before: {f.stat().st_mtime_ns for f in at.root.glob("runs/*/*/*/seed=1/resume.ckpt")} - b, made
            )  # type: ignore[misc]
            os.killpg(made.pid, signal.SIGTERM)
            lines += made.communicate(timeout=60)[1].count("Traceback")
    return lines == 0, f"{lines} tracebacks in three ends"
