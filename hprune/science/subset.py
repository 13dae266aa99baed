"""From a selection and a score to the subset that a run is trained on, with what it keeps and removes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune.science.records import Scores, Subset
from hprune.science.select import Positions, kept_by_value_and_class

Selection = Callable[..., Positions]


@dataclass(frozen=True)
class SubsetSpec:
    """One way to choose the samples that a run is trained on."""

    name: str
    select: Selection | None = None
    """A selection of `hprune.science.select` with its parameters bound; null keeps everything and needs no score."""
    scores: str | None = None
    """The score table: the name of one of the study's (null: h_score), or the path of a file."""
    allow_missing_class: bool = False
    """Train although a class is gone."""
    keep: Any = None
    """The keep-set, for selections that use one; `subset.keep=2..5` on the command line."""
    fraction: float | None = None
    """The share that is kept, for selections that take one."""

    def __post_init__(self) -> None:
        if self.select is not None and not callable(self.select):
            raise ValueError(f"subset.select must be a selection of hprune.science.select, got {self.select!r:.80}")
        if self.scores is not None and (not isinstance(self.scores, str) or not self.scores):
            raise ValueError(f"subset.scores must be the name of a score table, or a file, got {self.scores!r}")
        if not isinstance(self.name, str):
            raise ValueError(f"subset.name must be a text, got {self.name!r}")
        if type(self.allow_missing_class) is not bool:
            raise ValueError(f"subset.allow_missing_class must be true or false, got {self.allow_missing_class!r}")


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
    if scores is None:
        raise ValueError(
            f"subset {spec.name!r} selects by a score; name its table with subset.scores=NAME or FILE, "
            "made by: python -m hprune.score study=NAME"
        )
    if scores.data_hash != data_hash or not np.array_equal(scores.sample_ids, sample_ids):
        raise ValueError(
            f"the score table {scores.name!r} belongs to other data: "
            f"its train table has hash {scores.data_hash[:8]} and {scores.sample_ids.size:,} samples, "
            f"this one {data_hash[:8]} and {sample_ids.size:,}; score this data, or train on the data that was scored"
        )
    positions = spec.select(scores.values, runs=scores.runs, seed=seed)
    counts = kept_by_value_and_class(scores.values, labels, positions)
    if positions.size == 0:
        shown = ", ".join(f"{value}: {removed:,}" for value, (_, removed) in counts.get("score", {}).items())
        raise ValueError(
            f"subset {spec.name!r} keeps none of {sample_ids.size:,} samples "
            f"(samples per score {shown or 'not counted'}); choose another keep-set"
        )
    gone = [label_names[label] for label, (kept, _) in counts["label"].items() if kept == 0]
    if gone and not spec.allow_missing_class:
        raise ValueError(
            f"subset {spec.name!r} keeps no sample of class {', '.join(gone)}; "
            "choose another keep-set, or set subset.allow_missing_class=true"
        )
    provenance = {
        "scores": scores.name,
        "seeds": list(scores.seeds),
        "epochs": scores.epochs,
        "measured": scores.measured,
        **_plain(counts),
    }
    return Subset(spec.name, sample_ids[positions], data_hash, provenance)


def describe(subset: Subset, total: int, label_names: tuple[str, ...]) -> str:
    """What a subset keeps and removes, for the log: one line for the scores, one for the classes."""
    size = subset.sample_ids.size
    lines = [f"{subset.name} keeps {size:,} of {total:,} samples ({size / total:.1%})"]
    for group in ("score", "label"):
        counts: Mapping[str, Any] = subset.provenance.get(group, {})
        names = {str(i): name for i, name in enumerate(label_names)} if group == "label" else {}
        if counts:
            lines.append(
                f"  by {group} (kept, removed): "
                + "; ".join(f"{names.get(v, v)}: {kept:,}, {removed:,}" for v, (kept, removed) in counts.items())
            )
    return "\n".join(lines)


def _plain(counts: Mapping[str, Mapping[int, tuple[int, int]]]) -> dict[str, dict[str, list[int]]]:
    """JSON has text keys only."""
    return {group: {str(value): list(pair) for value, pair in rows.items()} for group, rows in counts.items()}
