"""The report as one self-contained HTML page: inline styles and figures, no scripts, nothing loaded from anywhere.

Here the facts become the texts and figures of the page; `page.html.jinja` lays them out. Everything that comes from the
data (sample texts, class names, arms, config) is untrusted: made visible and cut here, escaped by the template.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hprune.reporting import wording as words
from hprune.reporting.answer import headline
from hprune.reporting.convergence import convergence_sentences
from hprune.reporting.details import (
    certainty_tables,
    cost_view,
    example_tables,
    findable,
    matrix_table,
    method_tables,
    slice_tables,
)
from hprune.reporting.duplicates import overlap_notes
from hprune.reporting.figure_convergence import convergence_figure
from hprune.reporting.figure_cost import break_even_chart
from hprune.reporting.figure_map import map_caption, map_figure
from hprune.reporting.figures import accuracy_by_size, differences, score_histogram
from hprune.reporting.judge import judge_view
from hprune.reporting.matrix import MOST_ARMS
from hprune.reporting.visible import harmless
from hprune.reporting.weights import model_and_weights
from hprune.reporting.wording import p_value
from hprune.storage.override import of_study

Report = Mapping[str, Any]
View = dict[str, Any]

MOST_CLASSES = 200
"""Columns of the table beside a histogram."""
MOST_VALUES = 40
"""Values of a score that are listed; beyond, the figure has to do."""
REGIONS = {
    "H = 0": "wrong at least once in every run: the hardest, or mislabelled; not in the winning ticket",
    "0 < H < S": "right throughout in some runs, not in others: the winning ticket",
    "H = S": "right in every epoch of every run: the easiest; not in the winning ticket",
}


def render_page(report: Report, root: Path = Path("multirun")) -> str:
    """The report as the text of an HTML file.

    Args:
        report: what `hprune.reporting.summary.summarise` gives and `report.json` holds.
        root: where the study lies, for the commands that the page names.
    """
    return environment().get_template("page.html.jinja").render(_view(harmless(report)), root=root)


def environment() -> Environment:
    """The templates of pages: everything is escaped, and what is missing is an error."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"minus": _minus, "policy": _policy}
    made.globals["of_study"] = of_study
    return made


