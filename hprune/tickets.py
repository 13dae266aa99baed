"""Several winning tickets in one study, each of scoring runs of its own: the verdict on the method rests on them.

`comparison.tickets` says which scoring runs make which ticket, and `comparison.seeds` are dealt out to the tickets in
equal parts. So no two tickets share a run, random subsets are drawn anew for each, and the spread between tickets says
what other scoring runs would have chosen.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hprune.data.checks import check_seeds, check_whole
from hprune.science.subset import SubsetSpec
from hprune.science.tickets import extended, listed, seeds_of_tickets, ticket_of_seed

if TYPE_CHECKING:
    from hprune.score import ScoreSpec
    from hprune.training.settings import RunSpec


SEEDS_A_TICKET = 3
"""Comparison seeds of each ticket in overrides that we give; with one, single tickets have no verdict."""


@dataclass(frozen=True)
class Ticket:
    """One of several winning tickets of a study: its scoring runs, and the seeds that its arms are compared by."""

    scoring: tuple[int, ...]
    comparison: tuple[int, ...]
    score: ScoreSpec  # of its scoring runs, in a table named by them
    others: Sequence[ScoreSpec]  # those that its arms are chosen by

    def arm(self, arm: RunSpec) -> RunSpec:
        """An arm of the study as this ticket's, chosen and sized by its own tables."""
        tables = {spec.name: spec.table for spec in (*self.others, self.score)}
        return replace(arm, subset=by_tables(arm.subset, self.score.table, tables))


def ticket_groups(asked: Any, scoring: Sequence[int]) -> list[list[int]]:
    """The scoring seeds of each ticket, by `comparison.tickets`; none where a study has one ticket of all its runs.

    Args:
        asked: null; groups of scoring seeds; or a number, by which the scoring seeds are dealt out in equal parts. A
            single group is one ticket as with null, but its tables are named by its runs: others can be added later.
        scoring: the scoring seeds of the study.

    Raises:
        ValueError: if it is neither a number from 2 that divides the scoring seeds, nor disjoint groups of these, each
            of two or more.
    """
    if asked is None:
        return []
    if type(asked) is int:
        return _dealt_out(asked, scoring)
    if not isinstance(asked, list) or not asked:
        raise ValueError(
            "comparison.tickets must be null, a number from 2, or groups of scoring seeds, as in "
            f"[[1, 2, 3], [4, 5, 6]], got {asked!r}"
        )
    groups = [list(check_seeds(group, "comparison.tickets")) for group in asked]
    _check_groups(groups, scoring)
    return groups


def _dealt_out(number: int, scoring: Sequence[int]) -> list[list[int]]:
    if number == 1:
        raise ValueError(
            "comparison.tickets must be a number from 2, got 1: null is one ticket of all scoring runs; so is a single "
            f"group, comparison.tickets=[{listed(scoring)}], whose tables are named by its runs, so that groups can "
            "be added later"
        )
    check_whole("comparison.tickets", number, low=2)
    each, rest = divmod(len(scoring), number)
    if rest or each < 2:
        fewest = [max(each, 2)] * number
        raise ValueError(
            f"comparison.tickets={number} deals out {len(scoring)} scoring.seeds, two or more to each ticket and as "
            f"many to all: give {sum(fewest)} of them, or the groups, as in [[1, 2, 3], [4, 5, 6]]; for example "
            f"{_working(fewest, scoring, groups=False)}"
        )
    return [list(scoring[at * each : (at + 1) * each]) for at in range(number)]


def _working(sizes: Sequence[int], scoring: Sequence[int], *, groups: bool = True) -> str:
    """Overrides of a study with tickets of so many scoring runs, first those that it has, and of who compares."""
    runs = extended(scoring, sum(sizes))
    seeds = extended([], SEEDS_A_TICKET * len(sizes), avoiding=runs)
    ends = list(itertools.accumulate(sizes, initial=0))
    dealt = [listed(runs[start:end]) for start, end in itertools.pairwise(ends)]
    tickets = f"comparison.tickets=[{','.join(dealt)}] " if groups else ""
    return f"scoring.seeds={listed(runs)} {tickets}comparison.seeds={listed(seeds)}"


