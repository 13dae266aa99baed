"""The files, folders and hub ids outside a root that a stored study may name again: those that its user named there.

A study that came from elsewhere stores a configuration, too. So that reading it opens no file of this machine and looks
nothing up on the hub, what a command named is noted outside the root, where a sender cannot write: one small file for
each root and set of names, below `$XDG_STATE_HOME/hprune/sources` (`~/.local/state/...`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from hprune.storage.files import as_json, sha256_of_json, write_json
from hprune.storage.places import is_below

Part = Literal["task", "model"]

PATHS = {
    "task": ("data_dir", "train_file", "validation_file", "test_file", "also_dir"),
    "model": ("path",),
}
"""Keys that name a file or a folder, or several; what is not there, or not below the root, may be the hub's."""
_WAY_OUT = {
    "task": "If you have the data, give your copy with task.train_file=FILE or task.data_dir=FOLDER; ",
    "model": "",
}
HUB = ("hub_id", "hub_config", "hub_revision")


def note_sources(root: Path, config: Mapping[str, Any]) -> None:
    """Note what a run's configuration, as this user's command gave it, names outside the root."""
    for part in PATHS:
        named = outside_sources(root, config, part)
        for key in named:
            file, value = _note(root, part, key, named), named[key]
            with suppress(OSError):  # without a place to note it, `trust_code=true` is asked for
                if not file.exists():
                    write_json(file, {"root": os.path.realpath(root), f"{part}.{key}": value})


def check_sources(
    file: Path, root: Path, config: Mapping[str, Any], parts: Sequence[str], *, given: Mapping[str, Any]
) -> None:
    """Refuse a stored configuration that names files, folders or hub ids which this user did not name under this root.

    Args:
        file: where the configuration is stored.
        root: where results lie.
        config: with its parts.
        parts: those that will be read: `task`, `model`.
        given: keys of the task that the command names itself.

    Raises:
        ValueError: naming the file, what it names, and the way out.
    """
    for part in parts:
        all_named = outside_sources(root, config, part)
        own = given if part == "task" else {}
        named = {k: v for k, v in all_named.items() if k not in own and not _note(root, part, k, all_named).exists()}
        if named:
            shown = ", ".join(f"{part}.{key}={str(value)[:80]!r}" for key, value in named.items())
            raise ValueError(
                f"{file}: its config names {shown}, outside of {root}, which no command of yours has named for results "
                f"there. {_WAY_OUT[part]}if you trust where the study comes from, and what it names is the right one "
                "on this machine, set trust_code=true, once"
            )


def outside_sources(root: Path, config: Mapping[str, Any], part: str) -> dict[str, Any]:
    """What a part of a run's configuration names outside the root, on the hub or on this machine, by key."""
    section = config.get(part)
    if not isinstance(section, Mapping):
        return {}
    found = {
        key: section[key] for key in PATHS[part] if any(not _inside(root, one) for one in _listed(section.get(key)))
    }
    hub = {key: section[key] for key in HUB if section.get(key) is not None} if part == "task" else {}
    local = section.get("train_file") is not None or section.get("data_dir") is not None  # they win over the hub
    return dict(as_json(found | (hub if "hub_id" in hub and not local else {})))


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def _inside(root: Path, path: Any) -> bool:
    """Whether a file or folder is there and lies below the root, with all that it leads to by links or names."""
    place = Path(str(path)).expanduser()
    if (place / "adapter_config.json").exists():  # it names the model that it is added to, here or on the hub
        return False
    return place.exists() and is_below(place, root) and all(is_below(link, root) for link in _links(place))


def _links(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if os.path.islink(path := os.path.join(place, name)):
                yield Path(path)


def _note(root: Path, part: str, key: str, named: Mapping[str, Any]) -> Path:
    """Where it is noted that a user named this under a root; a hub id, its config and its revision as one."""
    value = [named.get(one) for one in HUB] if key in HUB else named[key]
    given = os.environ.get("XDG_STATE_HOME", "")
    state = Path(given if os.path.isabs(given) else "~/.local/state").expanduser()  # a relative one is to be ignored
    return state / "hprune" / "sources" / f"{sha256_of_json([os.path.realpath(root), part, key, value])}.json"
