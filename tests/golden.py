"""What 0.1.0 made of small inputs: settings hashes, data hashes, batch orders, selections, a record of each way.

Stored folders are found by their settings hash and their scores by the data hash, and an order, a selection or a record
that changes makes other results of the same command. So the values that 0.1.0 gave are frozen in
`fixtures/golden-0.1.0.json`, and `test_golden.py` compares today's with them; `golden-0.2.0.json` holds what came with
0.2.0: runs on a subset in the order of the full set. `fixtures/study-0.1.0.json` holds what 0.1.0 read in its own study
beside it (`test_stored_studies.py`).

`python -m tests.golden` adds cases that are new here to these files; it never changes a value that stands in them.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hprune.data.batching import plan_batches, plan_subset
from hprune.science.records import Scores
from hprune.science.select import Pool, by_value, highest, lowest, per_class, random_like, stratified
from hprune.storage.files import sha256_of_json
from hprune.training.settings import RunSpec, settings_of
from hprune.training.units import load_samples

FIXTURES = Path(__file__).parent / "fixtures"
FILE = FIXTURES / "golden-0.1.0.json"
FILE_0_2 = FIXTURES / "golden-0.2.0.json"
STUDY = FIXTURES / "study-0.1.0"
"""A root of 0.1.0 with the study `stored`."""
Golden = dict[str, Any]

# ---------------------------------------------------------------- data

WORDS = ("dull", "fine", "grim", "bold", "flat", "warm")


def write_files(folder: Path) -> None:
    """Write a small data set of each kind, with what loading has to mend: labels as texts, gaps, hidden labels."""
    stars = [("bad", "good")[i % 2] for i in range(20)]
    texts = [f"a {WORDS[i % 6]} film, part {i}" for i in range(20)]
    pa.csv.write_csv(
        pa.table({"text": texts, "label": stars, "source": ["web", "web", "mail", "mail"] * 5}), folder / "own.csv"
    )
    for size, name in ((14, "train"), (6, "validation")):
        _parquet(folder / "pairs" / name, _pairs(size))
        _parquet(folder / "race" / name, _exams(size))
        _parquet(folder / "squad" / name, _questions(size))
    _parquet(folder / "hans" / "validation", {**_pairs(8, classes=2), "heuristic": ["lexical", "order"] * 4})
    weights = folder / "weights"
    weights.mkdir()
    (weights / "config.json").write_text('{"model_type": "roberta"}\n')
    (weights / "model.safetensors").write_bytes(bytes(range(64)))


def _parquet(stem: Path, columns: Golden) -> None:
    stem.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), stem.with_suffix(".parquet"))


def _pairs(size: int, classes: int = 3) -> Golden:
    premises = [None if i == 4 else f"the {WORDS[i % 6]} dog barks" for i in range(size)]
    labels = [-1 if i == 5 else i % classes for i in range(size)]
    return {"premise": premises, "hypothesis": [f"dog {i} is {WORDS[-i % 6]}" for i in range(size)], "label": labels}


def _exams(size: int) -> Golden:
    return {
        "article": [f"My hat is {WORDS[i % 6]} . I like it ." for i in range(size)],
        "question": [("It is _ .", "What is the hat like?")[i % 2] for i in range(size)],
        "options": [[WORDS[(i + k) % 6] for k in range(4)] for i in range(size)],
        "answer": ["ABCD"[i % 4] for i in range(size)],
    }


def _questions(size: int) -> Golden:
    answers = [{"text": ["red"], "answer_start": [10]}, {"text": ["blue"], "answer_start": [27]}]
    nothing: Golden = {"text": [], "answer_start": []}
    kind = pa.struct({"text": pa.list_(pa.string()), "answer_start": pa.list_(pa.int32())})
    return {
        "id": [f"q{i}" for i in range(size)],
        "title": ["Clothes"] * size,
        "context": ["My hat is red . My coat is blue . " * (1 + i % 3) for i in range(size)],
        "question": [f"Which colour is my {('hat', 'coat')[i % 2]}?" for i in range(size)],
        "answers": pa.array([nothing if i % 4 == 3 else answers[i % 2] for i in range(size)], kind),
    }


# ---------------------------------------------------------------- runs: their data, and what they are

TASKS: dict[str, list[str]] = {
    "own": ["task=own", "task.train_file={files}/own.csv"],
    "demo": ["task=demo", "task.generate.num_samples={{train:40,validation:20,test:20}}"],
    "pairs": ["task=snli", "task.data_dir={files}/pairs"],
    "race": ["task=race", "task.data_dir={files}/race"],
    "race_options": ["task=race", "task.data_dir={files}/race", "task.kind.unit=option"],
    "squad": ["task=squad_v2", "task.data_dir={files}/squad"],
    "squad_windows": [
        "task=squad_v2", "task.data_dir={files}/squad", "task.kind.unit=window", "task.kind.stride=8",
        "data.max_length=32",
    ],
    "own_sample": ["task=own", "task.train_file={files}/own.csv", "task.max_train_samples=9", "task.sample_seed=3"],
    "own_where": ["task=own", "task.train_file={files}/own.csv", "task.where={{source:web}}", "task.split_seed=2",
                  "task.validation_fraction=0.3"],
    "pairs_also": [
        "task=snli", "task.data_dir={files}/pairs", "task.also_dir={files}", "+eval_set@task.also.hans=hans"
    ],
}  # fmt: skip
"""The data sets by name, as overrides."""

BASE = ("model=tiny_roberta", "trainer.accelerator=cpu", "trainer.threads=1", "trainer.precision=32")

RUNS: dict[str, list[str]] = {
    **{f"task_{name}": options for name, options in TASKS.items()},
    "model_opt": ["model=tiny_opt"],
    "model_wider": ["model.config.hidden_size=96", "model.vocab_size=500"],
    "model_folder": ["model=minilm", "model.path={files}/weights"],
    "model_lora": ["model/adapter=lora"],
    "model_lora_targets": ["model=minilm", "model.path={files}/weights", "model/adapter=lora",
                           "model.adapter.targets=[query,value]", "model.adapter.rank=4"],
    "optim": ["optim.lr=1e-3", "optim.weight_decay=0.01", "optim.warmup=0.1", "optim.schedule=cosine"],
    "optim_race": ["optim=race", "optim.clip=0"],
    "data_sizes": ["data.batch_size=7", "data.eval_batch_size=9", "data.max_length=33", "data.workers=2"],
    "data_random": ["data.batching=random", "data.packed=false"],
    "data_max_length": ["data.batching=max_length"],
    "data_reshuffled": ["data.order=reshuffled"],
    "data_folds": ["data.folds=3"],
    "trainer_long": ["trainer.max_epochs=9", "trainer.accumulate=4", "trainer.threads=2", "trainer.save_model=true"],
    "trainer_steps": ["trainer.budget=steps"],
    "trainer_bf16": ["trainer.precision=bf16-mixed"],
    "trainer_64": ["trainer.precision=64"],
    "trainer_cuda": ["trainer.accelerator=gpu", "trainer.precision=16-mixed"],
    "trainer_ddp": ["trainer=ddp", "trainer.accelerator=cpu", "trainer.threads=1", "trainer.precision=32"],
    "trainer_fsdp": ["trainer=fsdp", "trainer.accelerator=cuda", "trainer.precision=bf16"],
    "record_eval_pass": ["record=eval_pass"],
    "record_both": ["record=both"],
    "record_grand": ["record.grand=true"],
}  # fmt: skip
"""Runs on the full set."""

SUBSETS: dict[str, list[str]] = {
    "winning_ticket": ["subset=winning_ticket"],
    "keep_2_5": ["subset=keep_2_5"],
    "keep_list": ["subset=winning_ticket", "subset.keep=[1,2]"],
    "random_fraction": ["subset=random_like", "subset.keep=null", "subset.fraction=0.5"],
    "random_size": ["subset=random_like", "subset.keep=null", "subset.size=7", "trainer.budget=steps"],
    "random_balanced": ["subset=random_like", "subset.keep=null", "subset.size=8", "subset.balance=equal"],
    "highest": ["subset=highest", "subset.keep=null", "subset.fraction=0.25"],
    "lowest": ["subset=lowest", "subset.balance=share"],
    "coverage": ["subset=coverage", "subset.keep=null", "subset.size=6"],
    "coverage_uncut": ["subset=coverage", "subset.keep=null", "subset.size=6", "subset.select.cut=0.0"],
    "pruned_lr": ["subset=winning_ticket", "optim.pruned_lr=3e-5", "data.order=reshuffled"],
    "lora": ["subset=winning_ticket", "model/adapter=lora"],
}
"""Runs on a subset, by the scores of `scores_of`, but for the random ones without a keep-set."""


@contextmanager
def composing(files: Path) -> Iterator[Callable[..., RunSpec]]:
    """Compose runs from the real configuration; `{files}` in an override is the folder of `write_files`.

    A run that names no task is of `own`.
    """
    from hydra import compose, initialize_config_dir

    from hprune.command import CONF, run_spec

    def made(*options: str) -> RunSpec:
        task = () if any(option.startswith("task=") for option in options) else TASKS["own"]
        return run_spec(compose("train", overrides=[o.format(files=files) for o in (*BASE, *task, *options)]))

    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        yield made


def scores_of(sample_ids: NDArray[np.int64], data_hash: str) -> Scores:
    """An H table of three runs that is known beforehand."""
    values = (np.arange(sample_ids.size) * 7 % 4).astype(np.int16)
    return Scores("h_score", sample_ids, values, "easier", (1, 2, 3), 3, "train_pass", data_hash)


def settings_hash(settings: Golden) -> str:
    """The hash that a run's folder is named by."""
    return sha256_of_json(json.loads(json.dumps(settings)))


