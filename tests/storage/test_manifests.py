"""A run says which versions made it, and whether it was edited since."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hprune import __version__
from hprune.reporting.diagnosis import diagnose
from hprune.reporting.matrix import _samples
from hprune.reporting.page import render_page
from hprune.reporting.wording import versions_told
from hprune.science.records import Subset
from hprune.storage.files import write_table
from hprune.storage.manifests import read_manifest, sealed, version_differences
from hprune.storage.predictions import load_predictions
from hprune.storage.runs import RunFolder, finish_run, load_record, run_folder, save_record, save_subset, start_run
from hprune.training.settings import versions
from tests.golden import STUDY
from tests.hostile import make_study
from tests.reporting.conftest import REPORT
from tests.storage.test_runs import KEY, finished, record
from tests.training.test_whose_checkpoint import HERE


def edited(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def better(manifest: dict[str, Any]) -> None:
    manifest["metrics"]["validation"]["accuracy"] = 0.99


def unnoticed(manifest: dict[str, Any]) -> None:
    better(manifest)
    del manifest["digest"]


def with_more(manifest: dict[str, Any]) -> None:
    manifest["cost"] = {"train_seconds": 1e999}


@pytest.mark.parametrize("change", [better, unnoticed, with_more, lambda manifest: manifest.update(digest="0" * 64)])
def test_an_edited_manifest_is_refused_with_a_way_out(tmp_path: Path, change: Any) -> None:
    folder = finished(tmp_path, record(), versions=HERE)
    assert read_manifest(folder.path)["metrics"] == {"validation": {"accuracy": 0.5}}
    edited(folder.manifest, change)
    with pytest.raises(ValueError, match=r"run\.json (was altered after the run|is not readable JSON).*move .* away"):
        read_manifest(folder.path)


def test_a_digest_is_of_the_content_whatever_its_order_and_form(tmp_path: Path) -> None:
    folder = finished(tmp_path, record())
    content = json.loads(folder.manifest.read_text())
    folder.manifest.write_text(json.dumps(dict(reversed(content.items())), indent=7, ensure_ascii=True))
    assert read_manifest(folder.path) == content
    assert sealed(content) == content
    assert sealed({**content, "more": (1, 2)})["digest"] != content["digest"]


def test_runs_without_a_digest_are_read_as_ever(tmp_path: Path) -> None:
    """Those of 0.1.0, which do not name its version either."""
    stored = [read_manifest(file.parent) for file in STUDY.rglob("run.json")]
    assert len(stored) == 9
    assert not any("digest" in manifest or "hprune" in manifest["versions"] for manifest in stored)
    assert version_differences(stored) == {}


def test_versions_name_what_a_run_depends_on() -> None:
    found = versions()
    assert found["hprune"] == __version__
    assert {"torch", "transformers", "lightning", "cpu", "threads"} <= found.keys()
    assert {type(version) for version in found.values()} == {str}, "a checkpoint holds plain values"


def manifest(seed: int, **versions: str) -> dict[str, Any]:
    return {"key": {"task": "t", "model": "m", "subset": "full", "seed": seed}, "versions": versions}


def test_differences_are_told_by_version_and_run() -> None:
    old, new, other = (
        manifest(1, torch="2.1"),
        manifest(2, torch="2.1", hprune="0.2"),
        manifest(3, hprune="0.2", cpu="x"),
    )
    assert version_differences([]) == version_differences([old]) == version_differences([new, other]) == {}
    assert version_differences([old, new, other]) == {
        "hprune": {"0.1.0 or older": ["t/m/full/seed=1"], "0.2": ["t/m/full/seed=2", "t/m/full/seed=3"]}
    }
    found = version_differences([old, other, manifest(4, torch="2.2", cpu="y")])
    assert list(found) == ["hprune", "torch", "cpu"]
    assert versions_told(found) == "hprune 0.1.0 or older (2 runs), 0.2 (1 run); torch 2.1 (1 run), 2.2 (1 run)"


@pytest.fixture
def report() -> dict[str, Any]:
    return copy.deepcopy(REPORT)


def test_the_report_says_so(report: dict[str, Any]) -> None:
    assert "versions_differ" not in {finding["sign"] for finding in diagnose(report)}
    report["version_differences"] = {"torch": {"2.1": ["a", "b"], "2.2": ["c"]}, "cpu": {"AVX2": ["a"], "NONE": ["b"]}}
    (finding,) = [one for one in diagnose(report) if one["sign"] == "versions_differ"]
    assert finding["told"] == "The runs were trained by different versions: torch 2.1 (2 runs), 2.2 (1 run)."
    page = render_page(report | {"diagnosis": [finding]})
    assert finding["told"] in page
    assert "AVX2, NONE" in page


def test_the_last_digits_of_another_processor_are_no_sign(report: dict[str, Any]) -> None:
    report["version_differences"] = {"cpu": {"AVX2": ["a"], "AVX512": ["b"]}, "python": {"3.11": ["a"], "3.12": ["b"]}}
    assert "versions_differ" not in {finding["sign"] for finding in diagnose(report)}


def test_status_says_so(tmp_path: Path, run_command: Callable[..., tuple[int, str, str]]) -> None:
    make_study(tmp_path)
    assert "different versions" not in run_command("status", f"paths.root={tmp_path}")[1]
    file = next(tmp_path.glob("runs/*/*/full-*/seed=2/run.json"))
    edited(file, lambda manifest: manifest["versions"].update(torch="9"))
    for other in tmp_path.glob("runs/*/*/full-*/seed=1/run.json"):
        edited(other, lambda manifest: manifest["versions"].update(torch="8"))
    code, out, err = run_command("status", f"paths.root={tmp_path}")
    assert code == 0, err
    assert "study s: its runs are of different versions: torch 8 (1 run), 9 (1 run)" in out


def swapped(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


@pytest.mark.parametrize("name", ["record.train_pass.parquet", "predictions.validation.parquet", "run.json"])
def test_files_of_two_runs_that_were_exchanged_are_refused(tmp_path: Path, name: str) -> None:
    runs = [made(tmp_path / str(seed), seed) for seed in (1, 2)]
    for run in runs:
        load_record(run.path, "train_pass"), load_predictions(run.path, "validation")
    swapped(*(run.path / name for run in runs))
    for run in runs:
        with pytest.raises(ValueError, match=r"was altered after the run|is (of|the record of) another run"):
            load_record(run.path, "train_pass"), load_predictions(run.path, "validation")


def made(root: Path, seed: int) -> RunFolder:
    """A complete run whose tables are its own."""
    folder = run_folder(root, replace(KEY, seed=seed), {"lr": 0.1})
    start_run(folder)
    save_record(folder, replace(record(seed=seed), key=folder.key))
    write_table(folder.path / "predictions.validation.parquet", pa.table({"sample_id": [1, 2], "pred": [0, seed]}))
    finish_run(folder, {})
    return folder


def test_ids_of_another_run_are_not_compared(tmp_path: Path) -> None:
    """What two arms share would be that of other arms."""
    folder = finished(tmp_path, record())
    file = folder.path / "subset.parquet"
    save_subset(folder, Subset("full", np.arange(3), "data"))
    finish_run(folder, {})
    arm = [{**read_manifest(folder.path), "folder": folder.path}]
    assert _samples(arm, KEY.seed).tolist() == [0, 1, 2]  # type: ignore[union-attr]
    save_subset(folder, Subset("full", np.arange(4), "data"))
    with pytest.raises(ValueError, match=r"subset\.parquet was altered after the run"):
        _samples(arm, KEY.seed)
    file.unlink()
    assert _samples(arm, KEY.seed) is None
