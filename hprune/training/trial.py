"""A short true run in a temporary folder: what the parts of a run take, before any of them is paid for in full.

Its samples are whole batches of the run that is planned, of all lengths, the longest among them; it starts, trains,
records, evaluates and saves as every run does. A shorter one goes before, which warms up the process.
"""

from __future__ import annotations

import functools
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import torch
from numpy.typing import NDArray

from hprune.data.batching import by_length
from hprune.data.datamodule import FineTuningData
from hprune.science.forecast import Amounts, Growing, Prices
from hprune.science.records import Measured, Subset
from hprune.science.select import Pool, Positions
from hprune.science.subset import SubsetSpec
from hprune.storage.files import read_table, write_table
from hprune.storage.manifests import read_manifest
from hprune.storage.places import keep_below
from hprune.storage.runs import RunFolder
from hprune.tasks.load import content_hash
from hprune.tasks.spec import TaskData
from hprune.training.assemble import Assembled, assemble
from hprune.training.flops import FlopModel, flop_model, shapes
from hprune.training.ledger import flops_of
from hprune.training.quiet import quiet_libraries
from hprune.training.run import fine_tune
from hprune.training.settings import RunSpec, accelerator_of
from hprune.training.units import load_samples

FEWEST = 4
"""Batches of a trial, if there are as many."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What was measured."""

    started: float
    """When the process began to work, in seconds of the system's clock: before data was loaded."""
    loading: float
    """Seconds of loading the data."""
    prices: Prices
    scoring: Amounts
    """Of one run of the full set with a scoring seed."""
    full: Amounts
    """Of one run of the full set as an arm."""
    judging: float
    """The work of judging every sample without training, once an epoch."""
    files: Mapping[str, Growing]
    """The tables of a run by their names."""
    rest_bytes: int
    """Of the other files of a run."""
    checkpoint_bytes: int
    sets: Mapping[str, int]
    """Examples of each evaluation set."""
    steps: int
    """That were timed."""
    seconds: float
    """Of the trial that was measured."""
    memory: int
    """Peak of resident memory, of the process and those it started, in bytes."""
    device_memory: int | None
    """Peak of what tensors took on a GPU; None elsewhere."""


@quiet_libraries()
def trial(spec: RunSpec, *, root: Path, seconds: float) -> Trial:
    """Run it.

    Args:
        spec: an arm on the full set, with every set that is evaluated on, recorded as scoring runs are.
        root: where results would lie; nothing but the cache of tokens is written there.
        seconds: about how long the timed steps may take.

    Raises:
        ValueError: what refuses the run that is planned.
    """
    began, clock = time.time(), time.perf_counter()
    data = load_samples(spec, root=root)
    loading = time.perf_counter() - clock
    everything = Subset("full", data.train["sample_id"].to_numpy().copy(), data.data_hash, {"rule": "everything"})
    made: Assembled | None = assemble(
        spec, data, everything, root=root
    )  # makes the tokens of all sets, which the study finds
    assert made is not None
    counted = flop_model(made.module, made.datamodule)
    scoring, full = (_amounts(one, made, counted, own) for one, own in ((spec.scored(), True), (spec.whole(), False)))
    weights = [weight for weight in made.module.parameters() if weight.requires_grad]
    checkpoint = 3 * sum(weight.numel() * weight.element_size() for weight in weights)  # and the two moments of Adam
    judging = _judging(made.datamodule, counted, spec.trainer.max_epochs)
    datamodule, made = made.datamodule, None  # a second model would count as memory of a run
    del weights
    with tempfile.TemporaryDirectory() as temporary:
        _link_tokens(root, Path(temporary))
        short = _run(spec, data, datamodule, max(FEWEST, spec.trainer.accumulate), 1, Path(temporary) / "short")
        batch = short.cost["train_seconds"] / (short.cost["steps"] * spec.trainer.accumulate)
        epochs = min(spec.trainer.max_epochs, 2)
        batches = max(FEWEST, int(seconds / batch / epochs))
        long = _run(spec, data, datamodule, batches, epochs, Path(temporary) / "long")
        files = {file.name: _growing(file) for file in sorted(long.folder.path.glob("*.parquet"))}
        rest = sum(file.stat().st_size for file in long.folder.path.rglob("*") if file.is_file())
        rest -= sum(file.stat().st_size for file in long.folder.path.glob("*.parquet"))
    per_epoch = spec.trainer.max_epochs / epochs
    return Trial(
        started=began,
        loading=loading,
        prices=_prices(long, short),
        scoring=scoring,
        full=full,
        judging=judging,
        files={name: one.times(per_epoch) if name.startswith("record.") else one for name, one in files.items()},
        rest_bytes=rest,
        checkpoint_bytes=checkpoint,
        sets={name: table.num_rows for name, table in data.evaluation.items()},
        steps=long.cost["steps"],
        seconds=long.wall,
        memory=_memory() + _recorded(spec, data.train.num_rows),
        device_memory=torch.cuda.max_memory_allocated() if accelerator_of(spec.trainer) == "cuda" else None,
    )


