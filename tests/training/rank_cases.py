"""Runs for several processes: each kind of task, of a given size, without dropout. Importable by a new process."""

from __future__ import annotations

from functools import partial
from typing import Any

import pyarrow as pa

from hprune.data.datamodule import DataSpec
from hprune.science.subset import SubsetSpec
from hprune.tasks.classification import Classification
from hprune.tasks.extractive_qa import ExtractiveQA
from hprune.tasks.multiple_choice import MultipleChoice
from hprune.tasks.spec import TaskSpec
from hprune.training.settings import RunSpec
from hprune.training.spec import ModelSpec, OptimSpec, RecordSpec, TrainerSpec

COLOURS = ("red", "blue", "green", "grey")
THINGS = ("hat", "coat", "scarf", "boot", "glove", "belt", "shirt", "sock")
ROBERTA: dict[str, Any] = {
    "model_type": "roberta", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 130, "type_vocab_size": 1, "initializer_range": 0.4,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip


def classes(size: int, split: str) -> pa.Table:
    n = size if split == "train" else 7
    texts = [f"the {THINGS[i % 8]} is {'very ' * (i % 5)}{('poor', 'fine')[i % 2]} {i % 11} ." for i in range(n)]
    return pa.table({"text": texts, "label": [(i * i) % 2 for i in range(n)]})


def options(size: int, split: str) -> pa.Table:
    rows = [
        {
            "article": f"My {THINGS[i % 8]} is {COLOURS[i % 4]} . {'It is old . ' * (i % 3)}",
            "question": ("It is _ .", "Which colour is it?")[i % 2],
            "options": list(COLOURS),
            "answer": "ABCD"[i % 4],
        }
        for i in range(size if split == "train" else 5)
    ]
    return pa.Table.from_pylist(rows)


def spans(size: int, split: str) -> pa.Table:
    rows = []
    for i in range(size if split == "train" else 5):
        sentences = [f"My {thing} is {COLOURS[(i + j) % 4]} ." for j, thing in enumerate(THINGS[: 2 + 4 * (i % 2)])]
        context, answer = " ".join(sentences), COLOURS[i % 4]
        found = {"text": [answer], "answer_start": [context.index(answer)]}
        nothing: dict[str, list[Any]] = {"text": [], "answer_start": []}
        asked = f"What is my {THINGS[0]} like?" if i % 4 else "Who am I?"
        rows.append({"question": asked, "context": context, "answers": found if i % 4 else nothing})
    kind = pa.struct({"text": pa.list_(pa.string()), "answer_start": pa.list_(pa.int32())})
    return pa.Table.from_pylist(rows, pa.schema({"question": pa.string(), "context": pa.string(), "answers": kind}))


def task_of(kind: str, size: int) -> TaskSpec:
    if kind == "classification":
        return TaskSpec("classes", Classification(), generate=partial(classes, size))
    if kind == "multiple_choice":
        asked = {"text": ("article", "question"), "label": "answer"}
        return TaskSpec("options", MultipleChoice(), generate=partial(options, size), **asked)
    asked = {"text": ("question", "context"), "label": "answers"}
    return TaskSpec("spans", ExtractiveQA(stride=8), generate=partial(spans, size), **asked)


def run_of(kind: str, size: int, batch: int = 12, **trainer: Any) -> RunSpec:
    how = {"max_epochs": 2, "accelerator": "cpu", "threads": 1, "progress": False} | trainer
    return RunSpec(
        task=task_of(kind, size),
        model=ModelSpec("tiny", config=ROBERTA, vocab_size=300),
        optim=OptimSpec(lr=1e-3),
        data=DataSpec(batch_size=batch, eval_batch_size=4, max_length=48),
        trainer=TrainerSpec(**how),
        record=RecordSpec("both"),
        subset=SubsetSpec("full"),
        seed=1,
    )
