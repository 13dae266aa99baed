"""Files exchanged between runs, seeds and studies: which command notices, by name?

    python benchmarks/swaps.py

Goal: every exchange is noticed by each command that reads the file, or by `hprune.verify`. Two studies of the same data
and of two learning rates, two scoring seeds, two arms with two seeds each, which nobody trained; any two files of one
kind, and any two folders of runs, change places, all pairs, and every reader is asked. Exits with 1 if an exchange
is not noticed.
"""

from __future__ import annotations

import functools
import itertools
import logging
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from hydra import compose, initialize_config_dir

from hprune.command import CONF, run_spec
from hprune.data.tokenise import TokenTable, cached_tokens
from hprune.report import unchanged_study
from hprune.reporting.summary import summarise
from hprune.science.records import RunKey, RunRecord, Scores
from hprune.science.scores.el2n import el2n
from hprune.science.scores.h_score import h_score
from hprune.science.select import by_value
from hprune.science.subset import SubsetSpec, choose
from hprune.score import ScoreSpec, score_study
from hprune.storage.dynamics import records_behind
from hprune.storage.files import write_json, write_table
from hprune.storage.manifests import read_failure, read_identity, read_results, sealed
from hprune.storage.margins import store_margin, stored_margin
from hprune.storage.runs import (
    RunFolder,
    check_complete,
    fail_run,
    finish_run,
    run_folder,
    save_record,
    save_subset,
    start_run,
    state_of,
)
from hprune.storage.scores import load_scores, score_path
from hprune.storage.studies import add_run, planned_seeds, references_of
from hprune.tasks.load import load_task
from hprune.tasks.spec import TaskData
from hprune.training.checkpoint import LAYOUT, STATE, Progress, check_continues, whose
from hprune.training.settings import versions
from hprune.verifying.everything import verify

ROWS, SCORING, COMPARISON, EPOCHS = 24, (1, 2), (11, 12), 2
RATES = {"s1": 0.1, "s2": 0.2}
TICKET = SubsetSpec("winning_ticket", by_value, keep="1..S-1")
KINDS = {
    "run.json": "runs/**/run.json",
    "identity.json": "runs/**/identity.json",
    "failure.json": "runs/**/failure.json",
    "records": "runs/**/record.*.parquet",
    "predictions": "runs/**/predictions.*.parquet",
    "subset.parquet": "runs/**/subset.parquet",
    "resume.ckpt": "runs/**/resume.ckpt",
    "folders of runs": "runs/*/*/*/seed=*",
    "references": "studies/*/runs/*.json",
    "plan.json": "studies/*/plan.json",
    "margin.json": "studies/*/margin.json",
    "report.json": "studies/*/report.json",
    "score tables": "studies/*/scores/*.parquet",
    "token tables": "cache/tokens/*/*.npy",
}


@dataclass(frozen=True)
class Made:
    """Two studies, and what a command that continues them would look for."""

    root: Path
    folders: Sequence[RunFolder]


def make_studies(root: Path) -> Made:
    """Write them."""
    rows = "".join(f"sample {i} of many,{'ny'[i % 2]}\n" for i in range(ROWS))
    for study in RATES:
        root.mkdir(exist_ok=True)
        (root / f"{study}.csv").write_text("text,label\n" + rows)
    folders: list[RunFolder] = []
    for study, rate in RATES.items():
        file = root / f"{study}.csv"
        overrides = ["task=own", f"task.train_file={file}", f"task.validation_file={file}", "model=tiny_roberta"]
        with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
            spec = run_spec(compose("train", overrides=[*overrides, f"study={study}"]))
        data = load_task(spec.task)
        write = functools.partial(_write_run, root, study, rate, data, dict(spec.config))
        folders += [write("full", seed, None) for seed in SCORING]
        for name, function, way in (("h_score", h_score, "easier"), ("el2n", el2n, "harder")):
            columns = ["correct", "el2n"]
            score_study(root, study, ScoreSpec(name, function, way, needs=columns))  # type: ignore[arg-type]
        table = load_scores(score_path(root, study, "h_score"))
        folders += [write("full", seed, None) for seed in COMPARISON]
        folders += [write("winning_ticket", seed, table) for seed in COMPARISON]
        folders += [_write_unfinished(root, study, rate, seed) for seed in COMPARISON]
        store_margin(root, study, {"margin": rate / 10, "why": f"as {study} says"})
        write_json(root / "studies" / study / "report.json", sealed(summarise(root, study, None)))
        tokens = TokenTable(np.full(6, int(100 * rate), dtype=np.int32), np.array([0, 2, 6]), None, 0)
        cached_tokens(root / "cache" / "tokens" / study, lambda tokens=tokens: tokens)  # type: ignore[misc]
    return Made(root, folders)


