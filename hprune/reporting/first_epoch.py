"""How much of H = 0 is a miss in the first epoch only, in which the head of a model is still random."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hprune.science.records import Scores
from hprune.storage.dynamics import StoredDynamics
from hprune.storage.runs import state_of
from hprune.storage.studies import runs_of


def first_epoch_misses(root: Path, study: str, tables: Sequence[Scores]) -> dict[str, dict[str, int]]:
    """For each H-score table that looks at the first of several epochs: `{name: {hardest, missed_first_only}}`.

    `hardest` samples have H = 0; of these `missed_first_only` were right in all later epochs of at least one run: they
    would have H > 0 without the first epoch. Read in pieces from the records; tables whose runs are gone have none.
    """
    there = {run.key.seed: run.path for run in runs_of(root, study, "scoring") if state_of(run.path) == "done"}
    found = {}
    for scores in tables:
        of_h = scores.conventions.get("score", scores.name) == "h_score" and not scores.conventions.get("skip_epochs")
        if of_h and scores.epochs > 1 and set(scores.seeds) <= set(there):
            stored = StoredDynamics.open([there[seed] for seed in scores.seeds], scores.measured)
            found[scores.name] = _counted(stored.prefix(epochs=scores.epochs))
    return found


def _counted(stored: StoredDynamics) -> dict[str, Any]:
    hardest = missed = 0
    for piece in stored.pieces():
        never = ~piece.correct.all(axis=1).any(axis=0)
        hardest += int(never.sum())
        missed += int((never & piece.correct[:, 1:].all(axis=1).any(axis=0)).sum())
    return {"hardest": hardest, "missed_first_only": missed}
