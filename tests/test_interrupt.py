"""Ctrl-C: no traceback, nothing lost, and the next start continues."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import ROOT, heed_interrupts


def test_ctrl_c_and_the_same_command_again(
    tiny: list[str], tmp_path: Path, run_command: Callable[..., tuple[int, str, str]]
) -> None:
    options = [option for option in tiny if not option.startswith("trainer.max_epochs")]
    arguments = [*options, "trainer.max_epochs=100", "study=s", "seed=1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hprune.train", *arguments, f"paths.root={tmp_path}/broken"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob("resume.ckpt")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err[-3000:]
    assert "Traceback" not in err, err[-3000:]
    assert "interrupted; the same command continues where it stopped" in err
    assert not list(tmp_path.rglob("run.json"))
    code, out, _ = run_command("status", f"paths.root={tmp_path}/broken")
    assert code == 0
    assert "started" in out

    for place in ("broken", "undisturbed"):
        code, _, err = run_command("train", *arguments, f"paths.root={tmp_path}/{place}")
        assert code == 0, err
        assert ("continues from its checkpoint" in err) == (place == "broken")
    records = [next((tmp_path / place).rglob("record.*.parquet")).read_bytes() for place in ("broken", "undisturbed")]
    assert records[0] == records[1]
