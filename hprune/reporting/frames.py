"""A study as a pandas table, one row a sample: for notebooks and for your own plots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from hprune.science.records import Dynamics, Scores
from hprune.science.scores.confidence import confidence
from hprune.science.scores.variability import variability
from hprune.storage.runs import load_record
from hprune.storage.scores import load_scores, score_path
from hprune.storage.studies import runs_of
from hprune.tasks.spec import TaskData


def study_frame(root: Path, study: str, data: TaskData, score: str = "h_score") -> pd.DataFrame:
    """Samples with their score and what the scoring runs thought of them.

    Args:
        root: where results lie.
        study: its name.
        data: the task's tables (`hprune.report.data_of_study`).
        score: the name of a score table of the study.

    Returns:
        One row a sample, by sample_id, with the columns
            sample_id, text, label (the name of the class), value (the score);
            length: words between blanks;
            confidence, variability: the scores of these names, of the runs and epochs behind the score; of all scoring
            runs if it is of texts and has none.

    Raises:
        ValueError: if there is no such study or table, its runs are gone, or the data are not those that were scored.
    """
    scores = load_scores(score_path(root, study, score))
    if data.data_hash != scores.data_hash:
        hashes = f"hash {scores.data_hash[:8]} there, {data.data_hash[:8]} here"
        raise ValueError(
            f"the score table {score!r} of study {study!r} belongs to other data ({hashes}); score this data"
        )
    dynamics = _dynamics_behind(scores, root, study)
    texts = [" / ".join(parts) for parts in zip(*(data.train[column].to_pylist() for column in data.text), strict=True)]
    return pd.DataFrame(
        {
            "sample_id": scores.sample_ids,
            "text": texts,
            "label": np.array(data.label_names)[data.train["label"].to_numpy()],
            "value": scores.values,
            "length": [len(text.split()) for text in texts],
            "confidence": confidence(dynamics),
            "variability": variability(dynamics),
        }
    )


def find_root(start: Path, root: str = "multirun") -> Path:
    """The folder of results: `root` as it is if absolute, else beside `start` or the nearest folder above it.

    Raises:
        ValueError: if no such folder has studies in it.
    """
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / root / "studies").is_dir():
            return folder / root
    raise ValueError(
        f"no folder {root!r} with studies in it at {start.resolve()} or above; run a study, or set HPRUNE_ROOT"
    )


def only_study(root: Path, default: str = "demo") -> str:
    """The name of the study under `root` if there is just one, else `default`."""
    there = [path.parent.name for path in root.glob("studies/*/runs")]
    return there[0] if len(there) == 1 else default


def _dynamics_behind(scores: Scores, root: Path, study: str) -> Dynamics:
    """The records of the runs and epochs that a score looked at."""
    paths = {run.key.seed: run.path for run in runs_of(root, study, "scoring")}
    gone = sorted(set(scores.seeds) - set(paths))
    if gone:
        raise ValueError(f"study {study!r} no longer refers to the scoring runs of seeds {gone}; collect them again")
    records = [load_record(paths[seed], scores.measured) for seed in scores.seeds or sorted(paths)]
    return Dynamics.stack(records).prefix(epochs=scores.epochs or None, skip=scores.conventions.get("skip_epochs", 0))
