"""Arrow's own files, folders by `datasets.save_to_disk`, and the class names that files carry in their metadata."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""How a stream ends: without it, batches may be missing and nothing else would say so."""


def read_arrow(path: Path) -> pa.Table:
    """Read an IPC file (.arrow, .feather) or stream, types as stored.

    Raises:
        ValueError: if it was cut off.
        pyarrow.ArrowException: if it is no Arrow file.
    """
    content = pa.py_buffer(path.read_bytes())
    start, end = content.slice(0, 6).to_pybytes(), content.slice(max(0, content.size - 8)).to_pybytes()
    if start.startswith(b"FEA1"):
        raise ValueError("this is the first version of Feather: write it again with a newer pandas or pyarrow")
    if start == b"ARROW1":
        return pa.ipc.open_file(content).read_all()
    table = pa.ipc.open_stream(content).read_all()
    if end != END:
        raise ValueError("the stream has no end mark: it was cut off")
    return table


def is_saved(folder: Path) -> bool:
    """Whether a folder holds one table by `Dataset.save_to_disk`."""
    return (folder / "state.json").is_file()


def saved_splits(folder: Path) -> list[str]:
    """The splits of a folder by `DatasetDict.save_to_disk`; none if it is no such folder."""
    file = folder / "dataset_dict.json"
    if not file.is_file():
        return []
    try:
        return [str(name) for name in json.loads(file.read_text(encoding="utf-8"))["splits"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is damaged ({type(error).__name__}); save the data set again") from error


def shards_of(folder: Path) -> list[Path]:
    """The Arrow files of a saved table, in their order.

    Raises:
        ValueError: if the folder's own record of them is damaged, or one is missing.
    """
    file = folder / "state.json"
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        names = [str(one["filename"]) for one in state["_data_files"]]
        selected = bool(state.get("_indices_data_files"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged ({type(error).__name__}); save the data set again") from error
    if selected or not names:
        raise ValueError(f"{folder} does not hold its rows as they are; load it with datasets and save it again")
    if missing := [name for name in names if Path(name).name != name or not (folder / name).is_file()]:
        raise ValueError(f"{folder} lacks {missing[0]}, which its state.json names; copy the whole folder")
    return [folder / name for name in names]


def class_names(table: pa.Table, label: str) -> tuple[str, ...] | None:
    """The names of the classes of a ClassLabel, from the metadata that `datasets` writes into Parquet and Arrow."""
    if label not in table.schema.names or not pa.types.is_integer(table.schema.field(label).type):
        return None
    try:
        features = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"] if features[label].get("_type") == "ClassLabel" else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return tuple(map(str, names)) if isinstance(names, list) else None


def with_class_names(table: pa.Table, label: str, names: tuple[str, ...] | list[str]) -> pa.Table:
    """The table with the names of the classes in the metadata of its label column."""
    at = table.schema.get_field_index(label)
    return table.set_column(at, table.schema.field(at).with_metadata({"names": json.dumps(names)}), table.column(at))
