"""The benchmarks run: each prints its table on something small. What they measure is in benchmarks/RESULTS.md."""

from __future__ import annotations

import os
import subprocess
import sys
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
    "coverage.py": ["--studies", "4", "--seeds", "3", "--examples", "40"],
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
