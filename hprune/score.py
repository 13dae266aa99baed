"""From records to a score: `python -m hprune.score study=<study>`.

Goes through the records of the study's scoring runs in step, computes one number a sample, and writes
`scores/<name>.parquet` as it goes: of whole-numbered scores nothing is held for all samples.
"""

from __future__ import annotations

import inspect
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from omegaconf import DictConfig

from hprune.command import command, instantiate
from hprune.data.checks import check_seeds, check_whole
from hprune.root import root_of
from hprune.science.distribution import Distribution
from hprune.science.records import COLUMNS, OPTIONAL, Direction, Dynamics, Measured, Scores
from hprune.storage.dynamics import StoredDynamics, ahead
from hprune.storage.files import as_json, check_name
from hprune.storage.override import of_study
from hprune.storage.runs import state_of
from hprune.storage.scores import save_pieces, save_scores, score_path
from hprune.storage.studies import StudyRun, planned_seeds, runs_of

if TYPE_CHECKING:
    from hprune.tasks.spec import TaskData

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10
MOST_BARS = 50


@dataclass(frozen=True)
class ScoreSpec:
    """One score, and the columns, runs and epochs that it looks at."""

    name: str
    function: Callable[[Any], Any]
    """Of `Dynamics`; or, where `needs` is [text], of the texts of all samples."""
    higher_is: Direction
    measured: Measured = "train_pass"
    runs: int | None = None
    epochs: int | None = None
    skip_epochs: int | None = None
    seeds: list[int] | None = None
    allow_missing: bool = False
    needs: Sequence[str] = ("correct",)
    by_seeds: bool = False
    """Whether the table is named by its runs, as one of several groups of them."""
    stopped: Mapping[str, Any] | None = None
    """That a study stopped before all the planned runs, and why."""

    def __post_init__(self) -> None:
        check_name("score.name", self.name)
        if not callable(self.function):
            raise ValueError(f"score.function must be a function of Dynamics, got {self.function!r:.80}")
        _check_parameters(self.function, self.parameters)
        for key, known in {"higher_is": get_args(Direction), "measured": get_args(Measured)}.items():
            if getattr(self, key) not in known:
                raise ValueError(f"score.{key} must be one of {', '.join(known)}, got {getattr(self, key)!r}")
        for key in ("runs", "epochs"):
            if getattr(self, key) is not None:
                check_whole(f"score.{key}", getattr(self, key), low=1)
        if self.skip_epochs is not None:
            check_whole("score.skip_epochs", self.skip_epochs, low=0)
        if self.seeds is not None:
            check_seeds(self.seeds, "score.seeds")
        if type(self.allow_missing) is not bool:
            raise ValueError(f"score.allow_missing must be true or false, got {self.allow_missing!r}")
        listed = isinstance(self.needs, (list, tuple)) and bool(self.needs)
        if not self.of_texts and (not listed or any(name not in (*COLUMNS, *OPTIONAL) for name in self.needs)):
            raise ValueError(
                f"score.needs must list columns of a record, of {', '.join((*COLUMNS, *OPTIONAL))}, "
                f"or be [text], got {self.needs!r}"
            )

    @property
    def of_texts(self) -> bool:
        """Whether it looks at the texts only, and at no run."""
        return list(self.needs) == ["text"] if isinstance(self.needs, (list, tuple)) else False

    @property
    def parameters(self) -> dict[str, Any]:
        """What the function is given beside the dynamics; JSON has no infinite numbers, so these are texts."""
        given = getattr(self.function, "keywords", {})
        return {key: str(value) if value in (math.inf, -math.inf) else value for key, value in given.items()}

    @property
    def conventions(self) -> dict[str, Any]:
        """What tells it from other scores, whatever it is called: its function, and what that is given."""
        function = getattr(self.function, "func", self.function)
        name = getattr(function, "__qualname__", type(function).__qualname__)
        skipped = {"skip_epochs": self.skip_epochs} if self.skip_epochs else {}
        return {**self.parameters, **skipped, "score": self.name, "function": f"{function.__module__}.{name}"}

    @property
    def table(self) -> str:
        """The name of the table: the score's, with what differs from all runs and epochs, as measured in training."""
        if self.of_texts:
            return self.name
        parts = [self.name, f"S{self.runs}" if self.runs else "", f"E{self.epochs}" if self.epochs else ""]
        parts += [f"skip{self.skip_epochs}" if self.skip_epochs else ""]
        parts += [f"seeds{'+'.join(map(str, self.seeds))}" if self.by_seeds and self.seeds else ""]
        return "-".join(part for part in [*parts, "" if self.measured == "train_pass" else self.measured] if part)


