"""A study refers to runs: `studies/<study>/runs/<subset>-<hash8>.seed=<s>.<purpose>.json` points at one.

Studies share runs.

One small file a run, written by the run itself: parallel jobs never write to the same file.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from hprune.science.records import RunKey
from hprune.storage import shapes
from hprune.storage.bound import place_of
from hprune.storage.differing import differing_keys
from hprune.storage.files import check_name, read_json, write_json
from hprune.storage.known_names import read_otherwise
from hprune.storage.lock import at_work
from hprune.storage.manifests import KEY, key_of, read_identity, read_manifest
from hprune.storage.override import of_study
from hprune.storage.places import below, check_stays, keep_below
from hprune.storage.plan_file import (
    SECTIONS,
    TICKETS,
    PlannedTicket,
    StudyPlan,
    content_of,
    one_writer,
    read_plan,
    tickets_from,
    write_plan,
)
from hprune.storage.runs import RunFolder, run_folder, state_of

log = logging.getLogger(__name__)

Purpose = Literal["scoring", "comparison"]


def _purpose(value: Any) -> bool:
    """Scoring or comparison."""
    return value in get_args(Purpose)


POINTER: shapes.Shape = {
    "key": KEY,
    "purpose": _purpose,
    "settings_hash": shapes.digest,
    "path": shapes.text,
    "expected_seeds": shapes.list_of(shapes.count),
}


OF_TICKETS: shapes.Shape = {"ticket": shapes.list_of(shapes.count), "tickets": TICKETS}
"""What a pointer says besides, in a study of several tickets."""


@dataclass(frozen=True)
class StudyRun:
    """A run as a study sees it: a scoring run gives records, a comparison run gives the accuracy of an arm."""

    key: RunKey
    purpose: Purpose
    settings_hash: str
    path: Path
    expected_seeds: tuple[int, ...] = ()  # the scoring seeds that the study plans
    ticket: tuple[int, ...] = ()  # the scoring seeds of the ticket whose arm it is, in a study of several


def study_folder(root: Path, study: str) -> Path:
    """The folder of a study.

    Raises:
        ValueError: if the name cannot be a folder's name.
    """
    check_name("study", study)
    return keep_below(root) / "studies" / study


def existing_study(root: Path, study: str) -> Path:
    """The folder of a study that has at least one run.

    Raises:
        ValueError: if there is no such study; the message lists those that exist.
    """
    folder = study_folder(root, study)
    if not (folder / "runs").is_dir():
        there = studies_in(root)
        close = difflib.get_close_matches(study, there, n=1)
        collect = f"collect runs first: python -m hprune.train +experiment=... {of_study(study, root)}"
        way_out = f"did you mean {close[0]}?" if close else collect
        raise ValueError(
            f"no study {study!r} under {root}; there {'are ' + ', '.join(there) if there else 'is none yet'}; {way_out}"
        )
    return folder


def add_run(
    root: Path,
    study: str,
    folder: RunFolder,
    purpose: Purpose,
    expected_seeds: tuple[int, ...],
    *,
    tickets: Sequence[PlannedTicket] = (),
    ticket: tuple[int, ...] = (),
    config: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    plans: bool = True,
) -> None:
    """Let a study refer to a run; saying it twice changes nothing.

    Args:
        root: where results lie.
        study: its name.
        folder: of the run.
        purpose: of the run in this study.
        expected_seeds: the scoring seeds that the study plans.
        tickets: that it plans, if several.
        ticket: the scoring seeds of the ticket whose arm the run is, in a study of several.
        config: of the run, for where the study's data and its model lie; None: not known.
        columns: digests of the columns of its train file that the task does not use; None: not known.
        plans: whether this says what the study plans; a command says it once, with the first of its runs.

    Raises:
        ValueError: if it is a scoring run whose settings differ from those of the study's other scoring runs; or links
            lead from the study's folder out of the root.
    """
    own = {name: config[name] for name in SECTIONS if config and name in config}
    plan = StudyPlan(
        expected_seeds, tuple(tickets), own, content_of(folder.settings) if own else {}, columns if own else None
    )
    check_stays(_pointer(root, study, folder.path, purpose))  # before pointers beside it are removed
    with one_writer(study_folder(root, study)):
        if purpose == "scoring":
            _check_same_settings(root, study, folder)
        else:
            _let_go_of_own_order(root, study, folder)
        if plans:
            write_plan(study_folder(root, study), plan, scores=purpose == "scoring")
        _write_pointer(root, study, folder, purpose, plan, ticket)


def _write_pointer(
    root: Path, study: str, folder: RunFolder, purpose: Purpose, plan: StudyPlan, ticket: tuple[int, ...]
) -> None:
    """Write the file that points at a run; it says what is planned, too, for versions that know no plan file."""
    content: dict[str, Any] = {
        "study": study,
        "key": asdict(folder.key),
        "purpose": purpose,
        "settings_hash": folder.settings_hash,
        "path": str(folder.path.relative_to(root)),
        "expected_seeds": list(plan.expected_seeds),
    }
    if plan.tickets:
        content["tickets"] = [asdict(one) for one in plan.tickets]
    if ticket:
        content["ticket"] = list(ticket)
    write_json(_pointer(root, study, folder.path, purpose), content)


def _pointer(root: Path, study: str, run: Path, purpose: Purpose) -> Path:
    return study_folder(root, study) / "runs" / pointer_name(run, purpose)


def pointer_name(run: Path, purpose: str) -> str:
    """What the file is called by which a study refers to the run in a folder."""
    return f"{run.parent.name}.{run.name}.{purpose}.json"


def runs_of(root: Path, study: str, purpose: Purpose | None = None) -> list[StudyRun]:
    """The runs that a study refers to, by key; complete or not."""
    found = [_read_pointer(root, file) for file in sorted((existing_study(root, study) / "runs").glob("*.json"))]
    return sorted((run for run in found if purpose in (None, run.purpose)), key=lambda run: run.key)


def references_of(root: Path, study: str) -> tuple[list[StudyRun], dict[Path, str]]:
    """The runs that a study refers to, by key, and of each reference that cannot be read why.

    Raises:
        ValueError: if there is no such study.
    """
    found, damaged = [], {}
    for file in sorted((existing_study(root, study) / "runs").glob("*.json")):
        try:
            found.append(_read_pointer(root, file))
        except (ValueError, OSError) as error:
            damaged[file] = str(error)
    return sorted(found, key=lambda run: run.key), damaged


def _read_pointer(root: Path, file: Path) -> StudyRun:
    """A run by the file that points at it, which may point nowhere but to that run below `root`."""
    entry = _entry(file)
    key, digest = key_of(entry), entry["settings_hash"]
    place = place_of(key, digest)
    if entry["path"] != place:
        raise ValueError(f"{file} points to {entry['path']!r}, but its run lies at {place!r}; {shapes.WAY_OUT}")
    if file.name != (name := pointer_name(root / place, entry["purpose"])):
        raise ValueError(f"{file} is the reference to another run, called {name}; {shapes.WAY_OUT}")
    seeds, ticket = tuple(entry["expected_seeds"]), tuple(entry.get("ticket", ()))
    return StudyRun(key, entry["purpose"], digest, below(root / "runs", place.removeprefix("runs/")), seeds, ticket)


def _entry(file: Path) -> dict[str, Any]:
    """What a pointer says, of this shape."""
    entry = read_json(below(file.parent, file.name))
    shapes.check_shape(file, entry, POINTER)
    shapes.check_shape(file, entry, OF_TICKETS, lenient=True)
    return dict(entry)


def _check_same_settings(root: Path, study: str, folder: RunFolder) -> None:
    """Scoring runs that have results, or are at work, bind those that come; a try that left nothing is let go."""
    if not (study_folder(root, study) / "runs").is_dir():
        return
    others = [run for run in runs_of(root, study, "scoring") if run.settings_hash != folder.settings_hash]
    for run in others:
        if state_of(run.path) == "done" or (run.path / "resume.ckpt").exists() or at_work(run.path):
            there = read_identity(run.path)["settings"]
            raise ValueError(
                f"study {study!r} already scores runs of other settings ({run.key}), "
                f"differing in {', '.join(differing_keys(there, dict(folder.settings)))}; "
                "runs of one score must agree: give these a study of their own with study=NAME"
                f"{_read_otherwise(run.path, folder.settings)}"
            )
    for run in others:
        log.info("study %s: the try of other settings at %s left no result and is left out", study, run.path)
        _pointer(root, study, run.path, "scoring").unlink(missing_ok=True)


def _read_otherwise(path: Path, settings: Mapping[str, Any]) -> str:
    """How a study of 0.1.0 goes on, which may have read the labels otherwise."""
    task = settings.get("task")
    names = task.get("label_names") if isinstance(task, Mapping) else None
    return read_otherwise(read_manifest(path), names) if names and state_of(path) == "done" else ""


def _let_go_of_own_order(root: Path, study: str, folder: RunFolder) -> None:
    """Let go of a run of 0.1.0 that is not complete, and that this one, in the order of the full set, replaces.

    Its settings are the same without `data.order_from`. Nothing completes it any more, and a report would miss it.
    """
    data = dict(folder.settings.get("data", {}))
    if data.pop("order_from", None) is None:
        return
    before = run_folder(root, folder.key, {**folder.settings, "data": data}).path
    pointer = _pointer(root, study, before, "comparison")
    if pointer.exists() and state_of(before) != "done" and not at_work(before):
        log.info("study %s: the unfinished run at %s is replaced by one in the order of the full set", study, before)
        pointer.unlink()


def planned_seeds(root: Path, study: str) -> list[int]:
    """The scoring seeds that the study plans, by the latest command that trained one of its runs."""
    plan = plan_of(root, study)
    return [] if plan is None else sorted(plan.expected_seeds)


def planned_tickets(root: Path, study: str) -> list[PlannedTicket]:
    """The tickets that the study plans, by the latest command that trained one of its runs; empty: just one."""
    plan = plan_of(root, study)
    return [] if plan is None else list(plan.tickets)


def plan_of(root: Path, study: str) -> StudyPlan | None:
    """What a study plans; where no plan was written, as by 0.1.0, what the pointer says that was written last.

    Raises:
        ValueError: if there is no such study, or its plan is not readable.
    """
    folder = existing_study(root, study)
    if (plan := read_plan(folder)) is not None:
        return plan
    latest = max((folder / "runs").glob("*.json"), key=lambda file: file.lstat().st_mtime_ns, default=None)
    if latest is None:
        return None
    entry = _entry(latest)
    return StudyPlan(tuple(entry["expected_seeds"]), tickets_from(entry.get("tickets", ())))


def studies_in(root: Path) -> list[str]:
    """The names of the studies under a root."""
    return sorted(folder.parent.name for folder in root.glob("studies/*/runs"))
