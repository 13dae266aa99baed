"""The shape of what a JSON file must hold, checked where the file is read: code behind relies on it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hprune.storage.files import check_name

LARGEST = 2**63 - 1
Check = Callable[[Any], bool]
Shape = Mapping[str, "Shape | Check"]


def text(value: Any) -> bool:
    """A text."""
    return isinstance(value, str)


def name(value: Any) -> bool:
    """A plain name."""
    try:
        check_name("", value)
    except ValueError:
        return False
    return True


def count(value: Any) -> bool:
    """A whole number from 0."""
    return type(value) is int and 0 <= value <= LARGEST


def digest(value: Any) -> bool:
    """64 hexadecimal digits."""
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def number(value: Any) -> bool:
    """A number."""
    return type(value) in (int, float) and abs(value) <= LARGEST and math.isfinite(value)


def amount(value: Any) -> bool:
    """A number from 0."""
    return type(value) in (int, float) and 0 <= value <= 1e300


def anything(value: Any) -> bool:
    """An object, nested at most 50 deep."""
    return isinstance(value, dict) and _nested(value, 50)


def _nested(value: Any, most: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return most > 0 and all(_nested(one, most - 1) for one in inside)


def optional(check: Check) -> Check:
    """Also null."""
    return _named(lambda value: value is None or check(value), f"{_said(check)} or null")


def list_of(check: Check) -> Check:
    """A list of such values."""
    return _named(lambda value: isinstance(value, list) and all(map(check, value)), f"a list, each {_said(check)}")


def dict_of(check: Check, keys: Check = text) -> Check:
    """An object of any keys with such values."""
    return _named(
        lambda value: isinstance(value, dict) and all(map(keys, value)) and all(map(check, value.values())),
        f"an object, each key {_said(keys)}, each value {_said(check)}",
    )


def check_shape(file: Path, content: Any, shape: Shape, *, at: str = "", lenient: bool = False) -> None:
    """Refuse content that is not of this shape; keys beside those of the shape may hold anything.

    Args:
        file: where it was read from, for the message.
        content: what was read.
        shape: by key a check, or the shape of an object.
        at: the dotted name of the content in its file.
        lenient: a key may be missing.

    Raises:
        ValueError: naming the file, the key, what it must be and what it is.
    """
    if not isinstance(content, dict):
        raise _other(file, at or "it", "an object", content)
    for key, rule in shape.items():
        where = f"{at}.{key}" if at else key
        if key not in content:
            if lenient:
                continue
            raise ValueError(f"{file} lacks {where}; {WAY_OUT}")
        if not callable(rule):
            check_shape(file, content[key], rule, at=where)
        elif not rule(content[key]):
            raise _other(file, where, _said(rule), content[key])


WAY_OUT = "it was altered, or comes from another version: bring the original back, or move it away and run again"


def _other(file: Path, where: str, rule: str, value: Any) -> ValueError:
    shown = repr(value)
    return ValueError(
        f"{file}: {where} must be {rule}, got {shown if len(shown) <= 80 else shown[:79] + '…'}; {WAY_OUT}"
    )


def _said(check: Check) -> str:
    """A check in words: its first line."""
    first = (check.__doc__ or "").strip().rstrip(".")
    return first[:1].lower() + first[1:]


def _named(check: Check, words: str) -> Check:
    check.__doc__ = words
    return check
