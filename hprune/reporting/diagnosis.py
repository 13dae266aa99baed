"""What a study's numbers are a sign of, and what to do: known ways in which pruning fails, or could go further.

Each check looks at the facts of a report (`hprune.reporting.summary`) and says nothing where they are not at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hprune.reporting import wording as words
from hprune.reporting.arms import drawn_at_random
from hprune.reporting.duplicates import MANY, overlap_told

Report = Mapping[str, Any]
Row = Mapping[str, Any]

SMALL = 0.3
"""A subset of at most this share is small."""
LARGE_DROP = 2.0
"""A drop is large if all of its interval lies beyond so many margins; two points without a margin."""
MANY_HARDEST, MOSTLY = 0.1, 0.5
"""H = 0 of more than this share of the samples, and more than this share of it missed in the first epoch only."""
UNSETTLED = 0.02
"""One more run that would add more than this share of the samples: membership has not settled."""
MOVED = 0.05
"""A class whose share in the ticket differs by more has moved."""
FAINT, OUTSHONE = 0.1, 2.0
"""A pooler is dead if its outputs spread over samples by less than this, and the mean states by so many times more.
They end in tanh, in -1..1: a pooler that was trained to be read has mean absolute values of about 0.5 and above, and a
fifth of that hardly tells samples apart. Adam's steps do not depend on the scale of a gradient, so the logits of two
samples part at a speed proportional to the spread of what the head reads; a factor below 2 is not worth a change."""


@dataclass(frozen=True)
class Finding:
    """A sign, and what to do about it."""

    sign: str
    """Its name, for programs."""
    told: str
    """What was seen."""
    advice: str


def diagnose(report: Report) -> list[dict[str, str]]:
    """The findings of a report, as plain values: `[{sign, told, advice}]`."""
    checks: tuple[Callable[[Report], Iterator[Finding]], ...] = (
        _seed_overlap,
        _worse_than_random,
        _large_drop,
        _saturated,
        _first_epoch,
        _ticket_by_first_epoch,
        _not_settled,
        _classes_moved,
        _overlapping,
        _dead_pooler,
    )
    return [asdict(finding) for check in checks for finding in check(report)]


def _main_rows(report: Report) -> list[Row]:
    """The arms by the primary metric on the first evaluation set."""
    sets = words.eval_sets(report)
    return words.rows_of(report, sets[0], report["primary_metric"]) if sets else []


def _at_random(row: Row) -> bool:
    return bool(row["arm"] == "random_like") or drawn_at_random(row["rule"])


def _seed_overlap(report: Report) -> Iterator[Finding]:
    runs = [f"{run['arm']} seed {run['seed']}" for run in report.get("seed_overlap", ())]
    if runs:
        were = "runs were" if len(runs) > 1 else "run was"
        yield Finding(
            "seed_overlap",
            f"{len(runs)} {were} trained with a seed whose own run is behind the score that chose the samples: "
            f"{', '.join(runs)}.",
            "An arm and a run that chose its samples then share initial weights and the order of samples, so the arm "
            "is not judged by runs that are independent of the choice. Train it with other comparison.seeds; to leave "
            "such a run out, remove its file under studies/<study>/runs.",
        )


def _worse_than_random(report: Report) -> Iterator[Finding]:
    chosen = [row for row in _main_rows(report) if row["difference_to_random"] and not _at_random(row)]
    if not chosen or any(row["verdict_to_random"] != "worse" for row in chosen):
        return
    arms = "The arm that a score chose is" if len(chosen) == 1 else f"All {len(chosen)} arms that a score chose are"
    yield Finding(
        "worse_than_random",
        f"{arms} worse than as many random samples.",
        "The score does not see which samples help: too few scoring runs, labels that are mostly noise, or a recording "
        "that does not mean what it should. Read the samples with H = 0 (hprune.triage makes a sheet of them), take "
        "more scoring.seeds, and a random subset for as long as that does better.",
    )


def _large_drop(report: Report) -> Iterator[Finding]:
    least = LARGE_DROP * (report["margin"] or 0.01)
    for row in _main_rows(report):
        gap = row["difference"]
        if row["arm"] != "winning_ticket" or row["verdict"] != "worse" or gap["high"] is None or gap["high"] > -least:
            continue
        where = _worst_slices(report, row)
        lost = words.number(-gap["mean"], row["metric"])
        ticket = f"The winning ticket{str(row['label']).removeprefix(row['arm'])}"
        yield Finding(
            "large_drop",
            f"{ticket} loses {lost}{', more in ' + ' and '.join(where) if where else ''}.",
            "Samples were removed that the task needs: keep the easy ones (subset.keep=1..S) or the hard ones (0..S-1) "
            "and see which brings it back; comparison.budgets=[epochs,steps] tells what is only less training.",
        )


def _worst_slices(report: Report, row: Row) -> list[str]:
    """Of each column the slice that lost most, where that is more than the whole did."""
    worst: dict[str, Row] = {}
    for part in report["slices"]:
        same = (part["label"], part["eval_set"]) == (row["label"], row["eval_set"])
        if same and part["verdict"] == "worse" and part["difference"]["mean"] < row["difference"]["mean"]:
            last = worst.get(part["slice"])
            if last is None or part["difference"]["mean"] < last["difference"]["mean"]:
                worst[part["slice"]] = part
    return [
        f"{part['slice']} {part['value']} ({words.number(-part['difference']['mean'], part['metric'])})"
        for part in worst.values()
    ]


def _saturated(report: Report) -> Iterator[Finding]:
    rows = _main_rows(report)
    small = [row for row in rows if row["fraction"] <= SMALL and row["verdict"] in ("equivalent", "better")]
    if not small:
        return
    least = min(small, key=lambda row: row["n"])
    random = [row for row in small if _at_random(row) and row["n"] <= least["n"]]
    told = f"{least['label']}, {words.share(least['fraction'])} of the samples, does as well as all of them"
    if random:
        chosen = any(not _at_random(row) and row["n"] == least["n"] for row in small)
        yield Finding(
            "saturated",
            f"{told}, and so do as many that a score chose." if chosen else f"{told}.",
            "The task is saturated: fewer samples are enough, whichever they are. Take a random subset, as it costs no "
            "scoring, and look for where it ends with subset.fraction.",
        )
    else:
        yield Finding(
            "go_further",
            f"{told}.",
            "Pruning can go further: try narrower keep-sets, such as subset.keep=2..S-1, beside random subsets of "
            "their size.",
        )


def _first_epoch(report: Report) -> Iterator[Finding]:
    counts, total = report["first_epoch"], report["full_samples"]
    if counts is None or counts["hardest"] <= MANY_HARDEST * total:
        return
    if counts["missed_first_only"] > MOSTLY * counts["hardest"]:
        share = words.share(counts["hardest"] / total)
        missed = words.share(counts["missed_first_only"] / counts["hardest"])
        yield Finding(
            "first_epoch",
            f"{share} of the samples have H = 0, and {missed} of these were only missed in the first epoch.",
            "H never forgives a miss in epoch 1, when the head is still random, so on small sets H = 0 says little. "
            "The ticket without that epoch (score.skip_epochs=1), or by a clean pass (record=both "
            "score.measured=eval_pass), is smaller and harder, and may train far worse: compare it with random ones.",
        )


def _ticket_by_first_epoch(report: Report) -> Iterator[Finding]:
    counts = report["first_epoch"]
    if counts is None or counts.get("ticket_by_first", 0) <= MOSTLY * counts.get("ticket", 0):
        return
    ticket, by_first, classes = counts["ticket"], counts["ticket_by_first"], counts["by_class"]
    total = sum(one["samples"] for one in classes.values())
    shares = {name: (one["ticket_by_first"] / by_first, one["samples"] / total) for name, one in classes.items()}
    name = max(shares, key=lambda name: shares[name][0] - shares[name][1], default="")
    inside, before = shares.get(name, (0.0, 0.0))
    of_class = f"; {words.share(inside)} of these are {name}, and {words.share(before)} of all samples"
    yield Finding(
        "ticket_by_first_epoch",
        f"{by_first:,} of the {ticket:,} samples of the winning ticket ({words.share(by_first / ticket)}) are in it "
        "only through epoch 1: every run has them right in all later epochs"
        f"{of_class if inside - before > MOVED else ''}.",
        "Such a ticket is mostly the order of the first steps, and the class that a model answers before it has "
        "learned anything. Compare it with random samples of its classes (subset=random_same_classes), and spend fewer "
        "of the steps of epoch 1 before anything is learned: with more data, or model.pooling=mean. Leaving out that "
        "epoch and judging by a clean pass are no way out: on small sets they chose tickets that train far worse.",
    )


def _not_settled(report: Report) -> Iterator[Finding]:
    facts = report["convergence"].get(report["main_score"])
    if facts is None or facts["one_more"] is None or facts["one_more"] <= UNSETTLED * facts["samples"]:
        return
    brings = words.share(facts["one_more"] / facts["samples"])
    yield Finding(
        "not_settled",
        f"The winning ticket has not settled: one more scoring run would add about {brings} of the samples.",
        "More runs choose a larger ticket: give more scoring.seeds (runs that exist are kept), or say how much "
        "may be missing with scoring.stop_when.open_share.",
    )


def _classes_moved(report: Report) -> Iterator[Finding]:
    table = report["histogram"].get(report["main_score"] or "h_score")
    if table is None:
        return
    everything, ticket = dict[str, int](), dict[str, int]()
    for value in table["values"]:
        for name, count in value["by_class"].items():
            everything[name] = everything.get(name, 0) + count
            ticket[name] = ticket.get(name, 0) + (count if 0 < value["value"] < table["S"] else 0)
    if not everything or not sum(ticket.values()):
        return
    kept, total = sum(ticket.values()), sum(everything.values())
    shares = {name: (ticket[name] / kept, everything[name] / total) for name in ticket}
    name = max(shares, key=lambda name: abs(shares[name][0] - shares[name][1]))
    inside, before = shares[name]
    if abs(inside - before) > MOVED:
        now, then = words.share(inside), words.share(before)
        yield Finding(
            "classes_moved",
            f"The classes moved: {name} is {now} of the winning ticket, and {then} of all samples.",
            "A model that is trained on it expects other classes than it will meet: look at the accuracy by class, and "
            "compare with the ticket thinned to the shares of all samples (subset=winning_ticket_stratified) and with "
            "random samples of the ticket's classes (subset=random_same_classes), which show what the classes do.",
        )


def _overlapping(report: Report) -> Iterator[Finding]:
    advice = {
        "leaks": "What an arm gains from such texts is no skill: take them out of the train file, or compare on an "
        "evaluation set that shares none.",
        "duplicates": "Keep one of each text in the train file, with the label that holds, and score again.",
    }
    for sign, (share, told) in overlap_told(report).items():
        if share > MANY:
            yield Finding(sign, told, advice[sign])


def _dead_pooler(report: Report) -> Iterator[Finding]:
    facts = report.get("pooler")  # reports of before have none
    if facts is None or OUTSHONE * facts["spread"] > facts["spread_of_mean_pooling"]:
        return
    if facts["spread"] < FAINT:
        yield Finding(
            "dead_pooler",
            "The pooler that the head reads says nearly the same of every sample: its outputs spread by "
            f"{facts['spread']:.2g} (their mean absolute value is {facts['mean_abs']:.2g}), the mean states of the "
            f"last layer by {facts['spread_of_mean_pooling']:.2g}.",
            "The head learns slowly behind such a pooler, and H = 0 then says little more than that it had not learned "
            "yet: use model.pooling=mean, which reads the states instead. It is another model: give its study a name.",
        )
