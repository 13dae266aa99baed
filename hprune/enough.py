"""Do the scoring runs of a study suffice? `scoring.stop_when.open_share=0.02` ends scoring before all seeds are used.

The first s runs suffice if the runs that are left would bring at most that share of all samples into the winning
ticket, by the limit of `hprune.science.stopping`. Runs are looked at in the order of their seeds: the first three, the
first four, and so on, each when it is complete. So what is found depends on neither time nor `at_once`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hprune.data.checks import check_number
from hprune.science.convergence import certain_part
from hprune.science.patterns import right_throughout
from hprune.science.stopping import LEAST_RUNS, gain_limit, gains
from hprune.score import ScoreSpec
from hprune.storage.dynamics import StoredDynamics
from hprune.storage.runs import state_of
from hprune.storage.studies import runs_of, study_folder

if TYPE_CHECKING:
    from hprune.training.settings import RunSpec

log = logging.getLogger(__name__)


def open_share_of(stop_when: Any) -> float | None:
    """What `scoring.stop_when` asks for; None: every run is trained.

    Raises:
        ValueError: if it is not null and not a share under `open_share`.
    """
    if stop_when is None:
        return None
    if not isinstance(stop_when, dict) or set(stop_when) != {"open_share"}:
        raise ValueError(f"scoring.stop_when must be null or have the one key open_share, got {stop_when!r}")
    share: float | None = stop_when["open_share"]
    if share is not None:
        rule = "a number above 0 and below 1, a share of all samples (0.02 is 2%), or null"
        check_number("scoring.stop_when.open_share", share, rule=rule, open_low=True, high=1.0)
    return share


def check_stop(share: float | None, score: ScoreSpec, cells: Sequence[ScoreSpec] = ()) -> None:
    """Refuse what cannot stop, two ways to say how many runs score, and to stop before runs that cells look at.

    Raises:
        ValueError: naming both.
    """
    if share is not None and score.runs is not None:
        raise ValueError(
            f"score.runs={score.runs} and scoring.stop_when.open_share={share} both say how many runs score: "
            "leave one of them null"
        )
    if share is not None and score.seeds is not None and len(score.seeds) <= LEAST_RUNS:
        raise ValueError(
            f"scoring.stop_when.open_share={share} looks at {LEAST_RUNS} runs before it may stop, and only "
            f"{len(score.seeds)} are planned: give more scoring.seeds, or leave it null"
        )
    if share is not None and cells:
        raise ValueError(
            f"scoring.stop_when.open_share={share} may end scoring before the runs that sensitivity looks at: "
            "leave one of them null"
        )


@dataclass(frozen=True)
class Stopped:
    """The first runs suffice."""

    seeds: tuple[int, ...]
    """Those that score."""
    planned: tuple[int, ...]
    open_share: float
    """What was asked for."""
    limit: float
    """At most this share of all samples would the other runs bring into the winning ticket, by `gain_limit`."""

    @property
    def facts(self) -> dict[str, Any]:
        """For the tables of scores, as plain values."""
        return {
            "runs": len(self.seeds),
            "of": len(self.planned),
            "open_share": self.open_share,
            "limit": round(self.limit, 6),
        }

    def __str__(self) -> str:
        used, planned = len(self.seeds), len(self.planned)
        return (
            f"stopped after {used} of {planned} scoring runs: at most {self.limit:.1%} of the samples would enter the "
            f"winning ticket by the other {planned - used} if each brings no more than the most that one of these "
            f"brought, and one of them three times that (scoring.stop_when.open_share={self.open_share:g})"
        )

    def narrow(self, score: ScoreSpec) -> ScoreSpec:
        """A score of the planned runs as one of those that suffice, in a table of its own name, such as h_score-S5."""
        if score.of_texts or score.seeds != list(self.planned):
            return score
        runs = min(score.runs or len(self.seeds), len(self.seeds))
        return replace(score, seeds=list(self.seeds), runs=runs, stopped=self.facts)


class StopEarly:
    """Looks at the scoring runs of a study as they become complete.

    Args:
        root: where results lie.
        study: its name.
        seeds: of all the planned runs, increasing.
        open_share: what to stop at; None: nothing, all are needed.
        score: whose way of measuring and epochs count.
    """

    def __init__(
        self, root: Path, study: str, seeds: Sequence[int], open_share: float | None, score: ScoreSpec
    ) -> None:
        self.root, self.study, self.seeds, self.open_share = root, study, tuple(seeds), open_share
        self.score, self.handed_out = score, 0
        self.limits: dict[int, float] = {}  # by the number of runs

    def until(self, runs: Iterable[RunSpec]) -> Iterator[RunSpec]:
        """Hand out runs in the order of their seeds until those that are complete suffice."""
        for spec in runs:
            if self.suffice():
                return
            self.handed_out += 1
            yield spec

    def suffice(self) -> bool:
        """Whether the complete runs do."""
        return self.found() is not None

    def found(self) -> Stopped | None:
        """The fewest runs that suffice; None if the complete ones do not. A run that failed is waited for.

        Runs behind them that are complete, too, change nothing.

        Raises:
            ValueError: if a record is damaged, or the runs do not fit together.
        """
        if self.open_share is None:
            return None
        for runs in range(LEAST_RUNS, min(self.handed_out + 1, len(self.seeds))):
            if runs not in self.limits:
                paths = self._complete(self.seeds[:runs])
                if paths is None:
                    return None
                self.limits[runs] = self._limit(paths)
            if self.limits[runs] <= self.open_share:
                return Stopped(self.seeds[:runs], self.seeds, self.open_share, self.limits[runs])
        return None

    def _complete(self, seeds: Sequence[int]) -> list[Path] | None:
        if not (study_folder(self.root, self.study) / "runs").is_dir():  # no run could be registered yet
            return None
        there = {run.key.seed: run.path for run in runs_of(self.root, self.study, "scoring")}
        paths = [there[seed] for seed in seeds if seed in there and state_of(there[seed]) == "done"]
        return paths if len(paths) == len(seeds) else None

    def _limit(self, paths: Sequence[Path]) -> float:
        dynamics = StoredDynamics.open(paths, self.score.measured)
        dynamics = dynamics.prefix(epochs=self.score.epochs, skip=self.score.skip_epochs or 0)
        runs, gained, still_open = dynamics.runs, np.zeros(dynamics.runs, dtype=np.int64), 0
        for piece in dynamics.pieces():
            right = right_throughout(piece)
            gained += gains(right)
            still_open += certain_part(np.bincount(right.sum(axis=0), minlength=runs + 1))[1]
        left = len(self.seeds) - runs
        limit = min(gain_limit(gained, left), still_open) / dynamics.samples
        told = (
            "%d scoring runs: the other %d would bring at most %.1f%% of the samples into the winning ticket, if each "
        )
        told += "brings no more than the most that one of these brought, and one of them three times that"
        log.info(told, runs, left, 100 * limit)
        return limit
