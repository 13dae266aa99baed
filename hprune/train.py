"""Fine-tune once and record every sample: `python -m hprune.train +experiment=sst2_roberta`.

Collecting records and training an arm are this one command: they differ in `subset` and `seed`. With `-m` it runs many:
`seed=1,2,3`, `subset=winning_ticket,random_like`, `subset.keep=1..5,2..5`, `trainer.max_epochs=2,3`, or any other key.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from hprune.command import check_sections, command, plain, run_spec, sweeps_here
from hprune.data.checks import check_seeds
from hprune.reporting.outcomes import State
from hprune.root import root_of
from hprune.tickets import of_ticket

if TYPE_CHECKING:
    from hprune.training.settings import RunSpec

log = logging.getLogger(__name__)


@command("train")
def main(cfg: DictConfig) -> State:
    """Compose one run, register it with its study, train it unless it is complete; what became of it."""
    check_sections(cfg, "scoring", "comparison")
    root, seeds = root_of(cfg), check_seeds(plain(cfg.scoring.seeds), "scoring.seeds")
    planned = check_seeds(plain(cfg.comparison.seeds), "comparison.seeds")
    spec = run_spec(cfg)

    from hprune.collect import collect_run, purpose_of, startable
    from hprune.training.ranks import check_alone
    from hprune.training.units import load_samples

    if sweeps_here():
        check_alone("a sweep")
    purpose = purpose_of(spec, seeds, allow_seed_overlap=cfg.comparison.allow_seed_overlap)
    if purpose == "comparison" and spec.whole() != spec:
        log.info("this run compares and is not scored: it records the training pass only, and no folds")
    spec = spec.scored() if purpose == "scoring" else _of_its_ticket(spec.whole(), planned)
    data = load_samples(spec, root=root)
    if purpose == "comparison" and not startable(spec, data, root=root, study=cfg.study).complete:
        spec = _with_margin(spec, root, cfg.study, planned)  # it can start: its score tables are there
    folder, state = collect_run(spec, data, root=root, study=cfg.study, scoring_seeds=seeds, purpose=purpose)
    log.info("results: %s", folder.path)
    return state


def _of_its_ticket(spec: RunSpec, planned: Sequence[int]) -> RunSpec:
    """A comparison run by the score table of the ticket that its seed belongs to."""
    comparison = spec.config["comparison"]
    groups = comparison.get("tickets", [])
    subset, ticket = of_ticket(spec.subset, spec.seed, groups, planned) if groups else (spec.subset, [])
    of_it = {"ticket": ticket} if ticket else {}
    return replace(spec, subset=subset, config={**spec.config, "comparison": {**comparison, **of_it}})


def _with_margin(spec: RunSpec, root: Path, study: str, planned: Sequence[int]) -> RunSpec:
    """A comparison run with the margin of its study, which is fixed now if it was not before."""
    from hprune.margin import fix_margin

    comparison, metric = spec.config["comparison"], spec.task.kind.primary_metric
    groups = comparison.get("tickets", [])
    margin = fix_margin(root, study, comparison["margin"], metric=metric, seeds=planned, tickets=len(groups))
    return replace(spec, config={**spec.config, "comparison": {**comparison, "margin": margin}})


if __name__ == "__main__":
    main()
