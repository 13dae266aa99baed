"""Files appear whole or not at all: written under a temporary name, flushed to disk, renamed into place."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place if the block succeeds, remove it if not.

    Raises:
        OSError: if the folder cannot be written or the disk is full; whatever stood at `path` is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(error.errno, f"cannot write {path}: {reason}; nothing was changed there") from error
    finally:
        if temporary.exists():
            temporary.unlink()


def write_json(path: Path, content: Any) -> None:
    """Write JSON, keys in the order given, whole or not at all; NaN is refused, as it is not JSON."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        ValueError: if the file is not JSON; the message names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not readable JSON ({error}); it was altered or cut off: move it away and run the command again"
        ) from error


def write_table(path: Path, table: pa.Table, facts: dict[str, Any] | None = None) -> None:
    """Write Parquet (zstd, ids delta-encoded, no dictionaries), with `facts` as JSON in its metadata."""
    if facts is not None:
        table = table.replace_schema_metadata({"hprune": json.dumps(facts, ensure_ascii=False, allow_nan=False)})
    encodings = {field.name: "DELTA_BINARY_PACKED" for field in table.schema if pa.types.is_int64(field.type)}
    with whole_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", use_dictionary=False, column_encoding=encodings or None)


def read_table(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Read Parquet and the facts in its metadata.

    Raises:
        ValueError: if the file is not readable Parquet; the message names it.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:  # a broken page header is an OSError
        raise ValueError(f"{path} is not readable Parquet ({one_line(error)}); it was altered or cut off") from error
    metadata = table.schema.metadata or {}
    return table, json.loads(metadata.get(b"hprune", b"{}"))


def check_name(what: str, name: str) -> None:
    """Refuse a name that would not be one folder below its parent.

    Raises:
        ValueError: if it holds a slash or anything else that is not plain, or starts with a dot.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.=+-]*", name):
        raise ValueError(f"{what} must be a plain name of letters, digits, _ . = + -, got {name!r}")


def one_line(error: BaseException) -> str:
    """What a library's error says, on one line, to stand inside a message of ours."""
    return " ".join(str(error).split()) or type(error).__name__


def sha256_of_file(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_json(content: Any) -> str:
    """Hex digest of plain values, whatever the order of their keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def as_json(content: Any) -> Any:
    """Plain values as they come back from a JSON file: tuples are lists, keys are strings."""
    return json.loads(json.dumps(content, ensure_ascii=False, allow_nan=False))
