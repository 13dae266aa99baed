"""The end of a sweep: a table of all its jobs, wherever they ran.

Each job leaves `<folder of the sweep>/outcomes/<its number>.json`: empty when it starts, then what became of it. One
whose file stays empty was ended from outside.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from hprune.reporting.outcomes import Outcome, State, first_line, print_outcomes
from hprune.storage.places import check_stays

NO_OUTCOME = "its process was ended before it could say anything, for lack of memory perhaps"


@dataclass(frozen=True)
class _Sweep:
    """What was planned: the overrides of each job, and where outcomes lie."""

    folder: Path
    jobs: Sequence[Sequence[str]]

    def outcomes(self) -> list[Outcome]:
        """What became of each job."""
        common = set.intersection(*map(set, self.jobs))
        names = [" ".join(part for part in job if part not in common) for job in self.jobs]
        return [self._outcome(number, f"#{number} {name}".rstrip()) for number, name in enumerate(names)]

    def _outcome(self, number: int, name: str) -> Outcome:
        said = _said(_file(self.folder, number))
        if said is None:
            return Outcome(name, "not started")
        return Outcome(name, *said) if said else Outcome(name, "failed", NO_OUTCOME)


_sweep: _Sweep | None = None


class Outcomes(Callback):
    """Notes what is planned when a sweep starts, and what became of a job when it ends; Hydra calls it."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """In the process that was started: the jobs that Hydra's own sweeper will make of the command line."""
        global _sweep
        _give_way(config)
        jobs, folder = _planned(config), Path(config.hydra.sweep.dir)
        for number in range(len(jobs)):
            _file(folder, number).unlink(missing_ok=True)  # of an earlier sweep that was given the same folder
        _sweep = _Sweep(folder, jobs) if jobs else None

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """In the process of the job, on whatever machine."""
        if config.hydra.mode == RunMode.MULTIRUN:
            _start(Path(config.hydra.sweep.dir), config.hydra.job.num)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """In the process of the job."""
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        result, error = job_return._return_value, ""
        state: State = "done"
        if job_return.status == JobStatus.FAILED:
            state, error = "failed", first_line(result.__cause__ or result)
        elif result in get_args(State):
            state = result
        if state != "failed" and os.environ.get("SLURM_PROCID", "0") != "0":
            return  # the first of several processes of one run says that it went well
        _end(Path(config.hydra.sweep.dir), config.hydra.job.num, state, error)


def submitted(number: int) -> None:
    """Note that a job was handed to what starts it, which may be ended before it says so itself."""
    if _sweep is not None:
        _start(_sweep.folder, number)


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
    if any(outcome.state != "not started" for outcome in outcomes):
        print_outcomes(outcomes)
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    if failed:
        sys.stderr.write(
            f"{failed} of {len(outcomes)} jobs failed; the same command tries them again and skips what is complete\n"
        )
    if stopped or failed:
        raise stopped or SystemExit(1)


def _file(folder: Path, number: int) -> Path:
    return folder / "outcomes" / f"{number}.json"


def _start(folder: Path, number: int) -> None:
    """What stands there already stays."""
    file = _file(folder, number)
    with suppress(OSError, ValueError):  # on a full disk, or through a link: the job itself will tell
        check_stays(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def _end(folder: Path, number: int, state: State, error: str) -> None:
    """What is said first stays: of several processes that train one run, the first failure is the reason."""
    from hprune.storage.files import write_json  # with pyarrow, which a page of help need not wait for

    file = _file(folder, number)
    if not _said(file):
        write_json(file, {"state": state, "error": error})


def _said(file: Path) -> tuple[State, str] | tuple[()] | None:
    """What became of a job, and why; nothing if it only started, None if not even that."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return (said["state"], str(said["error"])) if said["state"] in get_args(State) else ()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _give_way(config: DictConfig) -> None:
    """Of what an experiment sweeps over (hydra.sweeper.params), leave out the keys that the command line gives.

    Hydra would sweep over both.
    """
    params = config.hydra.sweeper.get("params")
    if not params:
        return
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    given = {override.key_or_group for override in parser.parse_overrides(list(config.hydra.overrides.task))}
    with read_write(config), open_dict(config):
        for key in given & set(params):
            del params[key]


def _planned(config: DictConfig) -> list[list[str]]:
    """The overrides of each job; none if another sweeper decides as it goes."""
    sweeper = config.hydra.sweeper
    if not sweeper._target_.endswith(f".{BasicSweeper.__name__}"):
        return []
    given = [*(f"{key}={value}" for key, value in (sweeper.params or {}).items()), *config.hydra.overrides.task]
    parsed = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(given)
    (jobs,) = BasicSweeper.split_arguments(parsed, None)
    return jobs
