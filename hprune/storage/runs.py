"""One folder a run: `runs/<task>/<model>/<subset>-<hash8>/seed=<s>/`, complete if and only if `run.json` stands in it.

The folder is named by what the run is, so a run is found, shared between studies and never trained twice; the seeds of
one setting lie side by side.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from hprune.science.records import CONTINUOUS, Measured, RunKey, RunRecord, Subset
from hprune.storage.bound import check_record_facts, check_same_run
from hprune.storage.differing import differing_keys
from hprune.storage.files import (
    as_json,
    check_name,
    read_table,
    sha256_of_file,
    sha256_of_footer,
    sha256_of_json,
    write_json,
    write_table,
)
from hprune.storage.lock import Claim, LostFolderError, left_behind, locked
from hprune.storage.manifests import RECORD, key_of, read_identity, read_manifest, sealed
from hprune.storage.places import below, keep_below
from hprune.storage.shapes import check_shape, list_of, text

SCHEMA_VERSION = 1

State = Literal["done", "started", "failed", "missing"]


@dataclass(frozen=True)
class RunFolder:
    """Where one run lies, and what it is: `settings` covers everything that shapes it but the seed."""

    path: Path
    key: RunKey
    settings: Mapping[str, Any]
    claim: Claim | None = field(default=None, compare=False)
    """Of the process that works in it, checked before anything is written there."""

    @property
    def settings_hash(self) -> str:
        """Hex digest of the settings; its first 8 digits are in the folder's name."""
        return sha256_of_json(dict(self.settings))

    @property
    def fold(self) -> str | None:
        """The name of the fold that this is the folder of, as in `fold=0`; None: of the whole run."""
        return self.path.name if self.path.name.startswith("fold=") else None

    @property
    def manifest(self) -> Path:
        """`run.json`, written last."""
        return self.path / "run.json"

    @property
    def checkpoint(self) -> Path:
        """Where an interrupted run continues from."""
        return self.path / "resume.ckpt"

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to do here."""
        return self.manifest.exists()


def run_folder(root: Path, key: RunKey, settings: Mapping[str, Any]) -> RunFolder:
    """The folder of a run below `root`, whether it exists or not.

    Raises:
        ValueError: if the name of the task, the model or the subset cannot be a folder's name.
    """
    for what, name in (("task.name", key.task), ("model.name", key.model), ("subset.name", key.subset)):
        check_name(what, name)
    settings = as_json(dict(settings))
    digest = sha256_of_json(settings)[:8]
    path = keep_below(root) / "runs" / key.task / key.model / f"{key.subset}-{digest}" / f"seed={key.seed}"
    return RunFolder(path, key, settings)


def start_run(folder: RunFolder) -> None:
    """Write what will be run, or check that what stands there is the same. The folder's lock must be held.

    Raises:
        ValueError: if the folder holds a run of other settings; the message names the keys that differ.
        OSError: if the folder cannot be written.
    """
    identity = folder.path / "identity.json"
    if identity.exists():
        differing = _differing_identity(folder, folder.path)
        if differing:
            raise ValueError(
                f"{folder.path} holds a run of other settings, differing in {', '.join(differing)}; "
                "nothing was changed: move that folder away, or give other results a place of their own "
                "with paths.root=FOLDER"
            )
    else:
        write_json(identity, {"key": asdict(folder.key), "settings": dict(folder.settings)})
    (folder.path / "failure.json").unlink(missing_ok=True)


def _differing_identity(folder: RunFolder, path: Path) -> list[str]:
    """What differs between a run and the identity.json of a folder, with both values."""
    there = read_identity(path, bound=False)  # what differs is told better here
    key = differing_keys(there["key"], asdict(folder.key))
    return key + differing_keys(there["settings"], dict(folder.settings))


def check_ours(folder: RunFolder) -> None:
    """Check that a run's folder is still the one that this process claimed, and holds this run.

    Raises:
        LostFolderError: if it was removed or replaced, holds another run, or another process took it over.
    """
    if folder.claim is None:
        return
    folder.claim.check()
    path = folder.claim.folder  # a fold's lies within it
    if not (path / "identity.json").exists():
        raise LostFolderError(
            f"{path} was emptied while a run was under way there (identity.json is gone); nothing more was written to "
            "it: the same command trains the run again"
        )
    if differing := _differing_identity(folder, path):
        raise LostFolderError(
            f"{path} was replaced by the folder of another run, differing in {', '.join(differing)}, while "
            f"{folder.key} was under way there; nothing more was written to it: put that folder where it belongs, and "
            "the same command trains this run again"
        )


def fail_run(folder: RunFolder, message: str) -> None:
    """Leave a note for `hprune.status`; the run stays incomplete and the next start tries again.

    Of several processes the first to fail is the reason, so its note stays. A folder that is no longer this run's
    gets none.
    """
    with suppress(OSError, ValueError):  # a full disk is what it may have failed of
        check_ours(folder)
        if (folder.path / "identity.json").exists() and not (folder.path / "failure.json").exists():
            whose = {"run": str(folder.key), "settings_hash": folder.settings_hash}
            note = {**whose, "message": message, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
            write_json(folder.path / "failure.json", note)


def finish_run(folder: RunFolder, facts: Mapping[str, Any]) -> None:
    """Write `run.json`, with the checksums of every file of the run, and remove what only a resume needs.

    Raises:
        LostFolderError: if the folder is no longer this run's.
    """
    check_ours(folder)
    files = sorted(p for p in folder.path.iterdir() if p.suffix == ".parquet")
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "key": asdict(folder.key),
        "settings_hash": folder.settings_hash,
        "settings": dict(folder.settings),
        **({"fold": folder.fold} if folder.fold else {}),
        **facts,
        "files": {p.name: sha256_of_file(p) for p in files},
        "footers": {p.name: sha256_of_footer(p) for p in files},
    }
    if (model := folder.path / "model").is_dir():
        manifest["model_files"] = {p.name: sha256_of_file(p) for p in sorted(model.iterdir()) if p.is_file()}
    check_ours(folder)  # hashing takes its time
    write_json(folder.manifest, sealed(manifest))
    _remove(folder.checkpoint)  # after the manifest: a crash in between loses nothing


def _remove(checkpoint: Path) -> None:
    """A file, or a folder with a file for each process."""
    if checkpoint.is_dir():
        shutil.rmtree(checkpoint)
    else:
        checkpoint.unlink(missing_ok=True)


def tidy_run(folder: RunFolder) -> None:
    """Remove what a process that was killed left beside a complete run, unless one is at work there."""
    if folder.checkpoint.exists() or left_behind(folder.path):
        with suppress(OSError), locked(folder.path):
            _remove(folder.checkpoint)


def check_complete(folder: RunFolder) -> None:
    """Check that the complete run in a folder is the one that is looked for there.

    Raises:
        ValueError: if it is another one, which was copied there, or its manifest cannot be read.
    """
    manifest = read_manifest(folder.path)
    check_same_run(folder.manifest, manifest, folder.key, folder.settings_hash, settings=folder.settings)


def state_of(path: Path) -> State:
    """What became of the run in this folder."""
    if (path / "run.json").exists():
        return "done"
    if (path / "failure.json").exists():
        return "failed"
    return "started" if path.exists() else "missing"


def save_record(folder: RunFolder, record: RunRecord) -> None:
    """Write `record.<measured>.parquet`: sample_id, then correct_e, true_prob_e, margin_e, el2n_e for each epoch e."""
    check_ours(folder)
    columns: dict[str, Any] = {"sample_id": record.sample_ids}
    for name in record.columns:
        columns |= {f"{name}_{epoch}": values for epoch, values in enumerate(getattr(record, name))}
    write_table(folder.path / f"record.{record.measured}.parquet", pa.table(columns), record_facts(record))


def load_record(path: Path, measured: Measured) -> RunRecord:
    """Read the whole record of a complete run and check it against the manifest.

    Raises:
        ValueError: if the run is not complete, was not measured this way, or the file was altered.
    """
    manifest = read_manifest(path)
    file = record_file(path, measured)
    check_file(file, manifest)
    table, facts = read_table(file)
    check_shape(file, facts, RECORD)
    check_record_facts(file, facts, key_of(manifest))
    epochs = check_columns(file, table.schema, facts)
    if facts.get("not_kept"):
        raise ValueError(
            f"{file} was restored from a packed file, which does not keep {' and '.join(facts['not_kept'])}: it is no "
            "whole record; move the run's folder away and train it again"
        )

    def column(name: str) -> np.ndarray:  # (E, N)
        return np.stack([table[f"{name}_{epoch}"].to_numpy() for epoch in range(epochs)])

    return RunRecord(
        key=key_of(manifest),
        sample_ids=table["sample_id"].to_numpy().copy(),
        correct=column("correct"),
        true_prob=column("true_prob"),
        margin=column("margin"),
        el2n=column("el2n"),
        measured=measured,
        data_hash=facts["data_hash"],
        settings_hash=facts["settings_hash"],
        grand=column("grand") if "grand_0" in table.column_names else None,
    )


def record_facts(record: RunRecord) -> dict[str, Any]:
    """What a record's metadata says: whose it is, and a digest of its numbers, so that no two records end alike."""
    digest = hashlib.sha256()
    for name in ("sample_ids", *record.columns):
        digest.update(np.ascontiguousarray(getattr(record, name)).data)
    return {
        "run": str(record.key),
        "measured": record.measured,
        "data_hash": record.data_hash,
        "settings_hash": record.settings_hash,
        "content": digest.hexdigest(),
    }


