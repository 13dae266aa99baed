"""From the answers to the batches of an evaluation set to its metrics and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hprune.data.datamodule import Encoded
from hprune.tasks.spec import Evaluation, TaskKind
from hprune.training.ranks import gathered


class Answers(NamedTuple):
    """What a model answered to a batch of M sequences, on the CPU."""

    values: Mapping[str, Tensor]  # (M, ...) each
    at: Tensor  # (M,) the number of each sequence in its table
    loss: Tensor  # (), the mean over the batch


def everyones(batches: Sequence[Answers]) -> list[Answers]:
    """The answers of all processes of a run."""
    return [batch for answered in gathered(list(batches)) for batch in answered]


def evaluation_of(kind: TaskKind, batches: Sequence[Answers], data: Encoded, *, name: str) -> Evaluation:
    """Metrics, the mean loss among them, and predictions of a whole set.

    Args:
        kind: of the task.
        batches: the answers to every sequence of the set, once each, in any order.
        data: the set.
        name: of the set, for the error.

    Raises:
        FloatingPointError: if an answer is not a number.
    """
    at = torch.cat([batch.at for batch in batches])
    order = at.argsort()
    answers = {name: torch.cat([batch.values[name] for batch in batches])[order] for name in batches[0].values}
    if not all(torch.isfinite(values).all() for values in answers.values()):
        raise FloatingPointError(
            f"the model gives no numbers on {name}: its weights diverged in the last steps; "
            "lower optim.lr, add optim.warmup, or train with trainer.precision=32"
        )
    found = kind.evaluate(answers, data)
    sizes = torch.tensor([batch.at.numel() for batch in batches], dtype=torch.float64)
    loss = float((torch.stack([batch.loss for batch in batches]).double() * sizes).sum() / sizes.sum())
    return Evaluation({"loss": loss, **found.metrics}, found.columns)  # a set of other classes has a loss of its own
