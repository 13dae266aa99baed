"""The values that everything else passes around: records, dynamics, scores and subsets.

Each is frozen, checks its invariants once, at birth, and makes its arrays read-only: code behind relies on them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hprune.science.together import RecordFacts, check_same_ids, check_together

Measured = Literal["train_pass", "eval_pass", "out_of_fold"]
"""When a sample was judged: by the training step (dropout on, before the update), by a clean pass after the epoch, or
by such a pass of a model that was not trained on it."""

Direction = Literal["easier", "harder"]
"""What a higher score means."""

CONTINUOUS = ("true_prob", "margin", "el2n")
"""The real-valued columns of a record, beside `correct`."""

COLUMNS = ("correct", *CONTINUOUS)
"""The columns that every record has."""

OPTIONAL = ("grand",)
"""Those that a record may have beside: real-valued, and there only if they were asked for."""


@dataclass(frozen=True, order=True)
class RunKey:
    """Names one fine-tuning."""

    task: str
    model: str
    subset: str
    seed: int

    def __str__(self) -> str:
        return f"{self.task}/{self.model}/{self.subset}/seed={self.seed}"


@dataclass(frozen=True, eq=False)
class RunRecord:
    """What one run of E epochs knew about its N samples.

    `settings_hash` covers everything that shaped the run but its seed: runs of one study must agree in it.
    """

    key: RunKey
    sample_ids: NDArray[np.int64]  # (N,) strictly increasing
    correct: NDArray[np.bool_]  # (E, N)
    true_prob: NDArray[np.float32]  # (E, N) in 0..1, probability of the true label
    margin: NDArray[np.float32]  # (E, N) true logit minus the largest other
    el2n: NDArray[np.float32]  # (E, N) in 0..sqrt(2), ||softmax - onehot||_2
    measured: Measured
    data_hash: str
    settings_hash: str
    grand: NDArray[np.float32] | None = None  # (E, N) from 0, norm of the gradient in the last layer (record.grand)

    def __post_init__(self) -> None:
        _check_ids("RunRecord", self.sample_ids)
        _check_bool("RunRecord.correct", self.correct, axes="EN", samples=self.sample_ids.size)
        for name in self.columns[1:]:
            shape = getattr(self, name).shape
            if shape != self.correct.shape:
                raise ValueError(
                    f"RunRecord.{name} must have the shape of `correct`, {self.correct.shape}, got {shape}"
                )
        if self.measured not in get_args(Measured):
            raise ValueError(f"RunRecord.measured must be one of {get_args(Measured)}, got {self.measured!r}")
        _freeze(self.sample_ids, *(getattr(self, name) for name in self.columns))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it has, `correct` first."""
        return (*COLUMNS, *(name for name in OPTIONAL if getattr(self, name) is not None))

    @property
    def facts(self) -> RecordFacts:
        """What it is of."""
        epochs, samples = self.correct.shape
        return RecordFacts(self.key, self.data_hash, samples, epochs, self.measured, self.settings_hash)


@dataclass(frozen=True, eq=False)
class Dynamics:
    """What S runs knew about N samples in each of E epochs.

    The real-valued arrays may be absent: H needs `correct` only.
    """

    sample_ids: NDArray[np.int64]  # (N,) strictly increasing
    correct: NDArray[np.bool_]  # (S, E, N)
    seeds: tuple[int, ...] = ()
    data_hash: str = ""
    measured: Measured = "train_pass"
    true_prob: NDArray[np.float32] | None = None  # (S, E, N)
    margin: NDArray[np.float32] | None = None  # (S, E, N)
    el2n: NDArray[np.float32] | None = None  # (S, E, N)
    grand: NDArray[np.float32] | None = None  # (S, E, N)

    def __post_init__(self) -> None:
        _check_ids("Dynamics", self.sample_ids)
        _check_bool("Dynamics.correct", self.correct, axes="SEN", samples=self.sample_ids.size)
        if not self.seeds:
            object.__setattr__(self, "seeds", tuple(range(self.runs)))
        if len(self.seeds) != self.runs:
            raise ValueError(f"Dynamics needs one seed a run: {self.runs} runs, seeds {self.seeds}")
        _freeze(self.sample_ids, self.correct)

    @property
    def runs(self) -> int:
        """S, the number of runs."""
        return int(self.correct.shape[0])

    @property
    def epochs(self) -> int:
        """E, the number of epochs that each run logged."""
        return int(self.correct.shape[1])

    @classmethod
    def stack(cls, records: Sequence[RunRecord]) -> Dynamics:
        """Put the records of S runs on top of each other, in the order of their seeds.

        Raises:
            ValueError: no records; a repeated seed; or runs that differ in data, samples, epochs, way of measuring or
                settings.
        """
        records = sorted(records, key=lambda record: record.key.seed)
        check_together([record.facts for record in records])
        first, *others = records
        for other in others:
            check_same_ids(first.key, first.sample_ids, other.key, other.sample_ids)
        return cls(
            sample_ids=first.sample_ids,
            seeds=tuple(record.key.seed for record in records),
            data_hash=first.data_hash,
            measured=first.measured,
            **{name: np.stack([getattr(record, name) for record in records]) for name in first.columns},
        )

    def prefix(self, *, runs: int | None = None, epochs: int | None = None, skip: int = 0) -> Dynamics:
        """Look at the first `runs` runs (by seed) and the first `epochs` epochs only, of these not at the first `skip`.

        Raises:
            ValueError: if more is asked for than was logged, or less than one.
        """
        runs, epochs = prefix_of("runs", runs, self.runs), prefix_of("epochs", epochs, self.epochs)
        check_skip(skip, epochs)

        def cut(values: NDArray[Any] | None) -> Any:
            return None if values is None else values[:runs, skip:epochs]

        return Dynamics(
            self.sample_ids,
            cut(self.correct),
            self.seeds[:runs],
            self.data_hash,
            self.measured,
            cut(self.true_prob),
            cut(self.margin),
            cut(self.el2n),
            cut(self.grand),
        )


