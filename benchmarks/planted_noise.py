"""Planted wrong labels: does a score find them, and does an arm without its samples learn better?

    python benchmarks/planted_noise.py WORK [--rates 0.06 0.15 0.3] [--seeds 6]       (pip install -e '.[bench]')

Trains the demo with each share of flipped labels (WORK keeps the runs; the same command continues): a study by the
training pass and by a clean pass, with an arm for each score, and three scoring runs by five folds. Prints the AUROC of
each score as a detector of the flipped labels, whichever of its ends is the harder, beside cleanlab's label quality by
the probabilities out of fold (mean over runs), and the accuracy of each arm on clean data. Nothing is tuned.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_ensemble_scores
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from hprune.reporting.wording import mean_and_interval
from hprune.storage.scores import load_scores
from hprune.storage.studies import runs_of
from hprune.tasks.demo_corpus import generate

ARMS = ("without_h0", "ambiguous", "el2n", "aum", "forgetting", "coverage", "tfidf", "hardest")
SIZES = {"train": 6000, "validation": 1000, "test": 1000}
WAYS = ("train_pass", "eval_pass", "out_of_fold")


def main() -> None:
    """Train, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.06, 0.15, 0.3])
    parser.add_argument("--seeds", type=int, default=6)
    asked = parser.parse_args()
    found = {rate: _studied(asked.work, rate, asked.seeds) for rate in asked.rates}
    shares = [f"{rate:.0%} flipped" for rate in found]
    for title, table in (("AUROC as a detector of flipped labels", 0), ("accuracy on validation, %", 1)):
        print(f"\n| {title} | {' | '.join(shares)} |\n|---{'|---' * len(shares)}|")
        for name in found[asked.rates[0]][table]:
            print(f"| {name} | {' | '.join(result[table][name] for result in found.values())} |")


def _studied(work: Path, rate: float, seeds: int) -> tuple[dict[str, str], dict[str, str]]:
    """The cells of one rate: of the scores, and of the arms."""
    name = f"noise{round(100 * rate)}"
    task = ["+experiment=demo", f"paths.root={work}", f"task.generate.flipped={rate}"]
    arms = [f"+subset@arms.{arm}={arm}" for arm in ARMS]
    compared = [f"comparison.seeds={list(range(101, 101 + seeds))}".replace(" ", "")]
    _command("study", *task, *arms, *compared, f"study={name}", "record=both")
    folds = [*task, f"study={name}_folds", "data.folds=5", "scoring.seeds=[1,2,3]"]
    _command("train", "-m", *folds, "seed=1,2,3", "hydra/launcher=submitit_local", "hydra.launcher.at_once=2")
    for score in ("h_score", "confidence", "aum", "el2n", "soft_h"):
        table = work / "studies" / f"{name}_folds" / "scores" / f"{score}-out_of_fold.parquet"
        if not table.exists():
            _command(
                "score", f"paths.root={work}", f"study={name}_folds", f"score={score}", "score.measured=out_of_fold"
            )
    for score in ("confidence", "aum", "el2n", "soft_h", "loss", "forgetting"):
        table = work / "studies" / name / "scores" / f"{score}-eval_pass.parquet"
        if not table.exists():
            _command("score", f"paths.root={work}", f"study={name}", f"score={score}", "score.measured=eval_pass")
    flipped = np.array(generate("train", num_samples=SIZES, seed=0, flipped=rate, ambiguous=0.06)["kind"]) == "flipped"
    report = json.loads((work / "studies" / name / "report.json").read_text())
    return _detectors(work, name, flipped), _accuracies(report)


def _command(command: str, *arguments: str) -> None:
    print(f"python -m hprune.{command} {' '.join(arguments)}", file=sys.stderr, flush=True)
    subprocess.run(
        [sys.executable, "-m", f"hprune.{command}", *arguments],
        check=True, stdout=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip


def _detectors(work: Path, name: str, flipped: NDArray[np.bool_]) -> dict[str, str]:
    """AUROC of every score table of both studies, and of cleanlab."""
    found = {}
    tables = [
        path for study in (name, f"{name}_folds") for path in (work / "studies" / study / "scores").glob("*.parquet")
    ]
    for path in sorted(tables, key=lambda path: (WAYS.index(_way(path)), path.name)):
        scores = load_scores(path)
        hardness = scores.values.astype(float) * (1 if scores.higher_is == "harder" else -1)
        found[path.stem] = f"{roc_auc_score(flipped, hardness):.3f}"
    labels, probabilities = _out_of_fold(work, f"{name}_folds")
    quality = get_label_quality_ensemble_scores(labels, probabilities, verbose=False)
    found["cleanlab, label quality, out of fold"] = f"{roc_auc_score(flipped, -quality):.3f}"
    issues = find_label_issues(labels, np.mean(probabilities, axis=0))
    found["cleanlab, label issues: precision, recall"] = f"{flipped[issues].mean():.2f}, {issues[flipped].mean():.2f}"
    return found


def _way(path: Path) -> str:
    return next((way for way in WAYS if path.stem.endswith(way)), "train_pass")


def _out_of_fold(work: Path, study: str) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """Labels, and for each scoring run the probabilities (N, 2) by models that were not trained on a sample."""
    tables = [pq.read_table(run.path / "predictions.out_of_fold.parquet") for run in runs_of(work, study, "scoring")]
    probabilities = [np.stack([t["prob_0"].to_numpy(), t["prob_1"].to_numpy()], axis=1).astype(float) for t in tables]
    return tables[0]["label"].to_numpy(), probabilities


def _accuracies(report: dict[str, Any]) -> dict[str, str]:
    rows = [row for row in report["rows"] if (row["eval_set"], row["metric"]) == ("validation", "accuracy")]
    return {row["label"]: f"{mean_and_interval(row)}, n = {row['n']:,}" for row in rows}


if __name__ == "__main__":
    main()
