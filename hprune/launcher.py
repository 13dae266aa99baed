"""What starts the jobs of a sweep: refused in one line where it cannot, or where it would lose the sweep."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence

from hydra.core.plugins import Plugins


def check_launcher(arguments: Sequence[str]) -> None:
    """Refuse a launcher that is not installed, or that would lose a sweep; give submitit's our defaults.

    Raises:
        ValueError: saying what to do.
    """
    asked = next((a.partition("=")[2] for a in arguments if a.lstrip("+").startswith("hydra/launcher=")), "basic")
    if asked == "joblib":
        raise ValueError(
            "hydra/launcher=joblib loses the whole sweep if one of its processes is ended: "
            "use hydra/launcher=submitit_local, or hprune.study with at_once=2"
        )
    if not asked.startswith("submitit_"):
        return
    if not submitit_installed():
        raise ValueError(f'hydra/launcher={asked} needs an extra package: pip install "hprune[submitit]"')
    if asked == "submitit_slurm" and not (shutil.which("srun") and shutil.which("sbatch")):
        raise ValueError(
            "hydra/launcher=submitit_slurm submits jobs, but here are no srun and sbatch: "
            "start it on a machine of the cluster, or use hydra/launcher=submitit_local"
        )
    Plugins.instance()  # imports all launchers, and submitit's stores its defaults
    from hydra_plugins.hprune_launchers.launchers import store_defaults

    store_defaults()


def submitit_installed() -> bool:
    """Whether Hydra can submit jobs here."""
    try:
        return importlib.util.find_spec("hydra_plugins.hydra_submitit_launcher") is not None
    except ModuleNotFoundError:
        return False
