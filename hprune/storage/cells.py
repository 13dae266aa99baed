"""Cells as text files hold them: what CSV and JSON lines can say of each Arrow type without loss."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from hprune.storage.files import one_line

ROWS = 2**14
"""Rows that become Python values at a time."""


def unfit_for_csv(table: pa.Table) -> dict[str, str]:
    """The columns that CSV cannot hold, with their types: lists and objects, and what is no text."""
    return {
        field.name: str(field.type) for field in table.schema if _is_nested(field.type) or not _has_text(field.type)
    }


def unfit_for_json(table: pa.Table) -> dict[str, str]:
    """The columns that JSON cannot hold, with their types: bytes, and objects whose keys are no texts."""
    return {field.name: str(field.type) for field in table.schema if not _has_text(field.type)}


def for_csv(table: pa.Table) -> pa.Table:
    """The table in types that Arrow's CSV writer knows; durations in ISO 8601.

    Raises:
        ValueError: if a duration has no such form; the message names the column.
    """
    columns = [_for_csv(field, column) for field, column in zip(table.schema, table.columns, strict=True)]
    return pa.Table.from_arrays(columns, names=table.column_names)  # at once: to set one takes as long as there are


def _for_csv(field: pa.Field, column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_duration(field.type):
        texts = [None if value is None else _iso_duration(value) for value in _values(field.name, column)]
        return pa.array(texts, pa.string())
    plain = _plain(field.type)
    return column if plain == field.type else column.cast(plain)


def json_lines(table: pa.Table) -> Iterator[str]:
    """Each row as one line of JSON: dates, times and durations in ISO 8601, decimals as texts, digit by digit.

    Raises:
        ValueError: if a value is not JSON, such as NaN; the message names the column.
    """
    names = [json.dumps(name, ensure_ascii=False) for name in table.column_names]
    for batch in table.to_batches(ROWS):
        columns = [
            [f"{name}: {text}" for text in _encoded(field.name, column)]
            for name, field, column in zip(names, batch.schema, batch.columns, strict=True)
        ]
        yield from (f"{{{', '.join(cells)}}}\n" for cells in zip(*columns, strict=True))


def _encoded(name: str, column: pa.Array) -> list[str]:
    """Every cell of a column as JSON."""
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_as_text).encode
    plain = _plain(column.type)
    values = _values(name, column if plain == column.type else column.cast(plain))
    return _named(name, lambda: [encode(value) for value in values])


def _values(name: str, column: pa.Array) -> list[Any]:
    """The cells of a column as the Python values that JSON can write."""
    return _named(name, lambda: list(column.to_pylist(maps_as_pydicts="strict")))


def _named(name: str, make: Callable[[], list[Any]]) -> list[Any]:
    """What is made, or the name of the column whose values do not let it: a year 10000, a NaN, a key twice."""
    try:
        return make()
    except (ValueError, TypeError, OverflowError, KeyError, pa.ArrowException) as error:
        raise ValueError(f"{name}: {one_line(error)}") from error


def _as_text(value: Any) -> str:
    """The usual JSON form of a value that JSON has no type for."""
    if isinstance(value, datetime.timedelta):
        return _iso_duration(value)
    if isinstance(value, (datetime.date, datetime.time)):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _iso_duration(value: datetime.timedelta) -> str:
    """`PT90.5S`; pandas' own, which has nanoseconds, in the same form."""
    nanoseconds = (value.days * 86400 + value.seconds) * 10**9 + value.microseconds * 1000
    nanoseconds += getattr(value, "nanoseconds", 0)
    whole, rest = divmod(abs(nanoseconds), 10**9)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"PT{'-' if nanoseconds < 0 else ''}{whole}{fraction}S"


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type with the same values that text can be made of: Python's times have no nanoseconds, CSV has no views."""
    if pa.types.is_time64(kind):
        return pa.string()
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_float16(kind):
        return pa.float32()
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, pa.UuidType):
        return _plain(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind])
    if _is_list(kind):
        inner = kind.value_field.with_type(_plain(kind.value_type))
        return kind if inner.type == kind.value_type else pa.large_list(inner)
    return kind


def _is_list(kind: pa.DataType) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view)
    return any(test(kind) for test in tests)


def _is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(_plain(kind)) or isinstance(_plain(kind), pa.UuidType))


def _has_text(kind: pa.DataType) -> bool:
    """Whether each value has a text of its own, in lists and objects, too."""
    kind = _plain(kind)
    if pa.types.is_map(kind):
        return _is_string(kind.key_type) and _has_text(kind.item_type)
    if _is_list(kind):
        return _has_text(kind.value_type)
    if pa.types.is_struct(kind):
        return all(_has_text(field.type) for field in kind)
    known = (pa.types.is_null, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    dated = (pa.types.is_date, pa.types.is_time, pa.types.is_timestamp, pa.types.is_duration)
    return _is_string(kind) or isinstance(kind, pa.UuidType) or any(test(kind) for test in (*known, *dated))


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
