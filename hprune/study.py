"""All of it in one go: `python -m hprune.study +experiment=demo`.

Collect (the full set, once per scoring seed), score, select and retrain (every arm, once per comparison seed), report.
The same command continues where it was interrupted; complete runs are never trained again. A run that fails stops no
other: the study goes on as far as it can, ends with a table of its runs, and exits with 1.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from hprune.command import check_sections, command, plain, run_spec
from hprune.data.checks import check_seeds
from hprune.enough import StopEarly, check_stop, open_share_of
from hprune.grid import grid_of, of_cell
from hprune.reporting.outcomes import Outcome, print_outcomes
from hprune.root import root_of
from hprune.science.records import Measured
from hprune.science.subset import SubsetSpec
from hprune.score import ScoreSpec, instantiate_spec, score_study

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
    check_sections(cfg, "scoring", "comparison", "arms", "scores")
    root, study = root_of(cfg), cfg.study
    scoring = check_seeds(plain(cfg.scoring.seeds), "scoring.seeds")
    comparison = check_seeds(plain(cfg.comparison.seeds), "comparison.seeds")
    open_share = open_share_of(plain(cfg.scoring.get("stop_when")))
    scoring = scoring if open_share is None else tuple(sorted(scoring))  # the first of them are to be a prefix
    _check_overlap(scoring, comparison, allowed=cfg.comparison.allow_seed_overlap)
    check_arms(cfg.arms)
    grid = grid_of(cfg.sensitivity)
    full = run_spec(cfg, subset=cfg.arms.full, seed=scoring[0])
    arms = [run_spec(cfg, subset=subset, seed=comparison[0]).whole() for subset in cfg.arms.values()]
    arms = in_budgets(arms, plain(cfg.comparison.budgets))
    score = replace(instantiate_spec(cfg.score, measured=full.ways[0]), seeds=list(scoring))
    others = [like(score, instantiate_spec(other, measured=score.measured)) for other in cfg.scores.values()]
    cells = grid.cells(score, epochs=full.trainer.max_epochs)
    check_stop(open_share, score, list(cells.values()))
    arms += [arm for table in grid.retrained(score, epochs=full.trainer.max_epochs) for arm in of_cell(arms, table)]
    check_measured([score, *others, *cells.values()], full.ways)

    from hprune.at_once import Planned, StudyPlace, at_once_of, training
    from hprune.report import write_report
    from hprune.training.cards import cards_for
    from hprune.training.ranks import check_alone
    from hprune.training.units import load_samples

    check_alone("a study")
    cards, most = cards_for(full.trainer), max(len(scoring), len(arms) * len(comparison))
    at_once = at_once_of(cfg.at_once, full.trainer, runs=most, per_device=cfg.runs_per_device, cards=cards)
    data, place = load_samples(full, root=root), StudyPlace(root, study, scoring)
    log.info(
        "study %s: %d scoring runs, then %d arms x %d seeds%s; results in %s",
        study,
        len(scoring),
        len(arms),
        len(comparison),
        f", {at_once} at once" if at_once > 1 else "",
        root / "studies" / study,
    )
    planned = [_title("scoring", full, seed) for seed in scoring]
    planned += [_title("comparison", arm, seed) for arm in arms for seed in comparison]
    progress = _Progress(planned)
    with progress.told():
        with training(place, data, at_once=at_once, cards=cards) as train:
            runs = [replace(full.scored(), seed=seed) for seed in scoring]
            stop = StopEarly(root, study, scoring, open_share, score)
            progress.watch(train(progress.started(stop.until(runs), "scoring")))
            if (stopped := stop.found()) is not None:
                log.info("%s", stopped)
                progress.not_needed(len(stopped.seeds), len(scoring))
                place.register(Planned("", runs[0], "scoring", stopped.seeds), data)  # the latest says what is planned
                score, others = stopped.narrow(score), [stopped.narrow(other) for other in others]
            for way in full.ways:
                score_study(root, study, replace(score, measured=way))
            for cell in cells.values():
                score_study(root, study, cell)
            for other in others:
                _make_table(root, study, other, data, needed=other.name in _tables_of(arms))
            tables = {spec.name: spec.table for spec in (*others, score)}
            chosen = [replace(arm, subset=by_tables(arm.subset, score.table, tables)) for arm in arms]
            runs = [
                replace(arm, seed=seed, config={**arm.config, "seed": seed}) for arm in chosen for seed in comparison
            ]
            progress.watch(train(progress.started(runs, "comparison", stopped.seeds if stopped else None)))
        if not progress.failed:
            print_outcomes(progress.outcomes)
        write_report(root, study, data)


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


def _title(purpose: Purpose, spec: RunSpec, seed: int) -> str:
    steps = ", steps of the full set" if spec.steps_of_full_set else ""
    by = f" of {spec.subset.sized_by or spec.subset.scores}" if spec.subset.sized_by or spec.subset.scores else ""
    return f"{'scoring run' if purpose == 'scoring' else f'arm {spec.subset.name}{by}{steps}'}, seed {seed}"


def in_budgets(arms: Sequence[RunSpec], budgets: Any) -> list[RunSpec]:
    """Each arm in each budget; the full set, which is the same in all, once.

    Raises:
        ValueError: if the budgets are no list of those that there are.
    """
    known = isinstance(budgets, list) and all(budget in ("epochs", "steps") for budget in budgets)
    if not known or not 1 <= len(set(budgets)) == len(budgets):
        raise ValueError(
            f"comparison.budgets must be a list of epochs and steps, such as [epochs, steps], got {budgets!r}"
        )
    return [
        replace(
            arm,
            trainer=replace(arm.trainer, budget=budget),
            config={**arm.config, "trainer": {**arm.config["trainer"], "budget": budget}},
        )
        for budget in budgets
        for arm in arms
        if arm.subset.select is not None or budget == budgets[0]
    ]


def like(score: ScoreSpec, other: ScoreSpec) -> ScoreSpec:
    """Another score of the same runs and epochs, unless it says otherwise."""
    return replace(
        other,
        runs=other.runs or score.runs,
        epochs=other.epochs or score.epochs,
        skip_epochs=score.skip_epochs if other.skip_epochs is None else other.skip_epochs,
        seeds=other.seeds or score.seeds,
        allow_missing=other.allow_missing or score.allow_missing,
    )


def check_measured(scores: Sequence[ScoreSpec], ways: Sequence[Measured]) -> None:
    """Refuse a score of what the scoring runs will not record.

    Raises:
        ValueError: naming both.
    """
    for score in scores:
        if score.measured not in ways and not score.of_texts:
            asked = "data.folds=5" if score.measured == "out_of_fold" else f"record={score.measured} or both"
            raise ValueError(
                f"score {score.name} is to be measured by {score.measured}, but the scoring runs record "
                f"{' and '.join(ways)}: leave its measured null, or set {asked}"
            )


def by_tables(subset: SubsetSpec, own: str, tables: Mapping[str, str]) -> SubsetSpec:
    """The subset with score tables by their full names, which say the runs, the epochs and the way of measuring."""

    def named(table: str | None) -> str:
        return tables.get(table or "", own if table in (None, "h_score") else table)

    return replace(
        subset, scores=named(subset.scores), sized_by=None if subset.sized_by is None else named(subset.sized_by)
    )


def check_arms(arms: DictConfig) -> None:
    """Refuse arms without the full set, or that are no subsets.

    Raises:
        ValueError: naming the arm and what came.
    """
    if "full" not in arms:
        raise ValueError(
            f"a study needs the arm full, which gives the score and the reference; its arms are {list(arms)}"
        )
    for name in map(str, arms):
        if not isinstance(arms[name], DictConfig):
            raise ValueError(
                f"arms.{name} must be an option of the group subset, as in +subset@arms.{name}=winning_ticket, "
                f"got {arms[name]!r}; ~arms.{name} leaves an arm out"
            )


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
        """Hand out runs, each as it starts."""
        from hprune.at_once import Planned

        for spec in runs:
            self.number += 1
            if self.trained == 0:
                self.since = time.perf_counter()
            label = f"{self.number} of {self.total}"
            log.info("[%s] %s%s", label, _title(purpose, spec, spec.seed), self._left())
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


def _check_overlap(scoring: tuple[int, ...], comparison: tuple[int, ...], *, allowed: bool) -> None:
    common = sorted(set(scoring) & set(comparison))
    if common and not allowed:
        raise ValueError(
            f"scoring.seeds and comparison.seeds share {common}: "
            "an arm would be judged by runs that chose its samples. "
            "Give other comparison.seeds, or set comparison.allow_seed_overlap=true"
        )


if __name__ == "__main__":
    main()
