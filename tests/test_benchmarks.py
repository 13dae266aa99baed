"""The benchmarks run: each prints its table on something small. What they measure is in benchmarks/RESULTS.md."""

from __future__ import annotations

import os
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from transformers import BertConfig, BertModel

from tests.conftest import ROOT
from tests.tiny import MODELS, word_tokenizer

SMALL = {
    "step_speed.py": ["--models", "tiny", "--batches", "2", "--batch-size", "8", "--rounds", "1",
                      "--lengths", "24", "--threads", "1", "--at-once", "1", "2"],
    "recording_scale.py": ["10000"],
    "scoring_scale.py": ["--largest", "1000", "--rounds", "1"],
    "all_scores.py": ["--samples", "10000", "--stored", "1000"],
    "report_scale.py": ["--largest", "1000"],
    "order_rules.py": ["--sizes", "200", "--shares", "0.5", "--seeds", "2"],
    "pair_correlation.py": ["--work", "work", "--samples", "80", "--seeds", "4", "--scoring", "2", "--epochs", "1",
                            "--at-once", "1"],
    "stop_early.py": ["--simulated", "2", "--orders", "4"],
    "packed_runs.py": ["estimate", "--samples", "1000", "--runs", "3", "--ways", "2"],
    "coverage.py": ["--studies", "4", "--seeds", "3", "--examples", "40"],
    "reading.py": ["--rows", "200", "--columns", "10"],
    "wide_and_many.py": ["--columns", "40", "--classes", "40", "--no-train"],
    "fuzz.py": ["--cases", "5", "--only", "pointers"],
    "round_trip.py": ["--cases", "5"],
    "faults.py": ["--only", "F08"],
    "architectures.py": ["--work", "work", "--only", "xlnet"],
}  # fmt: skip


PROCESSES = ("step_speed.py", "pair_correlation.py")
"""They start others that import them, which cannot be done for what runs in here."""
Script = Callable[..., str]


@pytest.fixture
def run_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Script:
    """Run a benchmark in this process, as if typed in an empty folder: what it prints."""

    def run(script: str, *arguments: Any) -> str:
        file = ROOT / "benchmarks" / script
        monkeypatch.syspath_prepend(file.parent)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [str(file), *map(str, arguments)])
        capsys.readouterr()
        code: Any = None
        try:
            runpy.run_path(str(file), run_name="__main__")
        except SystemExit as stop:
            code = stop.code
        assert not code
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("script", [script for script in SMALL if script not in PROCESSES])
def test_a_benchmark_prints_its_table(script: str, run_script: Script) -> None:
    check_table(run_script(script, *SMALL[script]))


def test_every_fault_names_a_test_of_the_suite() -> None:
    from benchmarks.faults import FAULTS

    assert len(FAULTS) > 60
    for one in FAULTS:
        file, name = one.test.split("::")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), one.test


@pytest.mark.parametrize("script", PROCESSES)
def test_a_benchmark_of_processes_prints_its_table(script: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / script, *SMALL[script]],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    check_table(done.stdout, tables=2 if "step" in script else 1)


def check_table(out: str, tables: int = 1) -> None:
    rows = [line for line in out.splitlines() if line.startswith("| ")]
    assert len(rows) >= 2 * tables
    assert not any("nan" in row for row in rows)


