"""What H owes to the first epoch, in which the head of a model is still random: of H = 0, and of the winning ticket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune.science.records import Scores
from hprune.storage.dynamics import StoredDynamics, records_behind


def first_epoch_misses(
    root: Path,
    study: str,
    scores: Scores | None,
    *,
    labels: NDArray[np.int64] | None = None,
    label_names: Sequence[str] = (),
) -> dict[str, Any] | None:
    """Count the samples with H = 0, and those of the winning ticket, that are so because of the first epoch only.

    With H' over the epochs after the first, of the same runs, H <= H'. Of the `hardest` samples, H = 0,
    `missed_first_only` have H' > 0: at least one run was right in all later epochs. Of the `ticket`, 0 < H < S,
    `ticket_by_first` have H' = S: every run was right in all later epochs, so the first one alone keeps them in.
    `by_class` has the `samples` of each class, and how many of them are in the `ticket` and in `ticket_by_first`.

    Args:
        root: where results lie.
        study: its name.
        scores: its H-score table.
        labels: (N,) the classes of the samples of that table; None if they are not known: `by_class` is empty then.
        label_names: of the classes.

    Returns:
        `{table, hardest, missed_first_only, ticket, ticket_by_first, by_class}`, read in pieces from the records. None
        where there is no table, it does not look at the first training pass of several, or its records are gone.
    """
    of_first = scores is not None and scores.measured == "train_pass" and not scores.conventions.get("skip_epochs")
    if scores is None or not of_first or scores.epochs < 2:
        return None
    try:
        return {"table": scores.name, **_counted(records_behind(root, study, scores), labels, label_names)}
    except (ValueError, OSError):  # the data map says why
        return None


def _counted(
    stored: StoredDynamics, labels: NDArray[np.int64] | None = None, label_names: Sequence[str] = ()
) -> dict[str, Any]:
    hardest = missed = seen = 0
    classes = np.zeros(0, np.int64) if labels is None else labels
    ticket, by_first = (np.zeros(len(label_names) if classes.size else 1, np.int64) for _ in range(2))
    for piece in stored.pieces():
        h, later = (piece.correct[:, skip:].all(axis=1).sum(axis=0) for skip in (0, 1))  # (n,) H and H'
        hardest += int((h == 0).sum())
        missed += int(((h == 0) & (later > 0)).sum())
        inside = (h > 0) & (h < piece.runs)
        of = classes[seen : seen + h.size] if classes.size else np.zeros(h.size, np.int64)
        ticket += np.bincount(of[inside], minlength=ticket.size)
        by_first += np.bincount(of[inside & (later == piece.runs)], minlength=ticket.size)
        seen += h.size
    every = np.bincount(classes, minlength=ticket.size)
    parts = zip(label_names, every.tolist(), ticket.tolist(), by_first.tolist(), strict=True) if classes.size else ()
    return {
        "hardest": hardest,
        "missed_first_only": missed,
        "ticket": int(ticket.sum()),
        "ticket_by_first": int(by_first.sum()),
        "by_class": {name: {"samples": n, "ticket": t, "ticket_by_first": b} for name, n, t, b in parts},
    }
