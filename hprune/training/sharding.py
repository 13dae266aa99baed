"""Weights, gradients and the optimiser's state spread over the devices of one run (FSDP): each holds a share."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from hprune.storage.files import flush_folder
from hprune.training.checkpoint import save_whole
from hprune.training.spec import TrainerSpec


def shard(model: nn.Module, mesh: Any) -> None:
    """Spread a model over the devices of a mesh, in place: each layer is brought together when it is needed.

    What the layers are: the members of its lists of modules, as transformers has them. A second time changes nothing.
    """
    if isinstance(model, FSDPModule):
        return
    for stack in [module for module in model.modules() if isinstance(module, nn.ModuleList)]:
        for layer in stack:
            if any(True for _ in layer.parameters()) and not isinstance(layer, nn.ModuleList):
                fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


def whole_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The weights brought together, on the CPU; every process must call this."""
    return {name: (v.full_tensor() if isinstance(v, DTensor) else v).cpu() for name, v in model.state_dict().items()}


class Sharded(ModelParallelStrategy):
    """FSDP2 whose checkpoint is a folder with a file for each process, of tensors alone: nothing is unpickled.

    The number of processes is part of what a run is, so a process takes up its own share, and none is cut anew.
    """

    def __init__(self, devices: int) -> None:
        super().__init__(data_parallel_size=devices, tensor_parallel_size=1)

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        """The weights are spread before; data must know where to go on before the first batch is fetched, in setup."""
        return False

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Lightning hands the optimiser's state back."""
        return True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """This process's share of the weights."""
        assert self.lightning_module is not None
        return _own(self.lightning_module.state_dict())

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """This process's share of the optimiser's state."""
        return _own(optimizer.state_dict())

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Write a folder beside the last one, and put it in its place when all have written."""
        path = Path(filepath)
        new, old = path.with_name(f".{path.name}.new"), path.with_name(f".{path.name}.old")
        if self.is_global_zero:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
        self.barrier()
        save_whole(checkpoint, new / f"{self.global_rank}.ckpt")
        self.barrier()
        if self.is_global_zero:
            if path.exists():
                path.rename(old)
            new.rename(path)
            flush_folder(path.parent)
            shutil.rmtree(old, ignore_errors=True)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read this process's file."""
        file = Path(checkpoint_path) / f"{self.global_rank}.ckpt"
        return torch.load(file, map_location="cpu", weights_only=True)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Take up this process's share of the weights."""
        assert self.lightning_module is not None
        there = self.lightning_module.state_dict()
        shares = {name: _share_like(there[name], value) for name, value in checkpoint["state_dict"].items()}
        self.lightning_module.load_state_dict(shares, strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take up this process's share of the optimiser's state."""
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            state = {
                number: {name: _share_like(weights[number], value) for name, value in values.items()}
                for number, values in saved["state"].items()
            }
            optimizer.load_state_dict({**saved, "state": state})


def strategy_of(spec: TrainerSpec) -> Strategy | str:
    """How several devices share a run."""
    if spec.devices == 1:
        return "auto"
    return Sharded(spec.devices) if spec.strategy == "fsdp" else DDPStrategy(gradient_as_bucket_view=True)


def _own(state: Any) -> Any:
    """The same values with this process's share in place of what is spread."""
    return tree_map(lambda value: value.to_local() if isinstance(value, DTensor) else value, state)


def _share_like(there: Any, value: Any) -> Any:
    """A share, spread as `there` is; a number, such as Adam's count of steps, is not."""
    if not isinstance(there, DTensor) or not isinstance(value, torch.Tensor) or value.ndim != there.ndim:
        return value
    local = value.to(there.to_local().device)
    return DTensor.from_local(
        local, there.device_mesh, there.placements, run_check=False, shape=there.shape, stride=there.stride()
    )


def take_up(path: Path) -> None:
    """Put back the last checkpoint where the exchange for a newer one was cut off."""
    old = path.with_name(f".{path.name}.old")
    if old.is_dir() and not path.exists():
        old.rename(path)
    for left in (old, path.with_name(f".{path.name}.new")):
        shutil.rmtree(left, ignore_errors=True)
