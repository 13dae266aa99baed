"""What a study says in plain sentences and numbers; the terminal and the page share them.

Numbers are written with the ASCII hyphen as minus sign, so that any terminal and log file takes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hprune.reporting.chance_notes import chance_notes
from hprune.reporting.duplicates import overlap_notes
from hprune.storage.manifests import LIBRARIES

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
    "ece": "expected calibration error",
}
"""Metrics as a reader knows them, where that is not how they are called."""
PERCENT = ("accuracy", *(name for name in NAMES if name != "mcc"))
"""Metrics in 0..1 that are shown in percent, their differences in points."""
ARMS = {
    "winning_ticket": "samples that some, but not all, scoring runs got right in every epoch (0 < H < S).",
    "winning_ticket_stratified": "of these as many as have the class shares of all samples, thinned for each seed.",
    "random_like": "as many samples, drawn at random for each seed.",
    "random_stratified": "as many samples with the class shares of all, drawn at random for each seed.",
    "random_same_classes": "as many of each class as the ticket has, drawn at random for each seed.",
}
"""What each built-in arm is trained on, in one sentence."""
WAYS = {"train_pass": "training pass", "eval_pass": "clean pass", "out_of_fold": "out of fold"}
"""Ways of measuring."""
MOST_TICKETS = 3
"""Beyond, what each costs is left to the table of the page."""
GAPS = ("better", "worse")
"""Verdicts of a difference."""
SPAN = {2: "9", 3: "2.5"}
"""How many standard deviations a 95% t interval reaches to each side, for few seeds: t(0.975, n - 1) / sqrt(n)."""


def way(line: Mapping[str, Any]) -> str:
    """How the cells of a line of sensitivity.json were measured, and the epochs that they leave out."""
    skipped = line["skip_epochs"]
    left_out = f", without epoch {'1' if skipped == 1 else f'1 to {skipped}'}" if skipped else ""
    return f"{WAYS.get(line['measured'], line['measured'])}{left_out}"


def epochs(cell: Mapping[str, Any]) -> str:
    """The epochs that a cell of sensitivity.json looks at, and of how many; just these where it looks at all."""
    return f"{cell['E']}" if cell["E"] == cell["trained_epochs"] else f"{cell['E']} of {cell['trained_epochs']}"


def eval_sets(report: Report) -> list[str]:
    """The evaluation sets of a report, validation first."""
    names = list(dict.fromkeys(row["eval_set"] for row in report["rows"]))
    return sorted(names, key=lambda name: name != "validation")


def rows_of(report: Report, eval_set: str, metric: str) -> list[Row]:
    """One row an arm, in the order of the report."""
    return [row for row in report["rows"] if row["eval_set"] == eval_set and row["metric"] == metric]


def notes(report: Report) -> list[str]:
    """What a careful reader must know: runs that are missing, few seeds or one, seeds that all gave the same value."""
    rows = [row for eval_set in eval_sets(report) for row in rows_of(report, eval_set, report["primary_metric"])]
    found = [*_missing(report), *_restored(report)]
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
    if any(_overruled(row, end) for row in rows for end in ("", "_to_random", "_to_ticket")):
        found.append(
            "An interval may leave out 0 where nothing is distinguishable: intervals are each arm's own, "
            "verdicts are corrected for the number of arms compared with the same one (Holm)."
        )
    found += chance_notes(report)
    if len(report["margins"]) > 1:
        stated = ", ".join("none" if margin is None else f"{margin:g}" for margin in report["margins"])
        found.append(f"The margin was changed between runs ({stated}): the smallest is used.")
    return found + overlap_notes(report)


def data_told(report: Report) -> list[str]:
    """That the data are gone or others by now; reports of before do not say it."""
    return [report["data"]["told"]] if report.get("data") else []


def _missing(report: Report) -> list[str]:
    """Runs that were planned and are not complete."""
    found = []
    if report["incomplete"]:
        runs = [f"{run['arm']} seed {run['seed']} ({run['purpose']})" for run in report["incomplete"]]
        found.append(
            f"Left out, as they are not complete: {', '.join(runs)}. (The same command trains them; to let go of one, "
            f"remove its file under studies/{report['study']}/runs.)"
        )
    return found + [
        f"{name} was made without the planned runs of the seeds {', '.join(map(str, table['missing_seeds']))}."
        for name, table in report["histogram"].items()
        if table["missing_seeds"]
    ]


def _restored(report: Report) -> list[str]:
    """That runs were restored, with what a packed file does not keep."""
    if not (mark := report.get("restored")):
        return []
    runs = f"{count(mark['runs'], 'run')} {'was' if mark['runs'] == 1 else 'were'} restored from packed files"
    rounded = f"{', '.join(mark['rounded'])}; " if mark["rounded"] else ""
    return [f"{runs}: {rounded}not kept: {', '.join(mark['not_kept']) or 'nothing'}."]


def versions_told(differences: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """The libraries in whose versions runs differ, with how many runs are of each; nothing if they agree.

    Python, platform and processor are told by the facts of the page alone: what they change is last digits.
    """
    parts = []
    for name in LIBRARIES:
        if name in differences:
            of_each = [f"{version} ({count(len(runs), 'run')})" for version, runs in differences[name].items()]
            parts.append(f"{name} {', '.join(of_each)}")
    return "; ".join(parts)


def cost_sentences(report: Report) -> list[str]:
    """What scoring cost and after how many later runs it is paid back."""
    cost = report["cost"]
    if not cost["scoring_runs"]:
        return []
    scoring = f"Scoring took {duration(cost['scoring_seconds'])} of training ({count(cost['scoring_runs'], 'run')}"
    ratio = next((stage["full_runs"] for stage in cost["stages"] if stage["stage"] == "scoring runs"), None)
    scoring += f", {full_runs(ratio)} full fine-tunings)" if ratio else ")"
    arms = {arm["label"]: arm for arm in cost["arms"]}
    labels = [row["label"] for row in report["rows"] if row["arm"] == "winning_ticket"]
    tickets = dict.fromkeys(label for label in labels if label in arms)
    if not 1 <= len(tickets) <= MOST_TICKETS or report.get("methods"):  # whose tickets each have a part of the runs
        return [f"{scoring}."]
    return [f"{scoring}; {_pay_back(label, arms, named=len(tickets) > 1)}." for label in tickets]


def meanings(report: Report) -> list[str]:
    """The words of the table, explained; only those that occur."""
    rows = [row for row in report["rows"] if row["metric"] == report["primary_metric"]]
    arms = {row["arm"] for row in rows}
    found = [f"{arm}: {meaning}" for arm, meaning in ARMS.items() if arm in arms]
    if any(row["budget"] == "steps" for row in rows):
        found.append("[steps]: trained for as many steps of the optimiser as the full set, so for more epochs.")
    margins = [margin_of(row["difference"], row["metric"]) for row in rows if row["verdict"] == "equivalent"]
    if margins:
        found.append(
            f"Equivalent: a difference of {margins[0]} or more, the margin stated before training, is ruled out at 5%, "
            "each arm by itself; that is, its 90% interval lies within the margin, the 95% interval shown need not."
        )
    if any(row["verdict"] == "not distinguishable" for row in rows):
        found.append(
            "Not distinguishable: chance alone could give such a difference. It does not show that the two are equal."
        )
    return found


def _overruled(row: Row, end: str) -> bool:
    """Whether a difference that its own interval shows is not one after the correction."""
    gap = row[f"difference{end}"]
    shown = gap is not None and gap["low"] is not None and not gap["low"] <= 0 <= gap["high"]
    return shown and row[f"verdict{end}"] in ("not distinguishable", "equivalent")


def mean_and_interval(row: Row) -> str:
    """`68.0 [66.4, 69.5]`, in percent or as it is."""
    mean, low, high = texts_of(row, row["metric"])
    return f"{mean} [{low}, {high}]" if low else f"{mean} [one seed]"


def difference_and_interval(row: Row) -> str:
    """`-0.2 [-1.1, +0.7]`, in points or as it is; empty without a reference."""
    if row["difference"] is None:
        return ""
    mean, low, high = texts_of(row["difference"], row["metric"], sign="+")
    return f"{mean} [{low}, {high}]" if low else mean


def verdict(row: Row) -> str:
    """The verdict against the full set; that full set is the reference, or is missing."""
    if row["verdict"] is not None:
        return verdict_of(row["verdict"], row["difference"], row["metric"])
    return "reference" if row["arm"] == "full" else "no full set to compare"


def verdict_of(verdict: str, gap: Mapping[str, Any], metric: str) -> str:
    """`equivalent within 1 point`, `worse, by under 1 point`; others as they are."""
    if verdict == "equivalent":
        return f"equivalent within {margin_of(gap, metric)}"
    return f"{verdict}, by under {margin_of(gap, metric)}" if gap["within_margin"] and verdict in GAPS else verdict


def margin_of(gap: Mapping[str, Any], metric: str) -> str:
    """The margin that a difference was tested against: `1 point`, `0.5 points`, or as it is."""
    margin = gap["equivalence"]["margin"]
    if metric not in PERCENT:
        return f"{margin:g}"
    return f"{100 * margin:g} {'point' if margin == 0.01 else 'points'}"


def behind(gap: Mapping[str, Any]) -> str:
    """What a difference rests on: `3 tickets, 9 seeds, 872 examples`."""
    tickets = [count(gap["tickets"], "ticket")] if "tickets" in gap else []
    examples = [count(gap["examples"], "example")] if gap.get("examples") else []
    return ", ".join([*tickets, count(gap["seeds"], "seed"), *examples])


def p_value(p: float) -> str:
    """`= 0.012`, `< 0.001`."""
    return "<\u00a00.001" if p < 0.001 else f"=\u00a0{p:.3f}" if p < 0.1 else f"=\u00a0{p:.2f}"


def p_alone(p: float | None) -> str:
    """`0.012`, `<0.001`; empty where nothing was tested."""
    return "" if p is None else p_value(p).replace("=", "").replace("\u00a0", "")


def number(value: float, metric: str) -> str:
    """A size of a difference without sign: `1.9 points`, `0.021`."""
    said = texts_of({"mean": value, "low": None, "high": None}, metric)[0]
    return f"{said} {unit(metric, difference=True)}".rstrip()


def metric_name(metric: str) -> str:
    """The name of a metric as a reader knows it."""
    return NAMES.get(metric, metric)


def unit(metric: str, *, difference: bool = False) -> str:
    """`%` or `points` for metrics shown in percent, else nothing."""
    return ("points" if difference else "%") if metric in PERCENT else ""


def share(fraction: float) -> str:
    """A share in whole percent; with a decimal where that says more."""
    return f"{fraction:.0%}" if 0.1 <= fraction <= 0.9 or fraction in (0, 1) else f"{fraction:.1%}"


def seeds(listed: Sequence[int]) -> str:
    """Seeds of runs; of more than two that follow each other, the first and the last: `1..6, 9, 11..16`."""
    parts: list[list[int]] = []
    for seed in sorted(listed):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(f"{row[0]}..{row[-1]}" if len(row) > 2 else ", ".join(map(str, row)) for row in parts)


def count(number: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{seconds / 3600:.1f} h"


def full_runs(ratio: float) -> str:
    """A cost in units of a full fine-tuning: `6.0`, `132`."""
    return f"{ratio:.2f}" if ratio < 0.995 else f"{ratio:.1f}" if ratio < 99.95 else f"{ratio:,.0f}"


def operations(number: float) -> str:
    """A number of operations: `8.1 P`, P for 10^15."""
    for sign, size in {"Z": 1e21, "E": 1e18, "P": 1e15, "T": 1e12, "G": 1e9, "M": 1e6}.items():
        if number >= 0.9995 * size:
            return f"{number / size:.3g} {sign}"
    return f"{number:,.0f}"


def _pay_back(label: str, arms: Mapping[str, Mapping[str, Any]], *, named: bool) -> str:
    subject = label if named else "the winning ticket"
    one, even = f"a run on {subject} takes {duration(arms[label]['train_seconds'])}", arms[label]["break_even_runs"]
    full = f", on the full set {duration(arms['full']['train_seconds'])}" if "full" in arms else ""
    if even is None:
        verdict = "so by these times scoring is never paid back" if full else "and a break-even cannot be given"
        return f"{one}{full}, {verdict}"
    return f"{one}{full}, so scoring would be paid back after {count(even, 'later run')}"


def texts_of(facts: Mapping[str, Any], metric: str, sign: str = "") -> tuple[str, str, str]:
    """Mean, low and high of an interval; the ends are empty with one seed.

    Percent has one decimal, a difference two where its interval is narrower than 0.2 points; other metrics have three.
    """
    mean, low, high = (facts[name] for name in ("mean", "low", "high"))
    narrow = sign and low is not None and 0 < high - low < 0.002
    digits, scale = (2 if narrow else 1, 100) if metric in PERCENT else (3, 1)

    def text(value: float | None) -> str:
        return "" if value is None else f"{round(scale * value, digits) + 0.0:{sign}.{digits}f}"  # + 0.0: never -0.0

    return text(mean), text(low), text(high)
