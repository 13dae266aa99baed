"""The benchmarks run: each prints its table on something small. What they measure is in benchmarks/RESULTS.md."""

from __future__ import annotations

import os
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

SMALL = {
    "step_speed.py": ["--models", "tiny", "--batches", "2", "--batch-size", "8", "--rounds", "1",
                      "--lengths", "sst2", "24", "--threads", "1", "--at-once", "1", "2"],
    "recording_scale.py": ["10000"],
    "scoring_scale.py": ["--largest", "10000"],
    "all_scores.py": ["--samples", "10000", "--stored", "1000"],
    "report_scale.py": ["--largest", "1000"],
    "stop_early.py": ["--simulated", "2", "--orders", "4"],
    "fuzz.py": ["--cases", "5", "--only", "pointers"],
}  # fmt: skip


@pytest.mark.parametrize("script", SMALL)
def test_a_benchmark_prints_its_table(script: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / script, *SMALL[script]],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) >= 2 + ("step" in script)
    assert not any("nan" in row for row in rows)


def test_small_sets_rank_configurations(
    corpus_dir: Path,
    tiny: list[str],
    tmp_path: Path,
    run_command: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A ticket of two runs; two configurations by two seeds on three sets."""
    root = tmp_path / "results"
    scored = [*tiny, "scoring.seeds=[1,2]", "study=scored", f"paths.root={root}", "trainer.max_epochs=1"]
    assert run_command("train", "-m", *scored, "seed=1,2")[0] == 0
    assert run_command("score", "study=scored", f"paths.root={root}")[0] == 0
    script = ROOT / "benchmarks" / "ranking.py"
    command = [
        str(script), str(tmp_path), f"--data={corpus_dir}",
        f"--scores={root / 'studies' / 'scored' / 'scores' / 'h_score.parquet'}",
        "--lr", "1e-5", "5e-3", "--epochs", "1", "--batch-size", "16", "--seeds", "11", "12", "--at-once", "1",
        "--sets", "full", "winning_ticket", "random_like", "--resamples", "50",
        "--also", "trainer.precision=32", *(option for option in tiny if option.startswith("model")),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "nan" not in done.stdout
    cells = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    firsts = [row[0] for row in cells]
    assert [firsts.count(name) for name in ("learning rate", "ranked by", "chosen by")] == [1, 1, 1]
    assert firsts.count("winning_ticket") == firsts.count("random_like") == 3
    without, with_scoring, by_chance = (
        float([row for row in cells if row[0] == name][-1][1].removesuffix("%"))
        for name in ("winning_ticket", "winning_ticket, with scoring", "random_like")
    )
    assert without == by_chance < 100
    assert with_scoring == pytest.approx(without + 100)  # two scoring runs, two configurations of as many epochs
    runs = sorted((root / "runs").rglob("run.json"))
    assert len(runs) == 2 + 2 * 2 * 3

    def said(option: str) -> str:
        monkeypatch.setattr(sys, "argv", [*command, option])
        capsys.readouterr()
        runpy.run_path(str(script), run_name="__main__")
        return capsys.readouterr().out

    monkeypatch.syspath_prepend(script.parent)
    assert said("--report") == done.stdout
    sweep = next(line for line in said("--list").splitlines() if "subset=winning_ticket" in line)
    code, out, err = run_command("train", *shlex.split(sweep)[3:])  # it finds those runs, and trains nothing
    assert code == 0, err
    assert out.count("skipped") == 4
    assert sorted((root / "runs").rglob("run.json")) == runs
