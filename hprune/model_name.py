"""The model that a command loads is called what it is: a replaced `model.path` replaces the name, too.

An option of the group `model` names its own weights. With `model.path=OTHER` these are others, so the model is called
by its folder or hub id, unless that says the same name, or `model.name` was given. A study that an older version made
under the option's name, of the same weights, goes on under that name.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from hprune.root import root_of
from hprune.storage.model_names import called_alike, name_of_weights
from hprune.storage.override import override

log = logging.getLogger(__name__)

Fields = Mapping[str, Any]


def name_the_model(cfg: DictConfig) -> None:
    """Give the model of a command's config the name of what is loaded, and say so in the log.

    Args:
        cfg: composed by Hydra, which is running; without a model it stays as it is.
    """
    model = cfg.get("model")
    if not isinstance(model, DictConfig):
        return
    fields: Fields = OmegaConf.to_container(model, resolve=True)  # type: ignore[assignment]
    option = _option(fields)
    name = None if option is None else new_name(fields, option)
    if option is None or name is None:
        return
    loaded = f"model.path={fields.get('path')}" if fields.get("path") else "model.config"
    before = cfg.get("study")
    if before and _made_before(root_of(cfg), str(before), str(option["name"]), fields):
        log.warning(
            "%s is not what the name %s stands for, but study %s was made of it under that name and goes on so; the "
            "report says which weights they are. For a study under the right name: %s study=NAME",
            loaded, option["name"], before, override("model.name", name),
        )  # fmt: skip
        return
    model.name = name
    log.info(
        "%s is not what the name %s stands for: the model is called %s (model.name=NAME calls it otherwise), study %s",
        loaded, option["name"], name, cfg.get("study"),
    )  # fmt: skip


def new_name(fields: Fields, option: Fields) -> str | None:
    """The name of what is loaded, or None where the option's own name is right.

    Args:
        fields: of the model, as they were composed.
        option: the same as the chosen option of the group has them.

    Example:
        >>> roberta = {"name": "roberta_base", "path": "roberta-base"}
        >>> new_name(roberta | {"path": "org/all-MiniLM-L6-v2"}, roberta), new_name(roberta, roberta)
        ('all-MiniLM-L6-v2', None)
    """
    path, own = fields.get("path"), option.get("path")
    if fields.get("name") != option.get("name") or not (own or option.get("config")):
        return None  # a name that was given; or an option that is for whatever path it is given
    if not isinstance(path, str):
        kind = (fields.get("config") or {}).get("model_type")
        same = not own and kind == (option.get("config") or {}).get("model_type")
        return None if same or not isinstance(kind, str) else f"{kind}_from_scratch"
    name = name_of_weights(path)
    known = [str(option["name"]), *([name_of_weights(own)] if isinstance(own, str) else [])]
    if path == own or any(called_alike(name, one) for one in known) or _stands_for(option, path):
        return None
    return name


def _option(fields: Fields) -> Fields | None:
    """The model as the chosen option has it; None if that is what was composed, or the name was given."""
    hydra = HydraConfig.get()
    choice = hydra.runtime.choices.get("model")
    given = any(one.lstrip("+").startswith("model.name=") for one in hydra.overrides.task)
    if choice is None or given:
        return None
    loader = GlobalHydra.instance().config_loader()
    for source in loader.get_sources():
        if source.is_config(f"model/{choice}"):
            written = OmegaConf.to_container(source.load_config(f"model/{choice}").config)
            if isinstance(written, dict) and fields.get("path") and written.get("path") == fields["path"]:
                return None  # as almost always: composing takes longer
    option = loader.load_configuration(hydra.job.config_name, [f"model={choice}"], RunMode.RUN).model
    return OmegaConf.to_container(option, resolve=True)  # type: ignore[return-value]


def _stands_for(option: Fields, path: str) -> bool:
    """Whether a folder's config.json says what the option's `stands_for` lists."""
    asked = option.get("stands_for")
    if not asked:
        return False
    with suppress(OSError, ValueError):
        there = json.loads((Path(path).expanduser() / "config.json").read_text(encoding="utf-8"))
        return isinstance(there, dict) and all(there.get(key) == value for key, value in asked.items())
    return False


def _made_before(root: Path, study: str, name: str, fields: Fields) -> bool:
    """Whether a study has runs of these weights under a name."""
    from hprune.storage.manifests import read_identity, read_manifest  # pyarrow, which few commands need this early
    from hprune.storage.model_folder import weights_digest
    from hprune.storage.runs import state_of
    from hprune.storage.studies import runs_of, study_folder

    with suppress(ValueError, OSError):  # what is wrong with them is said where they are needed
        if (study_folder(root, study) / "runs").is_dir():
            runs = [run.path for run in runs_of(root, study) if run.key.model == name and run.path.is_dir()]
            settings = [(read_manifest if state_of(run) == "done" else read_identity)(run)["settings"] for run in runs]
            there = [model for run in settings if isinstance(model := run.get("model"), dict)]
            path = fields.get("path")
            if path is None:
                return any(model.get("config") == fields.get("config") for model in there)
            digest = weights_digest(path) if there and Path(path).expanduser().exists() else None
            return any(model.get("sha256") == digest if digest else model.get("hub") == path for model in there)
    return False
