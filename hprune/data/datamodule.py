"""The LightningDataModule: the kept rows of the train table in planned batches, and the evaluation sets."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

import lightning as L
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from hprune.data.batching import Batching, by_length, plan_batches, plan_subset
from hprune.data.checks import check_whole
from hprune.data.tokenise import TokenTable

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class DataSpec:
    """How samples become batches."""

    batch_size: int = 32
    eval_batch_size: int = 128
    max_length: int = 128
    batching: Batching = "bucketed"
    order: Literal["fixed", "reshuffled"] = "fixed"
    """One order for all epochs of a run (the paper's way), or a new one in each epoch."""
    packed: bool = True
    """Compute no padding, where the architecture allows it; `batching: max_length` computes all of it regardless."""
    workers: int = 0
    folds: int | None = None
    """Of scoring runs: a model for each of so many folds is trained on the others, and judges the samples of that fold,
    which it was not trained on. null: one model, trained on all."""

    @property
    def pads_all(self) -> bool:
        """Whether every sequence is padded to `max_length`, and the padding computed: the paper's way."""
        return self.batching == "max_length"

    def __post_init__(self) -> None:
        lows = {"batch_size": 1, "eval_batch_size": 1, "max_length": 2, "workers": 0}  # 2: the special tokens
        for name, low in lows.items():
            check_whole(f"data.{name}", getattr(self, name), low=low)
        if self.folds is not None:
            check_whole("data.folds", self.folds, low=2)
        if not isinstance(self.packed, bool):
            raise ValueError(f"data.packed must be true or false, got {self.packed!r}")
        if self.order not in ("fixed", "reshuffled"):
            raise ValueError(f"data.order must be fixed or reshuffled, got {self.order!r}")
        plan_batches(np.ones(1, dtype=np.int64), batch_size=1, seed=0, batching=self.batching)


@dataclass(frozen=True, eq=False)
class Encoded:
    """A table as the model sees it: tokens and labels of n samples."""

    tokens: TokenTable
    labels: NDArray[np.int64]  # (n,)
    table: pa.Table | None = None
    """The samples as they are, for kinds of tasks whose answers are texts,"""
    text: Sequence[str] = ()
    """and the columns of its texts."""
    counts_as: NDArray[np.int64] | None = None
    """(K,) where the set has coarser classes than the task: the one that each class of the task counts as."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) tokens of each sample, of its longest sequence."""
        lengths, first = self.tokens.lengths, self.tokens.first
        return lengths if first is None or not lengths.size else np.maximum.reduceat(lengths, first[:-1])


class PaddedBatches(Dataset[Batch]):
    """Item i is batch i: the sequences of its rows, padded on the right to the longest (or to `width`).

    `row` (B,) says which rows those are, `labels` (B,) what is right. Where a row may have several sequences, `sample`
    (M,) says whose row of the batch a sequence is, and `sequence` (M,) its number in the table. For a model that
    computes no padding (`packed`), `real` (T,) are the places of the real tokens in the flattened grid, and `starts`
    (M,) the places of the first tokens of the sequences among them.
    """

    def __init__(
        self,
        data: Encoded,
        positions: NDArray[np.int64],
        *,
        pad_id: int,
        width: int | None = None,
        packed: bool = False,
    ) -> None:
        self.data, self.positions, self.pad_id, self.width, self.packed = data, positions, pad_id, width, packed
        first = data.tokens.first
        self.sequences = np.ones(positions.size, dtype=np.int64) if first is None else np.diff(first)[positions]
        self.lengths = data.lengths[positions]  # (n,) of each row's longest sequence

    def __getitem__(self, rows: NDArray[np.int64]) -> Batch:
        tokens, positions = self.data.tokens, self.positions[rows]
        owner, sequences = self._sequences(positions)
        lengths = tokens.offsets[sequences + 1] - tokens.offsets[sequences]
        columns = np.arange(self.width or lengths.max())
        mask = columns < lengths[:, None]  # (M, L)
        source = (tokens.offsets[sequences][:, None] + columns)[mask]
        batch = {
            "input_ids": self._grid(mask, tokens.input_ids[source], self.pad_id),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
            "labels": torch.from_numpy(self.data.labels[positions]),
            "row": torch.from_numpy(rows),
        }
        if tokens.token_type_ids is not None:
            batch["token_type_ids"] = self._grid(mask, tokens.token_type_ids[source], 0)
        if self.packed:
            batch |= {
                "real": torch.from_numpy(np.flatnonzero(mask)),
                "starts": torch.from_numpy(np.cumsum(lengths) - lengths),
            }
        if owner is not None:
            batch |= {"sample": torch.from_numpy(owner), "sequence": torch.from_numpy(sequences)}
        return batch | {name: torch.from_numpy(values[sequences]) for name, values in tokens.targets.items()}

    @property
    def tokens(self) -> int:
        """Tokens of all rows, without padding."""
        return int(self.data.tokens.lengths[self._sequences(self.positions)[1]].sum())

    def _sequences(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
        """The sequences of samples one after the other, and whose they are."""
        first = self.data.tokens.first
        if first is None:
            return None, positions
        number = first[positions + 1] - first[positions]
        owner = np.repeat(np.arange(positions.size), number)
        within = np.arange(owner.size) - np.repeat(np.cumsum(number) - number, number)
        return owner, first[positions][owner] + within

    @staticmethod
    def _grid(mask: NDArray[np.bool_], values: NDArray[np.integer], fill: int) -> Tensor:
        grid = np.full(mask.shape, fill, dtype=np.int64)
        grid[mask] = values
        return torch.from_numpy(grid)


class Shares(Dataset[Batch]):
    """What one of several processes takes of each batch: every `world`-th of its rows, from the `rank`-th on.

    `weight` () is its share of the batch's sequences times `world`: the mean over the processes of weight times mean
    loss is the mean loss of the batch. A process that finds nothing for it takes the first row with weight 0, as all
    must go through the model equally often; `filler` says so.
    """

    def __init__(self, batches: PaddedBatches, rank: int, world: int) -> None:
        self.batches, self.rank, self.world = batches, rank, world

    def __getitem__(self, rows: NDArray[np.int64]) -> Batch:
        own, sequences = rows[self.rank :: self.world], self.batches.sequences
        weight = self.world * sequences[own].sum() / sequences[rows].sum()
        batch = self.batches[own if own.size else rows[:1]] | {"weight": torch.tensor(weight, dtype=torch.float32)}
        return batch if own.size else batch | {"filler": torch.tensor(True)}


class PlannedBatches(Sampler[NDArray[np.int64]]):
    """Yields the planned batches of the current epoch; Lightning calls `set_epoch` before each.

    Args:
        lengths: (N,) tokens of each row.
        spec: how to batch.
        seed: of the run.
        kept: (n,) the rows that are trained on, increasing, in the order that all rows would come in; a batch holds
            positions in it. None: all of them.
    """

    def __init__(
        self, lengths: NDArray[np.int64], spec: DataSpec, seed: int, kept: NDArray[np.int64] | None = None
    ) -> None:
        self.lengths, self.spec, self.seed, self.kept, self.epoch = lengths, spec, seed, kept, 0
        self.done = (0, 0)  # so many batches of an epoch were trained before an interruption
        self._planned: tuple[int, list[NDArray[np.int64]]] | None = None

    def set_epoch(self, epoch: int) -> None:
        """Move to an epoch; with a fixed order its batches are those of the first."""
        self.epoch = epoch

    def continue_at(self, epoch: int, batches: int) -> None:
        """Go on after so many batches of an epoch; after all of them, with the next epoch."""
        self.epoch, self.done = (epoch + 1, (epoch + 1, 0)) if batches >= len(self) else (epoch, (epoch, batches))

    def batches(self) -> list[NDArray[np.int64]]:
        """The batches of the current epoch."""
        epoch = self.epoch if self.spec.order == "reshuffled" else 0
        if self._planned is None or self._planned[0] != epoch:
            self._planned = (epoch, self.of_epoch(epoch))
        return self._planned[1]

    def of_epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of any epoch of a new order; of a fixed one there is only 0."""
        size, batching, kept = self.spec.batch_size, self.spec.batching, self.kept
        if kept is None:
            return plan_batches(self.lengths, batch_size=size, seed=self.seed, batching=batching, epoch=epoch)
        return plan_subset(self.lengths, kept, batch_size=size, seed=self.seed, batching=batching, epoch=epoch)

    def __iter__(self):  # type: ignore[no-untyped-def]
        epoch, done = self.done
        return iter(self.batches()[done if epoch == self.epoch else 0 :])

    def __len__(self) -> int:  # of the whole epoch: the trainer counts what was done before
        return -(-(self.lengths if self.kept is None else self.kept).size // self.spec.batch_size)


class FineTuningData(L.LightningDataModule):
    """Train batches over a subset mask, and every evaluation set.

    Args:
        train: the whole train table.
        kept: (n,) positions in it that are trained on, increasing; row r of a batch is `kept[r]`.
        evaluation: the evaluation sets by name.
        spec: how to batch.
        pad_id: the tokenizer's pad token.
        seed: of the run.
        packed: whether the model computes no padding, and batches carry what that takes.
        order_from: the kept rows come in the order that the `full_set` would, or in one drawn for the `kept` alone.
    """

    def __init__(
        self,
        train: Encoded,
        kept: NDArray[np.int64],
        evaluation: Mapping[str, Encoded],
        spec: DataSpec,
        *,
        pad_id: int,
        seed: int,
        packed: bool = False,
        order_from: Literal["full_set", "kept"] = "kept",
    ) -> None:
        super().__init__()
        width = spec.max_length if spec.pads_all else None
        self.spec, self.pad_id, self.packed = spec, pad_id, packed
        self.train = PaddedBatches(train, kept, pad_id=pad_id, width=width, packed=packed)
        own = order_from == "kept"
        self.plan = PlannedBatches(self.train.lengths if own else train.lengths, spec, seed, None if own else kept)
        self.evaluation = dict(evaluation)

    def state_dict(self) -> dict[str, int]:
        """Where a checkpoint continues: the epoch, and how many batches of it are trained.

        Those that are `ready`: the batch after which a checkpoint is written does not count as `completed` yet.
        """
        assert self.trainer is not None
        batches = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        return {"epoch": self.trainer.current_epoch, "batches": batches}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Move the plan on: the trainer fetches the first batch of a resumed run before it calls `set_epoch`."""
        self.plan.continue_at(state_dict["epoch"], state_dict["batches"])

    def train_dataloader(self) -> DataLoader[Batch]:
        """The planned batches of the kept rows."""
        return self._loader(self.train, self.plan, self.spec.workers)

    def clean_pass(self) -> DataLoader[Batch]:
        """Every kept row once, sorted by length: for judging without training."""
        return self._loader(self.train, by_length(self.train.lengths, self.spec.eval_batch_size), 0)

    def evaluation_loader(self, name: str) -> DataLoader[Batch]:
        """One evaluation set, every row once."""
        batches = self.evaluation_batches(name)
        return self._loader(batches, by_length(batches.lengths, self.spec.eval_batch_size), 0)

    def evaluation_batches(self, name: str) -> PaddedBatches:
        """What batches of one evaluation set are made of."""
        data = self.evaluation[name]
        return PaddedBatches(data, np.arange(data.labels.size), pad_id=self.pad_id, packed=self.packed)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation set, after each epoch."""
        return self.evaluation_loader("validation")

    def _loader(
        self, batches: PaddedBatches, plan: PlannedBatches | Sequence[NDArray[np.int64]], workers: int
    ) -> DataLoader[Batch]:
        """The batches, or what this process takes of them."""
        world = 1 if self.trainer is None else self.trainer.world_size
        own = batches if self.trainer is None or world == 1 else Shares(batches, self.trainer.global_rank, world)
        # A generator of its own, so that making an iterator does not draw from the global one, which dropout uses.
        generator = torch.Generator()
        return DataLoader(
            own,
            batch_size=None,
            sampler=plan,
            num_workers=workers,
            persistent_workers=workers > 0,
            generator=generator,
            worker_init_fn=_leave_quietly if workers else None,
        )


LEAVE = 10
"""Seconds that a process which makes batches has to be told to end, after SIGTERM."""


def _leave_quietly(worker: int) -> None:
    """In a process that makes batches: leave Ctrl-C and SIGTERM to the main process, which then ends this one.

    It inherits the handler of the main process, which raises, and a batch system sends SIGTERM to every process of a
    job. To end at once would make torch raise in the main process, in the midst of its own way out, or leave it half a
    batch to wait for.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(LEAVE))
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    sys.excepthook = _unless_left


def _unless_left(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say nothing where the main process hung up while it was handed a batch: a thread of Python's tells that here."""
    if not issubclass(kind, (ConnectionError, EOFError)):
        sys.__excepthook__(kind, error, trace)
