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
from hprune.storage.studies import Purpose, StudyRun, planned_seeds, runs_of, study_folder

log = logging.getLogger(__name__)


def fix_margin(
    root: Path, study: str, asked: float | str | None, *, metric: str, seeds: Sequence[int], tickets: int
) -> float | None:
    """The margin of a study, which is fixed now unless it was fixed before, or nothing says yet what it should be.

    Args:
        root: where results lie.
        study: its name.
        asked: `comparison.margin`: a number and None are what they say, `auto` is found.
        metric: the primary one.
        seeds: that arms are compared by, over all tickets.
        tickets: how many there are.

    Returns:
        The margin in the metric's own unit; None: no margin is tested. One point, and nothing is fixed, while the
        study plans too few seeds or lacks scoring runs.

    Raises:
        ValueError: if what was fixed before cannot be read.
    """
    if not isinstance(asked, str):
        return asked
    facts = stored_margin(root, study)
    if facts is None:
        if (lacking := _lacking(root, study, len(seeds), max(tickets, 1))) is not None:
            log.info("margin of the comparison: %g, not fixed yet: %s", LEAST, lacking)
            return LEAST
        found = _found(root, study, metric, len(seeds), max(tickets, 1))
        if store_margin(root, study, found):
            log.info("margin of the comparison: %g, fixed now; %s", found["margin"], found["why"])
        facts = stored_margin(root, study) or found
    return float(facts["margin"])


def _lacking(root: Path, study: str, seeds: int, tickets: int) -> str | None:
    """What is to come before the margin of a study can be fixed; None: nothing, or runs were trained with one."""
    if _stated_before(root, study) is not None:
        return None
    scored = {run.key.seed for run in _complete(root, study, "scoring")}
    if missing := sorted(set(_planned(root, study)) - scored):
        return f"the scoring runs of seeds {', '.join(map(str, missing))} are not complete"
    if len(scored) < 2:
        return "a margin is found from two complete scoring runs or more"
    if seeds < max(2, tickets):
        return f"it needs two comparison.seeds, and one for each ticket; planned: {seeds}"
    return None


def _found(root: Path, study: str, metric: str, seeds: int, tickets: int) -> dict[str, Any]:
    """The margin by the runs that there are, and what it rests on."""
    compared = len(_complete(root, study, "comparison"))
    stated = _stated_before(root, study)
    if stated is not None:
        why = "the comparison runs that are there were trained with it"
        return {"margin": stated, "why": why, "comparison_runs": compared}
    late = {"comparison_runs": compared}
    after = (
        f"; {compared} comparison runs were complete before it was fixed, without a margin of this study"
        if compared
        else ""
    )
    full = _full_runs(root, study, metric)
    if full is None:
        why = f"what each validation example contributes to {metric} is not known of two scoring runs, as of runs by "
        return {"margin": LEAST, "why": f"{why}folds or without prediction files{after}", **late}
    (runs, n), found = full.shape, resolvable_margin(full, seeds=seeds, tickets=tickets)
    by = f"{seeds} seeds" if tickets == 1 else f"{seeds} seeds of {tickets} tickets"
    why = f"{by} and {n:,} examples show a difference of {found:.2g}, or that there is none, in four of five studies"
    if found > MOST:
        why += f"; a margin above {MOST:g} says little: more comparison.seeds, tickets or examples would resolve it"
    facts = {"resolvable": found, "examples": n, "seeds": seeds, "tickets": tickets, "scoring_runs": runs}
    return {"margin": rounded_margin(found), "why": why + after, "metric": metric, **facts, **late}


def _stated_before(root: Path, study: str) -> float | None:
    """The smallest margin that complete comparison runs were trained with by this study; others state their own."""
    stated = []
    for run in _complete(root, study, "comparison"):
        config = read_results(run.path).get("config", {})
        comparison, own = config.get("comparison"), config.get("study", study) == study
        margin = comparison.get("margin") if isinstance(comparison, dict) else None
        if own and margin is not None and is_margin(margin):
            stated.append(float(margin))
    return min(stated, default=None)


def _full_runs(root: Path, study: str, metric: str) -> NDArray[np.float64] | None:
    """(S, n) what each validation example contributes to the metric of each scoring run; None if that is not known."""
    runs = [{**read_results(run.path), "folder": run.path} for run in _complete(root, study, "scoring")]
    found = Predictions({"scoring": runs}).contributions("scoring", "validation", metric) if runs else {}
    known = np.array(list(found.values()))
    return known if known.ndim == 2 and min(known.shape) >= 2 else None


def _planned(root: Path, study: str) -> list[int]:
    """The scoring seeds that the study plans; none where it has no run."""
    return planned_seeds(root, study) if (study_folder(root, study) / "runs").is_dir() else []


def _complete(root: Path, study: str, purpose: Purpose) -> list[StudyRun]:
    if not (study_folder(root, study) / "runs").is_dir():
        return []
    return [run for run in runs_of(root, study, purpose) if state_of(run.path) == "done"]
