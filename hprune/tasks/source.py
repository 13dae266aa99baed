"""Read the splits of a task as Arrow tables, from files, from the hub or from a generator, with their own columns."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from hprune.storage.files import one_line
from hprune.tasks.columns import by_name
from hprune.tasks.reading.arrow_files import is_saved, with_class_names
from hprune.tasks.reading.files import SUFFIXES, is_data, plain_types, read_files, suffix_of
from hprune.tasks.reading.form import Form
from hprune.tasks.spec import SPLITS, TaskSpec

log = logging.getLogger(__name__)

VALIDATION = ("dev", "valid", "val", "eval", "evaluation")
"""What others call a validation split."""


def read_splits(spec: TaskSpec) -> dict[str, pa.Table]:
    """Read every split that the task has.

    Returns:
        The tables by our names of the splits; "train" is always there, each has at least one row.

    Raises:
        ValueError: if there is no source, a file is missing, empty or not what its name says.
        OSError: if the hub cannot be reached and nothing is at hand locally.
    """
    if spec.train_file is not None:
        tables = {}
    elif spec.data_dir is not None:
        tables = _read_folder(spec, Path(spec.data_dir))
    elif spec.generate is not None:
        tables = {name: spec.generate(split) for name, split in _wanted(spec).items()}
    elif spec.hub_id is not None:
        tables = _read_hub(spec)
    else:
        raise ValueError(
            f"task {spec.name!r} has no data: give task.train_file=FILE (CSV, TSV, JSON lines, Parquet or Arrow), "
            "task.data_dir=FOLDER with train.* in it, or task.hub_id=ID"
        )
    for name, files in spec.files.items():
        paths = [files] if isinstance(files, str) else files or ()
        tables[name] = _read(_by_train(spec, tables), [Path(path) for path in paths])
    empty = [name for name, table in tables.items() if table.num_rows == 0]
    if empty:
        columns = ", ".join(tables[empty[0]].column_names) or "none"
        raise ValueError(f"task {spec.name!r}: the {empty[0]} split is empty: columns {columns}, but no rows")
    return {name: plain_types(table) for name, table in tables.items()}


def read_file(
    paths: Sequence[Path], encoding: str = "utf8", text: Sequence[str] = (), *, needed: Sequence[str] = ()
) -> pa.Table:
    """Read one table from a file, or from the shards of one split, by the end of its name.

    Args:
        paths: the file, or the shards in their order.
        encoding: of CSV and TSV files.
        text: columns of texts: numbers in them are taken as they are written, in JSON, too.
        needed: columns that every file has, or none.

    Raises:
        ValueError: if a file is missing, empty, has another suffix, cannot be parsed or lacks a column that others
            have; the message names it.
    """
    return read_files(paths, Form(encoding, text=text, needed=needed))


def _by_train(spec: TaskSpec, tables: Mapping[str, pa.Table]) -> TaskSpec:
    """The task with the names of columns that are given by their places in the train split, once that is read."""
    return by_name(spec, tables["train"].column_names) if "train" in tables else spec


def _read(spec: TaskSpec, paths: Sequence[Path]) -> pa.Table:
    options = getattr(spec.kind, "options", None)  # the column of a multiple choice
    text = (*spec.text, *([options] if isinstance(options, str) else []))
    needed = (*text, spec.label, *(spec.where or ()), *spec.slices)
    return read_files(paths, Form(spec.encoding, spec.delimiter, spec.quoting, text, needed, spec.label))


def _wanted(spec: TaskSpec) -> dict[str, str]:
    """Our name of each split and the source's, but for those that come from files of their own."""
    names = (*SPLITS, *(name for name in spec.splits if name not in SPLITS))
    return {n: source for n in names if n not in spec.files and (source := spec.splits.get(n)) is not None}


def _read_folder(spec: TaskSpec, folder: Path) -> dict[str, pa.Table]:
    if not folder.is_dir():
        raise ValueError(
            f"task.data_dir={folder} is not a folder; "
            f"it must hold {_wanted(spec)['train']}.parquet (or {', '.join(SUFFIXES[1:])})"
        )
    if is_saved(folder):
        return {"train": _read(spec, [folder])}
    files = {name: found for name, split in _wanted(spec).items() if (found := _files_for(spec, folder, name, split))}
    if "train" not in files:
        there = sorted(p.name for p in folder.iterdir())[:20]
        raise ValueError(
            f"task.data_dir={folder} holds no file of the split {_wanted(spec)['train']!r}; "
            f"it holds {', '.join(there) or 'nothing'}"
        )
    _tell_unused(spec, folder, [file for found in files.values() for file in found])
    tables: dict[str, pa.Table] = {}
    for name, found in files.items():
        tables[name] = _read(_by_train(spec, tables), found)
    return tables


