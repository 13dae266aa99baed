"""Further sets to evaluate on, from other sources than the task: out of distribution, adversarial.

A row of HANS as it comes: {"premise": "The doctors supported the scientist .", "hypothesis": "The scientist supported
the doctors .", "label": 1, "heuristic": "lexical_overlap"}; its classes are entailment and non-entailment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hprune.data.checks import check_whole
from hprune.science.select import Pool, per_class, random_like
from hprune.storage.places import local_path

if TYPE_CHECKING:  # a task holds sets like these
    from hprune.tasks.spec import TaskSpec

FURTHER = "further"
"""What the split is called while it is read: train has rules of its own."""
NAME = (str, bool, int)
"""Of a class: YAML makes booleans of no and yes, numbers of digits."""
NAMES = ("hub_id", "hub_config", "hub_revision", "folder")


@dataclass(frozen=True)
class EvalSetSpec:
    """A split of another data set, with the columns and classes of its own where they are not the task's."""

    hub_id: str | None = None
    hub_config: str | None = None
    hub_revision: str | None = None
    data_dir: str | None = None
    """A folder with the split as a file; wins over the hub."""
    folder: str | None = None
    """The name of such a folder below `task.also_dir`, which wins over the hub, too."""
    split: str = "test"
    text: Sequence[str] | None = None
    """The columns that stand for those of `task.text`, in that order; null: they are called the same."""
    label: str | None = None
    """null: the task's."""
    label_names: Sequence[str | bool] | None = None
    """The names of its classes in the order of their numbers; null: the task's."""
    merge: Mapping[str | bool, str | bool] | None = None
    """Where its classes are coarser: by the name of each of the task's classes, that of the set which it counts as."""
    slices: Sequence[str] = ()
    """Columns to tell the results apart by."""
    max_samples: int | None = None
    """Draw a fixed sample, in which classes and slices keep their shares."""
    sample_seed: int = 0

    def __post_init__(self) -> None:
        for key in (*NAMES, "data_dir", "label"):
            value = getattr(self, key)
            if value is not None and (not isinstance(value, str) or not value):
                raise ValueError(f"{key} of a set in task.also must be a text, or null, got {value!r}")
        if not isinstance(self.split, str) or not re.fullmatch(r"[^/\\\0*?\[]+", self.split):
            raise ValueError(f"split of a set in task.also must be the name of a split, got {self.split!r}")
        for key, kinds in (("text", (str,)), ("label_names", NAME), ("slices", (str,))):
            value = getattr(self, key)
            listed = isinstance(value, (list, tuple)) and all(isinstance(one, kinds) for one in value)
            if not listed and (value is not None or key == "slices"):
                raise ValueError(f"{key} of a set in task.also must be a list of names, got {value!r}")
        if self.merge is not None and not _is_names(self.merge):
            raise ValueError(
                "merge of a set in task.also must say for each class of the task the class of the set that it counts "
                f"as, such as {{neutral: non_entailment}}, got {self.merge!r}"
            )
        if self.data_dir is not None:
            object.__setattr__(self, "data_dir", str(local_path(self.data_dir, "data_dir of a set in task.also")))
        if self.max_samples is not None:
            check_whole("max_samples of a set in task.also", self.max_samples, low=1)
        check_whole("sample_seed of a set in task.also", self.sample_seed, low=0)


def check_also(also: Any, *, taken: Sequence[str]) -> None:
    """Refuse what is no further set, or has the name of a split.

    Raises:
        ValueError: naming it.
    """
    if not isinstance(also, Mapping) or not all(isinstance(one, EvalSetSpec) for one in also.values()):
        raise ValueError(
            "task.also must hold sets to evaluate on, as +eval_set@task.also.hans=hans puts them there, "
            f"got {also!r:.200}"
        )
    for name in also:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", str(name)) or name in (*taken, "out_of_fold"):
            raise ValueError(
                f"a set in task.also must be named by letters, digits, _ and -, and not as a split, got {name!r}"
            )


@dataclass(frozen=True, eq=False)
class EvalSet:
    """A further set to evaluate on, in the form of the task's tables."""

    table: pa.Table
    counts_as: NDArray[np.int64] | None
    """(K,) the class of the set that each class of the task counts as; None: they are the same."""
    slices: pa.Table
    """The columns to tell the results apart by, row by row."""


def source_of(spec: TaskSpec, name: str, own: EvalSetSpec) -> TaskSpec:
    """The set as a task of its own, whose only split is read as "train".

    Raises:
        ValueError: if it has no source.
    """
    folder = own.data_dir
    if folder is None and spec.also_dir is not None and own.folder is not None:
        folder = str(Path(spec.also_dir) / own.folder)
    if folder is None and own.hub_id is None:
        raise ValueError(
            f"task.also.{name} has no data: give its hub_id or data_dir, or its folder and task.also_dir; "
            f"or leave it out with ~task.also.{name}"
        )
    return replace(
        spec,
        name=f"{spec.name}, {name}",
        text=spec.text if own.text is None else own.text,
        label=own.label or spec.label,
        hub_id=own.hub_id,
        hub_config=own.hub_config,
        hub_revision=own.hub_revision,
        data_dir=folder,
        train_file=None,
        validation_file=None,
        test_file=None,
        generate=None,
        splits={"train": own.split},
        where=None,
        also={},
    )


