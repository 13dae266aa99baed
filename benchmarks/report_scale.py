"""The report of a study of up to 10^6 samples: how large the page is, and what it takes to make it.

    python benchmarks/report_scale.py [--largest 1000000] [--keep FOLDER]

Goal: 3 MB for 10^5 samples. Makes the runs of a study that nobody trained (6 scoring runs of 3 epochs; everything, the
winning ticket and a random subset with 6 seeds each and predictions of 872 examples), scores it in four ways, and
reports it in a fresh process. `--keep` leaves the studies in a folder, to look at the pages.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from omegaconf import OmegaConf

from hprune.command import CONF, instantiate
from hprune.report import data_of_study, write_report
from hprune.science.records import RunKey, RunRecord, Scores
from hprune.science.scores.aum import aum
from hprune.science.scores.el2n import el2n
from hprune.science.scores.h_score import h_score
from hprune.science.scores.soft_h import soft_h
from hprune.score import ScoreSpec, score_study
from hprune.storage.files import write_table
from hprune.storage.runs import finish_run, run_folder, save_record, start_run
from hprune.storage.scores import load_scores
from hprune.storage.studies import add_run
from hprune.tasks.load import load_task
from hprune.tasks.spec import TaskData

SCORING, COMPARISON, EPOCHS, EVALUATED = range(1, 7), range(101, 107), 3, 872
ACCURACY = {"full": 0.93, "winning_ticket": 0.92, "random_like": 0.91}
RULES = {"full": "everything", "winning_ticket": "by_value", "random_like": "hprune.science.select.random_like"}
SCORES = {"h_score": h_score, "soft_h": soft_h, "aum": aum, "el2n": el2n}
NEEDS = {"h_score": "correct", "soft_h": "true_prob", "aum": "margin", "el2n": "el2n"}


def make_study(root: Path, samples: int) -> None:
    """Write texts, runs, predictions and score tables."""
    for split, n in (("train", samples), ("validation", EVALUATED)):
        write_texts(root / f"{split}.parquet", n)
    files = [f"task.{split}_file={root / split}.parquet" for split in ("train", "validation")]
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        task = compose("train", overrides=["task=own", *files]).task
    data = load_task(instantiate(task))
    config = OmegaConf.to_container(task, resolve=True)
    for seed in SCORING:
        write_run(root, data, config, "full", seed, None)
    for name, function in SCORES.items():
        needs, higher_is = NEEDS[name], "harder" if name == "el2n" else "easier"
        score_study(root, "scale", ScoreSpec(name, function, higher_is, needs=[needs]))
    table = load_scores(root / "studies/scale/scores/h_score.parquet")
    for arm in ACCURACY:
        for seed in COMPARISON:
            write_run(root, data, config, arm, seed, table)


def write_texts(path: Path, n: int) -> None:
    """Sentences of 3 to 30 words."""
    rng = np.random.default_rng(n)
    words = np.array([f"word{i}" for i in range(5000)])
    texts = [" ".join(words[rng.integers(0, 5000, length)]) for length in rng.integers(3, 31, n)]
    pq.write_table(pa.table({"text": texts, "label": rng.integers(0, 2, n)}), path)


def write_run(root: Path, data: TaskData, config: Any, arm: str, seed: int, table: Scores | None) -> None:
    """Write one run: samples differ in how hard they are, runs in luck; the later the epoch, the more is right."""
    n, scoring = data.train.num_rows, table is None
    ticket = n if table is None or arm == "full" else int(((table.values > 0) & (table.values < table.runs)).sum())
    chosen = {"rule": RULES[arm], "scores": None if arm != "winning_ticket" or table is None else table.digest}
    settings = {"task": {"data": data.data_hash}, "subset": chosen, "trainer": {"max_epochs": EPOCHS}}
    folder = run_folder(root, RunKey("own", "none", arm, seed), settings)
    add_run(root, "scale", folder, "scoring" if scoring else "comparison", list(SCORING))
    start_run(folder)
    rng = np.random.default_rng([seed, len(arm)])
    if scoring:
        easy = np.random.default_rng(0).normal(2, 1.5, n)
        logit = easy + np.array([[-1.5], [0], [0.5]]) + rng.normal(0, 1, (EPOCHS, n))
        prob = (1 / (1 + np.exp(-logit))).astype(np.float32)
        rest: list[NDArray[np.float32]] = [2 * prob - 1, np.sqrt(2, dtype=np.float32) * (1 - prob)]
        ids = data.train["sample_id"].to_numpy()
        facts = ("train_pass", data.data_hash, folder.settings_hash)
        save_record(folder, RunRecord(folder.key, ids, prob > 0.5, prob, *rest, *facts))
    label = np.asarray(data.evaluation["validation"]["label"])
    right = rng.random(EVALUATED) < ACCURACY[arm]
    pred = np.where(right, label, 1 - label)
    sure = rng.uniform(0.5, 1, EVALUATED).astype(np.float32)
    probs = {f"prob_{k}": np.where(pred == k, sure, 1 - sure) for k in range(2)}
    ids = data.evaluation["validation"]["sample_id"].to_numpy()
    columns = {"sample_id": ids, "label": label, "pred": pred, **probs}
    write_table(folder.path / "predictions.validation.parquet", pa.table(columns))
    behind = {"seeds": list(SCORING), "epochs": EPOCHS, "scores": "h_score"}
    finish_run(folder, {
        "data_hash": data.data_hash, "label_names": list(data.label_names), "samples": ticket, "full_samples": n,
        "primary_metric": "accuracy", "metrics": {"validation": {"accuracy": float(right.mean())}},
        "subset": {} if table is None or arm == "full" else behind,
        "cost": {"train_seconds": ticket / 1000}, "config": {"task": config}, "versions": {},
    })  # fmt: skip


def peak() -> float:
    """The largest resident memory of this process so far, in GiB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20


def job(root: Path) -> None:
    """Report the study in this process, and print the seconds and the most memory."""
    started = time.perf_counter()
    write_report(root, "scale", data_of_study(root, "scale"))
    print(json.dumps([time.perf_counter() - started, peak()]))


def row(root: Path, samples: int) -> str:
    """Make and report a study of so many samples; a row of the table."""
    make_study(root, samples)
    command = [sys.executable, __file__, "--job", str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, memory = json.loads(done.stdout.splitlines()[-1])
    page, facts = ((root / f"studies/scale/report.{kind}").stat().st_size / 1e6 for kind in ("html", "json"))
    return f"| {samples:,} | {page:.2f} MB | {facts:.2f} MB | {seconds:.1f} | {memory:.2f} GiB |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--largest", type=int, default=10**6)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--job", type=Path)
    options = parser.parse_args()
    if options.job:
        job(options.job)
        return
    print("| samples | report.html | report.json | seconds | peak memory |")
    print("|---|---|---|---|---|")
    for samples in (10**k for k in range(3, 7) if 10**k <= options.largest):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if options.keep is None else options.keep / str(samples)
            folder.mkdir(parents=True, exist_ok=True)
            print(row(folder, samples), flush=True)


if __name__ == "__main__":
    main()
