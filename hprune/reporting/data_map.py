"""The data map of a study: what `data_map` in report.json holds, read from the records of its scoring runs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from hprune.science.data_map import data_map
from hprune.science.records import Scores
from hprune.storage.dynamics import records_behind

log = logging.getLogger(__name__)

MOST_POINTS = 2000
DIGITS = 3


def map_of(root: Path, study: str, scores: Scores | None) -> dict[str, Any] | None:
    """Confidence and variability of some samples, and what they are on average at each H.

    Args:
        root: where results lie.
        study: its name.
        scores: the table of H that the study is shown by.

    Returns:
        None without such a table, where runs have one epoch only, so that nothing varies, and where records are gone
        or were altered, which the log says.
    """
    if scores is None or scores.epochs - scores.conventions.get("skip_epochs", 0) < 2:
        return None
    try:
        dynamics = records_behind(root, study, scores)
        found = data_map(
            dynamics.pieces(("true_prob",)), samples=dynamics.samples, runs=dynamics.runs, most=MOST_POINTS
        )
    except (ValueError, OSError) as error:
        log.warning("the report goes without the data map: %s", error)
        return None
    means = (found.mean_confidence, found.mean_variability)
    return {
        "scores": scores.name,
        "S": dynamics.runs,
        "E": dynamics.epochs,
        "measured": scores.measured,
        "samples": dynamics.samples,
        "by_h": [
            {
                "value": value,
                "count": int(count),
                "confidence": round(float(means[0][value]), DIGITS) if count else None,
                "variability": round(float(means[1][value]), DIGITS) if count else None,
            }
            for value, count in enumerate(found.counts)
        ],
        "points": {
            "h": found.h.tolist(),
            "confidence": [round(value, DIGITS) for value in found.confidence.tolist()],
            "variability": [round(value, DIGITS) for value in found.variability.tolist()],
        },
    }
