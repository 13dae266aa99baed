"""Which dialect a CSV or TSV is in: the one that is named, or the only one that it can be read in.

| file | delimiter found | quotes found |
|---|---|---|
| `.csv` | comma, or the one of `;`, tab, `|` by which the header holds the task's columns | RFC 4180, or refused |
| `.tsv`, or tabs | tab | none; quoted where only that fits, or where it is plain that a program quoted |
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hprune.tasks.reading.delimited import (
    DELIMITERS,
    QUOTINGS,
    DialectError,
    escaped_letter,
    first_quoted,
    header,
    line_at,
    read_delimited,
)
from hprune.tasks.reading.form import Form

log = logging.getLogger(__name__)

EXCEL = re.compile(rb"(\"?sep=([,;\t|])[ ,;\t|\"]*)(?=[\r\n])", re.IGNORECASE)
"""A first line by which Excel is told the delimiter."""
NAMES = {letter: name for name, letter in DELIMITERS.items()}


def read_found(path: Path, content: bytes, form: Form) -> pa.Table:
    """Read a CSV or TSV as texts, in the dialect that is named or found.

    Args:
        path: its file, for its name.
        content: UTF-8 without a byte order mark.
        form: the dialect, and the columns that a header must hold.

    Raises:
        ValueError: if it is in no dialect or could be in several; the message names a line and the key that says which.
    """
    excel = EXCEL.match(content)
    if excel is not None:
        content = content[excel.end(1) :]  # the line stays, so that lines are counted as an editor does
    named = DELIMITERS.get(form.delimiter) or (excel[2].decode() if excel is not None else None)
    if named is not None:
        _check_named(content, named, form)
    delimiter = named or _delimiter(path, content, form)
    if form.quoting != "auto":
        return _read_as_named(content, delimiter, form.quoting)
    return _read_tabs(path, content) if delimiter == "\t" else _read_strictly(content, delimiter)


def _delimiter(path: Path, content: bytes, form: Form) -> str:
    if ".tsv" in path.suffixes[-2:]:
        return "\t"
    headers = {delimiter: _header(content, delimiter, form.quoting) for delimiter in DELIMITERS.values()}
    held = {delimiter: len(set(form.among(names).needed) & set(names)) for delimiter, names in headers.items()}
    best = max(held.values())
    if not best and form.needed and len(headers[","]) < 2:
        _suggest(headers)
    if held[","] == best:
        return ","
    found = [delimiter for delimiter, number in held.items() if number == best]
    if len(found) > 1:
        several = " and ".join(NAMES[delimiter] for delimiter in found)
        raise ValueError(
            f"its header holds the columns of the task by several delimiters, {several}: "
            f"set task.delimiter={NAMES[found[0]]} (or another of {', '.join(DELIMITERS)})"
        )
    log.info("%s: columns are parted by %s (task.delimiter=comma: by commas)", path, NAMES[found[0]])
    return found[0]


def _check_named(content: bytes, delimiter: str, form: Form) -> None:
    """Refuse a delimiter by which the header holds none of the task's columns where another one holds them."""
    held = {one: len(set(form.needed) & set(_header(content, one, form.quoting))) for one in DELIMITERS.values()}
    best = max(held, key=lambda one: held[one])
    if held[best] and not held[delimiter]:
        raise ValueError(
            f"by task.delimiter={NAMES[delimiter]} it has none of the columns of the task; "
            f"by task.delimiter={NAMES[best]} it does"
        )


def _header(content: bytes, delimiter: str, quoting: str) -> list[str]:
    """The names of the columns by a delimiter; none if they cannot be read so."""
    try:
        return header(content, delimiter, "double" if quoting == "auto" else quoting)
    except DialectError:
        return []


def _suggest(headers: Mapping[str, list[str]]) -> None:
    """Refuse a header that has several columns by another delimiter only, none of them one of the task's."""
    delimiter, names = max(headers.items(), key=lambda one: len(one[1]))
    if len(names) > 1:
        raise ValueError(
            f"by commas it has one column, and by task.delimiter={NAMES[delimiter]} it has {', '.join(names)}: "
            "name those that the task needs (task.text, task.label)"
        )


def _read_as_named(content: bytes, delimiter: str, quoting: str) -> pa.Table:
    try:
        return read_delimited(content, delimiter, quoting)
    except DialectError as error:
        raise DialectError(
            f"{error} (read as task.quoting={quoting} says){_others(content, delimiter, quoting)}"
        ) from error


