"""The finer tables of the page: example by example, slice by slice, and what each stage cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hprune.reporting import wording as words

Report = Mapping[str, Any]
View = dict[str, Any]


def example_tables(report: Report) -> list[View]:
    """One table for each evaluation set and arm to compare with: the interval over examples, McNemar's test by seed."""
    tables: dict[str, list[View]] = {}
    for row in report["examples"]:
        tests = row["mcnemar"].values()
        significant = sum(test["p_value"] < 0.05 for test in tests)
        line = {
            "label": row["label"],
            "difference": _gap(row["difference"], row["metric"]),
            "gained": _spread([test["gained"] for test in tests]),
            "lost": _spread([test["lost"] for test in tests]),
            "significant": f"{significant} of {words.count(len(tests), 'seed')}",
        }
        caption = f"{_of(row)}, {words.count(row['n'], 'example')}, beside {row['to']}"
        tables.setdefault(caption, []).append(line)
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
            "difference": _gap(row["difference"], row["metric"]),
            "verdict": words.verdict_of(row["verdict"], row["difference"], row["metric"]),
        }
        tables.setdefault(f"{row['label']}: {_of(row)}", []).append(line)
    return [{"caption": caption, "rows": rows} for caption, rows in tables.items()]


def method_tables(report: Report) -> list[View]:
    """One table for each evaluation set: each arm over its tickets, beside what it is compared with; then by ticket."""
    metric, tables = report["primary_metric"], []
    for eval_set in words.eval_sets(report):
        rows = [row for row in report.get("methods", []) if (row["metric"], row["eval_set"]) == (metric, eval_set)]
        lines = [
            {
                "label": row["label"],
                "to": row["to"],
                "behind": words.behind(row),
                "difference": _gap(row, metric),
                "verdict": words.verdict_of(row["verdict"], row, metric),
                "test": method_test(row),
                "components": [_alone(row["components"][name], metric) for name in ("ticket", "seed", "example")],
                "by_ticket": "; ".join(_gap(ticket, metric) for ticket in row["by_ticket"]),
            }
            for row in rows
        ]
        in_unit = f", in {unit}" if (unit := words.unit(metric, difference=True)) else ""
        caption = f"{_of({'metric': metric, 'eval_set': eval_set})}{in_unit}"
        tables += [{"caption": caption, "rows": lines}] if lines else []
    return tables


def method_test(row: Mapping[str, Any]) -> str:
    """What the verdict on a method rests on."""
    if row["p_value"] is None:
        return ""
    holm = f", by Holm {words.p_value(row['p_holm'])}" if row["p_holm"] not in (None, row["p_value"]) else ""
    return f"{row['test']}; p\u00a0{words.p_value(row['p_value'])}{holm}"


def certainty_tables(report: Report) -> list[View]:
    """What the tests of the primary metric found, and what they could have found, on each evaluation set.

    One table for the arms beside the full set, one for those that are as large as the winning ticket beside that.
    """
    metric, tables = report["primary_metric"], []
    for eval_set in words.eval_sets(report):
        rows = words.rows_of(report, eval_set, metric)
        for end, beside in (("", "the full set"), ("_to_ticket", "the winning ticket of their size")):
            gaps = {row["label"]: row[f"difference{end}"] for row in rows}
            lines = [
                _certainty(label, gap, metric) for label, gap in gaps.items() if gap and gap["p_value"] is not None
            ]
            in_unit = f", in {unit}" if (unit := words.unit(metric, difference=True)) else ""
            caption = f"{_of({'metric': metric, 'eval_set': eval_set})}, beside {beside}{in_unit}"
            tables += [{"caption": caption, "rows": lines}] if lines else []
    return tables


def matrix_table(report: Report) -> View | None:
    """All pairs of arms: above the diagonal the difference, row minus column, below it the overlap of their samples."""
    matrix = report["matrix"]
    if matrix is None:
        return None
    pairs = {(pair["a"], pair["b"]): pair for pair in matrix["pairs"]}
    labels = matrix["labels"]
    rows = []
    for i, row in enumerate(labels):
        fields = [
            _pair_gap(pairs[row, column], matrix["metric"])
            if i < j
            else _pair_overlap(pairs[column, row])
            if j < i
            else ""
            for j, column in enumerate(labels)
        ]
        rows.append({"label": row, "fields": fields})
    unit = "points" if matrix["metric"] in words.PERCENT else "the metric"
    return {"caption": _of(matrix), "labels": labels, "rows": rows, "unit": unit}


