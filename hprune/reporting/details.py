"""The finer tables of the page: example by example, and slice by slice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hprune.reporting import wording as words

Report = Mapping[str, Any]
View = dict[str, Any]


def example_tables(report: Report) -> list[View]:
    """One table for each evaluation set: the interval over examples, and McNemar's test of each seed."""
    tables: dict[str, list[View]] = {}
    for row in report["examples"]:
        tests = row["mcnemar"].values()
        significant = sum(test["p_value"] < 0.05 for test in tests)
        line = {
            "label": row["label"],
            "difference": _gap(row["difference"]),
            "gained": _spread([test["gained"] for test in tests]),
            "lost": _spread([test["lost"] for test in tests]),
            "significant": f"{significant} of {words.count(len(tests), 'seed')}",
        }
        tables.setdefault(f"{row['eval_set']}, {words.count(row['n'], 'example')}", []).append(line)
    return [{"caption": caption, "rows": rows} for caption, rows in tables.items()]


def slice_tables(report: Report) -> list[View]:
    """One table for each arm that is asked about and each evaluation set."""
    labels = {row["label"] for row in report["slices"]}
    tickets = {row["label"] for row in report["rows"] if row["arm"] == "winning_ticket"} & labels
    tables: dict[str, list[View]] = {}
    for row in report["slices"]:
        if row["label"] not in (tickets or labels):
            continue
        line = {
            "slice": f"{row['slice']}: {row['value']}",
            "n": f"{row['n']:,}",
            "reference": f"{100 * row['reference']:.1f}",
            "difference": _gap(row["difference"]),
            "verdict": words.verdict_of(row["verdict"], row["difference"], "accuracy"),
        }
        tables.setdefault(f"{row['label']} on {row['eval_set']}", []).append(line)
    return [{"caption": caption, "rows": rows} for caption, rows in tables.items()]


def _gap(gap: Mapping[str, Any]) -> str:
    mean, low, high = words.texts_of(gap, "accuracy", sign="+")
    return f"{mean} [{low}, {high}]" if low else mean


def _spread(counts: list[int]) -> str:
    return f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