def _view(report: Report) -> View:
    """Everything that the template shows, as texts and figures."""
    primary = report["primary_metric"]
    metrics = list(dict.fromkeys(row["metric"] for row in report["rows"]))
    main = [report["main_score"]] if report["main_score"] else [name for name in report["histogram"] if _is_h(name)]
    return {
        "report": report,
        "model": model_and_weights(report),
        "headline": headline(report),
        "notes": words.notes(report),
        "data_told": words.data_told(report),
        "methods": method_tables(report),
        "tables": list(_tables(report, primary)),
        "other_tables": [table for metric in metrics if metric != primary for table in _tables(report, metric)],
        "histograms": [_histogram(name, table) for name, table in report["histogram"].items() if name in main],
        "other_histograms": [
            _histogram(name, table) for name, table in report["histogram"].items() if name not in main
        ],
        "signs": _signs(report),
        "data_map": _data_map(report),
        "overlap": overlap_notes(report),
        "judge": judge_view(report),
        "convergences": [_convergence(name, facts) for name, facts in report["convergence"].items()],
        "gaps": list(_gap_figures(report)),
        "certainties": certainty_tables(report),
        "matrix": matrix_table(report),
        "many_arms": arms if (arms := len({row["label"] for row in report["rows"]})) > MOST_ARMS else None,
        "examples": example_tables(report),
        "slices": slice_tables(report),
        "size_title": f"{_sentence_case(words.metric_name(primary))} against size",
        "sizes": list(_size_figures(report)),
        "regions": _regions(report),
        "cost": cost_view(report),
        "break_even": _inline(break_even_chart(report["cost"]["arms"])),
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
    return {
        "label": row["label"],
        "n": f"{row['n']:,}",
        "fraction": f"{row['fraction']:.1%}",
        "mean": words.mean_and_interval(row),
        "seeds": words.count(len(row["seeds"]), "seed"),
        "difference": words.difference_and_interval(row),
        "verdict": words.verdict(row),
        "test": "" if gap is None or gap["p_value"] is None else _test(gap, row["metric"]),  # one seed tests nothing
    }


def _test(gap: Mapping[str, Any], metric: str) -> str:
    """What the verdict rests on."""
    told = f"{gap['test']}; p\u00a0{p_value(gap['p_value'])}"
    told += f", by Holm {p_value(gap['p_holm'])}" if gap["p_holm"] not in (None, gap["p_value"]) else ""
    if gap["detectable"] is None:
        return told
    if not findable(gap, metric):
        return f"{told}; finds no possible difference in 4 of 5 studies: too few seeds"
    return f"{told}; finds {words.number(gap['detectable'], metric)} in 4 of 5 studies"


def _histogram(name: str, table: Mapping[str, Any]) -> View:
    """Figure and counts of one score table."""
    values = table["values"]
    total = sum(value["count"] for value in values) + table["infinite"]
    classes = list(dict.fromkeys(label for value in values for label in value["by_class"]))
    classes = classes if len(classes) <= MOST_CLASSES else []  # the figure has the largest
    how = {
        "train_pass": "judged by the training steps themselves",
        "eval_pass": "judged by a clean pass after each epoch",
        "out_of_fold": "judged by models that were not trained on them",
    }.get(table["measured"], table["measured"])
    skipped = f", the first {table['skip_epochs']} left out" if table["skip_epochs"] else ""
    runs = f"S = {table['S']} runs, E = {table['E']} epochs{skipped}, {how}" if table["S"] else "of the texts alone"
    rest = f"; {table['infinite']:,} are infinite and not shown" if table["infinite"] else ""
    return {
        "name": name,
        "figure": _inline(score_histogram(name, table)),
        "caption": f"{runs}; higher is {table['higher_is']}{rest}",
        "classes": classes,
        "values": [
            {
                "value": f"{value['value']:.4g}" if isinstance(value["value"], float) else value["value"],
                "count": f"{value['count']:,}",
                "share": f"{value['count'] / total:.1%}" if total else "",
                "by_class": [f"{value['by_class'].get(label, 0):,}" for label in classes],
            }
            for value in values
        ]
        if len(values) <= MOST_VALUES
        else [],
    }


def _data_map(report: Report) -> View | None:
    """Figure and caption of the data map; reports of before have none."""
    found = report.get("data_map")
    return None if found is None else {"figure": _inline(map_figure(found)), "caption": map_caption(found)}


def _signs(report: Report) -> list[View]:
    """What was seen, by what to do about it."""
    found: dict[str, list[str]] = {}
    for finding in report["diagnosis"]:
        found.setdefault(finding["advice"], []).append(finding["told"])
    return [{"told": told, "advice": advice} for advice, told in found.items()]


def _convergence(name: str, facts: Mapping[str, Any]) -> View:
    """Sentences and figure of one table of H."""
    return {"name": name, "sentences": convergence_sentences(facts), "figure": _inline(convergence_figure(name, facts))}


def _size_figures(report: Report) -> Iterator[View]:
    metric = report["primary_metric"]
    scale = 100 if metric in words.PERCENT else 1
    name = _head(words.metric_name(metric), words.unit(metric))
    for eval_set in words.eval_sets(report):
        if rows := words.rows_of(report, eval_set, metric):
            of_set = f"{_sentence_case(words.metric_name(metric))} on {eval_set}"
            svg = _inline(accuracy_by_size(rows, name, scale=scale))
            yield {"figure": svg, "caption": f"{of_set} against the number of samples kept"}


def _gap_figures(report: Report) -> Iterator[View]:
    """For each evaluation set the differences to the full set, and those of arms of its size to the winning ticket."""
    metric = report["primary_metric"]
    for eval_set in words.eval_sets(report):
        rows = words.rows_of(report, eval_set, metric)
        for end, other in (("", "the full set"), ("_to_ticket", "the winning ticket of that size")):
            gaps = [{**row, "difference": row[f"difference{end}"]} for row in rows]
            name = _head(f"difference to {other.removesuffix(' of that size')}", words.unit(metric, difference=True))
            scale = 100 if metric in words.PERCENT else 1
            svg = differences(gaps, name, key=f"gap{end}-{eval_set}", margin=report["margin"], scale=scale)
            if svg is not None:
                of_set = f"{_sentence_case(words.metric_name(metric))} on {eval_set}"
                yield {"figure": _inline(svg), "caption": f"{of_set}: difference to {other}, with 95% intervals"}


def _is_h(name: str) -> bool:
    return name.split("-")[0] == "h_score"


def _regions(report: Report) -> list[View]:
    """The samples to read, by region of the score."""
    groups: dict[str, list[View]] = {}
    for sample in report["samples"]:
        groups.setdefault(sample["group"], []).append(sample)
    return [{"name": name, "meaning": REGIONS.get(name, ""), "samples": group} for name, group in groups.items()]


def _facts(report: Report) -> dict[str, str]:
    """Where the result comes from."""
    provenance, differences = report["provenance"], report.get("version_differences", {})
    versions = provenance["versions"] | {name: ", ".join(of_each) for name, of_each in differences.items()}
    return {
        "data": provenance["data_hash"],
        "scoring seeds": ", ".join(map(str, provenance["scoring_seeds"])) or "none",
        "comparison seeds": ", ".join(map(str, provenance["comparison_seeds"])) or "none",
        "reported by hprune": provenance["hprune"],
        **{name: str(version) for name, version in versions.items()},
    }


def _inline(svg: str | None) -> Markup:
    """Our own figure; the texts in it were escaped when it was drawn."""
    return Markup(svg or "")


def _policy(styles: str) -> Markup:
    """What a page may do (Content Security Policy): show its own styles and figures, should an escape ever be missing.

    The styles are known by their hash; figures have styles in attributes, which cannot load anything here.
    """
    digest = base64.b64encode(hashlib.sha256(styles.encode()).digest()).decode()
    return Markup(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "  # older browsers know no more of styles
        f"style-src-elem 'sha256-{digest}'; style-src-attr 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )


def _minus(text: str) -> str:
    """The true minus sign before numbers that stand alone, for the eye."""
    return re.sub(r"(?<![\w.\-])-(?=\d)", "−", text)
