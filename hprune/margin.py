"""The margin of a study: how much two arms may differ and still count as equal, fixed before the first is compared.

`comparison.margin: auto` takes what the scoring runs say: the smallest margin that the planned seeds, tickets and
evaluation examples resolve (`hprune.science.margin`), rounded up, one point at least and three at most. It is written
to `studies/<study>/margin.json` before the first comparison run, and never changed after that.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune.reporting.predicted import Predictions
from hprune.science.margin import LEAST, MOST, resolvable_margin, rounded_margin
from hprune.storage.manifests import read_results
from hprune.storage.margins import is_margin, store_margin, stored_margin
from hprune.storage.runs import state_of
from hprune.storage.studies import runs_of, study_folder

log = logging.getLogger(__name__)


def fix_margin(
    root: Path, study: str, asked: float | str | None, *, metric: str, seeds: Sequence[int], tickets: int
) -> float | None:
    """The margin of a study, which is fixed now unless it was fixed before.

    Args:
        root: where results lie.
        study: its name.
        asked: `comparison.margin`: a number and None are what they say, `auto` is found.
        metric: the primary one.
        seeds: that arms are compared by, over all tickets.
        tickets: how many there are.

    Returns:
        The margin in the metric's own unit; None: no margin is tested.

    Raises:
        ValueError: if what was fixed before cannot be read.
    """
    if not isinstance(asked, str):
        return asked
    facts = stored_margin(root, study)
    if facts is None:
        found = _found(root, study, metric, len(seeds), max(tickets, 1))
        if store_margin(root, study, found):
            log.info("margin of the comparison: %g, fixed now; %s", found["margin"], found["why"])
        facts = stored_margin(root, study) or found
    return float(facts["margin"])


def _found(root: Path, study: str, metric: str, seeds: int, tickets: int) -> dict[str, Any]:
    """The margin by the runs that there are, and what it rests on."""
    stated = _stated_before(root, study)
    if stated is not None:
        return {"margin": stated, "why": "the comparison runs that are there were trained with it"}
    full = _full_runs(root, study, metric)
    if full is None or seeds < max(2, tickets):
        return {"margin": LEAST, "why": "too few scoring runs or seeds say what they resolve"}
    (runs, n), found = full.shape, resolvable_margin(full, seeds=seeds, tickets=tickets)
    by = f"{seeds} seeds" if tickets == 1 else f"{seeds} seeds of {tickets} tickets"
    why = f"{by} and {n:,} examples show a difference of {found:.2g}, or that there is none, in four of five studies"
    if found > MOST:
        why += f"; a margin above {MOST:g} says little: more comparison.seeds, tickets or examples would resolve it"
    facts = {"resolvable": found, "examples": n, "seeds": seeds, "tickets": tickets, "scoring_runs": runs}
    return {"margin": rounded_margin(found), "why": why, "metric": metric, **facts}


def _stated_before(root: Path, study: str) -> float | None:
    """The smallest margin that complete comparison runs of the study were trained with."""
    stated = []
    for run in _complete(root, study, "comparison"):
        comparison = read_results(run).get("config", {}).get("comparison")
        margin = comparison.get("margin") if isinstance(comparison, dict) else None
        if margin is not None and is_margin(margin):
            stated.append(float(margin))
    return min(stated, default=None)


def _full_runs(root: Path, study: str, metric: str) -> NDArray[np.float64] | None:
    """(S, n) what each validation example contributes to the metric of each scoring run; None if that is not known."""
    runs = [{**read_results(run), "folder": run} for run in _complete(root, study, "scoring")]
    found = Predictions({"scoring": runs}).contributions("scoring", "validation", metric) if runs else {}
    known = np.array(list(found.values()))
    return known if known.ndim == 2 and min(known.shape) >= 2 else None


def _complete(root: Path, study: str, purpose: Any) -> list[Path]:
    if not (study_folder(root, study) / "runs").is_dir():
        return []
    return [run.path for run in runs_of(root, study, purpose) if state_of(run.path) == "done"]
