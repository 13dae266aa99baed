"""A question and a context; the answer is a span of the context, or there is none.

A row of SQuAD v2 as it comes: {"id": "56be85543aeaaa14008c9063", "title": "Beyoncé", "context": "Beyoncé Giselle ...",
"question": "When did Beyonce start becoming popular?",
"answers": {"text": ["in the late 1990s"], "answer_start": [269]}}
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForQuestionAnswering, PreTrainedModel, PreTrainedTokenizerBase

from hprune.data.checks import check_number, check_whole
from hprune.data.datamodule import Batch, Encoded
from hprune.data.tokenise import TokenTable
from hprune.data.windows import tokenise_windows
from hprune.tasks.classification import model_inputs, packing
from hprune.tasks.columns import ROW, has_text, require_columns, texts, usable_rows
from hprune.tasks.joint import judge_jointly
from hprune.tasks.spans import best_spans, find_spans
from hprune.tasks.spec import Evaluation, Judgement, TaskSpec
from hprune.tasks.squad import exact_match, f1, squad_metrics

METRICS = ("exact_match", "f1")
CLASSES = ("unanswerable", "answerable")


@dataclass(frozen=True)
class ExtractiveQA:
    """Start and end of the answer by the model's own head, over the windows of a context.

    A window that does not hold the answer, and every window of a question that has none, is trained towards its null
    position. For an encoder that is the first token, as the H-score authors have it. A decoder knows nothing yet at its
    start token, whose logits are the same for every input; its null position is the end token that closes the window
    (`no_answer: auto`; `first` is the authors' choice for any model).

    `unit: question` prunes questions, right iff every window is; `unit: window` prunes windows, as the authors do.
    """

    unit: Literal["question", "window"] = "question"
    stride: int = 128
    """Tokens that a window shares with the one before."""
    no_answer: Literal["auto", "first", "last", "never"] = "auto"
    """Where a window says that it has no answer; `never`: every question has one (SQuAD v1)."""
    null_threshold: float = 0.0
    """No answer is given if its score exceeds that of the best span by more than this."""
    n_best: int = 20
    max_answer_length: int = 30
    """In tokens."""
    primary_metric: str = "f1"

    min_classes = 1
    pooled = False

    def __post_init__(self) -> None:
        for name, low in {"stride": 0, "n_best": 1, "max_answer_length": 1}.items():
            check_whole(f"task.kind.{name}", getattr(self, name), low=low)
        check_number(
            "task.kind.null_threshold", self.null_threshold, rule="a finite number", low=-math.inf, open_low=True
        )
        object.__setattr__(self, "null_threshold", float(self.null_threshold))  # 0 and 0.0 are one setting
        if self.unit not in ("question", "window"):
            raise ValueError(f"task.kind.unit must be question or window, got {self.unit!r}")
        if self.no_answer not in ("auto", "first", "last", "never"):
            raise ValueError(f"task.kind.no_answer must be auto, first, last or never, got {self.no_answer!r}")
        if self.primary_metric not in METRICS:
            raise ValueError(
                f"task.kind.primary_metric must be one of {', '.join(METRICS)}, got {self.primary_metric!r}"
            )

    @property
    def parts(self) -> bool:
        """Whether each window is a sample."""
        return self.unit == "window"

    @property
    def encoding(self) -> dict[str, Any]:
        """The options that tokens depend on."""
        return {"stride": self.stride, "no_answer": self.no_answer}

    def normalise(self, spec: TaskSpec, splits: Mapping[str, pa.Table]) -> tuple[dict[str, pa.Table], tuple[str, ...]]:
        """Question, context and answers of the rows that have them; the class is whether there is an answer.

        Rows of the train split whose first answer does not stand where it should are dropped and counted.

        Raises:
            ValueError: if a column is missing or is not what it should be.
        """
        if len(spec.text) != 2:
            raise ValueError(f"task.text must name two columns, a question and its context, got {list(spec.text)}")
        tables = {}
        for split, raw in splits.items():
            require_columns(spec, split, raw)
            columns = {column: texts(spec, split, raw, column) for column in spec.text}
            answers, starts = _answers(spec, split, raw[spec.label])
            number = pc.fill_null(pc.list_value_length(answers), -1).to_numpy()  # (rows,) -1: unlabelled
            table = pa.table(
                {
                    "sample_id": raw[ROW],
                    **columns,
                    "answers": answers,
                    "answer_start": starts,
                    "label": (number > 0).astype(np.int64),
                }
            )
            faults = {"without a label": number < 0, "without text": ~has_text(list(columns.values()))}
            if self.no_answer == "never":
                faults["without an answer"] = number == 0
            if split == "train":
                faults["with an answer that is not at its place in the context"] = _misplaced(spec, table)
            tables[split] = usable_rows(spec, split, table, faults)
        return tables, CLASSES

    def encode(
        self, tokenizer: PreTrainedTokenizerBase, table: pa.Table, text: Sequence[str], max_length: int, *, causal: bool
    ) -> TokenTable:
        """The windows of each question, the span that each is to find, and its null position."""
        last = self.no_answer == "last" or (causal and self.no_answer in ("auto", "never"))
        questions, contexts = (table[column].to_pylist() for column in text)
        tokens = tokenise_windows(
            tokenizer, questions, contexts, max_length=max_length, stride=self.stride, closed=last
        )
        null = tokens.lengths - 1 if last else np.zeros_like(tokens.lengths)
        said = zip(table["answers"].to_pylist(), table["answer_start"].to_pylist(), strict=True)
        span, lost = find_spans(tokens, [_place(answers, starts) for answers, starts in said], null)
        return replace(tokens, targets={"span": span, "null": null}, lost=lost)

    def part_labels(self, tokens: TokenTable) -> NDArray[np.int64]:
        """Whether each window holds the answer."""
        return (tokens.targets["span"][:, 0] != tokens.targets["null"]).astype(np.int64)

    def head(self, model_type: str, label_names: Sequence[str]) -> tuple[Any, Sequence[str]]:
        """The class that loads a model with a question-answering head: a start and an end logit for each token."""
        return AutoModelForQuestionAnswering, ("start", "end")

    def outputs(self, model: PreTrainedModel, batch: Batch) -> Tensor:
        """Start and end logits, (windows, tokens, 2); those of padding are the lowest number that there is."""
        said = model(**model_inputs(batch), **packing(batch))
        logits = torch.stack([said.start_logits, said.end_logits], dim=-1).float()
        return logits.masked_fill(batch["attention_mask"][..., None] == 0, torch.finfo(logits.dtype).min)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean cross entropy of start and end over the windows of a batch."""
        return F.cross_entropy(outputs, batch["span"])

    def judge(self, outputs: Tensor, batch: Batch) -> Judgement:
        """Right iff start and end of every window of the sample are exactly those to be found.

        The answer is one class among all tuples of positions, with the product of their probabilities:
        see `hprune.tasks.joint`.
        """
        samples = batch["row"].numel()
        owner = batch["sample"] if "sample" in batch else torch.arange(samples, device=outputs.device)
        return judge_jointly(outputs, batch["span"], owner, samples)

    def answer(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The n best starts and ends of each window, and the score of its null position."""
        k = min(self.n_best, outputs.shape[1])
        logit, at = outputs.topk(k, dim=1)  # (windows, k, 2)
        short = (0, 0, 0, self.n_best - k)
        null = outputs.gather(1, batch["null"][:, None, None].expand(-1, 1, 2)).sum(dim=(1, 2))
        return {
            "logit": F.pad(logit, short, value=torch.finfo(logit.dtype).min),
            "at": F.pad(at, short),
            "null": null,
        }

    def evaluate(self, answers: Mapping[str, Tensor], data: Encoded) -> Evaluation:
        """Exact match and F1 by the official definition, for all questions and for those with and without an answer."""
        found = {name: values.numpy() for name, values in answers.items()}
        score, start, end = best_spans(found["logit"], found["at"], data.tokens, self.max_answer_length)
        first = data.tokens.first
        assert first is not None
        assert data.table is not None
        null = np.minimum.reduceat(found["null"], first[:-1])
        windows = [int(a + score[a:b].argmax()) for a, b in pairwise(first)]
        margin = null.astype(np.float64) - score[windows]  # (n,) of no answer over the best span
        silent = np.isinf(score[windows]) | ((margin > self.null_threshold) & (self.no_answer != "never"))
        contexts = data.table[data.text[1]].to_pylist()
        said = [
            "" if quiet else context[start[w] : end[w]]
            for context, w, quiet in zip(contexts, windows, silent, strict=True)
        ]
        gold = data.table["answers"].to_pylist()
        columns: dict[str, Any] = {
            "label": data.labels,
            "pred": (~silent).astype(np.int64),
            "answer": said,
            "exact_match": [exact_match(a, g) for a, g in zip(said, gold, strict=True)],
            "f1": [f1(a, g) for a, g in zip(said, gold, strict=True)],
            "null_margin": margin,
        }
        return Evaluation(squad_metrics(said, gold), columns)


def _answers(spec: TaskSpec, split: str, column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The texts of the answers and where they start, as lists; null where a row says nothing of answers."""
    kind = column.type
    if not pa.types.is_struct(kind) or {"text", "answer_start"} - {kind.field(i).name for i in range(kind.num_fields)}:
        raise ValueError(
            f"task {spec.name!r}: column {spec.label!r} of the {split} split must hold answers as SQuAD has them, "
            f"{{text: [..], answer_start: [..]}}, it is {kind}; set task.label to another column, "
            "or use Parquet or JSON lines, which have them"
        )
    try:
        answers = pc.struct_field(column, "text").cast(pa.list_(pa.large_string()))
        starts = pc.struct_field(column, "answer_start").cast(pa.list_(pa.int64()))
    except pa.ArrowException as error:
        raise ValueError(
            f"task {spec.name!r}: the answers of the {split} split must be texts and whole numbers, they are {kind}"
        ) from error
    return _without_nulls(answers, ""), _without_nulls(pc.coalesce(starts, pa.scalar([], starts.type)), -1)


def _without_nulls(lists: pa.ChunkedArray, missing: Any) -> pa.ChunkedArray:
    """The same lists with `missing` in place of what is null in them."""
    if pc.list_flatten(lists).null_count == 0:
        return lists
    rows = [own and [missing if value is None else value for value in own] for own in lists.to_pylist()]
    return pa.chunked_array([pa.array(rows, lists.type)])


def _place(answers: list[str], starts: list[int]) -> tuple[int, int] | None:
    """The first and last + 1 character of the first answer; a set to evaluate on need not say where it is."""
    return (starts[0], starts[0] + len(answers[0])) if answers and starts and starts[0] >= 0 else None


def _misplaced(spec: TaskSpec, table: pa.Table) -> NDArray[np.bool_]:
    """(rows,) whether the first answer is not at its place in the context.

    Raises:
        ValueError: if that is so for every row that has an answer.
    """

    def wrong(text: str | None, answers: list[str] | None, starts: list[int] | None) -> bool:
        if not answers or text is None:
            return False
        if not starts or not answers[0]:
            return True
        return starts[0] < 0 or text[starts[0] : starts[0] + len(answers[0])] != answers[0]

    columns = (table[name].to_pylist() for name in (spec.text[1], "answers", "answer_start"))
    found = np.fromiter(map(wrong, *columns), dtype=bool, count=table.num_rows)
    answered = table["label"].to_numpy() > 0
    if found.any() and found[answered].all():
        at = int(found.argmax())
        answer, start = table["answers"][at].as_py()[0], table["answer_start"][at].as_py()
        raise ValueError(
            f"task {spec.name!r}: no answer of the train split is at its place in the column {spec.text[1]!r}; "
            f"the first, {answer!r}, is not at its answer_start {start[0] if start else None} there. "
            "answer_start counts characters from 0; task.text must be [QUESTION, CONTEXT], in this order"
        )
    return found
