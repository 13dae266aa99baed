"""Copies of the hub's data sets in small: a few rows with their columns, for every task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

ROWS = 8
"""Of a train split: two steps of four."""


def classified(columns: Sequence[str], classes: int, label: str = "label") -> Callable[[int, bool], pa.Table]:
    """Texts in the given columns, and a class; hidden, it is -1."""

    def make(size: int, hidden: bool) -> pa.Table:
        texts = {column: [f"{column} {i} is {('poor', 'fine')[i % 2]} ." for i in range(size)] for column in columns}
        return pa.table(
            {**texts, label: [-1 if hidden else i % classes for i in range(size)], "idx": list(range(size))}
        )

    return make


def exams(size: int, hidden: bool, options: int = 4) -> pa.Table:
    rows = [
        {
            "example_id": f"{('high', 'middle')[i % 2]}{i}.txt",
            "article": f"My hat is {('red', 'blue')[i % 2]} . I like it .",
            "answer": "ABCD"[i % 4],
            "question": ("It is _ .", "Which colour is the hat?")[i % 2],
            "options": ["red", "blue", "green", "grey", "black"][:options],
        }
        for i in range(size)
    ]
    return pa.Table.from_pylist(rows)


def paragraphs(size: int, unanswerable: bool) -> pa.Table:
    context = "My hat is red . My coat is blue . " * 6
    found = [{"text": ["red"], "answer_start": [10]}, {"text": ["blue"], "answer_start": [27]}]
    nothing: dict[str, Any] = {"text": [], "answer_start": []}
    kind = pa.struct({"text": pa.list_(pa.string()), "answer_start": pa.list_(pa.int32())})
    answers = [nothing if unanswerable and i % 4 == 3 else found[i % 2] for i in range(size)]
    return pa.table(
        {
            "id": [f"q{i}" for i in range(size)],
            "title": ["Clothes"] * size,
            "context": [context] * size,
            "question": [f"Which colour is my {('hat', 'coat')[i % 2]}?" for i in range(size)],
            "answers": pa.array(answers, kind),
        }
    )


NLI = ("premise", "hypothesis")
MADE: dict[str, Callable[[int, bool], pa.Table]] = {
    "sst2": classified(["sentence"], 2),
    "sst2_sentences": classified(["sentence"], 2),
    "cola": classified(["sentence"], 2),
    "snli": classified(NLI, 3),
    "mnli": classified(NLI, 3),
    "qqp": classified(["question1", "question2"], 2),
    "mrpc": classified(["sentence1", "sentence2"], 2),
    "rte": classified(["sentence1", "sentence2"], 2),
    "qnli": classified(["question", "sentence"], 2),
    "ag_news": classified(["text"], 4),
    "emotion": classified(["text"], 6),
    "trec": classified(["text"], 6, "coarse_label"),
    "race": exams,
    "race_middle": exams,
    "race_high": exams,
    "squad": lambda size, hidden: paragraphs(size, unanswerable=False),
    "squad_v2": lambda size, hidden: paragraphs(size, unanswerable=True),
}
HIDDEN = {"sst2", "cola", "mnli", "qqp", "rte", "qnli"}  # the hub hides their test labels
HELD_OUT = {"ag_news", "trec"}  # a tenth of train, stratified, is their validation set


def write_hub(root: Path) -> None:
    """A folder for each task with the files that a copy of the hub's data set would have, and a CSV of one's own."""
    for task, make in MADE.items():
        folder = root / task
        folder.mkdir()
        names = ["validation", "test"]
        if task == "mnli":
            names = [f"{split}_{part}" for split in names for part in ("matched", "mismatched")]
        elif task in HELD_OUT:
            names = ["test"]
        elif task.startswith("squad"):
            names = ["validation"]
        pq.write_table(make(60 if task in HELD_OUT else ROWS, False), folder / "train.parquet")
        for name in names:
            pq.write_table(make(6, task in HIDDEN and name.startswith("test")), folder / f"{name}.parquet")
    stars = ["poor", "fine"] * 5
    pa.csv.write_csv(pa.table({"text": [f"it was {word} , {i}" for i, word in enumerate(stars)], "label": stars}),
                     root / "own.csv")  # fmt: skip
