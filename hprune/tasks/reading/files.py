"""One table from a file, or from the files of one split, by the end of their names; what is wrong is one line."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hprune.storage.files import one_line
from hprune.tasks.columns import UNTYPED, as_untyped, is_untyped
from hprune.tasks.reading.arrow_files import (
    class_names,
    is_saved,
    read_arrow,
    saved_splits,
    shards_of,
    with_class_names,
)
from hprune.tasks.reading.dialect import read_found
from hprune.tasks.reading.form import Form
from hprune.tasks.reading.json_files import read_json

DELIMITED = (".csv", ".tsv")
JSON = (".jsonl", ".json", ".ndjson")
CODECS = {".gz": "gzip", ".zst": "zstd"}
SUFFIXES = (
    ".parquet", *DELIMITED, ".jsonl", ".json", ".ndjson", ".arrow", ".feather",
    *(suffix + packed for suffix in (*DELIMITED, *JSON) for packed in CODECS),
)  # fmt: skip
RECORDS = ("dataset_dict.json", "dataset_info.json", "state.json")
"""What `save_to_disk` writes beside the data."""
MAGIC = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}


def read_files(paths: Sequence[Path], form: Form) -> pa.Table:
    """Read one table from a file, or from the shards of one split.

    Columns of CSV and TSV are texts, letter by letter; if other files beside them have types, theirs become texts.

    Args:
        paths: the files in their order; a folder by `Dataset.save_to_disk` counts as one.
        form: what is known of them.

    Raises:
        ValueError: if a file is missing, empty, has another suffix, cannot be parsed or lacks a column that others
            have; the message names it.
    """
    tables = [_read_one(path, form) for path in paths]
    form = form.among(tables[0].column_names)
    _check_same_columns(paths, tables, form.needed)
    names = _same_class_names(paths, tables, form.label)
    try:
        table = pa.concat_tables(_as_typed(tables), promote_options="permissive")
    except pa.ArrowException as error:
        raise ValueError(f"the files {paths[0]} .. {paths[-1]} do not fit together: {one_line(error)}") from error
    return table if names is None else with_class_names(table, str(form.label), names)


def suffix_of(path: Path) -> str | None:
    """The one of `SUFFIXES` that a name ends in, .csv.gz included."""
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)


def is_data(path: Path) -> bool:
    """Whether this is a file that can be read, by its name, or the folder of a saved table."""
    return is_saved(path) if path.is_dir() else suffix_of(path) is not None and path.name not in RECORDS


def _as_typed(tables: list[pa.Table]) -> list[pa.Table]:
    """Texts in place of other types, in columns which are texts in a file without types."""
    untyped = {field.name for table in tables for field in table.schema if is_untyped(field)}
    if not untyped or len(tables) == 1:
        return tables
    mixed = {field.name for table in tables for field in table.schema if not is_untyped(field)} & untyped

    def cast(field: pa.Field) -> pa.Field:
        return pa.field(field.name, pa.large_string(), metadata={UNTYPED: b"1"}) if field.name in mixed else field

    return [table.cast(pa.schema(map(cast, table.schema), metadata=table.schema.metadata)) for table in tables]


def _check_same_columns(paths: Sequence[Path], tables: Sequence[pa.Table], needed: Sequence[str]) -> None:
    """Refuse files of which some lack a needed column: their rows would be taken for rows without a value."""
    columns = [set(table.column_names) for table in tables]
    for column in needed:
        having = [path for path, names in zip(paths, columns, strict=True) if column in names]
        for path, table, names in zip(paths, tables, columns, strict=True):
            if having and column not in names:
                raise ValueError(
                    f"{path} has no column {column!r}, which {having[0]} has and the task names; it has "
                    f"{', '.join(table.column_names)}: rename its column, or leave the file out"
                )


def _same_class_names(paths: Sequence[Path], tables: Sequence[pa.Table], label: str | None) -> tuple[str, ...] | None:
    """The names of the classes that the files carry.

    Raises:
        ValueError: if they are not the same in all that do: 0 would be one class here and another there.
    """
    by_path = {path: names for path, table in zip(paths, tables, strict=True)
               if label is not None and (names := class_names(table, label)) is not None}  # fmt: skip
    for path, names in by_path.items():
        first = next(iter(by_path))
        if names != by_path[first]:
            raise ValueError(
                f"column {label!r} has the classes {list(by_path[first])} in {first}, but {list(names)} in {path}: "
                "0, 1, .. are not the same classes; write their names in place of the numbers"
            )
    return next(iter(by_path.values()), None)


def plain_types(table: pa.Table) -> pa.Table:
    """Dictionaries (pandas makes them of categories) and views as the values that they stand for."""

    def plain(field: pa.Field) -> pa.Field:
        if pa.types.is_dictionary(field.type):
            return field.with_type(field.type.value_type)
        return field.with_type(pa.large_string()) if pa.types.is_string_view(field.type) else field

    schema = pa.schema(map(plain, table.schema), metadata=table.schema.metadata)
    return table if schema.equals(table.schema) else table.cast(schema)


def _read_one(path: Path, form: Form) -> pa.Table:
    suffix = _checked_suffix(path)
    try:
        table = _parse(path, suffix, form)
        table.validate(full=True)  # texts are UTF-8
        repeated = [name for name, number in Counter(table.column_names).items() if number > 1]
    except (pa.ArrowException, OSError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} is not readable as {suffix[1:]}: {_why(path, suffix, error)}") from error
    except LookupError as error:
        raise ValueError(
            f"task.encoding={form.encoding} is not known ({error}); use for example utf8 or latin-1"
        ) from error
    if repeated:
        raise ValueError(
            f"{path} has more than one column {', '.join(map(repr, sorted(repeated)))}; rename or remove one"
        )
    return table


def _checked_suffix(path: Path) -> str:
    """What a path holds, by its name; `.arrow` for the folder of a saved table."""
    if is_saved(path):
        return ".arrow"
    if path.is_dir():
        splits = ", ".join(saved_splits(path))
        way_out = f"task.train_file={path}/SPLIT for one of its splits ({splits})" if splits else "name a file in it"
        raise ValueError(f"{path} is a folder: set task.data_dir={path} to use its splits, or {way_out}")
    if not path.is_file():
        beside = sorted(p.name for p in path.parent.glob("*") if is_data(p)) if path.parent.is_dir() else []
        raise ValueError(f"no file at {path}; data files in {path.parent}: {', '.join(beside) or 'none'}")
    suffix = suffix_of(path)
    if suffix is None:
        raise ValueError(f"cannot tell the format of {path}: its name must end in one of {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes)")
    return suffix


def _parse(path: Path, suffix: str, form: Form) -> pa.Table:
    if path.is_dir():
        return pa.concat_tables([read_arrow(shard) for shard in shards_of(path)])
    if suffix == ".parquet":
        return pq.read_table(path, partitioning=None)  # the names of folders are no columns
    if suffix in (".arrow", ".feather"):
        return read_arrow(path)
    content = _content(path)
    if suffix.startswith(JSON):
        return read_json(content, form)
    text = _as_utf8(content, form.encoding)
    found = read_found(path, text, form)
    return as_untyped(found)


def _content(path: Path) -> bytes:
    codec = CODECS.get(path.suffix.lower())
    if codec is None:
        content = path.read_bytes()
        packed = next((suffix for magic, suffix in MAGIC.items() if content.startswith(magic)), None)
        if packed is not None:
            raise ValueError(f"it is compressed: call it {path.name}{packed}")
        return content
    with pa.input_stream(str(path), compression=codec) as stream:
        return bytes(stream.read())


def _as_utf8(content: bytes, encoding: str) -> bytes:
    """Letters of any encoding as UTF-8 without a byte order mark."""
    "".encode(encoding)  # there are encodings of other things than text
    if not codecs.lookup(encoding).name.startswith("utf-8"):
        content = content.decode(encoding).encode()
    return content.removeprefix(codecs.BOM_UTF8)


def _why(path: Path, suffix: str, error: Exception) -> str:
    """What is wrong with a file, and the way out, as one line."""
    reason, start = one_line(error), b""
    if any(way in reason for way in ("task.quoting=", "task.delimiter=", "call it ")):
        return reason  # which names the way out
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(2)
    if "utf" not in reason.lower() and not isinstance(error, UnicodeError) and start not in (b"\xff\xfe", b"\xfe\xff"):
        return f"{reason}; check the file, or export it again"
    encodings = ", or set task.encoding (for example latin-1 or utf-16)" if suffix.startswith(DELIMITED) else ""
    return f"{reason}; save it as UTF-8{encodings}"
