"""Fine-tune once and record every sample: `python -m hprune.train +experiment=sst2_roberta`.

Collecting records and training an arm are this one command: they differ in `subset` and `seed`. With `-m` it runs many:
`seed=1,2,3`, `subset=winning_ticket,random_like`, `subset.keep=1..5,2..5`, `trainer.max_epochs=2,3`, or any other key.
"""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig

from hprune.command import command, run_spec

log = logging.getLogger(__name__)


@command("train")
def main(cfg: DictConfig) -> None:
    """Compose one run, register it with its study, train it unless it is complete."""
    root, seeds = Path(cfg.paths.root), tuple(cfg.scoring.seeds)
    check_seeds(seeds, "scoring.seeds")
    spec = run_spec(cfg)

    from hprune.collect import collect_run
    from hprune.tasks.load import load_task

    data = load_task(spec.task)
    folder = collect_run(
        spec,
        data,
        root=root,
        study=cfg.study,
        scoring_seeds=seeds,
        allow_seed_overlap=cfg.comparison.allow_seed_overlap,
    )
    log.info("results: %s", folder.path)


def check_seeds(seeds: tuple[int, ...], name: str) -> None:
    """Refuse a seed that is listed twice: it would be counted as two runs.

    Raises:
        ValueError: naming the repeated seeds.
    """
    repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if repeated or not seeds:
        raise ValueError(
            f"{name} must list each seed once, got {list(seeds)}"
            + (f", with {repeated} more than once" if repeated else "")
        )


if __name__ == "__main__":
    main()
