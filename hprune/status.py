"""Every run and every study, and what became of it: `python -m hprune.status`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from omegaconf import DictConfig
from rich.table import Table

from hprune.command import command
from hprune.reporting.console import PlainConsole
from hprune.reporting.visible import shortened
from hprune.reporting.weights import other_name, weights_of
from hprune.root import root_of
from hprune.storage.manifests import read_failure, read_results
from hprune.storage.runs import state_of
from hprune.storage.studies import StudyRun, planned_seeds, runs_of, studies_in

LONGEST_MESSAGE = 300


@command("status")
def main(cfg: DictConfig) -> None:
    """Print a table of the studies and one of the runs; `study=NAME` for the runs of one study only."""
    root = root_of(cfg)
    studies = [cfg.study] if cfg.study else studies_in(root)
    console = PlainConsole(140)
    if not studies:
        console.print(f"no study under {root} yet; start with: python -m hprune.study +experiment=demo")
        return
    console.print(_studies(root, studies))
    console.print(_runs({run.path: run for study in studies for run in runs_of(root, study)}))


def _studies(root: Path, studies: list[str]) -> Table:
    table = Table("study", "scoring runs", "comparison runs", "missing scoring seeds", "report", title="studies")
    for study in studies:
        runs = runs_of(root, study)
        planned = set(planned_seeds(root, study))
        scored = {run.key.seed for run in runs if run.purpose == "scoring" and state_of(run.path) == "done"}
        report = root / "studies" / study / "report.html"
        cells = [_counted([run for run in runs if run.purpose == purpose]) for purpose in ("scoring", "comparison")]
        table.add_row(
            study,
            *cells,
            ", ".join(map(str, sorted(planned - scored))) or "none",
            str(report) if report.exists() else "not yet",
        )
    return table


def _counted(runs: list[StudyRun]) -> str:
    counts = Counter(state_of(run.path) for run in runs)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"


def _runs(runs: dict[Path, StudyRun]) -> Table:
    table = Table("run", "state", "samples", "result", "folder", title="runs")
    for path, run in sorted(runs.items(), key=lambda item: item[1].key):
        state: str = state_of(path)
        try:
            state, samples, result = _result(path, state)
        except ValueError as error:  # the other runs are to be seen, too
            state, samples, result = "damaged", "", str(error)
        table.add_row(str(run.key), state, samples, shortened(result, LONGEST_MESSAGE), path.parent.name)
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
