"""What pruning is for: do small sets rank configurations as the full set does?

    python benchmarks/ranking.py WORK --model MINILM [--scores FILE] [--sets SET ...] [--report] [--list]

Trains 12 configurations on SST-2's whole sentences, each on the full set, on a winning ticket, on as many random
samples (drawn anew for each seed) and on random samples with the ticket's classes. Prints how each set ranks them, what
choosing by it loses, and what it costs. WORK is that of `benchmarks/long_studies.py`, which makes WORK/data and the
studies; the ticket is that of the H-score table FILE, by default the first one of the study `sentences_mean`.

A run is the one that `python -m hprune.train` trains by the same settings; `--list` prints the sweeps. It lies in
WORK/results and belongs to the study `ranking`. What other studies trained there is not trained again, the same command
continues where it stopped, and several of it at the same time share the work. `--report` trains nothing and prints the
tables of the seeds that are complete.

On 8,000 phrases: --data WORK/data/sst2 --task sst2 --max-samples 8000 --study ranking_phrases --scores FILE
"""

from __future__ import annotations

import argparse
import itertools
import logging
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rank_statistics import BY_CHANCE, Comparison, Estimate, Right, compare

if TYPE_CHECKING:
    from hprune.tasks.spec import TaskData
    from hprune.training.settings import RunSpec

LEARNING_RATES, EPOCHS, BATCH_SIZES = (1e-5, 5e-5, 2.5e-4), (1, 3), (32, 128)
"""How far training goes is about its learning rate times its steps. On 6,920 sentences that is from 55 steps at 1e-5
to 651 steps at 2.5e-4, a factor of 300: some configurations hardly leave chance, some are as good as MiniLM gets, and
their neighbours are hard to rank, as in a sweep of somebody who does not know yet where to look. On a small set all
take fewer steps, so if it misleads, then to larger rates, smaller batches and more epochs, along which the grid
extends. The study of the ticket has 5e-5, 3 epochs and batches of 32, so these runs are shared with it."""
FULL = "full"
SETS = (FULL, "winning_ticket", "random_like", "random_same_classes")
CHOSEN_BY_SCORES = ("winning_ticket", "random_same_classes")
"""Those that cannot be had without scoring; a random sample could have any size."""
SEEDS = [101, 102, 103]
Setting = tuple[float, int, int]  # learning rate, epochs, batch size
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Cost:
    """One run of every configuration, the mean over seeds; None where a run does not say it."""

    steps: float | None
    """Samples that went through the model in training, each time counted."""
    operations: float | None
    seconds: float | None

    def __add__(self, other: Cost) -> Cost:
        """Both together."""
        pairs = zip(self.parts, other.parts, strict=True)
        return Cost(*(None if None in pair else sum(pair) for pair in pairs))  # type: ignore[arg-type]

    @property
    def parts(self) -> tuple[float | None, ...]:
        """In the order of the table."""
        return self.steps, self.operations, self.seconds


