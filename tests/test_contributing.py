"""CONTRIBUTING.md works as it stands: its new score is one file and one YAML."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from hprune.command import CONF, PACKAGE
from hprune.storage.dynamics import StoredDynamics
from hprune.storage.scores import load_scores
from hprune.storage.studies import runs_of
from tests.test_score import root as study_of_three_runs  # noqa: F401

PAGE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def written(section: str) -> dict[str, str]:
    """The files of a section of the page: what stands in each block, by the name before it."""
    text = PAGE[PAGE.index(f"## {section}\n") :]
    text = text[: text.index("\n## ", 3)]
    blocks = re.findall(r"`([\w/.]+\.(?:py|yaml))`:\n\n```\w+\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 2
    return dict(blocks)


def test_a_new_score_is_one_file_and_one_yaml(study_of_three_runs: Path, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(PACKAGE, tree / "hprune", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CONF, tree / "conf")
    for name, content in written("A score").items():
        assert not (tree / name).exists()
        (tree / name).write_text(content, encoding="utf-8")
    command = re.search(r"`python -m (hprune\.score) study=demo (score=\w+)`", PAGE)
    assert command is not None
    done = subprocess.run(
        [sys.executable, "-m", command[1], "study=s", command[2], f"paths.root={study_of_three_runs}"],
        cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scores = load_scores(study_of_three_runs / "studies/s/scores/right_at_last.parquet")
    runs = [run.path for run in runs_of(study_of_three_runs, "s")]
    pieces = [piece.correct[:, -1].sum(axis=0) for piece in StoredDynamics.open(runs, "train_pass").pieces()]
    assert scores.values.tolist() == np.concatenate(pieces).tolist()
    assert scores.conventions["last"] == 1
