"""Where can a decoder say that a question has no answer: at its first token, or at its last?

    python benchmarks/decoder_no_answer.py WORK

Two made-up tasks, a small OPT from random weights, three seeds. The answer is the number in the context.
`absent`: half of the contexts hold no number, so each token can tell by itself that it is no answer.
`withdrawn`: every context holds a number, and half of them take it back in a later word, which the number's own token,
reading from the left, cannot know. Prints exact match for all questions, those with an answer and those without.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WORDS = "the a of house river tree road bird cloud stone light door field letter garden".split()
SEEDS = (1, 2, 3)


def main(work: Path) -> None:
    """Make the data, train, print the table."""
    print("| task | no answer at | exact match, % | with an answer | without |\n|---|---|---|---|---|")
    for task in ("absent", "withdrawn"):
        data = work / task
        data.mkdir(parents=True, exist_ok=True)
        for seed, (split, size) in enumerate({"train": 3000, "validation": 500}.items()):
            pq.write_table(pa.Table.from_pylist(questions(task, size, seed)), data / f"{split}.parquet")
        for place in ("first", "last"):
            subprocess.run(
                [
                    sys.executable, "-m", "hprune.train", "-m", "task=squad_v2", f"task.name={task}",
                    f"task.data_dir={data}", f"task.kind.no_answer={place}", "task.kind.stride=8", "model=tiny_opt",
                    "optim.lr=2e-3", "optim.warmup=0.1", "data.max_length=64", "data.batch_size=32",
                    "trainer.threads=1", "trainer.max_epochs=3", f"study={task}_{place}", f"paths.root={work}",
                    "trainer.progress=false",
                    f"seed={','.join(map(str, SEEDS))}",
                ],
                check=True, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            runs = [json.loads(p.read_text())["path"] for p in (work / f"studies/{task}_{place}/runs").glob("*.json")]
            found = [json.loads((work / run / "run.json").read_text())["metrics"]["validation"] for run in runs]
            cells = [
                ", ".join(f"{100 * metrics[f'{group}exact_match']:.1f}" for metrics in found)
                for group in ("", "has_answer_", "no_answer_")
            ]
            print(f"| {task} | {place} | {' | '.join(cells)} |", flush=True)


def questions(task: str, size: int, seed: int) -> list[dict]:  # type: ignore[type-arg]
    """Rows as SQuAD has them."""
    rng, rows = np.random.default_rng([seed, len(task)]), []
    for i in range(size):
        words = list(rng.choice(WORDS, size=12))
        answerable, place, number = bool(i % 2), int(rng.integers(1, 9)), str(rng.integers(100, 1000))
        if answerable or task == "withdrawn":
            words[place] = number
        if task == "withdrawn":
            words[int(rng.integers(place + 1, 12))] = "right" if answerable else "wrong"
        context = " ".join(words)
        answers = {"text": [number], "answer_start": [context.index(number)]} if answerable else {}
        rows.append(
            {
                "question": "which number ?",
                "context": context,
                "answers": {"text": answers.get("text", []), "answer_start": answers.get("answer_start", [])},
            }
        )
    return rows


if __name__ == "__main__":
    main(Path(sys.argv[1]))
