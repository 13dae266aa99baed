"""What the JSON files of a run's folder hold, read and checked: run.json, identity.json, failure.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hprune.science.records import RunKey
from hprune.storage import shapes
from hprune.storage.bound import check_bound
from hprune.storage.files import as_json, read_json, sha256_of_json
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
NO_VERSION = "0.1.0 or older"
"""What stands for the version of hprune of a run that does not say it."""
LIBRARIES = ("hprune", "torch", "transformers", "lightning", "torchmetrics", "numpy", "tokenizers", "peft")
"""Whose versions a run's numbers may depend on by more than their last digits, unlike python, platform and cpu."""


TRAIN_AGAIN = "Bring the original back, or move the run's folder away, and the same command trains the run again"


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a file is to hold, such as a manifest, as plain values, with a digest over all of it as its last key."""
    content = as_json({name: value for name, value in manifest.items() if name != "digest"})
    return {**content, "digest": sha256_of_json(content)}


def check_digest(file: Path, manifest: Mapping[str, Any]) -> None:
    """Compare what was read of a manifest with its digest; runs that do not name hprune's version may have none.

    Raises:
        ValueError: if a value was edited, added or taken away, or the digest was.
    """
    versions = manifest.get("versions")
    if "digest" in manifest or (isinstance(versions, dict) and "hprune" in versions):
        check_seal(file, manifest, f"was altered after the run: its digest is not that of its content. {TRAIN_AGAIN}")


def check_seal(file: Path, content: Mapping[str, Any], told: str) -> None:
    """Compare what was read of a file with the digest in it.

    Args:
        file: that was read.
        content: what it holds.
        told: what is said of a file whose digest is another's, or is gone.

    Raises:
        ValueError: if the digest is not that of the content.
    """
    try:
        found = sealed(content)["digest"]
    except (ValueError, RecursionError):  # 1e999 is read as infinity, which JSON has no word for
        found = None
    if found != content.get("digest"):
        raise ValueError(f"{file} {told}")


def version_differences(manifests: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """The versions in which runs differ: `{name: {version: [run, ...]}}`, empty if they agree in all.

    Args:
        manifests: what the run.json of each run says. A run that does not say hprune's version counts as 0.1.0 or
            older; one that does not say another counts as no difference in that.

    Example:
        >>> key = {"task": "t", "model": "m", "subset": "full"}
        >>> runs = [{"key": {**key, "seed": s}, "versions": {"hprune": "1", "torch": v}} for s, v in enumerate("223")]
        >>> version_differences(runs)
        {'torch': {'2': ['t/m/full/seed=0', 't/m/full/seed=1'], '3': ['t/m/full/seed=2']}}
    """
    found: dict[str, dict[str, list[str]]] = {}
    for manifest in manifests:
        for name, version in {"hprune": NO_VERSION, **manifest["versions"]}.items():
            found.setdefault(name, {}).setdefault(str(version), []).append(str(key_of(manifest)))
    return {name: dict(sorted(runs.items())) for name, runs in found.items() if len(runs) > 1}


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the `run.json` of a run's folder: which run it is, and the checksums of its files.

    Raises:
        ValueError: if there is none, or it is not readable, not of the shape that runs leave behind, was edited, or is
            another run's.
    """
    if not (path / "run.json").exists():
        raise ValueError(f"no complete run at {path}: run.json is missing; run its command again to finish it")
    file = below(path, "run.json")
    manifest: dict[str, Any] = read_json(file)
    shapes.check_shape(file, manifest, MANIFEST)
    for name in ("footers", "model_files"):
        shapes.check_shape(file, manifest, {name: MANIFEST["files"]}, lenient=True)
    check_digest(file, manifest)
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


def read_identity(path: Path, *, bound: bool = True) -> dict[str, Any]:
    """Read the `identity.json` of a run's folder; `bound`: it must be the run that the folder is named by.

    Raises:
        ValueError: if it is not readable, not of the shape that runs leave behind, or of another run.
    """
    file = below(path, "identity.json")
    identity: dict[str, Any] = read_json(file)
    shapes.check_shape(file, identity, IDENTITY)
    if bound:
        check_bound(file, identity)
    return identity


def read_failure(path: Path) -> str:
    """Why the last try of a run failed, as its `failure.json` says.

    Raises:
        ValueError: if it is not readable, or is that of another run.
    """
    file = below(path, "failure.json")
    failure = read_json(file)
    shapes.check_shape(file, failure, {"message": shapes.text})
    if "run" in failure:  # older ones do not say whose they are
        identity = read_identity(path)
        here = str(key_of(identity)), sha256_of_json(identity["settings"])
        there = failure["run"], failure.get("settings_hash", here[1])
        if there != here:
            settings = "" if there[1] == here[1] else f" with settings {there[1]!r:.14}"
            raise ValueError(
                f"{file} is of another run, {there[0]!s:.200}{settings}: remove it; the run here is incomplete, and "
                "its command goes on"
            )
    return str(failure["message"])
