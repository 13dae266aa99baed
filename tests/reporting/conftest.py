"""A report as plain values, and a small study on disk that nobody trained."""

from __future__ import annotations

import copy
import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from hprune.command import CONF, instantiate
from hprune.own_sources import note_sources
from hprune.reporting.summary import summarise
from hprune.science.records import RunKey, RunRecord, Scores
from hprune.science.scores.aum import aum
from hprune.science.scores.el2n import el2n
from hprune.science.scores.h_score import h_score
from hprune.score import ScoreSpec, score_study
from hprune.storage.files import write_json
from hprune.storage.runs import finish_run, run_folder, save_record, start_run
from hprune.storage.scores import load_scores, score_path
from hprune.storage.studies import add_run
from hprune.tasks.load import load_task
from hprune.tasks.spec import TaskData

SCORING, COMPARISON, EPOCHS = (1, 2, 3), (11, 12), 2
ARMS = {
    "full": ("everything", 12),
    "random_like": ("hprune.science.select.random_like", 4),
    "winning_ticket": ("by_value", 4),
    "el2n": ("highest", 6),
}


def text_length(texts: Sequence[str]) -> np.ndarray:
    """A score of the texts alone."""
    return np.array([len(text) for text in texts])


OTHERS: list[Any] = [
    ("el2n", el2n, "harder", "el2n"),
    ("aum", aum, "easier", "margin"),
    ("text_length", text_length, "harder", "text"),
]
"""Further scores: name, function, direction, what it needs."""


def _row(
    arm: str, n: int, mean: float, gap: tuple[float, float, float] | None, verdict: str | None, **facts: Any
) -> dict[str, Any]:
    """A row of a report with five seeds."""
    test = {
        "to": "full",
        "seeds": 5,
        "p_value": 0.5,
        "p_holm": 1.0,
        "p_sign_flip": 0.0625,
        "test": "paired t test, two-sided, n = 5 seeds",
        "spread": 0.006,
        "detectable": 0.019,
        "power": 0.4,
        "within_margin": False,
        "equivalence": {"margin": 0.01, "p_value": 0.3, "low": -0.01, "high": 0.01, "power": 0.2, "shown": False},
    }
    return {
        "arm": arm, "label": arm, "budget": "epochs", "S": 6, "E": 3, "eval_set": "validation", "metric": "accuracy",
        "n": n, "fraction": n / 1500, "mean": mean, "low": mean - 0.01, "high": mean + 0.01,
        "seeds": list(range(11, 16)), "values": {str(seed): mean + 0.002 * (seed - 13) for seed in range(11, 16)},
        "difference": None if gap is None else {"mean": gap[0], "low": gap[1], "high": gap[2], **test},
        "verdict": verdict, "rule": "rule", "difference_to_random": None, "verdict_to_random": None,
        "difference_to_ticket": None, "verdict_to_ticket": None, **facts,
    }  # fmt: skip


