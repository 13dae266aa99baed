"""From the splits as they came to the normalised tables of a task: ids, texts, labels in 0..K-1, and a content hash."""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hprune.storage.files import sha256_of_json
from hprune.tasks.carried import carried_columns
from hprune.tasks.columns import by_name, is_list, numbered, own_columns
from hprune.tasks.eval_set import FURTHER, EvalSet, EvalSetSpec, eval_set_of, slices_of, source_of
from hprune.tasks.older_names import older_names
from hprune.tasks.source import read_splits
from hprune.tasks.spec import TaskData, TaskSpec

log = logging.getLogger(__name__)


def load_task(spec: TaskSpec) -> TaskData:
    """Read, check and normalise the tables of a task.

    Rows that the kind of task cannot use (without text or label, ...) are dropped, with a count in the log, and leave
    gaps in the ids. A split without labels is not evaluated on. Without a validation split one is held out, stratified
    by label, the same for the same seed and any `max_train_samples`.

    Raises:
        ValueError: if columns are missing, labels cannot be read, or fewer than two classes remain.
        OSError: if the source cannot be reached.
    """
    came = read_splits(spec)
    spec = by_name(spec, came["train"].column_names)
    splits = {name: _wanted_rows(spec, name, numbered(raw)) for name, raw in came.items()}
    tables, names = spec.kind.normalise(spec, _labelled(spec, splits))
    tables = _with_rows(spec, tables)
    if "validation" not in tables:  # before the sample is drawn: samples of any size share their validation set
        tables["train"], tables["validation"] = _held_out(spec, tables["train"], names)
    for name, table in tables.items():
        size = spec.max_train_samples if name == "train" else spec.max_eval_samples
        tables[name] = table if size is None else _sampled(table, size, spec.sample_seed)
    if len(pc.unique(tables["train"]["label"])) < spec.kind.min_classes:
        only = names[tables["train"]["label"][0].as_py()]
        raise ValueError(f"task {spec.name!r}: the train split holds one class only ({only}); a classifier needs two")
    evaluation = {name: tables[name] for name in ("validation", *tables) if name != "train"}
    slices = {name: _slices(spec, splits, name, table) for name, table in evaluation.items()}
    also = {name: _further(spec, name, own, names, came["train"]) for name, own in spec.also.items()}
    evaluation |= {name: found.table for name, found in also.items()}
    counts_as = {name: found.counts_as for name, found in also.items() if found.counts_as is not None}
    sizes = {"train": tables["train"], **evaluation}
    older = older_names(spec, splits["train"])
    log.info("%s: %s", spec.name, ", ".join(f"{name} {table.num_rows:,}" for name, table in sizes.items()))
    return TaskData(
        train=tables["train"],
        evaluation=evaluation,
        label_names=names,
        text=tuple(spec.text),
        data_hash=content_hash(tables["train"]),
        evaluation_hashes={name: _hash(table, counts_as.get(name)) for name, table in evaluation.items()},
        counts_as=counts_as,
        slices=slices | {name: found.slices for name, found in also.items()},
        carried=carried_columns(spec, came["train"]),
        older_names=None if older == names else older,
    )


def _slices(spec: TaskSpec, splits: dict[str, pa.Table], name: str, table: pa.Table) -> pa.Table:
    """The columns of `task.slices` that the rows of an evaluation set came with; held out, they came with train."""
    raw = splits.get(name, splits["train"])
    return slices_of(
        raw, [column for column in spec.slices if column in raw.column_names], table["sample_id"].to_numpy()
    )


def _further(spec: TaskSpec, name: str, own: EvalSetSpec, names: tuple[str, ...], train: pa.Table) -> EvalSet:
    """A set of `task.also`."""
    source = source_of(spec, name, own)
    try:
        return eval_set_of(spec, own, numbered(read_splits(source)["train"]), source, names, train)
    except (ValueError, OSError) as error:
        told = str(error).replace(f"the {FURTHER} split", f"the {own.split} split")
        told = re.sub(r"(?<![\w./])task\.(?=[a-z]+(_\w+)*(?!\.\w))", f"task.also.{name}.", told)
        raise type(error)(f"task.also.{name}: {told}") from error


def _hash(table: pa.Table, counts_as: NDArray[np.int64] | None) -> str:
    """Of a set's rows, and of what its metrics depend on beside: which class of the task counts as which of it."""
    digest = content_hash(table)
    return digest if counts_as is None else sha256_of_json([digest, counts_as.tolist()])


def content_hash(table: pa.Table) -> str:
    """Hex digest of a table's rows: column names, integers, texts with their lengths, lists with theirs.

    Not of how Arrow chunks them.
    """
    digest = hashlib.sha256()
    for name in table.column_names:
        digest.update(f"{name}:{table.num_rows};".encode())
        _add(digest, table[name])
    return digest.hexdigest()


