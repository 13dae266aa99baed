"""A run is taken for another one nowhere: files and folders in the place of others are refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hprune.science.records import RunKey, RunRecord, Subset
from hprune.storage.bound import check_bound, check_record_facts, check_same_run, place_of
from hprune.storage.dynamics import StoredDynamics
from hprune.storage.manifests import read_identity, read_manifest
from hprune.storage.runs import (
    RunFolder,
    check_complete,
    finish_run,
    load_record,
    load_subset,
    run_folder,
    save_record,
    save_subset,
    start_run,
)
from hprune.storage.studies import add_run, runs_of, study_folder

IDS = np.arange(6)


def complete(root: Path, subset: str, seed: int, model: str = "tiny", **settings: object) -> RunFolder:
    folder = run_folder(root, RunKey("own", model, subset, seed), {"lr": 0.1, **settings})
    start_run(folder)
    right = np.ones((2, IDS.size), dtype=bool)
    real = np.full(right.shape, seed / 100, dtype=np.float32)
    save_record(folder, RunRecord(
        folder.key, IDS, right, real, real, real, measured="train_pass", data_hash="d",
        settings_hash=folder.settings_hash,
    ))  # fmt: skip
    save_subset(folder, Subset(subset, IDS[seed % 3 :].copy(), "d", {}))
    finish_run(folder, {})
    return folder


def test_the_place_of_a_run_is_that_of_its_folder(tmp_path: Path) -> None:
    folder = complete(tmp_path, "full", 3)
    assert tmp_path / place_of(folder.key, folder.settings_hash) == folder.path
    check_complete(folder)
    assert read_manifest(folder.path)["key"]["seed"] == 3
    shutil.copytree(folder.path, tmp_path / "elsewhere" / folder.path.parent.name / "seed=3")  # to look at it there
    assert read_manifest(tmp_path / "elsewhere" / folder.path.parent.name / "seed=3")
    shutil.copytree(folder.path, folder.path / "fold=0")
    assert read_manifest(folder.path / "fold=0")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("full", 2, "tiny", 0.1), r"seed 3, not 2"),
        (("ticket", 3, "tiny", 0.1), r"subset full, not ticket"),
        (("full", 3, "tiny", 0.2), r"settings hash \w{8}, not \w{8}"),
        (("full", 3, "other", 0.1), r"model tiny, not other"),
    ],
)
def test_a_run_that_was_copied_into_the_place_of_another_is_refused(
    tmp_path: Path, place: tuple[str, int, str, float], message: str
) -> None:
    run = complete(tmp_path, "full", 3)
    subset, seed, model, rate = place
    there = run_folder(tmp_path, RunKey("own", model, subset, seed), {"lr": rate})
    shutil.copytree(run.path, there.path)
    add_run(tmp_path, "s", there, "comparison", (1,))
    (found,) = runs_of(tmp_path, "s")
    way_out = r"its place is runs/own/tiny/full-\w{8}/seed=3 below the root.*move .* away"
    readers: list[Callable[[], object]] = [
        lambda: read_manifest(found.path),
        lambda: read_identity(found.path),
        lambda: load_record(found.path, "train_pass"),
        lambda: StoredDynamics.open([found.path], "train_pass"),
        lambda: check_complete(there),  # `study` and `train` would skip it
    ]
    for read in readers:
        with pytest.raises(ValueError, match=rf"is of another run \(.*{message}.*{way_out}"):
            read()


def test_a_run_beside_its_place_is_no_other_ones(tmp_path: Path) -> None:
    """By the whole hash, of which the folder has eight digits."""
    folder = complete(tmp_path, "full", 3)
    manifest = read_manifest(folder.path)
    with pytest.raises(ValueError, match="is of another run"):
        check_same_run(folder.manifest, manifest, folder.key, folder.settings_hash[:8] + "0" * 56)
    with pytest.raises(ValueError, match="is of another run"):
        check_same_run(folder.manifest, manifest, RunKey("own", "tiny", "full", 4), folder.settings_hash)


def test_settings_that_were_edited_are_refused(tmp_path: Path) -> None:
    folder = complete(tmp_path, "full", 3)
    manifest = json.loads(folder.manifest.read_text())
    manifest["settings"]["lr"] = 0.2
    with pytest.raises(ValueError, match="the settings are not those of its settings_hash, so it was altered"):
        check_bound(folder.manifest, manifest)


def swapped(a: Path, b: Path) -> None:
    other = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(other)


def test_records_and_subsets_of_another_run_are_refused(tmp_path: Path) -> None:
    one, two = complete(tmp_path, "full", 1), complete(tmp_path, "full", 2)
    for name in ("subset.parquet", "record.train_pass.parquet"):
        swapped(one.path / name, two.path / name)
    with pytest.raises(ValueError, match=r"subset\.parquet was altered after the run"):
        load_subset(one.path, read_manifest(one.path))
    with pytest.raises(ValueError, match=r"record\.train_pass\.parquet was altered after the run"):
        StoredDynamics.open([one.path], "train_pass")
    with pytest.raises(ValueError, match=r"is the record of another run, 'own/tiny/full/seed=2', in the folder of own"):
        check_record_facts(one.path / "r", {"run": str(two.key)}, one.key)


def test_pointers_that_were_exchanged_are_refused(tmp_path: Path) -> None:
    for seed in (1, 2):
        add_run(tmp_path, "s", complete(tmp_path, "full", seed), "scoring", (1, 2))
    swapped(*sorted((study_folder(tmp_path, "s") / "runs").glob("*.json")))
    with pytest.raises(ValueError, match=r"seed=1\.scoring\.json is the reference to another run, called .*seed=2"):
        runs_of(tmp_path, "s")
