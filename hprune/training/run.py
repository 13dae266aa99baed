"""One fine-tuning from start to finish: choose the samples, train, record, evaluate, save; or skip what is done."""

from __future__ import annotations

import functools
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import TQDMProgressBar

from hprune.science.records import RunRecord, Scores, Subset
from hprune.science.subset import choose, describe
from hprune.storage.files import one_line
from hprune.storage.lock import locked
from hprune.storage.runs import (
    RunFolder,
    check_complete,
    check_ours,
    fail_run,
    finish_run,
    run_folder,
    save_record,
    save_subset,
    start_run,
    tidy_run,
)
from hprune.tasks.load import content_hash
from hprune.tasks.spec import TaskData
from hprune.training.adapter import merged
from hprune.training.assemble import Assembled, assemble
from hprune.training.budget import StopAtStep
from hprune.training.checkpoint import (
    History,
    Progress,
    ResumeCheckpoint,
    WholeCheckpoints,
    check_checkpoint,
    check_continues,
)
from hprune.training.evaluate import evaluate
from hprune.training.flops import flop_model
from hprune.training.folds import finish_folds, folds_of
from hprune.training.guard import StopOnNonFinite, memory_given_back, memory_told
from hprune.training.ledger import cost_of
from hprune.training.pooler import PoolerFacts
from hprune.training.quiet import log_file, quiet_libraries
from hprune.training.ranks import check_outside, environment_of, nodes, outside, rank, together
from hprune.training.recorder import Recorder
from hprune.training.seeding import SeedEachStep
from hprune.training.settings import RunSpec, accelerator_of, precision_of, settings_of, versions
from hprune.training.sharding import strategy_of, take_up, whole_weights
from hprune.training.spec import TrainerSpec
from hprune.training.stopwatch import Stopwatch

log = logging.getLogger(__name__)


def fine_tune(spec: RunSpec, data: TaskData, scores: Scores | None, *, root: Path) -> RunFolder:
    """Fine-tune once, unless that run is complete.

    Args:
        spec: what to run.
        data: the task's tables (`hprune.tasks.load.load_task`).
        scores: the score table that the subset is chosen by, if it needs one.
        root: where results lie.

    Returns:
        The folder of the run, complete.

    Raises:
        ValueError: if the subset is empty, or the folder holds another run.
        FloatingPointError: if the loss is no longer a number.
        OSError: if the model cannot be loaded, the folder cannot be written, another process works in it
            (`AtWorkError`), or it is removed or replaced meanwhile (`LostFolderError`).
    """
    folder = locate(spec, data, scores, root=root)
    check_outside(spec.trainer.devices)
    if not folder.complete:
        with locked(folder.path) if outside()[0] == 0 else nullcontext() as claim:
            if not folder.complete:  # by another process, just now
                _claimed(spec, data, scores, replace(folder, claim=claim), root=root)
                return folder
    check_complete(folder)
    tidy_run(folder)
    log.info("%s is complete, skipped (%s)", folder.key, folder.path)
    if spec.trainer.save_model and not (folder.path / "model").is_dir():
        log.warning("%s was trained without trainer.save_model: move its folder away to train it again", folder.key)
    return folder


