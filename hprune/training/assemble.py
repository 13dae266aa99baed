"""Put together what one run trains: tokenizer, model, and the data module over the kept samples."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import lightning as L
import numpy as np
import pyarrow as pa
import torch
from transformers import PreTrainedTokenizerBase

from hprune.data.datamodule import Encoded, FineTuningData
from hprune.data.tokenise import TokenTable
from hprune.science.records import Subset
from hprune.tasks.columns import every_text
from hprune.tasks.spec import TaskData
from hprune.training.adapter import with_adapter
from hprune.training.build import is_causal, load_model, longest_input
from hprune.training.module import FineTuner
from hprune.training.packing import pack
from hprune.training.pooling import KEY
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
