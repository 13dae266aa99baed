"""Fine-tune once and record every sample: `python -m hprune.train +experiment=sst2_roberta`.

Collecting records and training an arm are this one command: they differ in `subset` and `seed`. With `-m` it runs many:
`seed=1,2,3`, `subset=winning_ticket,random_like`, `subset.keep=1..5,2..5`, `trainer.max_epochs=2,3`, or any other key.
"""

from __future__ import annotations

import logging

from omegaconf import DictConfig

from hprune.command import check_sections, command, plain, run_spec, sweeps_here
from hprune.data.checks import check_seeds
from hprune.reporting.outcomes import State
from hprune.root import root_of

log = logging.getLogger(__name__)


@command("train")
def main(cfg: DictConfig) -> State:
    """Compose one run, register it with its study, train it unless it is complete; what became of it."""
    check_sections(cfg, "scoring", "comparison")
    root, seeds = root_of(cfg), check_seeds(plain(cfg.scoring.seeds), "scoring.seeds")
    spec = run_spec(cfg)

    from hprune.collect import collect_run, purpose_of
    from hprune.training.ranks import check_alone
    from hprune.training.units import load_samples

    if sweeps_here():
        check_alone("a sweep")
    purpose = purpose_of(spec, seeds, allow_seed_overlap=cfg.comparison.allow_seed_overlap)
    if purpose == "comparison" and spec.whole() != spec:
        log.info("this run compares and is not scored: it records the training pass only, and no folds")
    spec = spec.scored() if purpose == "scoring" else spec.whole()
    data = load_samples(spec, root=root)
    folder, state = collect_run(spec, data, root=root, study=cfg.study, scoring_seeds=seeds, purpose=purpose)
    log.info("results: %s", folder.path)
    return state


if __name__ == "__main__":
    main()
