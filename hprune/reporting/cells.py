"""What a score depends on, as plain values: the H-score tables of studies side by side.

Schema of `sensitivity.json` (schema_version 1):
    name, studies, created, primary_metric
    lines: [{task, model, data_hash, samples, measured, skip_epochs, trained_epochs, differs, cells: [CELL], tickets}]
        a line has one way of measuring on one set of samples. Its cells look at the first epochs of runs of
        `trained_epochs`; where that is null, each cell's runs were trained for just as many epochs as it looks at.
        `differs`: the settings in which lines of this task and model differ, as this one has them, beside the data
        tickets: {count, S, E, jaccard: [low, high], kappa: [low, high], budget, difference: [low, high] | null}:
        between tickets of S runs and E epochs that share no run; the difference to the full set is that of arms of the
        same budget; null if there are none
    CELL: {study, table, S, E, trained_epochs, seeds, histogram: [samples with H = 0, .., S], size, share,
           jaccard, kappa, full_runs, arms: [ARM]}
        `size` is that of the winning ticket, 0 < H < S, `share` its part of all. `jaccard` and `kappa` compare it with
        the ticket of the line's reference, the cell with the most epochs and runs. `full_runs` is what it takes to
        score it, training up to the last epoch that it looks at and judging by clean passes or folds included, in units
        of the training of a full run of the most epochs in the line: in operations if all runs count them, else in
        seconds; null where a run does not say what it took.
    ARM: {label, trained_epochs, budget, eval_set, metric, mean, low, high, difference, verdict, difference_to_random,
          verdict_to_random}
        the arm that was trained on the cell's ticket, as in report.json: one at equal epochs, one at equal steps, where
        there are; of several, that of the most epochs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from hprune.reporting.arms import Arm, Manifest, arms_of, is_ticket, named_settings
from hprune.reporting.comparisons import Row, rows_of
from hprune.reporting.ledger import scoring_cost, total
from hprune.reporting.summary import margins_of
from hprune.reporting.tickets import between_tickets
from hprune.science.overlap import overlap
from hprune.science.records import Measured, Scores
from hprune.storage.files import sha256_of_json
from hprune.storage.manifests import read_results
from hprune.storage.override import under
from hprune.storage.runs import state_of
from hprune.storage.scores import load_scores
from hprune.storage.studies import existing_study, runs_of

log = logging.getLogger(__name__)

LineKey = tuple[str, str, str, str, str, int, int | None]
"""Task, model, data, other settings, way of measuring, epochs skipped, epochs of the runs (None: as looked at)."""
ARM = ("label", "budget", "eval_set", "metric", "mean", "low", "high", "difference", "verdict",
       "difference_to_random", "verdict_to_random")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Cell:
    """One H-score table, with what is known of the runs behind it."""

    study: str
    scores: Scores
    task: str
    model: str
    trained_epochs: int
    settings: Mapping[str, Any]  # what else shaped the runs
    runs: Sequence[Manifest]

    @property
    def skipped(self) -> int:
        """Epochs at the start that the score did not look at."""
        return int(self.scores.conventions.get("skip_epochs", 0))


def gather(root: Path, studies: Sequence[str], *, name: str) -> dict[str, Any]:
    """Everything that `sensitivity.json` holds.

    Args:
        root: where results lie.
        studies: their names.
        name: of the whole.

    Raises:
        ValueError: if no study has an H-score table whose scoring runs are known, or a file was altered.
    """
    manifests = _manifests(root, studies)
    cells = [cell for study in studies for cell in _cells(root, study, manifests)]
    if not cells:
        raise ValueError(
            f"no H-score table in {', '.join(studies)} whose runs are complete: score them first "
            f"(python -m hprune.score study=NAME{under(root)})"
        )
    cells = _once(cells)
    trained = _trained(root, studies, manifests)
    lines = [_line(key, line, trained, _differs(cells, line[0])) for key, line in _lines(cells).items()]
    first = next(iter(manifests.values()))
    return {
        "schema_version": 1,
        "name": name,
        "studies": list(studies),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "primary_metric": first["primary_metric"],
        "lines": lines,
    }


def _once(cells: Sequence[Cell]) -> list[Cell]:
    """The cells without those of runs and epochs that an earlier study has, too."""
    found: dict[tuple[Any, ...], Cell] = {}
    for cell in cells:
        found.setdefault((*_kind(cell), cell.trained_epochs, cell.scores.epochs, cell.scores.seeds), cell)
    return list(found.values())


def _manifests(root: Path, studies: Sequence[str]) -> dict[Path, Manifest]:
    """Of all complete runs."""
    paths = dict.fromkeys(run.path for study in studies for run in runs_of(root, study) if state_of(run.path) == "done")
    return {path: {**read_results(path), "folder": path} for path in paths}


def _cells(root: Path, study: str, manifests: Mapping[Path, Manifest]) -> list[Cell]:
    """The H-score tables of a study."""
    scoring = {run.key.seed: manifests.get(run.path) for run in runs_of(root, study, "scoring")}
    found = []
    for path in sorted((existing_study(root, study) / "scores").glob("*.parquet")):
        scores = load_scores(path)
        if not scores.is_h:
            continue
        runs = [run for seed in scores.seeds if (run := scoring.get(seed)) is not None]
        if len(runs) != scores.runs:
            log.warning("%s is left out: only %d of the %d runs behind it are complete", path, len(runs), scores.runs)
            continue
        epochs = int(runs[0]["settings"].get("trainer", {}).get("max_epochs", scores.epochs))
        key, settings = runs[0]["key"], _other_settings(runs[0]["settings"])
        found.append(Cell(study, scores, key["task"], key["model"], epochs, settings, runs))
    return found


def _other_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What shaped a run, but for its epochs and what is recorded."""
    trainer = {key: value for key, value in settings.get("trainer", {}).items() if key != "max_epochs"}
    return {**settings, "trainer": trainer, "record": None}


