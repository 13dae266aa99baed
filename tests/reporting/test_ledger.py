"""What a study cost: every second and operation in one stage, the subsets' saving, and the chart where lines cross."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from hprune.reporting.details import cost_view
from hprune.reporting.figure_cost import break_even_chart
from hprune.reporting.ledger import ledger_of
from hprune.reporting.page import render_page
from hprune.reporting.summary import summarise
from hprune.reporting.wording import full_runs, operations
from tests.reporting.test_arms import grouped, run

COST = {
    "train_seconds": 10.0, "clean_pass_seconds": 4.0, "evaluation_seconds": 2.0, "checkpoint_seconds": 1.0,
    "train_flops": 10**15, "clean_pass_flops": 3 * 10**14, "evaluation_flops": 10**14,
}  # fmt: skip


def costing(share: float, *arguments: Any, measured: str = "train_pass", **options: Any) -> dict[str, Any]:
    made = run(*arguments, **options)
    made["cost"] = COST | {"train_seconds": share * 10.0, "train_flops": int(share * 10**15)}
    made["subset"] |= {"measured": measured}
    return made


def ledger(measured: str = "train_pass", **old: Any) -> dict[str, Any]:
    arms = grouped(
        *(costing(1, "full", seed, 0.9) for seed in (11, 12)),
        *(costing(0.4, "winning_ticket", seed, 0.8, measured=measured) for seed in (11, 12)),
        costing(0.4, "random_like", 11, 0.8, scores=""),
    )
    scoring = [costing(1, "full", seed, 0.9) for seed in (1, 2)]
    scoring[0]["cost"] = {**scoring[0]["cost"], **old}
    return ledger_of(scoring, arms, {"x"})


def test_stages_add_up() -> None:
    stages = {stage["stage"]: stage for stage in ledger()["stages"]}
    assert {name: (stage["runs"], stage["seconds"]) for name, stage in stages.items()} == {
        "scoring runs": (2, 20), "clean passes of scoring runs": (2, 8), "comparison runs, full": (2, 20),
        "comparison runs, winning_ticket": (2, 8), "comparison runs, random_like": (1, 4),
        "clean passes of comparison runs": (5, 20), "evaluation": (7, 14), "checkpoints": (7, 7), "total": (7, 101),
    }  # fmt: skip
    assert stages["scoring runs"]["full_runs"] == 2
    assert stages["total"]["full_runs"] == pytest.approx(10.1)
    assert stages["checkpoints"]["flops"] is None
    parts = [stage["flops"] or 0 for name, stage in stages.items() if name != "total"]
    assert stages["total"]["flops"] == pytest.approx(sum(parts))


@pytest.mark.parametrize(("measured", "ratio", "runs"), [("train_pass", 2, 4), ("eval_pass", 2.8, 5)])
def test_clean_passes_are_part_of_the_price_of_a_score_made_of_them(measured: str, ratio: float, runs: int) -> None:
    arms = {arm["label"]: arm for arm in ledger(measured)["arms"]}
    assert arms["full"]["pay_back"] is arms["random_like"]["pay_back"] is None
    paid = arms["winning_ticket"]["pay_back"]
    assert paid["seconds"]["selection_to_tuning"] == pytest.approx(ratio)
    assert arms["winning_ticket"]["break_even_runs"] == paid["seconds"]["break_even"] == runs
    assert paid["seconds"]["saved_share"] == pytest.approx(0.6)
    assert paid["flops"]["selection_to_tuning"] == pytest.approx(2 if measured == "train_pass" else 2.6)


def test_one_run_of_before_leaves_its_stages_unknown_and_the_rest_as_it_is() -> None:
    found = ledger(train_flops=None, clean_pass_seconds=None)
    assert "clean passes of scoring runs" not in {stage["stage"] for stage in found["stages"]}
    assert found["stages"][0] == {
        "stage": "scoring runs", "runs": 2, "seconds": 20, "flops": None, "full_runs": 2
    }  # fmt: skip
    paid = next(arm["pay_back"] for arm in found["arms"] if arm["label"] == "winning_ticket")
    assert paid["flops"] is None
    assert paid["seconds"]["break_even"] == 4


def test_a_study_of_before_is_reported(study_root: Path) -> None:
    report = summarise(study_root, "toy", None)
    assert [stage["flops"] for stage in report["cost"]["stages"]] == [None] * len(report["cost"]["stages"])
    assert "in full fine-tunings" in render_page(report)


def test_the_page_shows_stages_saving_and_chart(report: dict[str, Any]) -> None:
    page = render_page(report)
    for text in ("11 P", "comparison runs, full", "Cost of scoring and of later runs", "selection-to-tuning ratio"):
        assert text in page, text
    view = cost_view(report)
    assert view["stages"][0] == {
        "stage": "scoring runs", "runs": "6", "seconds": "10 min", "flops": "6 P", "full_runs": "6.0"
    }  # fmt: skip
    assert view["arms"][2] | {"even": "8", "even_by_flops": "", "ratio": "6.0", "saved": "80%"} == view["arms"][2]


def test_the_mark_lies_on_both_lines(report: dict[str, Any]) -> None:
    svg = break_even_chart(report["cost"]["arms"])
    assert svg is not None
    assert "winning_ticket after 8 runs" in svg
    texts = [(element.text or "").strip() for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert {"full set", "winning_ticket", "later runs on the same data", "cost, in full fine-tunings"} <= set(texts)


def test_what_is_never_paid_back_has_no_mark(report: dict[str, Any]) -> None:
    arms = report["cost"]["arms"]
    marked = break_even_chart(arms)
    arms[2]["pay_back"]["seconds"] |= {"subset_run": 110.0, "saved": -10.0, "break_even": None}
    svg = break_even_chart(arms)
    assert svg is not None
    assert marked is not None
    assert "winning_ticket never" in svg
    assert svg.count("<use") < marked.count("<use")
    assert break_even_chart(arms[:2]) is None


@pytest.mark.parametrize(
    ("number", "said"),
    [(999, "999"), (1.234e6, "1.23 M"), (8.1e15, "8.1 P"), (9.999e14, "1 P"), (1e21, "1 Z")],
)
def test_operations_in_words(number: float, said: str) -> None:
    assert operations(number) == said


@pytest.mark.parametrize(("ratio", "said"), [(0.304, "0.30"), (6, "6.0"), (132.4, "132"), (2500, "2,500")])
def test_full_runs_in_words(ratio: float, said: str) -> None:
    assert full_runs(ratio) == said
