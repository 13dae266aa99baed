"""Put together what one run trains: tokenizer, model, and the data module over the kept samples."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa
import torch
from transformers import PreTrainedTokenizerBase

from hprune.data.datamodule import Encoded, FineTuningData
from hprune.data.tokenise import cached_tokens
from hprune.science.records import Subset
from hprune.storage.files import sha256_of_json
from hprune.tasks.spec import TaskData, settings_of_kind
from hprune.training.build import load_model, load_tokenizer, longest_input
from hprune.training.module import FineTuner
from hprune.training.settings import RunSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Assembled:
    """The parts of one run, seeded."""

    module: FineTuner
    datamodule: FineTuningData
    tokenizer: PreTrainedTokenizerBase


def assemble(spec: RunSpec, data: TaskData, subset: Subset, *, root: Path) -> Assembled:
    """Build the parts of a run; the seed is set first, as the head of the model is random.

    Args:
        spec: what to run.
        data: the task's tables.
        subset: the samples that are trained on.
        root: where results lie; tokens are cached below it.
    """
    L.seed_everything(spec.seed, verbose=False)
    if spec.trainer.threads is not None:
        torch.set_num_threads(spec.trainer.threads)
    tokenizer = load_tokenizer(spec.model, [data.train[column].to_pylist() for column in data.text])
    model = load_model(spec.model, spec.task.kind, label_names=data.label_names, tokenizer=tokenizer)
    longest = longest_input(model, tokenizer, spec.data.max_length)
    state = tokenizer.backend_tokenizer.to_str()  # before its first use, which leaves traces in it

    def encoded(name: str, table: pa.Table, digest: str) -> Encoded:
        identity = [settings_of_kind(spec.task.kind), state, digest, list(data.text), longest]
        folder = root / "cache" / "tokens" / sha256_of_json(identity)[:16]
        return _encode(spec, tokenizer, table, name=name, longest=longest, folder=folder)

    kept = np.searchsorted(data.train["sample_id"].to_numpy(), subset.sample_ids)
    datamodule = FineTuningData(
        encoded("train", data.train, data.data_hash),
        kept,
        {name: encoded(name, table, data.evaluation_hashes[name]) for name, table in data.evaluation.items()},
        replace(spec.data, max_length=longest),
        pad_id=tokenizer.pad_token_id,
        seed=spec.seed,
    )
    return Assembled(FineTuner(model, spec.task.kind, len(data.label_names), spec.optim), datamodule, tokenizer)


def _encode(spec: RunSpec, tokenizer: Any, table: pa.Table, *, name: str, longest: int, folder: Path) -> Encoded:
    """Tokens of a table, made once."""
    texts = [table[column].to_pylist() for column in spec.task.text]
    tokens = cached_tokens(folder, lambda: spec.task.kind.encode(tokenizer, texts, longest))
    if tokens.truncated:
        cut = (tokens.truncated, table.num_rows, longest)
        log.warning("%s: %d of %d samples are longer than %d tokens and were cut", name, *cut)
    return Encoded(tokens, table["label"].to_numpy())
