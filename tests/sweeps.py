"""What tests of launchers share: sweeps as processes of their own, their runs, and what they leave."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.conftest import ROOT

TIMEOUT = 600
LEFT_OVER = re.compile(r"\..*|.*\.tmp|resume\.ckpt|failure\.json")


@contextmanager
def sweep(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """`hprune.train -m` in a process of its own, which is ended at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hprune.train", "-m", *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()


def ended(process: subprocess.Popen[str], *, code: int) -> tuple[dict[str, str], str]:
    """Wait for a sweep to end with this status and no traceback: what its table says of each run, and all it says."""
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == code, f"{out[-3000:]}\n{err[-3000:]}"
    assert "Traceback" not in err, err[-3000:]
    return outcomes(out), out + err


def outcomes(out: str) -> dict[str, str]:
    """What the table at the end of a sweep says of each run, in one line."""
    states = "done|resumed|skipped|failed|not started"
    found = re.findall(rf"^ *(\S.*?) {{2,}}({states})\b *(.*)$", out, re.MULTILINE)
    return {run: f"{state} {error}".strip() for run, state, error in found}


def working(root: Path, seed: int) -> psutil.Process:
    """Wait until a run has written a checkpoint: the process that works in its folder."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        for owner in root.glob(f"runs/*/*/*/seed={seed}/.owner.json"):
            if (owner.parent / "resume.ckpt").exists():
                return psutil.Process(json.loads(owner.read_text())["pid"])
        time.sleep(0.02)
    raise AssertionError(f"seed {seed} came to no checkpoint")


def contents(root: Path) -> dict[str, Any]:
    """Every table below a root (records, predictions, subsets, scores), and the metrics and losses of each run."""
    found: dict[str, Any] = {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*.parquet")}
    for file in root.glob("runs/**/run.json"):
        manifest = json.loads(file.read_text(encoding="utf-8"))
        found[str(file.relative_to(root))] = manifest["metrics"], manifest["epochs"]
    assert found
    return found


def left_over(root: Path) -> list[str]:
    """Files that only what is not complete has; a launcher's own are not ours."""
    names = {str(file.relative_to(root)): file.name for file in root.rglob("*")}
    return [path for path, name in names.items() if LEFT_OVER.fullmatch(name) and not path.startswith("sweeps")]


def starts(root: Path) -> Sequence[int]:
    """How often each run was continued, by seed."""
    files = sorted(root.glob("runs/*/*/*/seed=*/run.json"))
    return [json.loads(file.read_text())["resumed"] for file in files]
