"""Classes of samples: the names of the classes, and each label as the number of its class, by value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import yaml
from numpy.typing import NDArray

from hprune.storage.override import override
from hprune.tasks.columns import is_text, is_untyped
from hprune.tasks.spec import TaskSpec

NUMBER = re.compile(r"0|-?[1-9][0-9]*")
"""A whole number as it is written: 011, +1 and 1e3 are texts, as two ids that differ in a zero are two."""
WHOLE_FLOAT = re.compile(r"(-?)(0|[1-9][0-9]*)\.0*")
"""What pandas makes of whole numbers with gaps."""
FRACTION = re.compile(r"-?(0|[1-9][0-9]*)?\.[0-9]+")
NO_VALUE = frozenset(pa.csv.ConvertOptions().null_values)
"""Spellings of nothing in a column of numbers or booleans; in a column of texts they are texts."""
BOOLEANS = {"false": False, "true": True}
SPELLINGS = BOOLEANS | {"no": False, "off": False, "yes": True, "on": True}
"""What YAML takes for a boolean, in any case."""

Kind = Literal["texts", "numbers", "booleans"]


@dataclass(frozen=True)
class Labels:
    """The labels of a split as texts, so that equal values are equal texts; null: none."""

    kind: Kind
    values: pa.ChunkedArray  # (rows,) large_string: 1 for 1.0, true for TRUE, a text without space around it
    written: Mapping[str, str]
    """How a boolean is written most often."""
    positions: tuple[str, ...] | None = None
    """What the data itself calls 0, 1, ..: the names of a ClassLabel."""

    @property
    def distinct(self) -> list[str]:
        """The different labels, sorted by value."""
        found: list[str] = pc.unique(self.values.drop_null()).to_pylist()
        return sorted(found, key=int) if self.kind == "numbers" else sorted(found)


@dataclass(frozen=True)
class Classes:
    """The classes of a task, and what stands for each of them in a column of numbers, of booleans or of texts."""

    names: tuple[str, ...]
    numbers: tuple[str, ...]
    booleans: tuple[str, ...]
    named: tuple[str, ...] = ()
    """Where names are numbers other than their places (a ClassLabel of 1, 2, 3): these numbers, "" for one in words."""
    said: bool = False
    """Whether `task.label_names` gives the names, so that a number that is one of them is meant as that name."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The values that texts are compared with: the names of the classes."""
        return self.names


def class_labels(
    spec: TaskSpec, splits: Mapping[str, pa.Table], names: Sequence[str] | None = None
) -> tuple[dict[str, NDArray[np.int64]], tuple[str, ...]]:
    """The labels of each split as class numbers in 0..K-1, -1 where there is none, and the names of the classes.

    Args:
        spec: the task.
        splits: the splits as they came; the names are found in "train" (or in a set that comes alone) if nothing else
            gives them.
        names: those to use if `task.label_names` gives none.

    Raises:
        ValueError: if a column holds no labels, one that is not known, or one of which it cannot be told whether it is
            a class.
    """
    read = {name: read_labels(spec, name, raw) for name, raw in splits.items()}
    classes = classes_of(spec, read.get("train", next(iter(read.values()))), names)
    if not classes.names:
        raise ValueError(f"task {spec.name!r}: no row of the train split can be used, none has a label")
    return {name: _class_numbers(spec, name, labels, classes) for name, labels in read.items()}, classes.names


def read_labels(spec: TaskSpec, split: str, raw: pa.Table) -> Labels:
    """The labels of a split by value.

    Texts of a file without types (CSV, TSV) are numbers, or booleans, if all of them are; those of a file with types
    are texts.

    Raises:
        ValueError: if they are neither names nor whole numbers.
    """
    field, column = raw.schema.field(spec.label), raw[spec.label]
    metadata = (field.metadata or {}).get(b"names")
    positions = None if metadata is None else tuple(json.loads(metadata))
    if not is_text(field.type):
        boolean = pa.types.is_boolean(field.type)
        values = column if boolean else _integers(spec, split, column)
        return Labels("booleans" if boolean else "numbers", values.cast(pa.large_string()), {}, positions)
    stripped = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
    stripped = pc.if_else(pc.equal(stripped, ""), None, stripped)
    if is_untyped(field):
        return _by_value(spec, split, stripped, positions)
    return Labels("texts", stripped, {}, positions)


