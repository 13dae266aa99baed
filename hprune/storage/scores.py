"""Score tables: `studies/<study>/scores/<name>.parquet`, one row a sample, the facts behind the numbers as metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hprune.science.records import Scores
from hprune.science.subset import SubsetSpec
from hprune.storage.files import as_json, check_name, read_table, write_table
from hprune.storage.studies import study_folder


def score_path(root: Path, study: str, name: str) -> Path:
    """Where the table of one score of a study lies."""
    check_name("score.name", name)
    return study_folder(root, study) / "scores" / f"{name}.parquet"


def save_scores(path: Path, scores: Scores) -> None:
    """Write a score table; an equal one that is already there stays.

    Raises:
        ValueError: if another score table stands there; the message names the facts, or counts the values, that differ.
    """
    facts = _facts(scores)
    if path.exists():
        there = load_scores(path)
        differing = [f"{k} ({v} there, {facts[k]} here)" for k, v in _facts(there).items() if v != facts[k]]
        if not differing and not np.array_equal(there.sample_ids, scores.sample_ids):
            differing = ["the samples"]
        if not differing and not np.array_equal(there.values, scores.values):
            differing = [f"the values of {int((there.values != scores.values).sum())} samples"]
        if differing:
            raise ValueError(
                f"{path} holds another score, differing in {', '.join(differing)}; "
                "give this one its own name with score.name=NAME, or remove that file"
            )
        return
    write_table(path, pa.table({"sample_id": scores.sample_ids, "value": scores.values}), facts)


def load_scores(path: Path) -> Scores:
    """Read a score table.

    Raises:
        ValueError: if it does not exist, or is not a score table.
    """
    if not path.exists():
        raise ValueError(f"no score table at {path}; make it with: python -m hprune.score study=NAME")
    table, facts = read_table(path)
    if "higher_is" not in facts or "value" not in table.column_names:
        raise ValueError(f"{path} is not a score table of hprune: it has the columns {table.column_names}")
    return Scores(
        name=facts["name"],
        sample_ids=table["sample_id"].to_numpy().copy(),
        values=table["value"].to_numpy().copy(),
        higher_is=facts["higher_is"],
        seeds=tuple(facts["seeds"]),
        epochs=facts["epochs"],
        measured=facts["measured"],
        data_hash=facts["data_hash"],
        conventions=facts["conventions"],
    )


def scores_for(spec: SubsetSpec, *, root: Path, study: str) -> Scores | None:
    """The score table that a subset is chosen by: the study's own, another of its tables by name, or a file.

    Raises:
        ValueError: if there is none.
    """
    if spec.select is None:
        return None
    name = spec.scores or "h_score"
    path = Path(name) if name.endswith(".parquet") else score_path(root, study, name)
    if not path.exists():
        raise ValueError(
            f"subset {spec.name!r} needs the score table {path}, which does not exist; "
            f"make it with: python -m hprune.score study={study}, or name another with subset.scores=NAME or FILE"
        )
    return load_scores(path)


def _facts(scores: Scores) -> dict[str, Any]:
    facts = {
        "name": scores.name,
        "higher_is": scores.higher_is,
        "seeds": list(scores.seeds),
        "epochs": scores.epochs,
        "measured": scores.measured,
        "data_hash": scores.data_hash,
        "conventions": dict(scores.conventions),
    }
    return dict(as_json(facts))
