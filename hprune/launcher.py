"""What starts the jobs of a sweep: refused in one line where it cannot, or where it would lose the sweep."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence

from hydra.core.plugins import Plugins

EXTRAS = {"submitit_local": "submitit", "submitit_slurm": "submitit", "ray": "ray"}


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
    if extra is None:
        return
    if not installed(extra):
        raise ValueError(f'hydra/launcher={asked} needs an extra package: pip install "hprune[{extra}]"')
    if asked == "submitit_slurm" and not (shutil.which("srun") and shutil.which("sbatch")):
        raise ValueError(
            "hydra/launcher=submitit_slurm submits jobs, but here are no srun and sbatch: "
            "start it on a machine of the cluster, or use hydra/launcher=submitit_local"
        )
    Plugins.instance()  # imports all launchers, which store their own defaults
    from hydra_plugins.hprune_launchers._defaults import store_defaults

    store_defaults()


def installed(extra: str) -> bool:
    """Whether Hydra's plugin of this name is there."""
    try:
        return importlib.util.find_spec(f"hydra_plugins.hydra_{extra}_launcher") is not None
    except ModuleNotFoundError:
        return False
