"""What a study says in plain sentences and numbers; the terminal and the page share them.

Numbers are written with the ASCII hyphen as minus sign, so that any terminal and log file takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Report = Mapping[str, Any]
Row = Mapping[str, Any]

NAMES = {
    "macro_f1": "macro F1",
    "mcc": "Matthews correlation",
    "f1": "F1",
    "option_accuracy": "accuracy over options",
    "exact_match": "exact match",
    "has_answer_exact_match": "exact match with an answer",
    "has_answer_f1": "F1 with an answer",
    "no_answer_exact_match": "exact match without an answer",
    "no_answer_f1": "F1 without an answer",
}
"""Metrics as a reader knows them, where that is not how they are called."""
PERCENT = ("accuracy", *(name for name in NAMES if name != "mcc"))
"""Metrics in 0..1 that are shown in percent, their differences in points."""
SPAN = {2: "9", 3: "2.5"}
"""How many standard deviations a 95% t interval reaches to each side, for few seeds: t(0.975, n - 1) / sqrt(n)."""


def eval_sets(report: Report) -> list[str]:
    """The evaluation sets of a report, validation first."""
    names = list(dict.fromkeys(row["eval_set"] for row in report["rows"]))
    return sorted(names, key=lambda name: name != "validation")


def rows_of(report: Report, eval_set: str, metric: str) -> list[Row]:
    """One row an arm, in the order of the report."""
    return [row for row in report["rows"] if row["eval_set"] == eval_set and row["metric"] == metric]


def headline(report: Report) -> list[str]:
    """The answer: each winning ticket against full training, and beside a random subset of its size.

    A study without a winning ticket is answered for its other arms; one without arms says what is there.
    """
    metric, sets = report["primary_metric"], eval_sets(report)
    if not sets:
        return [_nothing_compared(report)]
    main = rows_of(report, sets[0], metric)
    asked = [row for row in main if row["arm"] == "winning_ticket"] or [
        row for row in main if row["arm"] not in ("full", "random_like")
    ]
    if not asked:
        return ["No arm but the full set and random subsets was trained, so there is no winning ticket to judge yet."]
    if len(asked) > 3:
        return [f"{len(asked)} arms were compared with full training; the table has a line for each."]
    sentences = []
    for row in asked:
        sentences.append(_answer(row, report))
        sentences += [
            _elsewhere(other)
            for name in sets[1:]
            for other in rows_of(report, name, metric)
            if other["label"] == row["label"]
        ]
        sentences += _beside_random(row)
    return sentences


def notes(report: Report) -> list[str]:
    """What a careful reader must know: runs that are missing, few seeds or one, seeds that all gave the same value."""
    rows = [row for eval_set in eval_sets(report) for row in rows_of(report, eval_set, report["primary_metric"])]
    found = _missing(report)
    if any(len(row["seeds"]) == 1 for row in rows):
        found.append("With one seed there is no interval and no verdict: nothing tells an effect from chance.")
    for seeds, span in SPAN.items():
        if any(len(row["seeds"]) == seeds for row in rows):
            reach = f"With {seeds} seeds a 95% interval spans about {span} standard deviations to each side"
            found.append(f"{reach}: it is wide, because little is known.")
    same = dict.fromkeys(
        row["label"] for row in rows if len(row["seeds"]) > 1 and len(set(row["values"].values())) == 1
    )
    if same:
        found.append(
            f"Every seed gave the same value for {', '.join(same)}, as when a model answers with one class only."
        )
    return found


def _missing(report: Report) -> list[str]:
    """Runs that were planned and are not complete."""
    found = []
    if report["incomplete"]:
        runs = [f"{run['arm']} seed {run['seed']} ({run['purpose']})" for run in report["incomplete"]]
        found.append(f"Left out, as they are not complete: {', '.join(runs)}.")
    return found + [
        f"{name} was made without the planned runs of the seeds {', '.join(map(str, table['missing_seeds']))}."
        for name, table in report["histogram"].items()
        if table["missing_seeds"]
    ]


def cost_sentences(report: Report) -> list[str]:
    """What scoring cost and after how many later runs it is paid back."""
    cost = report["cost"]
    if not cost["scoring_runs"]:
        return []
    scoring = f"Scoring took {duration(cost['scoring_seconds'])} of training ({count(cost['scoring_runs'], 'run')})"
    arms = {arm["label"]: arm for arm in cost["arms"]}
    tickets = dict.fromkeys(
        row["label"] for row in report["rows"] if row["arm"] == "winning_ticket" and row["label"] in arms
    )
    if not tickets:
        return [f"{scoring}."]
    return [f"{scoring}; {_pay_back(label, arms, named=len(tickets) > 1)}." for label in tickets]


def meanings(report: Report) -> list[str]:
    """The words of the table, explained; only those that occur."""
    rows = [row for row in report["rows"] if row["metric"] == report["primary_metric"]]
    arms = {row["arm"] for row in rows}
    found = []
    if "winning_ticket" in arms:
        found.append(
            "winning_ticket: samples that some, but not all, scoring runs got right in every epoch (0 < H < S)."
        )
    if "random_like" in arms:
        found.append("random_like: as many samples, drawn at random for each seed.")
    if any(row["verdict"] == "not distinguishable" for row in rows):
        found.append(
            "Not distinguishable: over these seeds, chance alone could give such a difference. "
            "It does not show that the two are equal."
        )
    return found


def mean_and_interval(row: Row) -> str:
    """`68.0 [66.4, 69.5]`, in percent or as it is."""
    mean, low, high = _texts(row, row["metric"])
    return f"{mean} [{low}, {high}]" if low else f"{mean} [one seed]"


def difference_and_interval(row: Row) -> str:
    """`-0.2 [-1.1, +0.7]`, in points or as it is; empty without a reference."""
    if row["difference"] is None:
        return ""
    mean, low, high = _texts(row["difference"], row["metric"], sign="+")
    return f"{mean} [{low}, {high}]" if low else mean


def verdict(row: Row) -> str:
    """The verdict against the full set; that full set is the reference, or is missing."""
    if row["verdict"] is not None:
        return str(row["verdict"])
    return "reference" if row["arm"] == "full" else "no full set to compare"


def metric_name(metric: str) -> str:
    """The name of a metric as a reader knows it."""
    return NAMES.get(metric, metric)


def unit(metric: str, *, difference: bool = False) -> str:
    """`%` or `points` for metrics shown in percent, else nothing."""
    return ("points" if difference else "%") if metric in PERCENT else ""


def share(fraction: float) -> str:
    """A share in whole percent; with a decimal where that says more."""
    return f"{fraction:.0%}" if 0.1 <= fraction <= 0.9 or fraction in (0, 1) else f"{fraction:.1%}"


def count(number: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{seconds / 3600:.1f} h"


def _answer(row: Row, report: Report) -> str:
    kept = f"T{_subject(row)[1:]} keeps {share(row['fraction'])} of {report['full_samples']:,} samples"
    return f"{kept}; {metric_name(row['metric'])} on {row['eval_set']} {_compared(row)}."


def _elsewhere(row: Row) -> str:
    return f"On {row['eval_set']}, {metric_name(row['metric'])} {_compared(row)}."


def _compared(row: Row) -> str:
    """`is worse than with full training (difference ...)`; without a verdict, the bare numbers."""
    gap, metric = row["difference"], row["metric"]
    if gap is None:
        return f"{_reached(row)}; there is no full training with the same settings and seeds to compare with"
    mean, low, high = _texts(gap, metric, sign="+")
    mean += f" {unit(metric, difference=True)}".rstrip()
    if not low:
        return f"differs from full training by {mean}, and with one seed there is no verdict"
    equal = row["verdict"] == "not distinguishable"
    verb = "is not distinguishable from" if equal else f"is {row['verdict']} than with"
    return f"{verb} full training (difference {mean}, 95% interval {low} to {high}, {count(gap['seeds'], 'seed')})"


def _reached(row: Row) -> str:
    """`reaches 68.0% (95% interval 66.4 to 69.5)`."""
    mean, low, high = _texts(row, row["metric"])
    return f"reaches {mean}{unit(row['metric'])} ({f'95% interval {low} to {high}' if low else 'one seed'})"


def _beside_random(row: Row) -> list[str]:
    """Against a random subset of the same size and settings, where one was trained with the same seeds."""
    gap = row.get("difference_to_random")
    if gap is None:
        return []
    mean, low, high = _texts(gap, row["metric"], sign="+")
    mean += f" {unit(row['metric'], difference=True)}".rstrip()
    if not low:
        return [
            f"It differs from training on as many samples drawn at random by {mean}; with one seed there is no verdict."
        ]
    equal = row["verdict_to_random"] == "not distinguishable"
    verb = "is not distinguishable from" if equal else f"is {row['verdict_to_random']} than"
    return [f"It {verb} training on as many samples drawn at random (difference {mean}, 95% interval {low} to {high})."]


def _subject(row: Row) -> str:
    return f"the winning ticket{_settings(row)}" if row["arm"] == "winning_ticket" else f"the arm {row['label']}"


def _settings(row: Row) -> str:
    """What tells arms of one name apart: ` [optim.lr=1e-05]`."""
    return str(row["label"]).removeprefix(row["arm"])


def _nothing_compared(report: Report) -> str:
    values = report["histogram"].get("h_score", {}).get("values", [])
    start = "No arm has been retrained yet, so nothing can be said about accuracy"
    if not values:
        return f"{start}."
    total, runs = sum(value["count"] for value in values), report["histogram"]["h_score"]["S"]
    kept = sum(value["count"] for value in values if 0 < value["value"] < runs)
    size = f"{kept:,} of {total:,} samples ({share(kept / total)})"
    return f"{start}; by the scores of {count(runs, 'run')} the winning ticket would keep {size}."


def _pay_back(label: str, arms: Mapping[str, Mapping[str, Any]], *, named: bool) -> str:
    subject = label if named else "the winning ticket"
    one, even = f"a run on {subject} takes {duration(arms[label]['train_seconds'])}", arms[label]["break_even_runs"]
    full = f", on the full set {duration(arms['full']['train_seconds'])}" if "full" in arms else ""
    if even is None:
        verdict = "so by these times scoring is never paid back" if full else "and a break-even cannot be given"
        return f"{one}{full}, {verdict}"
    return f"{one}{full}, so scoring would be paid back after {count(even, 'later run')}"


def _texts(facts: Mapping[str, Any], metric: str, sign: str = "") -> tuple[str, str, str]:
    """Mean, low and high of an interval; the ends are empty with one seed.

    Percent has one decimal, a difference two where its interval is narrower than 0.2 points; other metrics have three.
    """
    mean, low, high = (facts[name] for name in ("mean", "low", "high"))
    narrow = sign and low is not None and 0 < high - low < 0.002
    digits, scale = (2 if narrow else 1, 100) if metric in PERCENT else (3, 1)

    def text(value: float | None) -> str:
        return "" if value is None else f"{round(scale * value, digits) + 0.0:{sign}.{digits}f}"  # + 0.0: never -0.0

    return text(mean), text(low), text(high)
