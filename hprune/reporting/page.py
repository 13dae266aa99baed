"""The report as one self-contained HTML page: inline styles and figures, no scripts, nothing loaded from anywhere.

Here the facts become the texts and figures of the page; `page.html.jinja` lays them out. Everything that comes from the
data (sample texts, class names, arms, config) is untrusted: made visible and cut here, escaped by the template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hprune.reporting import wording as words
from hprune.reporting.figures import accuracy_by_size, score_histogram
from hprune.reporting.visible import harmless

Report = Mapping[str, Any]
View = dict[str, Any]

MOST_VALUES = 40
"""Values of a score that are listed; beyond, the figure has to do."""
REGIONS = {
    "H = 0": "wrong at least once in every run: the hardest, or mislabelled; not in the winning ticket",
    "0 < H < S": "right throughout in some runs, not in others: the winning ticket",
    "H = S": "right in every epoch of every run: the easiest; not in the winning ticket",
}


def render_page(report: Report) -> str:
    """The report as the text of an HTML file.

    Args:
        report: what `hprune.reporting.summary.summarise` gives and `report.json` holds.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["minus"] = _minus
    return environment.get_template("page.html.jinja").render(_view(harmless(report)))


def _view(report: Report) -> View:
    """Everything that the template shows, as texts and figures."""
    primary = report["primary_metric"]
    metrics = list(dict.fromkeys(row["metric"] for row in report["rows"]))
    return {
        "report": report,
        "headline": words.headline(report),
        "notes": words.notes(report),
        "tables": list(_tables(report, primary)),
        "other_tables": [table for metric in metrics if metric != primary for table in _tables(report, metric)],
        "histograms": [
            _histogram(name, table)
            for name, table in sorted(report["histogram"].items(), key=lambda item: item[0] != "h_score")
        ],
        "size_title": f"{_sentence_case(words.metric_name(primary))} against size",
        "sizes": list(_size_figures(report)),
        "regions": _regions(report),
        "cost": _cost(report),
        "config": json.dumps(report["provenance"]["config"], indent=2, ensure_ascii=False),
        "facts": _facts(report),
    }


def _tables(report: Report, metric: str) -> Iterator[View]:
    """One table for each evaluation set that has the metric."""
    for eval_set in words.eval_sets(report):
        if rows := words.rows_of(report, eval_set, metric):
            yield {
                "caption": f"{_sentence_case(words.metric_name(metric))} on {eval_set}",
                "mean_head": _head("mean", words.unit(metric)),
                "difference_head": _head("difference to full", words.unit(metric, difference=True)),
                "rows": [_line(row) for row in rows],
            }


def _head(name: str, unit: str) -> str:
    return f"{name}, {unit}" if unit else name


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def _line(row: Mapping[str, Any]) -> View:
    gap = row["difference"]
    tested = gap is not None and gap["p_value"] is not None  # with one seed nothing was tested
    return {
        "label": row["label"],
        "n": f"{row['n']:,}",
        "fraction": f"{row['fraction']:.1%}",
        "mean": words.mean_and_interval(row),
        "seeds": words.count(len(row["seeds"]), "seed"),
        "difference": words.difference_and_interval(row),
        "verdict": words.verdict(row),
        "test": f"{gap['test']}; p\u00a0{_p_value(gap['p_value'])}" if tested else "",
    }


def _p_value(p: float) -> str:
    return "<\u00a00.001" if p < 0.001 else f"=\u00a0{p:.3f}" if p < 0.1 else f"=\u00a0{p:.2f}"


def _histogram(name: str, table: Mapping[str, Any]) -> View:
    """Figure and counts of one score table."""
    values = table["values"]
    total = sum(value["count"] for value in values)
    classes = list(dict.fromkeys(label for value in values for label in value["by_class"]))
    how = {
        "train_pass": "judged by the training steps themselves",
        "eval_pass": "judged by a clean pass after each epoch",
        "out_of_fold": "judged by models that were not trained on them",
    }.get(table["measured"], table["measured"])
    return {
        "name": name,
        "figure": _inline(score_histogram(name, table)),
        "caption": f"S = {table['S']} runs, E = {table['E']} epochs, {how}; higher is {table['higher_is']}",
        "classes": classes,
        "values": [
            {
                "value": value["value"],
                "count": f"{value['count']:,}",
                "share": f"{value['count'] / total:.1%}" if total else "",
                "by_class": [f"{value['by_class'].get(label, 0):,}" for label in classes],
            }
            for value in values
        ]
        if len(values) <= MOST_VALUES
        else [],
    }


def _size_figures(report: Report) -> Iterator[View]:
    metric = report["primary_metric"]
    scale = 100 if metric in words.PERCENT else 1
    name = _head(words.metric_name(metric), words.unit(metric))
    for eval_set in words.eval_sets(report):
        if rows := words.rows_of(report, eval_set, metric):
            of_set = f"{_sentence_case(words.metric_name(metric))} on {eval_set}"
            svg = _inline(accuracy_by_size(rows, name, scale=scale))
            yield {"figure": svg, "caption": f"{of_set} against the number of samples kept"}


def _regions(report: Report) -> list[View]:
    """The samples to read, by region of the score."""
    groups: dict[str, list[View]] = {}
    for sample in report["samples"]:
        groups.setdefault(sample["group"], []).append(sample)
    return [{"name": name, "meaning": REGIONS.get(name, ""), "samples": group} for name, group in groups.items()]


def _cost(report: Report) -> View:
    arms = [
        {
            "label": arm["label"],
            "seconds": words.duration(arm["train_seconds"]),
            "even": "" if arm["break_even_runs"] is None else f"{arm['break_even_runs']:,}",
        }
        for arm in report["cost"]["arms"]
    ]
    return {"sentences": words.cost_sentences(report), "arms": arms}


def _facts(report: Report) -> dict[str, str]:
    """Where the result comes from."""
    provenance = report["provenance"]
    return {
        "data": provenance["data_hash"],
        "scoring seeds": ", ".join(map(str, provenance["scoring_seeds"])) or "none",
        "comparison seeds": ", ".join(map(str, provenance["comparison_seeds"])) or "none",
        "hprune": provenance["hprune"],
        **{name: str(version) for name, version in provenance["versions"].items()},
    }


def _inline(svg: str | None) -> Markup:
    """Our own figure; the texts in it were escaped when it was drawn."""
    return Markup(svg or "")


def _minus(text: str) -> str:
    """The true minus sign before numbers that stand alone, for the eye."""
    return re.sub(r"(?<![\w.\-])-(?=\d)", "−", text)
