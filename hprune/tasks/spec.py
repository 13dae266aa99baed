"""What a task is: where its samples come from (TaskSpec) and how one kind of task is learned and judged (TaskKind)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hprune.data.checks import check_whole
from hprune.storage.places import local_path
from hprune.tasks.eval_set import EvalSetSpec, check_also
from hprune.tasks.reading.delimited import DELIMITERS, QUOTINGS

if TYPE_CHECKING:  # annotations only: `hprune.export` reads tasks without paying for torch
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from hprune.data.datamodule import Batch, Encoded
    from hprune.data.tokenise import TokenTable

SPLITS = ("train", "validation", "test")
"""The splits that every source may have; `task.splits` may name more sets to evaluate on."""
MOST_PROBABILITIES = 1000
"""Classes up to which every probability of an answer is kept; of more, those of the label and of the prediction."""
PATHS = ("data_dir", "train_file", "validation_file", "test_file", "also_dir")
Files = str | Sequence[str] | None  # a file, or several whose rows follow each other


@dataclass(frozen=True)
class TaskSpec:
    """Where the samples of a task come from; exactly one of hub_id, data_dir, train_file, generate is used.

    A local folder (`data_dir`) wins over the hub: it holds the same splits and columns as files. Relative paths are
    relative to the folder that the command is started in. `validation_file`, `test_file` replace splits of any source.
    """

    name: str
    kind: TaskKind
    text: Sequence[str] = ("text",)
    """Columns that hold the text: one, or two for a pair, an article and a question, a question and its context."""
    label: str = "label"
    """Column of what is right: a class, an option, an answer."""
    label_names: Sequence[str | bool] | None = None
    """Names of the classes in the order of their numbers; found in the data if not given.

    YAML makes booleans of no, yes, on, off: which of them is meant is known with the data.
    """
    hub_id: str | None = None
    hub_config: str | None = None
    hub_revision: str | None = None
    data_dir: str | None = None
    train_file: Files = None
    validation_file: Files = None
    test_file: Files = None
    generate: Callable[[str], pa.Table] | None = None
    """Makes the table of a split by its name: the demo."""
    splits: Mapping[str, str | None] = field(default_factory=lambda: {name: name for name in SPLITS})
    """The name of each split in the source; null: not used. Names beside ours are further sets to evaluate on."""
    where: Mapping[str, str] | None = None
    """Rows to use: regular expressions that columns must match, null for none; ids keep their gaps."""
    encoding: str = "utf8"
    """Of CSV and TSV files."""
    delimiter: str = "auto"
    """Of CSV and TSV files: comma, semicolon, tab, pipe; auto: the one that the header shows."""
    quoting: str = "auto"
    """Of CSV and TSV files: double, backslash, none; auto: found, or refused where it is not clear."""
    validation_fraction: float = 0.1
    """Share of the train split that is held out, stratified by label, when there is no validation split."""
    split_seed: int = 0
    max_train_samples: int | None = None
    """Draw a fixed sample of the train split; its ids keep their gaps."""
    max_eval_samples: int | None = None
    """Draw a fixed sample of each set to evaluate on, too."""
    sample_seed: int = 0
    slices: Sequence[str] = ()
    """Columns of the sets to evaluate on to tell the results apart by; sets without one go without."""
    also: Mapping[str, EvalSetSpec] = field(default_factory=dict)
    """Further sets to evaluate on, from other sources, by our name of each."""
    also_dir: str | None = None
    """A folder with a folder for each of them, in place of the hub."""

    def __post_init__(self) -> None:
        if not hasattr(self.kind, "normalise"):
            raise ValueError(f"task.kind must be a kind of task, as in conf/task/base/task.yaml, got {self.kind!r:.80}")
        object.__setattr__(self, "text", _texts("task.text", self.text))
        _check_columns(self.text, self.label)
        if self.label_names is not None:
            object.__setattr__(self, "label_names", _checked_names(self.label_names))
        for key in PATHS:
            object.__setattr__(self, key, _located(key, getattr(self, key)))
        signs = {sign: name for name, sign in DELIMITERS.items()}
        object.__setattr__(self, "delimiter", signs.get(self.delimiter, self.delimiter))
        _check_plain(self)
        _check_splits(self.splits)
        object.__setattr__(self, "where", _patterns(self.where))
        object.__setattr__(self, "slices", _texts("task.slices", self.slices))
        check_also(self.also, taken=(*SPLITS, *self.splits))

    @property
    def files(self) -> dict[str, Files]:
        """The files that are named one by one, by our name of the split."""
        return {split: files for split in SPLITS if (files := getattr(self, f"{split}_file")) is not None}


@dataclass(frozen=True, eq=False)
class TaskData:
    """The normalised tables of a task: `sample_id`, the text columns, `label` (int64 in 0..K-1), what its kind adds.

    `sample_id` is the row in the split as it came, before anything was dropped; where samples are parts of a row, such
    as the windows of a question, it is row * 2^16 + part, with `row` and `part` beside it.
    """

    train: pa.Table
    evaluation: Mapping[str, pa.Table]  # "validation", and other sets where they are labelled
    label_names: tuple[str, ...]
    text: tuple[str, ...]
    data_hash: str  # of the train table
    evaluation_hashes: Mapping[str, str]
    counts_as: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    """(K,) of sets with coarser classes: the class of the set that each class of the task counts as."""
    slices: Mapping[str, pa.Table] = field(default_factory=dict)
    """Of evaluation sets: columns to tell the results apart by."""
    uncut: tuple[pa.Table, str] | None = None
    """Where samples are parts of a row: the table of the rows, and its hash."""
    carried: Mapping[str, str] = field(default_factory=dict)
    """Digests of the columns of the train split, as it came, that the task does not use."""
    older_names: tuple[str, ...] | None = None
    """What 0.1.0 called the classes, if it called them otherwise."""
    settings_names: tuple[str, ...] | None = None
    """What the settings of a run call the classes, if runs of 0.1.0 on these data are at hand; None: by their names."""

    def for_task(self, spec: TaskSpec) -> TaskData:
        """The same tables without the further sets that a task does not evaluate on."""
        own = ("validation", *spec.splits, *spec.also)
        return replace(
            self,
            evaluation={name: table for name, table in self.evaluation.items() if name in own},
            evaluation_hashes={name: digest for name, digest in self.evaluation_hashes.items() if name in own},
        )


@dataclass(frozen=True)
class Judgement:
    """How right the model was on each sample of a batch of size B."""

    correct: Tensor  # (B,) bool
    true_prob: Tensor  # (B,) float32 in 0..1, of the whole right answer
    margin: Tensor  # (B,) float32, logit of the right answer minus the largest other
    el2n: Tensor  # (B,) float32 in 0..sqrt(2), ||probabilities - right answer||_2
    grand: Tensor | None = None  # (B,) float32 from 0, norm of the gradient in the last layer, if it is recorded


@dataclass(frozen=True)
class Evaluation:
    """What the answers to one evaluation set are worth."""

    metrics: Mapping[str, float]
    columns: Mapping[str, NDArray[Any] | Sequence[Any]]  # of the table of predictions, one value a sample


class TaskKind(Protocol):
    """One kind of task: what a sample is, features, head, loss, how a sample is judged, metrics. One file a kind."""

    primary_metric: str
    """The metric that arms are compared by, one of those of `evaluate`."""
    min_classes: int
    """Classes that the train split must have at least."""
    pooled: bool
    """Whether the head of an encoder reads the first token of a sequence only."""

    @property
    def parts(self) -> bool:
        """Whether each sequence is a sample of its own: windows rather than questions."""
        ...

    @property
    def encoding(self) -> Mapping[str, Any]:
        """The options that tokens depend on, and no others."""
        ...

    def normalise(self, spec: TaskSpec, splits: Mapping[str, pa.Table]) -> tuple[dict[str, pa.Table], tuple[str, ...]]:
        """Read the columns of each split: the normalised tables, rows that cannot be used dropped, and class names."""
        ...

    def encode(
        self, tokenizer: PreTrainedTokenizerBase, table: pa.Table, text: Sequence[str], max_length: int, *, causal: bool
    ) -> TokenTable:
        """Turn the samples of a normalised table into tokens; `causal`: for a decoder."""
        ...

    def part_labels(self, tokens: TokenTable) -> NDArray[np.int64]:
        """(m,) the class of each sequence, where each is a sample."""
        ...

    def head(self, model_type: str, label_names: Sequence[str]) -> tuple[Any, Sequence[str]]:
        """The `AutoModelFor...` class that carries the right head, and the names of its outputs."""
        ...

    def outputs(self, model: PreTrainedModel, batch: Batch) -> Tensor:
        """What the model says of a batch, as one tensor in float32."""
        ...

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean loss of a batch."""
        ...

    def judge(self, outputs: Tensor, batch: Batch) -> Judgement:
        """Judge each sample of a batch."""
        ...

    def answer(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """What `evaluate` needs of a batch: tensors with one row a sequence."""
        ...

    def evaluate(self, answers: Mapping[str, Tensor], data: Encoded) -> Evaluation:
        """The metrics of a whole set, from its answers in the order of its sequences."""
        ...


def _check_plain(spec: TaskSpec) -> None:
    """What is a text, a number or a function."""
    for key in ("name", "encoding", "hub_id", "hub_config", "hub_revision"):
        value = getattr(spec, key)
        if not (isinstance(value, str) or (value is None and key.startswith("hub"))):
            raise ValueError(f"task.{key} must be a text, got {value!r}")
    for key, known in {"delimiter": DELIMITERS, "quoting": QUOTINGS}.items():
        if getattr(spec, key) not in ("auto", *known):
            raise ValueError(f"task.{key} must be one of auto, {', '.join(known)}, got {getattr(spec, key)!r}")
    if type(spec.validation_fraction) not in (int, float) or not 0 < spec.validation_fraction < 1:
        raise ValueError(f"task.validation_fraction must lie in (0, 1), got {spec.validation_fraction!r}")
    for key in ("max_train_samples", "max_eval_samples", "split_seed", "sample_seed"):
        if (value := getattr(spec, key)) is not None or key.endswith("seed"):
            check_whole(f"task.{key}", value, low=0 if key.endswith("seed") else 1)
    if spec.split_seed >= 2**32:  # what scikit-learn takes
        raise ValueError(f"task.split_seed must be below 2^32, got {spec.split_seed}")
    if spec.generate is not None and not callable(spec.generate):
        raise ValueError(f"task.generate must be a function of the name of a split, got {spec.generate!r:.80}")


def _located(key: str, value: Any) -> Files:
    """A path on this machine; for files a list of such paths, too."""
    if isinstance(value, (list, tuple)) and value and key.endswith("_file"):
        return [str(local_path(one, f"task.{key}")) for one in value]
    return None if value is None else str(local_path(value, f"task.{key}"))


def _texts(key: str, value: Any) -> tuple[str, ...]:
    """A text, or a list of texts and numbers, as texts."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)) or not all(isinstance(one, (str, int, float)) for one in listed):
        quote = (
            "; what YAML reads otherwise (null, dates) is a name in quotes: '[\"null\"]'"
            if isinstance(listed, (list, tuple))
            else ""
        )
        raise ValueError(f"{key} must be a list of names, got {value!r}{quote}")
    return tuple(map(str, listed))


def _check_columns(text: Sequence[str], label: Any) -> None:
    if not isinstance(label, str) or not label:
        raise ValueError(f"task.label must be the name of a column, got {label!r}")
    if not text:
        raise ValueError("task.text must name at least one column, got none")
    taken = [name for name in text if name in ("sample_id", "label", label) or text.count(name) > 1]
    if taken:
        way = (
            "name each column once"
            if text.count(taken[0]) > 1 or taken[0] == label
            else f"rename column {taken[0]!r} in the data"
        )
        raise ValueError(
            f"task.text must name different columns, none of them task.label, `label` or `sample_id`, "
            f"got {list(text)} and task.label={label}; {way}"
        )


def _check_splits(splits: Any) -> None:
    if not isinstance(splits, Mapping) or not isinstance(splits.get("train"), str):
        raise ValueError(
            f"task.splits must name the source's train split and may name {', '.join(SPLITS[1:])} and others, "
            f"got {splits!r}"
        )
    for name, source in splits.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]+", str(name)):
            raise ValueError(f"task.splits must be named by letters, digits, _ and -, got {name!r}")
        if source is not None and (not isinstance(source, str) or not re.fullmatch(r"[^/\\\0*?\[]+", source)):
            raise ValueError(f"task.splits.{name} must be the name of a split, or null, got {source!r}")


def _patterns(where: Any) -> dict[str, str] | None:
    """The regular expression of each column that has one."""
    if where is not None and not isinstance(where, Mapping):
        raise ValueError(f"task.where must be regular expressions by column, {{COLUMN: EXPRESSION}}, got {where!r}")
    patterns = {column: str(pattern) for column, pattern in (where or {}).items() if pattern is not None}
    for column, pattern in patterns.items():
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"task.where.{column} must be a regular expression, got {pattern!r} ({error})") from error
    return patterns or None


def _checked_names(given: Any) -> tuple[str | bool, ...]:
    """Names without space around them, booleans as they are."""
    names = [name.strip() for name in _texts("task.label_names", given)]
    if len(set(names)) < max(2, len(names)):
        repeated = sorted(name for name, count in Counter(names).items() if count > 1)
        more = f", with {repeated} more than once" if repeated else ""
        raise ValueError(f"task.label_names must be at least two different names, got {names}{more}")
    listed = [given] if isinstance(given, str) else given
    return tuple(one if isinstance(one, bool) else name for one, name in zip(listed, names, strict=True))


def settings_of_source(spec: TaskSpec) -> dict[str, Any]:
    """Where a task's samples come from, as plain values, by the source that is used; for a generator its arguments."""
    beside = {"files": spec.files} if spec.files else {}
    if spec.train_file is not None or spec.data_dir is not None:
        return ({} if spec.train_file is not None else {"data_dir": str(spec.data_dir)}) | beside
    if spec.generate is not None:
        function = getattr(spec.generate, "func", spec.generate)
        arguments = dict(getattr(spec.generate, "keywords", {}))
        return {"generator": f"{function.__module__}.{function.__qualname__}", "arguments": arguments, **beside}
    return {"hub_id": spec.hub_id, "hub_config": spec.hub_config, "hub_revision": spec.hub_revision, **beside}


def settings_of_kind(kind: TaskKind) -> dict[str, Any]:
    """The kind's class and options as plain values, for a run's identity."""
    return {"class": f"{type(kind).__module__}.{type(kind).__name__}", **vars(kind)}
