"""The cost of a study for its report: what each stage took, and whether the subsets pay it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict
from typing import Any, Literal

import numpy as np

from hprune.reporting.arms import (
    Arm,
    Manifest,
    budget_of,
    drawn_at_random,
    full_set_of,
    mean_seconds,
    rule_of,
    trains_on_everything,
)
from hprune.science.cost import PayBack, pay_back
from hprune.science.records import Measured

Unit = Literal["seconds", "flops"]


def ledger_of(scoring: Sequence[Manifest], arms: Mapping[str, Arm], tables: Set[str]) -> dict[str, Any]:
    """The `cost` of report.json, see `hprune.reporting.summary`.

    Args:
        scoring: the complete scoring runs.
        arms: the comparison runs by arm.
        tables: digests of the study's own score tables.
    """
    return {
        "scoring_seconds": total(scoring, "train_seconds") or 0.0,
        "scoring_runs": len(scoring),
        "stages": _stages(scoring, arms),
        "arms": [_arm(label, scoring, arms, tables) for label in arms],
    }


def _arm(label: str, scoring: Sequence[Manifest], arms: Mapping[str, Arm], tables: Set[str]) -> dict[str, Any]:
    paid = {unit: paid_back(scoring, arms[label], arms, tables, unit) for unit in ("seconds", "flops")}
    seconds = paid["seconds"]
    return {
        "label": label,
        "train_seconds": mean_seconds(arms[label]),
        "break_even_runs": None if seconds is None else seconds.break_even,
        "pay_back": None if seconds is None else {unit: _told(one) for unit, one in paid.items()},
    }


def _told(paid: PayBack | None) -> dict[str, Any] | None:
    if paid is None:
        return None
    derived = ("saved", "saved_share", "selection_to_tuning")
    return {**asdict(paid), **{name: getattr(paid, name) for name in derived}}


def paid_back(
    scoring: Sequence[Manifest], arm: Arm, arms: Mapping[str, Arm], tables: Set[str], unit: Unit = "seconds"
) -> PayBack | None:
    """What an arm saves, against the runs behind its score; their clean passes count where the score is made of them.

    None for arms that no run of the study scored, that are random but for their classes, that take as many steps as the
    full set, or whose cost in this unit is not known.
    """
    full, subset = full_set_of(arm[0], arms), arm[0]["subset"]
    if full is None or budget_of(arm[0]) == "steps" or drawn_at_random(rule_of(arm[0])):
        return None
    if arm[0]["settings"]["subset"].get("scores") not in tables:
        return None
    used = [manifest for manifest in scoring if manifest["key"]["seed"] in subset.get("seeds", [])]
    of_runs = [total(runs, f"train_{unit}") for runs in (arms[full], arm)]
    costs = [scoring_cost(used, subset.get("measured", "train_pass"), unit), *of_runs]
    if not used or None in costs:
        return None
    spent, of_full, of_arm = (float(cost or 0) for cost in costs)
    return pay_back(scoring=spent, full_run=of_full / len(arms[full]), subset_run=of_arm / len(arm))


def scoring_cost(runs: Sequence[Manifest], measured: Measured, unit: Unit) -> float | None:
    """What runs took to score by: their training, and their clean passes where the score is made of them.

    None if one does not say it.
    """
    stages = ("train",) if measured == "train_pass" else ("train", "clean_pass")
    spent = [total(runs, f"{stage}_{unit}") for stage in stages]
    return None if None in spent else sum(cost or 0.0 for cost in spent)


def _stages(scoring: Sequence[Manifest], arms: Mapping[str, Arm]) -> list[dict[str, Any]]:
    """One entry a stage that took anything, and the total of all."""
    compared = [run for arm in arms.values() for run in arm]
    named: dict[str, tuple[Sequence[Manifest], str]] = {
        "scoring runs": (scoring, "train"),
        "clean passes of scoring runs": (scoring, "clean_pass"),
        **{f"comparison runs, {label}": (arm, "train") for label, arm in arms.items()},
        "clean passes of comparison runs": (compared, "clean_pass"),
        "evaluation": ([*scoring, *compared], "evaluation"),
        "checkpoints": ([*scoring, *compared], "checkpoint"),
    }
    full = next((arm for arm in arms.values() if trains_on_everything(arm[0])), None)
    told = []
    for name, (runs, stage) in named.items():
        seconds = total(runs, f"{stage}_seconds")
        if seconds:
            told.append(_stage(name, len(runs), seconds, total(runs, f"{stage}_flops"), full))
    counted = [stage["flops"] for stage in told if stage["stage"] != "checkpoints"]
    flops = None if None in counted else float(sum(counted))
    seconds = float(sum(stage["seconds"] for stage in told))
    return [*told, _stage("total", len(scoring) + len(compared), seconds, flops or None, full)]


def _stage(name: str, runs: int, seconds: float, flops: float | None, full: Arm | None) -> dict[str, Any]:
    one = 0.0 if full is None else mean_seconds(full)
    ratio = seconds / one if one > 0 else None
    return {"stage": name, "runs": runs, "seconds": seconds, "flops": flops, "full_runs": ratio}


def total(runs: Sequence[Manifest], name: str) -> float | None:
    """Over runs that all say it; None if one does not, as those of older versions."""
    values = [run["cost"].get(name) for run in runs]
    return None if None in values else float(np.sum(values))