@dataclass(frozen=True, eq=False)
class _Done:
    """A run that was timed."""

    folder: RunFolder
    cost: Mapping[str, Any]  # of its run.json
    amounts: Amounts
    wall: float


def _run(spec: RunSpec, data: TaskData, datamodule: FineTuningData, batches: int, epochs: int, root: Path) -> _Done:
    """Train on some of the batches of a run, evaluate on some of its examples."""
    rows = _some_batches(datamodule, batches)
    select = functools.partial(_these, rows)
    subset = SubsetSpec("trial", select, by_score=False, size=rows.size, allow_missing_class=True)
    trainer = replace(spec.trainer, max_epochs=epochs, progress=False, budget="epochs")
    short = replace(spec, subset=subset, trainer=trainer)
    small = _smaller_sets(data, datamodule, max(rows.size, spec.data.eval_batch_size))
    root.mkdir()
    (root / "cache").symlink_to(root.parent / "cache")
    keep_below(root, root.parent, *{folder.resolve() for folder in (root.parent / "cache" / "tokens").iterdir()})
    clock = time.perf_counter()
    folder = fine_tune(short, small, None, root=root)
    wall = time.perf_counter() - clock
    cost = read_manifest(folder.path)["cost"]
    examples = {name: table.num_rows for name, table in small.evaluation.items()}
    if "train_flops" in cost:
        amounts = Amounts(cost["train_flops"], cost["clean_pass_flops"], cost["evaluation_flops"], epochs - 1)
    else:
        amounts = _by_number(spec.ways, rows.size, epochs, examples)
    return _Done(folder, cost, amounts, wall)


def _amounts(spec: RunSpec, made: Assembled, counted: FlopModel | None, own: bool) -> Amounts:
    """How much a whole run on the full set has to do; as a scoring run it is evaluated on the task's own sets."""
    datamodule, epochs = made.datamodule, spec.trainer.max_epochs
    names = [name for name in datamodule.evaluation if not own or name in ("validation", *spec.task.splits)]
    if counted is None:
        examples = {name: datamodule.evaluation[name].labels.size for name in names}
        return _by_number(spec.ways, datamodule.train.lengths.size, epochs, examples)
    datamodule = FineTuningData(
        datamodule.train.data, datamodule.train.positions, {name: datamodule.evaluation[name] for name in names},
        datamodule.spec, pad_id=datamodule.pad_id, seed=spec.seed, packed=datamodule.packed,
    )  # fmt: skip
    found = flops_of(spec, datamodule, counted, steps=made.module.steps, ways=spec.record.ways)
    return Amounts(found["train_flops"], found["clean_pass_flops"], found["evaluation_flops"], epochs - 1)


def _judging(datamodule: FineTuningData, counted: FlopModel | None, epochs: int) -> float:
    """The work of a clean pass after each epoch."""
    if counted is None:
        return epochs * datamodule.train.lengths.size
    plan = by_length(datamodule.train.lengths, datamodule.spec.eval_batch_size)
    return epochs * float(counted.of_passes(shapes(datamodule.train, plan)).sum())


def _by_number(ways: Sequence[Measured], samples: int, epochs: int, examples: Mapping[str, int]) -> Amounts:
    """The same by the number of samples, where operations are not known."""
    passes = epochs * samples if "eval_pass" in ways else 0
    return Amounts(epochs * samples, passes, epochs * examples["validation"] + sum(examples.values()), epochs - 1)


