"""Duplicates within the train texts and what they share with the evaluation sets: `duplicates` in report.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hprune.science.duplicates import repeated, text_keys
from hprune.science.records import Scores
from hprune.tasks.spec import TaskData

MANY = 0.01
"""More than this share of a set's texts are a sign, see `hprune.reporting.diagnosis`; fewer are told in a note."""
PIECE = 2**16
"""Samples whose texts are Python objects at a time."""


def overlap_of(data: TaskData | None, data_hash: str, scores: Scores | None) -> dict[str, Any] | None:
    """Count the texts that occur more than once, in train or in train and an evaluation set.

    Where samples are parts of a row, the texts are those of the rows, which would else repeat with every part.

    Args:
        data: the task's tables; None if they are no longer at hand.
        data_hash: of the train table that the study was trained on.
        scores: the table of H that the study is shown by.

    Returns:
        None if the data are not at hand, or are not those of the study any more.
    """
    if data is None or data.data_hash != data_hash:
        return None
    train = data.train if data.uncut is None else data.uncut[0]
    keys = text_keys(_texts(train, data.text))
    within = repeated(keys, train["label"].to_numpy())
    leaks, evaluation = np.zeros(keys.size, dtype=bool), {}
    for name, table in data.evaluation.items():
        own = text_keys(_texts(table, data.text))
        leaks |= np.isin(keys, own)
        evaluation[name] = {"samples": own.size, "in_train": int(np.isin(own, keys).sum())}
    return {
        "train": {
            "texts": keys.size,
            "groups": within.groups,
            "samples": int(within.inside.sum()),
            "conflicting": within.conflicting,
        },
        "evaluation": evaluation,
        "by_h": _by_h(data, train, scores, {"duplicates": within.inside, "leaks": leaks}),
    }


def _texts(table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for batch in table.select(list(columns)).to_batches(max_chunksize=PIECE):
        yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def _by_h(
    data: TaskData, train: pa.Table, scores: Scores | None, flags: Mapping[str, Any]
) -> list[dict[str, float | int | None]]:
    """At each H the number of samples, and the share of them that is flagged."""
    if scores is None or scores.data_hash != data.data_hash:
        return []
    if data.uncut is not None:
        at = np.searchsorted(train["sample_id"].to_numpy(), data.train["row"].to_numpy())
        flags = {name: flag[at] for name, flag in flags.items()}
    counts = np.bincount(scores.values, minlength=scores.runs + 1)
    shares = {
        name: np.bincount(scores.values, weights=flag, minlength=scores.runs + 1) / np.maximum(counts, 1)
        for name, flag in flags.items()
    }
    return [
        {"value": h, "count": int(n), **{name: float(share[h]) if n else None for name, share in shares.items()}}
        for h, n in enumerate(counts)
    ]


def overlap_told(report: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """What there is to say of `leaks` and `duplicates`: the share of the texts, the most of any set, and a sentence.

    Nothing where the data are gone.
    """
    found, told = report.get("duplicates"), dict[str, tuple[float, str]]()
    if found is None:
        return told
    leaking = {name: own for name, own in found["evaluation"].items() if own["in_train"]}
    if leaking:
        said = [
            f"{own['in_train']:,} of {own['samples']:,} {name} examples {_occur(own['in_train'])} in the train texts"
            for name, own in leaking.items()
        ]
        share = max(own["in_train"] / own["samples"] for own in leaking.values())
        told["leaks"] = share, f"{', '.join(said)}: right answers to them may be memory."
    train = found["train"]
    if train["samples"]:
        conflicting = f", {train['conflicting']:,} of them with different labels" if train["conflicting"] else ""
        told["duplicates"] = (
            train["samples"] / train["texts"],
            f"{train['samples']:,} train texts occur more than once{conflicting}{_ends(found['by_h'])}: a run learns "
            "each of them from the others, too, so their H, above all H = S, is not comparable.",
        )
    return told


def overlap_notes(report: Mapping[str, Any]) -> list[str]:
    """One line on duplicates and overlap that are too few to be a sign."""
    few = [sentence for share, sentence in overlap_told(report).values() if share <= MANY]
    return [" ".join(few)] if few else []


def _ends(by_h: Sequence[Mapping[str, Any]]) -> str:
    """How many of the hardest and of the easiest are duplicates."""
    ends = (("H = 0", by_h[0]), ("H = S", by_h[-1])) if by_h else ()
    shares = [f"{end['duplicates']:.1%} of {name}" for name, end in ends if end["count"]]
    return f" ({', '.join(shares)})" if shares else ""


def _occur(number: int) -> str:
    return "occurs" if number == 1 else "occur"
