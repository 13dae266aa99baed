"""One study: its references, plan and margin are its own, and agree with the runs that they name."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hprune.storage.bound import check_same_run, place_of
from hprune.storage.differing import differing_keys
from hprune.storage.files import read_json
from hprune.storage.manifests import check_seal, read_manifest
from hprune.storage.margins import stored_margin
from hprune.storage.override import of_study
from hprune.storage.runs import state_of
from hprune.storage.studies import StudyRun, plan_of, planned_seeds, pointer_name, references_of, study_folder
from hprune.verifying.problems import Problem, noting

log = logging.getLogger(__name__)


def problems_of_study(root: Path, study: str) -> list[Problem]:
    """What does not fit in the folder of a study, but for its score tables."""
    found: list[Problem] = []
    with noting(found, root / "studies" / study):
        folder = study_folder(root, study)
        runs, damaged = references_of(root, study)
        found += [Problem(file, why) for file, why in damaged.items()]
        found += _of_owner(folder, study)
        for run in runs:
            with noting(found, run.path / "run.json"):
                _check_reference(run)
        found += _of_scoring(folder, runs)
        with noting(found, folder / "margin.json"):
            stored_margin(root, study)
        with noting(found, folder / "plan.json"):
            _check_plan(root, study, runs)
            found += _of_lost_references(root, study, runs)
        with noting(found, folder / "report.json"):
            _check_report(root, study)
    return found


def _check_reference(run: StudyRun) -> None:
    """A complete run is the one that is referred to, and what it is referred to as."""
    if state_of(run.path) != "done":
        return
    file, manifest = run.path / "run.json", read_manifest(run.path)
    check_same_run(file, manifest, run.key, run.settings_hash)
    behind = manifest.get("subset", {}).get("seeds")
    if run.ticket and behind is not None and sorted(run.ticket) != sorted(behind):
        raise ValueError(
            f"the study refers to {run.key} as an arm of the ticket of the scoring runs {list(run.ticket)}, but its "
            f"samples were chosen by those of {behind}: remove the reference, and the same command writes it again"
        )


def _of_scoring(folder: Path, runs: list[StudyRun]) -> list[Problem]:
    """Scoring runs agree in their settings."""
    found: list[Problem] = []
    scoring = [run for run in runs if run.purpose == "scoring" and state_of(run.path) == "done"]
    with noting(found, folder / "runs"):
        for run in scoring[1:]:
            if run.settings_hash != scoring[0].settings_hash:
                first, other = (read_manifest(one.path)["settings"] for one in (scoring[0], run))
                raise ValueError(
                    f"its scoring runs are of different settings: {scoring[0].key} (there) and {run.key} (here) differ "
                    f"in {', '.join(differing_keys(first, other))}: remove references to some"
                )
    return found


def _of_lost_references(root: Path, study: str, runs: list[StudyRun]) -> list[Problem]:
    """Complete scoring runs that were trained for this study, which plans them and does not refer to them."""
    scoring = [run for run in runs if run.purpose == "scoring"]
    if not scoring:
        return []
    found: list[Problem] = []
    key, digest = scoring[0].key, scoring[0].settings_hash
    for seed in sorted(set(planned_seeds(root, study)) - {run.key.seed for run in scoring}):
        path = root / place_of(replace(key, seed=seed), digest)
        if state_of(path) != "done":
            continue
        file = study_folder(root, study) / "runs" / pointer_name(path, "scoring")
        with noting(found, file):
            if read_manifest(path).get("config", {}).get("study") == study:
                raise ValueError(
                    f"{file} is missing: the scoring run of seed {seed} is planned, and was trained for this study: "
                    "the command that trains it writes the reference again"
                )
    return found


def _check_report(root: Path, study: str) -> None:
    """The report is what was written; those of before have no digest."""
    file = study_folder(root, study) / "report.json"
    if file.exists() and is_sealed(content := read_json(file)):
        again = f"python -m hprune.report {of_study(study, root)}"
        check_seal(file, content, f"was edited after it was written; write it again: {again}")


def is_sealed(content: Any) -> bool:
    """Whether what was read of a file has a digest."""
    return isinstance(content, dict) and "digest" in content


def _check_plan(root: Path, study: str, runs: list[StudyRun]) -> None:
    """The plan is readable, and where it says that the data lie, they were those of the scoring runs."""
    plan = plan_of(root, study)
    scoring = [run for run in runs if run.purpose == "scoring" and state_of(run.path) == "done"]
    if plan is None or not plan.config or not scoring:
        return
    settings = read_manifest(scoring[0].path)["settings"]
    if not plan.fits(settings):
        raise ValueError(
            f"{study_folder(root, study) / 'plan.json'} says where other data or another model lie than those of the "
            "study's scoring runs: move it away, and the next command that trains writes it again"
        )


def _of_owner(folder: Path, study: str) -> list[Problem]:
    """Every file that names its study names this one; a folder that was renamed as a whole is no problem."""
    said = dict(_owners(folder))
    if len(set(said.values())) == 1 and study not in said.values():
        log.info("study %s was renamed or copied: its files are of study %s", study, *set(said.values()))
        return []
    return [
        Problem(file, f"is of study {owner}, not of {study}: bring the original back, or move it away")
        for file, owner in said.items()
        if owner != study
    ]


def _owners(folder: Path) -> Iterator[tuple[Path, str]]:
    """The study that each file names which names one; those of older versions do not."""
    for file in (
        folder / "plan.json",
        folder / "margin.json",
        folder / "report.json",
        *sorted((folder / "runs").glob("*.json")),
    ):
        if file.exists():
            try:
                content = read_json(file)
            except ValueError:  # told elsewhere
                continue
            owner = content.get("study") if isinstance(content, dict) else None
            if isinstance(owner, str):
                yield file, owner
