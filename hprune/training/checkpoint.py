"""What an interrupted run continues from: a checkpoint by time and at epoch ends, and the metrics so far."""

from __future__ import annotations

import logging
import math
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from hprune.storage.differing import differing_keys
from hprune.storage.files import as_json, one_line, whole_file
from hprune.storage.runs import RunFolder, check_ours
from hprune.training.recorder import Recorder

log = logging.getLogger(__name__)

LAYOUT = 3
"""Of what a checkpoint holds; to be raised whenever older ones can no longer be continued from."""
STATE = "ResumeCheckpoint"
KEPT = ("hprune", "torch", "transformers", "lightning")
"""What a run has one version of from its start to its end: a checkpoint of others is not continued."""


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint straight to disk, whole or not at all; Lightning would hold a second copy in memory."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write it."""
        save_whole(checkpoint, Path(path))


def save_whole(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint whole or not at all.

    Raises:
        OSError: if that fails; torch makes of a full disk a RuntimeError about positions.
    """
    with whole_file(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(checkpoint, file)
        except RuntimeError as error:
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


@dataclass(frozen=True)
class Progress:
    """What a checkpoint of a run must hold of what the run has recorded so far."""

    callbacks: Sequence[str]
    """Callbacks whose state a checkpoint must hold."""
    ways: Sequence[str]
    samples: int
    columns: Sequence[str]
    epochs: int
    batches: int
    """Batches that an epoch of this run has."""

    @classmethod
    def of(cls, callbacks: Sequence[L.Callback], recorder: Recorder, *, epochs: int, batches: int) -> Progress:
        """What the checkpoints of a run hold that has these callbacks, and so many epochs."""
        kept = [one.state_key for one in callbacks if type(one).state_dict is not L.Callback.state_dict]
        return cls(kept, list(recorder.judged), recorder.sample_ids.size, recorder.columns, epochs, batches)


def check_checkpoint(path: Path, processes: int = 1) -> None:
    """Read a checkpoint, a file or a folder of them: its checksums, and whether a run of this version wrote it.

    Args:
        path: the file; or the folder, with a file for each of the processes.
        processes: that train the run.

    Raises:
        ValueError: if it was altered or cut off, a file is missing, or it is another version's; the message names it.
    """
    for file, _ in _files(path, processes):
        _check_readable(file)


def check_continues(
    path: Path, folder: RunFolder, versions: Mapping[str, str], progress: Progress, processes: int = 1
) -> None:
    """Check that a readable checkpoint is this run's, of these versions, with the whole record so far.

    Args:
        path: the file, or the folder with a file for each process.
        folder: of the run, or of its fold.
        versions: of this process.
        progress: what the run records.
        processes: that train the run.

    Raises:
        ValueError: naming what differs, with both values, and the ways out.
    """
    steps = set()
    for file, number in _files(path, processes):
        saved = _read(file)
        own = saved["callbacks"][STATE]
        _check_identity(file, own, {**whose(folder), "process": number})
        _check_versions(file, own.get("versions", {}), versions)
        try:
            problem = _missing(saved, progress)
            steps.add(saved["global_step"])
        except (KeyError, TypeError, AttributeError) as error:
            problem = f"its state is of another shape ({type(error).__name__}: {one_line(error)})"
        if problem is not None:
            raise ValueError(f"{file} does not hold what this run continues from: {problem}; {FROM_THE_START}")
    if len(steps) > 1:
        raise ValueError(f"{path} holds files of different steps ({sorted(steps)}); {FROM_THE_START}")


FROM_THE_START = "remove it, and the same command trains this run from the start"


def whose(folder: RunFolder) -> dict[str, Any]:
    """What a checkpoint says of the run that wrote it, as plain values: key, settings, and of which fold, if any."""
    return dict(as_json({"key": asdict(folder.key), "settings": dict(folder.settings), "fold": folder.fold}))


def _files(path: Path, processes: int) -> Iterator[tuple[Path, int]]:
    """The files of a checkpoint, each with the number of the process that wrote it."""
    if path.is_dir():
        yield from ((path / f"{number}.ckpt", number) for number in range(processes))
    else:
        yield path, 0


def _read(file: Path) -> dict[str, Any]:
    """What a checkpoint holds; its tensors stay on the disk."""
    return dict(torch.load(file, mmap=True, weights_only=True, map_location="cpu"))


def _check_readable(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, RuntimeError, EOFError, FileNotFoundError) as error:
        broken = one_line(error)
    if broken is not None:
        raise ValueError(f"{path} is not a readable checkpoint ({broken}); it was altered or cut off: {FROM_THE_START}")
    try:
        layout = _read(path)["callbacks"][STATE]["layout"]
    except OSError:
        raise
    except Exception:  # what torch's reader of plain values raises depends on what it met
        layout = None
    if layout != LAYOUT:
        raise ValueError(
            f"{path} is not a checkpoint of this version of hprune (layout {layout!r:.20}, must be {LAYOUT}): "
            f"continue with the version that wrote it, or {FROM_THE_START}"
        )


def _check_identity(file: Path, saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    differing = differing_keys({name: saved.get(name, "absent") for name in own}, own)
    if differing:
        shown = ", ".join(one.removeprefix("settings.").removeprefix("key.") for one in differing)
        raise ValueError(
            f"{file} is the checkpoint of another run, differing in {shown}; it was not continued: put it back where "
            f"it belongs, or {FROM_THE_START}"
        )


def _check_versions(file: Path, saved: Mapping[str, str], here: Mapping[str, str]) -> None:
    differing = differing_keys({name: saved.get(name, "absent") for name in KEPT}, {name: here[name] for name in KEPT})
    if differing:
        raise ValueError(
            f"{file} was written by other versions: {', '.join(differing)}. A run is of one version from its start to "
            f"its end: continue with the versions that wrote it, or {FROM_THE_START}"
        )
    if saved.get("cpu") != here["cpu"]:
        log.warning(
            "the run began on a processor of other instructions (%s there, %s here): its numbers will be close to "
            "those of an undisturbed run, not equal to the byte", saved.get("cpu"), here["cpu"],
        )  # fmt: skip


def _missing(saved: Mapping[str, Any], progress: Progress) -> str | None:
    """What a checkpoint lacks of the state of a run, in words; None: nothing."""
    lacking = [name for name in progress.callbacks if name not in saved["callbacks"]]
    lacking += [name for name in ("FineTuningData", "optimizer_states", "lr_schedulers", "loops") if name not in saved]
    if lacking:
        return f"the state of {', '.join(lacking)} is missing"
    place, recorder = saved["FineTuningData"], saved["callbacks"]["Recorder"]
    done = place["epoch"] + (place["batches"] >= progress.batches)
    if done >= progress.epochs:
        return f"it ends {done} epochs, and the run has {progress.epochs}"
    for name, kept in (("metrics", saved["callbacks"]["History"]["epochs"]), *recorder["epochs"].items()):
        if len(kept) != done:
            return f"it has the {name} of {len(kept)} epochs, and {done} were trained"
    if list(recorder["epochs"]) != list(progress.ways):
        return f"it records by {list(recorder['epochs'])}, and the run by {list(progress.ways)}"
    return _wrong_sizes(recorder, progress)


def _wrong_sizes(recorder: Mapping[str, Any], progress: Progress) -> str | None:
    """Which part of a record is not of all samples of a run; None: all are."""
    parts = [(way, epoch) for way, kept in recorder["epochs"].items() for epoch in kept]
    for way, columns in (*parts, *recorder["judged"].items()):
        there = {name: tuple(values.shape) for name, values in columns.items() if name != "seen"}
        if there != dict.fromkeys(progress.columns, (progress.samples,)):
            return f"its record by {way} has {there}, and the run {len(progress.columns)} columns of {progress.samples}"
    return None


class ResumeCheckpoint(Checkpoint):
    """Replaces one checkpoint whenever `minutes` have passed, within an epoch too, and after every epoch but the last.

    Within an epoch only where the optimiser has just stepped: gradients that wait for others are not saved.
    A `Checkpoint`, so that Lightning calls it after every other callback has closed the batch or the epoch.

    Args:
        folder: of the run that it belongs to.
        versions: of what the run's numbers depend on.
        minutes: between two.
    """

    def __init__(self, folder: RunFolder, versions: Mapping[str, str], *, minutes: float) -> None:
        self.folder, self.versions, self.seconds = folder, dict(versions), minutes * 60
        self.process = 0
        self.saved, self.steps, self.look = time.monotonic(), 0, 0
        self.resumed = 0  # how many times the run was continued
        self.spent = 0.0  # seconds of writing

    @property
    def state_key(self) -> str:
        """Where its state lies in the checkpoint."""
        return STATE

    def state_dict(self) -> dict[str, Any]:
        """In the checkpoint."""
        own = {**whose(self.folder), "process": self.process, "versions": self.versions}
        return {"resumed": self.resumed, "layout": LAYOUT, "spent": self.spent, **own}

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Learn which process this is: with FSDP each writes a file of its own."""
        self.process = trainer.global_rank

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state and count one more resume."""
        self.resumed, self.spent = state_dict["resumed"] + 1, state_dict.get("spent", 0.0)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time."""
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if stepped and not trainer.is_last_batch and self._due(trainer):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save, unless this was the last epoch."""
        if trainer.current_epoch + 1 < (trainer.max_epochs or 0):
            self._save(trainer)

    def _due(self, trainer: L.Trainer) -> bool:
        """Whether it is time, by the clock of the first process; the others hear of it again half-way there."""
        self.steps += 1
        passed = time.monotonic() - self.saved
        if trainer.world_size == 1:
            return passed >= self.seconds
        if self.steps < self.look:
            return False
        left = (self.seconds - passed) / passed * self.steps  # in steps
        left = trainer.strategy.broadcast(left)
        self.look = self.steps + math.ceil(left / 2)
        return left <= 0

    def _save(self, trainer: L.Trainer) -> None:
        started = time.monotonic()
        if trainer.is_global_zero:
            check_ours(self.folder)
        trainer.save_checkpoint(self.folder.checkpoint)
        self.saved, self.steps, self.look = time.monotonic(), 0, 0
        self.spent += self.saved - started


class History(Checkpoint):
    """The logged metrics of each epoch, as plain values; those of a validation where there was one.

    A `Checkpoint` too: called after the module has logged its own.

    Args:
        shown: the metric to say of each epoch, beside the losses.
    """

    def __init__(self, shown: str) -> None:
        self.shown = (f"validation/{shown}", "validation/loss", "train/loss")
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Append the metrics of the epoch."""
        validated = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        metrics = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()  # an earlier validation's stay
            if validated or not name.startswith("validation/")
        }
        self.epochs.append({"epoch": trainer.current_epoch, **metrics})
        shown = ", ".join(f"{name} {metrics[name]:.4f}" for name in self.shown if name in metrics)
        log.info("  epoch %d of %s: %s", trainer.current_epoch + 1, trainer.max_epochs, shown)

    def state_dict(self) -> dict[str, Any]:
        """In the checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue."""
        self.epochs = state_dict["epochs"]