def _pair_gap(pair: Mapping[str, Any], metric: str) -> str:
    """The difference, with a star where it is one after Holm's correction for all pairs."""
    if pair["mean"] is None:
        return ""
    said = words.texts_of({"mean": pair["mean"], "low": None, "high": None}, metric, sign="+")[0]
    return f"{said}*" if pair["p_holm"] is not None and pair["p_holm"] < 0.05 else said


def _pair_overlap(pair: Mapping[str, Any]) -> str:
    return "" if pair["kappa"] is None else f"{pair['kappa']:.2f}"


def cost_view(report: Report) -> View:
    """What scoring cost, the stages, and for each arm what its later runs save."""
    cost = report["cost"]
    stages = [
        {
            "stage": stage["stage"],
            "runs": f"{stage['runs']:,}",
            "seconds": "" if stage["seconds"] is None else words.duration(stage["seconds"]),
            "flops": "" if not stage["flops"] else words.operations(stage["flops"]),
            "full_runs": "" if stage["full_runs"] is None else words.full_runs(stage["full_runs"]),
        }
        for stage in cost["stages"]
    ]
    return {
        "sentences": words.cost_sentences(report),
        "stages": stages if len(stages) > 1 else [],  # the total alone says nothing
        "arms": [_arm_cost(arm) for arm in cost["arms"]],
    }


def _arm_cost(arm: Mapping[str, Any]) -> View:
    paid = arm["pay_back"] or {"seconds": None, "flops": None}
    seconds, flops = paid["seconds"] or {}, paid["flops"] or {}
    told = {"label": arm["label"], "seconds": words.duration(arm["train_seconds"])}
    for name, one in (("even", seconds), ("even_by_flops", flops)):
        told[name] = "" if one.get("break_even") is None else f"{one['break_even']:,}"
    known = seconds.get("saved_share") is not None
    ratio, saved = (seconds["selection_to_tuning"], seconds["saved_share"]) if known else (None, None)
    return {
        **told,
        "ratio": "" if ratio is None else words.full_runs(ratio),
        "saved": "" if saved is None else f"{saved:.0%}",
    }


def _certainty(label: str, gap: Mapping[str, Any], metric: str) -> View:
    same = gap["equivalence"]
    return {
        "label": label,
        "difference": _gap(gap, metric),
        "spread": _alone(gap["spread"], metric),
        "p": [words.p_alone(gap[name]) for name in ("p_value", "p_holm", "p_sign_flip")],
        "detectable": _detectable(gap, metric),
        "power": "" if gap["power"] is None else f"{gap['power']:.0%}",
        "equivalence": "" if same is None else " to ".join(words.texts_of({**same, "mean": 0}, metric, sign="+")[1:]),
        "p_equivalence": "" if same is None else words.p_alone(same["p_value"]),
        "equivalence_power": "" if same is None else f"{same['power']:.0%}",
        "p_welch": words.p_alone(gap.get("p_welch")),
        "over_seeds": _over_seeds(gap, metric),
    }


def _over_seeds(gap: Mapping[str, Any], metric: str) -> str:
    """The interval over seeds alone, where the difference's own is over examples, too."""
    seeds = gap.get("over_seeds")
    if seeds is None or not gap.get("examples"):
        return ""
    return " to ".join(words.texts_of({**seeds, "mean": 0}, metric, sign="+")[1:])


def findable(gap: Mapping[str, Any], metric: str) -> bool:
    """Whether `detectable` is a difference that there can be: one in percent is never above 100 points."""
    return not (metric in words.PERCENT and gap["detectable"] > 1)


def _detectable(gap: Mapping[str, Any], metric: str) -> str:
    """The smallest difference that would be found; `none` where not even the largest possible one would be."""
    known = gap["detectable"] is not None
    return "none" if known and not findable(gap, metric) else _alone(gap["detectable"], metric)


def _alone(size: float | None, metric: str) -> str:
    return "" if size is None else words.texts_of({"mean": size, "low": None, "high": None}, metric)[0]


def _of(row: Mapping[str, Any]) -> str:
    name = words.metric_name(row["metric"])
    return f"{name[:1].upper()}{name[1:]} on {row['eval_set']}"


def _gap(gap: Mapping[str, Any], metric: str) -> str:
    mean, low, high = words.texts_of(gap, metric, sign="+")
    return f"{mean} [{low}, {high}]" if low else mean


def _spread(counts: list[int]) -> str:
    return f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
