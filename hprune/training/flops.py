"""What a run multiplies and adds, counted: once for batches of a few shapes, then by the shapes of all its batches.

The operations of a transformer on a batch are a sum of five terms: of its real tokens, of the cells of its grid, of its
pairs of cells (attention), of its sequences, and a constant. PyTorch's counter goes along with the model over seven
batches without any values (tensors of the device `meta`), which gives the five numbers in a second or so, whatever the
size of the model. It counts products of matrices, two operations for a product and its sum, and nothing else. Seven
counts must agree on five numbers to the operation, or nothing is said.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode
from transformers import AttentionInterface, PreTrainedModel

from hprune.data.datamodule import FineTuningData, PaddedBatches
from hprune.training.module import FineTuner

log = logging.getLogger(__name__)

Plan = Sequence[NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class FlopModel:
    """The operations of a model by the shape of a batch, see `shapes`."""

    forward: NDArray[np.float64]  # (5,)
    step: NDArray[np.float64]  # (5,) forward and backward

    def of_steps(self, shapes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(batches,) to learn from each batch; the optimiser itself multiplies no matrices."""
        return np.rint(shapes @ self.step)

    def of_passes(self, shapes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(batches,) to judge or answer each batch."""
        return np.rint(shapes @ self.forward)


def shapes(batches: PaddedBatches, plan: Plan) -> NDArray[np.float64]:
    """What the operations on each batch of a plan depend on, (batches, 5).

    Real tokens T, cells of the grid M L, pairs of cells M L^2, sequences M, and 1; L is the longest sequence, or the
    width that all are padded to.
    """
    if not len(plan):
        return np.empty((0, 5))
    rows = np.concatenate(plan)
    starts = np.cumsum([0, *map(len, plan[:-1])])
    longest = np.maximum.reduceat(batches.lengths[rows], starts)
    length = longest if batches.width is None else np.full_like(longest, batches.width)
    number = np.add.reduceat(batches.sequences[rows], starts)
    tokens = np.add.reduceat(_tokens(batches)[rows], starts)
    columns = (tokens, number * length, number * length * length, number, np.ones_like(number))
    return np.stack([column.astype(np.float64) for column in columns], axis=1)


def _tokens(batches: PaddedBatches) -> NDArray[np.int64]:
    """(n,) real tokens of each row, over all of its sequences."""
    table = batches.data.tokens
    ends = table.offsets if table.first is None else table.offsets[table.first]
    return np.asarray(np.diff(ends)[batches.positions])


def planned(datamodule: FineTuningData, *, epochs: int, batches: int | None = None) -> NDArray[np.float64]:
    """The shapes of all batches that a run learns from, epoch by epoch.

    Args:
        datamodule: of the run.
        epochs: that it goes through.
        batches: after so many it ends, within an epoch too.
    """
    found: list[NDArray[np.float64]] = []
    for epoch in range(epochs):
        if epoch == 0 or datamodule.spec.order == "reshuffled":
            of_epoch = shapes(datamodule.train, datamodule.plan.of_epoch(epoch))
        found.append(of_epoch)
    return np.concatenate(found)[:batches]


def flop_model(module: FineTuner, datamodule: FineTuningData) -> FlopModel | None:
    """Count the operations of a model on a few batches; None, with a line in the log, if that cannot be done.

    Args:
        module: before it is spread over devices.
        datamodule: the batches that it will see.
    """
    key = _description(module, datamodule)
    if key in _known:
        return _known[key]
    seen = list(_samples(datamodule))
    try:
        with _attention_counted(module.model):
            counts = np.array([_count(module, batches[rows]) for batches, rows in seen], dtype=np.float64)
    except Exception as error:  # of code that looks at values, which are not there: a count is no reason to fail
        log.debug("the operations of %s are not counted: %s", type(module.model).__name__, error)
        return None
    found = np.concatenate([shapes(batches, [rows]) for batches, rows in seen])
    scale = found.max(axis=0)
    forward, step = (np.linalg.lstsq(found / scale, counts[:, i], rcond=1e-12)[0] / scale for i in range(2))
    if not np.allclose(found @ np.stack([forward, step], axis=1), counts, rtol=1e-9, atol=0.5):
        log.debug("the operations of %s do not follow the shape of a batch", type(module.model).__name__)
        return None
    if np.linalg.matrix_rank(found / scale) == found.shape[1]:  # so it holds for batches of any shape
        _known[key] = FlopModel(forward, step)
    return FlopModel(forward, step)


_known: dict[int, FlopModel] = {}  # the runs of a study train the same model again and again


def _description(module: FineTuner, datamodule: FineTuningData) -> int:
    """What the five numbers depend on."""
    weights = tuple((name, tuple(p.shape), p.requires_grad) for name, p in module.named_parameters())
    how = (type(module.model).__name__, module.model.config.to_json_string(), repr(module.kind))
    return hash((weights, how, datamodule.packed))


def _samples(datamodule: FineTuningData) -> Iterator[tuple[PaddedBatches, NDArray[np.int64]]]:
    """Batches of seven shapes: few rows and many, short ones and long ones, mixed; of the train set and of another."""
    other = [datamodule.evaluation_batches(name) for name in list(datamodule.evaluation)[:1]]
    for batches in (datamodule.train, *other):
        order = np.argsort(batches.lengths, kind="stable")
        short, middle, long = order[[0, order.size // 2, -1]]
        of_train = ([short], [short, long], [middle, long, short]) if batches is datamodule.train else ([middle],)
        for rows in (*of_train, [long]):
            yield batches, np.array(rows)
        yield batches, order[-datamodule.spec.eval_batch_size :][: order.size // 2 + 1]


def _count(module: FineTuner, batch: dict[str, Tensor]) -> tuple[int, int]:
    """The operations of a pass, and of a pass and back."""
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    blank = {
        name: torch.empty(value.shape, dtype=value.dtype, device="meta").requires_grad_(value.requires_grad)
        for name, value in named.items()
    }
    blank_batch = {name: value.to("meta") for name, value in batch.items()}
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:
        outputs = functional_call(module, blank, (blank_batch,))
        forward = counter.get_total_flops()
        outputs.sum().backward()
    return forward, counter.get_total_flops()


@contextmanager
def _attention_counted(model: PreTrainedModel) -> Iterator[None]:
    """Let attention be two products of matrices over the whole grid, as kernels that do both at once are not counted.

    No mask is made either, for which transformers looks at the values of a batch.
    """
    before = model.config._attn_implementation
    if before != "packed":
        AttentionInterface.register("counted", _plain_attention)
        model.config._attn_implementation = "counted"
    try:
        yield
    finally:
        model.config._attn_implementation = before


def _plain_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **_: Any
) -> tuple[Tensor, None]:
    """(B, H, L, d) -> (B, L, H, d); keys and values may have fewer heads."""
    groups = query.shape[1] // key.shape[1]
    key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    weights = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]), dim=-1)
    return (weights @ value).transpose(1, 2).contiguous(), None
