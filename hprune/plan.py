"""What a study would take, before anything is trained: `python -m hprune.plan +experiment=demo`.

It takes the configuration of `hprune.study` and refuses what that refuses. As many processes as would train at once
make a short trial each; its prices, times the work of every run that is not complete yet, are the prediction. Under the
root nothing is written but the cache of tokens, which the study finds.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from hprune.command import check_sections, command, plain
from hprune.composition import Composed, composed
from hprune.data.checks import check_number
from hprune.enough import StopEarly
from hprune.reporting.forecast import Forecast, Stage, Trials, print_forecast, report_bytes, report_seconds
from hprune.science.cost import PayBack, makespan, pay_back
from hprune.science.forecast import Amounts, Prices
from hprune.science.split import Split
from hprune.science.subset import choose
from hprune.split import SPREAD, splits, spread_of

if TYPE_CHECKING:
    from hprune.tasks.spec import TaskData
    from hprune.training.settings import RunSpec
    from hprune.training.trial import Trial

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Planned:
    """One run of the study, as far as it is known."""

    spec: RunSpec
    scoring: bool
    share: float  # of the samples
    assumed: bool  # as no score says it yet
    folder: Path | None  # None: its score is not there, so it was never trained
    complete: bool


@command("plan")
def main(cfg: DictConfig) -> None:
    """Predict time, disk and memory of a study."""
    began = time.perf_counter()
    check_sections(cfg, "plan")
    share, seconds = cfg.plan.keep_share, cfg.plan.seconds
    check_number("plan.keep_share", share, rule="a share of the samples in (0, 1)", open_low=True, high=1.0)
    check_number("plan.seconds", seconds, rule="a finite number above 0", open_low=True)
    spread, made = spread_of(plain(cfg.plan.spread)), composed(cfg)

    from hprune.training.units import load_samples

    data = load_samples(made.full, root=made.root)
    starting = time.perf_counter() - began
    found = forecast(made, data, keep_share=float(share), seconds=float(seconds), starting=starting, spread=spread)
    print_forecast(found)


def forecast(
    made: Composed,
    data: TaskData,
    *,
    keep_share: float,
    seconds: float,
    starting: float,
    spread: Mapping[str, float] = SPREAD,
) -> Forecast:
    """What is left of a study, and what it will take.

    Args:
        made: the study.
        data: the tables of its task.
        keep_share: of the samples that a subset chosen by a score keeps, where no score says it.
        seconds: of timed steps, about; nothing is tried if nothing is left.
        starting: seconds that a command takes until it has the data.
        spread: of differences to the full set, by `plan.spread`.

    Raises:
        ValueError: whatever would refuse the study, or its runs.
    """
    made = _as_stopped(made)
    runs = [_look(made, data, spec, keep_share, scoring=True) for spec in made.scoring_runs()]
    runs += [_look(made, data, spec, keep_share, scoring=False) for spec in made.comparison_runs()]
    left = _left(runs)
    trials, started = _trials(made, seconds) if left else ([], 0.0)
    prices = Prices.mean([trial.prices for trial in trials]) if trials else Prices()
    took = {id(run): _seconds(run, trials[0], prices) for run in left}
    first = started + prices.first
    clock = starting if left else 0.0
    for scoring in (True, False):
        jobs = [took[id(run)] for run in left if run.scoring == scoring]
        clock += makespan(jobs, made.at_once, first=first)
        first = 0.0 if jobs else first  # they stay for the rest
    size = {id(run): _size(run, trials[0], data.train.num_rows) for run in left}
    stages = _stages(runs, took, size)
    of_tickets = sum(1 + len(ticket.others) for ticket in made.tickets)
    tables = len(made.full.ways) + len(made.cells) + len(made.others) + of_tickets
    if left:
        clock += (report := report_seconds(tables))
        stages.append(Stage("score tables, report", 0, 0, report, report_bytes(tables, data.train.num_rows)))
    return Forecast(
        study=made.study,
        task=made.full.task.name,
        model=made.full.model.name,
        at_once=made.at_once,
        stages=stages,
        seconds=clock,
        trials=_told(trials, prices, made) if trials else None,
        assumed=keep_share if any(run.assumed for run in left) else None,
        may_stop=made.open_share is not None and any(run.scoring for run in left),
        pays=_pays(made, runs, trials[0], prices) if trials else None,
        metric=made.full.task.kind.primary_metric,
        splits=_splits(made, runs, data.evaluation["validation"].num_rows, spread),
    )


def _splits(made: Composed, runs: Sequence[_Planned], examples: int, spread: Mapping[str, float]) -> list[Split]:
    """What the cost of the whole study buys otherwise, in runs of the full set."""
    pruned = [run for run in runs if not run.scoring and run.spec.subset.select is not None]
    full = sum(not run.scoring and run.spec.subset.select is None for run in runs)
    return splits(
        scoring=sum(run.scoring for run in runs),
        each=len(made.tickets[0].scoring) if made.tickets else len(made.scoring),
        full=full,
        pruned=[1.0 if run.spec.steps_of_full_set else run.share for run in pruned],
        examples=examples,
        spread=spread,
    )


def _as_stopped(made: Composed) -> Composed:
    """The study as it goes on, if the scoring runs that are complete suffice already (scoring.stop_when)."""
    stop = StopEarly(made.root, made.study, made.scoring, made.open_share, made.score)
    stop.handed_out = len(made.scoring)
    stopped = stop.found()
    return made if stopped is None else replace(made.stopped(stopped), scoring=stopped.seeds)


def _look(made: Composed, data: TaskData, spec: RunSpec, keep_share: float, *, scoring: bool) -> _Planned:
    """What is known of a run: where it lies, whether it is complete, on how many samples it trains."""
    from hprune.collect import folder_of, sized_run
    from hprune.storage.runs import check_complete
    from hprune.storage.scores import scores_for, waits_for_scores

    samples, subset = data.train.num_rows, spec.subset
    if waits_for_scores(subset, root=made.root, study=made.study):
        known = subset.fraction if subset.size is None else subset.size / samples
        return _Planned(spec, scoring, keep_share if known is None else known, known is None, None, False)
    folder = folder_of(spec, data, root=made.root, study=made.study)
    kept = samples
    if subset.select is not None:
        chosen = choose(
            sized_run(spec, data, root=made.root, study=made.study).subset,
            scores_for(subset, root=made.root, study=made.study),
            sample_ids=data.train["sample_id"].to_numpy().copy(),
            labels=data.train["label"].to_numpy(),
            label_names=data.label_names,
            data_hash=data.data_hash,
            seed=spec.seed,
        )
        kept = chosen.sample_ids.size
    if folder.complete:
        check_complete(folder)
    return _Planned(spec, scoring, kept / samples, False, folder.path, folder.complete)


def _left(runs: Sequence[_Planned]) -> list[_Planned]:
    """The runs that will be trained: not complete, and each once."""
    by_place = {run.folder or number: run for number, run in reversed(list(enumerate(runs)))}
    return [run for run in runs if not run.complete and any(run is one for one in by_place.values())]


def _trials(made: Composed, seconds: float) -> tuple[list[Trial], float]:
    """Trials in as many processes as would train at once, and how long a process takes until it has the data."""
    from concurrent.futures.process import BrokenProcessPool

    from hprune.training.cards import environments
    from hprune.training.processes import workers

    spec = next(run for run in made.comparison_runs() if run.subset.select is None)
    spec = replace(spec, record=made.full.record)
    work = functools.partial(_quiet_trial, spec, made.root, seconds)
    log.info("trial runs of about %g s, %d at once; nothing is kept but the cache of tokens", seconds, made.at_once)
    with workers(environments(made.at_once, made.cards)) as everyone:
        now = time.time()
        waiting = [worker.submit(work) for worker in everyone]
        try:
            trials = [future.result() for future in waiting]
        except BrokenProcessPool as error:
            raise MemoryError(
                "a trial run was ended, for lack of memory perhaps, and so would be the study: at_once=1 needs less, "
                "so does a lower data.batch_size with as much more of trainer.accumulate"
            ) from error
    if made.at_once == 1:
        return trials, 0.0  # the study trains in its own process
    return trials, max(trial.started - now + trial.loading for trial in trials)


def _quiet_trial(spec: RunSpec, root: Path, seconds: float) -> Trial:
    """In a process of its own."""
    logging.getLogger("hprune").setLevel(logging.WARNING)
    from hprune.training.trial import trial

    return trial(spec, root=root, seconds=seconds)


def _amounts(run: _Planned, trial: Trial) -> Amounts:
    """The work of a run."""
    if not run.scoring:
        return trial.full.on(run.share, same_steps=run.spec.steps_of_full_set)
    return trial.scoring.folds(run.spec.data.folds, judged=trial.judging)


def _seconds(run: _Planned, trial: Trial, prices: Prices) -> float:
    """Of a run; checkpoints by the clock come beside those of the epochs."""
    amounts = _amounts(run, trial)
    models = (run.spec.data.folds or 1) if run.scoring else 1
    minutes = run.spec.trainer.checkpoint_minutes
    by_clock = prices.train * amounts.train // (60 * minutes) if minutes else 0.0
    return prices.seconds(amounts, runs=models) + by_clock * prices.checkpoint


def _size(run: _Planned, trial: Trial, samples: int) -> float:
    """Bytes that a run leaves behind."""
    folds = (run.spec.data.folds or 1) if run.scoring else 1
    rows = run.share * samples
    found = float(folds * trial.rest_bytes)
    for name, file in trial.files.items():
        kind, _, rest = name.partition(".")
        way = rest.removesuffix(".parquet")
        if kind == "record" and not run.scoring and way not in run.spec.ways:
            continue
        if kind != "predictions":
            found += file.size(rows) * (1 if folds == 1 else 2)  # each fold has its own, and the run all of them
        elif not run.scoring or way in ("validation", *run.spec.task.splits):
            found += folds * file.size(trial.sets[way])
    return found


def _stages(runs: Sequence[_Planned], took: dict[int, float], size: dict[int, float]) -> list[Stage]:
    """The scoring runs, then the runs of each arm, with the sum over those that are left."""
    groups: dict[str, list[_Planned]] = {}
    for run in runs:
        steps = ", steps of the full set" if run.spec.steps_of_full_set else ""
        kept = f" ({run.share:.0%} of the samples{', assumed' if run.assumed else ''})" if run.share < 1 else ""
        name = "scoring runs" if run.scoring else f"comparison runs, {run.spec.subset.name}{steps}{kept}"
        groups.setdefault(name, []).append(run)
    return [
        Stage(
            name,
            len(group),
            sum(run.complete for run in group),
            sum(took.get(id(run), 0.0) for run in group),
            sum(size.get(id(run), 0.0) for run in group),
        )
        for name, group in groups.items()
    ]


def _told(trials: Sequence[Trial], prices: Prices, made: Composed) -> Trials:
    from hprune.training.trial import peak_memory

    memory, full = sum(trial.memory for trial in trials), trials[0].full
    on_device = [trial.device_memory for trial in trials if trial.device_memory is not None]
    return Trials(
        processes=len(trials),
        steps=trials[0].steps,
        seconds=max(trial.seconds for trial in trials),
        one_full_run=prices.seconds(full),
        training=prices.train * full.train,
        memory=memory + (peak_memory(os.getpid()) if made.at_once > 1 else 0),
        device_memory=max(on_device, default=None),
        passing=2 * len(trials) * trials[0].checkpoint_bytes,  # one replaces another
    )


def _pays(made: Composed, runs: Sequence[_Planned], trial: Trial, prices: Prices) -> PayBack | None:
    """Break-even of one winning ticket, or else of the first arm that a score chooses: S / (1 - p) for a share p."""
    chosen = [run for run in runs if run.spec.subset.by_score and run.spec.subset.select is not None]
    chosen = [run for run in chosen if not run.spec.subset.at_random and not run.spec.steps_of_full_set]
    asked = next((run for run in chosen if run.spec.subset.name == "winning_ticket"), next(iter(chosen), None))
    if asked is None:
        return None
    work, full = trial.scoring.folds(made.full.data.folds, judged=trial.judging), prices.train * trial.full.train
    judging = 0.0 if made.score.measured == "train_pass" else prices.clean_pass * work.clean_pass
    of_one = len(made.tickets[0].scoring) if made.tickets else made.score.runs or len(made.scoring)
    scoring = of_one * (prices.train * work.train + judging)
    return pay_back(scoring=scoring, full_run=full, subset_run=asked.share * full)


if __name__ == "__main__":
    main()