def classes_of(spec: TaskSpec, train: Labels, default: Sequence[str] | None = None) -> Classes:
    """The classes: given, or the data's own (of a ClassLabel), or the sorted values of the train split.

    Raises:
        ValueError: if the names do not fit the values, or could mean several things.
    """
    given = spelled(spec, train) if spec.label_names is not None else None if default is None else tuple(default)
    names = train.positions if given is None else given
    if names is not None:
        _check_order(spec, names, train.positions)
        if spec.label_names is not None and train.positions is not None:
            _check_renamed(spec, names, train.positions)
        classes = _classes(names, numbers=_numbers(spec, train, names))
        named = () if train.positions is None else _named_numbers(names)
        return replace(classes, named=named, said=spec.label_names is not None) if named else classes
    found = [label for label in train.distinct if label != "-1"]
    if train.kind != "booleans" and _may_be_a_class(train.distinct):
        _refuse_minus_one(spec, sorted(train.distinct, key=int))
    if train.kind == "numbers":
        found = [label for label in found if int(label) >= 0]
    names = tuple(train.written.get(label, label) for label in found)
    return _classes(names, numbers=names, booleans=found)


def _check_order(spec: TaskSpec, names: tuple[str, ...], own: Sequence[str] | None) -> None:
    """Refuse names that are the data's own in another order."""
    if own is not None and own != names and set(own) == set(names):
        raise ValueError(
            f"task {spec.name!r}: task.label_names={list(names)} are the classes of the data in another order; "
            f"there 0, 1, .. are {list(own)}: give them in that order, or set task.label_names=null"
        )


def _check_renamed(spec: TaskSpec, names: tuple[str, ...], own: Sequence[str]) -> None:
    """Refuse names for the numbers of a ClassLabel that are too many, too few, or could be these numbers themselves."""
    if len(names) != len(own):
        raise ValueError(
            f"task {spec.name!r}: task.label_names={list(names)} are {len(names)} names, but the data has {len(own)} "
            f"classes, {list(own)}: give one name for each, in that order, or set task.label_names=null"
        )
    numbers = [_number(name) for name in names]
    if names != tuple(own) and None not in numbers and numbers != [str(place) for place in range(len(names))]:
        raise ValueError(
            f"task {spec.name!r}: task.label_names={list(names)} are numbers, and the data says that 0, 1, .. are "
            f"{list(own)}: it cannot be told which number is which; set task.label_names=null, or give names in words"
        )


def _numbers(spec: TaskSpec, train: Labels, names: tuple[str, ...]) -> Sequence[str]:
    """The number that stands for each class: its place, or its name if the labels are among the names by value.

    K names for K numbers of which some are negative are theirs in their order; of a question, a number is a place.
    """
    places = tuple(map(str, range(len(names))))
    values = train.distinct
    if train.positions is not None:
        return places
    if train.kind == "booleans" or _are_names(train, names):
        return [_number(name) or name for name in names]
    if spec.label_names is None or hasattr(spec.kind, "num_options") or not all(map(NUMBER.fullmatch, values)):
        return places
    values = sorted(values, key=int)
    if not values or int(values[0]) >= 0 or set(values) == {"-1", *places}:
        return places
    if len(values) == len(places) and (values[0] != "-1" or len(values) == 2 or places[-1] not in values):
        return values
    if values[0] == "-1" and len(values) > 1 and (len(values) == len(places) or places[-1] not in values):
        _refuse_minus_one(spec, values)  # -1, 0, 2 for three names, or -1, 1
    return places


def _may_be_a_class(values: Sequence[str]) -> bool:
    """Whether -1 among numbers may be a class as well as no label: beside 1, or beside other negative ones."""
    if "-1" not in values or not all(map(NUMBER.fullmatch, values)):
        return False
    return set(values) in ({"-1", "1"}, {"-1", "0", "1"}) or min(map(int, values)) < -1


class UnclearMinusOneError(ValueError):
    """A column in which -1 may be a class or mean no label.

    Args:
        message: for the user.
        others: the other labels, sorted by value.
    """

    def __init__(self, message: str, others: Sequence[str]) -> None:
        super().__init__(message)
        self.others = tuple(others)


