"""A checkpoint is continued by the run that wrote it, with the versions that wrote it and the whole record so far."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hprune.storage.runs import RunFolder, run_folder
from hprune.tasks.load import load_task
from hprune.training.checkpoint import LAYOUT, Progress, check_continues, save_whole
from hprune.training.run import locate
from hprune.training.settings import versions
from tests.training.test_run import interrupt, tables, trained

SETTINGS = {"optim": {"lr": 0.1}, "trainer": {"devices": 1}}
PROGRESS = Progress(["Recorder", "History", "ResumeCheckpoint"], ["train_pass"], 5, ("correct", "margin"), 3, 4)
HERE = {"hprune": "1", "torch": "2", "transformers": "3", "lightning": "4", "cpu": "AVX2"}


def folder_of(root: Path, **changes: Any) -> RunFolder:
    from hprune.science.records import RunKey

    key = RunKey("own", "tiny", "full", changes.pop("seed", 1))
    return run_folder(root, key, {**SETTINGS, **changes})


def content(folder: RunFolder, *, epoch: int = 1, batches: int = 2, process: int = 0) -> dict[str, Any]:
    """What a checkpoint after so many batches of an epoch holds."""
    done = epoch + (batches == 4)
    columns = {"correct": torch.zeros(5), "margin": torch.zeros(5)}
    own = {"key": vars(folder.key), "settings": folder.settings, "fold": folder.fold, "process": process}
    return {
        "callbacks": {
            "Recorder": {"epochs": {"train_pass": [columns] * done}, "judged": {"train_pass": columns}},
            "History": {"epochs": [{"epoch": 0}] * done},
            "ResumeCheckpoint": {"layout": LAYOUT, "versions": HERE, **own},
        },
        "FineTuningData": {"epoch": epoch, "batches": batches},
        "optimizer_states": [], "lr_schedulers": [], "loops": {}, "global_step": 4 * epoch + batches,
    }  # fmt: skip


def written(folder: RunFolder, saved: dict[str, Any]) -> Path:
    save_whole(saved, folder.checkpoint)
    return folder.checkpoint


@pytest.mark.parametrize(("epoch", "batches"), [(0, 1), (0, 4), (1, 2), (1, 4), (2, 3)])
def test_its_own_checkpoint_is_continued(tmp_path: Path, epoch: int, batches: int) -> None:
    folder = folder_of(tmp_path)
    check_continues(written(folder, content(folder, epoch=epoch, batches=batches)), folder, HERE, PROGRESS)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"seed": 2}, r"differing in seed \(2 there, 1 here\)"),
        ({"optim": {"lr": 0.2}}, r"differing in optim\.lr \(0\.2 there, 0\.1 here\)"),
    ],
)
def test_one_of_another_run_is_named_with_both_values(tmp_path: Path, other: dict[str, Any], told: str) -> None:
    folder = folder_of(tmp_path)
    path = written(folder, content(folder_of(tmp_path, **other)))
    with pytest.raises(ValueError, match=rf"resume\.ckpt is the checkpoint of another run, {told}.*remove it"):
        check_continues(path, folder, HERE, PROGRESS)


def test_one_of_another_fold_is_named(tmp_path: Path) -> None:
    first, second = (replace(folder_of(tmp_path), path=tmp_path / f"fold={k}") for k in (0, 1))
    path = written(second, content(first))
    with pytest.raises(ValueError, match=r"another run, differing in fold \(fold=0 there, fold=1 here\)"):
        check_continues(path, second, HERE, PROGRESS)


@pytest.mark.parametrize("name", ["hprune", "torch", "transformers", "lightning"])
def test_one_of_other_versions_is_named_with_both(tmp_path: Path, name: str) -> None:
    folder = folder_of(tmp_path)
    path = written(folder, content(folder))
    told = rf"other versions: {name} \({HERE[name]} there, 9 here\).*continue with the versions .*, or remove it"
    with pytest.raises(ValueError, match=told):
        check_continues(path, folder, HERE | {name: "9"}, PROGRESS)


def test_another_processor_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = folder_of(tmp_path)
    check_continues(written(folder, content(folder)), folder, HERE | {"cpu": "AVX512"}, PROGRESS)
    assert "AVX2 there, AVX512 here" in caplog.text
    assert "not equal to the byte" in caplog.text


def lacking(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(saved: dict[str, Any]) -> None:
        for part in path[:-1]:
            saved = saved[part]
        del saved[path[-1]]

    return change


def short(saved: dict[str, Any]) -> None:
    saved["callbacks"]["Recorder"]["epochs"]["train_pass"] = []


def of_more_samples(saved: dict[str, Any]) -> None:
    saved["callbacks"]["Recorder"]["judged"]["train_pass"] = dict.fromkeys(("correct", "margin"), torch.zeros(6))


def measured_otherwise(saved: dict[str, Any]) -> None:
    epochs = saved["callbacks"]["Recorder"]["epochs"]
    epochs["eval_pass"] = epochs.pop("train_pass")


def at_the_end(saved: dict[str, Any]) -> None:
    saved["FineTuningData"] = {"epoch": 2, "batches": 4}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lacking("callbacks", "Recorder"), "the state of Recorder is missing"),
        (lacking("callbacks", "History"), "the state of History is missing"),
        (lacking("FineTuningData"), "the state of FineTuningData is missing"),
        (lacking("optimizer_states"), "the state of optimizer_states is missing"),
        (lacking("callbacks", "Recorder", "judged"), "its state is of another shape"),
        (short, "it has the train_pass of 0 epochs, and 1 were trained"),
        (of_more_samples, r"its record by train_pass has .*6.*, and the run 2 columns of 5"),
        (measured_otherwise, r"it records by \['eval_pass'\], and the run by \['train_pass'\]"),
        (at_the_end, "it ends 3 epochs, and the run has 3"),
    ],
)
def test_one_without_the_whole_record_is_named(tmp_path: Path, change: Callable[[Any], None], told: str) -> None:
    folder = folder_of(tmp_path)
    saved = content(folder)
    change(saved)
    with pytest.raises(ValueError, match=rf"does not hold what this run continues from: {told}.*remove it"):
        check_continues(written(folder, saved), folder, HERE, PROGRESS)


def test_the_files_of_several_processes_are_each_ones_own(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    for number in range(2):
        save_whole(content(folder, process=number), folder.checkpoint / f"{number}.ckpt")
    check_continues(folder.checkpoint, folder, HERE, PROGRESS, 2)
    first, second = (folder.checkpoint / f"{number}.ckpt" for number in range(2))
    kept = second.read_bytes()
    save_whole(content(folder, process=1, batches=3), second)
    with pytest.raises(ValueError, match=r"resume\.ckpt holds files of different steps \(\[6, 7\]\)"):
        check_continues(folder.checkpoint, folder, HERE, PROGRESS, 2)
    second.write_bytes(first.read_bytes())
    first.write_bytes(kept)
    with pytest.raises(
        ValueError, match=r"0\.ckpt is the checkpoint of another run, differing in process \(1 there, 0"
    ):
        check_continues(folder.checkpoint, folder, HERE, PROGRESS, 2)


def test_a_checkpoint_in_the_place_of_another_seed_is_refused_and_the_way_out_works(
    compose_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    """The whole way: 0.1.0 continued it, and reported the weights of seed 1 under the name of seed 2."""
    one, two = (compose_run("trainer.checkpoint_minutes=0", "trainer.max_epochs=2", f"seed={n}") for n in (1, 2))
    undisturbed = trained(two, tmp_path / "undisturbed")
    path = interrupt(one, tmp_path, monkeypatch, 1)
    other = locate(two, load_task(two.task), None, root=tmp_path)
    other.path.mkdir(parents=True)
    shutil.copy(path / "resume.ckpt", other.checkpoint)
    with pytest.raises(ValueError, match=r"another run, differing in seed \(1 there, 2 here\).*remove it"):
        trained(two, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("hprune.training.run.versions", lambda: versions() | {"torch": "1.0"})
        with pytest.raises(ValueError, match=r"other versions: torch \(.* there, 1\.0 here\)"):
            trained(one, tmp_path)
    other.checkpoint.unlink()
    assert tables(trained(two, tmp_path)) == tables(undisturbed)
