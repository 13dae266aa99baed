"""What shapes one fine-tuning, beside its task and data: model, optimiser, trainer, recording. Plain, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from hprune.data.checks import check_number, check_whole
from hprune.science.records import Measured
from hprune.storage.places import local_path

ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps")
PRECISIONS = (
    "auto", "16-true", "16-mixed", "bf16-true", "bf16-mixed", "32-true", "64-true",
    "transformer-engine", "transformer-engine-float16",
)  # fmt: skip
SHORT_PRECISIONS = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}
"""What Lightning makes of the short names: equal settings are then equal values."""
Pooling = Literal["own", "mean", "max"]


@dataclass(frozen=True)
class LoraSpec:
    """Low-rank adapters beside the frozen weights (LoRA, arXiv 2106.09685); the head is trained as a whole."""

    rank: int = 8
    alpha: float = 16.0
    """The adapters' output counts alpha / rank."""
    dropout: float = 0.05
    targets: str | Sequence[str] = "all-linear"
    """Names of the layers that get one, or every linear layer but the head."""

    def __post_init__(self) -> None:
        check_whole("model.adapter.rank", self.rank, low=1)
        check_number("model.adapter.alpha", self.alpha, rule="a finite number above 0", open_low=True)
        check_number("model.adapter.dropout", self.dropout, rule="a share in [0, 1)", high=1)
        _as_floats(self, "alpha", "dropout")
        if not isinstance(self.targets, str):
            object.__setattr__(self, "targets", list(self.targets))


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
    adapter: LoraSpec | None = None
    """Train adapters and the head only; null: all weights."""
    pooling: Pooling = "own"
    """What an encoder's head reads of a sequence: `own`, what its architecture's head reads (the first token, or the
    checkpoint's pooler); `mean` or `max` of the last layer's states over its real tokens."""
    stands_for: Mapping[str, Any] | None = None
    """Fields of config.json that every folder has which may go by this name; without it only one that is called so."""

    def __post_init__(self) -> None:
        if self.pooling not in get_args(Pooling):
            raise ValueError(
                f"model.pooling must be one of {', '.join(get_args(Pooling))}, got {self.pooling!r}; own is what the "
                "architecture's head reads, the first token ([CLS]) or the checkpoint's pooler over it, mean and max "
                "are taken over the real tokens"
            )
        check_whole("model.vocab_size", self.vocab_size, low=260)  # the bytes and the special tokens
        if self.path is not None:
            folder = str(local_path(self.path, "model.path"))
            if not str(self.path).startswith("./"):  # which says that it is no hub id
                object.__setattr__(self, "path", folder)
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
    pruned_lr: float | None = None
    """The learning rate of runs on a subset, where it is not `lr`: unlike the full set's, so no comparison of data."""
    weight_decay: float = 0.0
    betas: Sequence[float] = (0.9, 0.999)
    eps: float = 1e-8
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = 0.0
    """Share of the steps over which the learning rate rises to `lr`."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 for no limit."""

    def __post_init__(self) -> None:
        check_number("optim.lr", self.lr, rule="a finite number above 0", open_low=True)
        if self.pruned_lr is not None:
            check_number("optim.pruned_lr", self.pruned_lr, rule="a finite number above 0", open_low=True)
        check_number("optim.weight_decay", self.weight_decay, rule="a finite number of at least 0")
        check_number("optim.eps", self.eps, rule="a finite number above 0", open_low=True)
        check_number("optim.clip", self.clip, rule="a finite number of at least 0")
        check_number("optim.warmup", self.warmup, rule="a share of the steps in [0, 1)", high=1)
        if not isinstance(self.betas, Sequence) or isinstance(self.betas, str) or len(self.betas) != 2:
            raise ValueError(f"optim.betas must be two numbers in [0, 1), got {self.betas!r}")
        object.__setattr__(self, "betas", tuple(self.betas))
        for beta in self.betas:
            check_number("optim.betas", beta, rule="two numbers in [0, 1)", high=1)
        object.__setattr__(self, "betas", tuple(float(beta) for beta in self.betas))
        _as_floats(self, "lr", "weight_decay", "eps", "warmup", "clip")
        if self.schedule not in ("linear", "cosine", "constant"):
            raise ValueError(f"optim.schedule must be linear, cosine or constant, got {self.schedule!r}")


