"""What the samples of a run are: the rows of its task, or parts of them that depend on the model's tokens."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from transformers import AutoModel

from hprune.data.tokenise import TokenTable, cached_tokens
from hprune.science.units import part_ids, part_numbers
from hprune.storage.files import sha256_of_json
from hprune.storage.known_names import known_by_older_names
from hprune.tasks.columns import every_text
from hprune.tasks.load import content_hash, load_task
from hprune.tasks.spec import TaskData
from hprune.training.build import config_of, is_causal, longest_input
from hprune.training.settings import RunSpec
from hprune.training.tokenizer import load_tokenizer

log = logging.getLogger(__name__)

LONG_TEXT = 10_000_000
"""Bytes of a text from which on a warning is due."""

LAYOUT = 3
"""Of cached token tables: a change makes them anew."""


def load_samples(spec: RunSpec, *, root: Path) -> TaskData:
    """The tables of a run's task, with samples that are what it prunes.

    Args:
        spec: what to run; parts of a row depend on its task, its model's tokenizer and `data.max_length`.
        root: where results lie; tokens are cached below it.

    Raises:
        ValueError: see `hprune.tasks.load.load_task`.
        OSError: if data or tokenizer cannot be reached.
    """
    data = _as_known(load_task(spec.task), spec.task.name, root)
    return cut_into_parts(spec, data, root=root) if spec.task.kind.parts else data


def _as_known(data: TaskData, task: str, root: Path) -> TaskData:
    """The same data, under the names of its classes in the settings of what 0.1.0 trained on them below this root."""
    if not data.older_names or not known_by_older_names(
        root, task, data.data_hash, older=data.older_names, names=data.label_names
    ):
        return data
    log.info(
        "%s: runs of hprune 0.1.0 on these data are there, which called the classes %s: they are continued; the names "
        "are %s", task, *(", ".join(names[:10]) for names in (data.older_names, data.label_names)),
    )  # fmt: skip
    return replace(data, settings_names=data.older_names)


def cut_into_parts(spec: RunSpec, data: TaskData, *, root: Path) -> TaskData:
    """The same data with each sequence of the train table a sample: windows, or options.

    The new table has `row` (the question's sample_id), `part`, and for windows `start` and `end`, the characters of the
    context that a window shows. Evaluation sets stay as they are: questions are answered as a whole.
    """
    tokenizer = load_tokenizer(spec.model, lambda: every_text(data.train))
    config = config_of(spec.model, tokenizer)
    with torch.device("meta"):
        longest = longest_input(AutoModel.from_config(config), tokenizer, spec.data.max_length)
    causal = is_causal(config.model_type)
    tokens = tokens_of(
        spec, tokenizer, data.train, data.data_hash, longest=longest, causal=causal, root=root, text=data.text
    )
    assert tokens.first is not None
    owners, parts = part_numbers(tokens.first)
    rows = data.train["sample_id"].to_numpy()[owners]
    own = {"sample_id": part_ids(rows, parts), "row": rows, "part": parts, **_shown_part(tokens)}
    # every column: the hash must cover whatever is learned from
    of_rows = data.train.drop_columns(["sample_id", "label"]).take(pa.array(owners))
    taken = sorted(set(own) & set(of_rows.column_names))
    if taken:
        raise ValueError(f"task.text must not name a column {taken[0]!r} where samples are parts of a row; rename it")
    train = pa.table({**own, **dict(zip(of_rows.column_names, of_rows.columns, strict=True))}).append_column(
        "label", pa.array(spec.task.kind.part_labels(tokens))
    )
    log.info("%s: %d questions make %d samples", spec.task.name, data.train.num_rows, train.num_rows)
    return replace(data, train=train, data_hash=content_hash(train), uncut=(data.train, data.data_hash))


def tokens_of(
    spec: RunSpec,
    tokenizer: Any,
    table: pa.Table,
    digest: str,
    *,
    longest: int,
    causal: bool,
    root: Path,
    text: Sequence[str] | None = None,
) -> TokenTable:
    """The tokens of a table, made once for what they depend on: kind of task, tokenizer, content, length.

    `text` are the names of its columns of texts, where the task may give their places.
    """
    text = list(spec.task.text if text is None else text)
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()  # these two are traces of its last use
    backend.no_padding()
    kind = [type(spec.task.kind).__name__, dict(spec.task.kind.encoding)]
    beside = [tokenizer.model_input_names, tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.truncation_side]
    identity = [LAYOUT, kind, backend.to_str(), beside, digest, text, longest, causal]
    folder = root / "cache" / "tokens" / sha256_of_json(identity)[:16]

    def encode() -> TokenTable:
        _warn_of_long_texts(spec.task.name, table, text)
        return spec.task.kind.encode(tokenizer, table, text, longest, causal=causal)

    return cached_tokens(folder, encode)


def _warn_of_long_texts(task: str, table: pa.Table, text: Sequence[str]) -> None:
    """Say which sample has a text so long that tokenising it takes minutes and memory, whatever is cut then."""
    for column in text:
        sizes = pc.fill_null(pc.binary_length(table[column]), 0).to_numpy()
        if sizes.size and sizes.max() >= LONG_TEXT:
            longest, others = int(sizes.argmax()), int((sizes >= LONG_TEXT).sum()) - 1
            log.warning(
                "%s: column %r of sample %d holds %.0f MB%s: it is tokenised as a whole before it is cut, "
                "which takes minutes and many times its memory; is it one text?",
                task, column, table["sample_id"][longest].as_py(), sizes[longest] / 1e6,
                f", and {others} others are as long" if others else "",
            )  # fmt: skip


def _shown_part(tokens: TokenTable) -> dict[str, NDArray[np.int64]]:
    """The characters of the context that each window shows."""
    if tokens.chars is None:
        return {}
    inside = tokens.chars[:, 0] >= 0
    start = np.where(inside, tokens.chars[:, 0], np.iinfo(np.int32).max)
    return {
        "start": np.minimum.reduceat(start, tokens.offsets[:-1]).astype(np.int64),
        "end": np.maximum.reduceat(tokens.chars[:, 1], tokens.offsets[:-1]).astype(np.int64),
    }