@pytest.fixture
def tiny_bert(corpus_dir: Path, tmp_path: Path) -> Path:
    """A folder with a BERT of random weights, its pooler included, and a tokenizer."""
    tokenizer = word_tokenizer(pq.read_table(corpus_dir / "train.parquet")["sentence"].to_pylist(), types=True)
    fields = {name: value for name, value in MODELS["bert"].items() if name != "model_type"}
    config = BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **fields)
    BertModel(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_the_facts_of_sst2(
    corpus_dir: Path,
    tiny_bert: Path,
    tmp_path: Path,
    run_command: Callable[..., tuple[int, str, str]],
    run_script: Script,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a corpus that stands for phrases and sentences alike; the study of sentences is made as that of phrases is."""
    start = subprocess.run

    def here(command: Sequence[Any], **how: Any) -> Any:
        """A command of hprune in this process, which has imported what each would import anew."""
        if list(command[:2]) != [sys.executable, "-m"] or not command[2].startswith("hprune."):
            return start(command, **how)
        code, _, err = run_command(command[2].removeprefix("hprune."), *command[3:])
        assert code == 0, err
        return None

    monkeypatch.setattr(subprocess, "run", here)
    asked = ["--work", tmp_path / "work", "--samples", "64", "--larger", "96", "--comparisons", "2"]
    asked += ["--precision", "32", "--only", "texts", "holm", "pooler", "ticket", "clean", "dilution", "arms"]
    out = run_script("sst2_facts.py", corpus_dir, corpus_dir, tiny_bert, *asked)
    rows = [line.strip("| ").split(" | ") for line in out.splitlines() if line.startswith("| ")]
    cells = {row[0]: row[1:] for row in rows}
    assert not any("nan" in cell for row in rows for cell in row)
    assert cells["SST-2, train"][-2:] == ["160 (100.0%)", "0 (0.0%)"]  # each is one of itself
    assert {"its own pooler", "12", "1 to 6", "clean pass", "96", "full"} <= set(cells)
    assert cells["equal epochs: 8,000, training pass"][2] == "0.034"  # as of 0.0038, fourth of 12: times 9
    assert int(cells["1 to 6"][1]) <= int(cells["1 to 6"][0])  # of the ticket, through epoch 1 only
    assert [row[0] for row in rows].count("winning_ticket") == 1


@pytest.mark.parametrize("misses", [0, 20, 150, 290])
def test_dilution_predicts_what_chance_gives(misses: int) -> None:
    facts, rng = runpy.run_path(str(ROOT / "benchmarks/sst2_facts.py")), np.random.default_rng(misses)
    negative = np.arange(1000) < 300
    missed = np.array([[rng.permutation(300) < misses for _ in range(facts["S"])] for _ in range(300)]).sum(axis=1)
    seen = ((missed > 0) & (missed < facts["S"])).sum(axis=1).mean() / 1000
    assert float(facts["predicted"](misses, negative).rstrip("%")) / 100 == pytest.approx(seen, abs=0.002)


def test_small_sets_rank_configurations(
    corpus_dir: Path,
    tiny: list[str],
    tmp_path: Path,
    run_command: Callable[..., tuple[int, str, str]],
    run_script: Script,
) -> None:
    """A ticket of two runs; two configurations by two seeds on three sets."""
    root = tmp_path / "results"
    scored = [*tiny, "scoring.seeds=[1,2]", "study=scored", f"paths.root={root}", "trainer.max_epochs=1"]
    assert run_command("train", "-m", *scored, "seed=1,2")[0] == 0
    assert run_command("score", "study=scored", f"paths.root={root}")[0] == 0
    command = [
        "ranking.py", str(tmp_path), f"--data={corpus_dir}",
        f"--scores={root / 'studies' / 'scored' / 'scores' / 'h_score.parquet'}",
        "--lr", "1e-5", "5e-3", "--epochs", "1", "--batch-size", "16", "--seeds", "11", "12", "--at-once", "1",
        "--sets", "full", "winning_ticket", "random_like", "--resamples", "50",
        "--also", "trainer.precision=32", *(option for option in tiny if option.startswith("model")),
    ]  # fmt: skip
    out = run_script(*command)
    assert "nan" not in out
    cells = [line.strip("| ").split(" | ") for line in out.splitlines() if line.startswith("| ")]
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

    assert run_script(*command, "--report") == out
    sweep = next(line for line in run_script(*command, "--list").splitlines() if "subset=winning_ticket" in line)
    code, out, err = run_command("train", *shlex.split(sweep)[3:])  # it finds those runs, and trains nothing
    assert code == 0, err
    assert out.count("skipped") == 4
    assert sorted((root / "runs").rglob("run.json")) == runs