def _claimed(spec: RunSpec, data: TaskData, scores: Scores | None, folder: RunFolder, *, root: Path) -> None:
    """Run in a folder that no other process works in; a failure is noted there."""
    number, processes = outside()
    if number == 0:
        start_run(folder)
        take_up(folder.checkpoint)
    work = functools.partial(_work, spec, data, scores, folder, root)
    try:
        with memory_given_back():
            if processes == spec.trainer.devices:
                work(number)
            else:
                together(work, spec.trainer.devices)
    except Exception as error:
        fail_run(folder, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
        raise


def _work(spec: RunSpec, data: TaskData, scores: Scores | None, folder: RunFolder, root: Path, number: int) -> None:
    """What the process of this number does of a run: all of it, if it is the only one."""
    if number:
        logging.getLogger("hprune").setLevel(logging.ERROR)  # the first process says the rest
    with quiet_libraries(), log_file(folder.path / "log.txt") if number == 0 else nullcontext(), memory_told():
        subset = chosen(spec, data, scores)
        log.info("%s", describe(subset, data.train.num_rows, data.label_names))
        if spec.data.folds is None:
            _train(spec, data, subset, folder, root=root)
        else:
            _train_folds(spec, data, subset, folder, root=root)


def locate(spec: RunSpec, data: TaskData, scores: Scores | None, *, root: Path) -> RunFolder:
    """The folder of a run, by the hash of everything that shapes it but its seed."""
    return run_folder(root, spec.key, settings_of(spec, data, scores))


def chosen(spec: RunSpec, data: TaskData, scores: Scores | None) -> Subset:
    """The samples of a run, by a table of scores that belongs to this data.

    Raises:
        ValueError: as in `hprune.science.subset.choose`.
    """
    return choose(
        spec.subset,
        scores,
        sample_ids=data.train["sample_id"].to_numpy().copy(),
        labels=data.train["label"].to_numpy(),
        label_names=data.label_names,
        data_hash=data.data_hash,
        seed=spec.seed,
    )


def _train_folds(spec: RunSpec, data: TaskData, subset: Subset, folder: RunFolder, *, root: Path) -> None:
    """Train one model a fold, in a folder of its own within that of the run, and put what they recorded together."""
    if spec.subset.select is not None:
        raise ValueError(
            f"data.folds={spec.data.folds} judges every sample, so it needs subset=full; set data.folds=null"
        )
    folds = list(folds_of(spec, data, folder))
    for fold in [fold for fold in folds if not fold.folder.complete]:
        log.info("%s: %s of %d", folder.key, fold.folder.path.name, len(folds))
        if rank() == 0:
            take_up(fold.folder.checkpoint)
        _train(spec, fold.data, fold.trained, fold.folder, root=root, judged=fold.held_out)
    if rank() == 0:
        finish_folds(folder, [fold.folder for fold in folds], subset, _facts(spec, data, subset))


def _train(
    spec: RunSpec,
    data: TaskData,
    subset: Subset,
    folder: RunFolder,
    *,
    root: Path,
    judged: Subset | None = None,
) -> None:
    """Train, continuing from a checkpoint if there is one; save everything; the manifest comes last.

    Recorded are the samples that are trained on, or those of `judged`.
    """
    started = time.perf_counter()
    made = assemble(spec, data, subset, root=root)
    counted = flop_model(made.module, made.datamodule) if rank() == 0 else None
    judged = subset if judged is None else judged
    recorder, stopwatch = Recorder(judged.sample_ids, spec.ways, grand=spec.record.grand), Stopwatch()
    history, pooler = History(spec.task.kind.primary_metric), PoolerFacts(pretrained=spec.model.path is not None)
    first = [
        pooler,
        SeedEachStep(spec.seed),
        stopwatch,
        StopOnNonFinite(subset.sample_ids),
        StopAtStep(made.module.steps),
    ]
    checkpoint = ResumeCheckpoint(folder, versions(), minutes=spec.trainer.checkpoint_minutes)
    epochs = -(-made.module.steps // spec.steps_an_epoch(subset.sample_ids.size))
    callbacks = [*first, recorder, history, checkpoint]
    with _device_told(spec.trainer):
        trainer = _trainer(spec, callbacks, epochs=epochs, root=folder.path)
    resume = folder.checkpoint if folder.checkpoint.exists() else None
    if resume is not None:
        check_checkpoint(resume, spec.trainer.devices)
        progress = Progress.of(callbacks, recorder, epochs=epochs, batches=len(made.datamodule.plan))
        check_continues(resume, folder, versions(), progress, spec.trainer.devices)
        log.info("%s: continues from its checkpoint", folder.key)
    trainer.fit(made.module, datamodule=made.datamodule, ckpt_path=resume, weights_only=True if resume else None)

    if trainer.is_global_zero:
        _save_records(data, recorder, folder)
        save_subset(folder, subset)
    evaluated = time.perf_counter()
    metrics = {name: evaluate(trainer, made.module, made.datamodule, name, data, folder) for name in data.evaluation}
    evaluated = time.perf_counter() - evaluated
    if spec.trainer.save_model:
        check_ours(folder)
        _save_model(spec, data, subset, made, folder.path / "model", root=root)
    if not trainer.is_global_zero:
        return
    seconds = {
        "train": stopwatch.seconds,
        "clean_pass": recorder.clean_seconds,
        "evaluation": stopwatch.validation + evaluated,
        "checkpoint": checkpoint.spent,
        "total": time.perf_counter() - started,
    }
    cost = cost_of(spec, made, counted, steps=trainer.global_step, ways=tuple(recorder.judged), seconds=seconds)
    results = {"metrics": metrics, "epochs": history.epochs, "cost": cost, "resumed": checkpoint.resumed}
    results |= {"pooler": pooler.found} if pooler.found else {}
    finish_run(folder, _facts(spec, data, subset) | results)
    name = spec.task.kind.primary_metric
    shown = ", ".join(f"{eval_set} {name} {values[name]:.4f}" for eval_set, values in metrics.items())
    log.info("%s: %s, trained %.1f s (%s)", folder.key, shown, cost["train_seconds"], folder.path)


def _save_records(data: TaskData, recorder: Recorder, folder: RunFolder) -> None:
    """The records; a record's data hash is that of the rows that were recorded."""
    digest = data.data_hash
    if recorder.sample_ids.size < data.train.num_rows:
        recorded = np.searchsorted(data.train["sample_id"].to_numpy(), recorder.sample_ids)
        digest = content_hash(data.train.take(recorded))
    for way in recorder.judged:
        record = RunRecord(
            folder.key,
            recorder.sample_ids,
            **recorder.arrays(way),
            measured=way,
            data_hash=digest,
            settings_hash=folder.settings_hash,
        )
        save_record(folder, record)


def _save_model(spec: RunSpec, data: TaskData, subset: Subset, made: Assembled, path: Path, *, root: Path) -> None:
    """Save the weights as a model for transformers; if they are spread over devices, in a model that is whole."""
    if spec.trainer.strategy == "fsdp":
        weights = whole_weights(made.module.model)
        if rank() == 0:
            made = assemble(spec, data, subset, root=root)
            made.module.model.load_state_dict(weights)
    if rank() == 0:
        model = merged(made.module.model)
        model.config.use_cache = True  # as models come
        model.save_pretrained(path)
        made.tokenizer.save_pretrained(path)


def _facts(spec: RunSpec, data: TaskData, subset: Subset) -> dict[str, Any]:
    """What the manifest says about a run, beside its results."""
    return {
        "data_hash": data.data_hash,
        "label_names": list(data.label_names),
        "text_columns": list(data.text),
        "samples": int(subset.sample_ids.size),
        "full_samples": data.train.num_rows,
        "subset": dict(subset.provenance),
        "primary_metric": spec.task.kind.primary_metric,
        "config": dict(spec.config),
        "versions": versions(),
    }


@contextmanager
def _device_told(spec: TrainerSpec) -> Iterator[None]:
    """Name the keys where Lightning says that this machine has no such devices."""
    try:
        yield
    except MisconfigurationException as error:
        raise ValueError(
            f"trainer.accelerator={spec.accelerator}, trainer.devices={spec.devices}, trainer.precision="
            f"{spec.precision}: {one_line(error)}"
        ) from error


def _trainer(spec: RunSpec, callbacks: list[L.Callback], *, epochs: int, root: Path) -> L.Trainer:
    accelerator = accelerator_of(spec.trainer)
    bar = [TQDMProgressBar(refresh_rate=10, leave=False)] if spec.trainer.progress and sys.stderr.isatty() else []
    machines = nodes()
    return L.Trainer(
        max_epochs=epochs,
        check_val_every_n_epoch=spec.epochs_a_validation(epochs),
        accelerator=accelerator,
        devices=spec.trainer.devices // machines,
        num_nodes=machines,
        strategy=strategy_of(spec.trainer),
        precision=precision_of(spec.trainer, accelerator),  # type: ignore[arg-type]
        accumulate_grad_batches=spec.trainer.accumulate,
        gradient_clip_val=spec.optim.clip or None,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=bool(bar),
        callbacks=[*callbacks, *bar],
        plugins=[WholeCheckpoints(), environment_of()],
        default_root_dir=root,
    )
