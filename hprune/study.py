"""All of it in one go: `python -m hprune.study +experiment=demo`.

Collect (the full set, once per scoring seed), score, select and retrain (every arm, once per comparison seed), report.
The same command continues where it was interrupted; complete runs are never trained again. A run that fails stops no
other: the study goes on as far as it can, ends with a table of its runs, and exits with 1.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from hprune.command import command
from hprune.composition import Composed, composed
from hprune.enough import StopEarly
from hprune.report import asks_judge, write_report
from hprune.reporting.outcomes import Outcome, print_outcomes
from hprune.score import ScoreSpec, score_study

if TYPE_CHECKING:
    from pathlib import Path

    from hprune.at_once import Ended, Planned
    from hprune.storage.studies import Purpose
    from hprune.tasks.spec import TaskData
    from hprune.training.settings import RunSpec

log = logging.getLogger(__name__)


@command("study")
def main(cfg: DictConfig) -> None:
    """Run every stage of a study."""
    judge, made = asks_judge(cfg), composed(cfg)
    root, study, full, compared = made.root, made.study, made.full, made.compared()
    scoring, at_once = made.scoring, made.at_once

    from hprune.at_once import Planned, StudyPlace, training
    from hprune.collect import check_seed_apart
    from hprune.storage.scores import waits_for_scores
    from hprune.training.units import load_samples

    data, place = load_samples(full, root=root), StudyPlace(root, study, scoring)
    for run in made.comparison_runs():
        if not waits_for_scores(run.subset, root=root, study=study):
            check_seed_apart(run, root=root, study=study)  # before the scoring runs are paid for
    log.info(
        "study %s: %d scoring runs, then %d comparison runs of %s%s; results in %s",
        study,
        len(scoring),
        len(compared),
        _shape(made),
        f", {at_once} at once" if at_once > 1 else "",
        root / "studies" / study,
    )
    planned = [_title("scoring", full, seed) for seed in scoring]
    planned += [_title("comparison", one.arm, one.seed, one.ticket) for one in compared]
    progress = _Progress(planned)
    with progress.told():
        with training(place, data, at_once=at_once, cards=made.cards) as train:
            runs, stop = made.scoring_runs(), StopEarly(root, study, scoring, made.open_share, made.score)
            progress.watch(train(progress.started(stop.until(runs), "scoring"), stop.suffice))
            if (stopped := stop.found()) is not None:
                log.info("%s", stopped)
                progress.not_needed(len(stopped.seeds), len(scoring))
                place.register(Planned("", runs[0], "scoring", stopped.seeds), data)  # the latest says what is planned
                made = made.stopped(stopped)
            for way in full.ways:
                score_study(root, study, replace(made.score, measured=way))
            for cell in made.cells:
                score_study(root, study, cell)
            used = _tables_of([one.arm for one in compared])
            for other in made.others:
                _make_table(root, study, other, data, needed=not made.tickets and other.name in used)
            for ticket in made.tickets:
                score_study(root, study, ticket.score)
                for other in ticket.others:
                    _make_table(root, study, other, data, needed=True)
            comparisons = made.comparison_runs(margin=made.fixed_margin())
            progress.watch(train(progress.started(comparisons, "comparison", stopped.seeds if stopped else None)))
        if not progress.failed:
            print_outcomes(progress.outcomes)
        write_report(root, study, data, judge=judge, spec=full)


def _tables_of(arms: Sequence[RunSpec]) -> set[str | None]:
    """The score tables that arms are chosen or sized by."""
    return {table for arm in arms for table in (arm.subset.scores, arm.subset.sized_by)}


def _make_table(root: Path, study: str, spec: ScoreSpec, data: TaskData, *, needed: bool) -> None:
    """Make a score table; the study goes on without one that no arm is chosen by, such as the spread of one epoch.

    Raises:
        ValueError: if it cannot be made and an arm needs it.
    """
    try:
        score_study(root, study, spec, data)
    except ValueError as error:
        if needed:
            raise ValueError(f"score {spec.name}: {error}") from error
        log.warning("the score table %s was not made, and no arm needs it: %s", spec.table, error)


def _shape(made: Composed) -> str:
    """What is compared: so many arms and seeds, of several tickets where there are."""
    arms, seeds = len(made.arms) + len(made.cell_arms), len(made.comparison)
    if not made.tickets:
        return f"{arms} arms x {seeds} seeds"
    return f"{arms} arms x {seeds} seeds, dealt out to {len(made.tickets)} tickets"


def _title(purpose: Purpose, spec: RunSpec, seed: int, ticket: int | None = None) -> str:
    steps = ", steps of the full set" if spec.steps_of_full_set else ""
    by = f" of {spec.subset.sized_by or spec.subset.scores}" if spec.subset.sized_by or spec.subset.scores else ""
    whose = f", ticket {ticket}" if ticket is not None and spec.subset.select is not None else ""
    return f"{'scoring run' if purpose == 'scoring' else f'arm {spec.subset.name}{by}{whose}{steps}'}, seed {seed}"


class _Progress:
    """Says of each run that it starts, how long the rest may take, and at the end what became of all."""

    def __init__(self, planned: Sequence[str]) -> None:
        self.total, self.trained, self.number = len(planned), 0, 0
        self.since: float | None = None  # the first run was handed out that was not skipped
        self.outcomes = [Outcome(title, "not started") for title in planned]

    @property
    def failed(self) -> int:
        """How many runs failed so far."""
        return sum(outcome.state == "failed" for outcome in self.outcomes)

    def started(
        self, runs: Iterable[RunSpec], purpose: Purpose, scoring_seeds: tuple[int, ...] | None = None
    ) -> Iterator[Planned]:
        """Hand out runs, each when a process is free for it."""
        from hprune.at_once import Planned

        for spec in runs:
            self.number += 1
            if self.trained == 0:
                self.since = time.perf_counter()
            label = f"{self.number} of {self.total}"
            log.info("[%s] %s%s", label, self.outcomes[self.number - 1].run, self._left())
            yield Planned(label, spec, purpose, scoring_seeds)

    def not_needed(self, used: int, planned: int) -> None:
        """Of the planned scoring runs only the first were needed: whether another one failed does not matter."""
        for at in range(used, planned):
            if self.outcomes[at].state in ("not started", "failed"):
                self.outcomes[at] = replace(self.outcomes[at], state="not needed")
        self.number = planned

    def watch(self, ended: Iterator[Ended]) -> None:
        """Note what becomes of runs as they end."""
        for end in ended:
            self.trained += end.state != "skipped"
            place = int(end.run.label.split()[0]) - 1
            self.outcomes[place] = replace(self.outcomes[place], state=end.state, error=end.error)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Around a study: if a run failed, end with what became of each.

        Raises:
            ValueError: if a run failed.
        """
        try:
            yield
        except Exception:
            if self.failed:
                print_outcomes(self.outcomes)
            raise
        if self.failed:
            print_outcomes(self.outcomes)
            raise ValueError(
                f"{self.failed} of {self.total} runs failed; the same command tries them again and skips those "
                "that are complete"
            )

    def _left(self) -> str:
        """A first guess of the time that is left: as if every run took as long as those that were trained so far."""
        if self.trained == 0 or self.since is None:
            return ""
        seconds = (time.perf_counter() - self.since) / self.trained * (self.total - self.number + 1)
        about = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
        return f" (at most about {about} left)"


if __name__ == "__main__":
    main()
