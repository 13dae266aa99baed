"""A sensitivity analysis to look at: tables on the terminal, and one self-contained page with figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup
from rich.text import Text

from hprune.reporting import wording as words
from hprune.reporting.console import PlainConsole, ruled_table
from hprune.reporting.figure_cells import compositions, heat_map
from hprune.reporting.growth import BUDGETS, arm_of, growth_figures
from hprune.reporting.page import environment
from hprune.reporting.visible import harmless

Report = Mapping[str, Any]
Line = Mapping[str, Any]
View = dict[str, Any]

HEADS = ("runs", "epochs", "H = 0", "ticket", "H = S", "overlap", "kappa", "cost", "budget", "result",
         "to full", "to random")  # fmt: skip
TEXTS = ("judged", "budget", "result", "to full", "to random")
"""Columns of words and intervals."""
MEANINGS = (
    "ticket: the share of the samples with 0 < H < S. overlap, kappa: of that ticket with the one of the most runs and "
    "epochs in the table (Jaccard; Cohen's kappa, which is 0 for subsets of these sizes by chance).",
    "cost: of scoring, clean passes included, in full fine-tunings of the most epochs in the table. to full, to "
    "random: the difference in {metric} of the arm that was trained on the ticket; empty where none was. budget, where "
    "it is shown: whether it took as many epochs or as many steps as the full set.",
)
LONGEST_GROUP = 12
"""Letters of the seeds of a group that stand on one line."""
RESULT = "result: {metric} of that arm, the mean over its seeds with the 95% interval."


def print_cells(report: Report) -> None:
    """Print the tables of the report, on stdout."""
    report = harmless(report)
    console = PlainConsole()
    for shown in _tables(report, tuple(head for head in HEADS if head != "result")):
        console.print(f"\n{shown['title']}", style="bold")
        table = ruled_table()
        for head in shown["heads"]:
            table.add_column(head, justify="left" if head in TEXTS else "right", no_wrap=True)
        groups = any(len(row[shown["heads"].index("runs")]) > len("runs") for row in shown["rows"])
        wide = groups or {"judged", "budget"} & set(shown["heads"])
        for row in shown["rows"]:
            cells = [_broken(text, head) for text, head in zip(row, shown["heads"], strict=True)] if wide else row
            table.add_row(*map(Text, cells))
        console.print(table)
        console.print(*shown["sentences"], sep="\n", end="\n" if shown["sentences"] else "")
    console.print("", *_meanings(report), sep="\n")


def render_cells(report: Report) -> str:
    """The report as the text of an HTML file."""
    report = harmless(report)
    view = {
        "report": report,
        "tables": list(_tables(report, HEADS)),
        "texts": TEXTS,
        "meanings": [*_meanings(report), RESULT.format(metric=words.metric_name(report["primary_metric"]))],
        "growth": list(growth_figures(report)),
    }
    return environment().get_template("sensitivity.html.jinja").render(view)


def _tables(report: Report, heads: Sequence[str]) -> Iterator[View]:
    """A table for each line of several cells, and one of all the others of the same task and model."""
    steps = any(arm["budget"] == "steps" for line in report["lines"] for cell in line["cells"] for arm in cell["arms"])
    heads = tuple(head for head in heads if head != "budget" or steps)
    alone: dict[tuple[str, str], list[Line]] = {}
    for line in report["lines"]:
        if len(line["cells"]) == 1:
            alone.setdefault((line["task"], line["model"]), []).append(line)
    own = ("samples", "judged", *(head for head in heads if head not in ("overlap", "kappa", "cost")))
    for (task, model), lines in alone.items():
        if len(lines) > 1:
            yield {
                "title": f"{task}, {model}: by samples and way of measuring",
                "heads": own,
                "rows": [_under(own, fields) for line in lines for fields in _fields(line["cells"][0], line)],
                "sentences": [],
                "figures": [],
            }
    for at, line in enumerate(report["lines"]):
        if len(line["cells"]) > 1 or len(alone[line["task"], line["model"]]) == 1:
            yield {
                "title": _title(line),
                "heads": heads,
                "rows": [_under(heads, fields) for cell in line["cells"] for fields in _fields(cell, line)],
                "sentences": _sentences(line),
                "figures": list(_figures(line, f"line{at}")),
            }


def _broken(text: str, head: str) -> str:
    """The text on several lines, where a table has more columns."""
    if head in ("to full", "to random"):
        return text.replace(" [", "\n[")
    return text.replace(", ", ",\n") if head == "judged" or len(text) > LONGEST_GROUP else text


def _under(heads: Sequence[str], fields: Mapping[str, str]) -> list[str]:
    return [fields.get(head, "") for head in heads]


def _title(line: Line) -> str:
    epochs = line["trained_epochs"]
    kind = "runs of as many epochs as are looked at" if epochs is None else f"the first epochs of runs of {epochs}"
    whole = all(cell["E"] == cell["trained_epochs"] for cell in line["cells"]) and epochs is not None
    of = f"runs of {words.count(epochs, 'epoch')}" if whole else kind
    return f"{line['task']}, {line['model']}, {line['samples']:,} samples, {_judged(line)}: {of}"


def _judged(line: Line) -> str:
    """The way of measuring, and the settings that other lines have otherwise."""
    return ", ".join([words.way(line), *line["differs"]])


def _fields(cell: Mapping[str, Any], line: Line) -> list[dict[str, str]]:
    """The fields of a cell's rows by their heads: one row, and one more for a second arm."""
    histogram = cell["histogram"]
    total = sum(histogram)
    first = cell["seeds"] == sorted(cell["seeds"]) and _is_prefix(cell["seeds"], line)
    shared = {
        "samples": f"{line['samples']:,}",
        "judged": _judged(line),
        "runs": str(cell["S"]) if first else words.seeds(cell["seeds"]),
        "epochs": words.epochs(cell),
        "H = 0": words.share(histogram[0] / total),
        "ticket": words.share(cell["share"]),
        "H = S": words.share(histogram[-1] / total),
        "overlap": "" if cell["jaccard"] is None else f"{cell['jaccard']:.2f}",
        "kappa": "" if cell["kappa"] is None else f"{cell['kappa']:.2f}",
        "cost": "" if cell["full_runs"] is None else f"{cell['full_runs']:.1f}",
    }
    arms = [
        {
            "budget": arm["budget"],
            "result": words.mean_and_interval(arm),
            "to full": _gap(arm, ""),
            "to random": _gap(arm, "_to_random"),
        }
        for arm in cell["arms"]
    ]
    not_again = dict.fromkeys(shared, " ")
    return [{**shared, **(arms[0] if arms else {})}, *({**not_again, **arm} for arm in arms[1:])]


