"""What a study says: `python -m hprune.report study=<study>`.

Writes report.json (for programs) and report.html (one self-contained page) and prints the table.
"""

from __future__ import annotations

import importlib
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hprune.command import command, instantiate, run_spec
from hprune.reporting.summary import summarise
from hprune.root import root_of
from hprune.storage.files import whole_file, write_json
from hprune.storage.manifests import read_results
from hprune.storage.runs import state_of
from hprune.storage.studies import existing_study, runs_of
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

    said = None
    if judge:
        from hprune.judge import judged  # which reads configs by this module

        said = judged(root, study, data, trust_code=trust_code)
    report = summarise(root, study, data, said)
    folder = existing_study(root, study)
    write_json(folder / "report.json", report)
    with whole_file(folder / "report.html") as temporary:
        temporary.write_text(render_page(report), encoding="utf-8")
    print_table(report)
    print(f"report: {folder / 'report.html'}")
    return folder / "report.html"


def config_of_study(root: Path, study: str, *, trust_code: bool = False) -> DictConfig:
    """The configuration of a complete run of a study: its task and its model.

    Args:
        root: where results lie.
        study: its name.
        trust_code: let it name code that is not hprune's, such as a kind of task of your own.

    Raises:
        ValueError: if no run is complete, or the configuration names code that is not trusted.
    """
    if type(trust_code) is not bool:
        raise ValueError(f"trust_code must be true or false, got {trust_code!r}")
    for run in runs_of(root, study):
        if state_of(run.path) == "done":
            config = read_results(run.path)["config"]
            check_config(run.path / "run.json", config, trust_code=trust_code)
            return OmegaConf.create(config)
    raise ValueError(f"study {study!r} has no complete run yet; see: python -m hprune.status")


def check_config(file: Path, content: Any, *, trust_code: bool) -> None:
    """Refuse a stored configuration that would run code or look things up: it may come from anyone.

    Raises:
        ValueError: naming the file and what it asks for.
    """
    if isinstance(content, str) and "${" in content:
        raise ValueError(f"{file}: a stored config holds plain values, got {content[:80]!r}; it was altered")
    for inner in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        check_config(file, inner, trust_code=trust_code)
    target = content.get("_target_", "") if isinstance(content, dict) else ""
    if target != "" and not trust_code and not _is_ours(target):
        raise ValueError(
            f"{file}: its config names {str(target)[:80]!r}, which is no task or spec of hprune's, and would be run; "
            "if it is yours, or you trust where the study comes from, set trust_code=true"
        )


def _is_ours(target: Any) -> bool:
    """Whether this is a class or function of a module that only describes and reads data, under its own name there."""
    module, _, name = str(target).rpartition(".")
    if not re.fullmatch(r"hprune\.(tasks|science)(\.\w+)+|hprune\.training\.spec|hprune\.data\.datamodule", module):
        return False
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return False
    return getattr(found, "__module__", None) == module


def task_of_study(root: Path, study: str, *, trust_code: bool = False) -> TaskSpec:
    """The task that a study's runs were trained on.

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
    manifest = next(read_results(run.path) for run in runs_of(root, study) if state_of(run.path) == "done")
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
    except (ValueError, OSError) as error:
        log.warning("the data of the study cannot be read (%s): the report goes without classes and texts", error)
        return None


if __name__ == "__main__":
    main()
