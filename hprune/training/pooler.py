"""Whether a checkpoint's pooler says anything: measured before the first step, on a few samples.

A head behind a pooler learns from the pooler's vectors alone, as far as they differ between samples. Some checkpoints,
of sentence embeddings above all, have a pooler that no loss ever looked at.
"""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hprune.data.datamodule import FineTuningData, PaddedBatches
from hprune.training.features import body_of, judging, vectors_of
from hprune.training.module import FineTuner
from hprune.training.pooling import KEY

SAMPLES, TOKENS = 256, 1 << 14
"""The first so many samples, if they have no more tokens; seconds of a base model on a CPU."""


class PoolerFacts(L.Callback):
    """Measures the pooler when a run starts; what it found stays with the run's checkpoint.

    Nothing is drawn and no weight changes, so the run is the same to the byte. A model that is spread over devices is
    left alone: all processes would have to bring it together.

    Args:
        pretrained: whether the weights come from a checkpoint.
    """

    def __init__(self, *, pretrained: bool) -> None:
        self.pretrained, self.found = pretrained, dict[str, float]()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure, unless the run was interrupted and goes on."""
        assert isinstance(pl_module, FineTuner)
        spread_out = pl_module.device_mesh is not None
        if self.pretrained and trainer.is_global_zero and not trainer.global_step and not spread_out:
            self.found = pooler_facts(pl_module, trainer.datamodule) or {}  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, Any]:
        """Keep what was measured, so that a continued run does not measure a trained pooler."""
        return {"found": self.found}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what was measured before the interruption."""
        self.found = state_dict["found"]


def pooler_facts(module: FineTuner, datamodule: FineTuningData) -> dict[str, float] | None:
    """How much the pooler that the head reads says of the first samples; None if the head reads none.

    Returns:
        `mean_abs` of its vectors; `spread`, their standard deviation over sequences, and `spread_of_mean_pooling`, that
        of the mean states, both as means over dimensions; `samples`. A pooler ends in tanh, so the first two lie in
        0..1.
    """
    body = body_of(module.model)
    reads = module.kind.pooled and not hasattr(body.config, KEY)
    if not reads or not isinstance(getattr(body, "pooler", None), nn.Module):
        return None
    rows = _first_rows(datamodule.train)
    size = datamodule.spec.batch_size
    found = []
    with judging(body):
        for some in (rows[at : at + size] for at in range(0, rows.size, size)):
            batch = {name: values.to(module.device) for name, values in datamodule.train[some].items()}
            found.append(vectors_of(body, batch))
    means, vectors = torch.cat([mean for mean, _ in found]), [vector for _, vector in found if vector is not None]
    if not vectors:
        return None
    said = torch.cat(vectors)
    facts = {
        "mean_abs": float(said.abs().mean()),
        "spread": float(said.std(dim=0, correction=0).mean()),
        "spread_of_mean_pooling": float(means.std(dim=0, correction=0).mean()),
        "samples": int(rows.size),
    }
    return facts if np.isfinite(list(facts.values())).all() else None


def _first_rows(batches: PaddedBatches) -> NDArray[np.int64]:
    """The first samples, as many as their tokens allow."""
    most = min(SAMPLES, batches.lengths.size)
    tokens = np.cumsum(batches.lengths[:most] * batches.sequences[:most])
    return np.arange(max(1, int((tokens <= TOKENS).sum())))
