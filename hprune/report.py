"""What a study says: `python -m hprune.report study=<study>`.

Writes report.json (for programs) and report.html (one self-contained page) and prints the table.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hprune.command import check_sections, command, instantiate, plain, run_spec
from hprune.judge import judged
from hprune.reporting.outcomes import told
from hprune.reporting.summary import summarise
from hprune.root import check_writable, root_of
from hprune.storage.files import one_line, whole_file, write_json
from hprune.storage.known_names import read_otherwise
from hprune.storage.manifests import sealed
from hprune.storage.places import local_path
from hprune.storage.studies import existing_study, plan_of, runs_of
from hprune.stored_config import config_of_study, run_of_study
from hprune.tasks.carried import differing_columns, new_columns
from hprune.tasks.moved import way_out
from hprune.tasks.spec import TaskData, TaskSpec

if TYPE_CHECKING:
    from hprune.tasks.labels import UnclearMinusOneError
    from hprune.training.settings import RunSpec

log = logging.getLogger(__name__)


@command("report", reads=True)
def main(cfg: DictConfig) -> None:
    """Report a study."""
    root, judge, place = root_of(cfg), asks_judge(cfg), place_of(cfg)
    out = None if cfg.out is None else local_path(cfg.out, "out")
    check_writable(existing_study(root, cfg.study) if out is None else out)
    if place:
        _, data, _ = unchanged_study(root, cfg.study, place=place, trust_code=cfg.trust_code)
        write_report(root, cfg.study, data, judge=judge, trust_code=cfg.trust_code, out=out)
        return
    found, why = _data_or_why(root, cfg.study, trust_code=cfg.trust_code)
    write_report(root, cfg.study, found, judge=judge, trust_code=cfg.trust_code, out=out, why=why)


def place_of(cfg: DictConfig) -> dict[str, Any]:
    """The new place of a study's data that a command is given, as keys of the task; empty: where the study has them.

    Raises:
        ValueError: if `task` holds no keys.
    """
    check_sections(cfg, "task")
    return {key: value for key, value in plain(cfg.task).items() if value is not None}


def asks_judge(cfg: DictConfig) -> bool:
    """Whether the report is to ask an independent judge.

    Raises:
        ValueError: if `judge` is neither true nor false.
    """
    if type(cfg.judge) is not bool:
        raise ValueError(f"judge must be true or false, got {cfg.judge!r}")
    return bool(cfg.judge)


def write_report(
    root: Path,
    study: str,
    data: TaskData | None,
    *,
    judge: bool = False,
    spec: RunSpec | None = None,
    trust_code: bool = False,
    out: Path | None = None,
    why: str | None = None,
) -> Path:
    """Summarise a study, write report.json and report.html, print the table.

    Args:
        root: where results lie.
        study: its name.
        data: the task's tables; None if they are no longer at hand.
        judge: ask an independent judge of the labels, too.
        spec: of the study's scoring runs, for the judge; None: what one of them stored.
        trust_code: let what it stored name code that is not hprune's, and files and hub ids that are not yours.
        out: the folder of both files; None: the study's own.
        why: the tables are not at hand, if it is known.

    Returns:
        The path of report.html.
    """
    from hprune.reporting.page import render_page  # matplotlib and jinja: half a second
    from hprune.reporting.terminal import print_table

    verdict = judged(root, study, data, spec=spec, trust_code=trust_code) if judge else None
    report = summarise(root, study, data, verdict, why)
    folder = existing_study(root, study) if out is None else out
    write_json(folder / "report.json", sealed(report))
    with whole_file(folder / "report.html") as temporary:
        temporary.write_text(render_page(report, root), encoding="utf-8")
    print_table(report)
    print(f"report: {folder / 'report.html'}")
    return folder / "report.html"


def task_of_study(
    root: Path, study: str, *, place: Mapping[str, Any] | None = None, trust_code: bool = False
) -> TaskSpec:
    """The task that a study was given.

    Args:
        root: where results lie.
        study: its name.
        place: where its data lie by now, as keys of the task; None or empty: where the study has them.
        trust_code: let the study's config name code that is not hprune's.

    Raises:
        ValueError: as in `config_of_study`.
    """
    task = instantiate(config_of_study(root, study, place=place, trust_code=trust_code).task)
    if not isinstance(task, TaskSpec):
        raise ValueError(f"study {study!r}: the config of its runs makes no task, but {task!r:.80}; it was altered")
    return task


def samples_of_study(
    root: Path, study: str, *, place: Mapping[str, Any] | None = None, trust_code: bool = False
) -> TaskData:
    """The tables of a study's task, with the samples that its runs were trained on.

    Args: as in `task_of_study`.

    Raises:
        ValueError: as in `config_of_study`; or the data cannot be read any more.
        OSError: if the data, or the tokenizer that cut them into samples, cannot be reached any more.
    """
    return _task_and_samples(root, study, place=place, trust_code=trust_code)[1]


def _task_and_samples(
    root: Path, study: str, *, place: Mapping[str, Any] | None, trust_code: bool
) -> tuple[TaskSpec, TaskData]:
    """The task of a study, as its runs read the labels, and its tables."""
    from hprune.tasks.labels import UnclearMinusOneError

    task = task_of_study(root, study, place=place, trust_code=trust_code)
    try:
        try:
            return task, _samples(task, root, study, place=place, trust_code=trust_code)
        except UnclearMinusOneError as error:
            task = _without_minus_one(task, study, error, run_of_study(root, study)[1])
            return task, _samples(task, root, study, place=place, trust_code=trust_code)
    except (ValueError, OSError) as error:
        kind = OSError if isinstance(error, OSError) else ValueError
        raise kind(f"{told(error)}{_elsewhere(task, study)}") from error


def _samples(task: TaskSpec, root: Path, study: str, *, place: Mapping[str, Any] | None, trust_code: bool) -> TaskData:
    from hprune.tasks.load import load_task

    if not task.kind.parts:
        return load_task(replace(task, also={}))  # their results stand

    from hprune.training.units import load_samples  # the model's tokenizer says what a sample is

    config = config_of_study(root, study, place=place, parts=("task", "model"), trust_code=trust_code)
    return load_samples(run_spec(config).scored(), root=root)


def _without_minus_one(
    task: TaskSpec, study: str, unclear: UnclearMinusOneError, manifest: Mapping[str, Any]
) -> TaskSpec:
    """The task with the classes that its runs have: where -1 is none of them, it was no label, as ever in 0.1.0.

    Raises:
        ValueError: if they are not the other labels of the column.
    """
    classes = [str(name) for name in manifest["label_names"]]
    if task.label_names is None and sorted(classes) == sorted(unclear.others):
        return replace(task, label_names=classes)
    others = ", ".join(unclear.others[:10])
    raise ValueError(
        f"column {task.label!r} has the labels -1, {others}, and the classes of study {study!r} are "
        f"{', '.join(classes[:10])}: if -1 meant no label there, name copies of its files with empty cells in its place"
    )


def _elsewhere(task: TaskSpec, study: str) -> str:
    """How to say that data lie elsewhere by now."""
    where = way_out(vars(task))
    return f"; if the data of study {study!r} lie elsewhere by now, say where: {where}" if where else ""


def unchanged_study(
    root: Path, study: str, *, place: Mapping[str, Any] | None = None, trust_code: bool = False
) -> tuple[TaskSpec, TaskData, dict[str, Any]]:
    """The task of a study, its tables, and the results of a complete run on them.

    Args: as in `task_of_study`.

    Raises:
        ValueError: as in `samples_of_study`; or the train split is not that of the run, naming both.
        OSError: as in `samples_of_study`.
    """
    task, data = _task_and_samples(root, study, place=place, trust_code=trust_code)
    _, manifest = run_of_study(root, study)
    if manifest["data_hash"] != data.data_hash:
        changed = "is not the one that" if place else "changed since"
        raise ValueError(
            f"the train split {changed} study {study!r} was run{' on' if place else ''}: its hash was "
            f"{manifest['data_hash'][:8]} ({manifest['full_samples']:,} samples), it is {data.data_hash[:8]} "
            f"({data.train.num_rows:,} samples); bring the data of the study back, or run a study of the new data"
            f"{read_otherwise(manifest, data.label_names)}"
            f"{_elsewhere(task_of_study(root, study, trust_code=trust_code), study)}"
        )
    return task, data, manifest


def check_carried(root: Path, study: str, data: TaskData, manifest: Mapping[str, Any]) -> None:
    """Refuse files whose columns that the task does not use are not those of the study's: an export would have them.

    Args:
        root: where results lie.
        study: its name.
        data: its tables as they are now.
        manifest: what a run of the study says.

    Raises:
        ValueError: naming these columns, and the ways out.
    """
    plan = plan_of(root, study)
    if plan is None or plan.columns is None or not plan.fits(manifest["settings"]):
        log.info(
            "columns that the task does not use were not compared, as study %s does not say what they were: they are "
            "those of the file as it is now", study,
        )  # fmt: skip
        return
    if differing := differing_columns(plan.columns, data.carried):
        raise ValueError(
            f"columns that the task does not use are not those of the train file that study {study!r} was given: "
            f"{differing}. Bring the file back, or name its place with task.train_file=FILE. If these are the columns "
            "that you want, train the study with this file again: its runs are complete and skipped, and from then on "
            "its columns are the study's"
        )
    if new := new_columns(plan.columns, data.carried):
        log.warning("the train file has columns that it had not when study %s was run: %s", study, new)


def data_of_study(root: Path, study: str, *, trust_code: bool = False) -> TaskData | None:
    """The tables of the study's task, or None, with a warning, if they cannot be read any more."""
    return _data_or_why(root, study, trust_code=trust_code)[0]


def _data_or_why(root: Path, study: str, *, trust_code: bool) -> tuple[TaskData | None, str | None]:
    """The tables of the study's task; or why they cannot be read any more, with a warning."""
    runs_of(root, study)
    try:
        return samples_of_study(root, study, trust_code=trust_code), None
    except (ValueError, OSError, OmegaConfBaseException) as error:
        log.warning("the data of the study cannot be read (%s): the report goes without classes and texts", error)
        return None, one_line(error)


if __name__ == "__main__":
    main()
