"""What a study would take, on the terminal: its stages, the sum, what it rests on, and when it would pay back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from hprune.reporting.visible import shortened
from hprune.reporting.wording import PERCENT, count, duration, full_runs
from hprune.science.cost import PayBack
from hprune.science.split import USUAL, Split
from hprune.science.tickets import extended, listed

MOST_SPLITS = 3
OVERRIDES = "comparison.tickets="
TABLE_ROW = 4
"""Bytes of a row of a score table, about: a number of four bytes that hardly shrinks, an id that takes next to none."""
REPORT = 500_000
"""Bytes of report.html and report.json, about, most of which are figures."""


@dataclass(frozen=True)
class Stage:
    """Some runs of a study, of which some may be complete."""

    name: str
    runs: int
    done: int
    seconds: float
    """Of the runs that are left, one after the other."""
    size: float
    """Bytes that they leave on disk."""


@dataclass(frozen=True)
class Trials:
    """What the prediction rests on, and what was measured beside time."""

    processes: int
    steps: int
    """That were timed in each."""
    seconds: float
    one_full_run: float
    training: float
    """Of it, the steps themselves."""
    memory: int
    """Bytes at once, of all processes."""
    device_memory: int | None
    """Bytes on a GPU, of each run."""
    passing: int
    """Bytes on disk while it runs, for checkpoints, of all processes."""


@dataclass(frozen=True)
class Forecast:
    """What is left of a study."""

    study: str
    task: str
    model: str
    at_once: int
    stages: Sequence[Stage]
    seconds: float
    """From start to end, several runs at once."""
    trials: Trials | None
    """None if nothing is left, so nothing was tried."""
    assumed: float | None
    """The share that subsets keep whose score is not there yet; None if every size is known."""
    pays: PayBack | None
    splits: Sequence[Split] = ()
    """What the cost of the whole study buys otherwise, in tickets and seeds, the narrowest interval first."""
    metric: str | None = None
    """That the spreads are of, the primary one; None: its unit is not known."""
    may_stop: bool = False
    """Whether scoring may end before all its runs (scoring.stop_when): then it takes at most so much."""

    @property
    def size(self) -> float:
        """Bytes that all stages leave on disk."""
        return sum(stage.size for stage in self.stages)


def report_bytes(tables: int, samples: int) -> int:
    """Of the score tables and the report, about."""
    return tables * TABLE_ROW * samples + REPORT


def report_seconds(tables: int) -> float:
    """Of the report, about: its libraries are loaded here, and a figure is drawn, as it draws one a table and a few.

    Its statistics take about as long as its figures.
    """
    began = time.perf_counter()
    import hprune.reporting.page  # noqa: F401
    from hprune.reporting.figures import score_histogram

    values = [{"value": value, "count": 1, "by_class": {}} for value in range(7)]
    drawn = [time.perf_counter()]
    for _ in range(2):
        score_histogram("h_score", {"values": values, "higher_is": "easier"})
        drawn.append(time.perf_counter())
    return drawn[1] - began + 2 * (tables + 6) * (drawn[2] - drawn[1])


def print_forecast(forecast: Forecast) -> None:
    """Print it on stdout."""
    from hprune.reporting.console import PlainConsole, ruled_table  # rich: a tenth of a second

    console = PlainConsole()
    console.print(shortened(f"study {forecast.study}: task {forecast.task}, model {forecast.model}"))
    table = ruled_table()
    for head in ("stage", "runs", "complete", "time of what is left", "disk"):
        table.add_column(head, justify="left" if head == "stage" else "right", overflow="fold")
    everything = Stage(
        "total",
        sum(stage.runs for stage in forecast.stages),
        sum(stage.done for stage in forecast.stages),
        forecast.seconds,
        forecast.size,
    )
    for stage in (*forecast.stages, everything):
        name = stage.name if stage is not everything else f"total, {count(forecast.at_once, 'run')} at a time"
        cells = (str(stage.runs or ""), str(stage.done or ""), duration(stage.seconds) if stage.seconds else "")
        table.add_row(shortened(name), *cells, in_bytes(stage.size) if stage.size else "")
    console.print(table)
    for sentence in sentences(forecast):
        console.print(sentence, soft_wrap=sentence.startswith(OVERRIDES))  # which are one line, to be copied


def sentences(forecast: Forecast) -> list[str]:
    """What stands under the table."""
    if forecast.trials is None:
        return ["Every run is complete: the study costs nothing more."]
    return [*_measured(forecast, forecast.trials), *_assumed(forecast), *_pays(forecast), *_splits(forecast)]


def _measured(forecast: Forecast, trials: Trials) -> list[str]:
    of_it = f"of which the steps {duration(trials.training)}"
    beside = " at the same time" if trials.processes > 1 else ""
    found = [
        f"A run on the full set takes {duration(trials.one_full_run)}, {of_it}.",
        f"Measured by {count(trials.processes, 'trial run')}{beside}: {count(trials.steps, 'step')} over batches of "
        f"all lengths in {duration(trials.seconds)}, warm-up not counted.",
        f"Memory: {in_bytes(trials.memory)} at the peak{'' if trials.processes == 1 else ', all processes'}"
        + ("" if trials.device_memory is None else f"; {in_bytes(trials.device_memory)} on the GPU, each run")
        + f". Disk while it runs: {in_bytes(trials.passing)} more, for checkpoints.",
    ]
    if any(stage.done for stage in forecast.stages):
        found.append("Runs that are complete cost nothing more; those that were begun are counted as a whole.")
    return found


def _assumed(forecast: Forecast) -> list[str]:
    stop = ["At most: scoring may stop before all its runs (scoring.stop_when)."] if forecast.may_stop else []
    if forecast.assumed is None:
        return stop
    return [
        *stop,
        f"Assumed: a subset whose size its score will say keeps {forecast.assumed:.0%} of the samples "
        "(plan.keep_share); the paper's winning tickets keep 21% to 84%.",
    ]


def _pays(forecast: Forecast) -> list[str]:
    paid = forecast.pays
    if paid is None or paid.selection_to_tuning is None or paid.saved_share is None:
        return []
    ratio = full_runs(paid.selection_to_tuning)
    scoring = f"Scoring costs {ratio} full fine-tunings; each later run saves {paid.saved_share:.0%} of one"
    if paid.break_even is None:
        return [f"{scoring}, so it is never paid back."]
    return [f"{scoring}, so it is paid back after {count(paid.break_even, 'later run')}."]


def _splits(forecast: Forecast) -> list[str]:
    """How the same cost would serve a verdict on the method, and the best way as overrides."""
    if not forecast.splits:
        return []
    best, metric = forecast.splits[0], forecast.metric
    told = "; ".join(_design(split, metric) for split in forecast.splits[:MOST_SPLITS])
    if best.cost <= best.budget + 1e-9:
        start = f"For a verdict on the method, the cost of this study would also pay for {told}"
    else:
        start = (
            f"A verdict on the method takes two tickets of two seeds at least: {told}, which costs "
            f"{best.cost / best.budget:.1f} times as much as this study"
        )
    unit = "" if metric else ", in the metric's own unit: 0.01 is one point of accuracy"
    known = (best.components.ticket, best.components.seed)
    ticket, seed = (_in_unit(spread or 0.0, metric) for spread in known)
    ours = ", our defaults" if known == (USUAL.ticket, USUAL.seed) else ""
    return [
        f"{start} (+-: expected 95% interval of the difference to the full set{unit}), assuming tickets differ by "
        f"{ticket} and seeds by {seed.removesuffix(' points')} (plan.spread{ours}). "
        f"For {best.tickets} tickets x {count(best.seeds_per_ticket, 'seed')} add:",
        _overrides(best, forecast),
    ]


def _design(split: Split, metric: str | None) -> str:
    """`4 tickets x 3 seeds, 24 scoring runs: +-1.1 points`."""
    size = f"{split.tickets} tickets x {count(split.seeds_per_ticket, 'seed')}"
    half = f"{100 * split.half_width:.1f} points" if metric in PERCENT else f"{split.half_width:.3f}"
    return f"{size}, {count(split.scoring_runs, 'scoring run')}: +-{half}"


def _in_unit(spread: float, metric: str | None) -> str:
    return f"{round(100 * spread, 2):g} points" if metric in PERCENT else f"{spread:g}"


def _overrides(split: Split, forecast: Forecast) -> str:
    scoring = list(range(1, split.scoring_runs + 1))
    comparison = extended([], split.tickets * split.seeds_per_ticket, avoiding=scoring)
    stop = " scoring.stop_when.open_share=null" if forecast.may_stop else ""
    tickets = f"{OVERRIDES}{split.tickets} scoring.seeds={listed(scoring)}"
    return f"{tickets} comparison.seeds={listed(comparison)}{stop}"


def in_bytes(size: float) -> str:
    """`1.4 GB`, `12 KB`; powers of 1000, as disks are sold."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= 0.9995 * factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size / 1e3:.0f} KB"
