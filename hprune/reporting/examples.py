"""Arms beside others example by example: an interval over examples, McNemar's test, and slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hprune.reporting.arms import Arm, Manifest, full_set_of, ticket_of
from hprune.reporting.comparisons import facts_of
from hprune.reporting.predicted import Predicted, Predictions
from hprune.science.examples import mcnemar, paired_bootstrap
from hprune.science.stats import ByExample, difference_between, judged

MOST_SLICES = 20
"""A column that takes more values is no slice."""


def example_rows(
    arms: Mapping[str, Arm], predictions: Predictions | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Each arm against the full set and the winning ticket of its size, example by example; the first by slices, too.

    Args:
        arms: by their labels.
        predictions: what they predicted, where it was read already.

    Returns:
        The rows of `examples` and of `slices` in report.json. Sets of whose examples it is not known which are right
        have none.

    Raises:
        ValueError: if predictions were altered, or runs of one arm answered other examples.
    """
    predictions = predictions or Predictions(arms)
    examples, slices = [], []
    for label, arm in arms.items():
        full = full_set_of(arm[0], arms)
        for reference in filter(None, (full, ticket_of(arm[0], arms))):
            for eval_set in sorted(arm[0]["metrics"], key=lambda name: name != "validation"):
                ours, other = predictions.of(label, eval_set), predictions.of(reference, eval_set)
                seeds = sorted(set(ours.right) & set(other.right)) if ours and other else []
                if ours is None or other is None or not seeds or not ours.table["label"].equals(other.table["label"]):
                    continue
                where = {"label": label, "eval_set": eval_set, "metric": ours.metric}
                examples.append({**where, "to": reference, **_over_examples(ours, other, seeds)})
                if len(seeds) > 1 and reference == full:
                    slices += [where | found for found in _by_slice(ours, other, seeds, _class_names(arm[0], eval_set))]
    return examples, slices


def _over_examples(ours: Predicted, other: Predicted, seeds: list[int]) -> dict[str, Any]:
    arm, reference = (np.stack([side.right[seed] for seed in seeds]) for side in (ours, other))  # (K, n)
    tests = {str(seed): asdict(mcnemar(a, r)) for seed, a, r in zip(seeds, arm, reference, strict=True)}
    return {"n": int(arm.shape[1]), "difference": asdict(paired_bootstrap(arm, reference)), "mcnemar": tests}


def _by_slice(ours: Predicted, full: Predicted, seeds: list[int], names: list[str]) -> Iterator[dict[str, Any]]:
    """The difference in accuracy within each slice, over seeds and its examples; one family of tests a column."""
    for column, inside in _columns(full.table, names).items():
        arm, reference = (
            {
                value: {seed: side.right[seed][rows].astype(np.float64) for seed in seeds}
                for value, rows in inside.items()
            }
            for side in (ours, full)
        )
        found = {value: difference_between(_means(arm[value]), _means(reference[value]), arm[value], reference[value])
                 for value in inside}  # fmt: skip
        for value, gap in judged(found).items():
            mean = float(np.mean(list(_means(reference[value]).values())))
            facts = {"n": int(inside[value].sum()), "reference": mean, "difference": facts_of(gap)}
            yield {"slice": column, "value": value, **facts, "verdict": gap.verdict}


def _means(by_example: ByExample) -> dict[int, float]:
    return {seed: float(values.mean()) for seed, values in by_example.items()}


def _columns(table: pa.Table, names: list[str]) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """What examples are told apart by: class, length in thirds, the columns of `task.slices`; which hold each value."""
    labels = table["label"].to_numpy()
    found = {"class": {names[k] if 0 <= k < len(names) else str(k): labels == k for k in _few(labels)}}
    if "tokens" in table.column_names:
        found["length"] = _thirds(table["tokens"].to_numpy())
    for column in table.column_names:
        if column.startswith("slice_"):
            values = np.array([str(value) for value in table[column].to_pylist()])
            found[column.removeprefix("slice_")] = {str(value): values == value for value in _few(values)}
    return {column: slices for column, slices in found.items() if 1 < len(slices) <= MOST_SLICES}


def _few(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """The different values; none if they are too many to tell apart."""
    found = np.unique(values)
    return found if found.size <= MOST_SLICES else found[:0]


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
