"""CSV and TSV in one given dialect: every cell is text, letter by letter, and a row that does not fit is named by line.

The dialects are RFC 4180 (`double`: a quote within quotes is doubled), the same with backslashes, and none, where a
quote is a letter like others. Arrow reads the file; it is lenient with quotes and counts rows rather than lines, so
quotes are checked first, and a file that it refuses is read again by the csv module, which finds the line.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
QUOTINGS = ("double", "backslash", "none")
BLOCK = 1 << 26
"""Bytes that Arrow parses at once; a row that is longer is left to the csv module."""

OPTIONS: dict[str, dict[str, Any]] = {
    "double": {},
    "backslash": {"escapechar": "\\"},
    "none": {"quoting": csv.QUOTE_NONE, "quotechar": None},
}


class DialectError(ValueError):
    """The text cannot be read in this dialect; the message names the line."""


def read_delimited(content: bytes, delimiter: str, quoting: str) -> pa.Table:
    """Read every row as texts, an empty cell as "".

    Args:
        content: UTF-8 without a byte order mark.
        delimiter: one letter.
        quoting: one of `QUOTINGS`.

    Raises:
        DialectError: if a quote is where none can be, or a row has another number of cells than the header.
        ValueError: if there is no header, or a text is not UTF-8.
    """
    if quoting != "none":  # what a backslash escapes is no quote
        _check_quotes(content if quoting == "double" else _escaped(delimiter).sub(b"xx", content), delimiter)
    names = header(content, delimiter, quoting)
    if not names:
        raise ValueError("it has no line with the names of the columns")
    if quoting != "backslash":
        try:
            table = _by_arrow(content, delimiter, names, quoted=quoting == "double")
        except pa.ArrowException:
            pass  # the other reader says where it is wrong, or takes a row that is too long for a block
        else:
            if table.column_names == names:
                return table
    return _by_rows(content, delimiter, quoting, names)


def header(content: bytes, delimiter: str, quoting: str) -> list[str]:
    """The names of the columns; none if the text is blank.

    Raises:
        DialectError: if they are not in this dialect.
    """
    return next((row for _, row in _rows(content, delimiter, quoting)), [])


def line_at(content: bytes, position: int) -> int:
    """The number of the line of a position, from 1."""
    return 1 + len(re.findall(rb"\r\n|\r|\n", content[:position]))


def _by_arrow(content: bytes, delimiter: str, names: list[str], *, quoted: bool) -> pa.Table:
    return pa.csv.read_csv(
        pa.BufferReader(content),
        read_options=pa.csv.ReadOptions(block_size=BLOCK, use_threads=False),
        parse_options=pa.csv.ParseOptions(
            delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted
        ),
        convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.large_string())),
    )


def _by_rows(content: bytes, delimiter: str, quoting: str, names: list[str]) -> pa.Table:
    columns: list[list[str]] = [[] for _ in names]
    for line, row in _rows(content, delimiter, quoting):
        if len(row) != len(names):
            raise DialectError(
                f"Expected {len(names)} columns, got {len(row)} in line {line}: {delimiter.join(row):.80}"
            )
        for name, cell, column in zip(names, row, columns, strict=True):
            try:
                cell.encode()
            except UnicodeEncodeError as error:
                broken = cell.encode(errors="surrogateescape")
                raise ValueError(f"line {line}, column {name!r} is not utf8 (invalid UTF8: {broken!r:.80})") from error
            column.append(cell)
    arrays = [pa.array(column[1:], pa.large_string()) for column in columns]
    return pa.Table.from_arrays(arrays, names=names)


def _rows(content: bytes, delimiter: str, quoting: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the line where it begins; letters that are not UTF-8 come as surrogates."""
    if quoting == "backslash":
        content = _escapes(content, delimiter)
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8", errors="surrogateescape", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True, **OPTIONS[quoting])
    limit = csv.field_size_limit(sys.maxsize)
    try:
        line = 1
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise DialectError(f"line {line}: {error}") from error
    finally:
        csv.field_size_limit(limit)


