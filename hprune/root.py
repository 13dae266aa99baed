"""Where all results lie, as the config says."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from hprune.storage.places import keep_below, local_path, nearest, writable


def root_of(cfg: DictConfig) -> Path:
    """The folder that `paths.root` names.

    Raises:
        ValueError: if it is not a folder on this machine.
    """
    paths = cfg.get("paths")
    return keep_below(local_path(paths.get("root") if isinstance(paths, DictConfig) else None, "paths.root"))


def check_writable(folder: Path) -> None:
    """Refuse a folder, which need not be there yet, that no file can be written to.

    Raises:
        OSError: naming it, and the way out.
    """
    if not writable(folder):
        raise OSError(f"{nearest(folder)} cannot be written; let the files lie elsewhere with out=FOLDER")