def main() -> None:
    """Train what is not trained yet, and print the tables."""
    asked = _arguments()
    settings = list(itertools.product(asked.lr, asked.epochs, asked.batch_size))
    if asked.list:
        for name in asked.sets:
            print(shlex.join(["python", "-m", "hprune.train", "-m", *_sweep(asked, name)]))
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    from hprune.training.units import load_samples

    specs = {(name, setting): _specs(asked, name, setting) for name, setting in itertools.product(asked.sets, settings)}
    data = load_samples(specs[FULL, settings[0]][0], root=asked.root)
    failed = [] if asked.report else _train(asked, specs, data)
    if failed:
        sys.exit(f"{len(failed)} runs are not complete: {'; '.join(failed)}; the same command tries them again")
    folders = {key: [_folder(asked, spec, data) for spec in runs] for key, runs in specs.items()}
    complete = [at for at in range(len(asked.seeds)) if all((of[at] / "run.json").exists() for of in folders.values())]
    if len(complete) < 2:
        sys.exit(f"two seeds must have all runs, {len(complete)} of {asked.seeds} have: train on, without --report")
    print(f"Seeds {', '.join(str(asked.seeds[at]) for at in complete)}; ticket of {asked.scores}\n")
    kept = {key: [of[at] for at in complete] for key, of in folders.items()}
    right = {name: _right([kept[name, setting] for setting in settings]) for name in asked.sets}
    _print_accuracies(settings, right)
    _print_comparisons(compare(right, FULL, resamples=asked.resamples))
    _print_costs(asked, {name: [kept[name, setting] for setting in settings] for name in asked.sets})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--model", type=Path, help="MiniLM's folder; default: its name on the hub")
    parser.add_argument(
        "--data", type=Path, help="train.parquet and validation.parquet; default WORK/data/sst2_sentences"
    )
    parser.add_argument("--task", default="sst2_sentences", help="the name of the task in the runs' folders")
    parser.add_argument("--max-samples", type=int, help="of the train data, drawn at random")
    parser.add_argument(
        "--scores", type=Path, help="the ticket's H-score table; default: the first ticket of sentences_mean"
    )
    parser.add_argument("--study", default="ranking")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="at least two; not those that scored")
    parser.add_argument("--lr", type=float, nargs="+", default=LEARNING_RATES)
    parser.add_argument("--epochs", type=int, nargs="+", default=EPOCHS)
    parser.add_argument("--batch-size", type=int, nargs="+", default=BATCH_SIZES)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--also", nargs="+", default=[], metavar="KEY=VALUE", help="further overrides of hprune.train")
    parser.add_argument("--report", action="store_true", help="train nothing: the seeds that have all runs")
    parser.add_argument("--list", action="store_true", help="print the sweeps as commands, before WORK is there, too")
    asked = parser.parse_args()
    asked.root = (asked.work / "results").resolve()
    asked.data = (asked.data or asked.work / "data" / "sst2_sentences").resolve()
    first = asked.root / "studies" / "sentences_mean" / "scores" / "h_score-seeds1+2+3+4+5+6.parquet"
    asked.scores = (asked.scores or first).resolve()
    for what, path in (("--data", asked.data / "validation.parquet"), ("--scores", asked.scores)):
        if not path.exists() and not asked.list:  # sweeps are listed before what they read is made
            parser.error(f"{what}: there is no {path}; benchmarks/long_studies.py makes it, or name another")
    if FULL not in asked.sets:
        parser.error(f"--sets must have {FULL}, which the others are compared with")
    if len(set(asked.seeds)) < max(2, len(asked.seeds)):
        parser.error(f"--seeds must be two or more different ones, got {asked.seeds}: some choose, others judge")
    asked.scoring = _scoring_seeds(asked.scores)
    if not asked.scoring:
        parser.error(
            f"--scores: there is no {asked.scores}, and its name does not say its runs, as h_score-seeds1+2 does"
        )
    if set(asked.seeds) & set(asked.scoring):
        parser.error(f"--seeds {asked.seeds} must not be among those that scored, {asked.scoring}: give others")
    return asked


def _scoring_seeds(scores: Path) -> list[int]:
    """Of a table; of one that is not there yet by its name, `h_score-seeds1+2`, none where that does not say them."""
    if not scores.exists():
        named = re.search(r"-seeds(\d+(?:\+\d+)*)$", scores.stem)
        return [int(seed) for seed in named[1].split("+")] if named else []
    from hprune.storage.scores import load_scores

    return list(load_scores(scores).seeds)


def _overrides(asked: argparse.Namespace, name: str) -> list[str]:
    """What all runs on a set have in common, as overrides of `hprune.train`; the setting and the seed are missing."""
    size = "null" if asked.max_samples is None else str(asked.max_samples)
    common = {
        "task": "sst2", "task.name": asked.task, "task.data_dir": f"'{asked.data}'", "task.max_train_samples": size,
        "model": "minilm", **({} if asked.model is None else {"model.path": f"'{asked.model.resolve()}'"}),
        "model.pooling": "mean", "data.max_length": "128", "trainer.threads": "1", "trainer.precision": "bf16",
        "trainer.progress": "false", "study": asked.study, "paths.root": f"'{asked.root}'",
        "scoring.seeds": str(asked.scoring).replace(" ", ""), "subset": name,
    }  # fmt: skip
    if name != FULL:
        common["subset.sized_by" if name == "random_like" else "subset.scores"] = f"'{asked.scores}'"
    common |= dict(override.split("=", 1) for override in asked.also)  # Hydra takes no group twice
    return [f"{key}={value}" for key, value in common.items()]


