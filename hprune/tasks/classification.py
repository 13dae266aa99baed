"""One text or a pair of texts, one of K classes.

A row of SST-2 as it comes: {"idx": 0, "sentence": "hide new secretions from the parental units", "label": 0}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassMatthewsCorrCoef
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase

from hprune.data.tokenise import TokenTable, tokenise
from hprune.tasks.spec import Judgement


@dataclass(frozen=True)
class Classification:
    """Sequence classification by the model's own head: an encoder's first token, a decoder's last real token."""

    primary_metric: str = "accuracy"

    def __post_init__(self) -> None:
        known = ("accuracy", "macro_f1", "mcc")
        if self.primary_metric not in known:
            raise ValueError(f"task.kind.primary_metric must be one of {', '.join(known)}, got {self.primary_metric!r}")

    def encode(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Sequence[str]], max_length: int) -> TokenTable:
        """Tokens of each sample, special tokens included, cut at `max_length`."""
        return tokenise(tokenizer, texts, max_length)

    def head(self) -> Any:
        """The class that loads a model with a classification head."""
        return AutoModelForSequenceClassification

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy of a batch: logits (B, K), labels (B,)."""
        return F.cross_entropy(logits.float(), labels)

    def judge(self, logits: Tensor, labels: Tensor) -> Judgement:
        """Right iff the largest logit (the first of equals) is the label's.

        Args:
            logits: (B, K).
            labels: (B,) int64 in 0..K-1.
        """
        logits = logits.detach().float()
        prob = logits.softmax(dim=-1)  # (B, K)
        onehot = F.one_hot(labels, logits.shape[-1])
        other = logits.masked_fill(onehot.bool(), -torch.inf)
        at_label = labels.unsqueeze(-1)
        return Judgement(
            correct=logits.argmax(dim=-1) == labels,
            true_prob=prob.gather(-1, at_label).squeeze(-1),
            margin=logits.gather(-1, at_label).squeeze(-1) - other.amax(dim=-1),
            el2n=(prob - onehot).norm(dim=-1),
        )

    def metrics(self, num_classes: int) -> MetricCollection:
        """Accuracy, macro-averaged F1 and Matthews' correlation, each in its usual range; higher is better."""
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(num_classes, average="micro"),
                "macro_f1": MulticlassF1Score(num_classes, average="macro"),
                "mcc": MulticlassMatthewsCorrCoef(num_classes),
            }
        )
