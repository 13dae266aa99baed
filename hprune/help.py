"""`--help`: what a command does, the groups that its configuration is composed from, and the configuration.

The page is Hydra's own. Hydra takes most of a second to list the groups, and meets a wrong override with a traceback.
"""

from __future__ import annotations

import string
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf, open_dict


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether a command line wants this page; one with other options is left to Hydra."""
    options = [argument for argument in arguments if argument.startswith("-")]
    return bool(options) and set(options) <= {"--help", "-h"}


def help_page(conf: Path, config_name: str, overrides: Sequence[str]) -> str:
    """The page of a command, with overrides applied to the configuration that it shows.

    Raises:
        SystemExit: if an override does not fit, saying which.
    """
    try:
        with initialize_config_dir(str(conf.resolve()), version_base="1.3", job_name=config_name):
            cfg = compose(config_name, overrides=list(overrides), return_hydra_config=True)
    except HydraException as error:
        sys.exit(f"hprune {config_name}: {error}")
    template = string.Template(cfg.hydra.help.template)
    with open_dict(cfg):
        del cfg["hydra"]
    return template.safe_substitute(APP_CONFIG_GROUPS=_groups(conf), CONFIG=OmegaConf.to_yaml(cfg))


def _groups(conf: Path) -> str:
    """A line for each group: its options, by the files that there are."""
    options: dict[str, list[str]] = {}
    for file in sorted(conf.rglob("*.yaml")):
        group = file.parent.relative_to(conf).as_posix()
        if group != "." and group.split("/")[0] != "hydra":
            options.setdefault(group, []).append(file.stem)
    return "".join(f"{group}: {', '.join(sorted(options[group]))}\n" for group in sorted(options))
