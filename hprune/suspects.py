"""The samples of a triage sheet: which they are, and what the scoring runs answered to them."""

from __future__ import annotations

import importlib.util
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hprune.science.records import Dynamics, Scores
from hprune.science.scores.confidence import confidence
from hprune.science.select import kept_values
from hprune.science.triage import favoured
from hprune.storage.dynamics import StoredDynamics, records_behind
from hprune.storage.manifests import read_manifest
from hprune.storage.predictions import load_predictions
from hprune.storage.runs import state_of
from hprune.storage.studies import runs_of
from hprune.tasks.relabel import why_no_relabel
from hprune.tasks.spec import MOST_PROBABILITIES, TaskData, TaskSpec

log = logging.getLogger(__name__)

HELD_OUT = "out_of_fold"
OWN = ("decision", "new_label", "sample_id", "label", "suggested", "H", "confidence", "label_quality")
"""The columns of a sheet, before those of the data."""
IN_SAMPLE = {
    "train_pass": "of models in training on the sample",
    "eval_pass": "of models that were trained on the sample",
    "out_of_fold": "of models that were not trained on the sample",
}


@dataclass(frozen=True, eq=False)
class Answers:
    """The probabilities of all classes of all samples, by each of S runs."""

    of_runs: list[NDArray[np.float64]]  # (N, K) each
    how: str


def suspects_of(
    root: Path, study: str, task: TaskSpec, data: TaskData, h: Scores, *, values: Any, folds: str | None
) -> tuple[pa.Table, dict[str, Any]]:
    """The sheet of the samples whose H is one of `values`, by increasing confidence, and what its columns are.

    Args:
        root: where results lie.
        study: its name.
        task: of the study.
        data: its tables.
        h: the table of H, of these data.
        values: a keep-set such as 0 or 0..1.
        folds: a study of the same data by folds, or None.

    Raises:
        ValueError: if no sample has such an H, or records or predictions are gone or were altered.
    """
    chosen = np.flatnonzero(np.isin(h.values, kept_values(h.values, values, runs=h.runs)))
    if not chosen.size:
        raise ValueError(
            f"no sample of study {study!r} has H in {values}; look at others with values=0..1, or at another table "
            "with scores=NAME"
        )
    dynamics, classes = records_behind(root, study, h), len(data.label_names)
    by_class = why_no_relabel(task.kind) is None
    of_runs = _confidence_of_runs(dynamics)  # (S, N)
    sure = of_runs.mean(axis=0, dtype=np.float64)
    chosen = chosen[np.lexsort((chosen, sure[chosen]))]
    labels = data.train["label"].to_numpy()
    answers = _answers(root, folds or study, data, asked=folds is not None) if by_class else None
    if answers is None and by_class and classes == 2:
        answers = _of_two(of_runs, labels, f"two classes, mean over epochs, {IN_SAMPLE[h.measured]}")
    suggested, by = _suggested(answers, sure, labels, classes, h) if by_class else (None, "no classes to choose from")
    quality, measured_by = _label_quality(answers, labels) if by_class else (None, "no classes")
    own = _own_columns(data, h, chosen, sure, suggested, quality)
    runs = f"{h.runs} runs and {h.epochs} epochs"
    how = {
        "values": sorted({int(value) for value in h.values[chosen]}),
        "order": "increasing confidence",
        "confidence": f"mean probability of the label over {runs}, {IN_SAMPLE[h.measured]}",
        "suggested": by,
        "label_quality": measured_by,
    }
    return _with_texts(pa.table(own), data, chosen), how


def _confidence_of_runs(dynamics: StoredDynamics) -> NDArray[np.float32]:
    """(S, N) mean over epochs of the probability of the label."""
    pieces = []
    for piece in dynamics.pieces(("true_prob",)):
        assert piece.true_prob is not None
        alone = (
            Dynamics(piece.sample_ids, piece.correct[[run]], true_prob=piece.true_prob[[run]])
            for run in range(piece.runs)
        )
        pieces.append(np.stack([confidence(one) for one in alone]))
    return np.concatenate(pieces, axis=1)


