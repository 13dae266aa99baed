"""The processes that train one run together, one a device: started here, or from outside by torchrun or srun."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from hprune.training.processes import Worker, call_me, end_processes, my_name


def rank() -> int:
    """The number of this process among those of its run; alone, 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def gathered(mine: Any) -> list[Any]:
    """What each process has, by number; every one must call this."""
    if not (dist.is_available() and dist.is_initialized()):
        return [mine]
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, mine)
    return everyone


def outside() -> tuple[int, int]:
    """The number of this process, and of how many, that torchrun or srun started for this command; alone, (0, 1)."""
    if TorchElasticEnvironment.detect():
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if "SLURM_STEP_NUM_TASKS" in os.environ:  # in what srun started; a batch script has a SLURM_PROCID, too
        return int(os.environ["SLURM_PROCID"]), int(os.environ["SLURM_STEP_NUM_TASKS"])
    return 0, 1


def environment_of() -> ClusterEnvironment:
    """How Lightning finds the other processes. It never requeues: what submitted the job does."""
    if outside()[1] == 1:
        return LightningEnvironment()
    return TorchElasticEnvironment() if TorchElasticEnvironment.detect() else SLURMEnvironment(auto_requeue=False)


def nodes() -> int:
    """On how many machines the processes of this run are."""
    if TorchElasticEnvironment.detect():
        return int(os.environ["WORLD_SIZE"]) // int(os.environ["LOCAL_WORLD_SIZE"])
    return int(os.environ.get("SLURM_STEP_NUM_NODES", 1)) if outside()[1] > 1 else 1


def check_outside(devices: int) -> None:
    """Refuse a number of processes that is not that of the devices.

    Raises:
        ValueError: if torchrun or srun started another number.
    """
    processes = outside()[1]
    if processes not in (1, devices):
        raise ValueError(
            f"trainer.devices={devices}, but torchrun or srun started {processes} processes, one for each device: "
            f"give trainer.devices={processes}, or start one process, which starts the others itself"
        )


def check_alone(what: str) -> None:
    """Refuse several processes for what starts runs one after the other.

    Raises:
        ValueError: if torchrun or srun started several.
    """
    processes = outside()[1]
    if processes > 1:
        raise ValueError(
            f"{what} was started as {processes} processes by torchrun or srun, which a run that fails in one of them "
            "would leave waiting for each other: start it once, with trainer.devices for each run, "
            "or as jobs of a cluster with hydra/launcher=submitit_slurm"
        )


def together(work: Callable[[int], None], devices: int) -> None:
    """Do the work in so many processes of this machine, each given its number; they stay for the next run.

    Raises:
        OSError: if one is ended from outside.
        Exception: what the first to fail raised; the others are ended.
    """
    try:
        everyone = enumerate(_processes(devices))
        done = [process.submit(_take_part, work, number, my_name()) for number, process in everyone]
        for future in wait(done, return_when=FIRST_EXCEPTION).done:
            future.result()
    except BaseException as error:
        _processes.cache_clear()
        end_processes()
        if isinstance(error, BrokenProcessPool):
            raise OSError(
                f"one of the {devices} processes that trained together was ended, for lack of memory perhaps; "
                "the same command continues at the run's last checkpoint"
            ) from error
        raise


@functools.lru_cache(maxsize=1)
def _processes(devices: int) -> list[Worker]:
    """The processes, told where they find each other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        return [Worker(place | {"LOCAL_RANK": str(number)}) for number in range(devices)]


def _take_part(work: Callable[[int], None], number: int, name: str) -> None:
    call_me(name)
    work(number)
