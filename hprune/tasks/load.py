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
    labels is not used. Without a validation split one is held out, stratified by label, the same for the same seed.

    Raises:
        ValueError: if columns are missing, labels cannot be read, or fewer than two classes remain.
        OSError: if the source cannot be reached.
    """
    splits = read_splits(spec)
    for name, raw in splits.items():
        _require_columns(spec, name, raw)
    if _is_text(splits["train"][spec.label].type):  # classes called "1" and "2" may be numbers in another file
        splits = {name: _with_text_labels(raw, spec.label) for name, raw in splits.items()}
    names = _label_names(spec, splits["train"])
    tables = _tables(spec, splits, names)
    if spec.max_train_samples is not None:
        tables["train"] = _sampled(tables["train"], spec.max_train_samples, spec.sample_seed)
    if "validation" not in tables:
        tables["train"], tables["validation"] = _held_out(spec, tables["train"])
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
        raise ValueError(
            f"task {spec.name!r}: the {split} split has no column {', '.join(missing)}; "
            f"it has {', '.join(raw.column_names)}. Set task.text=[COLUMN] (two for pairs) and task.label=COLUMN"
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


def _with_text_labels(raw: pa.Table, label: str) -> pa.Table:
    numbers = raw[label]
    if not pa.types.is_integer(numbers.type):
        return raw
    named = pc.if_else(pc.equal(numbers, -1), None, numbers).cast(pa.string())
    return raw.set_column(raw.column_names.index(label), label, named)


def _label_names(spec: TaskSpec, train: pa.Table) -> tuple[str, ...]:
    """Class names: given, or the hub's, or the sorted texts of the train labels, or the numbers up to the largest."""
    if spec.label_names is not None:
        return tuple(spec.label_names)
    if (metadata := train.schema.field(spec.label).metadata) and b"names" in metadata:
        return tuple(json.loads(metadata[b"names"]))
    if _is_text(train[spec.label].type):
        return tuple(sorted(text for text in pc.unique(train[spec.label].drop_null()).to_pylist() if text.strip()))
    numbers = np.unique(_integers(spec, "train", train[spec.label]))
    numbers = numbers[numbers >= 0]
    if numbers.size and numbers[-1] != numbers.size - 1:
        raise ValueError(
            f"task {spec.name!r}: the classes of the train split are {numbers[:10].tolist()}, but numbers must run "
            "from 0 without a gap; renumber them, or name every number from 0 on with task.label_names=[NAME,...]"
        )
    return tuple(str(number) for number in range(numbers.size))


def _label_numbers(spec: TaskSpec, split: str, column: pa.ChunkedArray, names: Sequence[str]) -> NDArray[np.int64]:
    """(rows,) class numbers in 0..K-1, -1 where there is no label."""
    if _is_text(column.type):
        number = {name: i for i, name in enumerate(names)}
        texts = column.to_pylist()
        unknown = sorted({text for text in texts if text and text.strip() and text not in number})
        if unknown:
            raise ValueError(
                f"task {spec.name!r}: the {split} split has labels {unknown[:5]}, known are {list(names)}; "
                "set task.label_names"
            )
        return np.array([number.get(text, -1) if text else -1 for text in texts], dtype=np.int64)
    labels = _integers(spec, split, column)
    bad = np.unique(labels[(labels < -1) | (labels >= len(names))])
    if bad.size:
        raise ValueError(
            f"task {spec.name!r}: the {split} split has labels {bad[:5].tolist()}, but with {len(names)} classes "
            f"({', '.join(names[:10])}) they lie in 0..{len(names) - 1}, or -1 for no label; "
            "correct the data or set task.label_names"
        )
    return labels


def _integers(spec: TaskSpec, split: str, column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Whole numbers, booleans, or floats without a fraction (what pandas makes of integers with gaps); none is -1."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    try:
        return pc.fill_null(column.cast(pa.int64()), -1).to_numpy().astype(np.int64)
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