@command("score")
def main(cfg: DictConfig) -> None:
    """Score a study."""
    from hprune.report import place_of

    spec, place = instantiate_spec(cfg.score), place_of(cfg)
    path = score_study(root_of(cfg), cfg.study, spec, place=place, trust_code=cfg.trust_code)
    log.info("score table: %s", path)


def _check_parameters(function: Callable[..., Any], parameters: dict[str, Any]) -> None:
    """Refuse parameters that the function does not have, or that are not plain values."""
    try:
        if parameters:
            inspect.signature(getattr(function, "func", function)).bind(None, **parameters)
        as_json(parameters)
    except (TypeError, ValueError) as error:
        raise ValueError(f"score.function cannot be given {parameters!r:.200}: {error}") from error


def instantiate_spec(cfg: DictConfig, *, measured: Measured = "train_pass") -> ScoreSpec:
    """The typed score of a config; `measured` is what null stands for.

    Raises:
        ValueError: naming the key that is not known, or is not what it should be.
    """
    made, known = instantiate(cfg), {field.name for field in fields(ScoreSpec)} - {"stopped"}
    if not isinstance(made, dict) or not {"name", "function", "higher_is"} <= set(made) <= known:
        raise ValueError(
            f"score must have name, function, higher_is and no keys but {', '.join(sorted(known))}, got {made!r:.200}"
        )
    return ScoreSpec(**{**made, "measured": measured if made.get("measured") is None else made["measured"]})


def score_study(
    root: Path,
    study: str,
    spec: ScoreSpec,
    data: TaskData | None = None,
    *,
    place: Mapping[str, Any] | None = None,
    trust_code: bool = False,
) -> Path:
    """Score the complete scoring runs of a study and write the table.

    Args:
        root: where results lie.
        study: its name.
        spec: the score.
        data: the tables of the study's task, for a score of texts; None: they are loaded as a complete run says.
        place: where they lie by now, as keys of the task; None or empty: where the study has them.
        trust_code: let that run name code that is not hprune's, such as a kind of task of your own.

    Returns:
        The path of the score table.

    Raises:
        ValueError: if planned runs are missing, runs do not fit together, a record was altered, or another score stands
            under this name.
    """
    if spec.of_texts:
        return _score_texts(root, study, spec, data or _data_of(root, study, spec, place, trust_code))
    runs, missing = _scoring_runs(root, study, spec)
    dynamics = StoredDynamics.open([run.path for run in runs], spec.measured)
    dynamics = dynamics.prefix(runs=spec.runs, epochs=spec.epochs, skip=spec.skip_epochs or 0)
    path, values = score_path(root, study, spec.table), Distribution(dynamics.samples, top=dynamics.runs)
    save_pieces(path, ahead(_scored(dynamics, spec, missing, values)))  # reads, computes and writes at the same time
    log.info("%s", describe(spec, dynamics, values))
    return path


def _data_of(root: Path, study: str, spec: ScoreSpec, place: Mapping[str, Any] | None, trust_code: bool) -> TaskData:
    """The tables of a study's task, which are those that its runs were trained on."""
    from hprune.report import unchanged_study

    if all(state_of(run.path) != "done" for run in runs_of(root, study)):
        raise ValueError(
            f"score {spec.name} needs no run, but the data of study {study!r}, and only a complete run says which they "
            "are: there is none yet; train one first (python -m hprune.train +experiment=... "
            f"{of_study(study, root)})"
        )
    return unchanged_study(root, study, place=place, trust_code=trust_code)[1]


def _score_texts(root: Path, study: str, spec: ScoreSpec, data: TaskData) -> Path:
    """Score the texts of a study's train table, all at once."""
    columns = [data.train[column].to_pylist() for column in data.text]
    scores = Scores(
        name=spec.table,
        sample_ids=data.train["sample_id"].to_numpy().copy(),
        values=spec.function([" ".join(texts) for texts in zip(*columns, strict=True)]),
        higher_is=spec.higher_is,
        seeds=(),
        epochs=0,
        measured="train_pass",  # nothing was: the same table whatever the study measures
        data_hash=data.data_hash,
        conventions=spec.conventions,
    )
    save_scores(path := score_path(root, study, spec.table), scores)
    low, high = scores.values.min(), scores.values.max()
    log.info(
        "%s of %s texts, higher is %s: from %.4g to %.4g",
        spec.table,
        f"{len(scores.values):,}",
        spec.higher_is,
        low,
        high,
    )
    return path


