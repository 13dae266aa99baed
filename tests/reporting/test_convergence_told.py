"""The report says what fewer and more runs would choose, by the records, or by the histogram where they are gone."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hprune.reporting.convergence import convergence_line, convergence_of, convergence_sentences
from hprune.reporting.figure_convergence import convergence_figure
from hprune.reporting.page import render_page
from hprune.reporting.summary import summarise
from hprune.reporting.terminal import print_table
from hprune.science.records import Scores
from hprune.storage.dynamics import StoredDynamics
from hprune.storage.runs import load_record
from hprune.storage.studies import runs_of


def gone(scores: Scores) -> StoredDynamics:
    raise ValueError(f"the records of {scores.name} are gone")


def table(values: Any, runs: int, name: str = "h_score", **conventions: Any) -> Scores:
    values = np.asarray(values)
    return Scores(
        name, np.arange(values.size), values, "easier", tuple(range(runs)), 2, "train_pass", "data", conventions
    )


def test_the_facts_are_those_of_the_records(study_root: Path) -> None:
    facts = summarise(study_root, "toy", None)["convergence"]["h_score"]
    json.dumps(facts, allow_nan=False)
    records = [load_record(run.path, "train_pass") for run in runs_of(study_root, "toy", "scoring")]
    right = np.stack([record.correct.all(axis=0) for record in records])
    h = right.sum(axis=0)
    assert (facts["S"], facts["samples"], facts["certain"]) == (3, 12, int(((h > 0) & (h < 3)).sum()))
    assert facts["certain"] + facts["open"] == 12
    pairs = [int((right[i] != right[j]).sum()) for i, j in ((0, 1), (0, 2), (1, 2))]
    two = facts["runs"][1]
    assert (two["runs"], two["subsets"], two["low"], two["high"]) == (2, 3, min(pairs), max(pairs))
    assert two["size"] == pytest.approx(np.mean(pairs))
    assert two["overlap"] == pytest.approx(np.mean(pairs) / facts["certain"])
    assert [one["runs"] for one in facts["predicted"]] == [4, 5, 6]
    assert facts["stopped"] is None


def test_without_records_the_histogram_tells_what_it_can(
    study_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "multirun"
    shutil.copytree(study_root, root)
    whole = summarise(root, "toy", None)["convergence"]["h_score"]
    for file in root.rglob("seed=1/record.*.parquet"):
        file.unlink()
    facts = summarise(root, "toy", None)["convergence"]["h_score"]
    assert "the records behind h_score cannot be read" in caplog.text
    assert facts["gains"] is facts["runs"][1]["low"] is None
    for name in ("size", "overlap"):
        assert [one[name] for one in facts["runs"]] == pytest.approx([one[name] for one in whole["runs"]])
    assert (facts["certain"], facts["open"]) == (whole["certain"], whole["open"])
    assert "choices of runs" not in convergence_figure("h_score", facts)
    assert "How many runs are enough" in render_page(summarise(root, "toy", None))


def test_of_each_way_the_largest_table_of_h_is_told() -> None:
    rng = np.random.default_rng(0)
    tables = [
        replace(table(rng.integers(0, 6, 50), 5, "h_score-S5-eval_pass", score="h_score"), measured="eval_pass"),
        table(
            rng.integers(0, 4, 50), 3, score="h_score", stopped={"runs": 3, "of": 5, "open_share": 0.1, "limit": 0.08}
        ),
        table(rng.integers(0, 2, 50), 1, "h_score-S1", score="h_score"),
        table(rng.random(50, dtype=np.float32), 3, "soft_h", score="soft_h"),
        table(rng.integers(5, 9, 50), 3, "other", score="h_score"),
        table(rng.integers(0, 41, 50), 40, "h_score-S40", score="h_score"),
    ]
    found = convergence_of(tables, gone)
    assert list(found) == ["h_score-S40", "h_score-S5-eval_pass"]
    found |= convergence_of(tables[:-1], gone)
    assert list(found) == ["h_score-S40", "h_score-S5-eval_pass", "h_score"]
    for facts in found.values():
        assert all(facts["certain"] <= one["low"] <= one["high"] <= 50 for one in facts["predicted"])
    told = " ".join(convergence_sentences(found["h_score"]))
    assert "Scoring stopped after 3 of 5 runs: the others would bring at most 8.0% of the samples" in told
    assert "10.0% were allowed" in told


def test_two_runs_and_a_ticket_of_nothing_have_a_page(report: dict[str, Any]) -> None:
    found = convergence_of([table([0, 2, 2], 2, "two"), table([0, 3, 3, 0], 3)], gone)
    assert found == {} or list(found) == ["h_score"], "a table named two says not that it is of H"
    found |= convergence_of([table([0, 2, 1], 2, "two", score="h_score")], gone)
    assert found["two"]["predicted"] == []
    assert found["two"]["one_more"] is None
    report["convergence"] = found
    assert "2 runs do not agree on" in render_page(report)
    assert convergence_line({"convergence": {}}) == convergence_line({"convergence": {"two": found["two"]}}) == []


def test_the_line_on_the_terminal(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    print_table(report)
    text = " ".join(capsys.readouterr().out.split())
    line = "5 scoring runs would have chosen 80% of the winning ticket of 6; one more run would add about 2.9% of the"
    assert text.count(line) == 1


def test_the_section_of_the_page(report: dict[str, Any]) -> None:
    page = render_page(report)
    text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert "175 of 245 samples (71%) are certain: 6 runs do not agree on them" in text
    assert "Predicted for 8 runs 188 (95% interval 180 to 196) and 12 runs 212 (95% interval 200 to 224)." in text
    assert "Other tables of H" not in text
    report["convergence"]["h_score-S5"] = report["convergence"]["h_score"]
    assert "Other tables of H" in render_page(report)


def test_the_curve_passes_through_the_sizes(report: dict[str, Any]) -> None:
    """And the prediction starts where it ends."""
    svg = convergence_figure("h_score", report["convergence"]["h_score"])
    ET.fromstring(svg)
    lines = re.findall(r'<path d="([^"]*)"[^>]*style="fill: none; stroke(?:-dasharray)?: ([^;]*);', svg)
    curve = next(path for path, style in lines if style.startswith("#4477aa"))
    points = [(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", curve)]
    assert len(points) == 6
    rise = [a[1] - b[1] for a, b in itertools.pairwise(points)]
    assert rise == pytest.approx([rise[0]] * 5, abs=1e-3), "35 samples more for each run"
    dashed = re.findall(r'<path d="([^"]*)"[^>]*style="fill: none; stroke-dasharray[^"]*stroke: #ddaa33', svg)
    start = re.findall(r"M ([\d.]+) ([\d.]+)", dashed[0])[0]
    assert tuple(map(float, start)) == pytest.approx(points[-1], abs=1e-3)
