"""Score tables: each is what its records give, and the samples of an arm are what its table and rule choose."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune.science.records import COLUMNS, OPTIONAL, Dynamics, Scores
from hprune.science.select import Pool, by_value, highest, lowest, random_like, stratified, subset_size
from hprune.science.triage import of_decisions
from hprune.storage.dynamics import StoredDynamics, records_behind
from hprune.storage.manifests import read_manifest
from hprune.storage.runs import load_subset, state_of
from hprune.storage.scores import load_scores
from hprune.storage.studies import StudyRun
from hprune.verifying.problems import Problem, noting

RULES: Mapping[str, Callable[..., NDArray[np.int64]]] = {
    f"hprune.science.select.{rule.__name__}": rule for rule in (by_value, highest, lowest, random_like, stratified)
}
"""Those that look at no label, so that they can choose again without the data."""
NO_PARAMETERS = ("score", "function", "skip_epochs", "missing_runs_allowed", "missing_seeds", "stopped")
"""What the conventions of a table tell beside the parameters of its function."""


def problems_of_tables(root: Path, study: str, runs: list[StudyRun]) -> tuple[list[Problem], dict[str, Scores], int]:
    """What does not fit in the score tables of a study; those that can be read, by their digests; and their number."""
    found: list[Problem] = []
    tables: dict[str, Scores] = {}
    number = 0
    for path in sorted((root / "studies" / study / "scores").glob("*.parquet")):
        with noting(found, path):
            scores = load_scores(path)
            tables[scores.digest] = scores
            number += 1
            if scores.name != path.stem:
                raise ValueError(
                    f"{path} is the table of the score {scores.name!r}: put it back under that name, or remove it and "
                    "score again"
                )
            _check_made_of(path, scores, root, study, runs)
    return found, tables, number


def _check_made_of(path: Path, scores: Scores, root: Path, study: str, runs: list[StudyRun]) -> None:
    """The values are those that the function gives of the records, where both are at hand."""
    if of_decisions(scores):
        if not np.isin(scores.values, (0, 1)).all():
            raise ValueError(f"{path} is a table of decisions, but holds more than 0 and 1; read the sheet again")
        return
    complete = {run.key.seed for run in runs if run.purpose == "scoring" and state_of(run.path) == "done"}
    function = function_of(scores.conventions)
    if missing := sorted(set(scores.seeds) - complete):
        raise ValueError(
            f"{path} cannot be compared with its records: of the scoring runs behind it those of seeds "
            f"{', '.join(map(str, missing))} are not complete in this study; put them back, or train them again"
        )
    if function is None or not scores.seeds:
        return
    records, at = records_behind(root, study, scores), 0
    for piece in records.pieces(_columns(records)):
        rows = slice(at, at + piece.sample_ids.size)
        at = rows.stop
        if not np.array_equal(scores.sample_ids[rows], piece.sample_ids):
            raise ValueError(f"{path} has other samples than the records of its runs; remove it and score again")
        differing = _differing(scores.values[rows], np.asarray(function(piece)))
        if differing:
            raise ValueError(
                f"{path} is not what the records of its runs give: {differing} of {piece.sample_ids.size} values "
                "looked at differ; it is of other runs, or was altered: remove it and score again"
            )


def _differing(there: NDArray[Any], here: NDArray[Any]) -> int:
    """How many values differ; of real ones by more than another processor's rounding."""
    if np.issubdtype(here.dtype, np.integer) or np.issubdtype(there.dtype, np.integer):
        return int((there != here).sum())
    return int((~np.isclose(there, here, rtol=1e-4, atol=1e-6, equal_nan=True)).sum())


def function_of(conventions: Mapping[str, Any]) -> Callable[[Dynamics], NDArray[Any]] | None:
    """The function of hprune's that a table was made by, with its parameters; None if it is another one's."""
    module, _, name = str(conventions.get("function", "")).rpartition(".")
    if not re.fullmatch(r"hprune\.science\.scores\.\w+", module):
        return None
    try:
        function = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
    if not callable(function) or getattr(function, "__module__", None) != module:
        return None
    given = {key: value for key, value in conventions.items() if key not in NO_PARAMETERS}
    return functools.partial(function, **{key: float(v) if v in ("inf", "-inf") else v for key, v in given.items()})


def _columns(records: StoredDynamics) -> tuple[str, ...]:
    """The columns that all records have."""
    names = [set(table.parquet.schema_arrow.names) for _, table in records.records]
    return tuple(column for column in (*COLUMNS, *OPTIONAL) if all(f"{column}_0" in there for there in names))


def problems_of_choices(runs: list[StudyRun], tables: Mapping[str, Scores]) -> list[Problem]:
    """Which arms of a study are not what their rule chooses by their score table, where that looks at no label.

    Args:
        runs: of the study.
        tables: score tables by their digests.
    """
    found: list[Problem] = []
    for run in runs:
        file = run.path / "subset.parquet"
        if state_of(run.path) == "done" and file.exists():
            with noting(found, file):
                manifest = read_manifest(run.path)
                ids = chosen_again(manifest, tables)
                if ids is not None and not np.array_equal(ids, load_subset(run.path, manifest)):
                    raise ValueError(
                        f"{file} holds other samples than the rule of the run chooses by its score table; it was "
                        "altered: move the run's folder away and train it again"
                    )
    return found


def chosen_again(manifest: Mapping[str, Any], tables: Mapping[str, Scores]) -> NDArray[np.int64] | None:
    """The samples that a run's rule chooses; None where that takes labels, or a score table that is not at hand."""
    told = dict(manifest["settings"].get("subset", {}))
    rule, digest = RULES.get(str(told.pop("rule", ""))), told.pop("scores", "")
    size = {key: told.pop(key, None) for key in ("keep", "fraction", "size")}
    same_data = (table for table in tables.values() if table.data_hash == manifest.get("data_hash"))
    scores = tables.get(digest) if digest else next(same_data, None)
    if rule is None or scores is None or "balance" in told or (not digest and size["keep"] is not None):
        return None
    values = scores.values if digest else np.zeros(scores.values.size, dtype=np.int16)
    runs = scores.runs if digest else 0
    pool = Pool(
        values,
        np.zeros(values.size, dtype=np.int64),
        runs=runs,
        higher_is=scores.higher_is if digest else "easier",
        size=subset_size(values, runs=runs, **size),
        keep=size["keep"],
        seed=manifest["key"]["seed"],
    )
    return scores.sample_ids[functools.partial(rule, **told)(pool)]