def _scored(
    dynamics: StoredDynamics, spec: ScoreSpec, missing: Sequence[int], values: Distribution
) -> Iterator[Scores]:
    """The scores of one piece of the samples after the other; what takes long says how far it is."""
    told = time.monotonic()
    conventions = spec.conventions | {"missing_runs_allowed": bool(missing)}
    conventions |= {"missing_seeds": list(missing)} if missing else {}
    conventions |= {"stopped": dict(spec.stopped)} if spec.stopped else {}
    for piece in dynamics.pieces(spec.needs):
        scores = Scores(
            name=spec.table,
            sample_ids=piece.sample_ids,
            values=_values(spec, piece),
            higher_is=spec.higher_is,
            seeds=piece.seeds,
            epochs=dynamics.epochs,
            measured=spec.measured,
            data_hash=piece.data_hash,
            conventions=conventions,
        )
        values.add(scores.values)
        yield scores
        if time.monotonic() - told >= PROGRESS_SECONDS and values.seen < values.samples:
            log.info("scored %s of %s samples", f"{values.seen:,}", f"{values.samples:,}")
            told = time.monotonic()


def _values(spec: ScoreSpec, piece: Dynamics) -> Any:
    try:
        return spec.function(piece)
    except (TypeError, AttributeError) as error:
        if "NoneType" not in str(error):
            raise
        raise ValueError(
            f"score {spec.name} looks at a column that score.needs does not list, only {list(spec.needs)} ({error})"
        ) from error


def describe(spec: ScoreSpec, dynamics: StoredDynamics, values: Distribution) -> str:
    """The distribution of a score, for the log."""
    skipped = f", the first {dynamics.skip} left out" if dynamics.skip else ""
    runs = f"S = {dynamics.runs} runs, E = {dynamics.epochs} epochs{skipped} ({spec.measured})"
    head = f"{spec.table} of {values.samples:,} samples from {runs}, higher is {spec.higher_is}"
    if values.real is not None:
        return f"{head}: from {values.low:.4g} to {values.high:.4g}, median {values.median():.4g}"
    occurring = [value for value, count in values.counts.items() if count]
    if len(occurring) > MOST_BARS:
        return f"{head}: from {min(occurring)} to {max(occurring)}, {len(occurring):,} different values"
    shares = [(value, count, count / values.samples) for value, count in sorted(values.counts.items())]
    bars = "\n".join(
        f"  {value:>3} {count:>10,} {share:>7.1%} {'#' * round(40 * share)}" for value, count, share in shares
    )
    return f"{head}\n{bars}"


def _scoring_runs(root: Path, study: str, spec: ScoreSpec) -> tuple[list[StudyRun], list[int]]:
    """The runs to score, and the planned seeds that are missing: none may be, unless told so."""
    found = {run.key.seed: run for run in runs_of(root, study, "scoring")}
    if not found:
        raise ValueError(
            f"study {study!r} has no scoring runs yet: train the full set with the scoring seeds first "
            f"(python -m hprune.train -m +experiment=... seed=1,2,3 {of_study(study, root)})"
        )
    wanted = planned_seeds(root, study) if spec.seeds is None else spec.seeds
    states = {seed: state_of(found[seed].path) if seed in found else "never started" for seed in wanted}
    missing = {seed: state for seed, state in states.items() if state != "done"}
    if missing and not spec.allow_missing:
        listed = ", ".join(f"{seed} ({state})" for seed, state in missing.items())
        there = [seed for seed in wanted if seed not in missing]
        raise ValueError(
            f"study {study!r}: {len(missing)} of {len(wanted)} scoring runs are missing, seeds {listed}. "
            "Run the command that trains them again"
            + (f", or score what is there with score.seeds={there} or score.allow_missing=true" if there else "")
        )
    complete = [found[seed] for seed in wanted if seed not in missing]
    if not complete:
        raise ValueError(f"study {study!r}: no scoring run is complete yet")
    if missing:
        log.warning("study %s: scored without the missing runs of seeds %s", study, sorted(missing))
    return complete, sorted(missing)


if __name__ == "__main__":
    main()