def _read_strictly(content: bytes, delimiter: str) -> pa.Table:
    """By RFC 4180. A file that breaks it is refused even where only one other dialect fits: a text may be cut."""
    try:
        table = read_delimited(content, delimiter, "double")
    except DialectError as error:
        raise DialectError(f"{error}{_others(content, delimiter, 'double')}") from error
    if b'\\"' not in content or not _fits(content, delimiter, "backslash"):
        return table
    escaped = escaped_letter(content, delimiter)
    if escaped is None and read_delimited(content, delimiter, "backslash").equals(table):
        return table
    at, where = (content.index(b'\\"'), "") if escaped is None else (escaped, " in a field without quotes around it")
    raise DialectError(
        f'line {line_at(content, at)} has \\"{where}: set task.quoting=backslash if it means a quote (as pandas writes '
        "it by escapechar), or task.quoting=double if these are two letters"
    )


def _others(content: bytes, delimiter: str, quoting: str) -> str:
    """The dialects that the file can be read in, as a way out."""
    means = {
        "double": 'a quote is written ""',
        "backslash": f'a quote is written \\", and so is a {NAMES[delimiter]} with a backslash before it',
        "none": "quotes are letters",
    }
    fits = [other for other in QUOTINGS if other != quoting and _fits(content, delimiter, other)]
    return "".join(f"; task.quoting={other} reads it ({means[other]})" for other in fits)


def _fits(content: bytes, delimiter: str, quoting: str) -> bool:
    if quoting == "backslash" and not re.search(rb'\\["\r\n' + re.escape(delimiter.encode()) + rb"]", content):
        return False  # no backslash stands where one is more than a letter
    try:
        read_delimited(content, delimiter, quoting)
    except ValueError:
        return False
    return True


def _read_tabs(path: Path, content: bytes) -> pa.Table:
    """With quotes as letters, or with fields in quotes where it is plain that a program wrote them so."""
    first = first_quoted(content, "\t")
    if first is None:
        return read_delimited(content, "\t", "none")
    plain, why_not_plain = _attempt(content, "none")
    quoted, why_not_quoted = _attempt(content, "double")
    if plain is None and quoted is None:
        raise DialectError(
            f"{why_not_plain}; with fields in quotes: {why_not_quoted}{_others(content, chr(9), 'none')}"
        )
    if quoted is None and plain is not None and any(name.startswith('"') for name in plain.column_names):
        raise DialectError(f"{why_not_quoted}{_others(content, chr(9), 'none')}")
    if quoted is None or (plain is not None and plain.equals(quoted)):
        return plain
    if plain is None or _is_quoted(plain, quoted):
        log.info("%s: the quotes around fields are not part of them (task.quoting=none: they are)", path)
        return quoted
    raise DialectError(
        f"line {line_at(content, first)} has a field that begins with a quote, and the file can be read both ways: set "
        "task.quoting=none if quotes are letters like others (as in GLUE's files), or task.quoting=double if they "
        "stand around fields (as pandas writes them)"
    )


def _attempt(content: bytes, quoting: str) -> tuple[pa.Table | None, str]:
    try:
        return read_delimited(content, "\t", quoting), ""
    except DialectError as error:
        return None, str(error)


def _is_quoted(plain: pa.Table, quoted: pa.Table) -> bool:
    """Whether the quotes are a program's, of a file that can be read in both ways.

    They are if names of columns have them, or if rows are the same in both ways and each field in quotes needs them, as
    it holds others, or all of a column has them. What is one row of several lines in one way, and several whole rows
    in the other, may be either.
    """
    if any(name.startswith('"') for name in plain.column_names):
        return True
    if plain.num_rows != quoted.num_rows:
        return False
    in_quotes = [pc.starts_with(column, '"') for column in plain.columns]
    needs = [pc.match_substring(column, '"') for column in quoted.columns]
    if all(pc.all(pc.or_(pc.invert(own), need)).as_py() for own, need in zip(in_quotes, needs, strict=True)):
        return True
    return all(
        not pc.any(own).as_py() or pc.all(pc.or_(own, pc.equal(column, ""))).as_py()
        for own, column in zip(in_quotes, plain.columns, strict=True)
    )