def settings_of_runs(files: Path, root: Path) -> Iterator[tuple[str, Golden]]:
    """The settings of each of `RUNS`, `SUBSETS`."""
    with composing(files) as run:
        for name, options in RUNS.items():
            spec = run(*options)
            yield name, settings_of(spec, load_samples(spec, root=root), None)
        for name, options in SUBSETS.items():
            spec = run(*options)
            data = load_samples(spec, root=root)
            scores = scores_of(data.train["sample_id"].to_numpy().copy(), data.data_hash)
            needed = spec.subset.by_score or spec.subset.keep is not None
            yield f"subset_{name}", settings_of(spec, data, scores if needed else None)


def data_hashes(files: Path, root: Path) -> Golden:
    """For each data set the rows of its train table, its hash, and the hashes of its evaluation sets."""
    found = {}
    with composing(files) as run:
        for name, options in TASKS.items():
            data = load_samples(run(*options), root=root)
            hashes = dict(data.evaluation_hashes)
            found[name] = {"rows": data.train.num_rows, "train": data.data_hash, "evaluation": hashes}
    return found


# ---------------------------------------------------------------- orders and selections

ORDERS = [
    (rows, batch_size, seed, batching, epoch)
    for rows, batch_size, seed in ((1, 4, 0), (37, 8, 1), (1000, 4, 2), (1000, 16, 101), (6413, 32, 7))
    for batching in ("bucketed", "random", "max_length")
    for epoch in (0, 2)
]


