"""All of a root, or all that one study rests on: what does not fit, and how much was looked at."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hprune.science.records import Scores
from hprune.storage.files import read_json
from hprune.storage.studies import StudyRun, existing_study, references_of, studies_in
from hprune.verifying.problems import Problem, noting
from hprune.verifying.rest import leftovers, problems_of_tokens
from hprune.verifying.runs import problems_of_run
from hprune.verifying.studies import is_sealed, problems_of_study
from hprune.verifying.tables import problems_of_choices, problems_of_tables

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10
KINDS = {"studies": "study", "reports": "report", "complete runs": "complete run", "other runs": "other run",
         "score tables": "score table", "token tables": "token table"}  # fmt: skip

T = TypeVar("T")


@dataclass
class Verified:
    """What was looked at, and what does not fit."""

    problems: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """`2 studies, 9 complete runs (3 made before digests), ...`."""
        before = self.counts["before digests"]
        digests = f" ({before:,} made before run.json had a digest)" if before else ""
        without = self.counts["unchecked reports"]
        unchecked = f" ({without:,} made before report.json had a digest, not checked)" if without else ""
        more = {"complete runs": digests, "reports": unchecked}
        return ", ".join(
            f"{number:,} {one if number == 1 else several}{more.get(several, '')}"
            for several, one in KINDS.items()
            for number in [self.counts[several]]
            if number or several != "reports"
        )


def verify(root: Path, study: str | None = None) -> Verified:
    """Check everything below a root, or what belongs to one study; nothing is written.

    Raises:
        ValueError: if there is no such study.
    """
    found = Verified()
    studies = studies_in(root) if study is None else [existing_study(root, study).name]
    references = {name: _references(root, name) for name in studies}
    paths = {run.path for runs in references.values() for run in runs}
    if study is None:
        paths |= {file.parent for name in ("run.json", "identity.json") for file in (root / "runs").rglob(name)}
    else:
        paths |= {file.parent for path in list(paths) for file in path.rglob("run.json")}  # folds
    for path in _told(sorted(path for path in paths if path.exists()), "runs"):
        found.problems += problems_of_run(path)
        found.counts.update(_kinds(path))
    for name in _told(studies, "studies"):
        _add_study(found, root, name, references[name])
    for folder in [root] if study is None else [root / "studies" / study, *sorted(paths)]:
        found.problems += leftovers(folder)
    for folder in sorted((root / "cache" / "tokens").glob("*")) if study is None else []:
        found.problems += problems_of_tokens(folder)
        found.counts["token tables"] += 1
    found.problems = list(dict.fromkeys(found.problems))
    return found


def _add_study(found: Verified, root: Path, study: str, runs: list[StudyRun]) -> None:
    found.counts["studies"] += 1
    found.problems += problems_of_study(root, study)
    found.counts.update(_report_of(root / "studies" / study / "report.json"))
    tables: dict[str, Scores] = {}
    with noting(found.problems, root / "studies" / study / "scores"):
        problems, tables, number = problems_of_tables(root, study, runs)
        found.problems += problems
        found.counts["score tables"] += number
    broken = {problem.path for problem in found.problems}
    whole = [run for run in runs if not broken & {run.path / "run.json", run.path / "subset.parquet"}]
    found.problems += problems_of_choices(whole, tables)


def _report_of(file: Path) -> Iterator[str]:
    """What the report of a study counts as."""
    if file.exists():
        yield "reports"
        with suppress(ValueError, OSError):  # told already
            if not is_sealed(read_json(file)):
                yield "unchecked reports"


def _references(root: Path, study: str) -> list[StudyRun]:
    """The runs of a study whose references can be read; the others are told with the study."""
    try:
        return references_of(root, study)[0]
    except (ValueError, OSError):
        return []


def _kinds(path: Path) -> Iterator[str]:
    """What a run counts as."""
    if not (path / "run.json").exists():
        yield "other runs"
        return
    yield "complete runs"
    try:
        manifest = read_json(path / "run.json")
        if isinstance(manifest, dict) and "digest" not in manifest:
            yield "before digests"
    except (ValueError, OSError):  # told already
        return


def _told(items: Iterable[T], what: str) -> Iterator[T]:
    """The same items; what takes long says how far it is."""
    listed, told = list(items), time.monotonic()
    for number, item in enumerate(listed):
        if time.monotonic() - told >= PROGRESS_SECONDS:
            log.info("verified %s of %s %s", f"{number:,}", f"{len(listed):,}", what)
            told = time.monotonic()
        yield item
