"""The data map of a study: small in report.json and on the page, gone where records are."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hprune.reporting.data_map import MOST_POINTS, map_of
from hprune.reporting.figure_map import map_caption, map_figure
from hprune.reporting.page import render_page
from hprune.reporting.summary import summarise
from hprune.storage.scores import load_scores, score_path


def made(points: int, runs: int = 6, samples: int = 100_000) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    h, confidence = rng.integers(runs + 1, size=points), rng.random(points).round(3)
    return {
        "scores": "h_score", "S": runs, "E": 3, "measured": "train_pass", "samples": samples,
        "by_h": [{"value": v, "count": 100 + v, "confidence": 0.5, "variability": 0.1} for v in range(runs + 1)],
        "points": {"h": h.tolist(), "confidence": confidence.tolist(),
                   "variability": (rng.random(points) / 2).round(3).tolist()},
    }  # fmt: skip


def test_it_is_that_of_the_records(study_root: Path) -> None:
    report = summarise(study_root, "toy", None)
    found = report["data_map"]
    assert (found["S"], found["E"], found["samples"]) == (3, 2, 12)
    assert sum(entry["count"] for entry in found["by_h"]) == 12
    scores = load_scores(score_path(study_root, "toy", "h_score"))
    assert found["points"]["h"] == scores.values.tolist()
    assert "Data map: " in render_page(report)
    assert "all 12 samples" in map_caption(found)


def test_without_records_the_report_goes_without_it(
    study_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "multirun"
    shutil.copytree(study_root, root)
    next(root.glob("runs/*/*/full-*/seed=2/record.*")).unlink()
    report = summarise(root, "toy", None)
    assert report["data_map"] is None
    assert "the report goes without the data map: the run at" in caplog.text
    assert "Data map" not in render_page(report)
    (root / "studies/toy/runs").joinpath(next((root / "studies/toy/runs").glob("full-*seed=2.scoring.json"))).unlink()
    assert map_of(root, "toy", load_scores(score_path(root, "toy", "h_score"))) is None
    assert "was made of the runs of seeds 2, whose records the study does not have" in caplog.text
    assert map_of(root, "toy", None) is None


def test_a_large_study_has_a_small_page(report: dict[str, Any]) -> None:
    report["data_map"] = made(MOST_POINTS)
    assert len(json.dumps(report["data_map"], indent=2)) < 100_000
    page = render_page(report)
    assert len(page) < 200_000
    assert "2,000 of 100,000 samples, drawn at random" in page


def test_every_sample_is_a_dot_of_the_colour_of_its_h() -> None:
    found = made(300)
    svg = map_figure(found)
    assert svg is not None
    ET.fromstring(svg)
    dots: dict[str, int] = {}
    for path, colour in re.findall(r'<path d="((?:M[\d.]+ [\d.]+h0)+)"[^>]*stroke: (#\w+)[^"]*round', svg):
        dots[colour] = dots.get(colour, 0) + path.count("h0")
    counts = np.bincount(found["points"]["h"], minlength=7)
    assert sorted(dots.values()) == sorted(counts.tolist())
    assert dots["#bb5566"] == counts[0]
    assert dots["#4477aa"] == counts[6]


@pytest.mark.parametrize("runs", [1, 6, 40])
def test_any_number_of_runs(runs: int) -> None:
    svg = map_figure(made(50, runs))
    assert svg is not None
    assert "H = 0: 100" in svg
    assert f"H = {runs}: {100 + runs}" in svg
    assert svg.count("H = ") < 70
    assert map_figure(made(0)) is None


def test_a_report_of_before_is_a_page(report: dict[str, Any]) -> None:
    assert "data_map" not in report
    assert "Data map" not in render_page(report)