REPORT: dict[str, Any] = {
    "schema_version": 2, "study": "toy", "task": "own", "model": "tiny", "created": "2026-01-02T03:04:05+0000",
    "primary_metric": "accuracy", "label_names": ["no", "yes"], "full_samples": 1500,
    "rows": [
        _row("full", 1500, 0.9, None, None),
        _row("random_like", 300, 0.85, (-0.05, -0.061, -0.039), "worse"),
        _row(
            "winning_ticket", 300, 0.898, (-0.002, -0.011, 0.007), "not distinguishable", verdict_to_random="better",
            difference_to_random={
                "to": "random_like", "mean": 0.048, "low": 0.04, "high": 0.056, "seeds": 5, "p_value": 0.01,
                "test": "t", "within_margin": False, "equivalence": None,
            },
        ),
        _row("full", 1500, 0.312, None, None, metric="loss"),
        _row("winning_ticket", 300, 0.345, (0.033, 0.021, 0.045), "worse", metric="loss"),
    ],
    "margin": 0.01, "margins": [0.01],
    "examples": [
        {
            "label": "winning_ticket", "to": "full", "eval_set": "validation", "metric": "accuracy", "n": 872,
            "difference": {"mean": -0.002, "low": -0.013, "high": 0.009},
            "mcnemar": {str(s): {"gained": 20 + s, "lost": 25, "p_value": 0.04 * (s - 10)} for s in range(11, 16)},
        }
    ],
    "slices": [
        {
            "label": "winning_ticket", "eval_set": "validation", "metric": "accuracy", "slice": "class",
            "value": value, "n": 436, "reference": 0.9, "verdict": "not distinguishable",
            "difference": {"mean": -0.002, "low": -0.011, "high": 0.007, "within_margin": False, "equivalence": None},
        }
        for value in ("no", "yes")
    ],
    "main_score": "h_score", "matrix": None, "first_epoch": None, "diagnosis": [], "incomplete": [],
    "histogram": {
        "h_score": {
            "S": 6, "E": 3, "measured": "train_pass", "higher_is": "easier", "missing_seeds": [], "infinite": 0,
            "skip_epochs": 0,
            "values": [{"value": v, "count": 10 * v + 5, "by_class": {"no": 5, "yes": 10 * v}} for v in range(7)],
        }
    },
    "convergence": {
        "h_score": {
            "S": 6, "samples": 245, "certain": 175, "open": 70,
            "runs": [
                {"runs": s, "subsets": 1, "size": 35.0 * (s - 1), "sd": 1.0, "low": 34 * (s - 1), "high": 36 * (s - 1),
                 "overlap": 0.2 * (s - 1), "overlap_low": 0.19 * (s - 1)} for s in range(1, 7)
            ],
            "predicted": [
                {"runs": s, "size": 140.0 + 6 * s, "low": 140.0 + 5 * s, "high": 140.0 + 7 * s} for s in range(7, 13)
            ],
            "one_more": 7.0, "gains": [10] * 6, "stopped": None,
        }
    },
    "cost": {
        "scoring_seconds": 600.0, "scoring_runs": 6,
        "stages": [
            {"stage": "scoring runs", "runs": 6, "seconds": 600.0, "flops": 6e15, "full_runs": 6.0},
            {"stage": "comparison runs, full", "runs": 5, "seconds": 500.0, "flops": 5e15, "full_runs": 5.0},
            {"stage": "checkpoints", "runs": 11, "seconds": 30.0, "flops": None, "full_runs": 0.3},
            {"stage": "total", "runs": 11, "seconds": 1130.0, "flops": 1.1e16, "full_runs": 11.3},
        ],
        "arms": [
            {"label": "full", "train_seconds": 100.0, "break_even_runs": None, "pay_back": None},
            {"label": "random_like", "train_seconds": 20.0, "break_even_runs": None, "pay_back": None},
            {
                "label": "winning_ticket", "train_seconds": 20.0, "break_even_runs": 8,
                "pay_back": {
                    "seconds": {
                        "scoring": 600.0, "full_run": 100.0, "subset_run": 20.0, "break_even": 8, "saved": 80.0,
                        "saved_share": 0.8, "selection_to_tuning": 6.0,
                    },
                    "flops": None,
                },
            },
        ],
    },
    "samples": [
        {"group": "H = 0", "sample_id": 7, "value": 0, "label": "no", "text": "a hard one"},
        {"group": "0 < H < S", "sample_id": 8, "value": 3, "label": "yes", "text": "one in between"},
        {"group": "H = S", "sample_id": 9, "value": 6, "label": "yes", "text": "an easy one"},
    ],
    "provenance": {
        "data_hash": "d" * 64, "settings": {}, "versions": {"python": "3.11"}, "scoring_seeds": [1, 2, 3, 4, 5, 6],
        "comparison_seeds": [11, 12, 13, 14, 15], "hprune": "0.1.0", "config": {"optim": {"lr": 1e-5}},
    },
}  # fmt: skip


@pytest.fixture
def report() -> dict[str, Any]:
    """A report with three arms, five seeds and two metrics; a test may change it."""
    return copy.deepcopy(REPORT)


@pytest.fixture
def one_seed(report: dict[str, Any]) -> dict[str, Any]:
    """The same with one seed an arm, so without intervals and verdicts."""
    for row in report["rows"]:
        row |= {"seeds": [11], "values": {"11": row["mean"]}, "low": None, "high": None}
        if row["difference"]:
            row["difference"] |= dict.fromkeys(
                ("low", "high", "p_value", "p_holm", "p_sign_flip", "spread", "detectable", "power", "equivalence")
            )
            row["difference"]["seeds"] = 1
            row["verdict"] = "no verdict (one seed)"
    return report


@dataclass(frozen=True)
class Study:
    """A study that nobody trained, and the data that it lies beside."""

    root: Path
    name: str
    data: TaskData
    config: Any
    epochs: int = EPOCHS
    late: int = 0
    """How many samples each epoch but the first makes wrong."""
    settings: tuple[tuple[str, Any], ...] = ()
    """Further ones of its runs."""

    def runs(self, arm: str, seeds: Sequence[int], table: Scores | None = None, size: int | None = None) -> None:
        """Fabricate runs, of an arm that a score table chose where it is given."""
        for seed in seeds:
            _fabricate_run(self, arm, seed, table, ARMS[arm][1] if size is None else size)


