"""What a study consists of, by its config: runs, arms and scores, checked before anything is paid for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from hprune.command import check_sections, plain, run_spec
from hprune.data.checks import check_seeds
from hprune.enough import Stopped, check_stop, open_share_of
from hprune.grid import grid_of, of_cell
from hprune.root import root_of
from hprune.science.keep import keep_values
from hprune.science.records import Measured
from hprune.score import ScoreSpec, instantiate_spec
from hprune.tickets import Ticket, by_tables, ticket_groups, tickets_of

if TYPE_CHECKING:
    from hprune.training.settings import RunSpec


@dataclass(frozen=True)
class Compared:
    """One comparison run: an arm and a seed."""

    arm: RunSpec
    seed: int
    chosen: RunSpec
    """The arm by the full names of its score tables."""
    ticket: int | None = None
    """Whose arm it is, from 1, in a study of several tickets."""


@dataclass(frozen=True)
class Composed:
    """A study that can be run, or planned."""

    root: Path
    study: str
    scoring: tuple[int, ...]  # seeds
    comparison: tuple[int, ...]
    full: RunSpec
    arms: Sequence[RunSpec]  # each in each budget
    cell_arms: Sequence[RunSpec]  # by the tables of cells, under their full names
    score: ScoreSpec
    others: Sequence[ScoreSpec]
    cells: Sequence[ScoreSpec]  # of the score, where a study is to see what that depends on
    open_share: float | None  # scoring stops when no more of the samples can be missing
    at_once: int
    cards: Sequence[str]
    tickets: Sequence[Ticket] = ()
    """Several, for a verdict on the method; none: the one ticket of all scoring runs."""

    def scoring_runs(self) -> list[RunSpec]:
        """The full set, once a scoring seed."""
        return [replace(self.full.scored(), seed=seed) for seed in self.scoring]

    def stopped(self, by: Stopped) -> Composed:
        """The study with the scores of those runs that suffice."""
        return replace(self, score=by.narrow(self.score), others=[by.narrow(other) for other in self.others])

    def compared(self) -> list[Compared]:
        """Every arm with each of its seeds, in the order in which they are trained."""
        tables = {spec.name: spec.table for spec in (*self.others, self.score)}
        made = [
            Compared(arm, seed, replace(arm, subset=by_tables(arm.subset, self.score.table, tables)))
            for arm in self.arms
            for seed in ([] if self.tickets else self.comparison)
        ]
        made += [
            Compared(arm, seed, ticket.arm(arm), number)
            for number, ticket in enumerate(self.tickets, start=1)
            for arm in self.arms
            for seed in ticket.comparison
        ]
        return made + [Compared(arm, seed, arm) for arm in self.cell_arms for seed in self.comparison]

    def fixed_margin(self) -> float | None:
        """The margin that arms are compared by; `auto` is found now, and fixed, if it was not before."""
        from hprune.margin import fix_margin  # scipy and pyarrow, which a config error does not wait for

        return fix_margin(
            self.root,
            self.study,
            self.full.config["comparison"]["margin"],
            metric=self.full.task.kind.primary_metric,
            seeds=self.comparison,
            tickets=len(self.tickets),
        )

    def comparison_runs(self, *, margin: float | None = None) -> list[RunSpec]:
        """The runs of all arms.

        Args:
            margin: for their stored configs, where it was fixed after the config was composed.
        """
        fixed = {} if margin is None else {"margin": margin}

        def of(one: Compared) -> RunSpec:
            """The run, whose stored config says whose ticket's it is."""
            of_ticket = {"ticket": list(self.tickets[one.ticket - 1].scoring)} if one.ticket else {}
            comparison = {**one.chosen.config.get("comparison", {}), **fixed, **of_ticket}
            config = {**one.chosen.config, "seed": one.seed, "comparison": comparison}
            return replace(one.chosen, seed=one.seed, config=config)

        return [of(one) for one in self.compared()]


