"""A study that was moved opens as before; one that was copied in part opens, or says what is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.hostile import make_study

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("original") / "root"
    make_study(root)
    return root


def commands(root: Path, name: str) -> list[tuple[str, ...]]:
    """What is done with a study, all below its root."""
    where = f"paths.root={root}"
    return [
        ("status", where),
        ("score", "study=s", f"score.name={name}", where),
        ("report", "study=s", where),
        ("export", "study=s", f"out={root / name}.csv", where, "trust_code=true"),  # the data lie in the other root
    ]


def test_a_study_that_was_moved_opens(original: Path, tmp_path: Path, run_command: Command) -> None:
    shutil.copytree(original, tmp_path / "elsewhere")
    for command in commands(tmp_path / "elsewhere", "again"):
        code, _, err = run_command(*command)
        assert code == 0, err
    report = json.loads((tmp_path / "elsewhere/studies/s/report.json").read_text())
    assert {row["arm"] for row in report["rows"]} == {"full", "winning_ticket"}
    assert len((tmp_path / "elsewhere/again.csv").read_text().splitlines()) > 1


@pytest.mark.parametrize("seed", range(12))
def test_a_study_that_was_copied_in_part_opens_or_says_what_is_missing(
    original: Path, tmp_path: Path, run_command: Command, seed: int
) -> None:
    root, rng = tmp_path / "root", np.random.default_rng(seed)
    files = sorted(file for file in original.rglob("*") if file.is_file())
    share = rng.uniform(0.05, 0.9)
    for file in files:
        if rng.random() > share or file.name == "train.csv":
            (root / file.relative_to(original)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, root / file.relative_to(original))
    for command in commands(root, f"again{seed}"):
        before = {file for file in root.rglob("*") if file.is_file()}
        code, out, err = run_command(*command)
        assert "Traceback" not in out + err
        if code:
            assert f"hprune {command[0]}: " in err
            assert {file for file in root.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("name", ["run.json", "record.train_pass.parquet", "subset.parquet", "identity.json"])
def test_one_missing_file_is_named_or_not_needed(
    original: Path, tmp_path: Path, run_command: Command, name: str
) -> None:
    root = tmp_path / "root"
    shutil.copytree(original, root)
    (gone,) = root.glob(f"runs/own/tiny/full-*/seed=2/{name}")
    gone.unlink()
    code, _, err = run_command("score", "study=s", "score.name=again", f"paths.root={root}")
    if name in ("run.json", "record.train_pass.parquet"):
        assert code == 1
        assert "seeds 2 (started)" in err if name == "run.json" else "was not measured by train_pass" in err
    else:
        assert code == 0, err
