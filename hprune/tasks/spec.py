"""What a task is: where its samples come from (TaskSpec) and how one kind of task is learned and judged (TaskKind)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

if TYPE_CHECKING:  # annotations only: `hprune.export` reads tasks without paying for torch
    from torch import Tensor
    from torchmetrics import MetricCollection
    from transformers import PreTrainedTokenizerBase

    from hprune.data.tokenise import TokenTable

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class TaskSpec:
    """Where the samples of a task come from; exactly one of hub_id, data_dir, train_file, generate is used.

    A local folder (`data_dir`) wins over the hub: it holds the same splits and columns as files. Relative paths are
    relative to the folder that the command is started in.
    """

    name: str
    kind: TaskKind
    text: Sequence[str] = ("text",)
    """Columns that hold the text: one, or two for a pair."""
    label: str = "label"
    label_names: Sequence[str] | None = None
    """Names of the classes in the order of their numbers; found in the data if not given."""
    hub_id: str | None = None
    hub_config: str | None = None
    data_dir: str | None = None
    train_file: str | None = None
    validation_file: str | None = None
    test_file: str | None = None
    generate: Callable[[str], pa.Table] | None = None
    """Makes the table of a split by its name: the demo."""
    splits: Mapping[str, str | None] = field(default_factory=lambda: {name: name for name in SPLITS})
    """The name of each split in the source; null: not used."""
    encoding: str = "utf8"
    """Of CSV and TSV files."""
    validation_fraction: float = 0.1
    """Share of the train split that is held out, stratified by label, when there is no validation split."""
    split_seed: int = 0
    max_train_samples: int | None = None
    """Draw a fixed sample of the train split; its ids keep their gaps."""
    sample_seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", (self.text,) if isinstance(self.text, str) else tuple(self.text))
        if self.label_names is not None:
            names = [self.label_names] if isinstance(self.label_names, str) else self.label_names
            object.__setattr__(self, "label_names", _checked_names([str(name).strip() for name in names]))
        for key in ("data_dir", "train_file", "validation_file", "test_file"):
            path = getattr(self, key)
            object.__setattr__(self, key, None if path is None else os.path.expanduser(path))
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"task.validation_fraction must lie in (0, 1), got {self.validation_fraction}")
        if self.max_train_samples is not None and self.max_train_samples < 1:
            raise ValueError(f"task.max_train_samples must be at least 1, got {self.max_train_samples}")
        if not self.text:
            raise ValueError("task.text must name at least one column, got none")
        taken = [name for name in self.text if name in ("sample_id", "label", self.label) or self.text.count(name) > 1]
        if taken:
            raise ValueError(
                f"task.text must name different columns, none of them task.label, `label` or `sample_id`, "
                f"got {list(self.text)}; rename column {taken[0]!r} in the data"
            )
        unknown = sorted(set(self.splits) - set(SPLITS))
        if unknown or self.splits.get("train") is None:
            raise ValueError(
                f"task.splits must name the source's train split and may name {', '.join(SPLITS[1:])}, "
                f"got {dict(self.splits)}"
            )


@dataclass(frozen=True, eq=False)
class TaskData:
    """The normalised tables of a task: `sample_id`, the text columns, `label` (int64 in 0..K-1).

    `sample_id` is the row in the split as it came, before anything was dropped.
    """

    train: pa.Table
    evaluation: Mapping[str, pa.Table]  # "validation", and "test" where it is labelled
    label_names: tuple[str, ...]
    text: tuple[str, ...]
    data_hash: str  # of the train table
    evaluation_hashes: Mapping[str, str]


@dataclass(frozen=True)
class Judgement:
    """How right the model was on each sample of a batch of size B."""

    correct: Tensor  # (B,) bool
    true_prob: Tensor  # (B,) float32 in 0..1
    margin: Tensor  # (B,) float32, true logit minus the largest other
    el2n: Tensor  # (B,) float32 in 0..sqrt(2)


class TaskKind(Protocol):
    """One kind of task: features, head, loss, how a sample is judged, metrics. One file a kind."""

    primary_metric: str
    """The metric that arms are compared by, one of the names of `metrics`."""

    def encode(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Sequence[str]], max_length: int) -> TokenTable:
        """Turn the text columns (one sequence of texts each) into tokens."""
        ...

    def head(self) -> Any:
        """The `AutoModelFor...` class that carries the right head."""
        ...

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of a batch."""
        ...

    def judge(self, logits: Tensor, labels: Tensor) -> Judgement:
        """Judge each sample of a batch."""
        ...

    def metrics(self, num_classes: int) -> MetricCollection:
        """Fresh metrics, updated with (logits, labels)."""
        ...


def _checked_names(names: list[str]) -> tuple[str, ...]:
    if len(set(names)) < max(2, len(names)):
        repeated = sorted({name for name in names if names.count(name) > 1})
        more = f", with {repeated} more than once" if repeated else ""
        raise ValueError(f"task.label_names must be at least two different names, got {names}{more}")
    return tuple(names)


def settings_of_source(spec: TaskSpec) -> dict[str, Any]:
    """Where a task's samples come from, as plain values, by the source that is used; for a generator its arguments."""
    if spec.train_file is not None:
        files = {"train": spec.train_file, "validation": spec.validation_file, "test": spec.test_file}
        return {"files": {name: str(file) for name, file in files.items() if file is not None}}
    if spec.data_dir is not None:
        return {"data_dir": str(spec.data_dir)}
    if spec.generate is not None:
        function = getattr(spec.generate, "func", spec.generate)
        arguments = dict(getattr(spec.generate, "keywords", {}))
        return {"generator": f"{function.__module__}.{function.__qualname__}", "arguments": arguments}
    return {"hub_id": spec.hub_id, "hub_config": spec.hub_config}


def settings_of_kind(kind: TaskKind) -> dict[str, Any]:
    """The kind's class and options as plain values, for a run's identity."""
    return {"class": f"{type(kind).__module__}.{type(kind).__name__}", **vars(kind)}
