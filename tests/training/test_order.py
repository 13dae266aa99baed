"""Runs on a subset take their samples in the order of the full set; the full set and folds keep the order they had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hprune.data.batching import plan_batches, plan_subset
from hprune.data.datamodule import FineTuningData
from hprune.science.records import Subset
from hprune.science.select import random_like
from hprune.science.subset import SubsetSpec, choose
from hprune.storage.runs import RunFolder
from hprune.tasks.load import load_task
from hprune.training.assemble import assemble
from hprune.training.folds import folds_of
from hprune.training.run import locate
from hprune.training.settings import settings_of

Compose = Callable[..., Any]


def on_a_subset(spec: Any, size: int) -> Any:
    return replace(spec, subset=SubsetSpec("random", random_like, by_score=False, size=size, allow_missing_class=True))


def subset_of(spec: Any, data: Any) -> Subset:
    return choose(
        spec.subset, None, sample_ids=data.train["sample_id"].to_numpy().copy(), labels=data.train["label"].to_numpy(),
        label_names=data.label_names, data_hash=data.data_hash, seed=spec.seed,
    )  # fmt: skip


def assembled(spec: Any, data: Any, root: Path, subset: Subset | None = None) -> FineTuningData:
    return assemble(spec, data, subset or subset_of(spec, data), root=root).datamodule


def batches_of(datamodule: FineTuningData, epoch: int = 0) -> list[list[int]]:
    return [batch.tolist() for batch in datamodule.plan.of_epoch(epoch)]


@pytest.mark.parametrize("batching", ["bucketed", "random"])
@pytest.mark.parametrize("order", ["fixed", "reshuffled"])
def test_a_subset_follows_the_full_set(compose_run: Compose, tmp_path: Path, order: str, batching: Any) -> None:
    spec = compose_run(f"data.order={order}", f"data.batching={batching}", "seed=4")
    data = load_task(spec.task)
    full, kept = (assembled(one, data, tmp_path) for one in (spec, on_a_subset(spec, 60)))
    lengths, rows = full.train.lengths, kept.train.positions
    for epoch in (0, 2):
        drawn = {"batch_size": 16, "seed": 4, "batching": batching, "epoch": epoch}
        assert batches_of(full, epoch) == [batch.tolist() for batch in plan_batches(lengths, **drawn)]
        assert batches_of(kept, epoch) == [batch.tolist() for batch in plan_subset(lengths, rows, **drawn)]
    assert len(kept.plan) == 4


def test_a_subset_of_every_sample_is_trained_as_the_full_set(compose_run: Compose, tmp_path: Path) -> None:
    spec = compose_run()
    data = load_task(spec.task)
    plans = [batches_of(assembled(one, data, tmp_path)) for one in (spec, on_a_subset(spec, 160))]
    assert plans[0] == plans[1]


def test_arms_of_a_seed_share_their_order_and_other_seeds_do_not(compose_run: Compose, tmp_path: Path) -> None:
    spec = compose_run("data.batching=random")
    data = load_task(spec.task)

    def ids(size: int, seed: int) -> list[int]:
        one = replace(on_a_subset(spec, size), seed=seed)
        subset = subset_of(one, data)
        return [int(subset.sample_ids[row]) for batch in batches_of(assembled(one, data, tmp_path)) for row in batch]

    large, small, other = ids(120, 1), ids(50, 1), ids(120, 2)
    shared = set(large) & set(small)
    assert len(shared) > 20
    assert [i for i in large if i in shared] == [i for i in small if i in shared]
    common = set(large) & set(other)
    assert [i for i in large if i in common] != [i for i in other if i in common]


def test_folds_keep_the_order_that_they_had(compose_run: Compose, tmp_path: Path) -> None:
    spec = compose_run("data.folds=3", "seed=2")
    data = load_task(spec.task)
    folder = RunFolder(tmp_path, spec.key, settings_of(spec, data, None))
    for fold in folds_of(spec, data, folder):
        made = assembled(spec, fold.data, tmp_path, fold.trained)
        assert made.train.positions.size < data.train.num_rows
        expected = plan_batches(made.train.lengths, batch_size=16, seed=2)
        assert batches_of(made) == [batch.tolist() for batch in expected]


def test_only_runs_on_a_subset_say_so_in_their_settings(compose_run: Compose, tmp_path: Path) -> None:
    for options in ((), ("data.folds=3",), ("trainer.budget=steps",)):
        spec = compose_run(*options)
        data = load_task(spec.task)
        assert "order_from" not in settings_of(spec, data, None)["data"]
        assert not spec.follows_full_set
    subset = on_a_subset(spec, 60)
    assert settings_of(subset, data, None)["data"]["order_from"] == "full_set"
    assert locate(subset, data, None, root=tmp_path).path != locate(spec, data, None, root=tmp_path).path


@pytest.mark.parametrize("size", [1, 15, 17])
def test_small_subsets_are_planned(compose_run: Compose, tmp_path: Path, size: int) -> None:
    spec = on_a_subset(compose_run(), size)
    made = assembled(spec, load_task(spec.task), tmp_path)
    assert np.sort(np.concatenate(made.plan.batches())).tolist() == list(range(size))
