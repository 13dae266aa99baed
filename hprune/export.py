"""The pruned data set itself: `python -m hprune.export study=<study> subset=winning_ticket out=pruned.parquet`.

The kept rows of the original train split, its columns untouched, with `sample_id` and the score beside them; where they
come from is written into `<out>.provenance.json`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from omegaconf import DictConfig

from hprune import __version__
from hprune.command import command, instantiate
from hprune.data.checks import check_whole
from hprune.reporting.weights import weights_of
from hprune.root import root_of
from hprune.science.records import Scores, Subset
from hprune.science.subset import SubsetSpec, choose, describe
from hprune.storage.exports import FORMULAS, check_target, free_name, write_export
from hprune.storage.places import local_path
from hprune.storage.scores import scores_for, sized
from hprune.tasks.source import read_splits
from hprune.tasks.spec import TaskData, settings_of_source

log = logging.getLogger(__name__)


@command("export", reads=True)
def main(cfg: DictConfig) -> None:
    """Export a subset of a study's train split."""
    from hprune.report import check_carried, place_of, unchanged_study

    root, out = root_of(cfg), local_path(cfg.out, "out")
    check_writing(cfg)
    check_whole("seed", cfg.seed, low=0)
    check_target(out)
    spec = subset_of(cfg)
    place = place_of(cfg)
    task, data, manifest = unchanged_study(root, cfg.study, place=place, trust_code=cfg.trust_code)
    check_carried(root, cfg.study, data, manifest)
    ids = data.train["sample_id"].to_numpy().copy()
    spec = sized(spec, sample_ids=ids, data_hash=data.data_hash, root=root, study=cfg.study)
    scores = scores_for(spec, root=root, study=cfg.study)
    subset = choose(
        spec,
        scores,
        sample_ids=ids,
        labels=data.train["label"].to_numpy(),
        label_names=data.label_names,
        data_hash=data.data_hash,
        seed=cfg.seed,
    )
    from hprune.tasks.read_again import classes_if_read  # torch, which a wrong key does not wait for

    original = read_splits(task)["train"]
    table = _with_scores(_original_rows(original, subset, data), subset, scores)
    differing = classes_if_read(task, original, table, out, cfg.formulas)
    facts = {"study": cfg.study, "task": task.name, "model": manifest["key"]["model"], "weights": weights_of(manifest)}
    facts |= {"source": settings_of_source(task), "selection": _selection(spec, cfg.seed), **_content(subset, data)}
    facts |= {"classes_if_read": differing}
    changed = write_export(
        out, table, subset.sample_ids, formulas=cfg.formulas, provenance=facts, overwrite=cfg.overwrite
    )
    tell_escaped(out, changed)
    tell_classes(out, differing)
    log.info("%s", describe(subset, ids.size, data.label_names))
    log.info("exported %s rows to %s", f"{table.num_rows:,}", out)


def tell_escaped(out: Path, changed: Mapping[str, int]) -> None:
    """Warn of texts that are not those trained on any more."""
    if changed:
        log.warning(
            "%s: put a ' before %d cells that a spreadsheet would take for formulas (%s); this is not "
            "the text that was trained on: train on .parquet or .jsonl, or set formulas=keep",
            out, sum(changed.values()),
            ", ".join(f"{name}: {count:,}" for name, count in changed.items()),
        )  # fmt: skip


def tell_classes(out: Path, differing: str | None) -> None:
    """Warn of classes that the exported file would have by itself, which are not the task's."""
    if differing:
        log.warning("%s: %s", out, differing)


def check_writing(cfg: DictConfig) -> None:
    """Refuse what `overwrite` and `formulas` cannot be.

    Raises:
        ValueError: naming the key and what came.
    """
    if type(cfg.overwrite) is not bool:
        raise ValueError(f"overwrite must be true or false, got {cfg.overwrite!r}")
    if cfg.formulas not in FORMULAS:
        raise ValueError(f"formulas must be one of {', '.join(FORMULAS)}, got {cfg.formulas!r}")


def subset_of(cfg: DictConfig) -> SubsetSpec:
    """The typed subset of a config.

    Raises:
        ValueError: if it is none.
    """
    spec = instantiate(cfg.subset)
    if not isinstance(spec, SubsetSpec):
        raise ValueError(f"subset must be an option of conf/subset, such as winning_ticket, got {spec!r:.80}")
    return spec


def _original_rows(original: pa.Table, subset: Subset, data: TaskData) -> pa.Table:
    """The kept rows as they came; where samples are parts of a row, once for each, with what tells them apart."""
    if data.uncut is None:
        return original.take(pa.array(subset.sample_ids))
    at = np.searchsorted(data.train["sample_id"].to_numpy(), subset.sample_ids)
    parts = data.train.take(pa.array(at))
    table = original.take(parts["row"])
    for name in ("row", "part", "start", "end"):
        if name in parts.column_names:
            table = table.append_column(free_name(name, table.column_names), parts[name])
    return table


def _with_scores(table: pa.Table, subset: Subset, scores: Scores | None) -> pa.Table:
    """The kept rows with the id and the score of each.

    A column of the data that has one of our names stays; ours is then called `hprune_<name>`.
    """
    added: dict[str, Any] = {"sample_id": subset.sample_ids}
    if scores is not None:
        added[scores.name] = scores.values[np.searchsorted(scores.sample_ids, subset.sample_ids)]
    for name, values in added.items():
        table = table.append_column(free_name(name, table.column_names), pa.array(values))
    return table


def _selection(spec: SubsetSpec, seed: int) -> dict[str, Any]:
    """The rule that chose the rows; with the score table, it chooses them again."""
    rule = "everything" if spec.select is None else getattr(spec.select, "func", spec.select).__name__
    size = {key: getattr(spec, key) for key in ("keep", "fraction", "size", "balance")}
    return {"subset": spec.name, "rule": rule, **size, "seed": seed}


def _content(subset: Subset, data: TaskData) -> dict[str, Any]:
    """How many samples were kept, of which classes and scores."""
    labels = data.train["label"].to_numpy()
    inside = np.isin(data.train["sample_id"].to_numpy(), subset.sample_ids)
    kept, removed = (np.bincount(labels[of], minlength=len(data.label_names)).tolist() for of in (inside, ~inside))
    return {
        "samples": int(inside.sum()),
        "full_samples": labels.size,
        "labels": {name: {"kept": k, "removed": r} for name, k, r in zip(data.label_names, kept, removed, strict=True)},
        "scores": {name: value for name, value in subset.provenance.items() if name != "label"},
        "data_hash": subset.data_hash,
        "hprune": __version__,
    }


if __name__ == "__main__":
    main()
