"""Every run and every study, and what became of it: `python -m hprune.status`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.table import Table

from hprune.command import command
from hprune.reporting.console import PlainConsole
from hprune.reporting.visible import shortened
from hprune.reporting.weights import other_name, weights_of
from hprune.reporting.wording import versions_told
from hprune.root import root_of
from hprune.storage.manifests import read_failure, read_results, version_differences
from hprune.storage.override import under
from hprune.storage.runs import state_of
from hprune.storage.studies import StudyRun, existing_study, planned_seeds, references_of, studies_in

LONGEST_MESSAGE = 300


@command("status", reads=True)
def main(cfg: DictConfig) -> None:
    """Print a table of the studies and one of the runs; `study=NAME` for the runs of one study only."""
    root = root_of(cfg)
    if cfg.study:
        existing_study(root, cfg.study)
    studies = [cfg.study] if cfg.study else studies_in(root)
    console = PlainConsole(140)
    if not studies:
        console.print(f"no study under {root} yet; start with: python -m hprune.study +experiment=demo{under(root)}")
        return
    console.print(_studies(root, studies))
    runs, damaged = _everything(root, studies)
    console.print(_runs(runs, damaged))
    for study in studies:
        if versions := versions_told(version_differences(_manifests(root, study))):
            console.print(shortened(f"study {study}: its runs are of different versions: {versions}", LONGEST_MESSAGE))
    if any(state_of(path) == "failed" for path in runs) or damaged:
        console.print(
            "A run that will never be complete, and a damaged reference: remove its file "
            "studies/<study>/runs/<folder>.seed=<seed>.<purpose>.json, and the study waits for it no more."
        )


def _everything(root: Path, studies: list[str]) -> tuple[dict[Path, StudyRun], dict[Path, str]]:
    """The runs of all studies by their folders, and what is wrong with references by their files."""
    runs, damaged = dict[Path, StudyRun](), dict[Path, str]()
    for study in studies:
        with suppress(ValueError, OSError):  # told in its row
            found, wrong = references_of(root, study)
            runs |= {run.path: run for run in found}
            damaged |= wrong
    return runs, damaged


def _studies(root: Path, studies: list[str]) -> Table:
    table = Table("study", "scoring runs", "comparison runs", "missing scoring seeds", "report", title="studies")
    for study in studies:
        try:
            table.add_row(study, *_study(root, study))
        except (ValueError, OSError) as error:  # the other studies are to be seen, too
            table.add_row(study, "damaged", "", shortened(str(error), LONGEST_MESSAGE), "")
    return table


def _manifests(root: Path, study: str) -> Iterator[dict[str, Any]]:
    """What the complete runs of a study say, but for damaged ones, which the tables name."""
    for run in _everything(root, [study])[0].values():
        with suppress(ValueError, OSError):
            if state_of(run.path) == "done":
                yield read_results(run.path)


def _study(root: Path, study: str) -> list[str]:
    """The row of a study, but for its name."""
    runs, damaged = references_of(root, study)
    scored = {run.key.seed for run in runs if run.purpose == "scoring" and state_of(run.path) == "done"}
    try:
        missing = ", ".join(map(str, sorted(set(planned_seeds(root, study)) - scored))) or "none"
    except ValueError as error:  # its runs are to be seen, too
        missing = f"damaged: {shortened(str(error), LONGEST_MESSAGE)}"
    report = root / "studies" / study / "report.html"
    wrong = {purpose: sum(f".{purpose}." in file.name for file in damaged) for purpose in ("scoring", "comparison")}
    cells = [_counted([run for run in runs if run.purpose == purpose], wrong[purpose]) for purpose in wrong]
    return [*cells, missing, str(report) if report.exists() else "not yet"]


def _counted(runs: list[StudyRun], damaged: int) -> str:
    counts = Counter[str](state_of(run.path) for run in runs) + Counter(damaged=damaged)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"


def _runs(runs: dict[Path, StudyRun], damaged: dict[Path, str]) -> Table:
    table = Table("run", "state", "samples", "result", "folder", title="runs")
    for path, run in sorted(runs.items(), key=lambda item: item[1].key):
        state: str = state_of(path)
        try:
            state, samples, result = _result(path, state)
        except ValueError as error:  # the other runs are to be seen, too
            state, samples, result = "damaged", "", str(error)
        table.add_row(str(run.key), state, samples, shortened(result, LONGEST_MESSAGE), path.parent.name)
    for file, why in damaged.items():
        table.add_row(file.stem, "damaged", "", shortened(why, LONGEST_MESSAGE), "")
    return table


def _result(path: Path, state: str) -> tuple[str, str, str]:
    """The state of a run, how many samples it was trained on, and what it reached or why it failed."""
    if state == "failed":
        return state, "", read_failure(path)
    if state != "done":
        return state, "", ""
    manifest = read_results(path)
    metric = manifest["primary_metric"]
    reached = [f"{name} {metric} {values[metric]:.4f}" for name, values in manifest["metrics"].items()]
    other = other_name(manifest["key"]["model"], weights_of(manifest))
    reached += [f"weights of {other}"] if other else []
    state = "restored" if "restored" in manifest else state  # from a packed file, so not all of it is there
    return state, f"{manifest['samples']:,}", ", ".join(reached)


if __name__ == "__main__":
    main()
