"""Files appear whole or not at all: written under a temporary name, flushed to disk, renamed into place."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hprune.storage.places import check_stays

ROW_GROUP = 2**20
"""Rows of a table that are written, and can be read, at a time."""


def _place() -> str:
    """Where a process number means one process: the host, and on Linux the container, whose numbers are its own."""
    numbers = Path("/proc/self/ns/pid")
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
    return f"{host}-{numbers.stat().st_ino}" if numbers.exists() else host


PLACE = _place()


CLAIMED: set[Path] = set()
"""Folders that this process works in (`lock.Claim`): one that was removed is not made again under it."""


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, but none that was claimed and is gone, nor anything in its place."""
    claimed = next((one for one in CLAIMED if folder.is_relative_to(one)), None)
    if claimed is None:
        folder.mkdir(parents=True, exist_ok=True)
        return
    for part in folder.relative_to(claimed).parts:
        claimed /= part
        claimed.mkdir(exist_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place if the block succeeds, remove it if not.

    What processes of this machine that were killed left of the same file is removed first.

    Raises:
        OSError: if the folder cannot be written or the disk is full; whatever stood at `path` is untouched.
        ValueError: if it lies below a root of results, and links lead from there out of the root.
    """
    check_stays(path)
    temporary = temporary_of(path)
    try:
        make_folder(path.parent)
        remove_orphans(path)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        flush_folder(path.parent)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(error.errno, f"cannot write {path}: {reason}; nothing was changed there") from error
    finally:
        if temporary.exists():
            temporary.unlink()


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to disk, where its file system can: what was renamed outlives a loss of power."""
    with suppress(OSError):  # the file itself is whole by now
        there = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(there)
        finally:
            os.close(there)


def temporary_of(path: Path) -> Path:
    """Where this process writes what will stand at `path`."""
    return path.with_name(f".{path.name}.{PLACE}.{os.getpid()}.tmp")


def remove_orphans(path: Path) -> None:
    """Remove temporary files and folders of `path` whose process, of this machine, is no more."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.{PLACE}.*.tmp"):
        pid = left.name.split(".")[-2]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            remove(left)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, keys in the order given, whole or not at all; NaN is refused, as it is not JSON."""
    text = json_text(content)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_text(content: Any) -> str:
    """JSON as our files hold it."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Read JSON of which every text can be written again.

    Raises:
        ValueError: if the file is not JSON; the message names it.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, parse_constant=_no_number)
        if "\\ud" in text.lower():  # half a pair that stands for one letter
            json.dumps(content, ensure_ascii=False).encode()
        return content
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not readable JSON ({one_line(error)}); "
            "it was altered or cut off: move it away and run the command again"
        ) from error


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not a number in JSON")


def write_table(path: Path, table: pa.Table, facts: dict[str, Any] | None = None) -> None:
    """Write Parquet (zstd, integers delta-encoded, page checksums), with `facts` as JSON in its metadata."""
    with table_writer(path, table.schema, facts) as write:
        write(table)


@contextmanager
def table_writer(
    path: Path, schema: pa.Schema, facts: dict[str, Any] | None = None, content: Callable[[], str] | None = None
) -> Iterator[Callable[[pa.Table], None]]:
    """Write a table in pieces: yield a function that takes the next rows.

    The same rows make the same bytes, whatever the pieces; the file appears when the block succeeds. `content` is asked
    at the end for a digest of all that was written, which `OpenTable.content` gives back.
    """
    if facts is not None:
        schema = schema.with_metadata({"hprune": json.dumps(facts, ensure_ascii=False, allow_nan=False)})
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": False, "write_page_checksum": True}
    encodings = {field.name: "DELTA_BINARY_PACKED" for field in schema if pa.types.is_integer(field.type)}
    with (
        whole_file(path) as temporary,
        pq.ParquetWriter(temporary, schema, column_encoding=encodings or None, **options) as writer,
    ):
        waiting = pa.Table.from_batches([], schema)

        def write(rows: pa.Table) -> None:
            nonlocal waiting
            waiting = pa.concat_tables([waiting, rows])
            while waiting.num_rows >= ROW_GROUP:
                writer.write_table(waiting.slice(0, ROW_GROUP).combine_chunks())
                waiting = waiting.slice(ROW_GROUP)

        yield write
        if waiting.num_rows:
            writer.write_table(waiting.combine_chunks())
        if content is not None:
            writer.add_key_value_metadata({"hprune.content": content()})


@dataclass(frozen=True)
class OpenTable:
    """A Parquet file of which only the footer has been read; every page is checked against its checksum."""

    path: Path
    parquet: pq.ParquetFile
    facts: dict[str, Any]
    content: str | None = None  # the digest that came with it

    @property
    def rows(self) -> int:
        """How many there are."""
        return int(self.parquet.metadata.num_rows)

    def read(self) -> pa.Table:
        """Read everything.

        Raises:
            ValueError: if what is read is not what was written; the message names the file.
        """
        with _readable(self.path):
            return self.parquet.read()

    def batches(self, size: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read `size` rows at a time; only the last batch may be shorter.

        Raises:
            ValueError: if what is read is not what was written; the message names the file.
        """
        with _readable(self.path):
            left = self.rows
            for batch in self.parquet.iter_batches(size, columns=columns):
                if batch.num_rows != min(size, left):  # a broken page header can hide a whole page
                    break
                left -= batch.num_rows
                yield batch
            else:
                if not left:
                    return
            raise ValueError("rows are missing")


def open_table(path: Path) -> OpenTable:
    """Open Parquet, and read the facts in its metadata.

    Raises:
        ValueError: if the file is not readable Parquet; the message names it.
    """
    with _readable(path):
        parquet = pq.ParquetFile(path, page_checksum_verification=True)
        told = parquet.metadata.metadata or {}
        facts = json.loads(told.get(b"hprune", b"{}"), parse_constant=_no_number)
        if not isinstance(facts, dict):
            raise ValueError("its facts are no object")
        return OpenTable(path, parquet, facts, told.get(b"hprune.content", b"").decode() or None)


def read_table(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Read Parquet and the facts in its metadata.

    Raises:
        ValueError: if the file is not readable Parquet; the message names it.
    """
    table = open_table(path)
    return table.read(), table.facts


def array_of(column: pa.Array) -> NDArray[Any]:
    """The numbers or truths of a column without gaps, as `to_numpy` gives them.

    That would import pandas (0.4 s), and unpack bits at an eighth of this speed.
    """
    if not pa.types.is_boolean(column.type):
        return np.from_dlpack(column)
    bits = np.frombuffer(column.buffers()[1], np.uint8)
    return np.unpackbits(bits, count=column.offset + len(column), bitorder="little")[column.offset :].view(np.bool_)


def column_of(numbers: NDArray[Any]) -> pa.Array:
    """A column over the memory of an array, as `pyarrow.array` makes it; that would import pandas."""
    assert numbers.dtype != np.bool_, "truths are bits there"
    buffer = pa.py_buffer(np.ascontiguousarray(numbers))
    return pa.Array.from_buffers(pa.from_numpy_dtype(numbers.dtype), numbers.size, [None, buffer])


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what the library says of a broken file into one message."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:  # a broken page header is an OSError
        raise ValueError(f"{path} is not readable Parquet ({one_line(error)}); it was altered or cut off") from error


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


def sha256_of_footer(path: Path) -> str:
    """Hex digest of the end of a Parquet file, which says where every page lies and what is in the metadata.

    With the checksums of the pages it vouches for the columns that are read, without reading the others.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 8, 0))
        length = int.from_bytes(file.read(4), "little")
        file.seek(max(size - 8 - length, 0))
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_json(content: Any) -> str:
    """Hex digest of plain values, whatever the order of their keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def as_json(content: Any) -> Any:
    """Plain values as they come back from a JSON file: tuples are lists, keys are strings."""
    return json.loads(json.dumps(content, ensure_ascii=False, allow_nan=False))
