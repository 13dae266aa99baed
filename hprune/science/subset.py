"""From a selection and a score to the subset that a run is trained on, with what it keeps and removes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune.science.records import Scores, Subset
from hprune.science.select import (
    Balance,
    Pool,
    Positions,
    Selection,
    balanced,
    by_value,
    kept_by_value_and_class,
    random_like,
    random_same_classes,
    subset_size,
)

MOST_TOLD = 200
"""Scores or classes that the log counts one by one."""


@dataclass(frozen=True)
class SubsetSpec:
    """One way to choose the samples that a run is trained on; its size by one of keep, fraction and size."""

    name: str
    select: Selection | None = None
    """A selection of `hprune.science.select` with its parameters bound; null keeps everything and needs no score."""
    scores: str | None = None
    """The score table: the name of one of the study's (null: h_score), or the path of a file."""
    by_score: bool = True
    """Whether the selection looks at the score of a sample; a random one does not."""
    keep: Any = None
    """The keep-set; `subset.keep=2..5` on the command line."""
    sized_by: str | None = None
    """The score table that `keep` counts in, where it is not `scores`: so arms of other scores are as large."""
    fraction: float | None = None
    """The share that is kept."""
    size: int | None = None
    """The number that is kept."""
    balance: Balance | None = None
    """Choose within each class: `share` keeps their proportions, `equal` makes them as equal as can be; a keep-set is
    thinned to that."""
    allow_missing_class: bool = False
    """Train although a class is gone."""

    def __post_init__(self) -> None:
        if self.select is not None and not callable(self.select):
            raise ValueError(f"subset.select must be a selection of hprune.science.select, got {self.select!r:.80}")
        for key in ("scores", "sized_by"):
            table = getattr(self, key)
            if table is not None and (not isinstance(table, str) or not table):
                raise ValueError(f"subset.{key} must be the name of a score table, or a file, got {table!r}")
        if not isinstance(self.name, str):
            raise ValueError(f"subset.name must be a text, got {self.name!r}")
        for key in ("allow_missing_class", "by_score"):
            if type(getattr(self, key)) is not bool:
                raise ValueError(f"subset.{key} must be true or false, got {getattr(self, key)!r}")
        if self.balance not in (None, "share", "equal"):
            raise ValueError(f"subset.balance must be share, equal or null, got {self.balance!r}")
        if self.balance is not None and self.select is None:
            raise ValueError(
                f"subset.balance={self.balance} shares out a size, but subset {self.name!r} keeps every sample, "
                "whatever its class; balance one that has a size or a keep-set, such as random_stratified, or leave "
                "it null"
            )

    @property
    def function(self) -> Selection | None:
        """The selection function that a subset applies, without the parameters that are bound to it."""
        return getattr(self.select, "func", self.select)

    @property
    def at_random(self) -> bool:
        """Whether its samples are drawn at random: a score says how many, of all or of each class, at most."""
        return self.function in (random_like, random_same_classes)


def choose(
    spec: SubsetSpec,
    scores: Scores | None,
    *,
    sample_ids: NDArray[np.int64],
    labels: NDArray[np.int64],
    label_names: tuple[str, ...],
    data_hash: str,
    seed: int,
) -> Subset:
    """Apply a selection to the train table of a run.

    Args:
        spec: the selection.
        scores: the score table; not needed by a selection of everything.
        sample_ids: (N,) ids of the train table.
        labels: (N,) their classes.
        label_names: K names.
        data_hash: of the train table.
        seed: of the run.

    Raises:
        ValueError: if the scores are of other data, nothing is kept, or a class is gone and that is not allowed.
    """
    if spec.select is None:
        return Subset(spec.name, sample_ids, data_hash, {"rule": "everything"})
    if scores is None and (spec.by_score or spec.keep is not None):
        raise ValueError(
            f"subset {spec.name!r} selects by a score; name its table with subset.scores=NAME or FILE, "
            "made by: python -m hprune.score study=NAME"
        )
    if scores is not None:
        check_scored(scores, sample_ids, data_hash)
    positions = _select(spec, scores, labels, seed)
    values = scores.values if scores is not None and spec.by_score else None
    counts = kept_by_value_and_class(values, labels, positions)
    if positions.size == 0:
        _check_thinned(spec, scores, labels, label_names)
        shown = ", ".join(f"{value}: {removed:,}" for value, (_, removed) in counts.get("score", {}).items())
        raise ValueError(
            f"subset {spec.name!r} keeps none of {sample_ids.size:,} samples "
            f"(samples per score {shown or 'not counted'}); choose another keep-set"
        )
    gone = [label_names[label] for label, (kept, _) in counts["label"].items() if kept == 0]
    if gone and not spec.allow_missing_class:
        raise ValueError(
            f"subset {spec.name!r} keeps no sample of class {listed(gone)}; "
            "choose another keep-set, or set subset.allow_missing_class=true"
        )
    return Subset(spec.name, sample_ids[positions], data_hash, {**_score_facts(spec, scores), **_plain(counts)})