def _add(digest: Any, column: pa.ChunkedArray) -> None:
    if pa.types.is_integer(column.type):
        digest.update(column.to_numpy().astype("<i8").tobytes())
    elif is_list(column.type):
        digest.update(pc.list_value_length(column).to_numpy().astype("<i8").tobytes())
        _add(digest, pc.list_flatten(column))
    else:
        texts = column.cast(pa.large_string())
        digest.update(pc.binary_length(texts).to_numpy().astype("<i8").tobytes())
        for chunk in texts.chunks:
            if len(chunk):
                ends = np.frombuffer(chunk.buffers()[1], dtype=np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
                digest.update(memoryview(chunk.buffers()[2])[ends[0] : ends[-1]])


def _wanted_rows(spec: TaskSpec, split: str, raw: pa.Table) -> pa.Table:
    """The rows that `task.where` asks for."""
    for column, pattern in (spec.where or {}).items():
        if column not in raw.column_names:
            raise ValueError(
                f"task {spec.name!r}: the {split} split has no column {column}, which task.where asks for; "
                f"it has {', '.join(own_columns(raw))}"
            )
        matches = re.compile(pattern).search
        wanted = [value is not None and matches(str(value)) is not None for value in raw[column].to_pylist()]
        if not any(wanted):
            raise ValueError(
                f"task {spec.name!r}: no row of the {split} split matches task.where.{column}={pattern!r}; "
                f"its first value is {raw[column][0].as_py()!r}"
            )
        raw = raw.filter(pa.array(wanted))
    return raw


def _labelled(spec: TaskSpec, splits: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """The splits without those to evaluate on, validation aside, that lack the column of labels altogether."""
    without = [
        n for n, raw in splits.items() if spec.label not in raw.column_names and n not in ("train", "validation")
    ]
    for name in without:
        log.info("%s: the %s split has no column %s and is not used", spec.name, name, spec.label)
    return {name: raw for name, raw in splits.items() if name not in without}


def _with_rows(spec: TaskSpec, tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """The tables that hold anything."""
    for name in [name for name, table in tables.items() if not table.num_rows]:
        log.info("%s: the %s split has no labels and is not used", spec.name, name)
    return {name: table for name, table in tables.items() if table.num_rows}


def _sampled(table: pa.Table, size: int, seed: int) -> pa.Table:
    if size >= table.num_rows:
        return table
    chosen = np.sort(np.random.default_rng([seed, 0xDA7A]).choice(table.num_rows, size=size, replace=False))
    return table.take(pa.array(chosen)).combine_chunks()


def _held_out(spec: TaskSpec, train: pa.Table, names: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """Split off a validation set, stratified by label; both keep the ids they had.

    A class with one row cannot be in both: it stays in train.
    """
    from sklearn.model_selection import train_test_split

    labels = train["label"].to_numpy()
    alone = np.bincount(labels) == 1
    rows = np.flatnonzero(~alone[labels])
    _check_held_out(spec, labels, rows, names)
    kept, held = train_test_split(
        rows, test_size=spec.validation_fraction, random_state=spec.split_seed, stratify=labels[rows]
    )
    if alone.any():
        some = ", ".join(names[k] for k in np.flatnonzero(alone)[:10])
        log.info("%s: %d classes with one row stay in train (%s)", spec.name, int(alone.sum()), some)
        kept = np.concatenate([kept, np.flatnonzero(alone[labels])])
    chosen = "task.validation_fraction, task.split_seed"
    log.info("%s: no validation split, held out %d of %d train rows (%s)", spec.name, held.size, labels.size, chosen)
    return train.take(pa.array(np.sort(kept))).combine_chunks(), train.take(pa.array(np.sort(held))).combine_chunks()


def _check_held_out(spec: TaskSpec, labels: NDArray[np.int64], rows: NDArray[np.int64], names: Sequence[str]) -> None:
    """Refuse to hold out fewer rows than there are classes, or to leave fewer.

    Args:
        spec: the task.
        labels: of all rows.
        rows: those of classes with two rows or more.
        names: of the classes.
    """
    classes = np.unique(labels[rows])
    held = math.ceil(spec.validation_fraction * rows.size)
    if classes.size and classes.size <= min(held, rows.size - held):
        return
    cannot = f"task {spec.name!r}: cannot hold out {spec.validation_fraction:.0%} of {labels.size} rows for validation"
    if not classes.size:
        raise ValueError(f"{cannot}, as no class has two rows: give task.validation_file=FILE")
    some = ", ".join(names[k] for k in classes[:10]) + (", .." if classes.size > 10 else "")
    least = math.ceil(1000 * classes.size / rows.size) / 1000
    enough = math.ceil(least * rows.size) <= rows.size - classes.size
    raise ValueError(
        f"{cannot}, stratified by label: {held} would be held out and {rows.size - held} stay, but each of the "
        f"{classes.size} classes with two rows or more ({some}) is to be in both; "
        f"give task.validation_file=FILE{f', or set task.validation_fraction={least:g}' if enough else ''}"
    )