def _answers(root: Path, study: str, data: TaskData, *, asked: bool) -> Answers | None:
    """What the runs of a study by folds answered, by models that were not trained on a sample; None if it has none."""
    runs = [run for run in runs_of(root, study, "scoring") if state_of(run.path) == "done"]
    columns = ["sample_id", *(f"prob_{number}" for number in range(len(data.label_names)))]
    ids, found = data.train["sample_id"].to_numpy(), []
    for run in runs:
        table = load_predictions(run.path, HELD_OUT)
        if table is None or not set(columns) <= set(table.column_names):
            continue
        if read_manifest(run.path).get("data_hash") != data.data_hash or not np.array_equal(table["sample_id"], ids):
            raise ValueError(f"folds={study} is a study of other data; name one of the same task and samples")
        found.append(np.stack([table[name].to_numpy().astype(np.float64) for name in columns[1:]], axis=1))
    if asked and not found and len(data.label_names) > MOST_PROBABILITIES:
        raise ValueError(
            f"folds={study}: runs keep no probabilities of more than {MOST_PROBABILITIES:,} classes; leave it out"
        )
    if asked and not found:
        raise ValueError(f"folds={study} has no answers out of fold; train its scoring runs with data.folds=5")
    return Answers(found, f"study {study}, {len(found)} runs, {IN_SAMPLE[HELD_OUT]}") if found else None


def _of_two(of_runs: NDArray[np.float32], labels: NDArray[np.int64], how: str) -> Answers:
    """With two classes the probability of the label says that of the other."""
    second = np.where(labels == 1, of_runs, 1 - of_runs).astype(np.float64)  # (S, N)
    return Answers([np.stack([1 - of_run, of_run], axis=1) for of_run in second], how)


def _suggested(
    answers: Answers | None, sure: NDArray[np.float64], labels: NDArray[np.int64], classes: int, h: Scores
) -> tuple[NDArray[np.int64], str]:
    """(N,) the class that answers favour, -1 where it is not known, and by what."""
    if answers is not None:
        return np.mean(answers.of_runs, axis=0).argmax(axis=1), f"the likeliest class: {answers.how}"
    log.info(
        "suggested is blank where the label is not the likeliest: records have the probability of the label only, and "
        "there are %d classes; a study with data.folds=5 (folds=STUDY) has those of all", classes,
    )  # fmt: skip
    by = f"the label where its mean probability is half or more, else not known, {IN_SAMPLE[h.measured]}"
    return favoured(sure, labels, classes), by


def _label_quality(answers: Answers | None, labels: NDArray[np.int64]) -> tuple[NDArray[np.float64] | None, str]:
    """(N,) cleanlab's label quality in 0..1, higher is better; None where cleanlab or probabilities are missing."""
    if answers is None:
        log.info(
            "label_quality is left out: it takes the probabilities of all classes, as of a study with data.folds=5"
        )
        return None, "left out: the probabilities of all classes are not known"
    if importlib.util.find_spec("cleanlab") is None:
        log.info('label_quality is left out: cleanlab is not installed; pip install "hprune[cleanlab]"')
        return None, "left out: cleanlab is not installed"
    import cleanlab  # half a second, and only where it is there
    from cleanlab.rank import get_label_quality_ensemble_scores

    quality = get_label_quality_ensemble_scores(labels, answers.of_runs, verbose=False)
    how = f"cleanlab {cleanlab.__version__}, get_label_quality_ensemble_scores (self confidence): {answers.how}"
    return np.asarray(quality, dtype=np.float64), how


def _own_columns(
    data: TaskData,
    h: Scores,
    chosen: NDArray[np.int64],
    sure: NDArray[np.float64],
    suggested: NDArray[np.int64] | None,
    quality: NDArray[np.float64] | None,
) -> dict[str, Any]:
    """The columns of the sheet that are not the data's, the first two to be filled in."""
    names = np.array(data.label_names, dtype=object)
    numbers = data.train["label"].to_numpy()[chosen]
    favourite = np.full(chosen.size, -1) if suggested is None else suggested[chosen]
    own: dict[str, Any] = {
        "decision": pa.nulls(chosen.size, pa.string()),
        "new_label": pa.nulls(chosen.size, pa.string()),
    }
    own |= {"sample_id": h.sample_ids[chosen], "label": pa.array(names[numbers], pa.string())}
    own["suggested"] = pa.array([None if number < 0 else names[number] for number in favourite], pa.string())
    own |= {"H": h.values[chosen], "confidence": np.round(sure[chosen], 4)}
    return own if quality is None else {**own, "label_quality": np.round(quality[chosen], 4)}


def _with_texts(sheet: pa.Table, data: TaskData, chosen: NDArray[np.int64]) -> pa.Table:
    """The sheet with the texts of its samples and what else the kind of task has of them; lists as JSON."""
    rows = data.train.take(pa.array(chosen))
    more = [name for name in rows.column_names if name not in ("sample_id", "label", *data.text)]
    for name in (*data.text, *more):
        column = rows[name]
        if pa.types.is_nested(column.type):
            column = pa.array([json.dumps(value, ensure_ascii=False) for value in column.to_pylist()], pa.string())
        sheet = sheet.append_column(f"data_{name}" if name in OWN else name, column)
    return sheet
