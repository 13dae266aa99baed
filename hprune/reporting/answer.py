"""The answer of a study in a few sentences, which the terminal and the page share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hprune.reporting.arms import drawn_at_random
from hprune.reporting.details import findable
from hprune.reporting.wording import (
    GAPS,
    MOST_TICKETS,
    Report,
    Row,
    behind,
    count,
    eval_sets,
    margin_of,
    metric_name,
    number,
    rows_of,
    share,
    texts_of,
    unit,
    verdict_of,
)


def headline(report: Report) -> list[str]:
    """The answer: each winning ticket against full training, and beside a random subset of its size.

    Where a study has several tickets the verdict on the method comes first, and each of them in few words. A study
    without a winning ticket is answered for its other arms; one without arms says what is there.
    """
    metric, sets = report["primary_metric"], eval_sets(report)
    if not sets:
        return [_nothing_compared(report)]
    main = rows_of(report, sets[0], metric)
    asked = [row for row in main if row["arm"] == "winning_ticket"] or [
        row for row in main if row["arm"] not in ("full", "random_like") and not drawn_at_random(row["rule"])
    ]
    methods, of_methods = _methods(report, sets)
    asked = [row for row in asked if row["label"] not in of_methods]
    if methods and not asked:
        return methods
    if not asked:
        return ["No arm but the full set and random subsets was trained, so there is no winning ticket to judge yet."]
    if len(asked) > MOST_TICKETS:
        return [*methods, f"{len(asked)} arms were compared with full training; the table has a line for each."]
    sentences = methods
    for row in asked:
        same = [other for name in sets[1:] for other in rows_of(report, name, metric) if other["label"] == row["label"]]
        sentences += [_answer(row, report), *_beside_random(row), *_beside_others(row, main), *_certainty(row)]
        sentences += _on_other_sets(same)
    return sentences


def _methods(report: Report, sets: Sequence[str]) -> tuple[list[str], set[str]]:
    """The verdicts on choosing a winning ticket, and the labels of the arms that they are of."""
    rows = [row for row in report.get("methods", []) if row["metric"] == report["primary_metric"]]
    rows = [row for row in rows if row["arm"] == "winning_ticket"]
    full = {row["label"] for row in report["rows"] if row["arm"] == "full"}
    sentences: list[str] = []
    for row in (row for row in rows if row["to"] in full and row["eval_set"] == sets[0]):
        same = [other for other in rows if other["label"] == row["label"]]
        sentences += [_of_method(row, report), *_method_beside_random(row, same), _ticket_by_ticket(row, report)]
        sentences += _certainty({**row, "difference": row})
        further = [{**other, "difference": other} for other in same if other["to"] == row["to"] and other is not row]
        sentences += [
            f"On {other['eval_set']}, over tickets, {metric_name(other['metric'])} {_compared(other)}."
            for other in further
        ]
    return sentences, {ticket["label"] for row in rows for ticket in row["by_ticket"]}


def _of_method(row: Row, report: Report) -> str:
    """The verdict: would the next ticket do as well?"""
    labels = {ticket["label"] for ticket in row["by_ticket"]}
    shares = sorted(
        other["fraction"] for other in rows_of(report, row["eval_set"], row["metric"]) if other["label"] in labels
    )
    kept = f"{share(shares[0])} to {share(shares[-1])}" if share(shares[0]) != share(shares[-1]) else share(shares[0])
    scoring = " or ".join(dict.fromkeys(str(len(ticket["scoring_seeds"])) for ticket in row["by_ticket"]))
    told = _compared({**row, "difference": row})
    return (
        f"The method, over {row['tickets']} winning tickets of {scoring} scoring runs each{_budget_in_words(row)}, "
        f"which keep {kept} of {report['full_samples']:,} samples: "
        f"{metric_name(row['metric'])} on {row['eval_set']} {told}."
    )


def _method_beside_random(row: Row, rows: Sequence[Row]) -> list[str]:
    """Against random subsets of the tickets' sizes."""
    told = []
    for other in rows:
        if other["eval_set"] == row["eval_set"] and str(other["to"]).startswith("random_like"):
            said = _said(other["verdict"], other, other["metric"], "training on as many samples drawn at random")
            gap = f"difference {_points(other, other['metric'])}, {_interval(other, other['metric'])}"
            told.append(f"Over the tickets it {said} ({gap}).")
    return told


def _ticket_by_ticket(row: Row, report: Report) -> str:
    """`Each ticket by itself, beside full training: -0.5 points (not distinguishable), -1.2 points (worse).`"""
    verdicts = {other["label"]: other for other in rows_of(report, row["eval_set"], row["metric"])}
    told = []
    for ticket in row["by_ticket"]:
        own = verdicts.get(ticket["label"])
        gap = None if own is None else own["difference"]
        verdict = "" if own is None or gap is None else f" ({verdict_of(own['verdict'], gap, row['metric'])})"
        told.append(f"{_points(ticket, row['metric'])}{verdict}")
    return f"Each ticket by itself, beside full training: {', '.join(told)}."


def _answer(row: Row, report: Report) -> str:
    kept = f"T{_subject(row)[1:]} keeps {share(row['fraction'])} of {report['full_samples']:,} samples"
    return f"{kept}; {metric_name(row['metric'])} on {row['eval_set']} {_compared(row)}."