def _is_prefix(seeds: Sequence[int], line: Line) -> bool:
    """Whether these are the first runs of all that the line knows."""
    known = sorted({seed for cell in line["cells"] for seed in cell["seeds"]})
    return list(seeds) == known[: len(seeds)]


def _gap(arm: Mapping[str, Any], end: str) -> str:
    gap = arm[f"difference{end}"]
    if gap is None:
        return ""
    mean, low, high = words.texts_of(gap, arm["metric"], sign="+")
    return f"{mean} [{low}, {high}]" if low else str(mean)


def _sentences(line: Line) -> list[str]:
    """How far tickets of other runs differ."""
    tickets = line["tickets"]
    if tickets is None:
        return []
    of = f"{tickets['count']} tickets that share no run, S = {tickets['S']}, E = {tickets['E']}"
    told = f"{of}: overlap {_between(tickets['jaccard'], '.2f')}"
    told += f", kappa {_between(tickets['kappa'], '.2f')}" if tickets["kappa"] else ""
    if tickets["difference"] is not None:
        metric = next(arm["metric"] for cell in line["cells"] for arm in cell["arms"])
        low, high = (
            words.texts_of({"mean": end, "low": None, "high": None}, metric, sign="+")[0]
            for end in tickets["difference"]
        )
        unit = words.unit(metric, difference=True)
        told += f", difference to the full set at equal {tickets['budget']} {low} to {high} {unit}".rstrip()
    return [f"{told}."]


def _between(ends: Sequence[float] | None, form: str) -> str:
    if ends is None:
        return "unknown"
    low, high = (f"{end:{form}}" for end in ends)
    return low if low == high else f"{low} to {high}"


def _meanings(report: Report) -> list[str]:
    metric = words.metric_name(report["primary_metric"])
    in_points = f"{metric}, in points," if report["primary_metric"] in words.PERCENT else metric
    return [meaning.format(metric=in_points) for meaning in MEANINGS]


def _figures(line: Line, key: str) -> Iterator[View]:
    cells = line["cells"]
    names = [f"S = {row['runs']}, E = {row['epochs']}" for row in (_fields(cell, line)[0] for cell in cells)]
    if len(cells) > 1:
        yield {
            "figure": Markup(compositions(cells, names, f"{key}-made-of")),
            "caption": "What H is made of in each cell. Of the same runs, more of them move samples from both ends "
            "into the ticket, and more epochs lower H: samples leave H = S, and come to H = 0.",
        }
    percent = any(arm["metric"] in words.PERCENT for cell in cells for arm in cell["arms"])
    form, better = "+.1f" if percent else "+.3f", "Lighter is better."
    maps = [
        ("share in the ticket", [cell["share"] for cell in cells], ".0%", "Lighter is larger."),
        ("kappa with the last ticket", [cell["kappa"] for cell in cells], ".2f", "Lighter is more alike."),
        *(
            (f"difference to the full set, equal {budget}", [_mean_gap(cell, budget) for cell in cells], form, better)
            for budget in BUDGETS
        ),
    ]
    for at, (title, values, form, caption) in enumerate(maps):
        svg = heat_map(cells, values, title, f"{key}-map{at}", form)
        if svg is not None and len({cell["S"] for cell in cells}) > 1 and len({cell["E"] for cell in cells}) > 1:
            yield {"figure": Markup(svg), "caption": f"{title[:1].upper()}{title[1:]}, by runs and epochs. {caption}"}


def _mean_gap(cell: Mapping[str, Any], budget: str) -> float | None:
    arm = arm_of(cell, budget)
    if arm is None or arm["difference"] is None:
        return None
    return float(arm["difference"]["mean"] * (100 if arm["metric"] in words.PERCENT else 1))