def _refuse_minus_one(spec: TaskSpec, values: Sequence[str]) -> None:
    listed, others = ",".join(values), [value for value in values if value != "-1"]
    without = f"task.label_names=[{','.join(others)}], or empty cells," if len(others) > 1 else "empty cells"
    before = " (as 0.1.0 took it: this continues its studies)" if spec.label_names is None and len(others) > 1 else ""
    raise UnclearMinusOneError(
        f"task {spec.name!r}: column {spec.label!r} has the labels {listed.replace(',', ', ')}, where -1 may be a "
        f"class or mean no label: task.label_names=[{listed}] says that it is a class, {without} that it means none"
        f"{before}",
        others,
    )


def _are_names(train: Labels, names: Sequence[str]) -> bool:
    """Whether the labels, -1 aside, are among the names by value."""
    known = {*names, *(number for name in names if (number := _number(name)) is not None)}
    return train.kind != "booleans" and set() < set(train.distinct) - {"-1"} <= known


def spelled(spec: TaskSpec, labels: Labels) -> tuple[str, ...]:
    """The names of `task.label_names` as texts; what YAML made booleans (no, yes, on, off) as the data has it.

    Raises:
        ValueError: if the data has it in two ways.
    """
    texts = labels.distinct if labels.kind == "texts" else []
    return tuple(meant(name, texts, of=f"column {spec.label!r}") for name in spec.label_names or ())


def meant(name: str | bool, texts: Iterable[str], *, of: str) -> str:
    """A name as a text: the one of some texts that YAML makes this boolean of; any other stays.

    Args:
        name: a name, or what YAML made of it.
        texts: that it may be.
        of: whose, for the message.

    Raises:
        ValueError: if it may be several.
    """
    if not isinstance(name, bool):
        return name
    found = [text for text in texts if SPELLINGS.get(text.lower()) is name]
    if len(found) > 1:
        raise ValueError(
            f"task.label_names holds the boolean {str(name).lower()}, which may be any of {', '.join(found)} of {of}: "
            f"""put every name in quotes, as in 'task.label_names=["{found[0]}","{found[1]}"]'"""
        )
    return found[0] if found else str(name)


def in_words(spec: TaskSpec, train: pa.Table, source: TaskSpec, raw: pa.Table) -> pa.Table:
    """A further set whose numbers are those of the task, with the names that they have there.

    So -1 is a class, or no label, as it is there, whatever other labels the set has.

    Args:
        spec: the task.
        train: its train split as it came.
        source: the set as a task of its own.
        raw: its split.
    """
    classes, labels = classes_of(spec, read_labels(spec, "train", train)), read_labels(source, "further", raw)
    at = raw.column_names.index(source.label)
    if labels.kind != "numbers" or labels.positions or labels.distinct == ["-1"]:
        return raw
    numbers = meant_numbers(spec, source.name, labels, classes)
    return raw.set_column(at, source.label, _called(labels.values, classes.names, numbers))


def _classes(names: Iterable[str], *, numbers: Iterable[str], booleans: Iterable[str] | None = None) -> Classes:
    names = tuple(names)
    if booleans is None:
        booleans = (str(SPELLINGS[name.lower()]).lower() if name.lower() in SPELLINGS else name for name in names)
    return Classes(names, tuple(numbers), tuple(booleans))


def _class_numbers(spec: TaskSpec, split: str, labels: Labels, classes: Classes) -> NDArray[np.int64]:
    """(rows,) class numbers in 0..K-1, -1 where there is no label."""
    kind, names, values = labels.kind, classes.names, labels.values
    if labels.positions is not None and kind == "numbers" and _same_classes(spec, split, labels.positions, classes):
        kind, values = "texts", _called(values, labels.positions, _places(labels.positions))  # by the split's own order
    elif kind == "texts" and not set(labels.distinct) & set(names) and all(map(NUMBER.fullmatch, labels.distinct)):
        kind = "numbers"
    known = meant_numbers(spec, split, labels, classes) if kind == "numbers" else getattr(classes, kind)
    found = pc.index_in(values, pa.array(known, pa.large_string()))
    unknown = set(pc.unique(values.filter(pc.is_null(found))).to_pylist()) - {None, "-1"}
    if unknown:
        told = _told(kind, unknown, classes, given=spec.label_names is not None)
        raise ValueError(f"task {spec.name!r}: the {split} split has labels {told}")
    if split != "train" and "-1" in known and known != names and labels.distinct == ["-1"]:
        raise ValueError(
            f"task {spec.name!r}: every label of the {split} split is -1, which is {names[known.index('-1')]} in the "
            f"train split: if it means no label here, leave the split out with task.splits.{split}=null"
        )
    return pc.fill_null(found, -1).to_numpy().astype(np.int64)


