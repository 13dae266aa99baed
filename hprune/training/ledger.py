"""What a run cost, stage by stage: seconds as measured, operations as counted. It is the `cost` of run.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hprune.data.batching import by_length, padded_share
from hprune.data.datamodule import FineTuningData
from hprune.science.records import Measured
from hprune.training.assemble import Assembled
from hprune.training.flops import FlopModel, planned, shapes
from hprune.training.settings import RunSpec


def cost_of(
    spec: RunSpec,
    made: Assembled,
    counted: FlopModel | None,
    *,
    steps: int,
    ways: Sequence[Measured],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The cost of a run.

    Args:
        spec: what was run.
        made: its parts.
        counted: the operations of its model; None if they are not known.
        steps: of the optimiser that were taken.
        ways: how samples were judged.
        seconds: `train`, the batches only; `clean_pass`, judging without training; `evaluation`, after each epoch and
            at the end; `checkpoint`; all over interruptions. `total`, of the last start, with loading and all of these.

    Returns:
        STAGE_seconds, and STAGE_flops for the first three stages if they are known: of the whole run, as one device
        would, without checkpoints, by the shapes of its batches (`hprune.training.flops`). `steps`, `padded_share` and
        `truncated_samples`.
    """
    train = made.datamodule.train
    plan = made.datamodule.plan.batches()
    return {
        **{f"{stage}_seconds": value for stage, value in seconds.items()},
        **({} if counted is None else flops_of(spec, made.datamodule, counted, steps=steps, ways=ways)),
        "steps": steps,
        "padded_share": padded_share(train.lengths, plan, sequences=train.sequences, tokens=train.tokens),
        "truncated_samples": train.data.tokens.truncated,
    }


def flops_of(
    spec: RunSpec, datamodule: FineTuningData, counted: FlopModel, *, steps: int, ways: Sequence[Measured]
) -> dict[str, int]:
    """The operations of the stages of a run that takes so many steps."""
    whole, rest = divmod(steps, spec.steps_an_epoch(datamodule.train.lengths.size))
    epochs = whole + (rest > 0)
    in_epoch = len(datamodule.plan)
    batches = whole * in_epoch + min(rest * spec.trainer.accumulate, in_epoch)
    learned = planned(datamodule, epochs=epochs, batches=batches)
    passes = {name: _pass(counted, datamodule, name) for name in datamodule.evaluation}
    clean = {"eval_pass": _pass(counted, datamodule, None), "out_of_fold": passes.get("out_of_fold", 0)}
    return {
        "train_flops": int(counted.of_steps(learned).sum()),
        "clean_pass_flops": whole * sum(clean.get(way, 0) for way in ways),
        "evaluation_flops": epochs // spec.epochs_a_validation(epochs) * passes["validation"] + sum(passes.values()),
    }


def _pass(counted: FlopModel, datamodule: FineTuningData, name: str | None) -> int:
    """One pass over an evaluation set, or over the samples that are trained on."""
    batches = datamodule.train if name is None else datamodule.evaluation_batches(name)
    plan = by_length(batches.lengths, datamodule.spec.eval_batch_size)
    return int(counted.of_passes(shapes(batches, plan)).sum())