@dataclass(frozen=True)
class TrainerSpec:
    """How long and on what a run trains."""

    max_epochs: int = 3
    budget: Literal["epochs", "steps"] = "epochs"
    """What a run on a subset has in common with one on the full set: epochs, so that it takes fewer steps of the
    optimiser; or steps, so that it goes through its samples more often."""
    accelerator: str = "auto"
    """`auto`, `cpu`, `cuda` (`gpu` means the same) or `mps`."""
    devices: int = 1
    """Of one run: more than one share each batch, a process for each (`data.batch_size` stays that of all together)."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """How several devices share a run: each has the whole model, or each a share of it, of its gradients and Adam's."""
    precision: str = "auto"
    """`auto`: bf16 (or fp16) mixed on a GPU, 32 on a CPU; otherwise what Lightning takes, such as 16-mixed or 32."""
    accumulate: int = 1
    """Batches whose gradients are added before a step."""
    threads: int | None = None
    """Threads of a CPU run; null: torch's default. Part of a run's identity, as it changes the last digits."""
    checkpoint_minutes: float = 10
    """Time between two checkpoints that an interrupted run continues from, beside the ends of epochs."""
    progress: bool = True
    save_model: bool = False
    """Keep the fine-tuned weights in the run's folder, as a folder that `model.path` takes."""

    def __post_init__(self) -> None:
        for name in ("max_epochs", "accumulate", "devices", "threads"):
            if name != "threads" or self.threads is not None:
                check_whole(f"trainer.{name}", getattr(self, name), low=1)
        check_number("trainer.checkpoint_minutes", self.checkpoint_minutes, rule="a finite number of at least 0")
        if self.accelerator not in ACCELERATORS:
            raise ValueError(f"trainer.accelerator must be one of {', '.join(ACCELERATORS)}, got {self.accelerator!r}")
        object.__setattr__(self, "accelerator", "cuda" if self.accelerator == "gpu" else self.accelerator)
        if self.budget not in ("epochs", "steps"):
            raise ValueError(f"trainer.budget must be epochs or steps, got {self.budget!r}")
        if self.strategy not in ("ddp", "fsdp"):
            raise ValueError(f"trainer.strategy must be ddp or fsdp, got {self.strategy!r}")
        precision = SHORT_PRECISIONS.get(str(self.precision), str(self.precision))
        if precision not in PRECISIONS:
            known = ", ".join((*PRECISIONS, *SHORT_PRECISIONS))
            raise ValueError(f"trainer.precision must be one of {known}, got {self.precision!r}")
        object.__setattr__(self, "precision", precision)
        if self.strategy == "fsdp" and (self.devices == 1 or precision == "16-mixed"):
            raise ValueError(
                "trainer.strategy=fsdp needs trainer.devices of at least 2, as it spreads the model over them, and a "
                f"precision other than 16-mixed, whose gradients it cannot scale: got trainer.devices={self.devices}, "
                f"trainer.precision={self.precision}; bf16-mixed needs no scaling"
            )


@dataclass(frozen=True)
class RecordSpec:
    """How samples are judged: `train_pass`, `eval_pass`, or `both`."""

    measured: Literal["train_pass", "eval_pass", "both"] = "train_pass"
    grand: bool = False
    """Record the norm of the gradient in the last layer, too (GraNd); for tasks of classes."""

    def __post_init__(self) -> None:
        if type(self.grand) is not bool:
            raise ValueError(f"record.grand must be true or false, got {self.grand!r}")
        if self.measured not in ("train_pass", "eval_pass", "both"):
            raise ValueError(f"record.measured must be train_pass, eval_pass or both, got {self.measured!r}")

    @property
    def ways(self) -> tuple[Measured, ...]:
        """The ways of measuring, each with a record of its own."""
        return ("train_pass", "eval_pass") if self.measured == "both" else (self.measured,)


def _as_floats(spec: Any, *names: str) -> None:
    """16 and 16.0 are one setting: equal runs have equal settings."""
    for name in names:
        object.__setattr__(spec, name, float(getattr(spec, name)))
