"""From the comparison runs of a study to its arms, and to one row for each arm, evaluation set and metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hprune.science.compare import compare
from hprune.science.records import RunKey
from hprune.science.stats import t_interval
from hprune.storage.runs import differing_keys
from hprune.storage.studies import StudyRun

Manifest = dict[str, Any]
Arm = Sequence[Manifest]
"""The runs of one arm: same subset and settings, different seeds."""

LOWER_IS_BETTER = ("loss",)


def arms_of(runs: Sequence[StudyRun], manifests: Mapping[Path, Manifest]) -> dict[str, Arm]:
    """Group comparison runs by subset and settings: the full set first, random subsets last.

    Returns:
        The arms by their labels: the subset's name, and where several arms share it, the settings that differ.
    """
    groups: dict[tuple[str, str], list[Manifest]] = {}

    def order(run: StudyRun) -> tuple[bool, bool, RunKey]:
        manifest = manifests[run.path]
        return not trains_on_everything(manifest), is_random(manifest), run.key

    for run in sorted(runs, key=order):
        groups.setdefault((run.key.subset, run.settings_hash), []).append(manifests[run.path])
    labelled: dict[str, Arm] = {}
    for (name, digest), group in groups.items():
        namesakes = [
            other[0] for (arm, other_digest), other in groups.items() if arm == name and other_digest != digest
        ]
        label = _label(name, group[0], namesakes)
        labelled[label if label not in labelled else f"{label} [{digest[:8]}]"] = group
    return labelled


def rows_of_arm(label: str, arm: Arm, arms: Mapping[str, Arm]) -> list[dict[str, Any]]:
    """One row for each evaluation set and metric, compared with the full set and with random of equal size."""
    first = arm[0]
    references = {"": full_set_of(first, arms), "_to_random": random_like_of(first, arms)}
    rows = []
    for eval_set in sorted(set.intersection(*(set(manifest["metrics"]) for manifest in arm)), reverse=True):
        for metric in (m for m in first["metrics"][eval_set] if all(m in run["metrics"][eval_set] for run in arm)):
            values = _values(arm, eval_set, metric)
            interval = t_interval(values)
            row = {
                "arm": first["key"]["subset"],
                "label": label,
                "rule": first["settings"]["subset"]["rule"],
                "budget": "epochs",
                **_score_behind(first),
                "eval_set": eval_set,
                "metric": metric,
                "n": round(float(np.mean([manifest["samples"] for manifest in arm]))),
                "fraction": float(np.mean([manifest["samples"] / manifest["full_samples"] for manifest in arm])),
                "mean": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "seeds": sorted(values),
                "values": {str(seed): value for seed, value in sorted(values.items())},
            }
            for suffix, reference in references.items():
                row |= _difference(values, reference, eval_set, metric, suffix)
            rows.append(row)
    return rows


def full_set_of(manifest: Manifest, arms: Mapping[str, Arm]) -> Arm | None:
    """The arm on the full set whose settings are those of a run; None for the full set itself."""
    if trains_on_everything(manifest):
        return None
    return next(
        (arm for arm in arms.values() if trains_on_everything(arm[0]) and _same_settings(manifest, arm[0])), None
    )


def random_like_of(manifest: Manifest, arms: Mapping[str, Arm]) -> Arm | None:
    """The random arm of the same size and settings; None for the full set and for a random arm."""
    if trains_on_everything(manifest) or is_random(manifest):
        return None
    same = (arm for arm in arms.values() if is_random(arm[0]) and _same_settings(manifest, arm[0]))
    return next((arm for arm in same if arm[0]["samples"] == manifest["samples"]), None)


def trains_on_everything(manifest: Manifest) -> bool:
    """Whether a run was trained on the full set."""
    return bool(manifest["settings"]["subset"]["rule"] == "everything")


def is_random(manifest: Manifest) -> bool:
    """Whether the samples of a run were drawn at random: a score gave their number only."""
    return str(manifest["settings"]["subset"]["rule"]).endswith(".random_like")


def mean_seconds(arm: Arm) -> float:
    """Mean seconds of training of an arm's runs."""
    return float(np.mean([manifest["cost"]["train_seconds"] for manifest in arm]))


def _same_settings(a: Manifest, b: Manifest) -> bool:
    """Equal but for the subset, and for how samples are recorded, which does not change the training."""
    left, right = (
        {key: value for key, value in manifest["settings"].items() if key not in ("subset", "record")}
        for manifest in (a, b)
    )
    return left == right


def _label(name: str, manifest: Manifest, namesakes: Sequence[Manifest]) -> str:
    keys = [
        text.split(" (")[0] for other in namesakes for text in differing_keys(manifest["settings"], other["settings"])
    ]
    shown = ", ".join(f"{key}={_setting(manifest, key)}" for key in dict.fromkeys(keys))
    return f"{name} [{shown}]" if shown else name


def _setting(manifest: Manifest, key: str) -> Any:
    """The value of a setting by its dotted name; score tables by their name rather than their hash."""
    if key == "subset.scores":
        return manifest["subset"].get("scores")
    value: Any = manifest["settings"]
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value[:8] if isinstance(value, str) and len(value) == 64 else value  # a content hash


def _values(arm: Arm, eval_set: str, metric: str) -> dict[int, float]:
    return {
        manifest["key"]["seed"]: manifest["metrics"][eval_set][metric]
        for manifest in arm
        if eval_set in manifest["metrics"]
    }


def _difference(
    values: Mapping[int, float], reference: Arm | None, eval_set: str, metric: str, suffix: str
) -> dict[str, Any]:
    """The paired difference to another arm, where there is one with shared seeds."""
    other = {} if reference is None else _values(reference, eval_set, metric)
    if not set(other) & set(values):
        return {f"difference{suffix}": None, f"verdict{suffix}": None}
    found = compare({"": values}, other, higher_is_better=metric not in LOWER_IS_BETTER)[""]
    facts = {**asdict(found.interval), "p_value": found.p_value, "test": found.test}
    return {f"difference{suffix}": facts, f"verdict{suffix}": found.verdict}


def _score_behind(manifest: Manifest) -> dict[str, int | None]:
    """S and E of the score that chose the arm."""
    seeds = manifest["subset"].get("seeds")
    return {"S": None if seeds is None else len(seeds), "E": manifest["subset"].get("epochs")}