def _on_other_sets(rows: Sequence[Row]) -> list[str]:
    """One other set in the words of the first; several in one sentence, as the table has their intervals."""
    if len(rows) < 2 or any(row["difference"] is None for row in rows):
        return [f"On {row['eval_set']}, {metric_name(row['metric'])} {_compared(row)}." for row in rows]
    told = [
        f"{row['eval_set']} {_points(row['difference'], row['metric'])} "
        f"({verdict_of(row['verdict'], row['difference'], row['metric'])})"
        for row in rows
    ]
    return [f"On other sets, {metric_name(rows[0]['metric'])} beside full training: {'; '.join(told)}."]


def _compared(row: Row) -> str:
    """`is worse than with full training (difference ...)`; without a verdict, the bare numbers."""
    gap, metric = row["difference"], row["metric"]
    if gap is None:
        return f"{_reached(row)}; there is no full training with the same settings and seeds to compare with"
    if gap["low"] is None:
        return f"differs from full training by {_points(gap, metric)}, and with one seed there is no verdict"
    said = _said(row["verdict"], gap, metric, "full training", with_="with ")
    return f"{said} (difference {_points(gap, metric)}, {_interval(gap, metric)}, {behind(gap)})"


def _said(verdict: str, gap: Mapping[str, Any], metric: str, other: str, *, with_: str = "") -> str:
    """`is worse than with full training`, with the margin where it tells more."""
    if verdict == "equivalent":
        return f"is equivalent to {other} within {margin_of(gap, metric)}"
    if verdict not in GAPS:
        return f"is {verdict} from {other}" if verdict == "not distinguishable" else f"has {verdict} against {other}"
    small = f", though by less than {margin_of(gap, metric)}" if gap["within_margin"] else ""
    return f"is {verdict} than {with_}{other}{small}"


def _points(gap: Mapping[str, Any], metric: str) -> str:
    return f"{texts_of(gap, metric, sign='+')[0]} {unit(metric, difference=True)}".rstrip()


def _interval(gap: Mapping[str, Any], metric: str) -> str:
    _, low, high = texts_of(gap, metric, sign="+")
    return f"95% interval {low} to {high}"


def _reached(row: Row) -> str:
    """`reaches 68.0% (95% interval 66.4 to 69.5)`."""
    mean, low, high = texts_of(row, row["metric"])
    return f"reaches {mean}{unit(row['metric'])} ({f'95% interval {low} to {high}' if low else 'one seed'})"


def _beside_random(row: Row) -> list[str]:
    """Against a random subset of the same size and settings, where one was trained with the same seeds."""
    gap, metric = row.get("difference_to_random"), row["metric"]
    if gap is None:
        return []
    other = "training on as many samples drawn at random"
    if gap["low"] is None:
        return [f"It differs from {other} by {_points(gap, metric)}; with one seed there is no verdict."]
    said = _said(row["verdict_to_random"], gap, metric, other)
    return [f"It {said} (difference {_points(gap, metric)}, {_interval(gap, metric)})."]


def _beside_others(row: Row, rows: Sequence[Row]) -> list[str]:
    """Against as many samples that other scores chose: does H beat the cheaper ways?"""
    told = []
    for other in rows:
        gap = other["difference_to_ticket"]
        if gap is None or gap["low"] is None or other["arm"] == "random_like":
            continue
        if gap["to"] == row["label"]:
            verdict = verdict_of(other["verdict_to_ticket"], gap, row["metric"])
            told.append(f"{other['label']} {_points(gap, row['metric'])} ({verdict})")
    return [f"As many samples chosen otherwise, beside {_subject(row)}: {'; '.join(told)}."] if told else []


def _certainty(row: Row) -> list[str]:
    """What the comparison could have found: any difference, one as large as the margin, and that there is none."""
    gap = row["difference"]
    if gap is None or gap["detectable"] is None:
        return []
    told = f"A true difference to full training of {number(gap['detectable'], row['metric'])} would be found"
    if not findable(gap, row["metric"]):
        told = f"With so few {'tickets' if 'tickets' in gap else 'seeds'} no possible difference would be found"
    told = f"{told} in four of five studies like this one"
    if gap["power"] is None or gap["equivalence"] is None:
        return [f"{told}."]
    margin, none = margin_of(gap, row["metric"]), gap["equivalence"]["power"]
    return [
        f"{told}, one of {margin}, the margin, in {gap['power']:.0%} of them; "
        f"if there were none, equivalence would be shown in {none:.0%}."
    ]


def _subject(row: Row) -> str:
    return f"the winning ticket{_settings(row)}" if row["arm"] == "winning_ticket" else f"the arm {row['label']}"


def _settings(row: Row) -> str:
    """What tells arms of one name apart: ` [optim.lr=1e-05]`."""
    return str(row["label"]).removeprefix(row["arm"])


def _budget_in_words(row: Row) -> str:
    """The settings of a method, with ` [steps]` as ` at equal steps`."""
    return re.sub(r", steps\]$", "] at equal steps", _settings(row).replace(" [steps]", " at equal steps"))


def _nothing_compared(report: Report) -> str:
    table = report["histogram"].get(report["main_score"], {})
    values = table.get("values", [])
    start = "No arm has been retrained yet, so nothing can be said about accuracy"
    if not values:
        return f"{start}."
    total, runs = sum(value["count"] for value in values), table["S"]
    kept = sum(value["count"] for value in values if 0 < value["value"] < runs)
    size = f"{kept:,} of {total:,} samples ({share(kept / total)})"
    return f"{start}; by the scores of {count(runs, 'run')} the winning ticket would keep {size}."
