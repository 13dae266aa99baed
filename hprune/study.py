"""All of it in one go: `python -m hprune.study +experiment=demo`.

Collect (the full set, once per scoring seed), score, select and retrain (every arm, once per comparison seed), report.
The same command continues where it was interrupted; complete runs are never trained again.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from hprune.command import command, run_spec
from hprune.science.records import Measured
from hprune.score import instantiate_spec
from hprune.train import check_seeds
from hprune.training.spec import RecordSpec

log = logging.getLogger(__name__)


@command("study")
def main(cfg: DictConfig) -> None:
    """Run every stage of a study."""
    root, study = Path(cfg.paths.root), cfg.study
    scoring = check_seeds(cfg.scoring.seeds, "scoring.seeds")
    comparison = check_seeds(cfg.comparison.seeds, "comparison.seeds")
    _check_overlap(scoring, comparison, allowed=cfg.comparison.allow_seed_overlap)
    if "full" not in cfg.arms:
        raise ValueError(
            f"a study needs the arm full, which gives the score and the reference; its arms are {list(cfg.arms)}"
        )
    full = run_spec(cfg, subset=cfg.arms.full, seed=scoring[0])
    arms = [run_spec(cfg, subset=subset, seed=comparison[0]) for subset in cfg.arms.values()]
    score = replace(
        instantiate_spec(cfg.score), measured=_measured(cfg.score.measured, full.record), seeds=list(scoring)
    )

    from hprune.collect import collect_run
    from hprune.report import write_report
    from hprune.score import score_study
    from hprune.training.units import load_samples

    data, started = load_samples(full, root=root), time.perf_counter()
    total = len(scoring) + len(arms) * len(comparison)
    log.info(
        "study %s: %d scoring runs, then %d arms x %d seeds; results in %s",
        study,
        len(scoring),
        len(arms),
        len(comparison),
        root / "studies" / study,
    )
    done = 0
    for seed in scoring:
        done += 1
        log.info("[%d of %d] scoring run, seed %d%s", done, total, seed, _left(started, done - 1, total))
        collect_run(replace(full, seed=seed), data, root=root, study=study, scoring_seeds=scoring, purpose="scoring")
    for way in full.record.ways:
        score_study(root, study, replace(score, measured=way))
    for arm in arms:
        subset = replace(arm.subset, scores=arm.subset.scores or score.table)
        for seed in comparison:
            done += 1
            log.info(
                "[%d of %d] arm %s, seed %d%s", done, total, arm.subset.name, seed, _left(started, done - 1, total)
            )
            run = replace(arm, subset=subset, seed=seed, config={**arm.config, "seed": seed})
            collect_run(run, data, root=root, study=study, scoring_seeds=scoring, purpose="comparison")
    write_report(root, study, data)


def _measured(wanted: Measured, record: RecordSpec) -> Measured:
    """The way of measuring that the arms are chosen by: the score's, or the only one that is recorded."""
    if len(record.ways) == 1:
        return record.ways[0]
    return wanted


def _check_overlap(scoring: tuple[int, ...], comparison: tuple[int, ...], *, allowed: bool) -> None:
    common = sorted(set(scoring) & set(comparison))
    if common and not allowed:
        raise ValueError(
            f"scoring.seeds and comparison.seeds share {common}: "
            "an arm would be judged by runs that chose its samples. "
            "Give other comparison.seeds, or set comparison.allow_seed_overlap=true"
        )


def _left(started: float, done: int, total: int) -> str:
    """A first guess of the time that is left: as if every run took as long as those so far."""
    if done == 0:
        return ""
    seconds = (time.perf_counter() - started) / done * (total - done)
    return (
        f" (at most about {seconds / 60:.0f} min left)" if seconds >= 90 else f" (at most about {seconds:.0f} s left)"
    )


if __name__ == "__main__":
    main()
