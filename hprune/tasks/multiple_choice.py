"""An article, a question and some options, of which one is right.

A row of RACE as it comes: {"example_id": "high19432.txt", "article": "Last week I talked with ...", "answer": "C",
"question": "The husband likes shopping because   _  .", "options": ["he has much money.", "he likes the shops.", ...]}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES as OWN_HEAD

from hprune.data.checks import check_whole
from hprune.data.datamodule import Batch, Encoded
from hprune.data.tokenise import TokenTable, tokenise
from hprune.tasks.classification import evaluate_classes, judge_classes, model_inputs, packing
from hprune.tasks.columns import ROW, has_text, require_columns, texts, usable_rows
from hprune.tasks.labels import class_labels
from hprune.tasks.spec import Evaluation, Judgement, TaskSpec

BLANK = re.compile(r"(?<!\w)_+|([^\W_])_+(?!\w)")  # "celebrated_." has one, "file_name" has none


@dataclass(frozen=True)
class MultipleChoice:
    """One logit an option, softmax over the options of a question; the label is the right option, A, B, ...

    `unit: question` prunes questions. The logit comes from the model's own multiple-choice head, or, for a model that
    has none (decoders), from the last real token of article, question and option. `unit: option` is how the H-score
    authors treat OPT: every (question, option) pair is a sample of its own, right or wrong, so that three of four
    samples are right for a model that always says wrong, and a pruned question may lose its right option and keep the
    others. `accuracy` is that of the questions for both (the option that looks rightest); `option_accuracy` is that of
    the pairs.
    """

    options: str = "options"
    """The column that lists the options."""
    num_options: int = 4
    unit: Literal["question", "option"] = "question"
    primary_metric: str = "accuracy"

    min_classes = 1
    pooled = True

    def __post_init__(self) -> None:
        check_whole("task.kind.num_options", self.num_options, low=2)
        if self.num_options > len(ascii_uppercase):
            raise ValueError(
                f"task.kind.num_options must be at most {len(ascii_uppercase)}, as options have letters, "
                f"got {self.num_options}"
            )
        if self.unit not in ("question", "option"):
            raise ValueError(f"task.kind.unit must be question or option, got {self.unit!r}")
        known = ("accuracy", "option_accuracy") if self.unit == "option" else ("accuracy", "macro_f1", "mcc")
        if self.primary_metric not in known:
            raise ValueError(f"task.kind.primary_metric must be one of {', '.join(known)}, got {self.primary_metric!r}")

    @property
    def relabels(self) -> bool:
        """Whether a sample can be given another right answer: not where it is an option, right or wrong."""
        return self.unit == "question"

    @property
    def parts(self) -> bool:
        """Whether each (question, option) pair is a sample."""
        return self.unit == "option"

    @property
    def encoding(self) -> dict[str, Any]:
        """The options that tokens depend on."""
        return {"num_options": self.num_options}

    @property
    def letters(self) -> tuple[str, ...]:
        """The names of the options."""
        return tuple(ascii_uppercase[: self.num_options])

    def normalise(self, spec: TaskSpec, splits: Mapping[str, pa.Table]) -> tuple[dict[str, pa.Table], tuple[str, ...]]:
        """Article, question, options and the number of the right one, of the rows that have them all.

        A row with another number of options, or with one that is null, is dropped and counted.

        Raises:
            ValueError: if a column is missing or is not what it should be, or no row has the wanted number of options.
        """
        if len(spec.text) != 2:
            raise ValueError(f"task.text must name two columns, an article and a question, got {list(spec.text)}")
        for split, raw in splits.items():
            require_columns(spec, split, raw, options=self.options)
        labels, names = class_labels(spec, splits, self.letters)
        if len(names) != self.num_options:
            raise ValueError(
                f"task.label_names must name the {self.num_options} options of task.kind.num_options, got {list(names)}"
            )
        tables = {}
        for split, raw in splits.items():
            columns = {column: texts(spec, split, raw, column) for column in spec.text}
            options, complete = self._options(spec, split, raw[self.options])
            table = pa.table({"sample_id": raw[ROW], **columns, "options": options, "label": labels[split]})
            faults = {
                "without a label": labels[split] < 0,
                "without text": ~has_text(list(columns.values())),
                f"without {self.num_options} options": ~complete,
            }
            tables[split] = usable_rows(spec, split, table, faults)
        return tables, (("wrong", "right") if self.parts else names)

    def encode(
        self, tokenizer: PreTrainedTokenizerBase, table: pa.Table, text: Sequence[str], max_length: int, *, causal: bool
    ) -> TokenTable:
        """Article against question and option, for each option; the article is cut at `max_length`.

        An option takes the place of a blank in the question, `_` or `____`, if there is one.
        """
        articles, questions = (table[column].to_pylist() for column in text)
        options = table["options"].to_pylist()
        asked = [_asked(question, option) for question, own in zip(questions, options, strict=True) for option in own]
        repeated = [article for article in articles for _ in range(self.num_options)]
        tokens = tokenise(tokenizer, (repeated, asked), max_length)
        right = np.zeros((table.num_rows, self.num_options), dtype=np.int64)
        right[np.arange(table.num_rows), table["label"].to_numpy()] = 1
        first = np.arange(table.num_rows + 1, dtype=np.int64) * self.num_options
        return replace(tokens, first=first, targets={"right": right.ravel()})

    def part_labels(self, tokens: TokenTable) -> NDArray[np.int64]:
        """Whether each option is the right one."""
        return np.asarray(tokens.targets["right"])

    def head(self, model_type: str, label_names: Sequence[str]) -> tuple[Any, Sequence[str]]:
        """The model's own multiple-choice head, else one output, else two for pairs of question and option."""
        if self.parts:
            return AutoModelForSequenceClassification, ("wrong", "right")
        loader = AutoModelForMultipleChoice if model_type in OWN_HEAD else AutoModelForSequenceClassification
        return loader, ("right",)

    def outputs(self, model: PreTrainedModel, batch: Batch) -> Tensor:
        """Logits: (B, options), or for pairs (sequences, 2)."""
        inputs = model_inputs(batch)
        if not self.parts and model.config.model_type in OWN_HEAD:
            inputs = {name: values.unflatten(0, (-1, self.num_options)) for name, values in inputs.items()}
        logits: Tensor = model(**inputs, **packing(batch)).logits.float()
        return logits if self.parts else logits.reshape(-1, self.num_options)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean cross entropy over the options of each question, or over right and wrong of each pair."""
        return F.cross_entropy(outputs, batch["right" if self.parts else "labels"])

    def judge(self, outputs: Tensor, batch: Batch) -> Judgement:
        """Right iff the largest logit is that of the right option; for pairs, of right or wrong."""
        return judge_classes(outputs, batch["right" if self.parts else "labels"])

    def answer(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """One logit an option (for pairs: of right minus of wrong)."""
        return {"logit": outputs[:, 1] - outputs[:, 0] if self.parts else outputs.flatten()}

    def evaluate(self, answers: Mapping[str, Tensor], data: Encoded) -> Evaluation:
        """Accuracy over questions, and for pairs over options."""
        logits = answers["logit"].unflatten(0, (-1, self.num_options))  # (n, options)
        found = evaluate_classes(logits, data.labels)
        if not self.parts:
            return found
        said = (answers["logit"] > 0).long()
        right = torch.from_numpy(np.array(data.tokens.targets["right"]))
        pairs = {"option_accuracy": float((said == right).float().mean())}
        return Evaluation({"accuracy": found.metrics["accuracy"], **pairs}, found.columns)

    def _options(
        self, spec: TaskSpec, split: str, column: pa.ChunkedArray
    ) -> tuple[pa.ChunkedArray, NDArray[np.bool_]]:
        """The options as lists of texts, and (rows,) whether there are as many as there should be."""
        kind = column.type
        try:
            column = column.cast(pa.list_(pa.large_string()))  # numbers, dates and booleans as texts
        except pa.ArrowException as error:
            raise ValueError(
                f"task {spec.name!r}: column {self.options!r} of the {split} split must hold lists of texts, it is "
                f"{kind}; set task.kind.options to another column, or use Parquet or JSON lines, which have lists"
            ) from error
        number = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
        nulls = np.zeros(len(column), dtype=np.int64)
        np.add.at(nulls, pc.list_parent_indices(column).to_numpy(), pc.list_flatten(column).is_null().to_numpy())
        if split == "train" and number.size and not (number == self.num_options).any():
            raise ValueError(
                f"task {spec.name!r}: no question of the train split has {self.num_options} options, "
                f"the first has {int(number[0])}; set task.kind.num_options"
            )
        return column, (number == self.num_options) & (nulls == 0)


def _asked(question: str, option: str) -> str:
    """The question with the option in its blank, or behind it."""
    filled, blanks = BLANK.subn(lambda blank: ("" if blank[1] is None else f"{blank[1]} ") + option, question)
    return filled if blanks else f"{question} {option}"
