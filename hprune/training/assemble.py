"""Put together what one run trains: tokenizer, model, and the data module over the kept samples."""

from __future__ import annotations

import itertools
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import lightning as L
import numpy as np
import pyarrow as pa
import torch
from transformers import PreTrainedTokenizerBase

from hprune.data.datamodule import Encoded, FineTuningData
from hprune.data.tokenise import TokenTable
from hprune.science.records import Subset
from hprune.storage.files import sha256_of_json
from hprune.tasks.columns import every_text
from hprune.tasks.spec import TaskData, settings_of_kind
from hprune.training.adapter import with_adapter
from hprune.training.build import is_causal, load_model, longest_input
from hprune.training.guard import memory_given_back
from hprune.training.module import FineTuner
from hprune.training.packing import pack
from hprune.training.pooling import KEY
from hprune.training.quiet import quiet_libraries
from hprune.training.settings import RunSpec
from hprune.training.tokenizer import load_tokenizer
from hprune.training.units import tokens_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Assembled:
    """The parts of one run, seeded."""

    module: FineTuner
    datamodule: FineTuningData
    tokenizer: PreTrainedTokenizerBase


_builds: set[str] = set()
"""Digests of what this process has built once, so that it is not built again to be checked."""
SOME_TEXTS = 1000
"""Texts that the tokenizer of a model from scratch is trained on where it is only to be checked."""


def check_builds(spec: RunSpec, data: TaskData) -> None:
    """Build the model of a run once, and let go of it: what refuses it is told before the run is registered.

    Loading takes a fraction of a second for MiniLM and seconds for a large model; once a process for each model.

    Raises:
        ValueError: if the model, its tokenizer, head or adapter do not fit each other or the classes.
        OSError: if the model cannot be loaded.
    """
    parts = asdict(spec.model), settings_of_kind(spec.task.kind), list(data.label_names), spec.data.max_length
    digest = sha256_of_json(list(map(repr, parts)))
    if digest in _builds:
        return
    ours = logging.getLogger("hprune.training")
    before = ours.level
    ours.setLevel(logging.ERROR)  # the run says it
    try:
        with quiet_libraries(), memory_given_back():
            texts = (data.uncut or (data.train, ""))[0]
            tokenizer = load_tokenizer(spec.model, lambda: itertools.islice(every_text(texts), SOME_TEXTS))
            model = load_model(spec.model, spec.task.kind, label_names=data.label_names, tokenizer=tokenizer)
            longest_input(model, tokenizer, spec.data.max_length)
            with_adapter(model, spec.model.adapter)
            del model
    finally:
        ours.setLevel(before)
    _builds.add(digest)


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
    whole, digest = data.uncut or (data.train, data.data_hash)  # the rows, where samples are parts of them
    tokenizer = load_tokenizer(spec.model, lambda: every_text(whole))
    model = load_model(spec.model, spec.task.kind, label_names=data.label_names, tokenizer=tokenizer)
    longest = longest_input(model, tokenizer, spec.data.max_length)
    causal, text = is_causal(model.config.model_type), data.text

    def tokens(name: str, table: pa.Table, digest: str) -> TokenTable:
        found = tokens_of(spec, tokenizer, table, digest, longest=longest, causal=causal, root=root, text=text)
        if found.truncated:
            cut = (found.truncated, found.offsets.size - 1, longest)
            log.warning("%s: %d of %d texts are longer than %d tokens and were cut", name, *cut)
        if found.lost:
            log.warning("%s: %d answers are in no window as a whole, and are learned as no answer", name, found.lost)
        return found

    train = tokens("train", whole, digest)
    evaluation = {
        name: Encoded(
            tokens(name, table, data.evaluation_hashes[name]),
            table["label"].to_numpy(),
            table,
            data.text,
            data.counts_as.get(name),
        )
        for name, table in data.evaluation.items()
    }
    if data.uncut is not None:
        train = train.each_sequence()
    assert train.samples == data.train.num_rows, "samples and tokens are cut alike"
    first_only = spec.task.kind.pooled and not hasattr(model.config, KEY)
    packed = spec.data.packed and not spec.data.pads_all and pack(model, pooled=first_only)
    datamodule = FineTuningData(
        Encoded(train, data.train["label"].to_numpy()),
        np.searchsorted(data.train["sample_id"].to_numpy(), subset.sample_ids),
        evaluation,
        replace(spec.data, max_length=longest),
        pad_id=tokenizer.pad_token_id,
        seed=spec.seed,
        packed=packed,
        order_from="full_set" if spec.follows_full_set else "kept",
    )
    model = with_adapter(model, spec.model.adapter)
    steps = spec.steps(full=data.train.num_rows, kept=subset.sample_ids.size)
    module = FineTuner(model, spec.task.kind, spec.optim, steps=steps, grand=spec.record.grand)
    return Assembled(module, datamodule, tokenizer)
