"""What a study says: `python -m hprune.report study=<study>`.

Writes report.json (for programs) and report.html (one self-contained page) and prints the table.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hprune.command import command, instantiate, run_spec
from hprune.judge import judged
from hprune.reporting.summary import summarise
from hprune.root import root_of
from hprune.storage.files import whole_file, write_json
from hprune.storage.studies import existing_study, runs_of
from hprune.stored_config import config_of_study, run_of_study
from hprune.tasks.spec import TaskData, TaskSpec

log = logging.getLogger(__name__)


@command("report")
def main(cfg: DictConfig) -> None:
    """Report a study."""
    root, judge = root_of(cfg), asks_judge(cfg)
    data = data_of_study(root, cfg.study, trust_code=cfg.trust_code)
    write_report(root, cfg.study, data, judge=judge, trust_code=cfg.trust_code)


def asks_judge(cfg: DictConfig) -> bool:
    """Whether the report is to ask an independent judge.

    Raises:
        ValueError: if `judge` is neither true nor false.
    """
    if type(cfg.judge) is not bool:
        raise ValueError(f"judge must be true or false, got {cfg.judge!r}")
    return bool(cfg.judge)


def write_report(
    root: Path, study: str, data: TaskData | None, *, judge: bool = False, trust_code: bool = False
) -> Path:
    """Summarise a study, write report.json and report.html, print the table.

    Args:
        root: where results lie.
        study: its name.
        data: the task's tables; None if they are no longer at hand.
        judge: ask an independent judge of the labels, too.
        trust_code: let the study's config name code that is not hprune's.

    Returns:
        The path of report.html.
    """
    from hprune.reporting.page import render_page  # matplotlib and jinja: half a second
    from hprune.reporting.terminal import print_table

    verdict = judged(root, study, data, trust_code=trust_code) if judge else None
    report = summarise(root, study, data, verdict)
    folder = existing_study(root, study)
    write_json(folder / "report.json", report)
    with whole_file(folder / "report.html") as temporary:
        temporary.write_text(render_page(report), encoding="utf-8")
    print_table(report)
    print(f"report: {folder / 'report.html'}")
    return folder / "report.html"


def task_of_study(root: Path, study: str, *, trust_code: bool = False) -> TaskSpec:
    """The task that a study was given.

    Raises:
        ValueError: as in `config_of_study`.
    """
    task = instantiate(config_of_study(root, study, trust_code=trust_code).task)
    if not isinstance(task, TaskSpec):
        raise ValueError(f"study {study!r}: the config of its runs makes no task, but {task!r:.80}; it was altered")
    return task


def samples_of_study(root: Path, study: str, *, trust_code: bool = False) -> TaskData:
    """The tables of a study's task, with the samples that its runs were trained on.

    Raises:
        ValueError: as in `config_of_study`; or the data cannot be read any more.
        OSError: if the data, or the tokenizer that cut them into samples, cannot be reached any more.
    """
    from hprune.tasks.load import load_task

    task = replace(task_of_study(root, study, trust_code=trust_code), also={})  # whose results are with the runs
    if not task.kind.parts:
        return load_task(task)

    from hprune.training.units import load_samples  # the model's tokenizer says what a sample is

    return load_samples(run_spec(config_of_study(root, study, trust_code=trust_code)).scored(), root=root)


def unchanged_study(root: Path, study: str, *, trust_code: bool = False) -> tuple[TaskSpec, TaskData, dict[str, Any]]:
    """The task of a study, its tables, and the results of a complete run on them.

    Raises:
        ValueError: as in `samples_of_study`; or the train split is not that of the run any more, naming both.
        OSError: as in `samples_of_study`.
    """
    task = task_of_study(root, study, trust_code=trust_code)
    data = samples_of_study(root, study, trust_code=trust_code)
    _, manifest = run_of_study(root, study)
    if manifest["data_hash"] != data.data_hash:
        raise ValueError(
            f"the train split changed since study {study!r} was run: its hash was {manifest['data_hash'][:8]} "
            f"({manifest['full_samples']:,} samples), it is {data.data_hash[:8]} ({data.train.num_rows:,} samples); "
            "bring the data of the study back, or run a study of the new data"
        )
    return task, data, manifest


def data_of_study(root: Path, study: str, *, trust_code: bool = False) -> TaskData | None:
    """The tables of the study's task, or None, with a warning, if they cannot be read any more."""
    runs_of(root, study)
    try:
        return samples_of_study(root, study, trust_code=trust_code)
    except (ValueError, OSError, OmegaConfBaseException) as error:
        log.warning("the data of the study cannot be read (%s): the report goes without classes and texts", error)
        return None


if __name__ == "__main__":
    main()