def eval_set_of(
    spec: TaskSpec, own: EvalSetSpec, raw: pa.Table, source: TaskSpec, names: Sequence[str], train: pa.Table
) -> EvalSet:
    """The rows of a split in the form of the task's tables.

    Args:
        spec: the task.
        own: the set.
        raw: the split as it came, with the numbers of its rows.
        source: the set as a task of its own.
        names: of the task's classes.
        train: the train split of the task as it came.

    Raises:
        ValueError: if a column is missing, labels cannot be read, or classes do not fit.
    """
    from hprune.tasks.columns import by_name, own_columns  # which know what a task is, which knows this
    from hprune.tasks.spec import MOST_PROBABILITIES

    source, merges = by_name(source, own_columns(raw)), getattr(spec.kind, "merges", False)
    if merges and source.label in raw.column_names:
        own, raw = _by_value(spec, own, raw, source, names, train)
    counts_as, classes = _merged(own, names)
    if counts_as is not None and not merges:
        raise ValueError("only tasks of classes can merge them: leave out its merge and label_names")
    many = counts_as is not None and len(names) > MOST_PROBABILITIES
    if many and own.merge is not None:
        raise ValueError(f"more than {MOST_PROBABILITIES:,} classes cannot be merged: leave out its merge")
    if len(classes) > 1:
        source = replace(source, label_names=classes)
    if len(source.text) != len(spec.text):
        raise ValueError(f"its text must name {len(spec.text)} columns, as task.text does, got {list(source.text)}")
    missing = [column for column in own.slices if column not in raw.column_names]
    if missing:
        raise ValueError(f"it has no column {', '.join(missing)}, which its slices ask for; it has {raw.column_names}")
    table = spec.kind.normalise(source, {FURTHER: raw})[0][FURTHER]
    if not table.num_rows:
        raise ValueError("no row of it can be used: it has no labels, or no texts")
    if many and counts_as is not None:  # the same classes in another order
        to_task = pa.array(np.argsort(counts_as))
        table = table.set_column(
            table.column_names.index("label"), "label", to_task.take(table["label"].combine_chunks())
        )
        counts_as = None
    renamed = dict(zip(source.text, spec.text, strict=True))
    table = table.rename_columns([renamed.get(column, column) for column in table.column_names])
    slices = slices_of(raw, own.slices, table["sample_id"].to_numpy())
    size = min(own.max_samples or table.num_rows, spec.max_eval_samples or table.num_rows)
    if size < table.num_rows:
        chosen = pa.array(_sample(table["label"].to_numpy(), slices, size, own.sample_seed))
        table, slices = table.take(chosen).combine_chunks(), slices.take(chosen)
    return EvalSet(table, counts_as, slices)


def _by_value(
    spec: TaskSpec, own: EvalSetSpec, raw: pa.Table, source: TaskSpec, names: Sequence[str], train: pa.Table
) -> tuple[EvalSetSpec, pa.Table]:
    """The set with names that are texts, and its labels as the names that the task's labels stand for."""
    from hprune.tasks.labels import in_words, meant, read_labels, spelled

    if own.label_names is None:
        raw = in_words(spec, train, source, raw)
        classes = tuple(names)
    else:
        listed = tuple(name if isinstance(name, bool) else str(name) for name in own.label_names)
        classes = spelled(replace(source, label_names=listed), read_labels(source, FURTHER, raw))
        own = replace(own, label_names=classes)
    if own.merge is None:
        return own, raw

    def text(name: str | bool, among: Sequence[str], of: str) -> str:
        return meant(name if isinstance(name, bool) else str(name), among, of=of)

    merge: dict[str | bool, str | bool] = {
        text(ours, names, "the task"): text(theirs, classes, "the set") for ours, theirs in own.merge.items()
    }
    return replace(own, merge=merge), raw


def slices_of(raw: pa.Table, columns: Sequence[str], rows: NDArray[np.int64]) -> pa.Table:
    """Columns of the rows of these numbers as texts; what is missing is empty."""
    from hprune.tasks.columns import ROW  # which knows what a task is, which knows this

    at = pa.array(np.searchsorted(raw[ROW].to_numpy(), rows))  # `task.where` leaves gaps
    taken = {name: raw[name].take(at).to_pylist() for name in columns}
    return pa.table(
        {name: pa.array(["" if v is None else str(v) for v in values], pa.string()) for name, values in taken.items()}
    )


def _is_names(merge: Any) -> bool:
    return isinstance(merge, Mapping) and all(isinstance(one, NAME) for pair in merge.items() for one in pair)


def _merged(own: EvalSetSpec, names: Sequence[str]) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """What each class of the task counts as, and the names of the set's classes."""
    classes = tuple(map(str, names if own.label_names is None else own.label_names))
    if own.merge is None:
        if set(classes) != set(names):
            raise ValueError(
                f"its label_names {list(classes)} are not the classes of the task, {list(names)}: give merge"
            )
        places = {name: place for place, name in enumerate(classes)}
        order = [places[name] for name in names]
        return (None if order == sorted(order) else np.array(order)), classes
    merge = {str(ours): str(theirs) for ours, theirs in own.merge.items()}
    reached = set(merge.values())
    if set(merge) != set(names) or not reached <= set(classes):
        raise ValueError(
            f"its merge must say for each of the task's classes ({', '.join(names)}) one of its own "
            f"({', '.join(classes)}), got {merge}"
        )
    if unreached := [name for name in classes if name not in reached]:
        raise ValueError(f"its merge makes no class of the task {unreached[0]}: what is of it could never be right")
    places = {name: place for place, name in enumerate(classes)}
    return np.array([places[merge[name]] for name in names]), classes


def _sample(labels: NDArray[np.int64], slices: pa.Table, size: int, seed: int) -> NDArray[np.int64]:
    """Positions of a sample in which every combination of class and slices keeps its share."""
    keys = [labels.astype(str), *(column.to_numpy() for column in slices.columns)]
    _, strata = np.unique(np.array([" ".join(map(str, key)) for key in zip(*keys, strict=True)]), return_inverse=True)
    pool = Pool(labels, strata, runs=0, higher_is="easier", size=size, keep=None, seed=seed)
    return per_class(pool, random_like, "share")
