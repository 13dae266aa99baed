"""The margin of a study is fixed once, before its first comparison run, and by what is known then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hprune.margin import fix_margin
from hprune.reporting.chance_notes import chance_notes
from hprune.science.margin import resolvable_margin, rounded_margin
from hprune.storage.manifests import read_results, sealed
from hprune.storage.margins import store_margin
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
    root, _ = studied
    shutil.copytree(root, tmp_path / "copy")
    (tmp_path / "copy/studies/s/margin.json").unlink()
    stated = margins(root).pop()
    assert fix_margin(tmp_path / "copy", "s", "auto", metric="accuracy", seeds=[1], tickets=0) == stated
    facts = json.loads((tmp_path / "copy/studies/s/margin.json").read_text())
    assert facts["why"] == "the comparison runs that are there were trained with it"


def test_without_scoring_runs_it_is_a_point_and_stays_open(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert fix_margin(tmp_path, "new", "auto", metric="accuracy", seeds=[1, 2, 3], tickets=0) == 0.01
    assert "0.01, not fixed yet: a margin is found from two complete scoring runs or more" in caplog.text
    assert not list(tmp_path.iterdir())


def without_comparison(studied: tuple[Path, str], place: Path) -> Path:
    """The study with its scoring runs only, and nothing fixed."""
    shutil.copytree(studied[0], place)
    (place / "studies/s/margin.json").unlink()
    for pointer in (place / "studies/s/runs").glob("*.comparison.json"):
        pointer.unlink()
    return place


def test_it_waits_for_the_scoring_runs_that_are_planned(
    studied: tuple[Path, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    root = without_comparison(studied, tmp_path / "copy")
    (run,) = (run for run in runs_of(root, "s", "scoring") if run.key.seed == 3)
    (run.path / "run.json").rename(tmp_path / "away")
    assert fix_margin(root, "s", "auto", metric="accuracy", seeds=[11, 12], tickets=0) == 0.01
    assert "not fixed yet: the scoring runs of seeds 3 are not complete" in caplog.text
    assert fix_margin(root, "s", "auto", metric="accuracy", seeds=[11], tickets=0) == 0.01
    assert not (root / "studies/s/margin.json").exists()
    (tmp_path / "away").rename(run.path / "run.json")
    assert fix_margin(root, "s", "auto", metric="accuracy", seeds=[11], tickets=0) == 0.01
    assert "it needs two comparison.seeds" in caplog.text
    assert not (root / "studies/s/margin.json").exists()
    fix_margin(root, "s", "auto", metric="accuracy", seeds=[11, 12], tickets=0)
    assert json.loads((root / "studies/s/margin.json").read_text())["comparison_runs"] == 0


def test_it_says_that_the_metric_is_what_is_not_known(studied: tuple[Path, str], tmp_path: Path) -> None:
    root = without_comparison(studied, tmp_path / "copy")
    assert fix_margin(root, "s", "auto", metric="loss", seeds=[11, 12], tickets=0) == 0.01
    why = json.loads((root / "studies/s/margin.json").read_text())["why"]
    assert why.startswith("what each validation example contributes to loss is not known of two scoring runs")
    assert "too few" not in why


def test_comparison_runs_without_a_margin_that_came_before_it_are_told(
    studied: tuple[Path, str], tmp_path: Path, run_command: Command
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(studied[0], root)
    (root / "studies/s/margin.json").unlink()
    runs = runs_of(root, "s", "comparison")
    for run in runs[1:]:
        manifest = json.loads((run.path / "run.json").read_text())
        manifest["config"]["comparison"]["margin"] = None
        (run.path / "run.json").write_text(json.dumps(sealed(manifest)))
    (root / "studies/s/runs" / f"{runs[0].path.parent.name}.{runs[0].path.name}.comparison.json").unlink()
    margin = fix_margin(root, "s", "auto", metric="accuracy", seeds=[11, 12], tickets=0)
    facts = json.loads((root / "studies/s/margin.json").read_text())
    late = f"{len(runs) - 1} comparison runs were complete"
    assert facts["why"].endswith(f"{late} before it was fixed, without a margin")
    report = {"primary_metric": "accuracy", "rows": [], "margin": margin, "margin_found": facts}
    (note,) = chance_notes(report)
    assert note.startswith(f"The margin, {margin:g}, was fixed when {late}: ")


@pytest.mark.parametrize(
    ("compared", "when"),
    [({}, "fixed: two"), ({"comparison_runs": 0}, "fixed before the first comparison run: two")],
)
def test_the_report_claims_no_more_than_is_known(compared: dict[str, int], when: str) -> None:
    facts = {"margin": 0.02, "why": "two", **compared}
    (note,) = chance_notes({"primary_metric": "accuracy", "rows": [], "margin": 0.02, "margin_found": facts})
    assert note == f"The margin, 0.02, was {when}."


def test_a_run_that_cannot_start_fixes_nothing(
    tiny: list[str], run_command: Command, studied: tuple[Path, str], tmp_path: Path
) -> None:
    arm = [*tiny, "seed=11", "subset=winning_ticket", "study=s"]
    code, _, err = run_command("train", *arm, f"paths.root={tmp_path / 'empty'}")
    assert code == 1, err
    assert "margin of the comparison" not in err
    assert not list((tmp_path / "empty").rglob("margin.json"))
    root = tmp_path / "copy"
    shutil.copytree(studied[0], root)
    (root / "studies/s/margin.json").unlink()
    code, _, err = run_command("train", *arm, "subset.keep=0..1", "subset.allow_missing_class=true",
                               f"paths.root={root}")  # fmt: skip
    assert code == 0, err
    assert "is complete, skipped" in err
    assert not (root / "studies/s/margin.json").exists()


@pytest.mark.parametrize("facts", [{"margin": 1.5, "why": "so"}, {"margin": 0.02}])
def test_what_is_no_margin_is_not_written(tmp_path: Path, facts: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"margin\.json(: margin must be| lacks why)"):
        store_margin(tmp_path, "new", facts)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("asked", [0.02, None])
def test_what_is_said_is_taken_and_nothing_is_written(tmp_path: Path, asked: float | None) -> None:
    assert fix_margin(tmp_path, "new", asked, metric="accuracy", seeds=[1, 2], tickets=0) == asked
    assert not list(tmp_path.iterdir())


def test_a_margin_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    store_margin(tmp_path, "new", {"margin": 0.01, "why": "so"})
    file = tmp_path / "studies/new/margin.json"
    file.write_text(file.read_text().replace("0.01", "1.5"))
    with pytest.raises(ValueError, match=r"margin\.json: margin must be a number above 0 and below 1"):
        fix_margin(tmp_path, "new", "auto", metric="accuracy", seeds=[1, 2], tickets=0)