def _some_batches(datamodule: FineTuningData, number: int) -> NDArray[np.int64]:
    """The positions of the samples of so many planned batches: evenly over their sizes, the largest among them."""
    plan = datamodule.plan.of_epoch(0)
    order = np.argsort(shapes(datamodule.train, plan)[:, 2], kind="stable")  # by pairs of cells
    at = ((np.arange(min(number, len(plan))) + 0.5) * len(plan) / min(number, len(plan))).astype(np.int64)
    at[-1] = len(plan) - 1
    return np.sort(np.concatenate([plan[order[i]] for i in np.unique(at)]))


def _these(rows: NDArray[np.int64], pool: Pool) -> Positions:
    """A selection of samples that are known already."""
    return rows


def _smaller_sets(data: TaskData, datamodule: FineTuningData, most: int) -> TaskData:
    """The same train set, and some examples of each evaluation set: evenly over their lengths, with the longest."""
    kept = {}
    for name, encoded in datamodule.evaluation.items():
        order = np.argsort(encoded.lengths, kind="stable")
        number = min(most, order.size)
        at = ((np.arange(number) + 0.5) * order.size / number).astype(np.int64)
        longest = min(datamodule.spec.eval_batch_size, number) // 2
        at[number - longest :] = np.arange(order.size - longest, order.size)
        kept[name] = pa.array(np.sort(order[np.unique(at)]))
    tables = {name: data.evaluation[name].take(rows).combine_chunks() for name, rows in kept.items()}
    return replace(
        data,
        evaluation=tables,
        evaluation_hashes={name: content_hash(table) for name, table in tables.items()},
        slices={name: table.take(kept[name]) for name, table in data.slices.items() if name in kept},
    )


def _link_tokens(root: Path, temporary: Path) -> None:
    """Let the trial find the tokens that are there; what it makes itself goes with it."""
    own = temporary / "cache" / "tokens"
    own.mkdir(parents=True)
    for folder in (root / "cache" / "tokens").iterdir():
        (own / folder.name).symlink_to(folder.resolve())


def _prices(long: _Done, short: _Done) -> Prices:
    """Seconds for each unit of work."""
    cost, amounts = long.cost, long.amounts
    evaluation = cost["evaluation_seconds"] / amounts.evaluation
    return Prices(
        fixed=_beside(long),
        first=max(0.0, _beside(short) - _beside(long)),
        train=cost["train_seconds"] / amounts.train,
        clean_pass=cost["clean_pass_seconds"] / amounts.clean_pass if amounts.clean_pass else evaluation,
        evaluation=evaluation,
        checkpoint=cost["checkpoint_seconds"] / amounts.checkpoints if amounts.checkpoints else 0.0,
    )


def _beside(done: _Done) -> float:
    """Seconds of a run beside its stages: starting, building, saving."""
    stages = ("train", "clean_pass", "evaluation", "checkpoint")
    return max(0.0, done.wall - sum(done.cost[f"{stage}_seconds"] for stage in stages))


def _growing(file: Path) -> Growing:
    """How the size of a table follows its rows: that of one row is what all of them need anyway."""
    table, facts = read_table(file)
    one = file.with_suffix(".one")
    write_table(one, table.slice(0, 1), facts)
    base, size = one.stat().st_size, file.stat().st_size
    one.unlink()
    return Growing(base, max(0.0, size - base) / max(1, table.num_rows - 1))


def _recorded(spec: RunSpec, samples: int) -> int:
    """Bytes of the record that is held for all samples: 14 once, 13 an epoch, in each way of measuring."""
    return len(spec.ways) * samples * (14 + 13 * spec.trainer.max_epochs)


def _memory() -> int:
    """The peak of this process, and of those that train with it."""
    own = [psutil.Process().pid, *(child.pid for child in multiprocessing.active_children() if child.pid is not None)]
    return sum(map(peak_memory, own))


def peak_memory(pid: int) -> int:
    """The most resident memory that a process had, in bytes.

    By the kernel's own mark where there is one: the number of `getrusage` is at first that of the process it came from.
    """
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
