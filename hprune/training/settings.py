"""What a run is: everything that shapes it, and the settings that its folder is named by."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from typing import Any

import lightning as L
import numpy as np
import torch
import torchmetrics
import transformers

from hprune import __version__
from hprune.data.datamodule import DataSpec
from hprune.science.records import Measured, RunKey, Scores
from hprune.science.subset import SubsetSpec
from hprune.tasks.spec import TaskData, TaskSpec, settings_of_kind
from hprune.training.build import model_identity
from hprune.training.spec import ModelSpec, OptimSpec, RecordSpec, TrainerSpec


@dataclass(frozen=True)
class RunSpec:
    """Everything that shapes one fine-tuning."""

    task: TaskSpec
    model: ModelSpec
    optim: OptimSpec
    data: DataSpec
    trainer: TrainerSpec
    record: RecordSpec
    subset: SubsetSpec
    seed: int
    config: Mapping[str, Any] = field(default_factory=dict)
    """The resolved configuration as plain values; stored with the run, not part of its identity."""

    @property
    def key(self) -> RunKey:
        """The run's name."""
        return RunKey(self.task.name, self.model.name, self.subset.name, self.seed)

    def scored(self) -> RunSpec:
        """The same run as a scoring run, which is evaluated on the task's own sets only."""
        return replace(self, task=replace(self.task, also={})) if self.task.also else self

    def whole(self) -> RunSpec:
        """The same run without what is for scoring only: folds, as an arm is one model, and clean passes to record."""
        if self.data.folds is None and self.record == RecordSpec():
            return self
        config = {**self.config, "data": {**self.config.get("data", {}), "folds": None}}
        config["record"] = {**self.config.get("record", {}), **asdict(RecordSpec())}
        return replace(self, data=replace(self.data, folds=None), record=RecordSpec(), config=config)

    @property
    def ways(self) -> tuple[Measured, ...]:
        """How its samples are judged."""
        return self.record.ways if self.data.folds is None else ("out_of_fold",)

    @property
    def follows_full_set(self) -> bool:
        """Whether its samples come in the order that the full set would have with its seed: runs on a subset.

        The models of a run by folds, which are trained on most of the full set, have orders of their own, as ever.
        """
        return self.subset.select is not None

    @property
    def steps_of_full_set(self) -> bool:
        """Whether it takes as many steps as a run on the full set, which has them anyway."""
        return self.trainer.budget == "steps" and self.subset.select is not None

    def epochs_a_validation(self, epochs: int) -> int:
        """After how many epochs a run of so many is validated: at equal steps once to twice as often as on all."""
        return max(1, epochs // self.trainer.max_epochs)

    def steps_an_epoch(self, samples: int) -> int:
        """Steps of the optimiser in an epoch of so many samples."""
        batches = -(-samples // self.data.batch_size)
        return -(-batches // self.trainer.accumulate)

    def steps(self, *, full: int, kept: int) -> int:
        """Steps of the optimiser in the whole run: `trainer.max_epochs` of the samples kept, or of the full set."""
        return self.trainer.max_epochs * self.steps_an_epoch(full if self.steps_of_full_set else kept)


def settings_of(spec: RunSpec, data: TaskData, scores: Scores | None) -> dict[str, Any]:
    """What a run's result depends on, as plain values: data, weights by content; no paths, workers or progress bars."""
    accelerator = accelerator_of(spec.trainer)
    trainer = {
        "max_epochs": spec.trainer.max_epochs,
        "accelerator": accelerator,
        "precision": precision_of(spec.trainer, accelerator),
        "accumulate": spec.trainer.accumulate,
        "threads": (spec.trainer.threads or torch.get_num_threads()) if accelerator == "cpu" else None,
        "devices": spec.trainer.devices,
    }
    if spec.steps_of_full_set:
        trainer["budget"] = "steps"
    if spec.trainer.strategy != "ddp":  # which was all there was: older runs keep their names
        trainer["strategy"] = spec.trainer.strategy
    return {
        "task": {
            "kind": settings_of_kind(spec.task.kind),
            "data": data.data_hash,
            "label_names": list(data.settings_names or data.label_names),
            "evaluation": dict(data.evaluation_hashes),
        },
        "model": model_identity(spec.model),
        "optim": {**_without(asdict(spec.optim), "pruned_lr"), "betas": list(spec.optim.betas)},
        "data": _data_settings(spec.data) | ({"order_from": "full_set"} if spec.follows_full_set else {}),
        "trainer": trainer,
        "record": {
            "measured": spec.record.measured if spec.data.folds is None else "out_of_fold",
            **({"grand": True} if spec.record.grand else {}),  # older runs keep their names
        },
        "subset": _subset_identity(spec.subset, scores),
    }


def _data_settings(spec: DataSpec) -> dict[str, Any]:
    settings = _without(asdict(spec), "workers") | {"packed": spec.packed and not spec.pads_all}
    return settings if spec.folds is not None else _without(settings, "folds")


def _without(settings: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != name}


def _subset_identity(spec: SubsetSpec, scores: Scores | None) -> dict[str, Any]:
    """The rule and the scores that it is applied to; what it draws follows from the seed."""
    if spec.select is None:
        return {"rule": "everything"}
    function = getattr(spec.select, "func", spec.select)
    bound = getattr(spec.select, "keywords", {})
    size = {name: getattr(spec, name) for name in ("keep", "fraction", "size", "balance")}
    known = {name: value for name, value in {**bound, **size}.items() if value is not None}
    return {"rule": f"{function.__module__}.{function.__name__}", **known, "scores": scores.digest if scores else ""}


def versions() -> dict[str, str]:
    """The versions that a result depends on; of the processor what its last digits depend on."""
    return {
        "hprune": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # which is no plain text
        "lightning": L.__version__,
        "transformers": transformers.__version__,
        "torchmetrics": torchmetrics.__version__,
        "numpy": np.__version__,
        **{name: metadata.version(name) for name in ("tokenizers", "peft") if importlib.util.find_spec(name)},
        "platform": platform.platform(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
    }


def accelerator_of(spec: TrainerSpec) -> str:
    """The accelerator that `auto` stands for on this machine."""
    if spec.accelerator != "auto":
        return spec.accelerator
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def precision_of(spec: TrainerSpec, accelerator: str) -> str:
    """What `auto` stands for, resolved before the Trainer is built: bf16 if the GPU has it, else fp16; 32 elsewhere."""
    if spec.precision != "auto":
        return str(spec.precision)
    if accelerator != "cuda":
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
