"""From the splits as they came to the normalised tables of a task: ids, texts, labels in 0..K-1, and a content hash."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hprune.tasks.source import read_splits
from hprune.tasks.spec import SPLITS, TaskData, TaskSpec

log = logging.getLogger(__name__)


def load_task(spec: TaskSpec) -> TaskData:
    """Read, check and normalise the tables of a task.

    Rows without text or label are dropped, with a count in the log, and leave gaps in the ids. A test split without
    labels is not used. Without a validation split one is held out, stratified by label, the same for the same seed and
    any `max_train_samples`.

    Raises:
        ValueError: if columns are missing, labels cannot be read, or fewer than two classes remain.
        OSError: if the source cannot be reached.
    """
    splits = _usable(spec, read_splits(spec))
    names, by_name = _classes(spec, splits["train"])
    if by_name:
        splits = {name: _with_text_labels(raw, spec.label) for name, raw in splits.items()}
    tables = _tables(spec, splits, names)
    if "validation" not in tables:  # before the sample is drawn: samples of any size share their validation set
        tables["train"], tables["validation"] = _held_out(spec, tables["train"])
    if spec.max_train_samples is not None:
        tables["train"] = _sampled(tables["train"], spec.max_train_samples, spec.sample_seed)
    if len(pc.unique(tables["train"]["label"])) < 2:
        only = names[tables["train"]["label"][0].as_py()]
        raise ValueError(f"task {spec.name!r}: the train split holds one class only ({only}); a classifier needs two")
    evaluation: dict[str, pa.Table] = {name: tables[name] for name in ("validation", "test") if name in tables}
    log.info("%s: %s", spec.name, ", ".join(f"{name} {table.num_rows:,}" for name, table in tables.items()))
    return TaskData(
        train=tables["train"],
        evaluation=evaluation,
        label_names=names,
        text=tuple(spec.text),
        data_hash=content_hash(tables["train"]),
        evaluation_hashes={name: content_hash(table) for name, table in evaluation.items()},
    )


def content_hash(table: pa.Table) -> str:
    """Hex digest of a table's rows: column names, integers, texts with their lengths; not of how Arrow chunks them."""
    digest = hashlib.sha256()
    for name in table.column_names:
        digest.update(f"{name}:{table.num_rows};".encode())
        column = table[name]
        if pa.types.is_integer(column.type):
            digest.update(column.to_numpy().astype("<i8").tobytes())
        else:
            texts = column.cast(pa.large_string())
            digest.update(pc.binary_length(texts).to_numpy().astype("<i8").tobytes())
            digest.update("".join(texts.to_pylist()).encode())
    return digest.hexdigest()


def _usable(spec: TaskSpec, splits: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """The splits that have the columns of the task, with labels that are texts without space around them, or int64."""
    if "test" in splits and spec.label not in splits["test"].column_names:
        log.info("%s: the test split has no column %s and is not used", spec.name, spec.label)
        splits = {name: raw for name, raw in splits.items() if name != "test"}
    for name, raw in splits.items():
        _require_columns(spec, name, raw)
    return {name: _with_plain_labels(spec, name, raw) for name, raw in splits.items()}


def _tables(spec: TaskSpec, splits: dict[str, pa.Table], names: Sequence[str]) -> dict[str, pa.Table]:
    tables = {}
    for name in sorted(splits, key=SPLITS.index):  # train first: nothing else is worth saying if it is empty
        table = _normalised(spec, name, splits[name], names)
        if table.num_rows:
            tables[name] = table
        elif name == "train":
            raise ValueError(f"task {spec.name!r}: no labelled row is left in the train split")
        else:
            log.info("%s: the %s split has no labels and is not used", spec.name, name)
    return tables


def _normalised(spec: TaskSpec, split: str, raw: pa.Table, names: Sequence[str]) -> pa.Table:
    """Ids, texts and labels of the rows of one split that have both text and label."""
    columns = {column: _texts(spec, split, raw, column) for column in spec.text}
    labels = _label_numbers(spec, split, raw[spec.label], names)
    has_text = np.ones(raw.num_rows, dtype=bool)
    for column in columns.values():
        has_text &= pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(column), ""), False).to_numpy()
    keep = has_text & (labels >= 0)
    if keep.any() and not keep.all():
        log.warning(
            "%s: dropped %d of %d rows of the %s split (%d without a label, %d without text); ids keep their gaps",
            spec.name, int((~keep).sum()), keep.size, split, int((labels < 0).sum()), int((~has_text).sum()),
        )  # fmt: skip
    table = pa.table({"sample_id": np.arange(raw.num_rows, dtype=np.int64), **columns, "label": labels})
    return table.filter(pa.array(keep)).combine_chunks()


def _require_columns(spec: TaskSpec, split: str, raw: pa.Table) -> None:
    missing = [column for column in (*spec.text, spec.label) if column not in raw.column_names]
    if missing:
        way_out = ""
        if split == "validation":
            way_out = (
                "; or set task.splits.validation=null (leave out task.validation_file), "
                "and a part of train is held out instead"
            )
        raise ValueError(
            f"task {spec.name!r}: the {split} split has no column {', '.join(missing)}; "
            f"it has {', '.join(raw.column_names)}. "
            f"Set task.text=[COLUMN] (two for pairs) and task.label=COLUMN{way_out}"
        )