def check_scored(scores: Scores, sample_ids: NDArray[np.int64], data_hash: str) -> None:
    """Refuse the scores of other data.

    Raises:
        ValueError: naming both.
    """
    if scores.data_hash != data_hash or not np.array_equal(scores.sample_ids, sample_ids):
        raise ValueError(
            f"the score table {scores.name!r} belongs to other data: "
            f"its train table has hash {scores.data_hash[:8]} and {scores.sample_ids.size:,} samples, "
            f"this one {data_hash[:8]} and {sample_ids.size:,}; score this data, or train on the data that was scored"
        )


def _select(spec: SubsetSpec, scores: Scores | None, labels: NDArray[np.int64], seed: int) -> Positions:
    assert spec.select is not None, "everything was kept already"
    pool = _pool(spec, scores, labels, seed)
    return spec.select(pool) if spec.balance is None else balanced(pool, spec.select, spec.balance)


def _pool(spec: SubsetSpec, scores: Scores | None, labels: NDArray[np.int64], seed: int) -> Pool:
    values = (
        np.zeros(labels.size, dtype=np.int16) if scores is None else scores.values
    )  # of a selection that looks at none
    runs = 0 if scores is None else scores.runs
    return Pool(
        values,
        labels,
        runs=runs,
        higher_is="easier" if scores is None else scores.higher_is,
        size=subset_size(values, runs=runs, keep=spec.keep, fraction=spec.fraction, size=spec.size),
        keep=spec.keep,
        seed=seed,
    )


def _check_thinned(
    spec: SubsetSpec, scores: Scores | None, labels: NDArray[np.int64], label_names: tuple[str, ...]
) -> None:
    """Say that a keep-set which is to be balanced lacks a class, where that is why nothing is left of it."""
    if spec.balance is None or spec.function not in (by_value, random_same_classes):
        return
    there = labels[by_value(_pool(spec, scores, labels, 0))]
    if not there.size:
        return
    each = zip(
        label_names, *(np.bincount(of, minlength=len(label_names)).tolist() for of in (labels, there)), strict=True
    )
    counts = {name: count for name, total, count in each if total}
    lacking = [name for name, count in counts.items() if not count]
    raise ValueError(
        f"subset {spec.name!r} with subset.balance={spec.balance} keeps nothing: its keep-set {spec.keep!r} has no "
        f"sample of class {listed(lacking)} ({listed([f'{name}: {count:,}' for name, count in counts.items()])}); "
        "choose a wider keep-set, such as 0..S-1, or set subset.balance=null"
    )


def _score_facts(spec: SubsetSpec, scores: Scores | None) -> dict[str, Any]:
    """The score behind a subset, if it was chosen by one."""
    if scores is None or not spec.by_score:
        return {}
    return {
        "scores": scores.name,
        "seeds": list(scores.seeds),
        "epochs": scores.epochs,
        "measured": scores.measured,
        **({"skip_epochs": skipped} if (skipped := scores.conventions.get("skip_epochs")) else {}),
    }


def listed(names: Sequence[str], most: int = 50) -> str:
    """Names for a message, where there are very many the first."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} others" if len(names) > most else "")


def describe(subset: Subset, total: int, label_names: tuple[str, ...]) -> str:
    """What a subset keeps and removes, for the log: one line for the scores, one for the classes."""
    size = subset.sample_ids.size
    lines = [f"{subset.name} keeps {size:,} of {total:,} samples ({size / total:.1%})"]
    for group in ("score", "label"):
        counts: Mapping[str, Any] = subset.provenance.get(group, {})
        names = {str(i): name for i, name in enumerate(label_names)} if group == "label" else {}
        if len(counts) > MOST_TOLD:
            gone = sum(not kept for kept, _ in counts.values())
            lines.append(f"  by {group}: {len(counts):,} in all, nothing is kept of {gone:,}")
        elif counts:
            lines.append(
                f"  by {group} (kept, removed): "
                + "; ".join(f"{names.get(v, v)}: {kept:,}, {removed:,}" for v, (kept, removed) in counts.items())
            )
    return "\n".join(lines)


def _plain(counts: Mapping[str, Mapping[int, tuple[int, int]]]) -> dict[str, dict[str, list[int]]]:
    """JSON has text keys only."""
    return {group: {str(value): list(pair) for value, pair in rows.items()} for group, rows in counts.items()}