def _write_run(
    root: Path, study: str, rate: float, data: TaskData, config: dict[str, Any], arm: str, seed: int, table: Any
) -> RunFolder:
    """A complete run; records and predictions are drawn by its seed and learning rate."""
    scores: Scores | None = table
    chosen = {"rule": "everything"} if scores is None else {
        "rule": f"{by_value.__module__}.{by_value.__name__}", "keep": TICKET.keep, "scores": scores.digest,
    }  # fmt: skip
    task = {"data": data.data_hash, "evaluation": dict(data.evaluation_hashes)}
    settings = {"lr": rate, "task": task, "model": {"weights": "w"}, "subset": chosen}
    folder = run_folder(root, RunKey("own", "tiny", arm, seed), settings)
    purpose: Any = "scoring" if seed in SCORING else "comparison"
    add_run(root, study, folder, purpose, SCORING, config=config)
    start_run(folder)
    ids, labels = data.train["sample_id"].to_numpy().copy(), data.train["label"].to_numpy()
    spec = SubsetSpec("full") if scores is None else TICKET
    about: dict[str, Any] = {"label_names": data.label_names, "data_hash": data.data_hash, "seed": seed}
    subset = choose(spec, scores, sample_ids=ids, labels=labels, **about)
    rng = np.random.default_rng([seed, int(1000 * rate), len(arm)])
    prob = rng.uniform(0.2, 0.99, (EPOCHS, subset.sample_ids.size)).astype(np.float32)
    save_record(folder, RunRecord(
        folder.key, subset.sample_ids.copy(), prob > 0.5, prob, 2 * prob - 1, np.sqrt(2, dtype=np.float32) * (1 - prob),
        measured="train_pass", data_hash=data.data_hash, settings_hash=folder.settings_hash,
    ))  # fmt: skip
    save_subset(folder, subset)
    pred = np.where(rng.random(ROWS) < 0.8, labels, 1 - labels)
    facts = {"set": "validation", "data_hash": data.evaluation_hashes["validation"]}
    columns = {"sample_id": ids, "label": labels, "pred": pred}
    write_table(folder.path / "predictions.validation.parquet", pa.table(columns), facts)
    finish_run(folder, {
        "data_hash": data.data_hash, "label_names": list(data.label_names), "samples": int(subset.sample_ids.size),
        "full_samples": ROWS, "primary_metric": "accuracy", "epochs": [],
        "metrics": {"validation": {"accuracy": float((pred == labels).mean())}}, "text_columns": ["text"],
        "subset": dict(subset.provenance), "cost": {"train_seconds": 1.0 + seed}, "config": config,
        "versions": versions(),
    })  # fmt: skip
    return folder


def _write_unfinished(root: Path, study: str, rate: float, seed: int) -> RunFolder:
    """A run that failed after it had written a checkpoint."""
    folder = run_folder(root, RunKey("own", "tiny", "other", seed), {"lr": rate, "subset": {"rule": "other"}})
    add_run(root, study, folder, "comparison", SCORING, plans=False)
    start_run(folder)
    fail_run(folder, f"ValueError: seed {seed} at {rate}")
    state = {"layout": LAYOUT, **whose(folder), "process": 0, "versions": versions()}
    torch.save({"callbacks": {STATE: state}}, folder.checkpoint)
    return folder