def _same_classes(spec: TaskSpec, split: str, own: Sequence[str], classes: Classes) -> bool:
    """Whether a split whose data names its classes has those of the train split; else its numbers are as there.

    Raises:
        ValueError: if the train split's classes are numbers other than their places, and this split's are other ones.
    """
    names = set(classes.names)
    if names <= set(own) or names >= set(own):
        return True
    if (classes.named or classes.numbers) == classes.names != tuple(_places(classes.names)):
        raise ValueError(
            f"task {spec.name!r}: the classes of the {split} split are {list(own)[:10]} by its own data, and those of "
            f"the train split {list(classes.names[:10])}: it cannot be told which is which; give both the same names"
        )
    return False


def _named_numbers(names: Sequence[str]) -> tuple[str, ...]:
    """The number that each name is, zeros before it aside, "" for one in words; nothing if all are their places."""
    found = [str(int(float(name))) if re.fullmatch(r"-?[0-9]{1,15}(\.0*)?", name) else "" for name in names]
    numbers = [number for number in found if number]
    if len(set(numbers)) < len(numbers) or all(number in ("", str(place)) for place, number in enumerate(found)):
        return ()
    return tuple(found)


def _places(names: Sequence[str]) -> list[str]:
    return [str(place) for place in range(len(names))]


def meant_numbers(spec: TaskSpec, split: str, labels: Labels, classes: Classes) -> tuple[str, ...]:
    """The number that stands for each class in a split of numbers: what it is by the train split, or its name.

    Raises:
        ValueError: if it could be either, and it makes a difference.
    """
    if not classes.named or labels.positions is not None:
        return classes.numbers
    seen = set(labels.distinct) if "-1" in classes.named else set(labels.distinct) - {"-1"}
    if not seen <= set(classes.named):
        return classes.numbers
    alike = all(classes.named.index(one) == classes.numbers.index(one) for one in seen & set(classes.numbers))
    if seen <= set(classes.numbers) and not alike and not classes.said:
        names = list(classes.names)
        raise ValueError(
            f"task {spec.name!r}: the {split} split has the numbers {', '.join(labels.distinct[:10])}, which may be "
            f"names of classes or their places: the data of the train split calls 0, 1, .. {', '.join(names[:10])}; "
            f"{override('task.label_names', names)} says that they are names; if they are places, name the classes in "
            f"words, as in {override('task.label_names', [f'class {name}' for name in names])}"
        )
    return classes.named


def _told(kind: Kind, unknown: Iterable[str], classes: Classes, *, given: bool) -> str:
    """Labels that are not known, those that are, and the way out; `given`: `task.label_names` is."""
    names, last = classes.names, len(classes.names) - 1
    if kind == "numbers" and classes.numbers == tuple(map(str, range(len(names)))) != names:
        return (
            f"{sorted(map(int, unknown))[:5]}, but with {len(names)} classes ({', '.join(names[:10])}) they lie in "
            f"0..{last}, or -1 for no label; correct the data or set task.label_names"
        )
    known = getattr(classes, kind)
    if kind == "booleans":
        return (
            f"{sorted(unknown)[:5]}, which are booleans, and known are {list(names[:10])}: booleans are classes by "
            "value, so set task.label_names=[false,true] or null, or write other labels in the data"
        )
    if given and (texts := _as_yaml_reads(unknown, names)):
        return (
            f"{sorted(unknown)[:5]}, known are {list(known[:10])}, which are what YAML makes of numbers and times: put "
            f"the names in quotes, as in {override('task.label_names', texts)}"
        )
    means = "" if known == names else f" for {', '.join(names[:10])}"
    return f"{sorted(unknown)[:5]}, known are {list(known[:10])}{means}; correct the data or set task.label_names"


