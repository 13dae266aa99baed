"""A study that is killed, or meets a full disk, continues and ends as if nothing had been."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.kills import command, kill_again_and_again
from tests.sweeps import contents, left_over

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def undisturbed(corpus_dir: Path, tmp_path_factory: pytest.TempPathFactory, run_command: Run) -> Path:
    """Where a study wrote that nothing disturbed."""
    root = tmp_path_factory.mktemp("undisturbed")
    code, _, err = run_command("study", *command(root, corpus_dir)[3:])
    assert code == 0, err
    return root


def test_kill_9(undisturbed: Path, corpus_dir: Path, tmp_path: Path) -> None:
    """Twice, in a scoring run and in a comparison run; `benchmarks/kills.py` does it fifty times, at any moment."""
    root = tmp_path / "killed"
    moments = [("[2 of 9]", 0.15), ("[6 of 9]", 0.15)]
    found = kill_again_and_again(command(root, corpus_dir), root, undisturbed, moments=moments)
    assert found.kills == 2
    assert found.different == []
    assert found.left_over == []


def test_a_disk_that_is_full_again_and_again(
    undisturbed: Path, corpus_dir: Path, tmp_path: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start has room for some more files, so that every stage meets its end."""
    room, flush = 0, os.fsync

    def full(file: int) -> None:
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(file)

    monkeypatch.setattr(os, "fsync", full)
    codes = []
    while not codes or (codes[-1] and len(codes) < 20):
        room = 90  # two for each file: its content, and its name in the folder
        code, out, err = run_command("study", *command(tmp_path, corpus_dir)[3:])
        codes.append(code)
        assert "Traceback" not in out + err
        assert not code or "No space left on device" in out + err
    assert codes == [1] * (len(codes) - 1) + [0]
    assert len(codes) > 3
    assert contents(tmp_path) == contents(undisturbed)
    assert not left_over(tmp_path)