@dataclass(frozen=True, eq=False)
class Scores:
    """One number a sample, and everything needed to know what the number means.

    `conventions` holds the facts behind the numbers: seeds, epochs, way of measuring, and the score's own choices.
    """

    name: str
    sample_ids: NDArray[np.int64]  # (N,) strictly increasing
    values: NDArray[Any]  # (N,) int16 or float32, which may be infinite
    higher_is: Direction
    seeds: tuple[int, ...]
    epochs: int
    measured: Measured
    data_hash: str
    conventions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_ids("Scores", self.sample_ids)
        if self.values.shape != self.sample_ids.shape:
            raise ValueError(f"Scores.values must be one a sample, {self.sample_ids.shape}, got {self.values.shape}")
        if self.values.dtype.kind not in "iuf":
            raise ValueError(f"Scores.values must be whole or real numbers, got {self.values.dtype}; cast them")
        if self.higher_is not in get_args(Direction):
            raise ValueError(f"Scores.higher_is must be one of {get_args(Direction)}, got {self.higher_is!r}")
        if np.isnan(self.values).any():
            bad = self.sample_ids[np.isnan(self.values)]
            raise ValueError(
                f"Scores.values must be numbers, got {bad.size} that are none, first ids {bad[:5].tolist()}"
            )
        _freeze(self.sample_ids, self.values)

    @property
    def runs(self) -> int:
        """S, the number of runs behind the score."""
        return len(self.seeds)

    @property
    def is_h(self) -> bool:
        """Whether it is an H-score: one of that name that counts runs, 0..S."""
        whole = np.issubdtype(self.values.dtype, np.integer) and self.values.size > 0
        named = self.conventions.get("score", self.name) == "h_score"
        return bool(named and whole and self.values.min() >= 0 and self.values.max() <= self.runs)

    @property
    def in_ticket(self) -> NDArray[np.bool_]:
        """(N,) the winning ticket, 0 < H < S, of a score that counts runs."""
        return np.asarray((self.values > 0) & (self.values < self.runs))

    @property
    def digest(self) -> str:
        """Hex digest of the samples and their numbers."""
        content = self.sample_ids.tobytes() + self.values.tobytes()
        return hashlib.sha256(f"{self.data_hash};{self.values.dtype.str};".encode() + content).hexdigest()


@dataclass(frozen=True, eq=False)
class Subset:
    """The sample ids that are kept, and where they came from."""

    name: str
    sample_ids: NDArray[np.int64]  # (n,) strictly increasing
    data_hash: str
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_ids("Subset", self.sample_ids)
        _freeze(self.sample_ids)


def _check_ids(owner: str, ids: NDArray[Any]) -> None:
    if ids.dtype != np.int64 or ids.ndim != 1:
        raise ValueError(f"{owner}.sample_ids must be a 1-d int64 array, got {ids.dtype} of shape {ids.shape}")
    rising = ids[1:] > ids[:-1]
    if not rising.all():
        at = int(np.argmin(rising))
        raise ValueError(f"{owner}.sample_ids must be strictly increasing, got {ids[at]} before {ids[at + 1]}")


def _check_bool(owner: str, values: NDArray[Any], *, axes: str, samples: int) -> None:
    expected = f"({', '.join(axes[:-1])}, {samples})"
    if values.dtype != np.bool_ or values.ndim != len(axes) or values.shape[-1] != samples or 0 in values.shape[:-1]:
        raise ValueError(f"{owner} must be bool {expected}, one column per id, got {values.dtype} {values.shape}")


def prefix_of(name: str, asked: int | None, logged: int) -> int:
    """How many of the runs or epochs that were logged to look at; None is all.

    Raises:
        ValueError: if more is asked for than was logged, or less than one.
    """
    if asked is None:
        return logged
    if not isinstance(asked, int) or not 1 <= asked <= logged:
        raise ValueError(f"{name} must be in 1..{logged}, what was logged, got {asked}; collect more to go further")
    return asked


def check_skip(skip: int, epochs: int) -> None:
    """Refuse to leave out all epochs that are looked at.

    Raises:
        ValueError: unless `skip` lies in 0..epochs - 1.
    """
    if not 0 <= skip < epochs:
        raise ValueError(f"skip_epochs must be in 0..{epochs - 1}, to leave one of {epochs} epochs, got {skip}")


def _freeze(*arrays: NDArray[Any]) -> None:
    for array in arrays:
        array.setflags(write=False)
