"""A run is repeatable to the bit, continues after an interruption as if undisturbed, and is never trained twice."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import hprune.training.run as run_module
from hprune.data.datamodule import PlannedBatches
from hprune.storage.lock import AtWorkError, LostFolderError, at_work, locked
from hprune.storage.runs import RunFolder, load_record, read_manifest, state_of
from hprune.tasks.load import load_task
from hprune.training.assemble import assemble
from hprune.training.checkpoint import LAYOUT, check_checkpoint, save_whole
from hprune.training.guard import memory_told
from hprune.training.run import fine_tune, locate
from hprune.training.settings import settings_of


def trained(spec: Any, root: Path) -> RunFolder:
    return fine_tune(spec, load_task(spec.task), None, root=root)


def tables(folder: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.path.glob("*.parquet"))}


OPT = {
    "model_type": "opt", "hidden_size": 16, "word_embed_proj_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "ffn_dim": 32, "max_position_embeddings": 64,
}  # fmt: skip


@pytest.mark.parametrize("config", [None, OPT], ids=["roberta", "opt"])
def test_the_same_command_twice_gives_the_same_bytes(compose_run, tmp_path: Path, config: Any) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("record=both", "trainer.max_epochs=2")
    if config is not None:
        spec = replace(spec, model=replace(spec.model, name="tiny_opt", config=config))
    first, second = trained(spec, tmp_path / "a"), trained(spec, tmp_path / "b")
    assert list(tables(first)) == [
        "predictions.test.parquet",
        "predictions.validation.parquet",
        "record.eval_pass.parquet",
        "record.train_pass.parquet",
        "subset.parquet",
    ]
    assert tables(first) == tables(second)
    other = trained(replace(spec, seed=2), tmp_path / "a")
    assert tables(other)["record.train_pass.parquet"] != tables(first)["record.train_pass.parquet"]
    assert other.path.parent == first.path.parent


class Stop(L.Callback):
    """Raises in the middle of an epoch, as a power cut would."""

    def __init__(self, epoch: int, error: type[BaseException], batch: int = 3) -> None:
        self.epoch, self.error, self.batch = epoch, error, batch

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == self.epoch and batch_idx == self.batch:
            raise self.error("stopped by the test")


@pytest.mark.parametrize("order", ["fixed", "reshuffled"])
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_an_interrupted_run_ends_with_the_same_bytes(
    compose_run, tmp_path: Path, monkeypatch, order: str, epoch: int
) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("record=both", f"data.order={order}", "trainer.accumulate=2")
    undisturbed = trained(spec, tmp_path / "undisturbed")
    build = run_module._trainer
    with monkeypatch.context() as patch:
        patch.setattr(
            run_module,
            "_trainer",
            lambda spec, callbacks, **how: build(spec, [*callbacks, Stop(epoch, RuntimeError)], **how),
        )
        with pytest.raises(RuntimeError, match="stopped by the test"):
            trained(spec, tmp_path / "broken")
    folder = locate(spec, load_task(spec.task), None, root=tmp_path / "broken")
    assert state_of(folder.path) == "failed"
    assert folder.checkpoint.exists() == (epoch > 0)
    continued = trained(spec, tmp_path / "broken")
    assert tables(continued) == tables(undisturbed)
    assert read_manifest(continued.path)["epochs"] == read_manifest(undisturbed.path)["epochs"]
    assert not folder.checkpoint.exists()
    assert not (folder.path / "failure.json").exists()


def interrupt(spec: Any, root: Path, monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int = 3) -> Path:
    """Train until a batch of an epoch, and stop: the folder of the run."""
    build = run_module._trainer
    stop = Stop(epoch, RuntimeError, batch)
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "_trainer", lambda spec, callbacks, **how: build(spec, [*callbacks, stop], **how))
        with pytest.raises(RuntimeError, match="stopped by the test"):
            trained(spec, root)
    return locate(spec, load_task(spec.task), None, root=root).path


@pytest.mark.parametrize("batch", [0, 4, 9])  # of ten: the last one is left to the end of the epoch
@pytest.mark.parametrize("epoch", [0, 2])
@pytest.mark.parametrize(
    "options",
    [
        ("record=both",),
        ("trainer.accumulate=3", "data.order=reshuffled"),
        ("data.workers=2",),
        ("model/adapter=lora",),
        ("data.batch_size=53",),  # the last batch is one sample
    ],
)
def test_a_run_continues_within_an_epoch_and_ends_with_the_same_bytes(
    compose_run, tmp_path: Path, monkeypatch, options: tuple[str, ...], epoch: int, batch: int
) -> None:  # type: ignore[no-untyped-def]
    if "data.batch_size=53" in options:
        batch = min(batch, 2)
    spec = compose_run("trainer.checkpoint_minutes=0", *options)
    undisturbed = trained(spec, tmp_path / "undisturbed")
    path = interrupt(spec, tmp_path / "broken", monkeypatch, epoch, batch)
    if (path / "resume.ckpt").exists():
        saved = torch.load(path / "resume.ckpt", weights_only=True)["FineTuningData"]
        accumulate = 3 if "trainer.accumulate=3" in options else 1
        batches = 4 if "data.batch_size=53" in options else 10
        done = max(n for n in range(batch + 1) if n % accumulate == 0)
        assert saved["epoch"] * batches + saved["batches"] == epoch * batches + done, "the last step before it stopped"
    else:
        assert (epoch, batch) == (0, 0)
    continued = trained(spec, tmp_path / "broken")
    assert tables(continued) == tables(undisturbed)
    manifests = [read_manifest(folder.path) for folder in (continued, undisturbed)]
    assert manifests[0]["epochs"] == manifests[1]["epochs"]
    assert manifests[0]["cost"]["steps"] == manifests[1]["cost"]["steps"]
    assert not [file.name for file in path.iterdir() if file.name.startswith(".") or file.name == "resume.ckpt"]


@pytest.mark.parametrize("how", ["cut off", "a byte changed", "empty"])
def test_a_broken_checkpoint_is_named(compose_run, tmp_path: Path, monkeypatch, how: str) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("trainer.checkpoint_minutes=0")
    checkpoint = interrupt(spec, tmp_path, monkeypatch, 1) / "resume.ckpt"
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes({"cut off": content[:-1000], "a byte changed": content, "empty": b""}[how])
    with pytest.raises(ValueError, match=r"resume.ckpt is not a readable checkpoint .*remove it"):
        trained(spec, tmp_path)
    checkpoint.unlink()
    assert trained(spec, tmp_path).complete


def test_a_checkpoint_that_was_copied_in_part_is_named(tmp_path: Path) -> None:
    whole = {"callbacks": {"ResumeCheckpoint": {"layout": LAYOUT}}}
    (tmp_path / "resume.ckpt").mkdir()
    for number in range(2):
        save_whole(whole, tmp_path / f"resume.ckpt/{number}.ckpt")
    check_checkpoint(tmp_path / "resume.ckpt", 2)
    with pytest.raises(
        ValueError, match=r"resume\.ckpt/2\.ckpt is not a readable checkpoint .*No such file.*remove it"
    ):
        check_checkpoint(tmp_path / "resume.ckpt", 3)


@pytest.mark.parametrize("change", ["another layout", "no callbacks", "other content", "code"])
def test_a_checkpoint_of_another_version_is_named(compose_run, tmp_path: Path, monkeypatch, change: str) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("trainer.checkpoint_minutes=0")
    checkpoint = interrupt(spec, tmp_path, monkeypatch, 1) / "resume.ckpt"
    saved = torch.load(checkpoint, weights_only=True)
    if change == "another layout":
        saved["callbacks"]["ResumeCheckpoint"]["layout"] = 0
    elif change == "no callbacks":
        del saved["callbacks"]
    torch.save({"other content": [1, 2], "code": Stop(0, ValueError, 0)}.get(change, saved), checkpoint)
    with pytest.raises(ValueError, match=r"resume.ckpt is not a checkpoint of this version of hprune .*or remove it"):
        trained(spec, tmp_path)


def test_what_a_kill_left_beside_a_complete_run_goes(compose_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("trainer.max_epochs=1")
    folder = trained(spec, tmp_path)
    whole = {file.name for file in folder.path.iterdir()}
    for name in (".lock", ".owner.json", "resume.ckpt", ".run.json.host-1.99.tmp"):
        (folder.path / name).write_bytes(b"left")
    trained(spec, tmp_path)
    assert {file.name for file in folder.path.iterdir()} == whole


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """Not by what torch says of positions in its file."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
    try:
        with pytest.raises(OSError, match=r"cannot write .*resume\.ckpt: File too large; nothing was changed there"):
            save_whole({"weights": torch.zeros(10_000)}, tmp_path / "resume.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")])
