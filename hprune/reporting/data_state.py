"""Whether the data of a study are at hand, and still those that its runs were trained and evaluated on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hprune.storage.known_names import read_otherwise
from hprune.storage.override import of_study
from hprune.tasks.moved import way_out
from hprune.tasks.spec import TaskData

LONGEST = 400
"""Letters of a reason that are told."""


def state_of_data(
    data: TaskData | None, manifest: Mapping[str, Any], why: str | None, study: str, root: Path
) -> dict[str, Any] | None:
    """What is wrong with the data of a study, and what a report goes without; None: nothing.

    Args:
        data: the task's tables; None if they cannot be read.
        manifest: what a run of the study says.
        why: they cannot be read, if it is known.
        study: its name.
        root: where it lies.
    """
    task = manifest["config"]["task"]
    where = way_out(task) if isinstance(task, Mapping) else None
    again = f"; if they lie elsewhere by now: python -m hprune.report {of_study(study, root)} {where}" if where else ""
    if data is None:
        reason = f" ({why[:LONGEST]})" if why else ""
        told = f"The data of the study cannot be read{reason}: the report has no classes and no texts{again}."
        return {"fault": "unreadable", "sets": [], "told": told}
    if data.data_hash != manifest["data_hash"]:
        told = (
            f"The train split changed since the study was run (its hash was {manifest['data_hash'][:8]}, it is "
            f"{data.data_hash[:8]}): the report has no classes and no texts{again}"
            f"{read_otherwise(manifest, data.label_names)}."
        )
        return {"fault": "changed", "sets": ["train"], "told": told}
    changed = _changed_sets(data, manifest)
    if not changed:
        return None
    told = (
        f"Changed since the study was run: {', '.join(changed)}; accuracies are of the sets as they were, while texts "
        f"that occur in train, too, are counted in those of now{again}."
    )
    return {"fault": "changed", "sets": changed, "told": told}


def _changed_sets(data: TaskData, manifest: Mapping[str, Any]) -> list[str]:
    """The sets to evaluate on that are others by now; runs that do not say which they were say nothing."""
    task = manifest.get("settings", {}).get("task")
    before = task.get("evaluation") if isinstance(task, Mapping) else None
    if not isinstance(before, Mapping):
        return []
    return [name for name, digest in data.evaluation_hashes.items() if before.get(name, digest) != digest]
