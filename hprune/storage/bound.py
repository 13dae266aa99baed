"""Is a run the one that its folder, its study and its files say that it is? Asked wherever a run is read.

A run's folder is named by its key and by the hash of its settings, `runs/<task>/<model>/<subset>-<hash8>/seed=<s>/`,
so a file that comes from another run, or a whole folder that was copied into the place of another, says itself that it
is wrong there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hprune.science.records import RunKey
from hprune.storage.differing import differing_keys
from hprune.storage.files import sha256_of_json

PLACE = re.compile(r"(?P<subset>.+)-(?P<hash>[0-9a-f]{8})/seed=(?P<seed>\d+)")


def check_bound(file: Path, content: Mapping[str, Any]) -> None:
    """Compare what a file of a run's folder says of the run (key, settings, and their hash if stated) with its place.

    A folder that is not called as a run's is, such as that of a fold, says nothing, and one that lies outside of a root
    says nothing of the task and the model.

    Args:
        file: run.json or identity.json of the folder.
        content: of its shape.

    Raises:
        ValueError: naming both runs, and the way out.
    """
    key, digest = RunKey(**content["key"]), sha256_of_json(content["settings"])
    if content.get("settings_hash", digest) != digest:
        raise ValueError(
            f"{file}: the settings are not those of its settings_hash, so it was altered; bring the original back, or "
            "move the run's folder away, and the same command trains the run again"
        )
    folder = file.parent
    named = PLACE.fullmatch("/".join(folder.parts[-2:]))
    if named is None:
        return
    here = {"subset": named["subset"], "seed": int(named["seed"]), "settings hash": named["hash"]}
    there: dict[str, Any] = {"subset": key.subset, "seed": key.seed, "settings hash": digest[:8]}
    if len(folder.parts) >= 5 and folder.parts[-5] == "runs":
        here |= {"task": folder.parts[-4], "model": folder.parts[-3]}
        there |= {"task": key.task, "model": key.model}
    differing = [f"{name} {there[name]}, not {here[name]}" for name in here if there[name] != here[name]]
    if differing:
        raise _elsewhere(file, ", ".join(differing), place_of(key, digest))


def check_same_run(
    file: Path,
    content: Mapping[str, Any],
    key: RunKey,
    settings_hash: str,
    *,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Compare what a file of a run's folder says of the run with the run that is looked for there.

    Args:
        file: run.json or identity.json of the folder.
        content: of its shape.
        key: of the run that is looked for.
        settings_hash: of that run.
        settings: of that run; None: not known.

    Raises:
        ValueError: naming both.
    """
    there = RunKey(**content["key"])
    digest = content.get("settings_hash") or sha256_of_json(content["settings"])
    if (there, digest) != (key, settings_hash):
        said = f"{there} with settings {digest[:12]}, not {key} with settings {settings_hash[:12]}"
        if settings is not None and digest != settings_hash:
            said += f", differing in {', '.join(differing_keys(content['settings'], settings))}"
        raise _elsewhere(file, said, place_of(there, digest))


def check_record_facts(file: Path, facts: Mapping[str, Any], key: RunKey) -> None:
    """Compare whose record it is, as its metadata says, with the run in whose folder it lies.

    Raises:
        ValueError: naming both.
    """
    if (run := facts.get("run", str(key))) != str(key):
        raise ValueError(
            f"{file} is the record of another run, {run!r:.200}, in the folder of {key}; put each record back into its "
            "own folder, or move the folder away and train the run again"
        )


def place_of(key: RunKey, settings_hash: str) -> str:
    """Where a run lies below its root."""
    return f"runs/{key.task}/{key.model}/{key.subset}-{settings_hash[:8]}/seed={key.seed}"


def _elsewhere(file: Path, differing: str, place: str) -> ValueError:
    return ValueError(
        f"{file} is of another run ({differing}): its place is {place} below the root. Put back what was copied or "
        f"renamed, or move {file.parent} away, and the same command trains the run that belongs here again"
    )
