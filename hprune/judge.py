"""What an independent judge says of a study's samples: `python -m hprune.report study=<study> judge=true`.

Its features are kept in the study's folder, and made again if they are of other data or of another model.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hprune.command import run_spec
from hprune.own_sources import Part
from hprune.reporting.judge import judge_facts
from hprune.storage.files import one_line, read_table, write_table
from hprune.storage.places import below
from hprune.storage.scores import load_scores, main_h
from hprune.storage.studies import existing_study
from hprune.stored_config import config_of_study, run_of_study
from hprune.tasks.spec import TaskData

if TYPE_CHECKING:
    from hprune.training.settings import RunSpec

log = logging.getLogger(__name__)

FILE = "judge.parquet"
LAYOUT = 1
"""Of the features: a change makes them anew."""


def judged(
    root: Path, study: str, data: TaskData | None, *, spec: RunSpec | None = None, trust_code: bool = False
) -> dict[str, Any] | None:
    """What the judge says; None, with a warning that says why, if it cannot say anything.

    Args:
        root: where results lie.
        study: its name, with a complete run.
        data: the task's tables; None if they are no longer at hand.
        spec: of the study's scoring runs; None: what one of them stored.
        trust_code: let what it stored name code that is not hprune's, and files and hub ids that are not yours.
    """
    try:
        if spec is None:
            both: Sequence[Part] = ("task", "model")
            spec = run_spec(config_of_study(root, study, purpose="scoring", parts=both, trust_code=trust_code))
        return _judged(root, study, data, spec.scored())
    except Exception as error:  # a library that is not there, a device without memory: no report waits for it
        log.warning("the report goes without a judge: %s", one_line(error))
        return None


def _judged(root: Path, study: str, data: TaskData | None, spec: RunSpec) -> dict[str, Any]:
    if not getattr(spec.task.kind, "merges", False):
        raise ValueError(
            f"it is for tasks of classes with one sequence a sample, not for {type(spec.task.kind).__name__}"
        )
    if spec.model.path is None:
        raise ValueError(f"model {spec.model.name!r} is not pre-trained, so its frozen features say nothing")
    tables = [load_scores(path) for path in sorted((existing_study(root, study) / "scores").glob("*.parquet"))]
    scores = main_h(root, study, tables)
    if scores is None:
        raise ValueError("the study has no table of H: make one with hprune.score")
    if data is None or data.data_hash != scores.data_hash:
        raise ValueError("the train split of the study is not at hand, or is another by now")
    return judge_facts(_features(root, study, spec, data), data.train["label"].to_numpy(), scores)


def _features(root: Path, study: str, spec: RunSpec, data: TaskData) -> NDArray[np.float32]:
    """The features of the study's folder, or new ones."""
    file = below(existing_study(root, study), FILE)
    _, run = run_of_study(root, study, purpose="scoring")
    trained_from = {
        key: value for key, value in dict(run["settings"].get("model", {})).items() if key not in ("adapter", "pooling")
    }
    origin = {
        "layout": LAYOUT,
        "data_hash": data.data_hash,
        "model": trained_from,
        "max_length": spec.data.max_length,
    }
    if file.is_file() and (kept := _kept(file, origin, data)) is not None:
        return kept
    from hprune.training.build import weights_identity  # torch, transformers: only where features are made
    from hprune.training.features import mean_states
    from hprune.training.quiet import quiet_libraries

    if weights_identity(spec.model) != trained_from:
        raise ValueError(f"the model at {spec.model.path} is not the one that the study was trained from")
    with quiet_libraries():
        features = mean_states(spec, data, root=root)
    flat = pa.array(features.ravel())
    columns = {
        "sample_id": data.train["sample_id"],
        "features": pa.FixedSizeListArray.from_arrays(flat, features.shape[1]),
    }
    try:
        write_table(file, pa.table(columns), origin)
    except OSError as error:  # results that are read only
        log.warning("the features of the judge are not kept: %s", one_line(error))
    return features


def _kept(file: Path, origin: dict[str, Any], data: TaskData) -> NDArray[np.float32] | None:
    """The features of a file, if they are of these samples and this model; None if they are not, or it is damaged."""
    try:
        table, facts = read_table(file)
    except ValueError as error:
        log.warning("%s; the features are made anew", one_line(error))
        return None
    kinds = [field.type for field in table.schema]
    known = facts == origin and table.column_names == ["sample_id", "features"]
    if not known or not pa.types.is_fixed_size_list(kinds[1]) or not pa.types.is_float32(kinds[1].value_type):
        return None
    if not table["sample_id"].equals(data.train["sample_id"]):
        return None
    features = table["features"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, kinds[1].list_size)
    return features if np.isfinite(features).all() else None
