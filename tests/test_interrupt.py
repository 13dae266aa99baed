"""Ctrl-C and SIGTERM: no traceback, nothing lost, and the next start continues."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hprune.storage.runs import read_manifest
from tests.conftest import ROOT, heed_interrupts


def test_interrupted_and_terminated_and_the_same_command_again(
    tiny: list[str], tmp_path: Path, run_command: Callable[..., tuple[int, str, str]]
) -> None:
    options = [option for option in tiny if not option.startswith("trainer.max_epochs")]
    arguments = [*options, "trainer.max_epochs=100", "study=s", "seed=1"]
    for sent, word in ((signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")):
        with_workers = ["data.workers=2"] if sent == signal.SIGTERM else []  # they are no part of what a run is
        code, err = ended_by(sent, [*arguments, *with_workers, f"paths.root={tmp_path}/broken"], tmp_path)
        assert code == 128 + sent, err[-3000:]
        assert "Traceback" not in err, err[-3000:]
        assert f"{word}; the same command continues where it stopped" in err
    assert "continues from its checkpoint" in err
    assert not list(tmp_path.rglob("run.json"))
    code, out, _ = run_command("status", f"paths.root={tmp_path}/broken")
    assert code == 0
    assert "started" in out

    for place in ("broken", "undisturbed"):
        code, _, err = run_command("train", *arguments, f"paths.root={tmp_path}/{place}")
        assert code == 0, err
        assert ("continues from its checkpoint" in err) == (place == "broken")
        (path,) = (tmp_path / place).rglob("run.json")
        assert read_manifest(path.parent)["resumed"] == (2 if place == "broken" else 0)
    records = [next((tmp_path / place).rglob("record.*.parquet")).read_bytes() for place in ("broken", "undisturbed")]
    assert records[0] == records[1]


def ended_by(sent: signal.Signals, arguments: list[str], root: Path) -> tuple[int, str]:
    """Start a run, send its processes a signal when it has written another checkpoint: its status, and what it said."""
    before = {file.stat().st_mtime_ns for file in root.rglob("resume.ckpt")}
    process = subprocess.Popen(
        [sys.executable, "-m", "hprune.train", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):  # replaced just now
            if {file.stat().st_mtime_ns for file in root.rglob("resume.ckpt")} - before:
                break
        time.sleep(0.02)
    os.killpg(process.pid, sent)  # as a terminal and a batch system do: those that make its batches, too
    _, err = process.communicate(timeout=60)
    return process.returncode, err
