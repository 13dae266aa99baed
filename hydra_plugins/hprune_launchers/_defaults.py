"""What the launchers have for defaults: a job that reaches its time limit, or is pre-empted, is submitted again."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore

LAUNCHERS = "hydra_plugins.hprune_launchers.launchers"


def store_defaults() -> None:
    """Put ours in the place of the plugins', which Hydra has imported by now."""
    if importlib.util.find_spec("hydra_plugins.hydra_submitit_launcher"):
        from hydra_plugins.hydra_submitit_launcher.config import LocalQueueConf, SlurmQueueConf

        @dataclass
        class Local(LocalQueueConf):
            _target_: str = f"{LAUNCHERS}.LocalLauncher"
            at_once: int = 1
            timeout_min: int = 7 * 24 * 60
            max_num_timeout: int = 3

        slurm = SlurmQueueConf(
            _target_=f"{LAUNCHERS}.SlurmLauncher",
            timeout_min=4 * 60,  # of one try
            max_num_timeout=100,
            setup=["export SLURM_KILL_BAD_EXIT=1"],  # no task of a run waits for one that failed
        )
        _store("submitit_local", Local())
        _store("submitit_slurm", slurm)
    if importlib.util.find_spec("hydra_plugins.hydra_ray_launcher"):
        init = {"address": None, "num_cpus": None, "num_gpus": None, "include_dashboard": False}
        remote = {"num_cpus": 1, "num_gpus": None, "max_retries": 3}
        _store("ray", {"_target_": f"{LAUNCHERS}.RayLauncher", "ray": {"init": init, "remote": remote}})


def _store(name: str, node: object) -> None:
    ConfigStore.instance().store(group="hydra/launcher", name=name, node=node, provider="hprune")
