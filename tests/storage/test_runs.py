"""A run lies where its settings say, is complete when `run.json` stands there, and its record comes back bit by bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hprune import RunRecord
from hprune.science.records import RunKey, Subset
from hprune.storage import runs
from hprune.storage.differing import differing_keys
from hprune.storage.files import read_json, read_table, sha256_of_footer, write_json
from hprune.storage.runs import (
    RunFolder,
    fail_run,
    finish_run,
    load_record,
    read_manifest,
    run_folder,
    save_record,
    save_subset,
    start_run,
    state_of,
)

KEY = RunKey("sst2", "tiny", "full", 3)
SETTINGS = {"optim": {"lr": 2e-5, "betas": (0.9, 0.999)}, "data": {"batch_size": 32}, "keep": None}


def record(samples: int = 20, epochs: int = 11, measured: Any = "train_pass", seed: int = 0) -> RunRecord:
    rng = np.random.default_rng(seed)
    shape = (epochs, samples)
    return RunRecord(
        key=KEY,
        sample_ids=np.cumsum(rng.integers(1, 5, samples)),
        correct=rng.random(shape) < 0.5,
        true_prob=rng.random(shape, dtype=np.float32),
        margin=rng.normal(size=shape).astype(np.float32),
        el2n=rng.random(shape, dtype=np.float32),
        measured=measured,
        data_hash="data",
        settings_hash="settings",
    )


def finished(root: Path, *records: RunRecord, versions: dict[str, str] | None = None) -> RunFolder:
    folder = run_folder(root, KEY, SETTINGS)
    start_run(folder)
    for one in records:
        save_record(folder, one)
    finish_run(folder, {"metrics": {"validation": {"accuracy": 0.5}}, "versions": versions or {}})
    return folder


def test_the_folder_says_what_the_run_is(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, KEY, SETTINGS)
    parts = folder.path.relative_to(tmp_path).parts
    assert parts[:3] == ("runs", "sst2", "tiny")
    assert parts[3] == f"full-{folder.settings_hash[:8]}"
    assert parts[4:] == ("seed=3",)
    assert not folder.path.exists(), "looking does not make it"


def test_same_settings_same_folder_other_settings_another(tmp_path: Path) -> None:
    def path(**changes: Any) -> Path:
        return run_folder(tmp_path, KEY, {**SETTINGS, **changes}).path

    assert path() == run_folder(tmp_path, KEY, dict(reversed(SETTINGS.items()))).path
    assert path(optim={"betas": [0.9, 0.999], "lr": 2e-5}) == path(), "a tuple is a list once it is written"
    others = [path(), path(optim={"lr": 1e-5}), path(keep="1..4"), path(new=1), path(data={"batch_size": "32"})]
    others += [run_folder(tmp_path, replace(KEY, **{n: "other"}), SETTINGS).path for n in ("task", "model", "subset")]
    seeds = [run_folder(tmp_path, replace(KEY, seed=seed), SETTINGS).path for seed in (4, 5)]
    assert len({*others, *seeds}) == 10
    assert {seed.parent for seed in seeds} == {path().parent}, "the seeds of a setting lie side by side"


@pytest.mark.parametrize("part", ["task", "model", "subset"])
@pytest.mark.parametrize("name", ["../up", "a/b", "..", ""])
def test_names_stay_below_the_root(tmp_path: Path, part: str, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{part}\.name must be a plain name .* got"):
        run_folder(tmp_path, replace(KEY, **{part: name}), SETTINGS)


def test_starting_twice_is_starting_once(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, KEY, SETTINGS)
    start_run(folder)
    before = (folder.path / "identity.json").read_bytes()
    start_run(run_folder(tmp_path, KEY, SETTINGS))
    assert (folder.path / "identity.json").read_bytes() == before


def test_a_folder_of_other_settings_is_refused_with_both_values(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, KEY, SETTINGS)
    start_run(folder)
    before = (folder.path / "identity.json").read_bytes()
    other = replace(folder, settings={"optim": {"lr": 1e-3, "betas": [0.9, 0.999]}, "data": {"batch_size": 32}, "x": 1})
    with pytest.raises(ValueError, match="holds a run of other settings") as caught:
        start_run(other)
    message = str(caught.value)
    assert "optim.lr (2e-05 there, 0.001 here)" in message
    assert "keep (None there, absent here)" in message
    assert "x (absent there, 1 here)" in message
    assert "batch_size" not in message
    assert "betas" not in message
    assert "paths.root=FOLDER" in message
    assert (folder.path / "identity.json").read_bytes() == before


def test_differing_keys_is_empty_only_for_equal_settings() -> None:
    assert differing_keys({"a": {"b": 1}}, {"a": {"b": 1}}) == []
    assert differing_keys({"a": {"b": 1}}, {"a": 2}) == ["a ({'b': 1} there, 2 here)"]
    assert differing_keys({"a": None}, {}) == ["a (None there, absent here)"]


@pytest.mark.parametrize("measured", ["train_pass", "eval_pass"])
@pytest.mark.parametrize("epochs", [1, 3, 11])
def test_a_record_comes_back_bit_by_bit(tmp_path: Path, measured: Any, epochs: int) -> None:
    saved = record(epochs=epochs, measured=measured, seed=epochs)
    loaded = load_record(finished(tmp_path, saved).path, measured)
    for name in ("sample_ids", "correct", "true_prob", "margin", "el2n"):
        there, here = getattr(loaded, name), getattr(saved, name)
        assert (there.dtype, there.shape, there.tobytes()) == (here.dtype, here.shape, here.tobytes()), name
    for name in ("key", "measured", "data_hash", "settings_hash"):
        assert getattr(loaded, name) == getattr(saved, name)


def test_both_ways_of_measuring_lie_side_by_side(tmp_path: Path) -> None:
    ways = {"train_pass": record(seed=1), "eval_pass": record(seed=2, measured="eval_pass")}
    folder = finished(tmp_path, *ways.values())
    for measured, saved in ways.items():
        assert (load_record(folder.path, measured).correct == saved.correct).all()  # type: ignore[arg-type]


def test_the_record_is_plain_columns(tmp_path: Path) -> None:
    table, facts = read_table(finished(tmp_path, record(epochs=2)).path / "record.train_pass.parquet")
    names = [f"{name}_{epoch}" for name in ("correct", "true_prob", "margin", "el2n") for epoch in range(2)]
    assert table.column_names == ["sample_id", *names]
    assert len(facts.pop("content")) == 64
    assert facts == {
        "run": "sst2/tiny/full/seed=3", "measured": "train_pass", "data_hash": "data", "settings_hash": "settings"
    }  # fmt: skip


def test_no_two_records_end_alike(tmp_path: Path) -> None:
    """Nor do those that differ in one answer, or in whose they are."""
    made = record(samples=8, epochs=1)
    other = made.correct.copy()
    other[0, 3] ^= True
    changes = [{}, {"correct": other}, {"sample_ids": made.sample_ids + 1}, {"key": replace(KEY, seed=4)}]
    ends = set()
    for change in changes:
        folder = run_folder(tmp_path, KEY, SETTINGS)
        save_record(folder, replace(made, **change))
        ends.add(sha256_of_footer(folder.path / "record.train_pass.parquet"))
    assert len(ends) == len(changes)


def test_a_record_that_was_not_measured_names_those_that_were(tmp_path: Path) -> None:
    folder = finished(tmp_path, record())
    with pytest.raises(
        ValueError, match=r"not measured by eval_pass, only by train_pass; .* record\.measured=eval_pass"
    ):
        load_record(folder.path, "eval_pass")
    with pytest.raises(ValueError, match="only by nothing"):
        load_record(finished(tmp_path / "empty").path, "eval_pass")


def test_an_altered_record_is_refused(tmp_path: Path) -> None:
    folder = finished(tmp_path, record())
    save_record(folder, record(seed=1))
    with pytest.raises(ValueError, match=r"record\.train_pass\.parquet was altered after the run: its checksum"):
        load_record(folder.path, "train_pass")


def test_an_incomplete_run_has_no_record(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, KEY, SETTINGS)
    start_run(folder)
    save_record(folder, record())
    with pytest.raises(ValueError, match=r"no complete run at .*seed=3: run\.json is missing; run its command again"):
        load_record(folder.path, "train_pass")
    (folder.path / "run.json").write_text('{"key": ')
    with pytest.raises(ValueError, match=r"run\.json is not readable JSON"):
        read_manifest(folder.path)


def test_the_manifest_comes_last_and_the_checkpoint_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_folder(tmp_path, KEY, SETTINGS)
    start_run(folder)
    save_record(folder, record())
    save_subset(folder, Subset("full", record().sample_ids, "data", {"rule": "everything"}))
    folder.checkpoint.write_bytes(b"state")
    assert not folder.complete

    def write_last(path: Path, content: Any) -> None:
        assert folder.checkpoint.exists(), "a crash before the manifest must not lose the resume point"
        before = {p.name for p in folder.path.iterdir()}
        write_json(path, content)
        assert {p.name for p in folder.path.iterdir()} - before == {"run.json"}

    monkeypatch.setattr(runs, "write_json", write_last)
    finish_run(folder, {"metrics": {}})
    assert folder.complete
    assert not folder.checkpoint.exists()
    manifest = read_manifest(folder.path)
    assert set(manifest["files"]) == set(manifest["footers"]) == {"record.train_pass.parquet", "subset.parquet"}
    assert manifest["settings"] == json.loads(json.dumps(SETTINGS))
    assert manifest["settings_hash"] == folder.settings_hash
    assert manifest["key"] == {"task": "sst2", "model": "tiny", "subset": "full", "seed": 3}


def test_what_became_of_a_run(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, KEY, SETTINGS)
    start_run(folder)
    assert state_of(folder.path) == "started"
    fail_run(folder, "ValueError: no")
    assert state_of(folder.path) == "failed"
    assert read_json(folder.path / "failure.json")["message"] == "ValueError: no"
    start_run(folder)
    assert state_of(folder.path) == "started", "a new start forgets the failure"
    fail_run(folder, "again")
    finish_run(folder, {})
    assert state_of(folder.path) == "done"


def test_a_subset_is_saved_with_its_provenance(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, KEY, SETTINGS)
    save_subset(folder, Subset("ticket", np.array([2, 5, 9]), "data", {"rule": "by_value"}))
    table, facts = read_table(folder.path / "subset.parquet")
    assert table["sample_id"].to_pylist() == [2, 5, 9]
    assert facts == {"name": "ticket", "data_hash": "data", "provenance": {"rule": "by_value"}}
