"""What shapes one fine-tuning, beside its task and data: model, optimiser, trainer, recording. Plain, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from hprune.science.records import Measured


@dataclass(frozen=True)
class ModelSpec:
    """Pre-trained weights by `path`, or an architecture from scratch by `config`; `path` wins."""

    name: str
    path: str | None = None
    """Hub id, or folder, of a pre-trained model and its tokenizer."""
    config: Mapping[str, Any] | None = None
    """`model_type` and the fields of its configuration in transformers, for a model that starts from random weights."""
    vocab_size: int = 2000
    """With `config` only: size of the tokenizer that is trained on the task's train texts."""

    def __post_init__(self) -> None:
        if self.path is None and self.config is None:
            raise ValueError(
                f"model {self.name!r} needs model.path (hub id or folder) or model.config (model_type and its fields)"
            )
        if self.path is None and "model_type" not in (self.config or {}):
            raise ValueError(
                f"model.config must name a model_type, such as roberta or opt, got {dict(self.config or {})}"
            )


@dataclass(frozen=True)
class OptimSpec:
    """AdamW and a schedule over the run's own number of steps."""

    lr: float = 2e-5
    weight_decay: float = 0.0
    betas: Sequence[float] = (0.9, 0.999)
    eps: float = 1e-8
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = 0.0
    """Share of the steps over which the learning rate rises to `lr`."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 for no limit."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))
        if not 0 <= self.warmup < 1:
            raise ValueError(f"optim.warmup is a share of the steps in [0, 1), got {self.warmup}")
        if self.lr <= 0:
            raise ValueError(f"optim.lr must be positive, got {self.lr}")
        if self.schedule not in ("linear", "cosine", "constant"):
            raise ValueError(f"optim.schedule must be linear, cosine or constant, got {self.schedule!r}")


@dataclass(frozen=True)
class TrainerSpec:
    """How long and on what a run trains."""

    max_epochs: int = 3
    accelerator: str = "auto"
    devices: int = 1
    precision: str = "auto"
    """`auto`: bf16 (or fp16) mixed on a GPU, 32 on a CPU; otherwise what Lightning takes, such as 16-mixed."""
    accumulate: int = 1
    """Batches whose gradients are added before a step."""
    threads: int | None = None
    """Threads of a CPU run; null: torch's default. Part of a run's identity, as it changes the last digits."""
    progress: bool = True
    save_model: bool = False
    """Keep the fine-tuned weights in the run's folder, as a folder that `model.path` takes."""

    def __post_init__(self) -> None:
        if self.max_epochs < 1:
            raise ValueError(f"trainer.max_epochs must be at least 1, got {self.max_epochs}")
        if self.accumulate < 1:
            raise ValueError(f"trainer.accumulate must be at least 1, got {self.accumulate}")
        if self.devices != 1:
            raise ValueError(
                f"trainer.devices must be 1, got {self.devices}: a run trains on one device; "
                "spread the runs of a sweep over devices instead"
            )


@dataclass(frozen=True)
class RecordSpec:
    """How samples are judged: `train_pass`, `eval_pass`, or `both`."""

    measured: Literal["train_pass", "eval_pass", "both"] = "train_pass"

    def __post_init__(self) -> None:
        if self.measured not in (*get_args(Measured), "both"):
            raise ValueError(f"record.measured must be train_pass, eval_pass or both, got {self.measured!r}")

    @property
    def ways(self) -> tuple[Measured, ...]:
        """The ways of measuring, each with a record of its own."""
        return get_args(Measured) if self.measured == "both" else (self.measured,)