def _as_yaml_reads(unknown: Iterable[str], names: Sequence[str]) -> list[str]:
    """The labels of which YAML would make these names, as 1000.0 of 1e3 and 630 of 10:30; none if it would not."""
    made: dict[str, str] = {}
    for text in unknown:
        with suppress(ValueError, OverflowError):
            made |= {str(float(text)): text} | ({str(int(text)): text} if "_" in text else {})
        with suppress(yaml.YAMLError):
            made |= {str(yaml.safe_load(text)): text} if re.fullmatch(r"[0-9]+(:[0-9]+)+", text) else {}
    found = [made.get(name, name) for name in names]
    return found if found != list(names) and len(set(found)) == len(found) else []


def _called(values: pa.ChunkedArray, names: Sequence[str], numbers: Sequence[str]) -> pa.ChunkedArray:
    """Numbers as the names that they stand for; others stay."""
    at = pc.index_in(values, pa.array(numbers, pa.large_string()))
    return pc.coalesce(pa.array(names, pa.large_string()).take(at.combine_chunks()), values)


def _number(text: str) -> str | None:
    """A whole number in its one spelling; None if it is none."""
    if NUMBER.fullmatch(text):
        return text
    found = WHOLE_FLOAT.fullmatch(text)
    return None if found is None else found[2] if found[2] == "0" else found[1] + found[2]


def _by_value(spec: TaskSpec, split: str, texts: pa.ChunkedArray, positions: tuple[str, ...] | None) -> Labels:
    """Texts without types as what they are, if all are of one kind: whole numbers, or booleans."""
    counts = {one["values"]: one["counts"] for one in texts.drop_null().value_counts().to_pylist()}
    some = [text for text in counts if text not in NO_VALUE]
    numbers = {text: number for text in some if (number := _number(text)) is not None}
    booleans = {text: text.lower() for text in some if text.lower() in BOOLEANS}
    if len(numbers) == len(some):
        return Labels("numbers", _replaced(texts, numbers), {}, positions)
    if len(booleans) == len(some):
        usual = sorted(booleans, key=lambda text: counts[text])
        return Labels("booleans", _replaced(texts, booleans), {booleans[text]: text for text in usual}, positions)
    mixed = numbers and booleans and len(numbers) + len(booleans) == len(some)
    if mixed and set(numbers.values()) <= {"0", "1"} and spec.label_names is None:
        way = f", or name each as a class of its own: {override('task.label_names', sorted(some))}"
        raise ValueError(
            f"task {spec.name!r}: column {spec.label!r} has 0 or 1 beside booleans ({', '.join(sorted(some)[:5])}), "
            f"and it cannot be told whether 1 is true; write them in one way{way if len(some) == len(counts) else ''}"
        )
    fraction = next((text for text in some if text not in numbers and FRACTION.fullmatch(text)), None)
    if fraction is not None and all(text in numbers or FRACTION.fullmatch(text) for text in some):
        raise ValueError(_no_labels(spec, split, "numbers", fraction))
    return Labels("texts", texts, {}, positions)


def _replaced(texts: pa.ChunkedArray, values: Mapping[str, str]) -> pa.ChunkedArray:
    """Each text's value, null for one that has none."""
    at = pc.index_in(texts, pa.array(values.keys(), pa.large_string()))
    return pa.chunked_array([pa.array(values.values(), pa.large_string()).take(at.combine_chunks())])


def _no_labels(spec: TaskSpec, split: str, kind: object, example: object) -> str:
    return (
        f"task {spec.name!r}: labels of the {split} split must be class names or whole numbers, "
        f"column {spec.label!r} is {kind}, for example {example!r}; correct the data or set task.label"
    )


def _integers(spec: TaskSpec, split: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers, or floats without a fraction (what pandas makes of integers with gaps), as int64."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    try:
        return column.cast(pa.int64())
    except pa.ArrowException as error:
        values = column.drop_null().to_pylist()
        example = next((value for value in values if not isinstance(value, int | float) or value % 1), values[0])
        raise ValueError(_no_labels(spec, split, column.type, example)) from error