def test_too_little_memory_is_told(error: RuntimeError) -> None:
    with pytest.raises(MemoryError, match=r"not enough memory .*lower data.batch_size"), memory_told():
        raise error


def test_adapters_have_small_checkpoints(compose_run, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("model/adapter=lora", "trainer.checkpoint_minutes=0")
    checkpoint = interrupt(spec, tmp_path, monkeypatch, 0) / "resume.ckpt"
    names = set(torch.load(checkpoint, weights_only=True)["state_dict"])
    assert names
    assert all("lora" in name or "classifier" in name for name in names)


def test_a_folder_at_work_is_refused(compose_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("trainer.max_epochs=1")
    path = locate(spec, load_task(spec.task), None, root=tmp_path).path
    with locked(path), pytest.raises(OSError, match=rf"is being worked on by process {os.getpid()} on .* since"):
        trained(spec, tmp_path)
    assert not list(path.iterdir())
    assert trained(spec, tmp_path).complete


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(OSError, match=r"without locks .flock.*paths\.root=FOLDER"), locked(tmp_path):
        pass


def test_another_process_is_refused(compose_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """And a lock that a killed one left is none, even where its number is now that of a process that lives."""
    spec = compose_run("trainer.max_epochs=1")
    path = locate(spec, load_task(spec.task), None, root=tmp_path).path
    holds = (
        "import sys, time, pathlib; from hprune.storage.lock import locked\nwith locked(pathlib.Path(sys.argv[1])): "
    )
    with subprocess.Popen(
        [sys.executable, "-c", holds + "print(1, flush=True); time.sleep(600)", path], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(OSError, match=rf"is being worked on by process {other.pid} on .* since"):
            trained(spec, tmp_path)
        assert at_work(path)
        other.kill()
    who = json.loads((path / ".owner.json").read_text())
    (path / ".owner.json").write_text(json.dumps(who | {"pid": os.getpid()}))
    assert (path / ".lock").exists()
    assert trained(spec, tmp_path).complete
    assert not at_work(path)


class Once(L.Callback):
    """Does something at the first batch of the second epoch."""

    def __init__(self, act: Any) -> None:
        self.act = act

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (1, 0):
            self.act()


def training_with(act: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let something happen while runs train."""
    build = run_module._trainer
    monkeypatch.setattr(run_module, "_trainer", lambda spec, given, **how: build(spec, [*given, Once(act)], **how))


def but_log(path: Path) -> dict[str, bytes]:
    """The files of a folder but for the log, in which this process writes down whatever hprune says in it."""
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name != "log.txt"}


def test_a_run_whose_folder_is_removed_ends_by_name_and_makes_no_new_one(
    compose_run, tmp_path: Path, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("trainer.max_epochs=2")
    path = locate(spec, load_task(spec.task), None, root=tmp_path).path
    training_with(lambda: shutil.rmtree(path), monkeypatch)
    with pytest.raises(LostFolderError, match="was removed or replaced while a run was under way there"):
        trained(spec, tmp_path)
    assert not path.exists()


def test_a_double_start_where_every_lock_is_granted_leaves_one_whole_run(
    compose_run, tmp_path: Path, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("trainer.max_epochs=2", "trainer.checkpoint_minutes=0")
    undisturbed = trained(spec, tmp_path / "undisturbed")
    path = locate(spec, load_task(spec.task), None, root=tmp_path).path
    refused = []

    def start_again() -> None:
        before = but_log(path)
        with pytest.raises(AtWorkError, match=rf"is being worked on by process {os.getpid()} on"):
            trained(spec, tmp_path)
        refused.append(but_log(path) == before)

    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    training_with(start_again, monkeypatch)
    assert tables(trained(spec, tmp_path)) == tables(undisturbed)
    assert refused == [True]
    assert not [file for file in path.iterdir() if file.name.startswith(".") or file.name == "failure.json"]


def test_a_complete_run_is_skipped(compose_run, tmp_path: Path, caplog) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("trainer.max_epochs=1")
    with caplog.at_level("INFO"):
        folder = trained(spec, tmp_path)
        before = {path: path.stat().st_mtime_ns for path in folder.path.iterdir()}
        assert "is complete, skipped" not in caplog.text
        trained(spec, tmp_path)
    assert "is complete, skipped" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in folder.path.iterdir()} == before


def test_a_folder_of_other_settings_is_refused(compose_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("trainer.max_epochs=1")
    folder = locate(spec, load_task(spec.task), None, root=tmp_path)
    folder.path.mkdir(parents=True)
    there = json.loads(json.dumps(dict(folder.settings)))
    there["optim"]["lr"] = 0.5
    (folder.path / "identity.json").write_text(json.dumps({"key": asdict(folder.key), "settings": there}))
    with pytest.raises(ValueError, match=r"other settings, differing in optim\.lr \(0\.5 there, 0\.001 here\)"):
        trained(spec, tmp_path)


@pytest.mark.parametrize(
    "override", ["optim.lr=1e-2", "data.batch_size=8", "data.batching=random", "trainer.max_epochs=4", "record=both",
                 "model.vocab_size=400", "trainer.threads=2", "task.max_train_samples=100", "data.order=reshuffled",
                 "trainer.accumulate=2"],
)  # fmt: skip
def test_settings_tell_apart_what_shapes_a_run(compose_run, override: str) -> None:  # type: ignore[no-untyped-def]
    plain, changed = compose_run(), compose_run(override)
    assert settings_of(plain, load_task(plain.task), None) != settings_of(changed, load_task(changed.task), None)


@pytest.mark.parametrize(
    "override", ["seed=9", "data.workers=1", "trainer.progress=false", "study=other", "paths.root=elsewhere"]
)
def test_settings_leave_out_what_does_not(compose_run, override: str) -> None:  # type: ignore[no-untyped-def]
    plain, changed = compose_run(), compose_run(override)
    assert settings_of(plain, load_task(plain.task), None) == settings_of(changed, load_task(changed.task), None)


def test_a_learning_rate_of_pruned_runs_is_for_subsets_only(compose_run) -> None:  # type: ignore[no-untyped-def]
    for subset, given, used in (
        ("full", "null", 2e-3),
        ("full", "5e-4", 2e-3),
        ("winning_ticket", "null", 2e-3),
        ("winning_ticket", "5e-4", 5e-4),
        ("random_like", "5e-4", 5e-4),
    ):
        spec = compose_run(f"subset={subset}", "optim.lr=2e-3", f"optim.pruned_lr={given}")
        assert (spec.optim.lr, spec.optim.pruned_lr) == (used, None), (subset, given)
        asked = None if given == "null" else float(given)
        assert (spec.config["optim"]["lr"], spec.config["optim"]["pruned_lr"]) == (2e-3, asked), "as it was asked for"


def test_a_learning_rate_is_the_same_setting_however_it_was_given(compose_run) -> None:  # type: ignore[no-untyped-def]
    data = load_task(compose_run().task)

    def settings(*overrides: str) -> dict[str, Any]:
        return settings_of(compose_run(*overrides), data, None)

    full = settings("optim.lr=2e-3")
    assert settings("optim.lr=2e-3", "optim.pruned_lr=5e-4") == full, "of the full set nothing changes"
    assert "pruned_lr" not in full["optim"]
    ticket = ("subset=winning_ticket", "optim.lr=2e-3", "optim.pruned_lr=5e-4")
    assert settings(*ticket) == settings("subset=winning_ticket", "optim.lr=5e-4")
    assert settings(*ticket) != settings("subset=winning_ticket", "optim.lr=2e-3")


def test_nan_stops_the_run_and_names_where(compose_run, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run()
    kind = type(spec.task.kind)
    calls = {"n": 0}
    real = kind.loss

    def loss(self: Any, outputs: torch.Tensor, batch: Any) -> torch.Tensor:
        calls["n"] += 1
        return real(self, outputs, batch) * (torch.nan if calls["n"] == 3 else 1.0)

    monkeypatch.setattr(kind, "loss", loss)
    data = load_task(spec.task)
    with pytest.raises(FloatingPointError, match=r"the loss is nan in epoch 1, batch 3, sample ids \[") as caught:
        fine_tune(spec, data, None, root=tmp_path)
    shown, _, rest = str(caught.value).split("sample ids ")[1].split(";")[0].partition(" and ")
    folder = locate(spec, data, None, root=tmp_path)
    assert state_of(folder.path) == "failed"
    lengths = np.load(next((tmp_path / "cache/tokens").glob("*/offsets.npy")))
    assert len(json.loads(shown)) == 10
    assert rest == f"{spec.data.batch_size - 10} more"
    assert lengths.size > 0


def test_train_seconds_count_training_only(compose_run, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    import time

    from hprune.training.module import FineTuner

    real = FineTuner.on_validation_epoch_end

    def slow(self: FineTuner) -> None:
        time.sleep(0.4)
        real(self)

    monkeypatch.setattr(FineTuner, "on_validation_epoch_end", slow)
    cost = read_manifest(trained(compose_run("trainer.max_epochs=4"), tmp_path).path)["cost"]
    assert cost["total_seconds"] - cost["train_seconds"] > 1.6
    assert 0 <= cost["padded_share"] < 1


def test_weights_that_diverge_in_the_last_step_are_refused(compose_run, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from hprune.training.module import FineTuner

    spec, real = compose_run("trainer.max_epochs=1"), FineTuner.on_validation_epoch_end

    def diverge(self: FineTuner) -> None:
        real(self)  # in the only epoch: nothing trains after it
        with torch.no_grad():
            next(self.model.parameters()).fill_(torch.nan)

    monkeypatch.setattr(FineTuner, "on_validation_epoch_end", diverge)
    data = load_task(spec.task)
    with pytest.raises(FloatingPointError, match="the model gives no numbers on validation"):
        fine_tune(spec, data, None, root=tmp_path)
    assert state_of(locate(spec, data, None, root=tmp_path).path) == "failed"


def test_an_answer_that_is_no_number_is_refused_in_training_too(compose_run, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("trainer.max_epochs=1")

    def nothing(self: Any, outputs: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        return {"logits": outputs * torch.nan}

    monkeypatch.setattr(type(spec.task.kind), "answer", nothing)
    with pytest.raises(FloatingPointError, match="the model gives no numbers on validation"):
        trained(spec, tmp_path)


def test_tokens_are_made_once(compose_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for seed in (1, 2, 3):
        trained(compose_run("trainer.max_epochs=1", f"seed={seed}"), tmp_path)
    assert len(list((tmp_path / "cache/tokens").iterdir())) == 3  # train, validation, test


def test_predictions_give_the_metrics_back(compose_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run("trainer.max_epochs=2")
    folder = trained(spec, tmp_path)
    manifest = read_manifest(folder.path)
    data = load_task(spec.task)
    for name, metrics in manifest["metrics"].items():
        table = pq.read_table(folder.path / f"predictions.{name}.parquet")
        assert table["sample_id"].to_pylist() == data.evaluation[name]["sample_id"].to_pylist()
        assert table["label"].to_pylist() == data.evaluation[name]["label"].to_pylist()
        right = np.mean(table["pred"].to_numpy() == table["label"].to_numpy())
        assert metrics["accuracy"] == pytest.approx(right)
        probabilities = np.stack([table["prob_0"].to_numpy(), table["prob_1"].to_numpy()])
        np.testing.assert_allclose(probabilities.sum(axis=0), 1, rtol=1e-5)
    assert manifest["epochs"][-1]["validation/accuracy"] == pytest.approx(manifest["metrics"]["validation"]["accuracy"])


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_other_precisions_train_clip_and_record(precision: str, compose_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """The same run in other numbers: near the record of 32 bits, and further from it where there are fewer."""
    calm = ("+model.config.hidden_dropout_prob=0.0", "+model.config.attention_probs_dropout_prob=0.0")
    records = [
        load_record(
            trained(compose_run(f"trainer.precision={p}", "trainer.max_epochs=1", *calm), tmp_path).path, "train_pass"
        )
        for p in (precision, "32-true")
    ]
    apart = np.abs(records[0].true_prob - records[1].true_prob).max()
    assert (1e-12 < apart < 1e-5) if precision == "64-true" else (1e-6 < apart < 0.1)


def test_the_record_is_what_a_plain_loop_sees(compose_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """An independent training loop, padded, dropout off, gives the same correctness and probabilities."""
    from transformers import get_linear_schedule_with_warmup

    spec = compose_run(
        "trainer.max_epochs=2",
        "+model.config.hidden_dropout_prob=0.0",
        "+model.config.attention_probs_dropout_prob=0.0",
        "record=both",
    )
    data = load_task(spec.task)
    folder = trained(spec, tmp_path)
    record = load_record(folder.path, "train_pass")

    from hprune.science.subset import choose

    subset = choose(
        spec.subset, None, sample_ids=data.train["sample_id"].to_numpy().copy(), labels=data.train["label"].to_numpy(),
        label_names=data.label_names, data_hash=data.data_hash, seed=spec.seed,
    )  # fmt: skip
    parts = assemble(replace(spec, data=replace(spec.data, packed=False)), data, subset, root=tmp_path)
    module, datamodule = parts.module, parts.datamodule
    optimizer = torch.optim.AdamW(module.model.parameters(), lr=spec.optim.lr, weight_decay=0.0)
    plan = PlannedBatches(datamodule.train.lengths, spec.data, spec.seed)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, 2 * len(plan))
    probability = np.zeros((2, len(datamodule.train.positions)), dtype=np.float32)
    for epoch in range(2):
        for rows in plan.batches():
            batch = datamodule.train[rows]
            out = module.model(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["labels"]
            )
            probability[epoch, rows] = out.logits.softmax(-1).gather(1, batch["labels"][:, None])[:, 0].detach()
            out.loss.backward()
            torch.nn.utils.clip_grad_norm_(module.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    np.testing.assert_allclose(record.true_prob, probability, atol=2e-4)
    clear = np.abs(probability - 0.5) > 1e-3
    assert (record.correct == (probability > 0.5))[clear].all()
    module.model.eval()
    with torch.no_grad():
        batch = datamodule.train[np.arange(160)]
        logits = module.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    clean = load_record(folder.path, "eval_pass").true_prob[-1]
    np.testing.assert_allclose(clean, logits.softmax(-1).gather(1, batch["labels"][:, None])[:, 0].numpy(), atol=2e-4)