@pytest.fixture(scope="session")
def study_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a study `toy`: three scoring runs, two arms beside the full set, a score table."""
    toy = study_of(tmp_path_factory.mktemp("project"), "toy", [f"sample {i}" + " very" * i for i in range(12)])
    toy.runs("full", SCORING)
    for arm in ("full", "random_like", "winning_ticket"):
        toy.runs(arm, COMPARISON)
    score_study(toy.root, "toy", ScoreSpec("h_score", h_score, "easier"))
    return toy.root


@pytest.fixture(scope="session")
def cells_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies `long`, with cells, other scores, arms and a report; `short`, of one epoch; and `more`, of other data."""
    folder, texts = tmp_path_factory.mktemp("cells"), [f"sample {i} <script>run()</script>" for i in range(18)]
    long = study_of(folder, "long", texts[:12], late=1)
    studies = [long, replace(long, name="short", epochs=1, late=0), study_of(folder, "more", texts)]
    for study in studies:
        study.runs("full", SCORING)
        for runs in (None, 2):
            score_study(study.root, study.name, ScoreSpec("h_score", h_score, "easier", runs=runs))
    for runs in (None, 2):
        score_study(long.root, "long", ScoreSpec("h_score", h_score, "easier", runs=runs, epochs=1))
    for name, function, higher_is, needs in OTHERS:
        score_study(long.root, "long", ScoreSpec(name, function, higher_is, needs=[needs]), long.data)
    tables = {name: load_scores(score_path(long.root, "long", name)) for name in ("h_score", "h_score-S2", "el2n")}
    long.runs("full", COMPARISON)
    for arm, table in (("winning_ticket", "h_score"), ("winning_ticket", "h_score-S2"), ("el2n", "el2n")):
        long.runs(arm, COMPARISON, tables[table], size=3 if table == "h_score-S2" else 6)
    long.runs("random_like", COMPARISON, size=6)
    write_json(long.root / "studies/long/report.json", summarise(long.root, "long", long.data))
    return long.root


def study_of(folder: Path, name: str, texts: Sequence[str], late: int = 0) -> Study:
    """A study of these texts, which lie in a file beside the results."""
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *((text, "yn"[i % 2]) for i, text in enumerate(texts))])
    files = [f"task.{split}_file={name}.csv" for split in ("train", "validation")]  # relative, as on a command line
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        config = compose("train", overrides=["task=own", *files]).task
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        data = load_task(instantiate(config))
    plain = OmegaConf.to_container(config)
    note_sources(folder / "multirun", {"task": plain})  # as where a run is trained
    return Study(folder / "multirun", name, data, plain, late=late)


def _fabricate_run(study: Study, arm: str, seed: int, table: Scores | None, size: int) -> None:
    data, key = study.data, RunKey("own", "none", arm, seed)
    chosen = {"rule": ARMS[arm][0], "scores": None if table is None else table.digest}
    settings = {"task": {"data": data.data_hash}, "subset": chosen, "trainer": {"max_epochs": study.epochs},
                **dict(study.settings)}  # fmt: skip
    folder = run_folder(study.root, key, settings)
    add_run(study.root, study.name, folder, "scoring" if seed in SCORING else "comparison", SCORING)
    start_run(folder)
    save_record(folder, _record(folder.key, folder.settings_hash, study))
    accuracy = 0.001 * (seed % 3) * (1 + len(arm) % 3)
    accuracy += {"full": 0.9, "random_like": 0.8, "winning_ticket": 0.89, "el2n": 0.85}[arm]
    behind = {"seeds": list(SCORING), "epochs": EPOCHS} | ({} if table is None else {"scores": table.name})
    facts = {
        "data_hash": data.data_hash, "label_names": list(data.label_names), "samples": size,
        "full_samples": data.train.num_rows, "primary_metric": "accuracy",
        "metrics": {"validation": {"accuracy": accuracy, "loss": 1 - accuracy}},
        "subset": {} if arm == "full" else behind,
        "cost": {"train_seconds": float(size)}, "config": {"task": study.config}, "versions": {"python": "3.11"},
    }  # fmt: skip
    finish_run(folder, facts)


def _record(key: RunKey, settings_hash: str, study: Study) -> RunRecord:
    """Sample i is right in the last runs only, more of them the larger i is: every H occurs."""
    data, ids = study.data, study.data.train["sample_id"].to_numpy().copy()
    rng = np.random.default_rng(key.seed)
    early = study.late * np.arange(study.epochs - 1, -1, -1)[:, None]  # (E, 1)
    right = ids >= 3 * key.seed - early
    prob = np.where(right, rng.uniform(0.5, 1, right.shape), rng.uniform(0, 0.5, right.shape)).astype(np.float32)
    rest: Any = {"margin": 2 * prob - 1, "el2n": np.sqrt(2, dtype=np.float32) * (1 - prob)}
    return RunRecord(
        key,
        ids,
        right.copy(),
        prob,
        **rest,
        measured="train_pass",
        data_hash=data.data_hash,
        settings_hash=settings_hash,
    )
