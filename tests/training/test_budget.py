"""A run on a subset may take as many epochs as one on the full set, or as many steps of the optimiser."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hprune.training.run as run_module
from hprune.science.select import random_like
from hprune.science.subset import SubsetSpec
from hprune.storage.runs import RunFolder, load_record, read_manifest
from hprune.tasks.load import load_task
from hprune.training.run import fine_tune
from tests.training.test_run import Stop, tables


def trained(spec: Any, root: Path) -> RunFolder:
    return fine_tune(spec, load_task(spec.task), None, root=root)


def on_a_subset(spec: Any, size: int) -> Any:
    return replace(spec, subset=SubsetSpec("random", random_like, by_score=False, size=size, allow_missing_class=True))


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(("size", "epochs"), [(160, 2), (100, 2), (80, 4), (41, 6)])  # of 160 samples in batches of 16
def test_as_many_steps_as_on_the_full_set(compose_run, tmp_path: Path, size: int, epochs: int, accumulate: int) -> None:  # type: ignore[no-untyped-def]
    spec = compose_run(
        "trainer.max_epochs=2", "trainer.budget=steps", f"trainer.accumulate={accumulate}", "record=both"
    )
    full = read_manifest(trained(spec, tmp_path).path)
    steps = full["cost"]["steps"]
    assert steps == 2 * math.ceil(10 / accumulate)
    pruned = trained(on_a_subset(spec, size), tmp_path)
    manifest = read_manifest(pruned.path)
    assert manifest["cost"]["steps"] == steps
    assert manifest["settings"]["trainer"]["budget"] == "steps"
    batches = math.ceil(size / 16)
    whole, cut = divmod(steps, math.ceil(batches / accumulate))
    for way in ("train_pass", "eval_pass"):
        record = load_record(pruned.path, way)
        assert record.correct.shape == (whole, size), "only whole epochs are recorded"
    took = whole + (cut > 0)
    assert len(manifest["epochs"]) == took
    validated = [epoch["epoch"] + 1 for epoch in manifest["epochs"] if "validation/loss" in epoch]
    assert 2 <= len(validated) < 4, "not fewer than on the full set, nor twice as many"
    assert validated == list(range(validated[0], took + 1, validated[0]))
    flops, of_full = (made["cost"]["evaluation_flops"] for made in (manifest, full))
    assert (flops == of_full) == (len(validated) == 2), "each of them is counted"
    assert of_full <= flops <= of_full * (len(validated) + 1) / 3, "and one at the end, as of the other sets"
    assert all("train/loss" in epoch for epoch in manifest["epochs"])
    if validated[-1] == took:
        last = manifest["epochs"][-1]["validation/loss"]
        assert last == pytest.approx(manifest["metrics"]["validation"]["loss"], rel=1e-5)


def test_the_schedule_ends_with_the_last_step(compose_run, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from tests.test_authors_defects import Rates

    spec, rates, build = on_a_subset(compose_run("trainer.budget=steps"), 41), Rates(), run_module._trainer
    monkeypatch.setattr(run_module, "_trainer", lambda spec, callbacks, **how: build(spec, [*callbacks, rates], **how))
    trained(spec, tmp_path)
    steps = spec.steps(full=160, kept=41)
    assert rates.rates == pytest.approx([spec.optim.lr * (1 - step / steps) for step in range(steps + 1)], abs=1e-12)


@pytest.mark.parametrize(("epoch", "batch"), [(0, 2), (5, 0), (9, 1)])
def test_one_that_stops_continues_to_the_same_bytes(
    compose_run, tmp_path: Path, monkeypatch, epoch: int, batch: int
) -> None:  # type: ignore[no-untyped-def]
    spec = on_a_subset(compose_run("trainer.budget=steps", "trainer.checkpoint_minutes=0", "record=both"), 41)
    undisturbed = trained(spec, tmp_path / "undisturbed")
    build, stop = run_module._trainer, Stop(epoch, RuntimeError, batch)
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "_trainer", lambda spec, callbacks, **how: build(spec, [*callbacks, stop], **how))
        with pytest.raises(RuntimeError, match="stopped by the test"):
            trained(spec, tmp_path / "broken")
    continued = trained(spec, tmp_path / "broken")
    assert tables(continued) == tables(undisturbed)
    manifests = [read_manifest(folder.path) for folder in (continued, undisturbed)]
    assert manifests[0]["epochs"] == manifests[1]["epochs"]
    assert manifests[0]["metrics"] == manifests[1]["metrics"]
    assert not (continued.path / "resume.ckpt").exists()


def test_the_full_set_has_no_budget_and_epochs_are_the_default(compose_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    full = trained(compose_run("trainer.max_epochs=1"), tmp_path)
    assert trained(compose_run("trainer.max_epochs=1", "trainer.budget=steps"), tmp_path).path == full.path
    pruned = trained(on_a_subset(compose_run("trainer.max_epochs=1"), 41), tmp_path)
    assert "budget" not in read_manifest(pruned.path)["settings"]["trainer"]
    assert read_manifest(pruned.path)["cost"]["steps"] == 3