def composed(cfg: DictConfig) -> Composed:
    """Make the runs of a study of its config.

    Raises:
        ValueError: naming the key that does not fit, and the way out.
    """
    check_sections(cfg, "scoring", "comparison", "arms", "scores")
    root, grid = root_of(cfg), grid_of(cfg.sensitivity)
    scoring = check_seeds(plain(cfg.scoring.seeds), "scoring.seeds")
    comparison = check_seeds(plain(cfg.comparison.seeds), "comparison.seeds")
    open_share = open_share_of(plain(cfg.scoring.get("stop_when")))
    scoring = scoring if open_share is None else tuple(sorted(scoring))  # the first of them are to be a prefix
    _check_overlap(scoring, comparison, allowed=cfg.comparison.allow_seed_overlap)
    check_arms(cfg.arms)
    full = run_spec(cfg, subset=cfg.arms.full, seed=scoring[0])
    arms = [run_spec(cfg, subset=subset, seed=comparison[0]).whole() for subset in cfg.arms.values()]
    arms = in_budgets(arms, plain(cfg.comparison.budgets))
    score = replace(instantiate_spec(cfg.score, measured=full.ways[0]), seeds=list(scoring))
    others = [like(score, instantiate_spec(other, measured=score.measured)) for other in cfg.scores.values()]
    cells = grid.cells(score, epochs=full.trainer.max_epochs)
    check_stop(open_share, score, list(cells.values()))
    tables = grid.retrained(score, epochs=full.trainer.max_epochs)
    check_keeps(arms, score)
    groups = ticket_groups(plain(cfg.comparison.get("tickets")), scoring)
    if groups and open_share is not None:
        raise ValueError(
            "comparison.tickets says which runs score each ticket: leave scoring.stop_when.open_share null"
        )
    tickets = tickets_of(groups, comparison, score=score, others=others, arms=arms)
    for ticket in tickets:
        check_keeps(arms, replace(ticket.score, by_seeds=False))
    cell_arms = [arm for table in tables for arm in check_keeps(of_cell(arms, table), cells[table])]
    check_measured([score, *others, *cells.values()], full.ways)

    from hprune.at_once import at_once_of  # torch, which a config error does not wait for
    from hprune.training.cards import cards_for
    from hprune.training.ranks import check_alone

    check_alone("a study")
    cards, most = cards_for(full.trainer), max(len(scoring), len([*arms, *cell_arms]) * len(comparison))
    at_once = at_once_of(cfg.at_once, full.trainer, runs=most, per_device=cfg.runs_per_device, cards=cards)
    return Composed(
        root=root,
        study=cfg.study,
        scoring=scoring,
        comparison=comparison,
        full=full,
        arms=arms,
        cell_arms=cell_arms,
        score=score,
        others=others,
        cells=list(cells.values()),
        open_share=open_share,
        at_once=at_once,
        cards=cards,
        tickets=tickets,
    )


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


def check_keeps(arms: Sequence[RunSpec], score: ScoreSpec) -> Sequence[RunSpec]:
    """The arms, whose keep-sets are ones of a score, whatever it will be; those of other tables are not looked at.

    Raises:
        ValueError: naming the arm and the score: it could only fail when all scoring runs are paid for.
    """
    runs = score.runs or len(score.seeds or ())
    for arm in arms:
        subset = arm.subset
        table = subset.scores if subset.by_score and subset.sized_by is None else subset.sized_by
        if subset.select is None or subset.keep is None or table not in (None, score.name, score.table):
            continue
        try:
            keep_values(subset.keep, runs=runs)
        except ValueError as error:
            raise ValueError(
                f"arm {subset.name} by {score.table}, of {runs} scoring run{'' if runs == 1 else 's'}: {error}"
            ) from error
    return arms


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


def _check_overlap(scoring: tuple[int, ...], comparison: tuple[int, ...], *, allowed: bool) -> None:
    common = sorted(set(scoring) & set(comparison))
    if common and not allowed:
        raise ValueError(
            f"scoring.seeds and comparison.seeds share {common}: "
            "an arm would be judged by runs that chose its samples. "
            "Give other comparison.seeds, or set comparison.allow_seed_overlap=true"
        )