def noticing(made: Made, commands: Sequence[str] = ()) -> Iterator[str]:
    """The commands, of some or of all, that refuse something by name: each is asked for all that it reads."""
    for command in commands or READERS:
        if _refuses(functools.partial(READERS[command], made)):
            yield command


def _refuses(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except (ValueError, OSError):
        return True
    return False


def _status(made: Made) -> None:
    for study in RATES:
        runs, damaged = references_of(made.root, study)
        planned_seeds(made.root, study)
        if damaged:
            raise ValueError(f"damaged: {damaged}")
        for run in runs:
            state = state_of(run.path)
            (read_results if state == "done" else read_failure if state == "failed" else read_identity)(run.path)


def _score(made: Made) -> None:
    for study in RATES:
        table = load_scores(score_path(made.root, study, "h_score"))
        list(records_behind(made.root, study, table).pieces(("correct",)))


def _report(made: Made) -> None:
    for study in RATES:
        summarise(made.root, study, None)
        stored_margin(made.root, study)


def _export(made: Made) -> None:
    for study in RATES:
        unchanged_study(made.root, study, trust_code=True)


def _train(made: Made) -> None:
    """Skip what is complete, and go on with what is not: whose checkpoint is it?"""
    nothing = Progress([], [], 0, [], 0, 0)
    for folder in made.folders:
        if folder.complete:
            check_complete(folder)
            continue
        start = read_identity(folder.path)
        if (start["key"]["seed"], start["settings"]) != (folder.key.seed, dict(folder.settings)):
            raise ValueError(f"{folder.path} holds another run")
        try:
            check_continues(folder.checkpoint, folder, versions(), nothing)
        except ValueError as error:
            if "is the checkpoint of another run" in str(error):
                raise  # the checkpoints here hold nothing else than whose they are


def _verify(made: Made) -> None:
    if found := verify(made.root).problems:
        raise ValueError(f"{len(found)} problems, such as {found[0]}")


READERS: dict[str, Callable[[Made], None]] = {
    "status": _status,
    "report": _report,
    "score": _score,
    "export": _export,
    "train": _train,
    "verify": _verify,
}


@contextmanager
def swapped(a: Path, b: Path) -> Iterator[None]:
    """Two files, or folders, in each other's place for as long as the block lasts."""

    def change() -> None:
        aside = a.with_name("aside")
        a.rename(aside)
        b.rename(a)
        aside.rename(b)

    change()
    try:
        yield
    finally:
        change()


def pairs(root: Path, kind: str) -> list[tuple[Path, Path]]:
    """Any two of a kind; of files those that differ."""
    found = list(itertools.combinations(sorted(root.glob(KINDS[kind])), 2))
    return [(a, b) for a, b in found if a.is_dir() or a.read_bytes() != b.read_bytes()]


def main() -> None:
    """Try all pairs and print what noticed them."""
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        made = make_studies(Path(folder) / "root")
        shutil.copytree(made.root, Path(folder) / "before")
        assert list(noticing(made)) == [], "nothing is wrong yet"
        print(f"| what changed places | pairs | {' | '.join(READERS)} | by none |")
        print("|---|---:|" + "---:|" * (len(READERS) + 1))
        unnoticed: dict[str, list[tuple[Path, Path]]] = defaultdict(list)
        for kind in KINDS:
            tried, counts = pairs(made.root, kind), Counter[str]()
            for a, b in tried:
                with swapped(a, b):
                    by = list(noticing(made))
                counts.update(by)
                if not by:
                    unnoticed[kind].append((a, b))
            cells = [str(counts[command]) for command in READERS]
            print(f"| {kind} | {len(tried)} | {' | '.join(cells)} | {len(unnoticed[kind])} |", flush=True)
        missed = [pair for kind in KINDS for pair in unnoticed[kind]]
        for a, b in missed:
            print(f"nobody noticed {a.relative_to(made.root)} in the place of {b.relative_to(made.root)}")
        sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