def _sweep(asked: argparse.Namespace, name: str) -> list[str]:
    """All runs on a set as the overrides of one sweep."""
    swept = {"optim.lr": asked.lr, "trainer.max_epochs": asked.epochs, "data.batch_size": asked.batch_size}
    swept["seed"] = asked.seeds
    return [*_overrides(asked, name), *(f"{key}={','.join(map(str, values))}" for key, values in swept.items())]


def _specs(asked: argparse.Namespace, name: str, setting: Setting) -> list[RunSpec]:
    """The runs of one setting on one set, by seed: what `hprune.train` makes of the same overrides."""
    from hydra import compose, initialize_config_dir

    from hprune.command import CONF, run_spec

    rate, epochs, batch = setting
    own = [f"optim.lr={rate}", f"trainer.max_epochs={epochs}", f"data.batch_size={batch}"]
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        cfg = compose("train", overrides=[*_overrides(asked, name), *own])
    return [run_spec(cfg, seed=seed).whole() for seed in asked.seeds]


def _train(
    asked: argparse.Namespace, specs: Mapping[tuple[str, Setting], Sequence[RunSpec]], data: TaskData
) -> list[str]:
    """Train what is not complete as a study does, one seed after the other; what failed, and why."""
    from hprune.at_once import Planned, StudyPlace, training

    place, failed = StudyPlace(asked.root, asked.study, tuple(asked.scoring)), []
    ordered = [(key, runs[at]) for at in range(len(asked.seeds)) for key, runs in specs.items()]
    planned = [
        Planned(f"{at} of {len(ordered)}: {_title(*key)}, seed {spec.seed}", spec, "comparison")
        for at, (key, spec) in enumerate(ordered, start=1)
    ]
    with training(place, data, at_once=asked.at_once) as train:
        for end in train(planned):
            print(f"{end.run.label}: {end.state} {end.error}".rstrip(), file=sys.stderr, flush=True)
            if end.state == "failed":
                failed.append(f"{end.run.label}: {end.error}")
    return failed


def _title(name: str, setting: Setting) -> str:
    rate, epochs, batch = setting
    return f"{name}, lr {rate:g}, {epochs} epochs, batches of {batch}"


def _folder(asked: argparse.Namespace, spec: RunSpec, data: TaskData) -> Path:
    from hprune.collect import folder_of

    return folder_of(spec, data, root=asked.root, study=asked.study).path


def _right(folders: Sequence[Sequence[Path]]) -> Right:
    """(C, K, n) whether each run has each example of the validation set right, by increasing id."""
    from hprune.storage.predictions import load_predictions

    made, ids = [], None
    for path in itertools.chain.from_iterable(folders):
        table = load_predictions(path, "validation")
        if table is None:
            raise ValueError(f"{path} has no predictions.validation.parquet: remove the run's folder to train it again")
        here = table["sample_id"].to_numpy()
        if ids is not None and not np.array_equal(ids, here):
            raise ValueError(f"{path} was evaluated on other examples than the runs before it: use one --data for all")
        ids = here
        made.append(table["label"].to_numpy() == table["pred"].to_numpy())
    return np.stack(made).reshape(len(folders), len(folders[0]), -1)


def _print_accuracies(settings: Sequence[Setting], right: Mapping[str, Right]) -> None:
    """The mean over seeds, and their standard deviation; the best of each set in bold."""
    number = next(iter(right.values())).shape[2]
    print(f"| learning rate | epochs | batch | {' | '.join(f'{name}, % (sd)' for name in right)} |")
    print("|---" * (3 + len(right)) + "|")
    accuracies = {name: 100 * one.mean(axis=2) for name, one in right.items()}  # (C, K)
    for at, (rate, epochs, batch) in enumerate(settings):
        cells = []
        for one in accuracies.values():
            mean, best = one[at].mean(), one.mean(axis=1).max()
            bold = "**" if mean >= best else ""
            cells.append(f"{bold}{mean:.2f}{bold} ({one[at].std(ddof=1):.2f})")
        print(f"| {rate:g} | {epochs} | {batch} | {' | '.join(cells)} |")
    runs = next(iter(right.values())).shape[1]
    print(f"\nAccuracy on {number:,} examples, mean of {runs} seeds.\n")