def _differs(cells: Sequence[Cell], cell: Cell) -> list[str]:
    """The settings in which runs of the same task and model differ, as those of a cell have them, but for the data."""
    alike = [other.runs[0] for other in cells if (other.task, other.model) == (cell.task, cell.model)]
    others = [{**run, "settings": _without_data(_other_settings(run["settings"]))} for run in alike]
    return list(named_settings({**cell.runs[0], "settings": _without_data(cell.settings)}, others).values())


def _without_data(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {**settings, "task": {key: value for key, value in settings.get("task", {}).items() if key != "data"}}


def _lines(cells: Sequence[Cell]) -> dict[LineKey, list[Cell]]:
    """Cells that are read together: prefixes of the same runs, and whole runs of several lengths."""
    lines: dict[LineKey, list[Cell]] = {}
    for cell in cells:
        lines.setdefault((*_kind(cell), cell.trained_epochs), []).append(cell)
    for kind in dict.fromkeys(map(_kind, cells)):
        prefixes = {key: line for key, line in lines.items() if key[:-1] == kind}
        if len(prefixes) > 1:
            lines[*kind, None] = [
                cell for line in prefixes.values() for cell in line if cell.scores.epochs == cell.trained_epochs
            ]
        for key, line in prefixes.items():
            if len(prefixes) > 1 and all(cell.scores.epochs == cell.trained_epochs for cell in line):
                del lines[key]  # whole runs only, which the other line has
    order = {way: at for at, way in enumerate(get_args(Measured))}
    samples = {key: line[0].scores.values.size for key, line in lines.items()}
    keys = sorted(lines, key=lambda key: (*key[:2], samples[key], *key[2:4], order[key[4]], key[5], key[6] or 0))
    return {key: sorted(lines[key], key=_size_of_grid) for key in keys}


def _kind(cell: Cell) -> tuple[str, str, str, str, str, int]:
    scores = cell.scores
    return cell.task, cell.model, scores.data_hash, sha256_of_json(cell.settings), scores.measured, cell.skipped


def _size_of_grid(cell: Cell) -> tuple[int, int, tuple[int, ...]]:
    return cell.scores.epochs, cell.scores.runs, tuple(-seed for seed in cell.scores.seeds)


def _line(
    key: LineKey, cells: Sequence[Cell], trained: Mapping[str, list[Row]], differs: Sequence[str]
) -> dict[str, Any]:
    told = [_told(cell, cells, trained.get(cell.scores.digest, [])) for cell in cells]
    return {
        "task": key[0],
        "model": key[1],
        "data_hash": key[2],
        "samples": int(cells[-1].scores.values.size),
        "measured": key[4],
        "skip_epochs": key[5],
        "trained_epochs": key[6],
        "differs": list(differs),
        "cells": told,
        "tickets": between_tickets([cell.scores for cell in cells], told),
    }


def _told(cell: Cell, line: Sequence[Cell], arms: list[Row]) -> dict[str, Any]:
    scores, ticket = cell.scores, cell.scores.in_ticket
    same = overlap(ticket, line[-1].scores.in_ticket)
    return {
        "study": cell.study,
        "table": scores.name,
        "S": scores.runs,
        "E": scores.epochs,
        "trained_epochs": cell.trained_epochs,
        "seeds": list(scores.seeds),
        "histogram": np.bincount(scores.values, minlength=scores.runs + 1).tolist(),
        "size": int(ticket.sum()),
        "share": float(ticket.mean()),
        "jaccard": same.jaccard,
        "kappa": same.kappa,
        "full_runs": _full_runs(cell, line),
        "arms": arms,
    }


def _full_runs(cell: Cell, line: Sequence[Cell]) -> float | None:
    """What it took to score a cell, in trainings of a full run of the most epochs in its line."""
    longest = max(line, key=lambda other: other.trained_epochs).runs
    folds = longest[0]["settings"].get("data", {}).get("folds") if cell.scores.measured == "out_of_fold" else None
    for unit in ("flops", "seconds"):
        spent, full = (scoring_cost(cell.runs, cell.scores.measured, unit), total(longest, f"train_{unit}"))
        if spent is not None and full:
            one = full / len(longest) / ((folds or 2) - 1)  # K folds train on K - 1 K-ths K times
            return spent * cell.scores.epochs / cell.trained_epochs / one
    return None


def _trained(root: Path, studies: Sequence[str], manifests: Mapping[Path, Manifest]) -> dict[str, list[Row]]:
    """The arms on the winning ticket of each score table, by its digest: first evaluation set, primary metric.

    At equal epochs first.

    Verdicts are those of the arm's own study, as in its report.
    """
    best: dict[tuple[str, str], Row] = {}
    for study in studies:
        arms = arms_of([run for run in runs_of(root, study, "comparison") if run.path in manifests], manifests)
        for label, row in _main_rows(arms).items():
            arm = arms[label]
            digest, epochs = _chosen_by(arm), int(arm[0]["settings"].get("trainer", {}).get("max_epochs", 0))
            known = best.get((digest, row["budget"])) if digest else None
            if digest and (known is None or epochs > known["trained_epochs"]):
                best[digest, row["budget"]] = {"trained_epochs": epochs, **{name: row[name] for name in ARM}}
    trained: dict[str, list[Row]] = {}
    for digest, budget in sorted(best):
        trained.setdefault(digest, []).append(best[digest, budget])
    return trained


def _main_rows(arms: Mapping[str, Arm]) -> dict[str, Row]:
    """By label the row of the primary metric on the first evaluation set."""
    if not arms:
        return {}
    metric = next(iter(arms.values()))[0]["primary_metric"]
    margin = min((stated for stated in margins_of(arms) if stated is not None), default=None)
    rows: dict[str, Row] = {}
    for row in rows_of(arms, primary_metric=metric, margin=margin):
        if row["metric"] == metric:
            rows.setdefault(row["label"], row)
    return rows


def _chosen_by(arm: Arm) -> str | None:
    """The digest of the score table whose winning ticket an arm was trained on."""
    subset = arm[0]["settings"]["subset"]
    whole = is_ticket(arm[0]) and subset.get("keep", "1..S-1") == "1..S-1" and subset.get("balance") is None
    return str(subset["scores"]) if whole and subset.get("scores") else None
