"""Evaluate the final weights on one set: metrics for the manifest, predictions of every example for paired tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pyarrow as pa
import torch

from hprune.data.datamodule import FineTuningData
from hprune.storage.files import write_table
from hprune.tasks.spec import TaskData
from hprune.training.module import FineTuner


def evaluate(
    trainer: L.Trainer, module: FineTuner, datamodule: FineTuningData, name: str, data: TaskData, folder: Path
) -> dict[str, float]:
    """Predict one evaluation set, write `predictions.<name>.parquet`, return the metrics.

    The table holds sample_id, label, pred, and prob_0 .. prob_{K-1}, one row an example in the order of the set.
    """
    batches: list[Any] = trainer.predict(module, datamodule.evaluation_loader(name)) or []
    rows = torch.cat([batch["row"] for batch in batches])
    logits = torch.cat([batch["logits"] for batch in batches])[rows.argsort()]  # (n, K)
    if not torch.isfinite(logits).all():
        raise FloatingPointError(
            f"the model gives no numbers on {name}: its weights diverged in the last steps; "
            "lower optim.lr, add optim.warmup, or train with trainer.precision=32"
        )
    labels = torch.from_numpy(datamodule.evaluation[name].labels.copy())
    columns = {
        "sample_id": data.evaluation[name]["sample_id"].combine_chunks(),
        "label": labels.numpy(),
        "pred": logits.argmax(dim=-1).numpy(),
    }
    probabilities = logits.softmax(dim=-1).numpy()
    table = pa.table({**columns, **{f"prob_{k}": probabilities[:, k] for k in range(logits.shape[-1])}})
    write_table(folder / f"predictions.{name}.parquet", table, {"set": name, "data_hash": data.evaluation_hashes[name]})
    metrics = module.kind.metrics(logits.shape[-1])
    metrics.update(logits, labels)
    return {metric: float(value) for metric, value in metrics.compute().items()} | {
        "loss": float(module.kind.loss(logits, labels))
    }
