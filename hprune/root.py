"""Where all results lie, as the config says."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from hprune.storage.places import local_path


def root_of(cfg: DictConfig) -> Path:
    """The folder that `paths.root` names.

    Raises:
        ValueError: if it is not a folder on this machine.
    """
    paths = cfg.get("paths")
    return local_path(paths.get("root") if isinstance(paths, DictConfig) else None, "paths.root")
