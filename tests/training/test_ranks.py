"""Several processes that train one run: every sample once an epoch, and the numbers of a run by one.

Processes stay for the next run of as many, and take seconds to start: the tests of two come behind each other.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from rank_cases import run_of
from transformers import AutoModelForSequenceClassification

from hprune.data.datamodule import Shares
from hprune.science.records import CONTINUOUS
from hprune.science.subset import choose
from hprune.storage.runs import RunFolder, load_record, read_manifest
from hprune.training.assemble import assemble
from hprune.training.ranks import nodes, outside, together
from hprune.training.run import fine_tune, locate
from hprune.training.settings import RunSpec
from hprune.training.spec import LoraSpec
from hprune.training.units import load_samples
from tests.conftest import ROOT
from tests.sweeps import contents, left_over

Run = Callable[..., tuple[int, str, str]]
KINDS = ("classification", "multiple_choice", "extractive_qa")


def trained(spec: RunSpec, root: Path) -> RunFolder:
    return fine_tune(spec, load_samples(spec, root=root), None, root=root)


def on(devices: int, spec: RunSpec, **trainer: Any) -> RunSpec:
    return replace(spec, trainer=replace(spec.trainer, devices=devices, **trainer))


def check_equal(one: RunFolder, several: RunFolder) -> None:
    """Records, predictions, metrics and losses of one process and of several, to float tolerance."""
    close = {"rtol": 2e-3, "atol": 2e-5}
    for way in ("train_pass", "eval_pass"):
        a, b = load_record(one.path, way), load_record(several.path, way)
        assert a.sample_ids.tolist() == b.sample_ids.tolist()
        for name in CONTINUOUS:
            np.testing.assert_allclose(getattr(b, name), getattr(a, name), err_msg=name, **close)
        decided = np.abs(a.margin) > 1e-4  # up to ties
        assert decided.mean() > 0.9
        assert (a.correct == b.correct)[decided].all()
    for file in one.path.glob("predictions.*.parquet"):
        a, b = pq.read_table(file), pq.read_table(several.path / file.name)
        assert a["sample_id"] == b["sample_id"]
        assert a["pred"] == b["pred"]
    a, b = read_manifest(one.path), read_manifest(several.path)
    assert b["cost"]["steps"] == a["cost"]["steps"]
    for there, here in zip((*a["epochs"], *a["metrics"].values()), (*b["epochs"], *b["metrics"].values()), strict=True):
        assert here == pytest.approx(there, rel=2e-3, abs=1e-5)


def kill_when(happens: Callable[[], bool]) -> None:
    """Kill one of the processes of this one's runs."""
    wait_for(happens)
    os.kill(next(child.pid for child in multiprocessing.active_children()), signal.SIGKILL)


def options(tiny: list[str], root: Path, *more: str) -> list[str]:
    return [*tiny, "study=s", f"paths.root={root}", "trainer=ddp", *more]


def command(*arguments: str, **how: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **how.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, **how
    )