def _texts(spec: TaskSpec, split: str, raw: pa.Table, column: str) -> pa.ChunkedArray:
    try:
        return raw[column].cast(pa.large_string())
    except pa.ArrowException as error:
        raise ValueError(
            f"task {spec.name!r}: column {column!r} of the {split} split must hold text, it is {raw[column].type}; "
            "set task.text to other columns"
        ) from error


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _with_plain_labels(spec: TaskSpec, split: str, raw: pa.Table) -> pa.Table:
    """The split with its labels as int64, or as stripped texts; none where they are blank."""
    at, labels = raw.column_names.index(spec.label), raw[spec.label]
    if _is_text(labels.type):
        labels = pc.utf8_trim_whitespace(labels.cast(pa.large_string()))
        labels = pc.if_else(pc.equal(labels, ""), None, labels)
    else:
        labels = _integers(spec, split, labels)
    return raw.set_column(at, raw.schema.field(at).with_type(labels.type), labels)


def _with_text_labels(raw: pa.Table, label: str) -> pa.Table:
    return raw.set_column(raw.column_names.index(label), label, raw[label].cast(pa.large_string()))


def _classes(spec: TaskSpec, train: pa.Table) -> tuple[tuple[str, ...], bool]:
    """Names of the classes, and whether labels that are numbers are such names, too, not positions among them.

    The names are given, or the hub's, or found in train: the sorted texts, or the sorted numbers from 0 on.
    """
    hub = (train.schema.field(spec.label).metadata or {}).get(b"names")
    labels = pc.unique(train[spec.label].drop_null()).to_pylist()
    text = _is_text(train[spec.label].type)
    if spec.label_names is not None:
        called_by_names = hub is None and {str(label) for label in labels} - {"-1"} <= set(spec.label_names)
        return tuple(spec.label_names), text or called_by_names
    if hub is not None:
        return tuple(json.loads(hub)), text
    found = set(labels) - {"-1"} if text else {number for number in labels if number >= 0}
    return tuple(str(label) for label in sorted(found)), True


def _label_numbers(spec: TaskSpec, split: str, labels: pa.ChunkedArray, names: Sequence[str]) -> NDArray[np.int64]:
    """(rows,) class numbers in 0..K-1, -1 where there is no label."""
    text = _is_text(labels.type)
    found = pc.index_in(labels, pa.array(list(names) if text else range(len(names)), labels.type))
    unknown = sorted(set(pc.unique(labels.filter(pc.is_null(found))).to_pylist()) - {None, -1, "-1"})
    if unknown and text:
        raise ValueError(
            f"task {spec.name!r}: the {split} split has labels {unknown[:5]}, known are {list(names[:10])}; "
            "correct the data or set task.label_names"
        )
    if unknown:
        raise ValueError(
            f"task {spec.name!r}: the {split} split has labels {unknown[:5]}, but with {len(names)} classes "
            f"({', '.join(names[:10])}) they lie in 0..{len(names) - 1}, or -1 for no label; "
            "correct the data or set task.label_names"
        )
    return pc.fill_null(found, -1).to_numpy().astype(np.int64)


def _integers(spec: TaskSpec, split: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers, booleans, or floats without a fraction (what pandas makes of integers with gaps), as int64."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    try:
        return column.cast(pa.int64())
    except pa.ArrowException as error:
        values = column.drop_null().to_pylist()
        example = next((value for value in values if not isinstance(value, int | float) or value % 1), values[0])
        raise ValueError(
            f"task {spec.name!r}: labels of the {split} split must be class names or whole numbers, "
            f"column {spec.label!r} is {column.type}, for example {example!r}; correct the data or set task.label"
        ) from error


def _sampled(table: pa.Table, size: int, seed: int) -> pa.Table:
    if size >= table.num_rows:
        return table
    chosen = np.sort(np.random.default_rng([seed, 0xDA7A]).choice(table.num_rows, size=size, replace=False))
    return table.take(pa.array(chosen)).combine_chunks()


def _held_out(spec: TaskSpec, train: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Split off a validation set, stratified by label; both keep the ids they had."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(train.num_rows)
    try:
        kept, held = train_test_split(
            rows, test_size=spec.validation_fraction, random_state=spec.split_seed, stratify=train["label"].to_numpy()
        )
    except ValueError as error:
        raise ValueError(
            f"task {spec.name!r}: cannot hold out {spec.validation_fraction:.0%} of {train.num_rows} rows "
            f"for validation, stratified by label ({error}); "
            "give task.validation_file=FILE, or change task.validation_fraction"
        ) from error
    chosen = "task.validation_fraction, task.split_seed"
    log.info("%s: no validation split, held out %d of %d train rows (%s)", spec.name, held.size, rows.size, chosen)
    return train.take(pa.array(np.sort(kept))).combine_chunks(), train.take(pa.array(np.sort(held))).combine_chunks()
