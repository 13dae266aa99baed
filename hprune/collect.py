"""A run as part of a study: is it a scoring run or a comparison run, which score table chooses its samples?"""

from __future__ import annotations

from pathlib import Path

from hprune.storage.runs import RunFolder
from hprune.storage.scores import scores_for
from hprune.storage.studies import Purpose, add_run
from hprune.tasks.spec import TaskData
from hprune.training.run import fine_tune, locate
from hprune.training.settings import RunSpec


def collect_run(
    spec: RunSpec, data: TaskData, *, root: Path, study: str, scoring_seeds: tuple[int, ...], purpose: Purpose
) -> RunFolder:
    """Train one run of a study, unless it is complete, and let the study refer to it.

    Raises:
        ValueError: if its score table is missing, or a scoring run's settings differ from those of the study's others.
    """
    scores = scores_for(spec.subset, root=root, study=study)
    add_run(root, study, locate(spec, data, scores, root=root), purpose, scoring_seeds)
    return fine_tune(spec, data, scores, root=root)


def purpose_of(spec: RunSpec, scoring_seeds: tuple[int, ...], *, allow_seed_overlap: bool = False) -> Purpose:
    """A run of the full set with a scoring seed gives records; every other run is an arm's.

    Raises:
        ValueError: if the seed of an arm was used for scoring and that is not allowed.
    """
    if spec.seed not in scoring_seeds:
        return "comparison"
    if spec.subset.select is None:
        return "scoring"
    if not allow_seed_overlap:
        raise ValueError(
            f"seed {spec.seed} is a scoring seed ({list(scoring_seeds)}): "
            "an arm that is trained with it would be judged by a run that chose its samples. "
            "Use other seeds (seed=101,102,...), or set comparison.allow_seed_overlap=true"
        )
    return "comparison"
