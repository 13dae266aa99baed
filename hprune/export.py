"""The pruned data set itself: `python -m hprune.export study=<study> subset=winning_ticket out=pruned.parquet`.

The kept rows of the original train split, its columns untouched, with `sample_id` and the score beside them; where they
come from is written into `<out>.provenance.json`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from omegaconf import DictConfig

from hprune import __version__
from hprune.command import command, instantiate
from hprune.science.records import Scores, Subset
from hprune.science.subset import SubsetSpec, choose, describe
from hprune.storage.exports import check_target, write_export
from hprune.storage.files import write_json
from hprune.storage.scores import scores_for
from hprune.tasks.load import load_task
from hprune.tasks.source import read_splits

log = logging.getLogger(__name__)


@command("export")
def main(cfg: DictConfig) -> None:
    """Export a subset of a study's train split."""
    from hprune.report import task_of_study

    root, out = Path(cfg.paths.root), Path(cfg.out)
    check_target(out, overwrite=cfg.overwrite)
    spec: SubsetSpec = instantiate(cfg.subset)
    task = task_of_study(root, cfg.study)
    data = load_task(task)
    scores = scores_for(spec, root=root, study=cfg.study)
    labels = data.train["label"].to_numpy()
    ids = data.train["sample_id"].to_numpy().copy()
    subset = choose(
        spec,
        scores,
        sample_ids=ids,
        labels=labels,
        label_names=data.label_names,
        data_hash=data.data_hash,
        seed=cfg.seed,
    )
    table = _with_scores(read_splits(task)["train"], subset, scores)
    write_export(out, table, subset.sample_ids)
    write_json(Path(f"{out}.provenance.json"), _provenance(cfg, subset, ids.size))
    log.info("%s", describe(subset, ids.size, data.label_names))
    log.info("exported %s rows to %s", f"{table.num_rows:,}", out)


def _with_scores(original: pa.Table, subset: Subset, scores: Scores | None) -> pa.Table:
    """The kept rows as they came, with the id and the score of each.

    A column of the data that has one of our names stays; ours is then called `hprune_<name>`.
    """
    table = original.take(pa.array(subset.sample_ids))
    added: dict[str, Any] = {"sample_id": subset.sample_ids}
    if scores is not None:
        added[scores.name] = scores.values[np.searchsorted(scores.sample_ids, subset.sample_ids)]
    for name, values in added.items():
        table = table.append_column(name if name not in table.column_names else f"hprune_{name}", pa.array(values))
    return table


def _provenance(cfg: DictConfig, subset: Subset, total: int) -> dict[str, Any]:
    return {
        "study": cfg.study,
        "subset": subset.name,
        "samples": int(subset.sample_ids.size),
        "full_samples": total,
        "data_hash": subset.data_hash,
        "rule": dict(subset.provenance),
        "hprune": __version__,
    }


if __name__ == "__main__":
    main()
