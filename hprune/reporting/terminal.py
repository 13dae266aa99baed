"""The result on the terminal: a table in a hundred columns, and what it means."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from hprune.reporting.answer import headline
from hprune.reporting.console import WIDTH, PlainConsole, ruled_table
from hprune.reporting.convergence import convergence_line
from hprune.reporting.details import method_tables
from hprune.reporting.judge import judge_sentences
from hprune.reporting.visible import harmless
from hprune.reporting.weights import model_and_weights
from hprune.reporting.wording import (
    PERCENT,
    Report,
    Row,
    cost_sentences,
    count,
    data_told,
    difference_and_interval,
    eval_sets,
    mean_and_interval,
    meanings,
    metric_name,
    notes,
    p_alone,
    rows_of,
    verdict,
)

TOLD = ("leaks", "duplicates", "ticket_by_first_epoch")
"""Signs that are told here, too: a few such texts are in a note, and what the ticket is made of is the result."""
MOST_NAMED = 4
"""Arms whose numbers of seeds are told one by one."""
NAME = 14
"""Columns that the name of an arm takes at least: `winning_ticket`."""


def print_table(report: Report) -> None:
    """Print the primary metric of every arm, on every evaluation set, and what it means, on stdout."""
    report = harmless(report)
    console = PlainConsole()
    console.print(f"study {report['study']}: task {report['task']}, model {model_and_weights(report)}")
    _print_methods(report, console)
    for eval_set in eval_sets(report):
        rows = rows_of(report, eval_set, report["primary_metric"])
        console.print(f"\n{_title(report['primary_metric'], eval_set)}", style="bold")
        console.print(_seeds(rows))
        console.print(_table(rows, console.width))
    for paragraph in (
        headline(report),
        [*data_told(report), *meanings(report), *notes(report), *_signs(report)],
        [*convergence_line(report), *judge_sentences(report), *cost_sentences(report)],
    ):
        console.print(*([""] if paragraph else []), *paragraph, sep="\n", end="\n" if paragraph else "")


def _signs(report: Report) -> list[str]:
    names = dict.fromkeys(finding["sign"].replace("_", " ") for finding in report["diagnosis"])
    told = [finding["told"] for finding in report["diagnosis"] if finding["sign"] in TOLD]
    return [*told, f"Signs to look at, each with what to do in report.html: {', '.join(names)}."] if names else []


def _title(metric: str, eval_set: str) -> str:
    units = ", in %, differences in points" if metric in PERCENT else ""
    return f"{metric_name(metric)} on {eval_set}{units}"


def _seeds(rows: Sequence[Row]) -> str:
    """What the verdicts rest on: the test, and the number of seeds of each arm where they differ."""
    counts = {row["label"]: len(row["seeds"]) for row in rows}
    if len(set(counts.values())) == 1:
        number = f"{next(iter(counts.values()))} seeds"
    elif len(counts) <= MOST_NAMED:
        number = "seeds: " + ", ".join(f"{label} {own}" for label, own in counts.items())
    else:
        number = _seeds_by_groups(counts)
    families = Counter(row["budget"] for row in rows if row["difference"] and row["difference"]["p_holm"] is not None)
    sizes = " and ".join(map(str, dict.fromkeys(families.values())))
    of_each = " of each budget" if len(families) > 1 else ""
    corrected = f" (Holm for {sizes} arms{of_each})" if max(families.values(), default=0) > 1 else ""
    tested_on = max((row["difference"].get("examples") or 0 for row in rows if row["difference"]), default=0)
    examples = f" over seeds and {count(tested_on, 'example')}" if tested_on else ""
    return f"verdict by the paired t test{examples}, 5%{corrected}; {number}"


def _seeds_by_groups(counts: Mapping[str, int]) -> str:
    """`2 seeds for each ticket's arm, 6 for full`: arms with as many seeds together, most arms first."""
    groups = {number: [label for label, own in counts.items() if own == number] for number in counts.values()}
    told: list[str] = []
    for number, labels in sorted(groups.items(), key=lambda item: -len(item[1])):
        of_tickets = [label for label in counts if " (ticket " in label]
        if len(labels) > 1 and labels == of_tickets:
            arms = "each ticket's arm"
        elif len(labels) > MOST_NAMED:
            arms = f"each of {len(labels)} arms"
        else:
            arms = ", ".join(labels)
        told.append(f"{count(number, 'seed') if not told else number} for {arms}")
    return "; ".join(told) if any(", " in text for text in told) else ", ".join(told)


def _print_methods(report: Report, console: PlainConsole) -> None:
    """Where a study has several tickets: a small table of what is said of the method."""
    for table in method_tables(report):
        console.print(f"\nThe method, over tickets: {table['caption']}", style="bold")
        ruled = ruled_table()
        heads = ["difference\n[95% interval]", "sd of\ntickets", "of\nseeds", "verdict"]
        rows = [[row["difference"], *row["components"][:2], _lines_of(row["verdict"])] for row in table["rows"]]
        if console.width < WIDTH:
            rows = [[cells[0].replace(" [", "\n["), *cells[1:-1], cells[-1].replace(" ", "\n", 1)] for cells in rows]
        left = max((console.width - _taken([heads, *rows])) // 2 - 2, NAME)
        for head in ("arm", "beside", *heads):
            ruled.add_column(head, no_wrap=True)
        for row, cells in zip(table["rows"], rows, strict=True):
            ruled.add_row(*(Text(cell) for cell in (wrapped(row["label"], left), wrapped(row["to"], left), *cells)))
        console.print(ruled)


def _table(rows: Sequence[Row], width: int) -> Table:
    """Only the names of arms wrap; on a narrow terminal intervals and verdicts go below, too.

    We break the lines, not rich: at some widths it cuts the last word of a cell (seen with rich 15). The p values go
    where they would leave no room for the names.
    """
    heads = ["samples", "share", "mean [95% interval]", "difference to full [95% interval]", "p", "verdict"]
    lines = [_cells(row) for row in rows]
    if width < WIDTH:
        lines = [[cell.replace(" ", "\n", 1) for cell in cells] for cells in lines]
        heads = [head.replace(" to", "\nto") for head in heads]
    heads = [head.replace(" [", "\n[") for head in heads]
    if _taken([heads, *lines]) > width - NAME:
        heads, *lines = ([*cells[:4], cells[5]] for cells in [heads, *lines])
    table = ruled_table()
    for head in ("arm", *heads):
        table.add_column(head, justify="right" if head in ("samples", "share") else "left", no_wrap=True)
    for row, cells in zip(rows, lines, strict=True):
        arm = wrapped(row["label"], max(width - _taken([heads, *lines]), NAME))
        table.add_row(*(Text(cell) for cell in (arm, *cells)))
    return table


def wrapped(label: str, width: int) -> str:
    """The name of an arm on lines of a width: broken at blanks, and a longer word before the last `_` that fits.

    Example:
        >>> wrapped("winning_ticket_stratified (ticket 1)", 18).split("\\n")
        ['winning_ticket', '_stratified', '(ticket 1)']
    """
    lines = [""]
    for word in re.findall(r"\(ticket \d+\)|\S+", label):
        parts = [word] if len(word) <= width else re.split(r"(?=_)", word)
        gap = " " if lines[-1] else ""
        for part in (piece for each in parts if each for piece in textwrap.wrap(each, width, break_on_hyphens=False)):
            fits = len(lines[-1] + gap + part) <= width
            lines[-1:] = [lines[-1] + gap + part] if fits else [lines[-1], part]
            gap = ""
    return "\n".join(line for line in lines if line)


def _taken(lines: Sequence[Sequence[str]]) -> int:
    """How wide the columns of cells are, with two blanks between them."""
    return sum(
        max(len(part) for cell in column for part in cell.split("\n")) + 2 for column in zip(*lines, strict=True)
    )


def _lines_of(said: str) -> str:
    """A verdict, with what is in braces or beside the margin on a line of its own."""
    return said.replace(" within ", "\nwithin ").replace(", by ", ",\nby ").replace(" (", "\n(")


def _cells(row: Row) -> list[str]:
    size, gap = [f"{row['n']:,}", f"{row['fraction']:.1%}"], row["difference"]
    said = _lines_of(verdict(row))
    p = p_alone(gap["p_holm"]).replace("<0.", "<.") if gap else ""  # a column less
    return [*size, mean_and_interval(row), difference_and_interval(row), p, said]
