"""One fine-tuning from start to finish: choose the samples, train, record, evaluate, save; or skip what is done."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import transformers
from lightning.pytorch.callbacks import Timer, TQDMProgressBar

from hprune.data.datamodule import Encoded, FineTuningData
from hprune.data.tokenise import TokenTable, cached_tokens
from hprune.science.records import RunRecord, Scores, Subset
from hprune.science.subset import choose, describe
from hprune.storage.files import sha256_of_json
from hprune.storage.runs import RunFolder, fail_run, finish_run, run_folder, save_record, save_subset, start_run
from hprune.tasks.load import content_hash
from hprune.tasks.spec import TaskData, TaskKind, settings_of_kind
from hprune.training.build import load_model, load_tokenizer, longest_input
from hprune.training.checkpoint import EpochCheckpoint, History
from hprune.training.evaluate import evaluate
from hprune.training.guard import StopOnNonFinite
from hprune.training.module import FineTuner
from hprune.training.recorder import Recorder
from hprune.training.seeding import SeedEachStep
from hprune.training.settings import RunSpec, accelerator_of, precision_of, settings_of, versions

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
        ValueError: if the subset is empty, or the folder holds a run of other settings.
        FloatingPointError: if the loss is no longer a number.
        OSError: if the model cannot be loaded or the folder cannot be written.
    """
    folder = locate(spec, data, scores, root=root)
    if folder.complete:
        log.info("%s is complete, skipped (%s)", folder.key, folder.path)
        return folder
    start_run(folder)
    try:
        with _quiet_libraries():
            _train(spec, data, scores, folder, root=root)
    except Exception as error:
        fail_run(folder, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
        raise
    return folder


def locate(spec: RunSpec, data: TaskData, scores: Scores | None, *, root: Path) -> RunFolder:
    """The folder of a run, by the hash of everything that shapes it but its seed."""
    return run_folder(root, spec.key, settings_of(spec, data, scores))


def _train(spec: RunSpec, data: TaskData, scores: Scores | None, folder: RunFolder, *, root: Path) -> None:
    started = time.perf_counter()
    train_ids = data.train["sample_id"].to_numpy().copy()
    labels = data.train["label"].to_numpy()
    subset = choose(
        spec.subset, scores, sample_ids=train_ids, labels=labels, label_names=data.label_names, data_hash=data.data_hash, seed=spec.seed
    )  # fmt: skip
    log.info("%s", describe(subset, train_ids.size, data.label_names))
    module, datamodule, truncated = _assemble(spec, data, subset, root=root)
    recorder, history, timer = Recorder(subset.sample_ids, spec.record.ways), History(), Timer()
    callbacks = [
        SeedEachStep(spec.seed),
        StopOnNonFinite(subset.sample_ids),
        recorder,
        history,
        timer,
        EpochCheckpoint(folder.checkpoint),
    ]
    trainer = _trainer(spec, callbacks, root=folder.path)
    resume = folder.checkpoint if folder.checkpoint.exists() else None
    if resume is not None:
        log.info("%s: continues from its checkpoint", folder.key)
    trainer.fit(module, datamodule=datamodule, ckpt_path=resume, weights_only=True if resume else None)
    fitted = time.perf_counter()

    for way in spec.record.ways:
        key, arrays = folder.key, recorder.arrays(way)
        save_record(
            folder,
            RunRecord(
                key,
                subset.sample_ids,
                **arrays,
                measured=way,
                data_hash=content_hash_of_subset(data, subset),
                settings_hash=folder.settings_hash,
            ),
        )
    save_subset(folder, subset)
    metrics = {name: evaluate(trainer, module, datamodule, name, data, folder.path) for name in datamodule.evaluation}
    if spec.trainer.save_model:
        module.model.save_pretrained(folder.path / "model")
    cost = {
        "train_seconds": timer.time_elapsed("train") - timer.time_elapsed("validate"),
        "evaluation_seconds": timer.time_elapsed("validate") + time.perf_counter() - fitted,
        "total_seconds": time.perf_counter() - started,
        "steps": trainer.global_step,
        "samples": int(subset.sample_ids.size),
        "tokens_truncated_samples": truncated,
    }
    finish_run(
        folder,
        {
            "data_hash": data.data_hash,
            "label_names": list(data.label_names),
            "text_columns": list(data.text),
            "samples": int(subset.sample_ids.size),
            "full_samples": int(train_ids.size),
            "subset": dict(subset.provenance),
            "primary_metric": spec.task.kind.primary_metric,
            "metrics": metrics,
            "epochs": history.epochs,
            "cost": cost,
            "config": dict(spec.config),
            "versions": versions(),
        },
    )
    shown = ", ".join(
        f"{name} {spec.task.kind.primary_metric} {values[spec.task.kind.primary_metric]:.4f}"
        for name, values in metrics.items()
    )
    log.info("%s: %s, trained %.1f s (%s)", folder.key, shown, cost["train_seconds"], folder.path)


def content_hash_of_subset(data: TaskData, subset: Subset) -> str:
    """The data hash of the rows that were recorded: that of the train table, or of its kept part."""
    if subset.sample_ids.size == data.train.num_rows:
        return data.data_hash
    return content_hash(data.train.take(np.searchsorted(data.train["sample_id"].to_numpy(), subset.sample_ids)))


def _assemble(spec: RunSpec, data: TaskData, subset: Subset, *, root: Path) -> tuple[FineTuner, FineTuningData, int]:
    """The module and the data module, and how many train samples were longer than the model takes."""
    L.seed_everything(spec.seed, verbose=False)  # before the model is built: its head is random
    if spec.trainer.threads is not None:
        torch.set_num_threads(spec.trainer.threads)
    texts = [data.train[column].to_pylist() for column in data.text]
    tokenizer = load_tokenizer(spec.model, texts)
    model = load_model(spec.model, spec.task.kind, label_names=data.label_names, tokenizer=tokenizer)
    longest = longest_input(model, tokenizer, spec.data.max_length)

    def encoded(name: str, table: Any, digest: str) -> Encoded:
        tokens = _tokens(spec.task.kind, tokenizer, table, digest, data.text, longest, root=root)
        if tokens.truncated:
            log.warning(
                "%s: %d of %d samples are longer than %d tokens and were cut",
                name,
                tokens.truncated,
                table.num_rows,
                longest,
            )
        return Encoded(tokens, table["label"].to_numpy())

    train = encoded("train", data.train, data.data_hash)
    evaluation = {name: encoded(name, table, data.evaluation_hashes[name]) for name, table in data.evaluation.items()}
    kept = np.searchsorted(data.train["sample_id"].to_numpy(), subset.sample_ids)
    batches = replace(spec.data, max_length=longest)
    datamodule = FineTuningData(train, kept, evaluation, batches, pad_id=tokenizer.pad_token_id, seed=spec.seed)
    module = FineTuner(model, spec.task.kind, len(data.label_names), spec.optim)
    return module, datamodule, train.tokens.truncated


def _tokens(
    kind: TaskKind, tokenizer: Any, table: Any, digest: str, text: tuple[str, ...], longest: int, *, root: Path
) -> TokenTable:
    identity = [settings_of_kind(kind), tokenizer.backend_tokenizer.to_str(), digest, list(text), longest]
    folder = root / "cache" / "tokens" / sha256_of_json(identity)[:16]
    return cached_tokens(
        folder, lambda: kind.encode(tokenizer, [table[column].to_pylist() for column in text], longest)
    )


def _trainer(spec: RunSpec, callbacks: list[L.Callback], *, root: Path) -> L.Trainer:
    accelerator = accelerator_of(spec.trainer)
    bar = [TQDMProgressBar(refresh_rate=10, leave=False)] if spec.trainer.progress and sys.stderr.isatty() else []
    return L.Trainer(
        max_epochs=spec.trainer.max_epochs,
        accelerator=accelerator,
        devices=spec.trainer.devices,
        precision=precision_of(spec.trainer, accelerator),  # type: ignore[arg-type]
        accumulate_grad_batches=spec.trainer.accumulate,
        gradient_clip_val=spec.optim.clip or None,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=True,
        enable_model_summary=False,
        enable_progress_bar=bool(bar),
        callbacks=[*callbacks, *bar],
        default_root_dir=root,
    )


@contextmanager
def _quiet_libraries() -> Any:
    """Keep advice that does not apply here off the screen; real warnings stay."""
    level, lightning_log = transformers.logging.get_verbosity(), logging.getLogger("lightning.pytorch")
    transformers.logging.set_verbosity_error()  # "newly initialised weights: classifier", which is the point
    transformers.logging.disable_progress_bar()
    lightning_log.setLevel(logging.WARNING)  # Lightning sets INFO when it is imported
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*does not have many workers.*"
        )  # batches are made in under 2% of a step
        warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # lightning 2.6 with torch 2.13
        try:
            yield
        finally:
            transformers.logging.set_verbosity(level)