def record_file(path: Path, measured: Measured) -> Path:
    """The record of a run.

    Raises:
        ValueError: if it was not measured this way; the message lists how it was.
    """
    file = below(path, f"record.{measured}.parquet")
    if not file.exists():
        has = sorted(p.name.split(".")[1] for p in path.glob("record.*.parquet"))
        raise ValueError(
            f"the run at {path} was not measured by {measured}, only by {', '.join(has) or 'nothing'}; "
            f"set score.measured, or collect with record.measured={measured}"
        )
    return file


def check_columns(file: Path, schema: pa.Schema, facts: Mapping[str, Any]) -> int:
    """How many epochs a record with these columns holds; restored ones lack those that `not_kept` of its facts names.

    Raises:
        ValueError: if it holds none, or a column is missing or of another type.
    """
    check_shape(file, facts, {"not_kept": list_of(text)}, lenient=True)
    not_kept = facts.get("not_kept", ())
    epochs = range(sum(name.startswith("correct_") for name in schema.names))
    expected = {"sample_id": pa.int64(), **{f"correct_{epoch}": pa.bool_() for epoch in epochs}}
    expected |= {f"{name}_{epoch}": pa.float32() for name in CONTINUOUS if name not in not_kept for epoch in epochs}
    there = dict(zip(schema.names, schema.types, strict=True))
    if not epochs or any(there.get(name) != kind for name, kind in expected.items()):
        raise ValueError(
            f"{file} is not a record of hprune: it has the columns {there}, must have "
            "sample_id, and for each epoch correct_0, true_prob_0, margin_0, el2n_0, and so on; train the run again"
        )
    return len(epochs)


