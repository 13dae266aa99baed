"""From records to a score: `python -m hprune.score study=<study>`.

Stacks the records of the study's scoring runs, computes one number a sample, writes `scores/<name>.parquet`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from hprune.command import command, instantiate
from hprune.science.records import Direction, Dynamics, Measured, Scores
from hprune.storage.runs import load_record, state_of
from hprune.storage.scores import save_scores, score_path
from hprune.storage.studies import StudyRun, planned_seeds, runs_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreSpec:
    """One score, and the runs and epochs that it looks at."""

    name: str
    function: Callable[[Dynamics], Any]
    higher_is: Direction
    measured: Measured = "train_pass"
    runs: int | None = None
    epochs: int | None = None
    seeds: list[int] | None = None
    allow_missing: bool = False

    @property
    def table(self) -> str:
        """The name of the table: the score's, with what differs from all runs and epochs, as measured in training."""
        parts = [self.name, f"S{self.runs}" if self.runs else "", f"E{self.epochs}" if self.epochs else ""]
        return "-".join(part for part in [*parts, "" if self.measured == "train_pass" else self.measured] if part)


@command("score")
def main(cfg: DictConfig) -> None:
    """Score a study."""
    path = score_study(Path(cfg.paths.root), cfg.study, instantiate_spec(cfg.score))
    log.info("score table: %s", path)


def instantiate_spec(cfg: DictConfig) -> ScoreSpec:
    """The typed score of a config."""
    return ScoreSpec(**instantiate(cfg))


def score_study(root: Path, study: str, spec: ScoreSpec) -> Path:
    """Score the complete scoring runs of a study and write the table.

    Returns:
        The path of the score table.

    Raises:
        ValueError: if planned runs are missing, runs do not fit together, or another score stands under this name.
    """
    runs = _scoring_runs(root, study, spec)
    dynamics = Dynamics.stack([load_record(run.path, spec.measured) for run in runs]).prefix(
        runs=spec.runs, epochs=spec.epochs
    )
    scores = Scores(
        name=spec.table,
        sample_ids=dynamics.sample_ids.copy(),
        values=spec.function(dynamics),
        higher_is=spec.higher_is,
        seeds=dynamics.seeds,
        epochs=dynamics.epochs,
        measured=spec.measured,
        data_hash=dynamics.data_hash,
        conventions={"score": spec.name, "missing_runs_allowed": spec.allow_missing},
    )
    path = score_path(root, study, spec.table)
    save_scores(path, scores)
    log.info("%s", describe(scores))
    return path


def describe(scores: Scores) -> str:
    """The distribution of a score, for the log."""
    n = scores.values.size
    runs = f"S = {scores.runs} runs, E = {scores.epochs} epochs ({scores.measured})"
    head = f"{scores.name} of {n:,} samples from {runs}, higher is {scores.higher_is}"
    if not np.issubdtype(scores.values.dtype, np.integer):
        low, middle, high = np.quantile(scores.values, [0, 0.5, 1])
        return f"{head}: from {low:.4g} to {high:.4g}, median {middle:.4g}"
    counts = np.bincount(scores.values, minlength=scores.runs + 1)
    bars = "\n".join(
        f"  {value:>3} {count:>10,} {count / n:>7.1%} {'#' * round(40 * count / n)}"
        for value, count in enumerate(counts)
    )
    return f"{head}\n{bars}"


def _scoring_runs(root: Path, study: str, spec: ScoreSpec) -> list[StudyRun]:
    """The runs to score; none of the planned seeds may be missing, unless told so."""
    found = {run.key.seed: run for run in runs_of(root, study, "scoring")}
    if not found:
        raise ValueError(
            f"study {study!r} has no scoring runs yet: train the full set with the scoring seeds first "
            "(python -m hprune.train -m +experiment=... seed=1,2,3)"
        )
    wanted = planned_seeds(root, study) if spec.seeds is None else spec.seeds
    states = {seed: state_of(found[seed].path) if seed in found else "never started" for seed in wanted}
    missing = {seed: state for seed, state in states.items() if state != "done"}
    if missing and not spec.allow_missing:
        listed = ", ".join(f"{seed} ({state})" for seed, state in missing.items())
        there = [seed for seed in wanted if seed not in missing]
        raise ValueError(
            f"study {study!r}: {len(missing)} of {len(wanted)} scoring runs are missing, seeds {listed}. "
            "Run the command that trains them again, "
            f"or score what is there with score.seeds={there} or score.allow_missing=true"
        )
    complete = [found[seed] for seed in wanted if seed not in missing]
    if not complete:
        raise ValueError(f"study {study!r}: no scoring run is complete yet")
    if missing:
        log.warning("study %s: scored without the missing runs of seeds %s", study, sorted(missing))
    return complete


if __name__ == "__main__":
    main()
