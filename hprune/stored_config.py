"""The configuration that a run stored, which may come from anyone: no code, file or hub id that is not trusted."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hprune.own_sources import Part, check_sources, note_sources
from hprune.storage.manifests import read_results
from hprune.storage.override import under
from hprune.storage.plan_file import plan_file
from hprune.storage.runs import state_of
from hprune.storage.studies import Purpose, existing_study, plan_of, runs_of
from hprune.tasks.moved import at_place

GENERATOR = "hprune.tasks.demo_corpus.generate"


def config_of_study(
    root: Path,
    study: str,
    *,
    purpose: Purpose | None = None,
    parts: Sequence[Part] = ("task",),
    place: Mapping[str, Any] | None = None,
    trust_code: bool = False,
) -> DictConfig:
    """The configuration of a complete run of a study, with the places of data and model that the study was given.

    Args:
        root: where results lie.
        study: its name.
        purpose: of the run; None: any run of the study will do.
        parts: whose files and hub ids will be read.
        place: where the study's data lie by now, as keys of the task; None or empty: where the study has them.
        trust_code: let it name code that is not hprune's, such as a kind of task of your own, and files and hub ids
            that no command of this user named for results under this root.

    Raises:
        ValueError: if no run is complete, or the configuration names what is not trusted.
    """
    if type(trust_code) is not bool:
        raise ValueError(f"trust_code must be true or false, got {trust_code!r}")
    path, manifest = run_of_study(root, study, purpose=purpose)
    check_config(path / "run.json", manifest["config"], trust_code=trust_code)
    plan = plan_of(root, study)
    file, config = path / "run.json", manifest["config"]
    if plan is not None and plan.fits(manifest["settings"]):
        file, config = plan_file(existing_study(root, study)), {**config, **plan.config}
        check_config(file, config, trust_code=trust_code)
    if trust_code:
        note_sources(root, config)
    if place:
        config = {**config, "task": at_place(config["task"], place)}
    check_sources(file, root, config, () if trust_code else parts, given=place or {})
    return OmegaConf.create(config)


def run_of_study(root: Path, study: str, *, purpose: Purpose | None = None) -> tuple[Path, dict[str, Any]]:
    """The folder and the manifest of a complete run; one of the data and the model that the study was given goes first.

    Raises:
        ValueError: if no run is complete, or what is stored cannot be read.
    """
    plan, first = plan_of(root, study), None
    for run in runs_of(root, study, purpose):
        if state_of(run.path) == "done":
            manifest = read_results(run.path)
            first = first or (run.path, manifest)
            if plan is None or not plan.config or plan.fits(manifest["settings"]):
                return run.path, manifest
    if first is None:
        kind = "" if purpose is None else f"{purpose} "
        raise ValueError(f"study {study!r} has no complete {kind}run yet; see: python -m hprune.status{under(root)}")
    return first


def check_config(file: Path, content: Any, *, trust_code: bool) -> None:
    """Refuse a stored configuration that would run code or look things up: it may come from anyone.

    Raises:
        ValueError: naming the file and what it asks for.
    """
    if isinstance(content, str) and "${" in content:
        raise ValueError(f"{file}: a stored config holds plain values, got {content[:80]!r}; it was altered")
    for inner in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        check_config(file, inner, trust_code=trust_code)
    target = content.get("_target_", "") if isinstance(content, dict) else ""
    if target != "" and not trust_code and not _is_ours(target):
        raise ValueError(
            f"{file}: its config names {str(target)[:80]!r}, which is no task or spec of hprune's, and would be run; "
            "if it is yours, or you trust where the study comes from, set trust_code=true"
        )


def _is_ours(target: Any) -> bool:
    """Whether this only describes what to read, or computes: a class of a task or spec, a function of the science.

    Functions of the tasks open files and look things up, but for the demo's, which makes its texts.
    """
    module, _, name = str(target).rpartition(".")
    if not re.fullmatch(r"hprune\.(tasks|science)(\.\w+)+|hprune\.training\.spec|hprune\.data\.datamodule", module):
        return False
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return False
    if getattr(found, "__module__", None) != module:
        return False
    return isinstance(found, type) or module.startswith("hprune.science.") or target == GENERATOR