def lengths_of(rows: int) -> NDArray[np.int64]:
    """Token counts that look drawn and are not."""
    return np.arange(rows, dtype=np.int64) * 7919 % 61 + 3


def order_digest(plan: Sequence[NDArray[np.int64]]) -> Golden:
    """What a plan of batches is: its first batch, and a digest of all."""
    digest = hashlib.sha256()
    for batch in plan:
        digest.update(f"{batch.size};".encode() + batch.astype("<i8").tobytes())
    return {"first": plan[0][:8].tolist(), "batches": len(plan), "sha256": digest.hexdigest()}


def batch_orders() -> Golden:
    """Plans over several seeds, ways of batching, epochs, and sizes."""
    return {
        f"{rows} rows by {size}, seed {seed}, {batching}, epoch {epoch}": order_digest(
            plan_batches(lengths_of(rows), batch_size=size, seed=seed, batching=batching, epoch=epoch)  # type: ignore[arg-type]
        )
        for rows, size, seed, batching, epoch in ORDERS
    }


def subset_orders() -> Golden:
    """Plans of every third and of every row but the first, in the order of the full set."""
    return {
        f"{name} of {rows} rows by {size}, seed {seed}, {batching}, epoch {epoch}": order_digest(
            plan_subset(lengths_of(rows), kept, batch_size=size, seed=seed, batching=batching, epoch=epoch)  # type: ignore[arg-type]
        )
        for rows, size, seed, batching, epoch in ORDERS
        for name, kept in (("a third", np.arange(0, rows, 3)), ("all but one", np.arange(1, rows)))
        if kept.size
    }


