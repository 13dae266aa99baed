"""Keep what a long study found in a small file, and bring it back as runs that hprune takes for complete.

    python benchmarks/packed_runs.py pack ROOT FILE [STUDY ...] [--rename /my/data=data]
    python benchmarks/packed_runs.py restore FILE ROOT [--rename data=/other/data]
    python benchmarks/packed_runs.py estimate --samples 67349 --epochs 3 --runs 12

Goal: below 5 MB for all studies of `benchmarks/data`, with which any of them can be reported again and gone on with.
`pack` takes the complete runs of the studies (of all in ROOT, where none is named); those that FILE has already are
replaced, the others in it stay. It keeps run.json whole; of scoring runs `correct` and, to 8 bits, `true_prob`; the ids
that each run was trained on; predictions on evaluation sets without probabilities; the pointers of the studies. It does
not keep `margin` and `el2n`, records of comparison runs, models and logs. `restore` never overwrites a complete run,
marks each run that it writes (`restored` in run.json), and makes the tables of H again, which must be those that were
packed. `--rename` replaces the start of paths in the configs, which else name folders of one machine: `report` finds
the data of a study by them. `estimate` simulates samples.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hprune.science.records import Measured, RunKey, Scores, Subset
from hprune.science.scores.h_score import h_score
from hprune.science.select import Pool, random_like
from hprune.storage import shapes
from hprune.storage.dynamics import StoredDynamics
from hprune.storage.files import check_name, open_table, read_json, sha256_of_json, whole_file, write_json, write_table
from hprune.storage.lock import locked
from hprune.storage.manifests import IDENTITY, RESTORED, key_of, read_results
from hprune.storage.runs import RunFolder, check_file, finish_run, run_folder, save_subset, start_run, state_of
from hprune.storage.scores import load_scores, save_scores, score_path
from hprune.storage.studies import POINTER, runs_of, studies_in, study_folder

FORMAT, VERSION = "hprune packed runs", 1
LEVELS = 256
"""Of `true_prob`: it comes back as the middle of the one that it lies in, so never as 0 or 1."""
SHARED = ("sample_id", "label", "tokens")
"""Columns of predictions that are of the examples; slice_*, too."""
ANSWERED = ("pred", "exact_match")
"""Columns that are kept for each run, where they are there."""
HELD_OUT = "predictions.out_of_fold.parquet"
"""Of these the probabilities are all that matters, so they are not kept."""
RECORDS = ("margin", "el2n", "grand")
"""Columns of records that are not kept."""
Key = tuple[str, str, str]
"""Kind, path or digest, name."""


@dataclass
class Packed:
    """The rows of a file: plain facts and bytes."""

    path: Path
    rows: dict[Key, tuple[dict[str, Any], bytes]] = field(default_factory=dict)

    def of(self, kind: str, path: str | None = None) -> Iterator[tuple[Key, dict[str, Any], bytes]]:
        """The rows of a kind, of one path where it is given."""
        for key, (facts, data) in sorted(self.rows.items()):
            if key[0] == kind and path in (None, key[1]):
                yield key, facts, data

    def one(self, kind: str, path: str, name: str = "") -> tuple[dict[str, Any], bytes]:
        """One row.

        Raises:
            ValueError: if there is none.
        """
        if (kind, path, name) not in self.rows:
            raise self.damaged(f"it has no {kind} {path} {name}".rstrip())
        return self.rows[kind, path, name]

    def blob(self, kind: str, data: bytes, facts: Mapping[str, Any]) -> str:
        """Keep what several runs share once, by the digest of its content."""
        digest = hashlib.sha256(sha256_of_json(dict(facts)).encode() + data).hexdigest()
        self.rows[kind, digest, ""] = (dict(facts), data)
        return digest

    def damaged(self, why: str) -> ValueError:
        """The error that names the file."""
        return ValueError(f"{self.path} is damaged: {why}; take it from the repository again")


# The file


def load(path: Path) -> Packed:
    """Read a packed file.

    Raises:
        ValueError: if it does not exist, is of another kind or a later version, or was altered.
    """
    if not path.exists():
        raise ValueError(f"there is no packed file at {path}; make it with: packed_runs.py pack ROOT {path}")
    stored = open_table(path)
    if stored.facts.get("format") != FORMAT or stored.facts.get("version") != VERSION:
        there = f"{stored.facts.get('format')!r}, version {stored.facts.get('version')!r}"
        raise ValueError(f"{path} is no file of {FORMAT!r}, version {VERSION}, that this script writes: it is {there}")
    packed, table = Packed(path), stored.read()
    try:
        columns = (table[name].to_pylist() for name in ("kind", "path", "name", "facts", "data"))
        rows = list(zip(*columns, strict=True))
        packed.rows = {(kind, at, name): (json.loads(facts), data) for kind, at, name, facts, data in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise packed.damaged(f"its rows cannot be read ({error})") from error
    if stored.facts.get("content") != _content(packed):
        raise packed.damaged("its content is not what its checksum says")
    return packed


def save(packed: Packed) -> None:
    """Write a packed file; the same rows make the same bytes."""
    rows = sorted(packed.rows.items())
    columns: dict[str, Any] = {
        "kind": [key[0] for key, _ in rows],
        "path": [key[1] for key, _ in rows],
        "name": [key[2] for key, _ in rows],
        "facts": [_compact(facts) for _, (facts, _) in rows],
        "data": pa.array([data for _, (_, data) in rows], pa.binary()),
    }
    facts = {"format": FORMAT, "version": VERSION, "content": _content(packed)}
    table = pa.table(columns).replace_schema_metadata({"hprune": json.dumps(facts)})
    with whole_file(packed.path) as temporary:
        pq.write_table(
            table, temporary, compression="zstd", compression_level=19, use_dictionary=False, write_statistics=False,
            write_page_checksum=True, data_page_size=2**26, row_group_size=len(rows) or 1,
        )  # fmt: skip


def _content(packed: Packed) -> str:
    digest = hashlib.sha256()
    for key, (facts, data) in sorted(packed.rows.items()):
        digest.update(_compact([*key, facts, len(data)]).encode())
        digest.update(data)
    return digest.hexdigest()


def _compact(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


# Pack


def pack(root: Path, file: Path, studies: Iterable[str] = (), *, rename: Mapping[str, str] | None = None) -> Packed:
    """Put the complete runs of studies into a packed file, beside those that it has.

    Args:
        root: where results lie; read only.
        file: the packed file, which may exist.
        studies: their names; none: all of the root.
        rename: starts of texts in the configs, and what stands there instead.

    Raises:
        ValueError: if there is no such study, a file of a run was altered, or `file` is no packed file.
    """
    packed = load(file) if file.exists() else Packed(file)
    names = list(studies) or studies_in(root)
    if not names:
        raise ValueError(f"there is no study under {root} to pack")
    found = {run.path: run for name in names for run in runs_of(root, name) if state_of(run.path) == "done"}
    scoring = {run.path for name in names for run in runs_of(root, name, "scoring")}
    bases = _bases(found)
    for path in found:
        at = path.relative_to(root).as_posix()
        has = {name for (_, _, name), _, _ in packed.of("record", at)}
        if ("run", at, "") in packed.rows and "restored" in read_results(path) and has >= _ways(path):
            continue  # it came from such a file, and the file knows as much
        packed.rows = {key: row for key, row in packed.rows.items() if key[1] != at}
        _pack_run(packed, path, at, bases, records=path in scoring or bool(has))
        row = packed.rows["run", at, ""][0]["manifest"]
        row["config"] = renamed(row["config"], rename or {})
    for name in names:
        _pack_pointers(packed, root, name)
        for table in sorted((study_folder(root, name) / "scores").glob("*.parquet")):
            scores = load_scores(table)
            if scores.is_h:
                packed.rows["table", name, table.stem] = (_table_facts(scores), b"")
    _drop_unused(packed)
    save(packed)
    return packed


def _bases(runs: Iterable[Path]) -> dict[str, NDArray[np.int64]]:
    """The ids of all samples, by the hash of the data: those of runs on everything."""
    bases: dict[str, NDArray[np.int64]] = {}
    for path in runs:
        manifest = read_results(path)
        if manifest["settings"]["subset"]["rule"] == "everything" and manifest["data_hash"] not in bases:
            bases[manifest["data_hash"]] = _column(path / "subset.parquet", manifest, "sample_id")
    return bases


def renamed(content: Any, rename: Mapping[str, str]) -> Any:
    """Plain values with the starts of texts replaced, where a part of a path ends."""
    if isinstance(content, dict):
        return {name: renamed(value, rename) for name, value in content.items()}
    if isinstance(content, list):
        return [renamed(value, rename) for value in content]
    for old, new in rename.items():
        if isinstance(content, str) and (content == old or content.startswith(f"{old}/")):
            return new + content.removeprefix(old)
    return content


def absolute_paths(content: Any) -> set[str]:
    """The texts in plain values that are paths of one machine."""
    if isinstance(content, (dict, list)):
        inside = content.values() if isinstance(content, dict) else content
        return {path for value in inside for path in absolute_paths(value)}
    return {content} if isinstance(content, str) and content.startswith("/") else set()


def _ways(path: Path) -> set[str]:
    """How a run was judged, by the records that lie in its folder."""
    return {file.name.split(".")[1] for file in path.glob("record.*.parquet")}


def _column(file: Path, manifest: Mapping[str, Any], name: str) -> NDArray[Any]:
    check_file(file, manifest)
    return np.asarray(open_table(file).read()[name].to_numpy())


def _pack_run(packed: Packed, path: Path, at: str, bases: Mapping[str, NDArray[np.int64]], *, records: bool) -> None:
    """One complete run: its manifest, its ids, its predictions, and its records if it is a scoring run."""
    manifest = read_results(path)
    not_kept: set[str] = set()
    if records:
        for file in sorted(path.glob("record.*.parquet")):
            not_kept |= set(_pack_record(packed, path, at, file, manifest))
    for file in sorted(path.glob("predictions.*.parquet")):
        if file.name != HELD_OUT:
            _pack_predictions(packed, at, file, manifest)
    not_kept |= {"probabilities of predictions", *(() if records else ("records of comparison runs",))}
    mark = manifest.get("restored", {
        "rounded": ["true_prob is known to 8 bits"] if records else [], "not_kept": sorted(not_kept),
    })  # fmt: skip
    facts = {name: value for name, value in manifest.items() if name not in ("files", "footers", "restored", "digest")}
    ids = _column(path / "subset.parquet", manifest, "sample_id")
    kept = _pack_ids(packed, ids, bases.get(manifest["data_hash"], ids), manifest)
    packed.rows["run", at, ""] = ({"manifest": facts, "restored": mark, "ids": kept}, b"")


def _pack_ids(
    packed: Packed, ids: NDArray[np.int64], base: NDArray[np.int64], manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Which samples a run was trained on: all, some drawn by its seed, or those of a bit mask."""
    steps = np.diff(base, prepend=0).astype("<i8")
    facts = {"of": packed.blob("samples", steps.tobytes(), {}), "digest": _digest_of(ids)}
    if np.array_equal(ids, base):
        return {**facts, "rule": "all"}
    drawn = _drawn(base, ids.size, manifest["key"]["seed"])
    if np.array_equal(ids, drawn):
        return {**facts, "rule": "drawn", "size": int(ids.size)}
    mask = np.packbits(np.isin(base, ids), bitorder="little").tobytes()
    return {**facts, "rule": "mask", "mask": packed.blob("mask", mask, {})}


