"""JSON lines, a JSON array of objects, and SQuAD's own nested form: texts stay texts, numbers what was written.

A row of SQuAD's form as it comes: {"version": "v2.0", "data": [{"title": "Beyoncé", "paragraphs": [{"context": "...",
"qas": [{"id": "56be", "question": "When ...?", "answers": [{"text": "in the late 1990s", "answer_start": 269}]}]}]}]}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa

from hprune.tasks.reading.form import Form

Row = dict[str, Any]
SPACE = re.compile(r"\s*")
KINDS = {str: "string", bool: "boolean", list: "array", dict: "object"}


class Number(float):
    """A number with a fraction or an exponent, which knows how it was written."""

    written: str

    def __new__(cls, written: str) -> Number:
        """Read a literal."""
        number = super().__new__(cls, written)
        number.written = written
        return number

    @property
    def exact(self) -> bool:
        """Whether nothing of what was written is lost in 64 bits."""
        return Decimal(self.written) == Decimal(float.__repr__(self))


def read_json(content: bytes, form: Form) -> pa.Table:
    """Read one row an object, its keys the columns in the order in which they come first; a missing key is null.

    A column of several types, or of numbers that 64 bits do not hold, becomes texts: strings as they are, anything
    else as JSON.

    Args:
        content: UTF-8.
        form: the columns of texts, in which numbers become texts as they are written, and those that must have one
            type each.

    Raises:
        ValueError: if the text is not JSON, not of objects, or one of the needed columns has several types.
    """
    rows = _rows(content.decode("utf-8-sig"))
    names: Row = {}
    for row in rows:
        if row.keys() != names.keys():
            names |= dict.fromkeys(row)
    form = form.among(list(names))
    text, needed = set(form.text), set(form.needed)
    return pa.table({n: _column(n, [row.get(n) for row in rows], n in text, n in needed) for n in names})


def _rows(text: str) -> list[Row]:
    documents = list(_documents(text))
    rows = documents[0] if len(documents) == 1 and isinstance(documents[0], list) else documents
    if len(rows) == 1 and (articles := _articles(rows[0])):
        return list(_questions(articles))
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("it must be an array of objects, one a sample, such as [{...}, {...}], or one object a line")
    return rows


def _documents(text: str) -> Iterator[Any]:
    """The values that follow each other in a text."""
    decode = json.JSONDecoder(object_pairs_hook=_object, parse_float=Number).raw_decode
    space = SPACE.match
    at = space(text).end()  # type: ignore[union-attr]  # which matches nothing, too
    while at < len(text):
        try:
            value, end = decode(text, at)
        except ValueError as error:
            line = text.count("\n", 0, at) + 1
            raise ValueError(f"{error} (in what begins in line {line})") from error
        yield value
        at = space(text, end).end()  # type: ignore[union-attr]


def _object(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"an object has more than one {next(name for name in names if names.count(name) > 1)!r}")
    return found


def _column(name: str, values: list[Any], text: bool, needed: bool) -> pa.Array:
    types = set(map(type, values)) - {type(None)}
    if text and types != {str}:
        values = [_as_text(value) for value in values]
        types = set(map(type, values)) - {type(None)}
    kinds = {KINDS.get(kind, "number") for kind in types}
    if len(kinds) > 1 and needed:
        raise ValueError(_changes(name, values))
    if len(kinds) < 2 and not (Number in types and _loses(values)):
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            if isinstance(error, UnicodeError):
                raise
            if needed and kinds != {"number"}:
                raise ValueError(f"column {name!r} holds values of several types ({error}): give them one") from error
    return pa.array([value if value is None or isinstance(value, str) else _written(value) for value in values])


def _changes(name: str, values: list[Any]) -> str:
    kinds = [None if value is None else KINDS.get(type(value), "number") for value in values]
    first, second, *_ = dict.fromkeys(kind for kind in kinds if kind is not None)
    row = kinds.index(second) + 1
    return f"column {name!r} changed from {first} to {second} in row {row}: give all its values one type"


def _loses(values: Iterable[Any]) -> bool:
    return any(isinstance(value, Number) and not value.exact for value in values)


def _as_text(value: Any) -> Any:
    """Numbers and truth values as texts, in lists, too."""
    if isinstance(value, list):
        return [_as_text(one) for one in value]
    return value if value is None or isinstance(value, str | dict) else _written(value)


def _written(value: Any) -> str:
    """JSON of a value, with numbers as they were written."""
    if isinstance(value, Number):
        return value.written
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_written(key)}: {_written(one)}' for key, one in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def _articles(row: Any) -> list[Any]:
    """The articles of SQuAD's own form; none if a row has another."""
    articles = row.get("data") if isinstance(row, dict) else None
    if not isinstance(articles, list) or not all(isinstance(one, dict) and "paragraphs" in one for one in articles):
        return []
    return articles


def _questions(articles: list[Any]) -> Iterator[Row]:
    """A row a question, in the form that the data set has on the hub; what else a question has follows."""
    for article in articles:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answers = question.get("answers")
                found = {name: [answer[name] for answer in answers or ()] for name in ("text", "answer_start")}
                yield {
                    "id": question.get("id"),
                    "title": article.get("title"),
                    "context": paragraph["context"],
                    "question": question["question"],
                    "answers": None if answers is None else found,
                    **{name: value for name, value in question.items() if name not in ("id", "question", "answers")},
                }
