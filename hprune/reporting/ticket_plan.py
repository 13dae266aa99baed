"""Which ticket a comparison run was trained on, by what the runs' own configuration planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hprune.science.tickets import seeds_of_tickets

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class TicketPlan:
    """`comparison.tickets` and `comparison.seeds`: groups of scoring seeds, each with its comparison seeds."""

    scoring: tuple[tuple[int, ...], ...]
    seeds: tuple[tuple[int, ...], ...]

    def ticket_of(self, run: Manifest) -> int | None:
        """0..T-1; None for a seed that is not planned, or a score of other runs than the ticket's."""
        behind = run["subset"].get("seeds") or []
        for ticket, (scoring, seeds) in enumerate(zip(self.scoring, self.seeds, strict=True)):
            if run["key"]["seed"] in seeds:
                return ticket if set(behind) <= set(scoring) else None
        return None

    def ticket_of_all(self, runs: Iterable[Manifest]) -> int | None:
        """The ticket that all of these runs are of; None if they are of several, or of none."""
        tickets = {self.ticket_of(run) for run in runs}
        return tickets.pop() if len(tickets) == 1 else None


def ticket_plan(runs: Iterable[Manifest]) -> TicketPlan | None:
    """The plan of a study: that with the most seeds, where it was extended; None if none has several tickets."""
    plans = [plan for run in runs if (plan := _planned(run)) is not None]
    return max(plans, key=lambda plan: (len(plan.seeds), sum(map(len, plan.seeds))), default=None)


def _planned(run: Manifest) -> TicketPlan | None:
    comparison = run.get("config", {}).get("comparison")
    if not isinstance(comparison, Mapping):
        return None
    tickets, seeds = comparison.get("tickets"), _whole(comparison.get("seeds"))
    groups = [_whole(group) for group in tickets] if isinstance(tickets, list | tuple) else []
    if len(groups) < 2 or not all(groups) or not seeds or len(seeds) % len(groups):
        return None  # of a study with one ticket; or of none, as studies refuse what does not divide
    return TicketPlan(tuple(groups), seeds_of_tickets(seeds, len(groups)))


def _whole(value: Any) -> tuple[int, ...]:
    """A list of whole numbers; empty if it is none."""
    if not isinstance(value, list | tuple) or not all(type(item) is int for item in value):
        return ()
    return tuple(value)