def _files_for(spec: TaskSpec, folder: Path, name: str, split: str) -> list[Path]:
    """The files of a split; those of the validation split may have another of its usual names."""
    if (files := _files_of(folder, split, spec.hub_config)) or not name == split == "validation":
        return files
    others = [other for other in VALIDATION if other not in spec.splits.values()]
    found = {other: files for other in others if (files := _files_of(folder, other, spec.hub_config))}
    if len(found) > 1:
        first, second, *_ = found
        raise ValueError(
            f"task.data_dir={folder} holds {first} and {second}, and either may be the validation split: "
            f"set task.splits.validation={first} or {second}, or null to hold out a part of train"
        )
    for other in found:
        log.info("%s: the validation split is %s (task.splits.validation=null: a part of train)", spec.name, other)
    return next(iter(found.values()), [])


def _tell_unused(spec: TaskSpec, folder: Path, used: Sequence[Path]) -> None:
    """Name the data files of a folder that no split takes, and the key that takes them."""
    if len(spec.splits) == 1:
        return  # one split is asked for, as a further set to evaluate on is
    unused: dict[str, Path] = {}
    for path in sorted(path for place in {folder, *(file.parent for file in used)} for path in place.iterdir()):
        if path not in used and is_data(path):
            stem = re.sub(r"-\d+-of-\d+$", "", path.name.removesuffix(suffix_of(path) or ""))
            if spec.splits.get(stem, stem) is not None and stem not in spec.files:
                unused.setdefault(stem, path)
    for stem, path in unused.items():
        named = re.fullmatch(r"[A-Za-z0-9_-]+", stem) and stem not in spec.splits
        key = f"+task.splits.{stem}={stem}" if named else f"task.test_file={path}"
        log.info(
            "%s: %s is not used: %s evaluates on it, task.validation_file=%s validates on it",
            spec.name, path, key, path,
        )  # fmt: skip


def _files_of(folder: Path, split: str, config: str | None) -> list[Path]:
    """`train.parquet`, shards `train-00000-of-00002.parquet`, or a saved table `train`.

    They are in the folder, or where a copy of the hub keeps them.
    """
    places = [folder, folder / "data"] + ([folder / config] if config else [])
    for place in places:
        for suffix in SUFFIXES:
            if (place / f"{split}{suffix}").is_file():
                return [place / f"{split}{suffix}"]
            if shards := sorted(place.glob(f"{split}-*-of-*{suffix}")):
                return _all_of(shards)
        if is_saved(place / split):
            return [place / split]
    return []


def _all_of(shards: list[Path]) -> list[Path]:
    planned = re.search(r"-of-(\d+)", shards[-1].name)
    if planned and int(planned[1]) != len(shards):
        raise ValueError(f"{shards[-1]} is one of {int(planned[1])} shards, but {len(shards)} are there; copy them all")
    return shards


def _read_hub(spec: TaskSpec) -> dict[str, pa.Table]:
    import datasets  # seconds of import, only where it is needed

    name = f"{spec.hub_id}" + (f" ({spec.hub_config})" if spec.hub_config else "")
    try:
        loaded = datasets.load_dataset(spec.hub_id, spec.hub_config, revision=spec.hub_revision)
    except (OSError, datasets.exceptions.DatasetsError, ValueError, RuntimeError) as error:
        call = f"datasets.load_dataset({spec.hub_id!r}, {spec.hub_config!r})"
        raise OSError(
            f"cannot get the data set {name} of task {spec.name!r}: no local copy and the hub did not give it "
            f"({one_line(error)}). Two ways on: work from local files of the same columns with task.data_dir=FOLDER, "
            f'or fetch it once on a machine with network (python -c "import datasets; {call}") '
            "and bring its cache (HF_HOME) along"
        ) from error
    wanted = _wanted(spec)
    if wanted["train"] not in loaded:
        raise ValueError(f"{name} has no split {wanted['train']!r}; it has {', '.join(loaded)}: set task.splits.train")
    label = by_name(spec, loaded[wanted["train"]].column_names).label
    return {ours: _with_label_names(loaded[theirs], label) for ours, theirs in wanted.items() if theirs in loaded}


def _with_label_names(dataset: object, label: str) -> pa.Table:
    """The Arrow table of a hub split, with the class names of its label kept in the column's metadata."""
    table: pa.Table = dataset.with_format("arrow")[:]  # type: ignore[attr-defined]
    names = getattr(dataset.features.get(label), "names", None)  # type: ignore[attr-defined]
    return table if names is None else with_class_names(table, label, names)
