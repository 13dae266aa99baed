"""How much of H = 0 is a miss in the first epoch only, in which the head of a model is still random."""

from __future__ import annotations

from pathlib import Path

from hprune.science.records import Scores
from hprune.storage.dynamics import StoredDynamics, records_behind


def first_epoch_misses(root: Path, study: str, scores: Scores | None) -> dict[str, int | str] | None:
    """Of the samples with H = 0, how many were missed in the first epoch only: `{table, hardest, missed_first_only}`.

    `hardest` samples have H = 0; of these `missed_first_only` were right in all later epochs of at least one run: they
    would have H > 0 without the first epoch. Read in pieces from the records.

    Args:
        root: where results lie.
        study: its name.
        scores: its H-score table.

    Returns:
        None where there is no table, it does not look at the first training pass of several, or its records are gone.
    """
    of_first = scores is not None and scores.measured == "train_pass" and not scores.conventions.get("skip_epochs")
    if scores is None or not of_first or scores.epochs < 2:
        return None
    try:
        return {"table": scores.name, **_counted(records_behind(root, study, scores))}
    except (ValueError, OSError):  # the data map says why
        return None


def _counted(stored: StoredDynamics) -> dict[str, int]:
    hardest = missed = 0
    for piece in stored.pieces():
        never = ~piece.correct.all(axis=1).any(axis=0)
        hardest += int(never.sum())
        missed += int((never & piece.correct[:, 1:].all(axis=1).any(axis=0)).sum())
    return {"hardest": hardest, "missed_first_only": missed}
