"""What hprune 0.1.0 called the classes of files whose labels are read by other rules since.

It took booleans and texts such as 011 for numbers, and did not see the names of a ClassLabel in a file's metadata. The
names of the classes are part of what a run is, so runs of 0.1.0 are found again by the names that it gave.
"""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from hprune.tasks.columns import is_text, is_untyped
from hprune.tasks.spec import TaskSpec


def older_names(spec: TaskSpec, train: pa.Table) -> tuple[str, ...] | None:
    """The names that 0.1.0 found for the classes in the labels of a file.

    Args:
        spec: the task.
        train: its train split as it came.

    Returns:
        The numbers of the classes as texts, or the different texts, sorted; None if the names are given, come from the
        hub, or 0.1.0 read no labels there.
    """
    from_file = spec.train_file is not None or spec.data_dir is not None
    if not from_file or spec.label_names is not None or not getattr(spec.kind, "merges", False):
        return None
    values = train[spec.label].unique()
    if is_untyped(train.schema.field(spec.label)):
        values = _as_guessed(values)
    if is_text(values.type):
        texts = set(pc.utf8_trim_whitespace(values.cast(pa.large_string())).to_pylist()) - {None, "", "-1"}
        return tuple(sorted(texts))
    if pa.types.is_floating(values.type):
        values = values.filter(pc.is_finite(values))
    try:
        numbers = values.cast(pa.int64()).drop_null().to_pylist()
    except pa.ArrowException:
        return None
    return tuple(str(number) for number in sorted(set(numbers)) if number >= 0)


def _as_guessed(values: pa.Array) -> pa.Array:
    """Texts of a file without types as what Arrow guesses that they are, as 0.1.0 had them."""
    content = io.BytesIO()
    pa.csv.write_csv(pa.table({"label": values}), content)
    size = max(1 << 20, min(content.tell() + 1, 2**31 - 2))  # a text that is longer than a block cannot be read
    content.seek(0)
    options = pa.csv.ParseOptions(newlines_in_values=True)
    blocks = pa.csv.ReadOptions(block_size=size)
    return pa.csv.read_csv(content, read_options=blocks, parse_options=options)["label"].combine_chunks()
