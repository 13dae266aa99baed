"""Triage: what a person decides of suspicious samples, and what the runs answered to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hprune.science.records import Scores

TABLE = "triaged"
"""The score of a table of decisions, whatever the table is called."""
DECISIONS = ("keep", "drop", "relabel")
MOST_FAULTS = 10


@dataclass(frozen=True)
class Line:
    """One line of a sheet, its cells as texts."""

    where: str
    sample_id: str
    decision: str
    new_label: str


@dataclass(frozen=True)
class Decisions:
    """What becomes of the samples of a sheet; all others are kept."""

    looked_at: int
    dropped: tuple[int, ...] = ()
    relabelled: dict[int, int] = field(default_factory=dict)
    """The new class by the id."""

    def values(self, sample_ids: NDArray[np.int64]) -> NDArray[np.int16]:
        """(N,) 1 for what is kept, 0 for what is dropped or has a wrong label in this data."""
        gone = np.array([*self.dropped, *self.relabelled], dtype=np.int64)
        return (~np.isin(sample_ids, gone)).astype(np.int16)

    @property
    def counts(self) -> dict[str, int]:
        """How many of the samples that were looked at are kept, dropped, relabelled."""
        kept = self.looked_at - len(self.dropped) - len(self.relabelled)
        return dict(zip(DECISIONS, (kept, len(self.dropped), len(self.relabelled)), strict=True))


def decide(
    lines: Iterable[Line],
    *,
    sample_ids: NDArray[np.int64],
    labels: NDArray[np.int64],
    label_names: Sequence[str],
    no_relabel: str | None = None,
) -> Decisions:
    """Read the decisions of a sheet; a blank one keeps.

    Args:
        lines: of the sheet.
        sample_ids: (N,) ids of the train table, increasing.
        labels: (N,) their classes.
        label_names: K names.
        no_relabel: why samples of this task cannot be relabelled; None: they can.

    Raises:
        ValueError: naming the lines that say something else than keep, drop, relabel or nothing, that name a sample
            which is unknown or occurs twice, or whose new label is missing, not asked for, no class, or the old one.
    """
    dropped: list[int] = []
    relabelled: dict[int, int] = {}
    first: dict[int, str] = {}
    faults: list[str] = []
    for line in lines:
        try:
            at = _position(line, sample_ids, first)
            sample, decision = int(sample_ids[at]), _decision(line, no_relabel)
            if decision == "relabel":
                relabelled[sample] = _new_class(line, label_names, int(labels[at]))
            elif decision == "drop":
                dropped.append(sample)
        except ValueError as error:
            faults.append(f"{line.where}: {error}")
    if faults:
        rest = f"\n  and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
        raise ValueError("\n  ".join(["the sheet cannot be read back:", *faults[:MOST_FAULTS]]) + rest)
    return Decisions(len(first), tuple(sorted(dropped)), relabelled)


def of_decisions(scores: Scores) -> bool:
    """Whether a score table says what a person kept, and nothing of the runs."""
    return scores.conventions.get("score") == TABLE


def favoured(confidence: NDArray[np.floating], labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """The class that answers favour, as far as the probability of the label alone says it; -1 where it does not.

    At half or above it is the label itself; below, with two classes, the other one.

    Args:
        confidence: (n,) mean probability of the label.
        labels: (n,) in 0..K-1.
        classes: K.

    Example:
        >>> favoured(np.array([0.7, 0.2]), np.array([0, 0]), 2).tolist()
        [0, 1]
        >>> favoured(np.array([0.7, 0.2]), np.array([0, 0]), 3).tolist()
        [0, -1]
    """
    return np.where(confidence >= 0.5, labels, 1 - labels if classes == 2 else -1)


def _position(line: Line, sample_ids: NDArray[np.int64], first: dict[int, str]) -> int:
    """Where the sample of a line stands in the train table."""
    text = _whole(line.sample_id)
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(f"sample_id must be a whole number, as it was written, got {line.sample_id!r:.80}")
    sample = int(text)
    at = int(np.searchsorted(sample_ids, sample))
    if at == sample_ids.size or sample_ids[at] != sample:
        raise ValueError(f"no sample of the study has the sample_id {sample}; is the sheet of another study?")
    if sample in first:
        raise ValueError(f"sample_id {sample} was there before ({first[sample]}); remove one of the two")
    first[sample] = line.where
    return at


def _decision(line: Line, no_relabel: str | None) -> str:
    """keep, drop or relabel, in small letters."""
    decision, new_label = line.decision.strip().lower() or "keep", line.new_label.strip()
    if decision not in DECISIONS:
        raise ValueError(f"decision must be keep, drop, relabel or blank, got {line.decision!r:.80}")
    if decision == "relabel" and no_relabel:
        raise ValueError(f"samples of this study cannot be relabelled, as {no_relabel}; keep or drop it")
    if decision != "relabel" and new_label:
        said = "blank" if not line.decision.strip() else decision
        raise ValueError(
            f"it has the new_label {new_label!r:.80}, but its decision is {said}; write relabel, or clear new_label"
        )
    return decision


def _new_class(line: Line, label_names: Sequence[str], label: int) -> int:
    """The number of the class in `new_label`; undone is what an export or a spreadsheet does to a name."""
    text = line.new_label.strip()
    known = ", ".join(label_names[:MOST_FAULTS])
    if not text:
        raise ValueError(f"relabel needs a new_label, one of {known}")
    candidates = (line.new_label, text, text.removeprefix("'"), _whole(text))
    found = next((name for name in candidates if name in label_names), None)
    if found is None and text.lower() in ("true", "false"):  # a spreadsheet writes them in capitals
        same = [name for name in label_names if name.lower() == text.lower()]
        found = same[0] if len(same) == 1 else None
    if found is None:
        raise ValueError(f"new_label must be a class, one of {known}, got {text!r:.80}")
    if label_names.index(found) == label:
        raise ValueError(f"new_label {found!r:.80} is the label that it has; write keep, or another class")
    return label_names.index(found)


def _whole(text: str) -> str:
    """`7` for the `7.0` that a table with gaps makes of it."""
    return re.sub(r"(?<=[0-9])\.0+$", "", text.strip())