SELECTIONS: dict[str, Callable[[Pool], NDArray[np.int64]]] = {
    "random_like": random_like,
    "highest": highest,
    "lowest": lowest,
    "by_value": by_value,
    "stratified": stratified,
    "stratified_cut": partial(stratified, cut=0.2, strata=5),
    **{
        f"{select.__name__}_{balance}": partial(per_class, select=select, balance=balance)
        for select in (random_like, highest, lowest, stratified)
        for balance in ("share", "equal")
    },
}


def selections() -> Golden:
    """What each selection keeps of 48 samples: of a score with ties, for two seeds."""
    at = np.arange(48)
    found = {}
    for seed in (1, 102):
        for name, select in SELECTIONS.items():
            values = (at * 29 % 7).astype(np.int16)
            labels = (at * 5 % 11 > 6).astype(np.int64)
            pool = Pool(values, labels, runs=6, higher_is="easier", size=13, keep="1..S-1", seed=seed)
            found[f"{name}, seed {seed}"] = select(pool).tolist()
    return found


# ---------------------------------------------------------------- records

RECORDED: dict[str, list[str]] = {
    "both": ["record=both", "record.grand=true"],
    "folds": ["data.folds=3"],
    "reshuffled": ["data.order=reshuffled", "data.batching=random"],
}
SMALL = (
    "task=demo", "task.generate.num_samples={{train:40,validation:20,test:20}}", "task.generate.shares={{plain:1}}",
    "model.config.hidden_size=16", "model.config.num_hidden_layers=1", "model.config.num_attention_heads=2",
    "model.config.intermediate_size=32", "model.vocab_size=300", "+model.config.hidden_dropout_prob=0.0",
    "+model.config.attention_probs_dropout_prob=0.0", "+model.config.initializer_range=0.2", "optim.lr=1e-3",
    "data.batch_size=8", "trainer.max_epochs=2", "trainer.progress=false", "seed=5",
)  # fmt: skip


def records(files: Path, root: Path) -> Golden:
    """The records of tiny runs in 32 bits by one thread, without dropout, by way of measuring: columns as lists."""
    from hprune.storage.runs import load_record
    from hprune.training.run import fine_tune

    found = {}
    with composing(files) as run:
        specs = {name: run(*SMALL, *options) for name, options in RECORDED.items()}
    for name, spec in specs.items():
        folder = fine_tune(spec, load_samples(spec, root=root), None, root=root)
        for way in spec.ways:
            record = load_record(folder.path, way)
            columns = {column: getattr(record, column) for column in record.columns}
            found[f"{name}, {way}"] = {
                "sample_ids": record.sample_ids.tolist(),
                **{column: _plain(values) for column, values in columns.items()},
            }
    return found


def _plain(values: NDArray[Any]) -> list[list[float]]:
    return np.round(values.astype(np.float64), 5).tolist() if values.dtype != bool else values.astype(int).tolist()


