"""The margin of a study is fixed once, before its first comparison run, and by what is known then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hprune.margin import fix_margin
from hprune.science.margin import resolvable_margin, rounded_margin
from hprune.storage.manifests import read_results
from hprune.storage.predictions import load_predictions
from hprune.storage.runs import read_manifest
from hprune.storage.studies import runs_of

Command = Callable[..., "tuple[int, str, str]"]
LOOSE = [f"arms.{arm}.{key}" for arm in ("winning_ticket", "random_like")
         for key in ("keep=0..1", "allow_missing_class=true")]  # fmt: skip


def margins(root: Path) -> set[object]:
    return {read_manifest(run.path)["config"]["comparison"]["margin"] for run in runs_of(root, "s", "comparison")}


@pytest.fixture(scope="module")
def studied(tiny: list[str], run_command: Command, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    root = tmp_path_factory.mktemp("margin")
    code, _, err = run_command("study", *tiny, *LOOSE, f"paths.root={root}", "study=s")
    assert code == 0, err
    return root, err


def test_it_is_what_the_scoring_runs_say_that_can_be_resolved(studied: tuple[Path, str]) -> None:
    root, err = studied
    tables = [load_predictions(run.path, "validation") for run in runs_of(root, "s", "scoring")]
    full = np.stack([table["label"].to_numpy() == table["pred"].to_numpy() for table in tables if table is not None])
    expected = rounded_margin(resolvable_margin(full, seeds=2))
    facts = json.loads((root / "studies/s/margin.json").read_text())
    assert facts["margin"] == expected >= 0.01
    assert facts["examples"] == full.shape[1]
    assert margins(root) == {expected}
    assert f"margin of the comparison: {expected:g}, fixed now; 2 seeds and" in err
    scoring = {read_results(run.path)["config"]["comparison"]["margin"] for run in runs_of(root, "s", "scoring")}
    assert scoring == {"auto"}
    assert json.loads((root / "studies/s/report.json").read_text())["margin"] == expected


def test_it_stays_when_the_plan_changes_and_by_another_command(
    studied: tuple[Path, str], tiny: list[str], run_command: Command
) -> None:
    root, _ = studied
    before = (root / "studies/s/margin.json").read_bytes()
    more = ["seed=13", "subset=winning_ticket", "subset.keep=0..1", "subset.allow_missing_class=true"]
    code, _, err = run_command("train", *tiny, *more, "comparison.seeds=[11,12,13]", f"paths.root={root}", "study=s")
    assert code == 0, err
    assert "margin of the comparison" not in err
    assert (root / "studies/s/margin.json").read_bytes() == before
    assert margins(root) == {json.loads(before)["margin"]}


def test_a_study_whose_runs_state_a_margin_keeps_it(studied: tuple[Path, str], tmp_path: Path) -> None:
    import shutil

    root, _ = studied
    shutil.copytree(root, tmp_path / "copy")
    (tmp_path / "copy/studies/s/margin.json").unlink()
    stated = margins(root).pop()
    assert fix_margin(tmp_path / "copy", "s", "auto", metric="accuracy", seeds=[1], tickets=0) == stated
    facts = json.loads((tmp_path / "copy/studies/s/margin.json").read_text())
    assert facts["why"] == "the comparison runs that are there were trained with it"


def test_without_scoring_runs_it_is_a_point(tmp_path: Path) -> None:
    assert fix_margin(tmp_path, "new", "auto", metric="accuracy", seeds=[1, 2, 3], tickets=0) == 0.01
    assert fix_margin(tmp_path, "new", "auto", metric="accuracy", seeds=[1, 2, 3], tickets=0) == 0.01


@pytest.mark.parametrize("asked", [0.02, None])
def test_what_is_said_is_taken_and_nothing_is_written(tmp_path: Path, asked: float | None) -> None:
    assert fix_margin(tmp_path, "new", asked, metric="accuracy", seeds=[1, 2], tickets=0) == asked
    assert not list(tmp_path.iterdir())


def test_a_margin_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    fix_margin(tmp_path, "new", "auto", metric="accuracy", seeds=[1, 2], tickets=0)
    file = tmp_path / "studies/new/margin.json"
    file.write_text(file.read_text().replace("0.01", "1.5"))
    with pytest.raises(ValueError, match=r"margin\.json: margin must be a number above 0 and below 1"):
        fix_margin(tmp_path, "new", "auto", metric="accuracy", seeds=[1, 2], tickets=0)
