"""Read the splits of a task as Arrow tables, from files, from the hub or from a generator, with their own columns."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from hprune.storage.files import one_line
from hprune.tasks.spec import SPLITS, TaskSpec

log = logging.getLogger(__name__)

SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".json")
BLOCK = 1 << 26
"""Bytes that Arrow parses at once: a sample must fit into two blocks."""


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
            f"task {spec.name!r} has no data: give task.train_file=FILE (CSV, TSV, JSON lines or Parquet), "
            "task.data_dir=FOLDER with train.* in it, or task.hub_id=ID"
        )
    for name, files in spec.files.items():
        tables[name] = _read(spec, [Path(file) for file in ([files] if isinstance(files, str) else files or ())])
    empty = [name for name, table in tables.items() if table.num_rows == 0]
    if empty:
        columns = ", ".join(tables[empty[0]].column_names) or "none"
        raise ValueError(f"task {spec.name!r}: the {empty[0]} split is empty: columns {columns}, but no rows")
    return {name: _plain(table) for name, table in tables.items()}


def read_file(
    paths: Sequence[Path], encoding: str = "utf8", text: Sequence[str] = (), *, needed: Sequence[str] = ()
) -> pa.Table:
    """Read one table from a file, or from the shards of one split, by the suffix of its name.

    Args:
        paths: the file, or the shards in their order.
        encoding: of CSV and TSV files.
        text: columns of CSV and TSV files to take letter by letter, be they numbers, dates or NA.
        needed: columns that every file has, or none.

    Raises:
        ValueError: if a file is missing, empty, has another suffix, cannot be parsed or lacks a column that others
            have; the message names it.
    """
    tables = [_read_one(path, encoding, text) for path in paths]
    _check_same_columns(paths, tables, needed)
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise ValueError(f"the files {paths[0]} .. {paths[-1]} do not fit together: {one_line(error)}") from error


def _read(spec: TaskSpec, paths: Sequence[Path]) -> pa.Table:
    options = getattr(spec.kind, "options", None)  # the column of a multiple choice
    named = (*spec.text, spec.label, *([options] if isinstance(options, str) else []), *(spec.where or ()))
    return read_file(paths, spec.encoding, spec.text, needed=(*named, *spec.slices))


def _check_same_columns(paths: Sequence[Path], tables: Sequence[pa.Table], needed: Sequence[str]) -> None:
    """Refuse files of which some lack a needed column: their rows would be taken for rows without a value."""
    for column in needed:
        having = [path for path, table in zip(paths, tables, strict=True) if column in table.column_names]
        for path, table in zip(paths, tables, strict=True):
            if having and column not in table.column_names:
                raise ValueError(
                    f"{path} has no column {column!r}, which {having[0]} has and the task names; it has "
                    f"{', '.join(table.column_names)}: rename its column, or leave the file out"
                )


def _plain(table: pa.Table) -> pa.Table:
    """Dictionaries (pandas makes them of categories) and views as the values that they stand for."""

    def plain(field: pa.Field) -> pa.Field:
        if pa.types.is_dictionary(field.type):
            return field.with_type(field.type.value_type)
        return field.with_type(pa.large_string()) if pa.types.is_string_view(field.type) else field

    return table.cast(pa.schema([plain(field) for field in table.schema], metadata=table.schema.metadata))


def _read_one(path: Path, encoding: str, text: Sequence[str]) -> pa.Table:
    if not path.is_file():
        beside = sorted(p.name for p in path.parent.glob("*") if p.suffix in SUFFIXES) if path.parent.is_dir() else []
        raise ValueError(f"no file at {path}; data files in {path.parent}: {', '.join(beside) or 'none'}")
    if path.suffix not in SUFFIXES:
        raise ValueError(f"cannot tell the format of {path}: its name must end in one of {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes)")
    try:
        table = _parse(path, encoding, text)
        table.validate(full=True)  # texts are UTF-8
    except LookupError as error:
        raise ValueError(f"task.encoding={encoding} is not known ({error}); use for example utf8 or latin-1") from error
    except (pa.ArrowException, OSError, ValueError, OverflowError, RecursionError) as error:
        reason = one_line(error)
        wrong_letters = "utf" in reason.lower() or path.read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff")
        hint = "save it as UTF-8" if wrong_letters else "check the file, or export it again"
        if wrong_letters and path.suffix in (".csv", ".tsv"):
            hint += ", or set task.encoding (for example latin-1 or utf-16)"
        raise ValueError(f"{path} is not readable as {path.suffix[1:]}: {reason}; {hint}") from error
    repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if repeated:
        raise ValueError(f"{path} has more than one column {', '.join(map(repr, repeated))}; rename or remove one")
    return table


def _parse(path: Path, encoding: str, text: Sequence[str]) -> pa.Table:
    if path.suffix == ".parquet":
        return pq.read_table(path)
    if path.suffix in (".csv", ".tsv"):
        return _parse_csv(path, encoding, text)
    with path.open("rb") as file:
        start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    return _parse_json_array(path) if start.startswith(b"[") else _parse_json_lines(path)


def _parse_csv(path: Path, encoding: str, text: Sequence[str]) -> pa.Table:
    "".encode(encoding)  # there are encodings of other things than text
    delimiter = "\t" if path.suffix == ".tsv" else ","
    table = pa.csv.read_csv(
        path,
        read_options=pa.csv.ReadOptions(encoding=encoding, block_size=BLOCK),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(text, pa.large_string())),
    )
    broken = [field.name for field in table.schema if pa.types.is_binary(field.type)]
    if broken:
        raise ValueError(f"column {broken[0]!r} is not {encoding} (invalid UTF8 data)")
    return table


def _parse_json_array(path: Path) -> pa.Table:
    rows = json.loads(path.read_text(encoding="utf-8-sig"))
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("it must be an array of objects, one a sample, such as [{...}, {...}]")
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: [row.get(name) for row in rows] for name in names})


def _parse_json_lines(path: Path) -> pa.Table:
    block = pa.json.ReadOptions(block_size=BLOCK)
    table = pa.json.read_json(path, block, pa.json.ParseOptions(newlines_in_values=True))
    dates = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    if not dates:
        return table
    as_text = pa.schema([(name, pa.string()) for name in dates])  # JSON has no dates: they are texts that look like one
    return pa.json.read_json(path, block, pa.json.ParseOptions(explicit_schema=as_text, newlines_in_values=True))


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
    tables = {
        name: _read(spec, files)
        for name, split in _wanted(spec).items()
        if (files := _files_of(folder, split, spec.hub_config))
    }
    if "train" not in tables:
        there = sorted(p.name for p in folder.iterdir())[:20]
        raise ValueError(
            f"task.data_dir={folder} holds no file of the split {_wanted(spec)['train']!r}; "
            f"it holds {', '.join(there) or 'nothing'}"
        )
    return tables


def _files_of(folder: Path, split: str, config: str | None) -> list[Path]:
    """`train.parquet`, or shards `train-00000-of-00002.parquet`, in the folder or where a hub copy keeps them."""
    places = [folder, folder / "data"] + ([folder / config] if config else [])
    for place in places:
        for suffix in SUFFIXES:
            if (place / f"{split}{suffix}").is_file():
                return [place / f"{split}{suffix}"]
            if shards := sorted(place.glob(f"{split}-*-of-*{suffix}")):
                return _all_of(shards)
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
    return {ours: _with_label_names(loaded[theirs], spec.label) for ours, theirs in wanted.items() if theirs in loaded}


def _with_label_names(dataset: object, label: str) -> pa.Table:
    """The Arrow table of a hub split, with the class names of its label kept in the column's metadata."""
    table: pa.Table = dataset.with_format("arrow")[:]  # type: ignore[attr-defined]
    names = getattr(dataset.features.get(label), "names", None)  # type: ignore[attr-defined]
    if names is None:
        return table
    at = table.schema.get_field_index(label)
    return table.set_column(at, table.schema.field(at).with_metadata({"names": json.dumps(names)}), table.column(at))
