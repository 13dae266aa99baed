"""Killed at any call, an export is completed by the same command, and what was there before is not lost."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.kills_everywhere import at_call
from hprune.storage import publish
from hprune.storage.exports import check_target, provenance_path, write_export
from hprune.storage.publish import digests_of

TABLE = pa.table({"text": ["a", "b", "c"], "label": [0, 1, 0]})


class Killed(BaseException):
    """Nothing that is done after a kill: every call that is counted raises it again."""


def die() -> None:
    raise Killed


def export(out: Path, rows: int, *, overwrite: bool) -> None:
    check_target(out)
    write_export(out, TABLE.slice(0, rows), np.arange(rows), provenance={"rows": rows}, overwrite=overwrite)


@pytest.mark.parametrize("before", [None, 2], ids=["new", "over another"])
@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl", "out.parquet", "out.ids", "out"])
def test_killed_at_every_call_it_completes(
    tmp_path: Path, name: str, before: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without overwrite where nothing stood; a process that was killed is no more when the next one begins."""
    monkeypatch.setattr("hprune.storage.files.psutil.pid_exists", lambda _: False)
    folder, overwrite = tmp_path / "here", before is not None

    def fresh() -> dict[str, str]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if before is not None:
            export(folder / name, before, overwrite=False)
            return digests_of(folder / name)
        return {}

    old = fresh()
    with at_call(None, die) as calls:
        export(folder / name, 3, overwrite=overwrite)
    expected, new = digests_of(folder), digests_of(folder / name)
    assert len(calls) >= 6
    for number in range(1, len(calls) + 1):
        fresh()
        with pytest.raises(Killed), at_call(number, die):
            export(folder / name, 3, overwrite=overwrite)
        whole = [digests_of(place) for place in (folder / name, folder / f".{name}.hprune-old") if place.exists()]
        assert not overwrite or old in whole or new in whole, calls[number - 1]
        export(folder / name, 3, overwrite=overwrite)
        assert digests_of(folder) == expected, calls[number - 1]


def test_provenance_says_which_files_it_is_of(tmp_path: Path) -> None:
    import json

    for name in ("out.csv", "out"):
        export(tmp_path / name, 3, overwrite=False)
        told: dict[str, Any] = json.loads(provenance_path(tmp_path / name).read_text())
        assert told["files"] == digests_of(tmp_path / name)


def test_a_data_set_that_was_set_aside_comes_back(tmp_path: Path) -> None:
    """Killed between the two renames, and then another command."""
    out = tmp_path / "out"
    export(out, 3, overwrite=False)
    there = digests_of(out)
    out.rename(tmp_path / ".out.hprune-old")
    with pytest.raises(ValueError, match="out exists and is not replaced"):
        export(out, 2, overwrite=False)
    assert digests_of(out) == there
    assert not (tmp_path / ".out.hprune-old").exists()


def test_a_rename_that_fails_leaves_the_old_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    export(out, 3, overwrite=False)
    there, replace = digests_of(tmp_path), publish.os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target) == out and str(source).endswith(".tmp"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(publish.os, "replace", full)
    with pytest.raises(OSError, match=r"cannot write .*out: No space left on device; nothing was changed there"):
        export(out, 2, overwrite=True)
    assert digests_of(tmp_path) == there
