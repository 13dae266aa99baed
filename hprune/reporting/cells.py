"""What a score depends on, as plain values: the H-score tables of studies side by side.

Schema of `sensitivity.json` (schema_version 1):
    name, studies, created, primary_metric
    lines: [{task, model, data_hash, samples, measured, skip_epochs, trained_epochs, cells: [CELL], tickets}]
        a line has one way of measuring on one set of samples. Its cells look at the first epochs of runs of
        `trained_epochs`; where that is null, each cell's runs were trained for just as many epochs as it looks at.
        tickets: {count, S, E, jaccard: [low, high], kappa: [low, high], budget, difference: [low, high] | null}:
        between tickets of S runs and E epochs that share no run; the difference to the full set is that of arms of the
        same budget; null if there are none
    CELL: {study, table, S, E, trained_epochs, seeds, histogram: [samples with H = 0, .., S], size, share,
           jaccard, kappa, full_runs, arms: [ARM]}
        `size` is that of the winning ticket, 0 < H < S, `share` its part of all. `jaccard` and `kappa` compare it with
        the ticket of the line's reference, the cell with the most epochs and runs. `full_runs` is what it takes to
        score it, in units of a run of the most epochs in the line.
    ARM: {label, trained_epochs, budget, eval_set, metric, mean, low, high, difference, verdict, difference_to_random,
          verdict_to_random}
        the arm that was trained on the cell's ticket, as in report.json: one at equal epochs, one at equal steps, where
        there are; of several, that of the most epochs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from hprune.reporting.arms import Arm, Manifest, arms_of, is_ticket
from hprune.reporting.comparisons import Row, rows_of
from hprune.reporting.summary import margins_of
from hprune.science.overlap import overlap
from hprune.science.records import Measured, Scores
from hprune.storage.files import sha256_of_json
from hprune.storage.manifests import read_results
from hprune.storage.runs import state_of
from hprune.storage.scores import load_scores
from hprune.storage.studies import existing_study, runs_of

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
    settings: str  # a digest of what else shaped the runs
    ticket: NDArray[np.bool_]  # (N,) 0 < H < S
    digest: str

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
            f"no H-score table in {', '.join(studies)}: score them first (python -m hprune.score study=NAME)"
        )
    trained = _trained(root, studies, manifests)
    lines = [_line(key, line, trained) for key, line in _lines(cells).items()]
    first = next(iter(manifests.values()))
    return {
        "schema_version": 1,
        "name": name,
        "studies": list(studies),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "primary_metric": first["primary_metric"],
        "lines": lines,
    }


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
        runs = [run for seed in scores.seeds if (run := scoring.get(seed)) is not None]
        whole = np.issubdtype(scores.values.dtype, np.integer) and len(runs) == scores.runs
        if scores.conventions.get("score", scores.name) != "h_score" or not whole:
            continue
        epochs = int(runs[0]["settings"].get("trainer", {}).get("max_epochs", scores.epochs))
        key, ticket = runs[0]["key"], (scores.values > 0) & (scores.values < scores.runs)
        settings = _other_settings(runs[0]["settings"])
        found.append(Cell(study, scores, key["task"], key["model"], epochs, settings, ticket, scores.digest))
    return found


def _other_settings(settings: Mapping[str, Any]) -> str:
    """A digest of what shaped a run, but for its epochs and what is recorded."""
    trainer = {key: value for key, value in settings.get("trainer", {}).items() if key != "max_epochs"}
    return sha256_of_json({**settings, "trainer": trainer, "record": None})


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
    keys = sorted(
        lines, key=lambda key: (*key[:2], lines[key][0].ticket.size, *key[2:4], order[key[4]], key[5], key[6] or 0)
    )
    return {key: sorted(lines[key], key=_size_of_grid) for key in keys}


def _kind(cell: Cell) -> tuple[str, str, str, str, str, int]:
    scores = cell.scores
    return cell.task, cell.model, scores.data_hash, cell.settings, scores.measured, cell.skipped


def _size_of_grid(cell: Cell) -> tuple[int, int, tuple[int, ...]]:
    return cell.scores.epochs, cell.scores.runs, tuple(-seed for seed in cell.scores.seeds)


def _line(key: LineKey, cells: Sequence[Cell], trained: Mapping[str, list[Row]]) -> dict[str, Any]:
    reference = cells[-1]
    longest = max(cell.trained_epochs for cell in cells)
    told = [_told(cell, reference, longest, trained.get(cell.digest, [])) for cell in cells]
    return {
        "task": key[0],
        "model": key[1],
        "data_hash": key[2],
        "samples": int(reference.scores.values.size),
        "measured": key[4],
        "skip_epochs": key[5],
        "trained_epochs": key[6],
        "cells": told,
        "tickets": _tickets(cells, told),
    }


def _told(cell: Cell, reference: Cell, longest: int, arms: list[Row]) -> dict[str, Any]:
    scores, same = cell.scores, overlap(cell.ticket, reference.ticket)
    return {
        "study": cell.study,
        "table": scores.name,
        "S": scores.runs,
        "E": scores.epochs,
        "trained_epochs": cell.trained_epochs,
        "seeds": list(scores.seeds),
        "histogram": np.bincount(scores.values, minlength=scores.runs + 1).tolist(),
        "size": int(cell.ticket.sum()),
        "share": float(cell.ticket.mean()),
        "jaccard": same.jaccard,
        "kappa": same.kappa,
        "full_runs": scores.runs * scores.epochs / longest,
        "arms": arms,
    }


def _tickets(cells: Sequence[Cell], told: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What tickets of as many runs and epochs have in common that share no run; of the most that there are."""
    pairs: dict[tuple[int, int], list[tuple[int, int]]] = {}
    distinct = {(cell.scores.epochs, cell.scores.seeds): i for i, cell in enumerate(cells)}  # the same runs once
    for i, j in combinations(sorted(distinct.values()), 2):
        one, other = cells[i].scores, cells[j].scores
        size = (one.epochs, one.runs)
        if size == (other.epochs, other.runs) and not set(one.seeds) & set(other.seeds):
            pairs.setdefault(size, []).append((i, j))
    if not pairs:
        return None
    apart = pairs[max(pairs)]
    found = [overlap(cells[i].ticket, cells[j].ticket) for i, j in apart]
    groups = sorted({i for pair in apart for i in pair})
    arms = [arm for i in groups for arm in told[i]["arms"][:1] if arm["difference"]]
    gaps = [arm["difference"]["mean"] for arm in arms if arm["budget"] == arms[0]["budget"]]
    return {
        "count": len(groups),
        "S": max(pairs)[1],
        "E": max(pairs)[0],
        "jaccard": _range([one.jaccard for one in found]),
        "kappa": _range([one.kappa for one in found]),
        "budget": arms[0]["budget"] if len(gaps) > 1 else None,
        "difference": _range(gaps) if len(gaps) > 1 else None,
    }


def _range(values: Sequence[float | None]) -> list[float] | None:
    known = [value for value in values if value is not None]
    return [min(known), max(known)] if known else None


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
    whole = is_ticket(arm[0]) and subset.get("keep", "1..S-1") == "1..S-1"
    return str(subset["scores"]) if whole and subset.get("scores") else None