def _check_groups(groups: Sequence[Sequence[int]], scoring: Sequence[int]) -> None:
    sizes = [max(len(group), 2) for group in groups]
    everyone = [seed for group in groups for seed in group]
    unknown = sorted(set(everyone) - set(scoring))
    if unknown:
        raise ValueError(
            f"comparison.tickets names the scoring runs {unknown}, but scoring.seeds are {list(scoring)}: "
            f"list them there, too, scoring.seeds={listed([*scoring, *unknown])}"
        )
    shared = sorted({seed for seed in everyone if everyone.count(seed) > 1})
    if shared:
        raise ValueError(
            f"comparison.tickets must share no scoring run, as tickets that do are not independent: {shared} "
            f"stand in several groups; with runs of their own: {_working(sizes, scoring)}"
        )
    small = [list(group) for group in groups if len(group) < 2]
    if small:
        raise ValueError(
            f"a winning ticket needs two scoring runs or more, comparison.tickets has {small[0]}; for example "
            f"{_working(sizes, scoring)}"
        )


def tickets_of(
    groups: Sequence[Sequence[int]],
    comparison: Sequence[int],
    *,
    score: ScoreSpec,
    others: Sequence[ScoreSpec],
    arms: Sequence[RunSpec],
) -> list[Ticket]:
    """The tickets of a study that has several, each with the score tables that its arms need.

    Args:
        groups: the scoring seeds of each.
        comparison: the seeds that arms are compared by, which are dealt out.
        score: the study's own, of all scoring runs.
        others: its other scores.
        arms: of the study.

    Raises:
        ValueError: if the seeds cannot be dealt out, or the score says otherwise which runs it is of.
    """
    if not groups:
        return []
    if score.runs is not None:
        raise ValueError(f"comparison.tickets says which runs score: leave score.runs={score.runs} null")
    used = {table for arm in arms for table in (arm.subset.scores, arm.subset.sized_by)}
    needed = [other for other in others if other.name in used]

    def of(spec: ScoreSpec, group: Sequence[int]) -> ScoreSpec:
        """A score of the same runs as the study's own; others, and those of texts, are what they are for all."""
        of_own_runs = spec.seeds == score.seeds and not spec.of_texts
        return replace(spec, seeds=list(group), by_seeds=True) if of_own_runs else spec

    parts = seeds_of_tickets(comparison, len(groups), scoring=[seed for group in groups for seed in group])
    return [
        Ticket(tuple(group), part, of(score, group), [of(other, group) for other in needed])
        for group, part in zip(groups, parts, strict=True)
    ]


def of_ticket(
    subset: SubsetSpec, seed: int, groups: Sequence[Sequence[int]], comparison: Sequence[int]
) -> tuple[SubsetSpec, list[int]]:
    """A subset by H, chosen and sized by the table of the ticket that a comparison seed belongs to, and that ticket.

    Other scores, and tables that are named in full, are left as they are, and are of no ticket.

    Args:
        subset: of the run.
        seed: of the run.
        groups: the scoring seeds of each ticket.
        comparison: the seeds that are dealt out to them.

    Raises:
        ValueError: if the seed is none of these, or they cannot be dealt out.
    """
    group = list(groups[ticket_of_seed(seed, comparison, len(groups))])
    if subset.select is None:
        return subset, group
    own = by_tables(subset, f"h_score-seeds{'+'.join(map(str, group))}", {})
    others = (subset.scores if subset.by_score else None, subset.sized_by)
    return own, group if all(table in (None, "h_score") for table in others) else []


def by_tables(subset: SubsetSpec, own: str, tables: Mapping[str, str]) -> SubsetSpec:
    """The subset with score tables by their full names, which say the runs, the epochs and the way of measuring."""

    def named(table: str | None) -> str:
        return tables.get(table or "", own if table in (None, "h_score") else table)

    return replace(
        subset, scores=named(subset.scores), sized_by=None if subset.sized_by is None else named(subset.sized_by)
    )
