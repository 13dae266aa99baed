"""What a study says: `python -m hprune.report study=<study>`.

Writes report.json (for programs) and report.html (one self-contained page) and prints the table.
"""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from hprune.command import command, instantiate, run_spec
from hprune.reporting.summary import summarise
from hprune.storage.files import whole_file, write_json
from hprune.storage.runs import read_manifest, state_of
from hprune.storage.studies import existing_study, runs_of
from hprune.tasks.spec import TaskData, TaskSpec

log = logging.getLogger(__name__)


@command("report")
def main(cfg: DictConfig) -> None:
    """Report a study."""
    root = Path(cfg.paths.root)
    write_report(root, cfg.study, data_of_study(root, cfg.study))


def write_report(root: Path, study: str, data: TaskData | None) -> Path:
    """Summarise a study, write report.json and report.html, print the table.

    Returns:
        The path of report.html.
    """
    from hprune.reporting.page import render_page  # matplotlib and jinja: half a second
    from hprune.reporting.terminal import print_table

    report = summarise(root, study, data)
    folder = existing_study(root, study)
    write_json(folder / "report.json", report)
    with whole_file(folder / "report.html") as temporary:
        temporary.write_text(render_page(report), encoding="utf-8")
    print_table(report)
    print(f"report: {folder / 'report.html'}")
    return folder / "report.html"


def config_of_study(root: Path, study: str) -> DictConfig:
    """The configuration of a complete run of a study: its task and its model.

    Raises:
        ValueError: if no run is complete.
    """
    for run in runs_of(root, study):
        if state_of(run.path) == "done":
            return OmegaConf.create(read_manifest(run.path)["config"])
    raise ValueError(f"study {study!r} has no complete run yet; see: python -m hprune.status")


def task_of_study(root: Path, study: str) -> TaskSpec:
    """The task that a study's runs were trained on.

    Raises:
        ValueError: if no run is complete.
    """
    task: TaskSpec = instantiate(config_of_study(root, study).task)
    return task


def samples_of_study(root: Path, study: str) -> TaskData:
    """The tables of a study's task, with the samples that its runs were trained on.

    Raises:
        ValueError: if no run is complete, or the data cannot be read any more.
        OSError: if the data, or the tokenizer that cut them into samples, cannot be reached any more.
    """
    from hprune.tasks.load import load_task

    task = task_of_study(root, study)
    if not task.kind.parts:
        return load_task(task)

    from hprune.training.units import load_samples  # the model's tokenizer says what a sample is

    return load_samples(run_spec(config_of_study(root, study)), root=root)


def data_of_study(root: Path, study: str) -> TaskData | None:
    """The tables of the study's task, or None, with a warning, if they cannot be read any more."""
    config_of_study(root, study)
    try:
        return samples_of_study(root, study)
    except (ValueError, OSError) as error:
        log.warning("the data of the study cannot be read (%s): the report goes without classes and texts", error)
        return None


if __name__ == "__main__":
    main()
