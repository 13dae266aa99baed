"""Evaluate the final weights on one set: metrics for the manifest, predictions of every example for paired tests."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa

from hprune.data.datamodule import FineTuningData
from hprune.storage.files import write_table
from hprune.storage.runs import RunFolder, check_ours
from hprune.tasks.spec import TaskData
from hprune.training.answers import evaluation_of, everyones
from hprune.training.module import FineTuner


def evaluate(
    trainer: L.Trainer, module: FineTuner, datamodule: FineTuningData, name: str, data: TaskData, folder: RunFolder
) -> dict[str, float]:
    """Predict one evaluation set, write `predictions.<name>.parquet`, return the metrics.

    The table holds sample_id, label, pred, what the kind of task adds (prob_0 .. prob_{K-1} for classes), `tokens` of
    the longest sequence, and slice_* for the columns of `task.slices`; one row an example in the order of the set.
    """
    batches: list[Any] = trainer.predict(module, datamodule.evaluation_loader(name)) or []
    found = evaluation_of(module.kind, everyones(batches), datamodule.evaluation[name], name=name)
    if trainer.is_global_zero:
        told = {"tokens": datamodule.evaluation[name].lengths.astype(np.int32)}
        if (slices := data.slices.get(name)) is not None:
            told |= {f"slice_{column}": slices[column].combine_chunks() for column in slices.column_names}
        table = pa.table({"sample_id": data.evaluation[name]["sample_id"].combine_chunks(), **found.columns, **told})
        facts = {"set": name, "data_hash": data.evaluation_hashes[name]}
        check_ours(folder)
        write_table(folder.path / f"predictions.{name}.parquet", table, facts)
    return dict(found.metrics)
