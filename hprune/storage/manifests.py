"""What the JSON files of a run's folder hold, read and checked: run.json, identity.json, failure.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hprune.science.records import RunKey
from hprune.storage import shapes
from hprune.storage.bound import check_bound
from hprune.storage.files import read_json
from hprune.storage.places import below

KEY = {"task": shapes.name, "model": shapes.name, "subset": shapes.name, "seed": shapes.count}
IDENTITY: shapes.Shape = {"key": KEY, "settings": shapes.anything}
MANIFEST: shapes.Shape = {**IDENTITY, "settings_hash": shapes.digest, "files": shapes.dict_of(shapes.text, shapes.name)}
RESULTS: shapes.Shape = {
    "settings": {"subset": {"rule": shapes.text}},
    "data_hash": shapes.text,
    "label_names": shapes.list_of(shapes.text),
    "samples": shapes.count,
    "full_samples": shapes.count,
    "primary_metric": shapes.text,
    "metrics": shapes.dict_of(shapes.dict_of(shapes.number)),
    "cost": {"train_seconds": shapes.number},
    "subset": shapes.anything,
    "config": {"task": shapes.anything},
    "versions": shapes.anything,
}
"""What a run's manifest says of its results, for reports and exports."""
LEDGER: shapes.Shape = {
    f"{stage}_{unit}": shapes.amount for stage in ("train", "clean_pass", "evaluation") for unit in ("seconds", "flops")
} | {"checkpoint_seconds": shapes.amount}
"""What it says of its cost, unless an older version wrote it."""
POOLER: shapes.Shape = dict.fromkeys(("mean_abs", "spread", "spread_of_mean_pooling", "samples"), shapes.amount)
"""What it says of the checkpoint's pooler, if the head reads one."""
OF_SCORE: shapes.Shape = {"seeds": shapes.list_of(shapes.count), "epochs": shapes.count}
"""What it says of the score that chose its samples, if one did."""
RECORD: shapes.Shape = {"data_hash": shapes.text, "settings_hash": shapes.text}
"""What a record's metadata says of it."""
RESTORED: shapes.Shape = {"rounded": shapes.list_of(shapes.text), "not_kept": shapes.list_of(shapes.text)}
"""What the manifest of a run says that was restored from a packed file (`benchmarks/packed_runs.py`): which numbers are
rounded, and what is missing."""


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the `run.json` of a run's folder: which run it is, and the checksums of its files.

    Raises:
        ValueError: if there is none, or it is not readable, not of the shape that runs leave behind, or of another run.
    """
    if not (path / "run.json").exists():
        raise ValueError(f"no complete run at {path}: run.json is missing; run its command again to finish it")
    file = below(path, "run.json")
    manifest: dict[str, Any] = read_json(file)
    shapes.check_shape(file, manifest, MANIFEST)
    shapes.check_shape(file, manifest, {"footers": MANIFEST["files"]}, lenient=True)
    check_bound(file, manifest)
    return manifest


def key_of(content: Mapping[str, Any]) -> RunKey:
    """The key of a run in what was read of a file of this shape."""
    return RunKey(**{name: content["key"][name] for name in KEY})


def read_results(path: Path) -> dict[str, Any]:
    """Read the `run.json` of a run's folder with what the run came to.

    Raises:
        ValueError: as in `read_manifest`.
    """
    manifest, file = read_manifest(path), path / "run.json"
    shapes.check_shape(file, manifest, RESULTS)
    shapes.check_shape(file, manifest["cost"], LEDGER, at="cost", lenient=True)
    shapes.check_shape(file, manifest, {"restored": RESTORED}, lenient=True)
    shapes.check_shape(file, manifest["subset"], OF_SCORE, at="subset", lenient=True)
    shapes.check_shape(file, manifest, {"pooler": POOLER}, lenient=True)
    metric = manifest["primary_metric"]
    for name, values in manifest["metrics"].items():
        shapes.check_shape(file, values, {metric: shapes.number}, at=f"metrics.{name}")
    return manifest


def read_identity(path: Path) -> dict[str, Any]:
    """Read the `identity.json` of a run's folder.

    Raises:
        ValueError: if it is not readable, not of the shape that runs leave behind, or of another run.
    """
    file = below(path, "identity.json")
    identity: dict[str, Any] = read_json(file)
    shapes.check_shape(file, identity, IDENTITY)
    check_bound(file, identity)
    return identity


def read_failure(path: Path) -> str:
    """Why the last try of a run failed, as its `failure.json` says.

    Raises:
        ValueError: if it is not readable.
    """
    file = below(path, "failure.json")
    failure = read_json(file)
    shapes.check_shape(file, failure, {"message": shapes.text})
    return str(failure["message"])
