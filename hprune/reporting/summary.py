"""The facts of a study as plain values: what `report.json` holds, and what the page and the table show.

Schema of `report.json` (schema_version 2), whose last key is a `digest` over all others:
    study, task, model, created, primary_metric, label_names, full_samples
    weights: {name, sha256, hub, commit} | null   that the model started from: the name by its folder or hub id, and the
        digest of the folder's files, or the commit; null from scratch
    margin: how much arms may differ in the primary metric and be called equivalent, stated with the runs, or null;
        margin_found: {margin, why, comparison_runs, ...} as found and fixed, when so many comparison runs were
            complete; null: it was given, or not fixed
        margins: all that were stated, null by runs that stated none; where it was changed the smallest is used
    rows: [{arm, label, rule, budget, S, E, eval_set, metric, n, fraction, mean, low, high, seeds, values,
            difference: DIFFERENCE | null, verdict | null, and likewise difference_to_random, verdict_to_random,
            difference_to_ticket, verdict_to_ticket}]
        `budget` is what an arm has in common with the full set, "epochs" or "steps"; "all" for that set. S and E are
        the runs and epochs behind the score that chose the arm, null for the full set and random subsets. `low` and
        `high` bound the 95% t interval over seeds, null with one seed. Differences are to the full set, to the random
        arm and to the winning ticket of the same size, settings and budget; null where there is none.
    DIFFERENCE: {to, mean, low, high, seeds, examples, error, df, spread, test, p_value, p_holm, p_welch, p_sign_flip,
                 detectable, power, within_margin, equivalence: {margin, p_value, low, high, power, shown} | null,
                 over_seeds: {low, high, p_value, p_welch, error, df} | null}
        `to` is the label of the other arm; see `hprune.science.stats.Difference` for the rest. All go by one standard
        error, `error` with `df` degrees of freedom: over seeds and so many `examples` (`hprune.science.crossed`), or,
        where `examples` is null, over seeds alone, as the predictions are gone or the metric is none of examples
        (loss, calibration error). `over_seeds` is the difference over seeds alone in any case. The family that Holm's
        method corrects for is all arms that are compared with the same one on the same set, metric and budget.
    methods: [{arm, label, budget, eval_set, metric, to, tickets, planned_tickets, seeds, seeds_by_ticket, mean, low,
               high, examples, error, df, test, p_value, p_holm, detectable, power, within_margin, equivalence, verdict,
               components: {ticket, seed, example}, by_ticket: [{scoring_seeds, label, seeds, mean, low, high}]}]
        arms over several tickets (`comparison.tickets`), each with its own seeds, against the full set, or random_like
        or the winning ticket of the same ticket: the same facts with tickets in place of seeds. `seeds` is their number
        over all tickets. `components`: standard deviations between tickets, beyond what their seeds explain, and
        between the seeds of a ticket, and the standard error of the examples; null where they cannot be told apart
    examples: [{label, to, eval_set, metric, n, difference: {mean, low, high},
                mcnemar: {seed: {gained, lost, p_value}}}]
        "accuracy" or "exact_match" against the full set, and the winning ticket of the same size: bootstrap interval
        over examples, McNemar's test of each seed
    slices: [{label, eval_set, metric, slice, value, n, reference, difference: DIFFERENCE, verdict}]
        the same against the full set, whose own is `reference`, within a class, a third of the lengths, a source; the
        differences without `to`, and corrected for the slices of one column
    main_score: the table of H that the study is shown by, which its winning tickets were chosen by, or null
    matrix: every arm beside every other, see `hprune.reporting.matrix.matrix_of`, or null
    first_epoch: {table, hardest, missed_first_only, ticket, ticket_by_first,
                  by_class: {class: {samples, ticket, ticket_by_first}}} | null
        what is so because of the first epoch only: of the samples with H = 0 (`hardest`) those that some run had right
        in all later epochs, of the winning ticket those that all runs had; `by_class` is empty if the data are gone;
        see `hprune.reporting.first_epoch`
    pooler: {mean_abs, spread, spread_of_mean_pooling, samples} | null
        of the checkpoint, before the first step of a scoring run: the outputs of the pooler that the head reads (mean
        absolute value, standard deviation over samples), and the mean states of the last layer beside them; null where
        the head reads no pooler, or an older version ran
    judge: {scores, S, samples, dimensions, folds, accuracy, majority, groups: [{group, count, right, share}],
            by_h: [{value, count, right, share}], ordinary: {count, share}, hard_core: {count, share}} | null
        what logistic regression on the pre-trained model's frozen mean states has right of the labels, in 5-fold
        cross-validation, by H; null unless it was asked for (`judge=true`): `hprune.reporting.judge`. `ordinary`
        samples have H = 0 and the judge has them right, the `hard_core` it has wrong; `majority`: of the largest class
    diagnosis: [{sign, told, advice}]   what the numbers are a sign of, see `hprune.reporting.diagnosis`
    restored: {runs, rounded: [text], not_kept: [text]} | null   how many of the runs were restored from packed files
        (`benchmarks/packed_runs.py`), which of their numbers are rounded, and what of them is not kept
    version_differences: {name: {version: [run]}}   the versions of hprune, the libraries, python, platform, cpu (its
        instructions) and threads in which the runs differ; empty if they agree
    incomplete: [{arm, seed, purpose}]   runs that the study plans and that have no results, and so are left out
    seed_overlap: [{arm, seed, scores}]   runs of an arm by the seed of a run that is behind the table `scores`, which
        chose their samples
    histogram: {score table: {S, E, skip_epochs, measured, higher_is, missing_seeds, infinite,
                              values: [{value, count, by_class: {class: count}}]}}
        `missing_seeds` were planned, and the score was made without them (score.allow_missing). One entry a value for
        integer scores that take at most 1000, 30 bins by their middle for others; `infinite` samples are in none.
        Of more than 1000 classes `by_class` has those that have samples there.
    convergence: {table of H: {S, samples, certain, open, runs: [{runs, subsets, size, sd, low, high, overlap,
                  overlap_low}], predicted: [{runs, size, low, high}], one_more, gains, stopped}}
        how the winning ticket settles with the number of runs. `certain` samples stay in it whatever further runs say,
        `open` may still come in. `runs`: the mean size for each s up to S over `subsets` choices of runs, its spread,
        and the overlap with the ticket of all S (Jaccard, mean and smallest). `predicted`: for S + 1 to 2 S runs, with
        95% intervals, empty for fewer than three runs; `one_more` is what one more run would add. `gains`: what each
        run alone brought to the others. Where the records are gone, `gains`, and in `runs` all but size and overlap,
        are null. `stopped`: {runs, of, open_share, limit} if the study stopped scoring early (`scoring.stop_when`)
    cost: {scoring_seconds, scoring_runs, stages: [{stage, runs, seconds, flops, full_runs}],
           arms: [{label, train_seconds, break_even_runs, pay_back: {seconds: PAID, flops: PAID | null} | null}]}
        Seconds and counted operations by stage, over all its runs; the last stage is the total, `full_runs` its seconds
        in units of a mean run on the full set. flops are null where a run does not say them, as of older versions.
    PAID: {scoring, full_run, subset_run, break_even, saved, saved_share, selection_to_tuning}
        `scoring` is what the runs behind the arm's score took, clean passes included where the score is made of them;
        `selection_to_tuning` (STR) the same in full runs, `saved` what each later run saves: `hprune.science.cost`.
    data_map: {scores, S, E, measured, samples, by_h: [{value, count, confidence, variability}],
               points: {h, confidence, variability}} | null
        means of all samples at each H, and at most 2000 samples drawn with a fixed seed; null if the records are gone
    data: {fault: "unreadable" | "changed", sets: [name], told} | null
        the data of the study cannot be read, or its train split (or only these sets to evaluate on) changed since its
        runs; null: they are those of the runs
    duplicates: {train: {texts, groups, samples, conflicting}, evaluation: {eval set: {samples, in_train}},
                 by_h: [{value, count, duplicates, leaks}]} | null
        of normalised texts: all of train (rows, where samples are parts of these); those that occur more than once in
        it, in how many groups, samples among them whose text has another label,
        too; at each H the shares that are duplicates, and that an evaluation set holds; null if the data are gone
    samples: [{group, sample_id, value, label, text}]   sentences to read, per region of the score
    provenance: {data_hash, settings, versions, scoring_seeds, comparison_seeds, hprune, config}
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune import __version__
from hprune.reporting.arms import Arm, arms_of
from hprune.reporting.comparisons import rows_of
from hprune.reporting.convergence import convergence_of
from hprune.reporting.data_map import map_of
from hprune.reporting.data_state import state_of_data
from hprune.reporting.diagnosis import diagnose
from hprune.reporting.duplicates import overlap_of
from hprune.reporting.examples import example_rows
from hprune.reporting.first_epoch import first_epoch_misses
from hprune.reporting.ledger import ledger_of
from hprune.reporting.matrix import matrix_of
from hprune.reporting.methods import methods_of
from hprune.reporting.predicted import Predictions
from hprune.reporting.ticket_plan import ticket_plan
from hprune.reporting.weights import weights_of
from hprune.science.records import Scores
from hprune.science.triage import of_decisions
from hprune.storage import shapes
from hprune.storage.dynamics import records_behind
from hprune.storage.manifests import RESTORED, read_results, version_differences
from hprune.storage.margins import stored_margin
from hprune.storage.override import under
from hprune.storage.runs import state_of
from hprune.storage.scores import load_scores, main_h
from hprune.storage.studies import existing_study, planned_seeds, planned_tickets, runs_of
from hprune.tasks.spec import TaskData

MOST_VALUES = 1000
"""An integer score that takes more is shown in bins, like a real-valued one."""
MANY_CLASSES = 1000
"""Of more, a value of a score is told with those classes only that have a sample there."""


def summarise(
    root: Path,
    study: str,
    data: TaskData | None,
    judge: Mapping[str, Any] | None = None,
    why: str | None = None,
) -> dict[str, Any]:
    """Gather everything that a study says, from its complete runs and score tables.

    Args:
        root: where results lie.
        study: its name.
        data: the task's tables, for class counts and texts; None if they are no longer at hand.
        judge: what an independent judge says, if it was asked.
        why: the tables are not at hand, if it is known.

    Raises:
        ValueError: if the study does not exist or has no complete run.
    """
    everything = runs_of(root, study)
    runs = [run for run in everything if state_of(run.path) == "done"]
    if not runs:
        raise ValueError(f"study {study!r} has no complete run yet; see: python -m hprune.status{under(root)}")
    manifests = {run.path: {**read_results(run.path), "folder": run.path, "ticket": run.ticket} for run in runs}
    scoring = [manifests[run.path] for run in runs if run.purpose == "scoring"]
    plan = ticket_plan(planned_tickets(root, study))
    arms = arms_of([run for run in runs if run.purpose == "comparison"], manifests, plan)
    first = scoring[0] if scoring else manifests[runs[0].path]
    scores = [load_scores(path) for path in sorted((existing_study(root, study) / "scores").glob("*.parquet"))]
    margins, primary = margins_of(arms, study), first["primary_metric"]
    margin = min((stated for stated in margins if stated is not None), default=None)
    predictions = Predictions(arms)
    examples, slices = example_rows(arms, predictions)
    of_h, planned = main_h(root, study, scores), planned_seeds(root, study)
    report: dict[str, Any] = {
        "schema_version": 2,
        "main_score": None if of_h is None else of_h.name,
        "study": study,
        "task": first["key"]["task"],
        "model": first["key"]["model"],
        "weights": weights_of(first),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "primary_metric": primary,
        "margin": margin,
        "margin_found": stored_margin(root, study),
        "margins": margins,
        "label_names": first["label_names"],
        "full_samples": first["full_samples"],
        "rows": rows_of(arms, primary_metric=primary, margin=margin, predictions=predictions),
        "methods": methods_of(arms, plan, primary_metric=primary, margin=margin, predictions=predictions),
        "examples": examples,
        "slices": slices,
        "matrix": matrix_of(arms, metric=primary, predictions=predictions),
        "first_epoch": first_epoch_misses(
            root, study, of_h, labels=None if of_h is None else _labels(of_h, data), label_names=first["label_names"]
        ),
        "restored": _restored(list(manifests.values())),
        "version_differences": version_differences(manifests.values()),
        "pooler": next((run["pooler"] for run in (*scoring, first) if "pooler" in run), None),
        "judge": judge,
        "incomplete": [
            {"arm": run.key.subset, "seed": run.key.seed, "purpose": run.purpose}
            for run in everything
            if run not in runs and (run.purpose != "scoring" or not planned or run.key.seed in planned)
        ],
        "seed_overlap": _seed_overlap(arms),
        "histogram": {table.name: _histogram(table, data) for table in scores if not of_decisions(table)},
        "convergence": convergence_of(scores, functools.partial(records_behind, root, study)),
        "cost": ledger_of(scoring, arms, {table.digest for table in scores}),
        "data_map": map_of(root, study, of_h),
        "data": state_of_data(data, first, why, study, root),
        "duplicates": overlap_of(data, first["data_hash"], of_h),
        "samples": _samples(of_h, data),
        "provenance": {
            "data_hash": first["data_hash"],
            "settings": {key: value for key, value in first["settings"].items() if key != "subset"},
            "versions": first["versions"],
            "scoring_seeds": sorted(manifest["key"]["seed"] for manifest in scoring),
            "comparison_seeds": sorted({manifest["key"]["seed"] for arm in arms.values() for manifest in arm}),
            "hprune": __version__,
            "config": first["config"],
        },
    }
    return report | {"diagnosis": diagnose(report)}


def _seed_overlap(arms: Mapping[str, Arm]) -> list[dict[str, Any]]:
    """The runs that were trained with the seed of a run that chose their samples."""
    return [
        {"arm": label, "seed": run["key"]["seed"], "scores": run["subset"].get("scores", "")}
        for label, arm in arms.items()
        for run in arm
        if run["key"]["seed"] in run["subset"].get("seeds", ())
    ]


def margins_of(arms: Mapping[str, Arm], study: str | None = None) -> list[float | None]:
    """The margins that the runs were trained with, before their results were known; one, unless it was changed.

    None, the first, where some run stated none, or what is no margin. Runs that other studies trained state theirs, so
    they count only where the study trained none itself.
    """
    everyone = [run for arm in arms.values() for run in arm]
    own = [run for run in everyone if study is not None and run["config"].get("study") == study]
    comparisons = [run["config"].get("comparison") for run in own or everyone]
    stated = [comparison.get("margin") if isinstance(comparison, dict) else None for comparison in comparisons]
    numbers = [float(margin) for margin in stated if margin is not None and shapes.number(margin) and margin > 0]
    return [*([None] if len(numbers) < len(stated) else []), *sorted(set(numbers))]


def _restored(manifests: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    marks = [manifest["restored"] for manifest in manifests if "restored" in manifest]
    told = {name: sorted({text for mark in marks for text in mark[name]}) for name in RESTORED}
    return {"runs": len(marks), **told} if marks else None


def _histogram(scores: Scores, data: TaskData | None) -> dict[str, Any]:
    labels = _labels(scores, data)
    values = []
    for value, inside in _bins(scores):
        by_class = {}
        if labels is not None and data is not None:
            counts = np.bincount(labels[inside], minlength=len(data.label_names))
            by_class = dict(zip(data.label_names, counts.tolist(), strict=True))
            if len(by_class) > MANY_CLASSES:
                by_class = {name: count for name, count in by_class.items() if count}
        values.append({"value": value, "count": int(inside.sum()), "by_class": by_class})
    facts = {"S": scores.runs, "E": scores.epochs, "measured": scores.measured, "higher_is": scores.higher_is}
    facts |= {"skip_epochs": scores.conventions.get("skip_epochs", 0)}
    facts |= {"missing_seeds": scores.conventions.get("missing_seeds", [])}
    return {**facts, "infinite": int(np.isinf(scores.values).sum()), "values": values}


def _bins(scores: Scores, number: int = 30) -> list[tuple[float, NDArray[np.bool_]]]:
    """Every value of an integer score; bins of a real-valued one by their middle, without what is infinite."""
    low, high = min(0, scores.values.min()), max(scores.runs, scores.values.max())
    if np.issubdtype(scores.values.dtype, np.integer) and int(high) - int(low) <= MOST_VALUES:
        return [(value, scores.values == value) for value in range(int(low), int(high) + 1)]
    finite = np.isfinite(scores.values)
    if not finite.any():
        return []
    edges = np.linspace(scores.values[finite].min(), scores.values[finite].max(), number + 1)
    at = np.clip(np.digitize(scores.values, edges) - 1, 0, number - 1)
    return [(float((edges[i] + edges[i + 1]) / 2), finite & (at == i)) for i in range(number)]


def _labels(scores: Scores, data: TaskData | None) -> NDArray[np.int64] | None:
    if data is None or data.data_hash != scores.data_hash:
        return None
    return np.asarray(data.train["label"].to_numpy())


def _samples(scores: Scores | None, data: TaskData | None, per_group: int = 8) -> list[dict[str, Any]]:
    """Sentences to read: never right, in between, always right; drawn with a fixed seed."""
    if scores is None or data is None or data.data_hash != scores.data_hash:
        return []
    groups = {
        "H = 0": scores.values == 0,
        "0 < H < S": scores.in_ticket,
        "H = S": scores.values == scores.runs,
    }
    rng = np.random.default_rng(0)
    found = []
    for name, mask in groups.items():
        positions = np.flatnonzero(mask)
        for position in sorted(rng.choice(positions, size=min(per_group, positions.size), replace=False).tolist()):
            found.append({"group": name, **_sample(scores, data, position)})
    return found


def _sample(scores: Scores, data: TaskData, position: int) -> dict[str, Any]:
    row = data.train.slice(position, 1).to_pylist()[0]
    return {
        "sample_id": row["sample_id"],
        "value": int(scores.values[position]),
        "label": data.label_names[row["label"]],
        "text": " / ".join(row[column] for column in data.text),
    }