def wait_for(happens: Callable[[], bool], process: subprocess.Popen[str] | None = None, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, process.stderr.read()
        time.sleep(0.02)


def test_a_sweep_that_is_killed_ends_with_the_same_bytes(
    tiny: list[str], tmp_path: Path, run_command: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    """`-m` with several devices, dropout on: killed in the middle of an epoch, it continues there."""
    sweep = [*options(tiny, tmp_path / "whole", "trainer.checkpoint_minutes=0"), "seed=1,2", "-m"]
    code, _, said = run_command("train", *sweep)
    said += capfd.readouterr().err  # of the other processes
    assert code == 0, said
    assert said.count("epoch 2 of 2") == 2, "one process speaks"
    broken = [option.replace("/whole", "/broken") for option in sweep]
    process = command("hprune.train", *broken, start_new_session=True)
    wait_for(lambda: len(list(tmp_path.glob("broken/runs/**/resume.ckpt"))) > 0, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.communicate()
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    code, _, said = run_command("train", *broken)
    said += capfd.readouterr().err
    assert code == 0, said
    assert "continues from its checkpoint" in said
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")
    assert not left_over(tmp_path / "broken")


def test_processes_from_outside(tiny: list[str], tmp_path: Path, run_command: Run) -> None:
    """torchrun starts them: the records of those that hprune starts; another number of them is refused."""
    run = options(tiny, tmp_path / "outside")
    process = command("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "hprune.train", *run)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert said.count("epoch 2 of 2") == 1, "one process speaks"
    code, _, said = run_command("train", *options(tiny, tmp_path / "own"))
    assert code == 0, said
    assert contents(tmp_path / "outside") == contents(tmp_path / "own")


def test_accumulated_gradients_and_16_bits(tmp_path: Path) -> None:
    """Accumulated, the numbers of one process; in 16 bits every sample once, and nearly the same."""
    added = run_of("classification", 61, accumulate=2)
    check_equal(trained(added, tmp_path), trained(on(2, added), tmp_path))
    half = replace(added, trainer=replace(added.trainer, precision="bf16-mixed"))
    one, two = (load_record(trained(on(n, half), tmp_path).path, "train_pass") for n in (1, 2))
    assert one.sample_ids.tolist() == two.sample_ids.tolist()
    np.testing.assert_allclose(two.true_prob, one.true_prob, atol=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_shares_are_the_batch(kind: str, tmp_path: Path) -> None:
    """Each row is in one share, and the mean over processes of weight times mean loss is the mean loss."""
    spec = run_of(kind, 26)
    data = load_samples(spec, root=tmp_path)
    ids, labels = data.train["sample_id"].to_numpy().copy(), data.train["label"].to_numpy()
    names = {"label_names": data.label_names, "data_hash": "", "seed": 1}
    made = assemble(spec, data, choose(spec.subset, None, sample_ids=ids, labels=labels, **names), root=tmp_path)
    module, train = made.module.eval(), made.datamodule.train
    plan = made.datamodule.plan.batches()
    assert {rows.size for rows in plan} == {12, 2}
    for world, rows in ((world, rows) for world in (1, 2, 3, 5) for rows in plan):
        shares = [Shares(train, rank, world)[rows] for rank in range(world)]
        own = [share["row"].tolist() for share in shares if "filler" not in share]
        assert sorted(row for share in own for row in share) == sorted(rows.tolist())
        assert len(shares) - len(own) == max(world - rows.size, 0)
        with torch.no_grad():
            losses = [module.kind.loss(module(share), share) * share["weight"] for share in shares]
            whole = train[rows]
            expected = module.kind.loss(module(whole), whole)
        assert float(torch.stack(losses).mean()) == pytest.approx(float(expected), rel=1e-5)
        assert all((share["weight"] == 0) == ("filler" in share) for share in shares)


def test_a_model_that_is_spread_continues_and_is_saved_whole(tmp_path: Path) -> None:
    """FSDP: adapters, 16 bits and accumulated gradients too; killed within an epoch, the same bytes in the end."""
    spec = on(2, run_of("classification", 61, batch=6), strategy="fsdp", checkpoint_minutes=0, save_model=True)
    for how in (
        {},
        {"trainer": {"accumulate": 2, "precision": "bf16-mixed"}, "model": {"adapter": LoraSpec(rank=2)}},
    ):
        run = replace(spec, **{part: replace(getattr(spec, part), **values) for part, values in how.items()})
        whole = trained(run, tmp_path / "whole")
        broken = locate(run, load_samples(run, root=tmp_path), None, root=tmp_path / "broken")
        stopped = Thread(
            target=kill_when, args=(lambda there=broken: len(list(there.path.glob("resume.ckpt/*"))) == 2,)
        )
        stopped.start()
        with pytest.raises(OSError, match="was ended"):
            trained(run, tmp_path / "broken")
        stopped.join()
        assert (broken.path / "resume.ckpt").is_dir()
        assert trained(run, tmp_path / "broken").path == broken.path
        tables = [
            {file.name: file.read_bytes() for file in folder.path.glob("*.parquet")} for folder in (whole, broken)
        ]
        assert tables[0] == tables[1]
        assert not [file.name for file in broken.path.iterdir() if file.name.startswith((".", "resume"))]
        model = AutoModelForSequenceClassification.from_pretrained(broken.path / "model")
        assert sum(weight.numel() for weight in model.parameters()) > 5000


OUTSIDE = {"RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "3", "TORCHELASTIC_RUN_ID": "x"}


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("train", (), r"trainer\.devices=2, but torchrun or srun started 3 processes.*give trainer\.devices=3"),
        ("train", ("seed=1,2", "-m"), r"a sweep .* 3 processes .*start it once"),
        ("study", (), r"a study .* 3 processes .*start it once"),
    ],
)
def test_what_must_not_be_started_several_times(
    name: str, more: tuple[str, ...], message: str, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    run_command: Callable[..., tuple[int, str, str]],
) -> None:  # fmt: skip
    for key, value in OUTSIDE.items():
        monkeypatch.setenv(key, value)
    code, _, err = run_command(name, *options(tiny, tmp_path), *more)
    assert code == 1
    assert re.search(message, err), err


def test_a_batch_script_is_not_one_of_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """SLURM sets a script's SLURM_PROCID and SLURM_NTASKS as for tasks; only srun starts several."""
    for key, value in {"SLURM_JOB_ID": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}.items():
        monkeypatch.setenv(key, value)
    assert outside() == (0, 1)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    monkeypatch.setenv("SLURM_STEP_NUM_NODES", "2")
    assert (outside(), nodes()) == ((0, 4), 2)


def test_the_first_failure_is_told(tmp_path: Path) -> None:
    """Where one process fails or is killed the others do not wait for it; a sound run may follow."""
    spec = run_of("classification", 61)
    for fault, error, message in (
        (fail, FloatingPointError, "sample ids"),
        (die, OSError, "one of the 2 processes .* was ended.*the same command continues"),
    ):
        with pytest.raises(error, match=message):
            together(fault, 2)
    trained(on(2, spec), tmp_path)


def fail(number: int) -> None:
    if number:
        raise FloatingPointError("the loss is nan in sample ids [3]")
    time.sleep(60)


def die(number: int) -> None:
    if number:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def test_another_number_of_devices_is_another_run(tmp_path: Path) -> None:
    """A checkpoint of two processes is never continued by three."""
    spec = run_of("classification", 61)
    data = load_samples(spec, root=tmp_path)
    folders = {locate(on(devices, spec), data, None, root=tmp_path).path for devices in (1, 2, 3)}
    assert len(folders) == 3


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root where the runs by one process are trained once, whatever they are compared with."""
    return tmp_path_factory.mktemp("shared")


@pytest.mark.parametrize("devices", [2, 3])
def test_the_records_are_those_of_one_process(devices: int, shared: Path) -> None:
    """Each kind of task, prime sizes, last batches of one row: some processes have nothing of it."""
    for kind in KINDS:
        for size, batch in ((61, 12), (499, 83)):  # 61 = 5 * 12 + 1, 499 = 6 * 83 + 1
            spec = run_of(kind, size, batch)
            one, several = trained(spec, shared), trained(on(devices, spec), shared)
            assert one.path != several.path
            check_equal(one, several)
            assert not [file.name for file in several.path.iterdir() if file.name.startswith(".")]
            if size == 61:
                check_equal(one, trained(on(devices, spec, strategy="fsdp"), shared))
