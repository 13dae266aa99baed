"""hydra/launcher=submitit_local and submitit_slurm: submitit's launchers, which here wait for every job.

With defaults for long runs that continue: a job that reaches its time limit, or is pre-empted, is submitted again.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any
from unittest import mock

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import CompactHydraException

from hprune.sweep import nothing_submitted

if importlib.util.find_spec("hydra_plugins.hydra_submitit_launcher"):  # Hydra imports this file without it, too
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import LocalQueueConf, SlurmQueueConf
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher

    class _Told:
        """A job that was ended from outside is one that failed, not a reason to leave the others."""

        def __init__(self, job: submitit.Job[JobReturn]) -> None:
            self.job = job

        def results(self) -> list[JobReturn]:
            try:
                return self.job.results()
            except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError) as error:
                why = str(error).strip().splitlines()[0]
                message = f"job {self.job.job_id} was ended from outside ({why}): see {self.job.paths.stderr}"
                return [JobReturn(status=JobStatus.FAILED, _return_value=CompactHydraException(message))]

    class _Executor(submitit.AutoExecutor):
        def map_array(self, *given: Any) -> list[Any]:
            return [_Told(job) for job in super().map_array(*given)]

    class _Waiting(BaseSubmititLauncher):
        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Submit every job, and wait for all."""
            try:
                with mock.patch.object(submitit, "AutoExecutor", _Executor):  # which the launcher makes, and keeps
                    return super().launch(job_overrides, initial_job_idx)
            except (RuntimeError, OSError, submitit.core.utils.FailedJobError) as error:
                nothing_submitted()
                said = " ".join(str(error).split()) or type(error).__name__
                raise CompactHydraException(f"the jobs could not be submitted, and none has run: {said}") from error

    class LocalLauncher(_Waiting):
        """Processes on this machine, all at the same time."""

        _EXECUTOR = "local"

    class SlurmLauncher(_Waiting):
        """Jobs of SLURM."""

        _EXECUTOR = "slurm"

    def store_defaults() -> None:
        """Put ours in the place of submitit's; Hydra imports those after this file, so that it must be said later."""
        local = LocalQueueConf(_target_=f"{__name__}.LocalLauncher", timeout_min=7 * 24 * 60)
        slurm = SlurmQueueConf(
            _target_=f"{__name__}.SlurmLauncher",
            timeout_min=4 * 60,  # of one try
            max_num_timeout=100,
            setup=["export SLURM_KILL_BAD_EXIT=1"],  # no task of a run waits for one that failed
        )
        for name, node in (("submitit_local", local), ("submitit_slurm", slurm)):
            ConfigStore.instance().store(group="hydra/launcher", name=name, node=node, provider="hprune")
