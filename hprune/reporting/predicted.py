"""What the runs of arms predicted, read once: which examples are right, and what each contributes to a metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hprune.reporting.arms import Arm
from hprune.science.pseudovalues import METRICS, contributions, part_contributions
from hprune.science.stats import ByExample
from hprune.storage.predictions import load_predictions

EXAMPLE = ["sample_id", "label"]
TEXTS = ("exact_match", "f1")
"""Metrics of answers that are texts: means of columns of these names."""
PARTS = {"has_answer_": True, "no_answer_": False}
"""The same over the questions that have an answer, or have none."""
ROUNDING = 1e-4
"""By how much a metric may differ from what its examples add up to: runs compute it in single precision."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """What the runs of an arm predicted for one evaluation set."""

    table: pa.Table  # of the first run: examples and what they are
    metric: str  # what being right is: accuracy, or exact_match of answers that are texts
    right: Mapping[int, NDArray[np.bool_]]  # by seed, (n,) each
    answers: Mapping[int, Mapping[str, NDArray[np.generic]]]  # by seed, the columns that metrics are computed from


class Predictions:
    """The predictions of a study's arms, each file read once, when it is first asked for."""

    def __init__(self, arms: Mapping[str, Arm]) -> None:
        self.arms = arms
        self._predicted: dict[tuple[str, str], Predicted | None] = {}
        self._contributions: dict[tuple[str, str, str], ByExample] = {}

    def of(self, label: str, eval_set: str) -> Predicted | None:
        """What an arm's runs predicted; None where it is not known which examples are right.

        Raises:
            ValueError: if predictions were altered, or runs of one arm answered other examples.
        """
        if (label, eval_set) not in self._predicted:
            self._predicted[label, eval_set] = _predicted(self.arms[label], eval_set)
        return self._predicted[label, eval_set]

    def contributions(self, label: str, eval_set: str, metric: str) -> ByExample:
        """By seed, (n,) what each example contributes to a metric: of the runs of which that is known.

        It is not known of losses and calibration errors, nor where the contributions do not add up to the metric that
        the run states.
        """
        key = label, eval_set, metric
        if key not in self._contributions:
            self._contributions[key] = self._computed(*key)
        return self._contributions[key]

    def same_examples(self, label: str, other: str, eval_set: str) -> bool:
        """Whether two arms answered the same examples, in the same order."""
        ours, theirs = self.of(label, eval_set), self.of(other, eval_set)
        return (
            ours is not None and theirs is not None and ours.table.select(EXAMPLE).equals(theirs.table.select(EXAMPLE))
        )

    def _computed(self, label: str, eval_set: str, metric: str) -> ByExample:
        predicted = self.of(label, eval_set)
        if predicted is None:
            return {}
        stated = {run["key"]["seed"]: run["metrics"].get(eval_set, {}).get(metric) for run in self.arms[label]}
        gold, found = predicted.table["label"].to_numpy(), {}
        for seed, answers in predicted.answers.items():
            values = _contributions(metric, gold, answers)
            if values is not None and stated[seed] is not None and abs(values.mean() - stated[seed]) <= ROUNDING:
                found[seed] = values
        return found


def _contributions(
    metric: str, gold: NDArray[np.integer], answers: Mapping[str, NDArray[np.generic]]
) -> NDArray[np.float64] | None:
    """What examples contribute to a metric of one run; None if it is none of examples, or there is but one."""
    if gold.size < 2:
        return None
    if "exact_match" in answers:
        part = next((prefix for prefix in PARTS if metric.startswith(prefix)), "")
        if (name := metric.removeprefix(part)) not in answers or name not in TEXTS:
            return None
        values, inside = answers[name].astype(np.float64), (gold > 0) == PARTS.get(part, True)
        return part_contributions(values, inside) if part and inside.any() else None if part else values
    pred = answers["pred"].astype(np.int64)
    if metric not in METRICS or min(gold.min(), pred.min()) < 0:
        return None
    return contributions(METRICS[metric], gold, pred)


def _predicted(arm: Arm, eval_set: str) -> Predicted | None:
    tables = {
        run["key"]["seed"]: load_predictions(run["folder"], eval_set)
        for run in arm
        if "folder" in run and eval_set in run["metrics"]
    }
    there = {seed: table for seed, table in tables.items() if table is not None and {*EXAMPLE} <= {*table.column_names}}
    if not there:
        return None
    first = next(iter(there.values()))
    if any(not table.select(EXAMPLE).equals(first.select(EXAMPLE)) for table in there.values()):
        raise ValueError(f"runs of {arm[0]['key']['subset']} answered other examples of {eval_set}; train them again")
    right = {seed: found for seed, table in there.items() if (found := _right(table)) is not None}
    answers = {seed: _answers(there[seed]) for seed in right}
    metric = "exact_match" if "exact_match" in first.column_names else "accuracy"
    return Predicted(first, metric, right, answers) if right and first.num_rows else None


def _right(table: pa.Table) -> NDArray[np.bool_] | None:
    """Which examples are right; the label and prediction of an answer that is a text say only whether there is one."""
    if "exact_match" in table.column_names:
        return np.asarray(table["exact_match"].to_numpy() == 1)
    return np.asarray(table["label"].to_numpy() == table["pred"].to_numpy()) if "pred" in table.column_names else None


def _answers(table: pa.Table) -> dict[str, NDArray[np.generic]]:
    """The columns that metrics are computed from."""
    names = [name for name in TEXTS if name in table.column_names] if "exact_match" in table.column_names else ["pred"]
    return {name: table[name].to_numpy() for name in names}
