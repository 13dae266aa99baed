"""The facts of a study as plain values: what `report.json` holds, and what the page and the table show.

Schema of `report.json` (schema_version 1):
    study, task, model, created, primary_metric, label_names
    rows: [{arm, label, budget, S, E, eval_set, metric, n, fraction, mean, low, high, seeds, values,
            difference: {mean, low, high, p_value, seeds, test} | null, verdict | null}]
        `budget` is what arms have in common: "epochs". S and E are the runs and epochs behind the score that chose the
        arm, null for the full set. `low` and `high` bound the 95% t interval over seeds, null with one seed. The
        difference is to the full set with the same settings, paired by seed; null for the full set itself.
    histogram: {score table: {S, E, measured, higher_is, values: [{value, count, by_class: {class: count}}]}}
    cost: {scoring_seconds, scoring_runs, arms: [{label, train_seconds, break_even_runs}]}
    samples: [{group, sample_id, value, label, text}]   sentences to read, per region of the score
    provenance: {data_hash, settings, versions, scoring_seeds, comparison_seeds, hprune, config}
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune import __version__
from hprune.science.cost import pay_back
from hprune.science.records import Scores
from hprune.science.stats import paired_difference, t_interval
from hprune.storage.runs import differing_keys, read_manifest, state_of
from hprune.storage.scores import load_scores
from hprune.storage.studies import StudyRun, existing_study, runs_of
from hprune.tasks.spec import TaskData

Manifest = dict[str, Any]
LOWER_IS_BETTER = ("loss",)


def summarise(root: Path, study: str, data: TaskData | None) -> dict[str, Any]:
    """Gather everything that a study says, from its complete runs and score tables.

    Args:
        root: where results lie.
        study: its name.
        data: the task's tables, for class counts and texts; None if they are no longer at hand.

    Raises:
        ValueError: if the study does not exist or has no complete run.
    """
    runs = [run for run in runs_of(root, study) if state_of(run.path) == "done"]
    if not runs:
        raise ValueError(f"study {study!r} has no complete run yet; see: python -m hprune.status")
    manifests = {run.path: read_manifest(run.path) for run in runs}
    scoring = [manifests[run.path] for run in runs if run.purpose == "scoring"]
    groups = _arms([run for run in runs if run.purpose == "comparison"], manifests)
    first = manifests[runs[0].path]
    scores = [load_scores(path) for path in sorted((existing_study(root, study) / "scores").glob("*.parquet"))]
    return {
        "schema_version": 1,
        "study": study,
        "task": first["key"]["task"],
        "model": first["key"]["model"],
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "primary_metric": first["primary_metric"],
        "label_names": first["label_names"],
        "full_samples": first["full_samples"],
        "rows": [row for label, group in groups.items() for row in _rows(label, group, groups)],
        "histogram": {table.name: _histogram(table, data) for table in scores},
        "cost": _cost(scoring, groups),
        "samples": _samples(scores, data),
        "provenance": {
            "data_hash": first["data_hash"],
            "settings": {key: value for key, value in first["settings"].items() if key != "subset"},
            "versions": first["versions"],
            "scoring_seeds": sorted(manifest["key"]["seed"] for manifest in scoring),
            "comparison_seeds": sorted({manifest["key"]["seed"] for group in groups.values() for manifest in group}),
            "hprune": __version__,
            "config": first["config"],
        },
    }


def _arms(runs: Sequence[StudyRun], manifests: Mapping[Path, Manifest]) -> dict[str, list[Manifest]]:
    """Comparison runs by arm: same subset and settings, different seeds. Arms of one name are told apart by what differs."""
    groups: dict[tuple[str, str], list[Manifest]] = {}
    for run in sorted(runs, key=lambda run: (run.key.subset != "full", run.key)):
        groups.setdefault((run.key.subset, run.settings_hash), []).append(manifests[run.path])
    labelled = {}
    for (name, digest), group in groups.items():
        namesakes = [
            other[0] for (arm, other_digest), other in groups.items() if arm == name and other_digest != digest
        ]
        labelled[_label(name, group[0], namesakes)] = group
    return labelled


def _label(name: str, manifest: Manifest, namesakes: Sequence[Manifest]) -> str:
    keys: list[str] = []
    for other in namesakes:
        for text in differing_keys(manifest["settings"], other["settings"]):
            key = text.split(" (")[0]
            if key not in keys and not key.startswith("subset.scores"):
                keys.append(key)
    shown = ", ".join(f"{key}={_setting(manifest['settings'], key)}" for key in keys)
    return f"{name} [{shown}]" if shown else name if not namesakes else f"{name} [{manifest['settings_hash'][:8]}]"


def _setting(settings: Mapping[str, Any], key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _rows(label: str, group: Sequence[Manifest], groups: Mapping[str, Sequence[Manifest]]) -> list[dict[str, Any]]:
    """One row for each evaluation set and metric of an arm."""
    reference = _full_set_of(group[0], groups)
    first = group[0]
    facts = _score_behind(first)
    rows = []
    for eval_set, metrics in first["metrics"].items():
        for metric in metrics:
            values = _values(group, eval_set, metric)
            interval = t_interval(values)
            row = {
                "arm": first["key"]["subset"],
                "label": label,
                "budget": "epochs",
                "S": facts.get("S"),
                "E": facts.get("E"),
                "eval_set": eval_set,
                "metric": metric,
                "n": round(float(np.mean([manifest["samples"] for manifest in group]))),
                "fraction": float(np.mean([manifest["samples"] / manifest["full_samples"] for manifest in group])),
                "mean": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "seeds": sorted(values),
                "values": {str(seed): value for seed, value in sorted(values.items())},
            }
            rows.append(row | _difference(values, reference, eval_set, metric))
    return rows


def _difference(
    values: Mapping[int, float], reference: Sequence[Manifest] | None, eval_set: str, metric: str
) -> dict[str, Any]:
    """The paired difference to the full set, where there is one with shared seeds."""
    full = {} if reference is None else _values(reference, eval_set, metric)
    if not set(full) & set(values):
        return {"difference": None, "verdict": None}
    difference = paired_difference(values, full, higher_is_better=metric not in LOWER_IS_BETTER)
    interval = asdict(difference.interval)
    return {
        "difference": {**interval, "p_value": difference.p_value, "test": difference.test},
        "verdict": difference.verdict,
    }


def _values(group: Sequence[Manifest], eval_set: str, metric: str) -> dict[int, float]:
    return {
        manifest["key"]["seed"]: manifest["metrics"][eval_set][metric]
        for manifest in group
        if eval_set in manifest["metrics"]
    }


def _full_set_of(manifest: Manifest, groups: Mapping[str, Sequence[Manifest]]) -> Sequence[Manifest] | None:
    """The runs on the full set whose settings are those of an arm; None for the full set itself."""
    if manifest["settings"]["subset"]["rule"] == "everything":
        return None
    same = {key: value for key, value in manifest["settings"].items() if key != "subset"}
    for group in groups.values():
        settings = group[0]["settings"]
        if settings["subset"]["rule"] == "everything" and {k: v for k, v in settings.items() if k != "subset"} == same:
            return group
    return None


def _score_behind(manifest: Manifest) -> dict[str, int]:
    provenance = manifest["subset"]
    return {"S": len(provenance["seeds"]), "E": provenance["epochs"]} if "seeds" in provenance else {}


def _histogram(scores: Scores, data: TaskData | None) -> dict[str, Any]:
    values = []
    labels = _labels(scores, data)
    for value in np.unique(scores.values) if scores.values.dtype.kind != "i" else range(scores.runs + 1):
        at = scores.values == value
        by_class = (
            {}
            if labels is None or data is None
            else {name: int((at & (labels == k)).sum()) for k, name in enumerate(data.label_names)}
        )
        values.append({"value": int(value), "count": int(at.sum()), "by_class": by_class})
    facts = {"S": scores.runs, "E": scores.epochs, "measured": scores.measured, "higher_is": scores.higher_is}
    return {**facts, "values": values}


def _labels(scores: Scores, data: TaskData | None) -> NDArray[np.int64] | None:
    if data is None or data.data_hash != scores.data_hash:
        return None
    return np.asarray(data.train["label"].to_numpy())


def _cost(scoring: Sequence[Manifest], groups: Mapping[str, Sequence[Manifest]]) -> dict[str, Any]:
    """Measured seconds of training; break-even counts later runs on a subset instead of the full set."""
    spent = sum(manifest["cost"]["train_seconds"] for manifest in scoring)
    arms = []
    for label, group in groups.items():
        seconds = _mean_seconds(group)
        full = _full_set_of(group[0], groups)
        needs_scores = group[0]["settings"]["subset"].get("scores") and group[0]["key"]["subset"] != "random_like"
        even = None
        if full is not None and needs_scores:
            even = pay_back(
                scoring_seconds=spent, full_run_seconds=_mean_seconds(full), subset_run_seconds=seconds
            ).break_even
        arms.append({"label": label, "train_seconds": seconds, "break_even_runs": even})
    return {"scoring_seconds": spent, "scoring_runs": len(scoring), "arms": arms}


def _mean_seconds(group: Sequence[Manifest]) -> float:
    return float(np.mean([manifest["cost"]["train_seconds"] for manifest in group]))


def _samples(tables: Sequence[Scores], data: TaskData | None, per_group: int = 8) -> list[dict[str, Any]]:
    """Sentences to read: never right, in between, always right; drawn with a fixed seed."""
    scores = next((table for table in tables if table.name == "h_score"), None)
    if scores is None or data is None or data.data_hash != scores.data_hash:
        return []
    groups = {
        "H = 0": scores.values == 0,
        "0 < H < S": (scores.values > 0) & (scores.values < scores.runs),
        "H = S": scores.values == scores.runs,
    }
    rng = np.random.default_rng(0)
    found = []
    for name, mask in groups.items():
        positions = np.flatnonzero(mask)
        for position in sorted(rng.choice(positions, size=min(per_group, positions.size), replace=False).tolist()):
            found.append({"group": name, **_sample(scores, data, position)})
    return found


def _sample(scores: Scores, data: TaskData, position: int) -> dict[str, Any]:
    row = data.train.slice(position, 1).to_pylist()[0]
    return {
        "sample_id": row["sample_id"],
        "value": int(scores.values[position]),
        "label": data.label_names[row["label"]],
        "text": " / ".join(row[column] for column in data.text),
    }
