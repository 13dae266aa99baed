"""A run as part of a study: is it a scoring run or a comparison run, which score table chooses its samples?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hprune.own_sources import note_sources
from hprune.reporting.outcomes import State
from hprune.science.tickets import seeds_of_tickets
from hprune.storage.plan_file import PlannedTicket
from hprune.storage.runs import RunFolder
from hprune.storage.scores import check_apart, scores_for, sized
from hprune.storage.studies import Purpose, add_run
from hprune.tasks.spec import TaskData
from hprune.training.assemble import check_builds
from hprune.training.run import chosen, fine_tune, locate
from hprune.training.settings import RunSpec


def collect_run(
    spec: RunSpec, data: TaskData, *, root: Path, study: str, scoring_seeds: tuple[int, ...], purpose: Purpose
) -> tuple[RunFolder, State]:
    """Let a study refer to a run, and train it unless it is complete.

    Raises:
        ValueError: if its score table is missing, or a scoring run's settings differ from those of the study's others.
    """
    folder = register_run(spec, data, root=root, study=study, scoring_seeds=scoring_seeds, purpose=purpose)
    return folder, train_run(spec, data, folder, root=root, study=study)


def register_run(
    spec: RunSpec,
    data: TaskData,
    *,
    root: Path,
    study: str,
    scoring_seeds: tuple[int, ...],
    purpose: Purpose,
    plans: bool = True,
) -> RunFolder:
    """Let a study refer to a run; its folder, complete or not. `plans`: as in `add_run`.

    Raises:
        ValueError: what refuses the run before it can start; the study then does not refer to it.
    """
    folder = startable(spec, data, root=root, study=study)
    if not folder.complete:
        check_builds(spec, data)
    note_sources(root, spec.config)
    comparison = spec.config.get("comparison", {})
    groups, seeds = comparison.get("tickets") or [], comparison.get("seeds") or []
    parts = seeds_of_tickets(seeds, len(groups)) if groups else ()
    planned = [PlannedTicket(tuple(group), part) for group, part in zip(groups, parts, strict=True)]
    ticket = tuple(comparison.get("ticket") or ()) if purpose == "comparison" else ()
    said: dict[str, Any] = {"config": spec.config, "columns": data.carried, "plans": plans}
    add_run(root, study, folder, purpose, scoring_seeds, tickets=planned, ticket=ticket, **said)
    return folder


def startable(spec: RunSpec, data: TaskData, *, root: Path, study: str) -> RunFolder:
    """The folder of a run, complete or not, after all checks that need no model.

    Raises:
        ValueError: if a score table is missing, its runs share the seed, or the subset is none to train on.
    """
    check_seed_apart(spec, root=root, study=study)
    spec, data = sized_run(spec, data, root=root, study=study), data.for_task(spec.task)
    scores = scores_for(spec.subset, root=root, study=study)
    folder = locate(spec, data, scores, root=root)
    if not folder.complete:
        chosen(spec, data, scores)
    return folder


def check_seed_apart(spec: RunSpec, *, root: Path, study: str) -> None:
    """Refuse a run whose seed is behind the score table that chooses its samples, unless its config allows that.

    Raises:
        ValueError: as in `check_apart`.
    """
    if not spec.config.get("comparison", {}).get("allow_seed_overlap"):
        check_apart(spec.subset, spec.seed, root=root, study=study)


def folder_of(spec: RunSpec, data: TaskData, *, root: Path, study: str) -> RunFolder:
    """The folder of a run of a study, whether it exists or not.

    Raises:
        ValueError: if a score table that its subset is chosen or sized by is missing.
    """
    spec, data = sized_run(spec, data, root=root, study=study), data.for_task(spec.task)
    return locate(spec, data, scores_for(spec.subset, root=root, study=study), root=root)


def train_run(spec: RunSpec, data: TaskData, folder: RunFolder, *, root: Path, study: str) -> State:
    """Train a run that its study refers to, unless it is complete; what became of it."""
    spec, data = sized_run(spec, data, root=root, study=study), data.for_task(spec.task)
    state: State = "skipped" if folder.complete else "resumed" if folder.checkpoint.exists() else "done"
    fine_tune(spec, data, scores_for(spec.subset, root=root, study=study), root=root)
    return state


def sized_run(spec: RunSpec, data: TaskData, *, root: Path, study: str) -> RunSpec:
    """The run with the size of its subset as a number, where another table says it."""
    ids = data.train["sample_id"].to_numpy()
    return replace(spec, subset=sized(spec.subset, sample_ids=ids, data_hash=data.data_hash, root=root, study=study))


def purpose_of(spec: RunSpec, scoring_seeds: tuple[int, ...], *, allow_seed_overlap: bool = False) -> Purpose:
    """A run of the full set with a scoring seed gives records; every other run is an arm's.

    Raises:
        ValueError: if the seed of an arm was used for scoring and that is not allowed.
    """
    if spec.seed not in scoring_seeds:
        return "comparison"
    if spec.subset.select is None:
        return "scoring"
    if not allow_seed_overlap:
        raise ValueError(
            f"seed {spec.seed} is a scoring seed ({list(scoring_seeds)}): "
            "an arm that is trained with it would be judged by a run that chose its samples. "
            "Use other seeds (seed=101,102,...), or set comparison.allow_seed_overlap=true"
        )
    return "comparison"
