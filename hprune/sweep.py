"""The end of a sweep: a table of all its jobs, wherever they ran.

Each job leaves `<folder of the sweep>/outcomes/<its number>.json`. One that left nothing was ended from outside.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from hprune.reporting.outcomes import Outcome, State, first_line, print_outcomes

EXTRAS = {"submitit_local": "submitit", "submitit_slurm": "submitit", "ray": "ray"}
NO_OUTCOME = "its process was ended before it could say anything, for lack of memory perhaps"


@dataclass(frozen=True)
class _Sweep:
    """What was planned: the overrides of each job, and where outcomes lie."""

    folder: Path
    jobs: Sequence[Sequence[str]]

    def outcomes(self) -> list[Outcome]:
        """What became of each job."""
        common = set.intersection(*map(set, self.jobs)) if len(self.jobs) > 1 else set()
        names = [" ".join(part for part in job if part not in common) for job in self.jobs]
        return [self._outcome(number, f"#{number} {name}".rstrip()) for number, name in enumerate(names)]

    def _outcome(self, number: int, name: str) -> Outcome:
        try:
            said = json.loads(_file(self.folder, number).read_text(encoding="utf-8"))
            return Outcome(name, said["state"], said["error"])
        except (OSError, ValueError, KeyError, TypeError):
            return Outcome(name, "failed", NO_OUTCOME)


_sweep: _Sweep | None = None


class Outcomes(Callback):
    """Notes what is planned when a sweep starts, and what became of a job when it ends; Hydra calls it."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """In the process that was started: the jobs that Hydra's own sweeper will make of the command line."""
        global _sweep
        jobs, folder = _planned(config), Path(config.hydra.sweep.dir)
        for number in range(len(jobs)):
            _file(folder, number).unlink(missing_ok=True)  # of an earlier sweep that was given the same folder
        _sweep = _Sweep(folder, jobs) if jobs else None

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """In the process of the job, on whatever machine."""
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        result, state = job_return._return_value, "done"
        error = ""
        if job_return.status == JobStatus.FAILED:
            state, error = "failed", first_line(result.__cause__ or result)
        elif result in get_args(State):
            state = result
        if state != "failed" and os.environ.get("SLURM_PROCID", "0") != "0":
            return  # the first of several processes of one run says that it went well
        file = _file(Path(config.hydra.sweep.dir), config.hydra.job.num)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"state": state, "error": error}), encoding="utf-8")


@contextmanager
def sweep_told() -> Iterator[None]:
    """Around what may be a sweep: print what became of all its jobs, and exit with 1 if one of them failed."""
    global _sweep
    stopped, _sweep = None, None
    try:
        yield
    except SystemExit as stop:  # Hydra's, which tells the first failure only
        stopped = stop
    outcomes: list[Outcome] = [] if _sweep is None else _sweep.outcomes()
    if outcomes:
        print_outcomes(outcomes)
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    if failed:
        sys.stderr.write(
            f"{failed} of {len(outcomes)} jobs failed; the same command tries them again and skips what is complete\n"
        )
    if stopped or failed:
        raise stopped or SystemExit(1)


def check_launcher(arguments: Sequence[str]) -> None:
    """Refuse a launcher that is not installed, or that would lose a sweep; give the others our defaults.

    Raises:
        ValueError: saying what to do.
    """
    asked = next((a.partition("=")[2] for a in arguments if a.lstrip("+").startswith("hydra/launcher=")), "basic")
    if asked == "joblib":
        raise ValueError(
            "hydra/launcher=joblib loses the whole sweep if one of its processes is ended: "
            "use hydra/launcher=submitit_local, or hprune.study with at_once=2"
        )
    extra = EXTRAS.get(asked)
    if extra is not None and not _installed(extra):
        raise ValueError(f'hydra/launcher={asked} needs an extra package: pip install "hprune[{extra}]"')
    if asked == "submitit_slurm" and not (shutil.which("srun") and shutil.which("sbatch")):
        raise ValueError(
            "hydra/launcher=submitit_slurm submits jobs, but here are no srun and sbatch: "
            "start it on a machine of the cluster, or use hydra/launcher=submitit_local"
        )
    if extra is not None:
        Plugins.instance()
        from hydra_plugins.hprune_launchers._defaults import store_defaults

        store_defaults()


def _installed(extra: str) -> bool:
    try:
        return importlib.util.find_spec(f"hydra_plugins.hydra_{extra}_launcher") is not None
    except ModuleNotFoundError:
        return False


def _file(folder: Path, number: int) -> Path:
    return folder / "outcomes" / f"{number}.json"


def _planned(config: DictConfig) -> list[list[str]]:
    """The overrides of each job; none if another sweeper decides as it goes."""
    sweeper = config.hydra.sweeper
    if not sweeper._target_.endswith(f".{BasicSweeper.__name__}"):
        return []
    given = [*(f"{key}={value}" for key, value in (sweeper.params or {}).items()), *config.hydra.overrides.task]
    parsed = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(given)
    (jobs,) = BasicSweeper.split_arguments(parsed, None)
    return jobs
