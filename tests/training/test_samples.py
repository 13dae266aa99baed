"""What identifies parts of a row, and cached tokens: everything that they depend on, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hprune.tasks.extractive_qa import ExtractiveQA
from hprune.tasks.spec import TaskSpec
from hprune.training.settings import RunSpec
from hprune.training.tokenizer import load_tokenizer
from hprune.training.units import load_samples, tokens_of
from tests.training.test_matrix import TASKS, options, run_of, spans, trained


def changed(table: pa.Table, column: str, change: Callable[[Any], Any]) -> Callable[[str], pa.Table]:
    """A task's train split with another value in one cell of its first row with more than nothing in it."""
    values = table[column].to_pylist()
    at = next(i for i, value in enumerate(values) if change(value) != value)
    values[at] = change(values[at])
    other = table.set_column(table.column_names.index(column), column, pa.array(values, table[column].type))
    return lambda split: other


def hash_of(spec: RunSpec, root: Path, generate: Callable[[str], pa.Table] | None = None) -> str:
    task: TaskSpec = spec.task if generate is None else replace(spec.task, generate=generate)
    return load_samples(replace(spec, task=task), root=root).data_hash


OTHERS = [
    ("multiple_choice", "option", options, "options", lambda own: ["black", *own[1:]]),
    ("multiple_choice", "option", options, "article", lambda text: f"{text} !"),
    ("multiple_choice", "option", options, "answer", lambda letter: "D" if letter == "A" else letter),
    ("extractive_qa", "window", spans, "context", lambda text: f"{text} !"),
    ("extractive_qa", "window", spans, "answers",
     lambda own: {"text": ["My"], "answer_start": [0]} if own["text"] else own),
]  # fmt: skip


@pytest.mark.parametrize(("task", "unit", "make", "column", "change"), OTHERS)
def test_the_hash_of_parts_covers_whatever_is_learned_from(
    task: str, unit: str, make: Callable[[str], pa.Table], column: str, change: Callable[[Any], Any], tmp_path: Path
) -> None:
    spec = run_of("roberta", task, unit=unit)
    before = hash_of(spec, tmp_path)
    assert hash_of(spec, tmp_path) == before
    assert hash_of(spec, tmp_path, changed(make("train"), column, change)) != before


def test_the_hash_of_windows_covers_how_they_are_cut(tmp_path: Path) -> None:
    spec = run_of("roberta", "extractive_qa", unit="window")
    task = replace(spec.task, kind=ExtractiveQA(unit="window", stride=4))
    shorter = replace(spec, data=replace(spec.data, max_length=40))
    assert len({hash_of(spec, tmp_path), hash_of(replace(spec, task=task), tmp_path), hash_of(shorter, tmp_path)}) == 3


def test_a_column_may_not_be_called_like_one_of_ours(tmp_path: Path) -> None:
    spec = run_of("roberta", "multiple_choice", unit="option")
    named = replace(spec.task, text=("row", "question"), generate=lambda split: options(split).rename_columns(
        {"article": "row"}))  # fmt: skip
    with pytest.raises(ValueError, match="must not name a column 'row' where samples are parts"):
        load_samples(replace(spec, task=named), root=tmp_path)


def folders(root: Path) -> int:
    return len(list(root.glob("cache/tokens/*/facts.json")))


def cached(spec: RunSpec, root: Path, change: Callable[[Any], None] = lambda tokenizer: None) -> int:
    """How many token tables there are once the train split is tokenised."""
    data = load_samples(spec, root=root)
    tokenizer = load_tokenizer(spec.model, lambda: ["my hat is red ."])
    change(tokenizer)
    tokens_of(spec, tokenizer, data.train, data.data_hash, longest=48, causal=False, root=root)
    return folders(root)


def test_tokens_are_shared_by_settings_that_do_not_change_them(tmp_path: Path) -> None:
    spec = run_of("roberta", "extractive_qa")
    assert cached(spec, tmp_path) == 1
    task = replace(spec.task, kind=ExtractiveQA(stride=8, null_threshold=2, n_best=3, primary_metric="exact_match"))
    assert cached(replace(spec, task=task), tmp_path) == 1
    assert cached(replace(spec, task=replace(spec.task, kind=ExtractiveQA(stride=4))), tmp_path) == 2


def test_a_text_that_is_very_long_is_named_once_before_it_is_tokenised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spec = run_of("roberta", "classification")
    (column,) = spec.task.text
    sizes = [len(text) for text in load_samples(spec, root=tmp_path).train[column].to_pylist()]
    monkeypatch.setattr("hprune.training.units.LONG_TEXT", max(sizes))
    for _ in range(2):  # the second finds the tokens of the first
        cached(spec, tmp_path)
    at, others = sizes.index(max(sizes)), sizes.count(max(sizes)) - 1
    told = [record.getMessage() for record in caplog.records if "MB" in record.getMessage()]
    beside = f", and {others} others are as long" if others else ""
    what = f"{spec.task.name}: column {column!r} of sample {at} holds 0 MB{beside}"
    why = "it is tokenised as a whole before it is cut, which takes minutes and many times its memory; is it one text?"
    assert told == [f"{what}: {why}"]


@pytest.mark.parametrize(
    "change",
    [
        lambda tokenizer: setattr(tokenizer, "model_input_names", ["input_ids", "token_type_ids", "attention_mask"]),
        lambda tokenizer: setattr(tokenizer, "eos_token", "<s>"),
        lambda tokenizer: setattr(tokenizer, "truncation_side", "left"),
    ],
    ids=["types", "end token", "side"],
)
def test_tokens_are_not_shared_by_tokenizers_that_differ_beside_their_file(
    change: Callable[[Any], None], tmp_path: Path
) -> None:
    spec = run_of("roberta", "classification")
    assert cached(spec, tmp_path) == 1
    assert cached(spec, tmp_path, change) == 2


def test_answers_that_are_learned_as_none_are_told_at_every_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def long(split: str) -> pa.Table:
        table = spans(split)
        answers = [{"text": [text], "answer_start": [0]} for text in table["context"].to_pylist()]
        return table.set_column(2, "answers", pa.array(answers, table["answers"].type))

    spec = run_of("roberta", "extractive_qa")
    spec = replace(spec, task=replace(spec.task, generate=long), data=replace(spec.data, max_length=40))
    for seed in (1, 2):  # the second finds the tokens in the cache
        caplog.clear()
        with caplog.at_level("WARNING"):
            trained(replace(spec, seed=seed), tmp_path)
        assert "answers are in no window as a whole, and are learned as no answer" in caplog.text


def test_the_tasks_are_those_of_the_matrix() -> None:
    assert {name for name, *_ in OTHERS} < set(TASKS)
