"""Fine-tune once and record every sample: `python -m hprune.train +experiment=sst2_roberta`.

Collecting records and training an arm are this one command: they differ in `subset` and `seed`. With `-m` it runs many:
`seed=1,2,3`, `subset=winning_ticket,random_like`, `subset.keep=1..5,2..5`, `trainer.max_epochs=2,3`, or any other key.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from hprune.command import command, plain, run_spec

log = logging.getLogger(__name__)


@command("train")
def main(cfg: DictConfig) -> None:
    """Compose one run, register it with its study, train it unless it is complete."""
    root, seeds = Path(cfg.paths.root), check_seeds(cfg.scoring.seeds, "scoring.seeds")
    spec = run_spec(cfg)

    from hprune.collect import collect_run, purpose_of
    from hprune.training.units import load_samples

    data = load_samples(spec, root=root)
    purpose = purpose_of(spec, seeds, allow_seed_overlap=cfg.comparison.allow_seed_overlap)
    folder = collect_run(spec, data, root=root, study=cfg.study, scoring_seeds=seeds, purpose=purpose)
    log.info("results: %s", folder.path)


def check_seeds(seeds: Any, name: str) -> tuple[int, ...]:
    """Refuse what is not a list of seeds, and a seed that is listed twice: it would be counted as two runs.

    Raises:
        ValueError: naming what came, and the repeated seeds.
    """
    listed = plain(seeds)
    if not isinstance(listed, list) or not listed or not all(type(seed) is int and seed >= 0 for seed in listed):
        raise ValueError(f"{name} must be a list of whole numbers from 0, such as [1,2,3], got {listed!r}")
    repeated = sorted({seed for seed in listed if listed.count(seed) > 1})
    if repeated:
        raise ValueError(f"{name} must list each seed once, got {listed}, with {repeated} more than once")
    return tuple(listed)


if __name__ == "__main__":
    main()
