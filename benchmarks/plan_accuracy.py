"""How near `hprune.plan` comes to what a study takes: time, disk and memory, predicted before and after, and actual.

    python benchmarks/plan_accuracy.py +experiment=demo
    python benchmarks/plan_accuracy.py +experiment=sst2_minilm model.path=MINILM task.data_dir=SST2 ...

Takes the overrides of a study. The study is planned, run in a process of its own, and planned again in an empty folder,
as a machine that does other work, too, has another speed every minute. Memory is the largest sum of the resident memory
of the study and the processes that it started, looked at ten times a second.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from hprune.reporting.forecast import Forecast
from hprune.storage.manifests import read_manifest


def planned(root: Path, overrides: list[str]) -> Forecast:
    """The prediction, by the command in a process of its own, as it tells what it takes to start, too."""
    code = (
        "import hprune.plan, pickle, sys\n"
        "keep = lambda forecast: pickle.dump(forecast, sys.stdout.buffer)\n"
        "if __name__ == '__main__':\n"
        "    hprune.plan.print_forecast = keep\n"
        "    hprune.plan.main()\n"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:  # which processes that it starts can import
        script.write(code)
        script.flush()
        command = [sys.executable, script.name, *overrides, f"paths.root={root}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."})
    if done.returncode:
        raise SystemExit(done.returncode)
    found: Forecast = pickle.loads(done.stdout)
    return found


def memory_of(process: psutil.Process) -> int:
    """Resident memory of a process and all that it started."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def run(root: Path, overrides: list[str]) -> tuple[float, int]:
    """Run the study: seconds, and bytes of memory at the peak."""
    own = [override for override in overrides if not override.startswith("plan.")]
    command = [sys.executable, "-m", "hprune.study", *own, f"paths.root={root}"]
    began, most = time.perf_counter(), 0
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                most = max(most, memory_of(watched))
            except psutil.NoSuchProcess:
                break
            time.sleep(0.1)
        if process.wait():
            said.seek(0)
            raise SystemExit(f"the study failed: {said.read().decode()[-3000:]}")
    return time.perf_counter() - began, most


def size_of(root: Path) -> int:
    """Bytes of what a study leaves, without the cache of tokens."""
    return sum(p.stat().st_size for name in ("runs", "studies") for p in (root / name).rglob("*") if p.is_file())


def seconds_by_stage(root: Path) -> dict[str, float]:
    """The seconds of the scoring runs and of the runs of each arm."""
    found: dict[str, float] = {}
    for file in root.glob("studies/*/runs/*.json"):
        subset, _, purpose = file.stem.partition("-")[0], *file.stem.rsplit(".", 1)
        name = "scoring runs" if purpose == "scoring" else f"comparison runs, {subset}"
        path = next(root.glob(f"runs/*/*/{file.name.split('.')[0]}/{file.name.split('.')[1]}"))
        found[name] = found.get(name, 0.0) + read_manifest(path)["cost"]["total_seconds"]
    return found


def main(overrides: list[str]) -> None:
    """Print predicted, actual and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        root, again = Path(folder) / "study", Path(folder) / "again"
        before = planned(root, overrides)
        seconds, memory = run(root, overrides)
        after = planned(again, overrides)
        print("| | predicted before | predicted after | actual | before / actual | mean / actual |")
        print("|---|---|---|---|---|---|")
        assert before.trials is not None
        assert after.trials is not None
        rows = {
            "seconds": (before.seconds, after.seconds, seconds),
            "disk, MB": (before.size / 1e6, after.size / 1e6, size_of(root) / 1e6),
            "memory, GB": (before.trials.memory / 1e9, after.trials.memory / 1e9, memory / 1e9),
        }
        stages = seconds_by_stage(root)
        for one, other in zip(before.stages, after.stages, strict=True):
            name = one.name.split(" (")[0]
            if name in stages:
                rows[f"{name}, seconds"] = (one.seconds, other.seconds, stages[name])
        for name, (first, second, actual) in rows.items():
            ratios = f"{first / actual:.2f} | {(first + second) / 2 / actual:.2f}"
            print(f"| {name} | {first:.2f} | {second:.2f} | {actual:.2f} | {ratios} |")
        for path in sorted(root.glob("studies/*/*")) + sorted(root.glob("studies/*/scores/*")):
            if path.is_file() and "--sizes" in sys.argv:
                print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main([argument for argument in sys.argv[1:] if not argument.startswith("--")])
