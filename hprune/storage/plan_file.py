"""`studies/<study>/plan.json`: what a study plans, and the task and the model that it was given.

The command that trains writes it; the file stays as it is while the plan does, and counts how often that changed.
Studies share runs by content, so a run cannot say where the data of each of its studies lie: the study says it itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hprune.storage import shapes
from hprune.storage.files import as_json, read_json, sha256_of_json, write_json
from hprune.storage.lock import TELL_AFTER
from hprune.storage.manifests import check_seal, sealed
from hprune.storage.places import below, check_stays

log = logging.getLogger(__name__)

SECTIONS = ("task", "model")
"""Of a run's config: what names places, such as files and a model's folder, that are no part of what a run is."""
WAIT_SECONDS = 60.0
"""Longest that a command waits for another one that writes the same plan, which takes milliseconds."""


def _planned(value: Any) -> bool:
    """An object with two lists of seeds, scoring and comparison."""
    lists = [value.get(key) for key in ("scoring", "comparison")] if isinstance(value, dict) else [None]
    return all(isinstance(seeds, list) and all(map(shapes.count, seeds)) for seeds in lists)


TICKETS = shapes.list_of(_planned)
"""What a file says of the tickets that a study plans."""
PLAN: shapes.Shape = {
    "counter": shapes.count,
    "expected_seeds": shapes.list_of(shapes.count),
    "tickets": TICKETS,
    "content": shapes.dict_of(shapes.text),
    "config": shapes.dict_of(shapes.anything),
}


COLUMNS: shapes.Shape = {"columns": shapes.dict_of(shapes.text)}
"""What a plan says besides of the train file's columns that the task does not use, unless an older version wrote it."""

ALTERED = (
    "was altered after it was written: its digest is not that of its content. Bring the original back, or move it "
    "away, and the next command that trains writes it again"
)


@dataclass(frozen=True)
class PlannedTicket:
    """One of several tickets that a study plans: its scoring seeds, and the comparison seeds that train its arms."""

    scoring: tuple[int, ...]
    comparison: tuple[int, ...]


@dataclass(frozen=True)
class StudyPlan:
    """What a study plans by the latest command that trained one of its runs."""

    expected_seeds: tuple[int, ...]
    """Seeds of the scoring runs that the study plans."""
    tickets: tuple[PlannedTicket, ...] = ()
    """Several; none: the one of all scoring runs."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The sections of the study's config that name places: `SECTIONS`."""
    content: Mapping[str, str] = field(default_factory=dict)
    """What the data and the model at these places were, as the settings of a run say it: digests by section."""
    columns: Mapping[str, str] | None = None
    """Digests of the columns that the task does not use, in the train file at these places; None: not known."""

    def fits(self, settings: Mapping[str, Any]) -> bool:
        """Whether a run of these settings is of the data and the model at the places that the plan names."""
        return bool(self.config) and dict(self.content) == content_of(settings)


def content_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """What the data and the model of a run are, whatever places they were read from."""
    task = settings.get("task")
    return {
        "task": str(task.get("data", "")) if isinstance(task, Mapping) else "",
        "model": sha256_of_json(settings.get("model", {})),
    }


def tickets_from(listed: Sequence[Mapping[str, Sequence[int]]]) -> tuple[PlannedTicket, ...]:
    """The tickets that a file lists."""
    return tuple(PlannedTicket(tuple(one["scoring"]), tuple(one["comparison"])) for one in listed)


def read_plan(folder: Path) -> StudyPlan | None:
    """The plan in a study's folder; None if none was written, as by 0.1.0.

    Raises:
        ValueError: if it is not readable, or not of the shape that commands leave behind.
    """
    content = _content(folder)
    if content is None:
        return None
    tickets = tickets_from(content["tickets"])
    return StudyPlan(
        tuple(content["expected_seeds"]), tickets, content["config"], content["content"], content.get("columns")
    )


def write_plan(folder: Path, plan: StudyPlan, *, scores: bool) -> None:
    """Write the plan of a study unless it stands there already, with one more than the counter of the one before.

    The lock of `one_writer` must be held.

    Args:
        folder: of the study.
        plan: by the command that trains now.
        scores: whether it is said by a scoring run. An arm of other data or of another model than those that the study
            scores changes what is planned, not where these lie.
    """
    there = _content(folder)
    other = not plan.config or (there is not None and not scores and plan.content != there["content"])
    if there is not None and there["config"] and other:
        plan = StudyPlan(plan.expected_seeds, plan.tickets, there["config"], there["content"], there.get("columns"))
    content = as_json({"study": folder.name, **asdict(plan)})
    if plan.columns is None:
        del content["columns"]
    if there is None or {key: there.get(key) for key in content} != content:
        counter = 0 if there is None else there["counter"] + 1
        write_json(plan_file(folder), sealed({"counter": counter, **content}))


def plan_file(folder: Path) -> Path:
    """Where the plan of the study in a folder lies."""
    return folder / "plan.json"


def _content(folder: Path) -> dict[str, Any] | None:
    if not plan_file(folder).exists():
        return None
    file = below(folder, "plan.json")
    content = read_json(file)
    shapes.check_shape(file, content, PLAN)
    shapes.check_shape(file, content, COLUMNS, lenient=True)
    if "digest" in content:  # plans of before have none
        check_seal(file, content, ALTERED)
    return dict(content)


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Let one command at a time say what a study consists of; one that was killed holds no lock any more.

    Where files cannot be locked it goes on without: every file is written whole, and training refuses such a place.
    """
    file = folder / ".plan.lock"
    check_stays(file)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, fallback_to_soft=False)
    try:
        held = _acquired(lock)
    except OSError as error:
        held = False
        if not os.access(folder, os.W_OK):
            raise OSError(error.errno, f"cannot write {folder}: {error.strerror or error}") from error
    try:
        yield
    finally:
        if held:
            file.unlink(missing_ok=True)  # while it is held: who waits for this file sees that it is gone
            lock.release()


def _acquired(lock: FileLock) -> bool:
    """Whether a lock was given; a process that holds it for a minute is stopped, not at work."""
    for seconds, then in ((TELL_AFTER, f"waiting up to {WAIT_SECONDS:.0f} seconds for it"), (WAIT_SECONDS, "going on")):
        try:
            lock.acquire(timeout=seconds)
            return True
        except Timeout:
            log.warning("another process holds %s: %s", lock.lock_file, then)
    return False
