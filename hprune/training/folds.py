"""A scoring run by folds: K models, each trained on the others, and what they say of the samples they never saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hprune.science.folds import fold_of
from hprune.science.records import RunRecord, Subset
from hprune.storage.differing import differing_keys
from hprune.storage.files import read_table, write_table
from hprune.storage.manifests import read_manifest
from hprune.storage.runs import RunFolder, check_ours, finish_run, load_record, save_record, save_subset
from hprune.tasks.load import content_hash
from hprune.tasks.spec import TaskData
from hprune.training.settings import RunSpec

HELD_OUT: Literal["out_of_fold"] = "out_of_fold"
"""The evaluation set of a fold: the samples that its model is not trained on."""


@dataclass(frozen=True, eq=False)
class Fold:
    """One model of a run by folds."""

    folder: RunFolder
    data: TaskData  # with the held-out samples as an evaluation set
    trained: Subset
    held_out: Subset


def folds_of(spec: RunSpec, data: TaskData, folder: RunFolder) -> Iterator[Fold]:
    """The folds of a run, each with a folder of its own in that of the run.

    Raises:
        ValueError: if samples are parts of a row, which would share it with the samples that are trained on.
    """
    if data.uncut is not None:
        raise ValueError(
            f"data.folds={spec.data.folds} holds out whole rows, and here samples are parts of them; "
            "set task.kind.unit=question"
        )
    assert spec.data.folds is not None
    ids = data.train["sample_id"].to_numpy()
    numbers = fold_of(data.train["label"].to_numpy(), spec.data.folds, seed=spec.seed)
    for number in range(spec.data.folds):
        inside = numbers == number
        table = data.train.filter(pa.array(inside)).combine_chunks()
        yield Fold(
            replace(folder, path=folder.path / f"fold={number}"),
            replace(
                data,
                evaluation={**data.evaluation, HELD_OUT: table},
                evaluation_hashes={**data.evaluation_hashes, HELD_OUT: content_hash(table)},
            ),
            Subset(spec.subset.name, ids[~inside], data.data_hash, {"rule": f"all but fold {number}"}),
            Subset(spec.subset.name, ids[inside], data.data_hash),
        )


def finish_folds(folder: RunFolder, folds: Sequence[RunFolder], everything: Subset, facts: Mapping[str, Any]) -> None:
    """Put the records and predictions of all folds together, and finish the run; its metrics are means over folds.

    Args:
        folder: of the run.
        folds: the folders of its folds, complete.
        everything: the samples of the run.
        facts: what its manifest says, beside its results.

    Raises:
        ValueError: if a folder holds a fold of another run, or another fold.
    """
    for fold in folds:
        _check_fold(fold)
    records = [load_record(fold.path, HELD_OUT) for fold in folds]
    order = np.argsort(np.concatenate([record.sample_ids for record in records]))

    def together(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(record, name) for record in records], axis=1)[:, order]

    record = RunRecord(
        folder.key,
        everything.sample_ids,
        **{name: together(name) for name in records[0].columns},
        measured=HELD_OUT,
        data_hash=everything.data_hash,
        settings_hash=folder.settings_hash,
    )
    save_record(folder, record)
    name = f"predictions.{HELD_OUT}.parquet"
    predictions = pa.concat_tables([read_table(fold.path / name)[0] for fold in folds])
    predictions = predictions.take(pc.sort_indices(predictions, [("sample_id", "ascending")]))
    check_ours(folder)
    write_table(folder.path / name, predictions, {"set": HELD_OUT, "data_hash": everything.data_hash})
    save_subset(folder, everything)
    finish_run(folder, {**facts, **_results([read_manifest(fold.path) for fold in folds])})


def _check_fold(fold: RunFolder) -> None:
    """Check that what is complete in the folder of a fold is that fold of that run."""
    manifest = read_manifest(fold.path)
    there = {name: manifest.get(name, fold.fold if name == "fold" else None) for name in ("key", "settings", "fold")}
    here = {"key": asdict(fold.key), "settings": dict(fold.settings), "fold": fold.fold}  # older ones do not say it
    if differing := differing_keys(there, here):
        raise ValueError(
            f"{fold.path} holds a fold of another run, differing in {', '.join(differing)}; nothing was changed: put "
            "it where it belongs, or move it away, and the same command trains this fold again"
        )


def _results(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Metrics and losses as means over folds, costs as sums."""
    metrics, cost = [fold["metrics"] for fold in folds], [fold["cost"] for fold in folds]
    shares = ("padded_share", "truncated_samples")
    return {
        "metrics": {name: _means([of_fold[name] for of_fold in metrics]) for name in metrics[0]},
        "epochs": [_means(epochs) for epochs in zip(*(fold["epochs"] for fold in folds), strict=True)],
        "cost": {
            name: sum(c[name] for c in cost) / (len(cost) if name in shares else 1)
            for name in cost[0]
            if all(name in c for c in cost)
        },
        "resumed": sum(fold["resumed"] for fold in folds),
        **({"pooler": folds[0]["pooler"]} if "pooler" in folds[0] else {}),
    }


def _means(folds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([fold[name] for fold in folds])) for name in folds[0]}