def _print_comparisons(found: Mapping[str, Comparison]) -> None:
    """Two tables: how the sets rank, and what choosing by them loses."""
    heads = [
        "ranked by",
        "tau-b, all seeds",
        "tau-b, one seed by the others of the full set",
        "below the full set's own",
    ]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for name, one in found.items():
        if name == FULL:
            print(f"| {name} | | {_told(one.tau_one_run)} (the ceiling) | |")
        elif name != BY_CHANCE:
            cells = [_told(one.tau), _told(one.tau_one_run), _told(one.below_ceiling)]
            print(f"| {name} | {' | '.join(cells)} |")
    print("\n| chosen by | regret, points of accuracy on the full set |\n|---|---|")
    for name, one in found.items():
        if name != FULL:
            print(f"| {name} | {_told(one.regret, scale=100)} |")
    print("\n95% intervals for these configurations; in braces where the configurations were drawn anew, too.\n")


def _told(number: Estimate, scale: float = 1) -> str:
    value, *ends = (
        f"{round(scale * end, 2) + 0.0:.2f}"  # no -0.00
        for end in (number.value, *number.these, *number.others)
    )
    return f"{value} [{ends[0]}, {ends[1]}] {{{ends[2]}, {ends[3]}}}"


def _print_costs(asked: argparse.Namespace, folders: Mapping[str, Sequence[Sequence[Path]]]) -> None:
    """One run of every configuration on each set, as a share of the same on the full set; with scoring and without."""
    costs = {name: _sweep_cost(paths) for name, paths in folders.items()}
    scoring = _scoring_cost(asked.scores)
    print("| one run of every configuration | sample-steps | operations | seconds |\n|---|---|---|---|")
    print(f"| {FULL} | {' | '.join('?' if part is None else f'{part:,.0f}' for part in costs[FULL].parts)} |")
    for name, cost in costs.items():
        if name == FULL:
            continue
        print(f"| {name} | {_shares(cost, costs[FULL])} |")
        if name in CHOSEN_BY_SCORES and scoring is not None:
            print(f"| {name}, with scoring | {_shares(cost + scoring, costs[FULL])} |")
    if scoring is None:
        print(f"\n{asked.scores} is not the table of a study with its runs: what scoring cost is not known.")
        return
    steps, operations, seconds = _shares(scoring, costs[FULL]).split(" | ")
    print(
        f"\nScoring, counted once: {len(asked.scoring)} runs, {steps} of the full set's sample-steps, {operations} of "
        f"its operations, {seconds} of its seconds."
    )


def _shares(cost: Cost, full: Cost) -> str:
    parts = zip(cost.parts, full.parts, strict=True)
    return " | ".join("?" if part is None or not whole else f"{part / whole:.1%}" for part, whole in parts)


def _sweep_cost(folders: Sequence[Sequence[Path]]) -> Cost:
    from hprune.reporting.ledger import total
    from hprune.storage.manifests import read_manifest

    runs = [read_manifest(path) for of_setting in folders for path in of_setting]
    steps = sum(run["samples"] * run["settings"]["trainer"]["max_epochs"] for run in runs)
    seeds, spent = len(folders[0]), (total(runs, "train_flops"), total(runs, "train_seconds"))
    return Cost(steps / seeds, *(None if one is None else one / seeds for one in spent))


def _scoring_cost(scores: Path) -> Cost | None:
    """What the runs behind a score table took, if it lies in its study; the first epochs cost their share of a run."""
    from hprune.reporting.ledger import scoring_cost
    from hprune.storage.manifests import read_manifest
    from hprune.storage.scores import load_scores
    from hprune.storage.studies import runs_of

    table, study = load_scores(scores), scores.parent.parent
    if study.parent.name != "studies" or not (study / "runs").is_dir():
        return None
    there = [run for run in runs_of(study.parents[1], study.name, "scoring") if run.key.seed in table.seeds]
    runs: list[Manifest] = [read_manifest(run.path) for run in there if (run.path / "run.json").exists()]
    if len(runs) != table.runs:
        return None
    share = table.epochs / runs[0]["settings"]["trainer"]["max_epochs"]
    spent = (scoring_cost(runs, table.measured, "flops"), scoring_cost(runs, table.measured, "seconds"))
    return Cost(
        sum(run["samples"] * table.epochs for run in runs), *(None if one is None else share * one for one in spent)
    )


if __name__ == "__main__":
    main()
