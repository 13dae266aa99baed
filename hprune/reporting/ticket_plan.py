"""Which of a study's tickets a comparison run is an arm of, by what the study itself says of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hprune.storage.plan_file import PlannedTicket

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class TicketPlan:
    """The tickets that a study plans, two or more."""

    tickets: Sequence[PlannedTicket]

    def ticket_of(self, run: Manifest) -> int | None:
        """0..T-1; None for the full set, and for an arm of no ticket, or of one that is no longer planned.

        Args:
            run: a manifest with `ticket`, the scoring seeds that the study's reference to the run names.
        """
        for number, planned in enumerate(self.tickets):
            if tuple(run.get("ticket", ())) == planned.scoring and run["key"]["seed"] in planned.comparison:
                return number
        return None


def ticket_plan(tickets: Sequence[PlannedTicket]) -> TicketPlan | None:
    """The plan of a study; None if it has one ticket."""
    return TicketPlan(tickets) if len(tickets) > 1 else None