def _escapes(content: bytes, delimiter: str) -> bytes:
    r"""The text with every backslash doubled that is a letter, as in C:\new: the csv module would drop it.

    It is one before ", \, the delimiter and a line end only.
    """
    return re.sub(
        _escaped(delimiter).pattern + rb"|\\", lambda found: found[0] if found[1] is not None else rb"\\", content
    )


def _escaped(delimiter: str) -> re.Pattern[bytes]:
    """A backslash and what it escapes; another one is a letter."""
    return re.compile(rb'\\(["\\\r\n' + re.escape(delimiter.encode()) + rb"])")


def first_quoted(content: bytes, delimiter: str) -> int | None:
    """The position of the first field that begins with a quote."""
    at, opens = _quotes(np.frombuffer(content, dtype=np.uint8), delimiter)
    return int(at[opens.argmax()]) if opens.any() else None


def _quotes(data: NDArray[np.uint8], delimiter: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The positions of all quotes, and whether each stands where a field may begin."""
    at = np.flatnonzero(data == ord('"'))
    return at, _ends_field(delimiter)[data[at - 1]] | (at == 0)


def _ends_field(delimiter: str) -> NDArray[np.bool_]:
    ends = np.zeros(256, dtype=bool)
    ends[[ord(delimiter), ord("\r"), ord("\n")]] = True
    return ends


def _check_quotes(content: bytes, delimiter: str) -> None:
    """Refuse a quote that closes a field and is not followed by the field's end, and a field that is never closed.

    A quote within a field that does not begin with one is a letter.
    """
    data = np.frombuffer(content, dtype=np.uint8)
    at, opens = _quotes(data, delimiter)
    if not opens.any():
        return
    ends = _ends(data, at, delimiter)
    doubled, closes = (np.frombuffer(one, dtype=bool) for one in ends)
    after_quote = np.append(False, doubled[:-1])
    if at.size % 2 == 0 and (opens | after_quote)[::2].all() and (closes | doubled)[1::2].all():
        return  # quotes come in pairs, each of which begins and ends where a field does: none is a letter
    for _ in _walk_fields(content, at, np.flatnonzero(opens).tolist(), *ends):
        pass


def escaped_letter(content: bytes, delimiter: str) -> int | None:
    r"""The position of the first \" in a field without quotes around it, where RFC 4180 knows no quotes.

    Args:
        content: that can be read by RFC 4180.
        delimiter: one letter.
    """
    if b'\\"' not in content:
        return None
    data = np.frombuffer(content, dtype=np.uint8)
    at, opens = _quotes(data, delimiter)
    letters = np.ones(at.size, dtype=bool)
    for first, last in _walk_fields(content, at, np.flatnonzero(opens).tolist(), *_ends(data, at, delimiter)):
        letters[first : last + 1] = False
    found = at[letters & (data[at - 1] == ord("\\"))]
    return int(found[0]) - 1 if found.size else None


def _ends(data: NDArray[np.uint8], at: NDArray[np.int64], delimiter: str) -> tuple[bytes, bytes]:
    """Of each quote, as bytes of 0 and 1: whether another follows at once, and whether a field may end after it."""
    doubled = np.append(np.diff(at) == 1, False)
    closes = _ends_field(delimiter)[data[np.minimum(at + 1, data.size - 1)]] | (at + 1 == data.size)
    return doubled.tobytes(), closes.tobytes()


def _walk_fields(
    content: bytes, at: NDArray[np.int64], opening: list[int], doubled: bytes, closes: bytes
) -> Iterator[tuple[int, int]]:
    """From each quote that begins a field to the one that ends it; those that other fields hold are letters."""
    after = 0
    for first in opening:
        if first < after:
            continue  # within a field
        quote = first + 1
        while quote < len(doubled) and doubled[quote]:
            quote += 2
        if quote >= len(doubled):
            raise DialectError(f"the field that begins with a quote in line {line_at(content, at[first])} does not end")
        if not closes[quote]:
            where = int(at[quote])
            near = content[max(0, where - 20) : where + 20].decode("utf-8", "replace")
            raise DialectError(
                f"in line {line_at(content, where)} a quote within a field in quotes is not doubled ({near!r})"
            )
        yield first, quote
        after = quote + 1
