"""One text or a pair of texts, one of K classes.

A row of SST-2 as it comes: {"idx": 0, "sentence": "hide new secretions from the parental units", "label": 0}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.classification import BinaryCalibrationError
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from hprune.data.datamodule import Batch, Encoded
from hprune.data.tokenise import TokenTable, tokenise
from hprune.tasks.class_metrics import class_metrics
from hprune.tasks.columns import ROW, has_text, require_columns, texts, usable_rows
from hprune.tasks.labels import class_labels
from hprune.tasks.spec import MOST_PROBABILITIES, Evaluation, Judgement, TaskSpec

METRICS = ("accuracy", "macro_f1", "mcc", "f1")
MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
PACKING = ("real", "starts")
"""What a model that computes no padding takes beside, and the grid (`hprune.training.packing`)."""


@dataclass(frozen=True)
class Classification:
    """Sequence classification by the model's own head: an encoder's first token, a decoder's last real token."""

    primary_metric: str = "accuracy"
    """`accuracy`, `macro_f1`, `mcc` (Matthews' correlation), or `f1` of the second of two classes."""

    min_classes = 2
    pooled = True
    merges = True
    relabels = True
    parts = False
    encoding: ClassVar[dict[str, Any]] = {}

    def __post_init__(self) -> None:
        if self.primary_metric not in METRICS:
            raise ValueError(
                f"task.kind.primary_metric must be one of {', '.join(METRICS)}, got {self.primary_metric!r}"
            )

    def normalise(self, spec: TaskSpec, splits: Mapping[str, pa.Table]) -> tuple[dict[str, pa.Table], tuple[str, ...]]:
        """Texts and class of the rows that have both.

        Raises:
            ValueError: if a column is missing or is not what it should be, or `f1` is asked for with other than two
                classes.
        """
        for split, raw in splits.items():
            require_columns(spec, split, raw)
        labels, names = class_labels(spec, splits)
        if self.primary_metric == "f1" and len(names) != 2:
            raise ValueError(
                f"task.kind.primary_metric=f1 is the F1 of the second of two classes, but there are {len(names)} "
                f"({', '.join(names[:10])}); use macro_f1"
            )
        tables = {}
        for split, raw in splits.items():
            columns = {column: texts(spec, split, raw, column) for column in spec.text}
            table = pa.table({"sample_id": raw[ROW], **columns, "label": labels[split]})
            faults = {"without a label": labels[split] < 0, "without text": ~has_text(list(columns.values()))}
            tables[split] = usable_rows(spec, split, table, faults)
        return tables, names

    def encode(
        self, tokenizer: PreTrainedTokenizerBase, table: pa.Table, text: Sequence[str], max_length: int, *, causal: bool
    ) -> TokenTable:
        """Tokens of each sample, special tokens included, cut at `max_length`."""
        return tokenise(tokenizer, [table[column].to_pylist() for column in text], max_length)

    def part_labels(self, tokens: TokenTable) -> NDArray[np.int64]:
        """Never asked for: a text is one sample."""
        raise TypeError("a text that is classified has no parts")

    def head(self, model_type: str, label_names: Sequence[str]) -> tuple[Any, Sequence[str]]:
        """The class that loads a model with a classification head; one output a class."""
        return AutoModelForSequenceClassification, label_names

    def outputs(self, model: PreTrainedModel, batch: Batch) -> Tensor:
        """Logits, (B, K)."""
        logits: Tensor = model(**model_inputs(batch), **packing(batch)).logits
        return logits.float()

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean cross entropy of a batch."""
        return F.cross_entropy(outputs, batch["labels"])

    def judge(self, outputs: Tensor, batch: Batch) -> Judgement:
        """Right iff the largest logit (the first of equals) is the label's."""
        return judge_classes(outputs, batch["labels"])

    def answer(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The logits; of very many classes what is told of them."""
        return {"logits": outputs} if outputs.shape[-1] <= MOST_PROBABILITIES else summarised(outputs, batch["labels"])

    def evaluate(self, answers: Mapping[str, Tensor], data: Encoded) -> Evaluation:
        """Accuracy, macro-averaged F1, Matthews' correlation, calibration; with two classes the F1 of the second."""
        if "logits" not in answers:
            return evaluate_summary(answers, data.labels)
        return evaluate_classes(answers["logits"], data.labels, data.counts_as)


def model_inputs(batch: Batch) -> Batch:
    """What every transformer takes of a batch."""
    return {name: batch[name] for name in MODEL_INPUTS if name in batch}


def packing(batch: Batch) -> Batch:
    """What a model takes beside, if its batches are packed."""
    if "real" not in batch:
        return {}
    return {name: batch[name] for name in PACKING} | {"grid": batch["attention_mask"]}


def judge_classes(logits: Tensor, labels: Tensor) -> Judgement:
    """Right iff the largest logit (the first of equals) is the label's.

    Args:
        logits: (B, K).
        labels: (B,) int64 in 0..K-1.
    """
    logits, at_label = logits.detach().float(), labels.unsqueeze(-1)
    prob = logits.softmax(dim=-1)  # (B, K)
    true_prob = prob.gather(-1, at_label)
    return Judgement(
        correct=logits.argmax(dim=-1) == labels,
        true_prob=true_prob.squeeze(-1),
        margin=logits.gather(-1, at_label).squeeze(-1) - logits.scatter(-1, at_label, -torch.inf).amax(dim=-1),
        el2n=torch.linalg.vector_norm(prob.scatter(-1, at_label, true_prob - 1), dim=-1),
    )


def evaluate_classes(
    logits: Tensor, labels: NDArray[np.int64], counts_as: NDArray[np.int64] | None = None
) -> Evaluation:
    """Metrics and predictions of n samples: each in its usual range; higher is better, but for `ece`.

    Args:
        logits: (n, K).
        labels: (n,) in 0..K-1, or in 0..K'-1 for a set with K' classes of its own.
        counts_as: (K,) for such a set: the class of it that each of the K counts as. Its probabilities are sums; what
            is predicted is what the likeliest of the K classes counts as, as the authors of HANS do it.
    """
    target, pred, prob = torch.from_numpy(labels.copy()), logits.argmax(dim=-1), logits.softmax(dim=-1)
    if counts_as is not None:
        merge = torch.from_numpy(counts_as)
        prob = torch.zeros(len(prob), int(merge.max()) + 1).index_add_(1, merge, prob)
        pred = merge[pred]
    found = class_metrics(pred, target, prob.shape[-1])
    found["ece"] = calibration_error(prob.gather(1, pred[:, None]).squeeze(1), pred, target)
    if counts_as is not None:
        found["loss"] = float(-prob.gather(1, target[:, None]).clamp_min(torch.finfo(prob.dtype).tiny).log().mean())
    columns = {f"prob_{k}": prob[:, k].numpy() for k in range(prob.shape[-1])}
    return Evaluation(found, {"label": labels, "pred": pred.numpy(), **columns})


def summarised(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """What is kept of the answer to each sample where there are very many classes.

    Args:
        logits: (B, K).
        labels: (B,).
    """
    prob, pred = logits.softmax(dim=-1), logits.argmax(dim=-1)
    return {
        "pred": pred,
        "pred_prob": prob.gather(1, pred[:, None]).squeeze(1),
        "true_prob": prob.gather(1, labels[:, None]).squeeze(1),
    }


def evaluate_summary(answers: Mapping[str, Tensor], labels: NDArray[np.int64]) -> Evaluation:
    """Metrics and predictions of n samples of which no more than `summarised` is known."""
    target, pred = torch.from_numpy(labels.copy()), answers["pred"]
    found = class_metrics(pred, target, 1 + max(2, int(pred.max()), int(target.max())))
    found["ece"] = calibration_error(answers["pred_prob"], pred, target)
    return Evaluation(found, {"label": labels, **{name: values.numpy() for name, values in answers.items()}})


def calibration_error(sure: Tensor, pred: Tensor, target: Tensor, *, bins: int = 15) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over bins of equal width; 0..1, 0 is best.

    Args:
        sure: (n,) the probabilities of the predicted classes.
        pred: (n,) these classes.
        target: (n,).
        bins: of confidence.
    """
    error = BinaryCalibrationError(n_bins=bins, norm="l1", sync_on_compute=False)
    # sums may exceed 1 by a rounding: taken for logits
    return float(error(sure.clamp(max=1), (pred == target).int()))
