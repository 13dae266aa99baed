"""Sensitivity: one score in many ways, by how many runs, how many epochs, which runs, and how they were judged.

A cell is one combination of these. All are score tables of the same scoring runs, so they cost no training, but for the
cells whose subsets are trained on.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from omegaconf import DictConfig

from hprune.command import plain
from hprune.data.checks import check_seeds, check_whole
from hprune.science.records import Measured

if TYPE_CHECKING:
    from hprune.score import ScoreSpec
    from hprune.training.settings import RunSpec

Retrain = Literal["corners", "all", "none"]
AXES = ("runs", "epochs", "skip_epochs", "measured", "seeds")


@dataclass(frozen=True)
class Grid:
    """The cells of a study beside its own score: every combination of what is listed; None is the score's own."""

    runs: list[int] | None = None
    """The first so many runs, by seed."""
    epochs: list[int] | None = None
    """The first so many epochs of these runs, whose learning rate was to fall over all of them."""
    skip_epochs: list[int] | None = None
    """So many epochs at the start left out."""
    measured: list[Measured] | None = None
    """Ways of measuring."""
    seeds: list[list[int]] | None = None
    """Groups of scoring runs: each gives a ticket of its own."""
    retrain: Retrain = "corners"
    """Cells whose subsets are trained on: `corners`, the least and the most runs and epochs; all; or none."""

    def __post_init__(self) -> None:
        for axis in AXES:
            values = getattr(self, axis)
            if values is not None and (not isinstance(values, list) or not values):
                raise ValueError(f"sensitivity.{axis} must be a list, or null for the score's own, got {values!r}")
        for axis, low in (("runs", 1), ("epochs", 1), ("skip_epochs", 0)):
            for value in getattr(self, axis) or ():
                check_whole(f"sensitivity.{axis}", value, low=low)
        for way in self.measured or ():
            if way not in get_args(Measured):
                raise ValueError(f"sensitivity.measured must list ways of {', '.join(get_args(Measured))}, got {way!r}")
        for group in self.seeds or ():
            check_seeds(group, "sensitivity.seeds")
        if self.retrain not in get_args(Retrain):
            raise ValueError(f"sensitivity.retrain must be corners, all or none, got {self.retrain!r}")

    def cells(self, score: ScoreSpec, *, epochs: int) -> dict[str, ScoreSpec]:
        """The scores of all cells by their tables, without the score's own.

        Args:
            score: whose cells they are, with its seeds.
            epochs: that the scoring runs train for.

        Raises:
            ValueError: if a cell asks for more runs or epochs than there are, or leaves none.
        """
        made = (self._cell(score, dict(cell), epochs) for cell in self._combinations())
        return {cell.table: cell for cell in made if cell.table != score.table}

    def retrained(self, score: ScoreSpec, *, epochs: int) -> list[str]:
        """The tables of the cells whose subsets are trained on."""
        if self.retrain == "none":
            return []
        kept = [cell for cell in map(dict, self._combinations()) if self.retrain == "all" or self._is_corner(cell)]
        tables = (self._cell(score, cell, epochs).table for cell in kept)
        return [table for table in dict.fromkeys(tables) if table != score.table]

    def _combinations(self) -> list[tuple[tuple[str, Any], ...]]:
        listed = [[(axis, value) for value in getattr(self, axis)] for axis in AXES if getattr(self, axis)]
        return list(itertools.product(*listed)) if listed else []

    def _is_corner(self, cell: Mapping[str, Any]) -> bool:
        """Whether runs and epochs are the least or the most there are; ways of measuring and groups have no middle."""
        return all(
            cell[axis] in (min(values), max(values)) for axis in ("runs", "epochs") if (values := getattr(self, axis))
        )

    @staticmethod
    def _cell(score: ScoreSpec, cell: Mapping[str, Any], epochs: int) -> ScoreSpec:
        """The score of a cell; what is all there is, is left to the table's name."""
        assert score.seeds is not None, "a study says which runs score"
        seeds = cell.get("seeds", score.seeds)
        all_runs, all_epochs = len(seeds), epochs
        runs, until = cell.get("runs", score.runs), cell.get("epochs", score.epochs)
        skip = cell.get("skip_epochs", score.skip_epochs)
        if (runs or 1) > all_runs:
            key = "sensitivity.runs" if "runs" in cell else "score.runs"
            of = (
                f"the {all_runs} of {list(seeds)} (sensitivity.seeds)"
                if "seeds" in cell
                else f"{all_runs} scoring runs"
            )
            raise ValueError(f"{key} asks for {runs} of {of}; give more scoring.seeds, or ask for fewer runs")
        if (until or 1) > all_epochs or (skip or 0) >= (until or all_epochs):
            raise ValueError(
                f"sensitivity asks for the first {until or all_epochs} of {all_epochs} epochs, without {skip or 0} at "
                "the start: give a longer trainer.max_epochs, or ask for less"
            )
        if not set(seeds) <= set(score.seeds):
            raise ValueError(f"sensitivity.seeds asks for the runs {seeds}, but those that score are {score.seeds}")
        return replace(
            score,
            runs=None if runs == all_runs else runs,
            epochs=None if until == all_epochs else until,
            skip_epochs=skip or None,
            measured=cell.get("measured", score.measured),
            seeds=list(seeds),
            by_seeds=list(seeds) != list(score.seeds),
        )


def grid_of(cfg: DictConfig) -> Grid:
    """The cells of a study, typed.

    Raises:
        ValueError: naming the key that is not known, or is not what it should be.
    """
    made, known = plain(cfg), [field.name for field in fields(Grid)]
    if not isinstance(made, dict) or not set(made) <= set(known):
        raise ValueError(f"sensitivity must have no keys but {', '.join(known)}, got {made!r:.200}")
    return Grid(**made)


def of_cell(arms: Sequence[RunSpec], table: str) -> list[RunSpec]:
    """The arms of a cell: those that H chooses, by its table, and random ones, as large."""
    own = (None, "h_score")
    made = []
    for arm in arms:
        subset = arm.subset
        if subset.select is None or subset.keep is None:
            continue
        if not subset.by_score and subset.sized_by in own:
            made.append(replace(arm, subset=replace(subset, sized_by=table)))
        elif subset.by_score and subset.sized_by is None and subset.scores in own:
            made.append(replace(arm, subset=replace(subset, scores=table)))
    return made