def check_file(file: Path, manifest: Mapping[str, Any]) -> None:
    """Compare a file of a run, read as a whole, with the checksum in its manifest.

    Raises:
        ValueError: if it differs.
    """
    if sha256_of_file(file) != manifest["files"].get(file.name):
        raise _altered(file, "checksum")


def check_footer(file: Path, manifest: Mapping[str, Any]) -> None:
    """Compare the footer of a file of a run with its manifest, or the file if an older manifest has none.

    Raises:
        ValueError: if it differs.
    """
    if "footers" not in manifest:
        check_file(file, manifest)
    elif sha256_of_footer(file) != manifest["footers"].get(file.name):
        raise _altered(file, "footer")


def _altered(file: Path, what: str) -> ValueError:
    return ValueError(
        f"{file} was altered after the run: its {what} is not the one in run.json; "
        "remove the run's folder to train it again"
    )


def load_subset(path: Path, manifest: Mapping[str, Any]) -> np.ndarray:
    """Read the ids that a run was trained on.

    Raises:
        ValueError: if the file was altered, or is that of another run.
    """
    file = below(path, "subset.parquet")
    check_file(file, manifest)
    ids: np.ndarray = read_table(file)[0]["sample_id"].to_numpy()
    return ids


def save_subset(folder: RunFolder, subset: Subset) -> None:
    """Write the ids that a run is trained on, with where they came from."""
    check_ours(folder)
    facts = {"name": subset.name, "data_hash": subset.data_hash, "provenance": dict(subset.provenance)}
    write_table(folder.path / "subset.parquet", pa.table({"sample_id": subset.sample_ids}), facts)