def _drawn(base: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """What `random_like` draws."""
    nothing = np.zeros(base.size, np.int64)
    return base[random_like(Pool(nothing, nothing, runs=0, higher_is="easier", size=size, keep=None, seed=seed))]


def _digest_of(ids: NDArray[np.int64]) -> str:
    return hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest()


def _pack_record(packed: Packed, path: Path, at: str, file: Path, manifest: Mapping[str, Any]) -> list[str]:
    """The columns of a record that are kept; the names of those that are not."""
    check_file(file, manifest)
    measured = file.name.split(".")[1]
    piece, table = StoredDynamics.open([path], measured).records[0], open_table(file)  # type: ignore[arg-type]
    rows, epochs = table.read(), piece[0].epochs
    ids = rows["sample_id"].to_numpy()
    right = np.stack([rows[f"correct_{epoch}"].to_numpy() for epoch in range(epochs)])  # (E, N)
    prob = np.stack([rows[f"true_prob_{epoch}"].to_numpy() for epoch in range(epochs)])
    there = {name.rsplit("_", 1)[0] for name in rows.column_names}
    lost = [name for name in RECORDS if name in there or name in table.facts.get("not_kept", ())]
    facts = {
        "epochs": epochs,
        "of": packed.blob("samples", np.diff(ids, prepend=0).astype("<i8").tobytes(), {}),
        "data_hash": table.facts["data_hash"],
        "not_kept": lost,
    }
    packed.rows["record", at, measured] = (facts, np.packbits(right, axis=0, bitorder="little").tobytes())
    packed.rows["true_prob", at, measured] = ({}, quantised(prob).tobytes())
    return lost


def quantised(prob: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The level of each probability, of 256."""
    return np.minimum(np.floor(prob.astype(np.float64) * LEVELS), LEVELS - 1).astype(np.uint8)


def restored_prob(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The middle of each level, off by 1/512 at most."""
    return ((levels.astype(np.float64) + 0.5) / LEVELS).astype(np.float32)


def _pack_predictions(packed: Packed, at: str, file: Path, manifest: Mapping[str, Any]) -> None:
    check_file(file, manifest)
    stored = open_table(file)
    table = stored.read()
    shared = [name for name in table.column_names if name in SHARED or name.startswith("slice_")]
    examples = packed.blob("examples", _as_bytes(table.select(shared)), {})
    columns, data = [], b""
    for name in (name for name in ANSWERED if name in table.column_names):
        values = table[name].to_numpy()
        ends = [np.min_scalar_type(int(end)) for end in (values.min(initial=0), values.max(initial=0))]
        small = values.astype(np.result_type(*ends))
        small = small if np.array_equal(small, values) else values  # answers that are neither right nor wrong
        columns.append({"name": name, "type": values.dtype.str, "stored": small.dtype.str})
        data += small.tobytes()
    facts = {"examples": examples, "columns": columns, "facts": stored.facts}
    packed.rows["predictions", at, file.name.split(".")[1]] = (facts, data)


def _as_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    table = table.replace_schema_metadata(None).combine_chunks()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _pack_pointers(packed: Packed, root: Path, study: str) -> None:
    """All pointers of a study, in the order in which they were written: the latest says which seeds it plans."""
    files = list((study_folder(root, study) / "runs").glob("*.json"))
    files.sort(key=lambda file: (file.lstat().st_mtime_ns, file.name))
    before = [(facts["order"], key[2]) for key, facts, _ in packed.of("pointer", study)]
    there = {file.name for file in files}
    order = [name for _, name in sorted(before) if name not in there] + [file.name for file in files]
    contents = {file.name: read_json(file) for file in files}
    for number, name in enumerate(order):
        content = contents[name] if name in contents else packed.one("pointer", study, name)[0]["content"]
        packed.rows["pointer", study, name] = ({"content": content, "order": number}, b"")


def _table_facts(scores: Scores) -> dict[str, Any]:
    return {
        "name": scores.name,
        "higher_is": scores.higher_is,
        "seeds": list(scores.seeds),
        "epochs": scores.epochs,
        "measured": scores.measured,
        "data_hash": scores.data_hash,
        "conventions": dict(scores.conventions),
        "dtype": scores.values.dtype.str,
        "digest": scores.digest,
    }


def _drop_unused(packed: Packed) -> None:
    """Leave out what no run refers to any more."""
    used = {facts[name] for _, facts, _ in packed.of("record") for name in ("of",)}
    used |= {facts["examples"] for _, facts, _ in packed.of("predictions")}
    used |= {facts["ids"][name] for _, facts, _ in packed.of("run") for name in ("of", "mask") if name in facts["ids"]}
    shared = ("samples", "mask", "examples")
    packed.rows = {key: row for key, row in packed.rows.items() if key[0] not in shared or key[1] in used}


# Restore


@dataclass
class Restored:
    """What became of the rows of a file."""

    written: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)


def restore(file: Path, root: Path, *, rename: Mapping[str, str] | None = None) -> Restored:
    """Write the runs of a packed file below a root, unless they are there, then the pointers and the tables of H.

    Args:
        file: the packed file.
        root: where results are to lie.
        rename: starts of texts in the configs, and what stands there instead.

    Raises:
        ValueError: if the file is none of ours or damaged, a folder holds a run of other settings, or a table of H is
            not the one that was packed.
        OSError: if the root cannot be written, or a process works in one of the folders.
    """
    packed = load(file)
    try:
        for _, facts, _ in packed.of("run"):
            facts["manifest"]["config"] = renamed(facts["manifest"]["config"], rename or {})
        return _restored(packed, root)
    except (KeyError, TypeError, AttributeError) as error:
        raise packed.damaged(f"a row lacks what belongs there ({error})") from error


def _restored(packed: Packed, root: Path) -> Restored:
    done = Restored()
    for (_, at, _), facts, _ in packed.of("run"):
        folder = _folder(packed, root, at, facts)
        if folder.complete:
            done.there.append(at)
            continue
        with locked(folder.path):
            start_run(folder)
            _restore_run(packed, folder, at, facts)
        done.written.append(at)
    _restore_pointers(packed, root)
    for (_, study, name), facts, _ in packed.of("table"):
        if _restore_table(packed, root, study, name, facts):
            done.tables.append(f"{study}/{name}")
    return done


def _folder(packed: Packed, root: Path, at: str, facts: Mapping[str, Any]) -> RunFolder:
    """Where a run belongs, which is what it says it is."""
    shape: shapes.Shape = {
        "manifest": {**IDENTITY, "settings_hash": shapes.digest, "data_hash": shapes.text, "subset": shapes.anything},
        "restored": RESTORED,
        "ids": {"of": shapes.digest, "digest": shapes.digest, "rule": shapes.text},
    }
    shapes.check_shape(packed.path, facts, shape, at=at)
    manifest = facts["manifest"]
    folder = run_folder(root, key_of(manifest), manifest["settings"])
    if folder.path.relative_to(root).as_posix() != at or folder.settings_hash != manifest["settings_hash"]:
        raise packed.damaged(f"the run {at} says of itself that it is {folder.key}, {folder.settings_hash[:8]}")
    return folder


def _restore_run(packed: Packed, folder: RunFolder, at: str, facts: Mapping[str, Any]) -> None:
    manifest = facts["manifest"]
    for (_, _, measured), record, data in packed.of("record", at):
        _restore_record(packed, folder, at, measured, record, data)
    for (_, _, name), answered, data in packed.of("predictions", at):
        _restore_predictions(packed, folder, name, answered, data)
    ids = _ids(packed, at, facts["ids"], folder.key)
    save_subset(folder, Subset(folder.key.subset, ids, manifest["data_hash"], manifest["subset"]))
    own = ("schema_version", "key", "settings_hash", "settings")
    results = {name: value for name, value in manifest.items() if name not in own}
    finish_run(folder, results | {"restored": facts["restored"]})


def _samples(packed: Packed, digest: str) -> NDArray[np.int64]:
    steps = _numbers(packed, packed.one("samples", digest)[1], "<i8", f"the samples {digest[:8]}")
    return np.cumsum(steps, dtype=np.int64)


def _numbers(packed: Packed, data: bytes, kind: str, what: str, size: int | None = None) -> NDArray[Any]:
    """Numbers of one type, so many where that is known."""
    width = np.dtype(kind).itemsize
    if len(data) % width or size not in (None, len(data) // width):
        raise packed.damaged(f"{what} has {len(data):,} bytes, not {'whole numbers' if size is None else size * width}")
    return np.frombuffer(data, kind)


def _ids(packed: Packed, at: str, facts: Mapping[str, Any], key: RunKey) -> NDArray[np.int64]:
    base = _samples(packed, facts["of"])
    if facts["rule"] == "all":
        ids = base
    elif facts["rule"] == "drawn":
        ids = _drawn(base, facts["size"], key.seed)
    else:
        mask = packed.one("mask", str(facts.get("mask")))[1]
        bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little")
        if not base.size <= bits.size < base.size + 8:
            raise packed.damaged(f"the mask of {at} has {bits.size:,} bits for {base.size:,} samples")
        ids = base[bits[: base.size].astype(bool)]
    if _digest_of(ids) != facts["digest"]:
        raise packed.damaged(f"the ids of {at} are not those that it was trained on")
    return ids


def _restore_record(
    packed: Packed, folder: RunFolder, run: str, measured: str, facts: Mapping[str, Any], data: bytes
) -> None:
    """The record without the columns that are not kept, which its metadata names."""
    at = f"the record {measured} of {folder.key}"
    check_name("record", measured)
    ids, epochs = _samples(packed, facts["of"]), facts["epochs"]
    bits = _numbers(packed, data, "u1", at, -(-epochs // 8) * ids.size).reshape(-1, ids.size)
    right = np.unpackbits(bits, axis=0, count=epochs, bitorder="little").astype(bool)  # (E, N)
    levels = packed.one("true_prob", run, measured)[1]
    prob = restored_prob(_numbers(packed, levels, "u1", at, epochs * ids.size).reshape(epochs, ids.size))
    columns: dict[str, Any] = {"sample_id": ids}
    for name, values in (("correct", right), ("true_prob", prob)):
        columns |= {f"{name}_{epoch}": row for epoch, row in enumerate(values)}
    content = hashlib.sha256(b"".join(np.ascontiguousarray(one).tobytes() for one in (ids, right, prob)))
    known = {
        "run": str(folder.key),
        "measured": measured,
        "data_hash": facts["data_hash"],
        "settings_hash": folder.settings_hash,
        "content": content.hexdigest(),
        "not_kept": facts["not_kept"],
    }
    write_table(folder.path / f"record.{measured}.parquet", pa.table(columns), known)


def _restore_predictions(packed: Packed, folder: RunFolder, name: str, facts: Mapping[str, Any], data: bytes) -> None:
    check_name("predictions", name)
    at = f"the predictions of {folder.key} for {name}"
    try:
        table = pa.ipc.open_stream(packed.one("examples", facts["examples"])[1]).read_all()
    except pa.ArrowException as error:
        raise packed.damaged(f"the examples of {name} cannot be read ({error})") from error
    given = {column: table[column] for column in table.column_names}
    answers: dict[str, Any] = {}
    for column in facts["columns"]:
        size = np.dtype(column["stored"]).itemsize * table.num_rows
        values = _numbers(packed, data[:size], column["stored"], at, table.num_rows)
        answers[column["name"]], data = values.astype(column["type"]), data[size:]
    first = {column: given.pop(column) for column in ("sample_id", "label") if column in given}
    write_table(folder.path / f"predictions.{name}.parquet", pa.table({**first, **answers, **given}), facts["facts"])


def _restore_pointers(packed: Packed, root: Path) -> None:
    """The pointers of each study, each written a moment after the one before; those that are there stay."""
    studies: dict[str, list[tuple[int, str, Any]]] = defaultdict(list)
    for (_, study, name), facts, _ in packed.of("pointer"):
        content = facts["content"]
        shapes.check_shape(packed.path, content, POINTER, at=f"{study}/{name}")
        key = key_of(content)
        expected = f"{key.subset}-{content['settings_hash'][:8]}.seed={key.seed}.{content['purpose']}.json"
        if name != expected:
            raise packed.damaged(f"the pointer {study}/{name} should be called {expected}")
        studies[study].append((facts["order"], name, content))
    for study, pointers in studies.items():
        began = time.time_ns() - 1_000_000 * len(pointers)
        for number, (_, name, content) in enumerate(sorted(pointers, key=lambda one: one[:2])):
            file = study_folder(root, study) / "runs" / name
            if not file.exists():
                write_json(file, content)
                os.utime(file, ns=(began + 1_000_000 * number,) * 2)


def _restore_table(packed: Packed, root: Path, study: str, name: str, facts: Mapping[str, Any]) -> bool:
    """Make a table of H again; False where it is there, or its runs are not in the file.

    Raises:
        ValueError: if it is not the one that was packed.
    """
    there = {run.key.seed: run.path for run in runs_of(root, study, "scoring") if state_of(run.path) == "done"}
    path = score_path(root, study, name)
    if path.exists() or not set(facts["seeds"]) <= set(there):
        return False
    measured: Measured = facts["measured"]
    stored = StoredDynamics.open([there[seed] for seed in facts["seeds"]], measured)
    stored = stored.prefix(epochs=facts["epochs"], skip=facts["conventions"].get("skip_epochs", 0))
    ids, values = zip(*((piece.sample_ids, h_score(piece)) for piece in stored.pieces()), strict=True)
    own = {key: value for key, value in facts.items() if key not in ("digest", "dtype", "seeds")}
    scores = Scores(
        sample_ids=np.concatenate(ids),
        values=np.concatenate(values).astype(facts["dtype"]),
        seeds=tuple(facts["seeds"]),
        **own,
    )
    if scores.digest != facts["digest"]:
        raise packed.damaged(f"the records of {study} do not give its table {name}")
    save_scores(path, scores)
    return True


# Sizes


def estimate(samples: int, epochs: int, runs: int, ways: int) -> tuple[int, int]:
    """Bytes of a packed file, and bytes of `correct` in it, of so many simulated scoring runs.

    A sample has a logit of its own; runs and epochs differ from it by chance, epochs go up, and the probability of the
    label is its logistic. Where a model is surer `true_prob` takes less; `correct` never takes more than a bit.
    """
    rng = np.random.default_rng(0)
    own = rng.normal(1.5, 1.5, samples)
    sizes = []
    for parts in (("record",), ("record", "true_prob")):
        with tempfile.TemporaryDirectory() as folder:
            packed = Packed(Path(folder) / "packed.parquet")
            for run in range(runs * ways):
                logit = own + rng.normal(0, 1, (epochs, samples)) + 1.5 * np.arange(epochs)[:, None]
                prob = 1 / (1 + np.exp(-logit))
                right = np.packbits(prob > 0.5, axis=0, bitorder="little")
                data = {"record": right.tobytes(), "true_prob": quantised(prob).tobytes()}
                packed.rows |= {(kind, str(run), ""): ({}, data[kind]) for kind in parts}
            save(packed)
            sizes.append(packed.path.stat().st_size)
    return sizes[1], sizes[0]


def main() -> None:
    """Do what the command line says, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("root", type=Path)
    packing.add_argument("file", type=Path)
    packing.add_argument("studies", nargs="*")
    restoring = commands.add_parser("restore")
    restoring.add_argument("file", type=Path)
    restoring.add_argument("root", type=Path)
    for one in (packing, restoring):
        one.add_argument("--rename", action="append", default=[], type=_renaming, metavar="OLD=NEW")
    sizing = commands.add_parser("estimate")
    for name, value in (("samples", 67349), ("epochs", 3), ("runs", 12), ("ways", 1)):
        sizing.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    try:
        {"pack": _told_pack, "restore": _told_restore, "estimate": _told_estimate}[options.command](options)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error


def _renaming(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise argparse.ArgumentTypeError(f"{text!r} is not OLD=NEW")
    return old, new


def _told_pack(options: argparse.Namespace) -> None:
    packed = pack(options.root, options.file, options.studies, rename=dict(options.rename))
    counts: dict[str, int] = defaultdict(int)
    sizes: dict[str, int] = defaultdict(int)
    for key, (facts, data) in packed.rows.items():
        counts[key[0]] += 1
        sizes[key[0]] += len(data) + len(_compact(facts))
    print("| kind | rows | bytes before compression |\n|---|---|---|")
    for kind in sorted(counts):
        print(f"| {kind} | {counts[kind]:,} | {sizes[kind]:,} |")
    print(f"| {packed.path} | {len(packed.rows):,} | {packed.path.stat().st_size:,} in the file |")
    of_machine = sorted(absolute_paths([facts["manifest"]["config"] for _, facts, _ in packed.of("run")]))
    if of_machine:
        print(f"paths of this machine in the configs, see --rename: {', '.join(of_machine)}")


def _told_restore(options: argparse.Namespace) -> None:
    done = restore(options.file, options.root, rename=dict(options.rename))
    print("| what | number |\n|---|---|")
    for name, found in (("runs restored", done.written), ("runs that were there", done.there), ("tables", done.tables)):
        print(f"| {name} | {len(found):,} |")


def _told_estimate(options: argparse.Namespace) -> None:
    whole, right = estimate(options.samples, options.epochs, options.runs, options.ways)
    values = options.samples * options.epochs * options.runs * options.ways
    heads = ["samples", "epochs", "scoring runs", "ways", "values", "bytes", "correct", "true_prob"]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    sizes = f"{whole:,} | {8 * right / values:.2f} bits each | {8 * (whole - right) / values:.2f} bits each"
    print(f"| {options.samples:,} | {options.epochs} | {options.runs} | {options.ways} | {values:,} | {sizes} |")


if __name__ == "__main__":
    main()
