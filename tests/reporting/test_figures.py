"""Figures are well-formed SVG that takes the page's colours, and no name of a class or arm can break them."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from typing import Any

import matplotlib
import pytest

from hprune.reporting.figures import accuracy_by_size, score_histogram

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str | None) -> list[str]:
    assert svg is not None
    return [(element.text or "").strip() for element in ET.fromstring(svg).iter(f"{SVG}text")]


def table(**by_class: list[int]) -> dict[str, Any]:
    values = [
        {"value": value, "count": sum(counts), "by_class": dict(zip(by_class, counts, strict=True))}
        for value, counts in enumerate(zip(*by_class.values(), strict=True))
    ]
    return {"S": len(values) - 1, "E": 3, "measured": "train_pass", "higher_is": "easier", "values": values}


def test_histogram_shows_counts_and_classes() -> None:
    shown = texts(score_histogram("h_score", table(cat=[1000, 20, 3], dog=[500, 10, 4])))
    assert {"1,500", "30", "7", "cat", "dog", "samples", "h_score (higher is easier)"} <= set(shown)


def test_bars_are_as_high_as_their_counts() -> None:
    svg = score_histogram("h_score", table(cat=[40, 20, 10]))
    assert svg is not None
    heights = []
    for path in re.findall(r'<path d="([^"]*)" clip-path="[^"]*" style="fill: #4477aa', svg):
        ys = [float(y) for _, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", path)]
        heights.append(max(ys) - min(ys))
    assert [height / heights[-1] for height in heights] == pytest.approx([4, 2, 1], abs=1e-3)


@pytest.mark.parametrize("scale", [1 / 30, 100.0])
def test_bars_of_bins_stand_beside_each_other(scale: float) -> None:
    made = table(cat=[5] * 30)
    for value in made["values"]:
        value["value"] = (value["value"] + 0.5) * scale
    svg = score_histogram("confidence", made)
    assert svg is not None
    bars = []
    for path in re.findall(r'<path d="([^"]*)" clip-path="[^"]*" style="fill: #4477aa', svg):
        xs = [float(x) for x, _ in re.findall(r"[ML] ([\d.]+) ([\d.]+)", path)]
        bars.append((min(xs), max(xs)))
    assert len(bars) == 30
    for (low, high), (after, _) in itertools.pairwise(bars):
        assert low < high < after < high + (high - low) / 2
    assert len({text for text in texts(svg) if re.fullmatch(r"[\d.]+", text)} & {"0.2", "0.4", "0.6", "0.8"}) in (0, 4)
    assert ("0.4" in texts(svg)) == (scale < 1)


def test_text_takes_the_colour_of_the_page() -> None:
    svg = score_histogram("h_score", table(cat=[1, 2], dog=[3, 4]))
    assert svg is not None
    fills = [element.get("style", "") for element in ET.fromstring(svg).iter(f"{SVG}text")]
    assert fills
    assert all("fill: currentColor" in fill for fill in fills)
    assert "#ffffff" not in svg
    assert "<style" not in svg
    assert "<metadata" not in svg


@pytest.mark.parametrize("name", ["$x_1$", r"$\frac{", "_hidden", "a & b <i>", 'say "hi"', "积极", "very " * 40])
def test_any_class_name_can_be_drawn(name: str) -> None:
    shown = texts(score_histogram("h_score", table(**{name: [1, 2, 3], "other": [4, 5, 6]})))
    assert any(text and name.startswith(text.rstrip("…")) for text in shown)


def test_beyond_seven_classes_the_small_ones_are_one() -> None:
    shown = texts(score_histogram("h_score", table(**{f"class {k}": [k, k] for k in range(1, 11)})))
    assert "3 other classes" in shown
    assert "class 10" in shown
    assert "class 1" not in shown


def test_histogram_without_classes_or_values() -> None:
    plain = table(cat=[1, 2])
    for value in plain["values"]:
        value["by_class"] = {}
    assert "2" in texts(score_histogram("h_score", plain))
    assert score_histogram("h_score", {**plain, "values": []}) is None


def test_a_score_of_very_many_values() -> None:
    assert score_histogram("el2n", table(cat=[1] * 3000)) is not None


def test_size_figure_names_every_arm(report: dict[str, Any]) -> None:
    rows = [row for row in report["rows"] if row["metric"] == "accuracy"]
    svg = accuracy_by_size(rows, "accuracy, %", scale=100)
    assert {"full", "random_like", "winning_ticket", "samples kept", "accuracy, %"} <= set(texts(svg))
    assert accuracy_by_size([], "accuracy") is None


def test_size_figure_with_one_seed(one_seed: dict[str, Any]) -> None:
    rows = [row for row in one_seed["rows"] if row["metric"] == "accuracy"]
    assert accuracy_by_size(rows, "accuracy") is not None


def test_the_same_facts_give_the_same_figure_and_leave_matplotlib_alone() -> None:
    before = dict(matplotlib.rcParams)
    assert score_histogram("h_score", table(cat=[1, 2])) == score_histogram("h_score", table(cat=[1, 2]))
    assert dict(matplotlib.rcParams) == before
