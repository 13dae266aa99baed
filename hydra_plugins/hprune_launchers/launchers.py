"""hydra/launcher=submitit_local, submitit_slurm and ray: those of Hydra's plugins, which here wait for every job."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import CompactHydraException
from omegaconf import open_dict

from hprune.data.checks import check_whole
from hprune.sweep import submitted

log = logging.getLogger(__name__)


def _lost(number: int, message: str) -> JobReturn:
    """A job that was ended from outside is one that failed, not a reason to leave the others."""
    log.error("#%d %s", number, message)
    return JobReturn(status=JobStatus.FAILED, _return_value=CompactHydraException(f"hprune: job #{number} {message}"))


if importlib.util.find_spec("hydra_plugins.hydra_submitit_launcher"):  # Hydra imports this file without it, too
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher
    from submitit.core.utils import FailedJobError, UncompletedJobError

    Call = tuple[Sequence[str], str, int, str, Any]

    class _Submitit(BaseSubmititLauncher):
        _submit: Callable[[submitit.AutoExecutor, list[Call]], list[submitit.Job[JobReturn]]]

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Submit every job, and wait for all."""
            calls: list[Call] = [
                (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
                for number, overrides in enumerate(job_overrides, initial_job_idx)
            ]
            try:
                jobs = self._submit(self._executor(dict(self.params)), calls)
            except (UncompletedJobError, FailedJobError, RuntimeError, OSError, ValueError) as error:
                raise CompactHydraException(f"the jobs cannot be submitted: {' '.join(str(error).split())}") from error
            return [self._result(job, call[2]) for job, call in zip(jobs, calls, strict=True)]

        def _executor(self, params: dict[str, Any]) -> submitit.AutoExecutor:
            folder, tries = params.pop("submitit_folder"), params.pop("max_num_timeout")
            made = submitit.AutoExecutor(folder, cluster=self._EXECUTOR, **{f"{self._EXECUTOR}_max_num_timeout": tries})
            shared = BaseQueueConf.__dataclass_fields__
            made.update_parameters(
                **{key if key in shared else f"{self._EXECUTOR}_{key}": value for key, value in params.items()}
            )
            return made

        def _result(self, job: submitit.Job[JobReturn], number: int) -> JobReturn:
            try:
                results = job.results()  # of each task
            except (UncompletedJobError, FailedJobError):
                state = job.state
                return _lost(number, f"ended without a result (job {job.job_id}, {state}): see {job.paths.stderr}")
            return results[0]

    class LocalLauncher(_Submitit):
        """Each job in a process of its own on this machine, `at_once` of them at the same time."""

        _EXECUTOR = "local"

        def __init__(self, at_once: int, **params: Any) -> None:
            super().__init__(**params)
            self.at_once, self.gpus = at_once, os.environ.get("CUDA_VISIBLE_DEVICES")

        def __call__(self, *call: Any) -> JobReturn:
            """In the process of a job: it sees the GPUs that the command sees; submitit would hide them."""
            if self.params["gpus_per_node"] is None:
                os.environ.pop("CUDA_VISIBLE_DEVICES", None)
                if self.gpus is not None:
                    os.environ["CUDA_VISIBLE_DEVICES"] = self.gpus
            return super().__call__(*call)

        def _submit(self, executor: submitit.AutoExecutor, calls: list[Call]) -> list[submitit.Job[JobReturn]]:
            check_whole("hydra.launcher.at_once", self.at_once, low=1)
            jobs, failure = list[submitit.Job[JobReturn]](), None
            try:
                for call in calls:
                    _until(lambda: sum(not job.done() for job in jobs) < self.at_once)
                    try:
                        jobs.append(executor.submit(self, *call))
                    except OSError as error:  # a full disk: those that are at work may end
                        failure = error
                        break
                    submitted(call[2])
                    log.info("#%d %s: see %s", call[2], " ".join(call[0]), jobs[-1].paths.stderr)
                _until(lambda: all(job.done() for job in jobs))
            except BaseException:
                for job in jobs:
                    job.cancel()
                raise
            if failure is not None:
                raise failure
            return jobs

    class SlurmLauncher(_Submitit):
        """Each job one of SLURM, all submitted together."""

        _EXECUTOR = "slurm"

        def __call__(self, *call: Any) -> JobReturn:
            """In the process of a task: one of several that fails must end so, or the others would wait for it."""
            result = super().__call__(*call)
            if result.status == JobStatus.FAILED and int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
                raise result._return_value
            return result

        def _submit(self, executor: submitit.AutoExecutor, calls: list[Call]) -> list[submitit.Job[JobReturn]]:
            if not shutil.which("sacct") or subprocess.run(["sacct"], capture_output=True, check=False).returncode:
                log.warning("sacct does not work here, so that a job that is killed would be waited for without end")
            jobs = executor.map_array(self, *zip(*calls, strict=True))
            for job, call in zip(jobs, calls, strict=True):
                submitted(call[2])
                log.info("#%d %s: job %s, see %s", call[2], " ".join(call[0]), job.job_id, job.paths.stderr)
            return jobs


if importlib.util.find_spec("hydra_plugins.hydra_ray_launcher"):
    from hydra_plugins.hydra_ray_launcher.ray_launcher import RayLauncher as _RayLauncher

    class RayLauncher(_RayLauncher):
        """Each job a task of Ray, which starts it again if its process is ended."""

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Hand every job out, and wait for all."""
            import ray  # takes a second
            from hydra_plugins.hydra_ray_launcher._launcher_util import launch_job_on_ray, start_ray

            start_ray(self.ray_cfg.init)
            jobs = []
            for number, overrides in enumerate(job_overrides, initial_job_idx):
                config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
                with open_dict(config):
                    config.hydra.job.id, config.hydra.job.num = f"job_id_for_{number}", number
                state = Singleton.get_state()
                jobs.append(
                    launch_job_on_ray(self.hydra_context, self.ray_cfg.remote, config, self.task_function, state)
                )
                submitted(number)
            return [_ray_result(ray.get, job, number) for number, job in enumerate(jobs, initial_job_idx)]

    def _ray_result(get: Callable[[Any], JobReturn], job: Any, number: int) -> JobReturn:
        from ray.exceptions import RayError

        try:
            return get(job)
        except RayError as error:
            return _lost(number, f"ended without a result: {str(error).strip().splitlines()[0]}")


def _until(ready: Callable[[], bool]) -> None:
    while not ready():
        time.sleep(0.2)