def settings_of_0_1(settings: Golden) -> Golden:
    """The same settings without what runs on a subset have since 0.2.0."""
    return {**settings, "data": {name: value for name, value in settings["data"].items() if name != "order_from"}}


def computed(files: Path, root: Path) -> Golden:
    """What 0.1.0 did, as today's code does it."""
    return {
        "settings": {
            name: settings_hash(settings_of_0_1(settings)) for name, settings in settings_of_runs(files, root)
        },
        "data": data_hashes(files, root),
        "orders": batch_orders(),
        "selections": selections(),
        "records": records(files, root),
    }


def computed_0_2(files: Path, root: Path) -> Golden:
    """What came with 0.2.0."""
    return {
        "settings": {
            name: settings_hash(settings)
            for name, settings in settings_of_runs(files, root)
            if "order_from" in settings["data"]
        },
        "orders": subset_orders(),
    }


# ---------------------------------------------------------------- the stored study


def stored_values(root: Path) -> Golden:
    """What is to be read in the study `stored` under a root, whatever version wrote it: numbers, ids, arms."""
    from hprune.reporting.summary import summarise
    from hprune.storage.files import read_table
    from hprune.storage.predictions import load_predictions
    from hprune.storage.runs import load_record, read_manifest
    from hprune.storage.scores import load_scores
    from hprune.storage.studies import runs_of

    runs = {f"{run.purpose} {run.key}": run for run in runs_of(root, "stored")}
    tables = sorted((root / "studies" / "stored" / "scores").glob("*.parquet"))
    h_score = load_scores(root / "studies" / "stored" / "scores" / "h_score.parquet")
    kept = {name: read_table(run.path / "subset.parquet")[0]["sample_id"].to_pylist() for name, run in runs.items()}
    record = {name: load_record(run.path, "train_pass") for name, run in runs.items()}
    predictions = {name: load_predictions(run.path, "validation") for name, run in runs.items()}
    report = json.loads(json.dumps(summarise(root, "stored", None)))
    return {
        "settings": {name: run.settings_hash for name, run in runs.items()},
        "metrics": {name: read_manifest(run.path)["metrics"] for name, run in runs.items()},
        "correct": {name: one.correct.sum(axis=1).tolist() for name, one in record.items()},
        "true_prob": {name: np.round(one.true_prob.mean(axis=1), 6).tolist() for name, one in record.items()},
        "predicted": {name: one["pred"].to_pylist() for name, one in predictions.items() if one is not None},
        "h_score": {"values": h_score.values.tolist(), "seeds": list(h_score.seeds), "digest": h_score.digest},
        "tables": {path.stem: np.round(load_scores(path).values[:10].astype(float), 5).tolist() for path in tables},
        "ticket": h_score.sample_ids[h_score.in_ticket].tolist(),
        "kept": {name: ids for name, ids in kept.items() if len(ids) < h_score.values.size},
        "rows": {
            f"{row['label']}, {row['eval_set']}, {row['metric']}": [row["n"], row["mean"], row["values"]]
            for row in report["rows"]
        },
    }


def add_to(file: Path, found: Golden) -> None:
    """Add what a file does not hold yet, in the parts and in their cases."""
    frozen = json.loads(file.read_text()) if file.exists() else {}
    merged = {
        part: cases | frozen.get(part, {}) if isinstance(cases, dict) else frozen.get(part, cases)
        for part, cases in found.items()
    }
    file.write_text(json.dumps(merged, separators=(",", ":")).replace('},"', '},\n"') + "\n")


def main() -> None:
    """Add what is not frozen yet."""
    with tempfile.TemporaryDirectory() as files, tempfile.TemporaryDirectory() as root:
        write_files(Path(files))
        add_to(FILE, computed(Path(files), Path(root)))
        add_to(FILE_0_2, computed_0_2(Path(files), Path(root)))
    add_to(STUDY.with_name(f"{STUDY.name}.json"), stored_values(STUDY))


if __name__ == "__main__":
    main()
