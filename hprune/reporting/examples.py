"""Arms beside others example by example: an interval over examples, McNemar's test, and slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hprune.reporting.arms import Arm, Manifest, full_set_of, ticket_of
from hprune.reporting.comparisons import facts_of
from hprune.science.examples import mcnemar, paired_bootstrap
from hprune.science.stats import compare
from hprune.storage.predictions import load_predictions

EXAMPLE = ["sample_id", "label"]
MOST_SLICES = 20
"""A column that takes more values is no slice."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """What the runs of an arm predicted for one evaluation set."""

    table: pa.Table  # of the first run: examples and what they are
    metric: str  # what being right is: accuracy, or exact_match of answers that are texts
    right: Mapping[int, NDArray[np.bool_]]  # by seed, (n,) each


def example_rows(arms: Mapping[str, Arm]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Each arm against the full set and the winning ticket of its size, example by example; the first by slices, too.

    Returns:
        The rows of `examples` and of `slices` in report.json. Sets of whose examples it is not known which are right
        have none.

    Raises:
        ValueError: if predictions were altered, or runs of one arm answered other examples.
    """
    known: dict[tuple[str, str], Predicted | None] = {}

    def predicted(label: str, eval_set: str) -> Predicted | None:
        if (label, eval_set) not in known:
            known[label, eval_set] = _predicted(arms[label], eval_set)
        return known[label, eval_set]

    examples, slices = [], []
    for label, arm in arms.items():
        full = full_set_of(arm[0], arms)
        for reference in filter(None, (full, ticket_of(arm[0], arms))):
            for eval_set in sorted(arm[0]["metrics"], key=lambda name: name != "validation"):
                ours, other = predicted(label, eval_set), predicted(reference, eval_set)
                seeds = sorted(set(ours.right) & set(other.right)) if ours and other else []
                if ours is None or other is None or not seeds or not ours.table["label"].equals(other.table["label"]):
                    continue
                where = {"label": label, "eval_set": eval_set, "metric": ours.metric}
                examples.append({**where, "to": reference, **_over_examples(ours, other, seeds)})
                if len(seeds) > 1 and reference == full:
                    slices += [where | found for found in _by_slice(ours, other, seeds, _class_names(arm[0], eval_set))]
    return examples, slices


def _predicted(arm: Arm, eval_set: str) -> Predicted | None:
    tables = {
        run["key"]["seed"]: load_predictions(run["folder"], eval_set) for run in arm if eval_set in run["metrics"]
    }
    there = {seed: table for seed, table in tables.items() if table is not None and {*EXAMPLE} <= {*table.column_names}}
    if not there:
        return None
    first = next(iter(there.values()))
    if any(not table.select(EXAMPLE).equals(first.select(EXAMPLE)) for table in there.values()):
        raise ValueError(f"runs of {arm[0]['key']['subset']} answered other examples of {eval_set}; train them again")
    right = {seed: found for seed, table in there.items() if (found := _right(table)) is not None}
    metric = "exact_match" if "exact_match" in first.column_names else "accuracy"
    return Predicted(first, metric, right) if right else None


def _right(table: pa.Table) -> NDArray[np.bool_] | None:
    """Which examples are right; the label and prediction of an answer that is a text say only whether there is one."""
    if "exact_match" in table.column_names:
        return table["exact_match"].to_numpy() == 1
    return table["label"].to_numpy() == table["pred"].to_numpy() if "pred" in table.column_names else None


def _over_examples(ours: Predicted, other: Predicted, seeds: list[int]) -> dict[str, Any]:
    arm, reference = (np.stack([side.right[seed] for seed in seeds]) for side in (ours, other))  # (K, n)
    tests = {str(seed): asdict(mcnemar(a, r)) for seed, a, r in zip(seeds, arm, reference, strict=True)}
    return {"n": int(arm.shape[1]), "difference": asdict(paired_bootstrap(arm, reference)), "mcnemar": tests}


def _by_slice(ours: Predicted, full: Predicted, seeds: list[int], names: list[str]) -> Iterator[dict[str, Any]]:
    """The difference in accuracy within each slice, one family of tests a column."""
    for column, inside in _columns(full.table, names).items():
        gaps = {
            value: {seed: float(ours.right[seed][rows].mean() - full.right[seed][rows].mean()) for seed in seeds}
            for value, rows in inside.items()
        }
        for value, gap in compare(gaps, dict.fromkeys(seeds, 0.0)).items():
            reference = float(np.mean([full.right[seed][inside[value]].mean() for seed in seeds]))
            facts = {"n": int(inside[value].sum()), "reference": reference, "difference": facts_of(gap)}
            yield {"slice": column, "value": value, **facts, "verdict": gap.verdict}


def _columns(table: pa.Table, names: list[str]) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """What examples are told apart by: class, length in thirds, the columns of `task.slices`; which hold each value."""
    labels = table["label"].to_numpy()
    found = {"class": {names[k] if 0 <= k < len(names) else str(k): labels == k for k in np.unique(labels)}}
    if "tokens" in table.column_names:
        found["length"] = _thirds(table["tokens"].to_numpy())
    for column in table.column_names:
        if column.startswith("slice_"):
            values = np.array([str(value) for value in table[column].to_pylist()])
            found[column.removeprefix("slice_")] = {str(value): values == value for value in np.unique(values)}
    return {column: slices for column, slices in found.items() if 1 < len(slices) <= MOST_SLICES}


def _thirds(tokens: NDArray[np.integer]) -> dict[str, NDArray[np.bool_]]:
    """Short, middle and long examples; none where too many are of one length."""
    low, high = np.quantile(tokens, [1 / 3, 2 / 3], method="lower").astype(int)
    if not low < high < tokens.max():
        return {}
    middle = f"{low + 1} to {high} tokens" if low + 1 < high else f"{high} tokens"
    masks = (tokens <= low, (tokens > low) & (tokens <= high), tokens > high)
    return dict(zip((f"up to {low} tokens", middle, f"from {high + 1} tokens"), masks, strict=True))


def _class_names(manifest: Manifest, eval_set: str) -> list[str]:
    """The names of a set's classes: its own, or the task's."""
    also = manifest["config"]["task"].get("also") or {}
    own = also.get(eval_set, {}).get("label_names") if isinstance(also, dict) else None
    return [str(name) for name in (own if isinstance(own, list) else manifest["label_names"])]
