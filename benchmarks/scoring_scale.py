"""Scoring a stored study of up to 10^8 samples, 6 runs, 3 epochs, against a bare read of the same columns.

    python benchmarks/scoring_scale.py [--largest 100000000] [--folder FOLDER]

Goals: half the speed of the bare read, 2 GiB. Makes the records of a study by the writer that runs use (the real-valued
columns are zeros, so that the disk stays free), then in turns, in a fresh process each, reads `sample_id` and `correct`
of the six files by pyarrow, one after the other, and scores the study: checks, H, score table. Imports are not timed.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hprune.science.records import CONTINUOUS, RunKey
from hprune.science.scores.h_score import h_score
from hprune.score import ScoreSpec, score_study
from hprune.storage.files import ROW_GROUP, table_writer
from hprune.storage.runs import RunFolder, finish_run, run_folder, start_run
from hprune.storage.studies import add_run, runs_of

SEEDS, EPOCHS, RIGHT = (1, 2, 3, 4, 5, 6), 3, (0.78, 0.92, 0.96)  # shares of right answers, by epoch
READ = ["sample_id", *(f"correct_{epoch}" for epoch in range(EPOCHS))]


def make_study(root: Path, samples: int) -> None:
    """Write the records of six complete runs, and the study that scores them."""
    for seed in SEEDS:
        folder = run_folder(root, RunKey("scale", "none", "full", seed), {"samples": samples})
        start_run(folder)
        write_record(folder, samples)
        finish_run(folder, {})
        add_run(root, "scale", folder, "scoring", SEEDS)


def write_record(folder: RunFolder, samples: int) -> None:
    """Write the record of one run in pieces, in the form of `hprune.storage.runs.save_record`."""
    schema = pa.schema(
        [("sample_id", pa.int64())]
        + [(f"correct_{epoch}", pa.bool_()) for epoch in range(EPOCHS)]
        + [(f"{name}_{epoch}", pa.float32()) for name in CONTINUOUS for epoch in range(EPOCHS)]
    )
    facts = {"run": str(folder.key), "measured": "train_pass", "data_hash": "", "settings_hash": folder.settings_hash}
    rng, zeros = np.random.default_rng(folder.key.seed), np.zeros(ROW_GROUP, dtype=np.float32)
    with table_writer(folder.path / "record.train_pass.parquet", schema, facts) as write:
        for start in range(0, samples, ROW_GROUP):
            n = min(ROW_GROUP, samples - start)
            correct = [rng.random(n, dtype=np.float32) < share for share in RIGHT]
            columns = [np.arange(start, start + n), *correct, *([zeros[:n]] * EPOCHS * len(CONTINUOUS))]
            write(pa.table(columns, schema=schema))


def files_of(root: Path) -> list[Path]:
    """The record of each run."""
    return [run.path / "record.train_pass.parquet" for run in runs_of(root, "scale")]


def bytes_read(root: Path) -> int:
    """What the columns take on disk."""
    total = 0
    for metadata in map(pq.read_metadata, files_of(root)):
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        chunks = [group.column(i) for group in groups for i in range(metadata.num_columns)]
        total += sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema in READ)
    return total


def job(name: str, root: Path) -> dict[str, float]:
    """Do one thing in this process; its seconds, and the most memory that it took, before and after, in GiB."""
    for table in root.glob("studies/*/scores/*"):
        table.unlink()
    if name == "bare":
        warm_up()
    imports, started = peak(), time.perf_counter()
    if name == "score":
        score_study(root, "scale", ScoreSpec("h_score", h_score, "easier"))
    else:
        for path in files_of(root):
            pq.read_table(path, columns=READ)
    return {"seconds": time.perf_counter() - started, "imports": imports, "peak": peak()}


def warm_up() -> None:
    """Let pyarrow import what its first `read_table` imports (half a second)."""
    table = io.BytesIO()
    pq.write_table(pa.table({"x": [1]}), table)
    pq.read_table(table)


def peak() -> float:
    """The largest resident memory of this process so far, in GiB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20


def row(root: Path, samples: int, rounds: int) -> str:
    """Measure in turns; a row of the table."""
    took: dict[str, list[dict[str, float]]] = {"bare": [], "score": []}
    for turn in range(rounds):
        for name in ("bare", "score") if turn % 2 else ("score", "bare"):
            command: list[Any] = [sys.executable, __file__, "--job", name, "--folder", root]
            took[name].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    bare, score = ([one["seconds"] for one in took[name]] for name in ("bare", "score"))
    speed = statistics.median(a / b for a, b in zip(bare, score, strict=True))
    most = {key: max(one[key] for one in took["score"]) for key in ("peak", "imports")}
    return (
        f"| {samples:,} | {bytes_read(root) / 1e6:,.2f} MB | {statistics.median(bare):.3f} | "
        f"{statistics.median(score):.3f} | {speed:.0%} | {most['peak']:.2f} GiB | {most['imports']:.2f} GiB |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--largest", type=int, default=10**8)
    parser.add_argument("--rounds", type=int, default=7, help="3 at most from 10^7 samples on")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--job", choices=["bare", "score"])
    options = parser.parse_args()
    if options.job:
        print(json.dumps(job(options.job, options.folder)))
        return
    print("| samples | read | bare read, s | score, s | speed relative to the bare read | peak memory | of imports |")
    print("|---|---|---|---|---|---|---|")
    for samples in (10**k for k in range(3, 9) if 10**k <= options.largest):
        with tempfile.TemporaryDirectory(dir=options.folder) as root:
            make_study(Path(root), samples)
            print(
                row(Path(root), samples, rounds=min(3, options.rounds) if samples >= 10**7 else options.rounds),
                flush=True,
            )


if __name__ == "__main__":
    main()
