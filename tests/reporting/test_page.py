"""The page holds its own, shows every number, escapes what comes from the data, and does without what is missing."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hprune.report import data_of_study
from hprune.reporting.page import render_page
from hprune.reporting.summary import summarise
from hprune.storage.scores import load_scores, score_path

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Tags with their attributes, the text by words, and whether every tag is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def test_nothing_is_loaded_and_nothing_runs(report: dict[str, Any]) -> None:
    html = render_page(report)
    page = Page(html)
    loads = [
        v
        for _, attrs in page.tags
        for k, v in attrs.items()
        if k in ("src", "href", "xlink:href", "data", "action", "srcset")
    ]
    assert loads
    assert all(str(load).startswith("#") for load in loads)
    assert all(target.startswith("#") for target in re.findall(r"url\(['\"]?([^)]*)", html))
    assert not {"script", "link", "iframe", "object", "embed", "img"} & {tag for tag, _ in page.tags}
    assert "@import" not in html
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]


def test_ids_are_unique_and_references_meet_them(report: dict[str, Any]) -> None:
    report["histogram"]["h_score-eval_pass"] = report["histogram"]["h_score"]
    html = render_page(report)
    ids = [attrs["id"] for _, attrs in Page(html).tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', html)) <= set(ids)


@pytest.mark.parametrize("place", ["samples", "label_names", "arm", "study", "config"])
def test_what_comes_from_the_data_is_escaped(report: dict[str, Any], place: str) -> None:
    evil = "<script>alert('x')</script>\"><b onclick=x>"
    if place == "samples":
        report["samples"][0] |= {"text": evil, "label": evil}
    elif place == "label_names":
        report["histogram"]["h_score"]["values"][0]["by_class"] = {evil: 5}
    elif place == "arm":
        report["rows"][2]["label"] = report["cost"]["arms"][2]["label"] = evil
    elif place == "study":
        report["study"] = evil
    else:
        report["provenance"]["config"] = {evil: evil}
    html = render_page(report)
    page = Page(html)
    assert "<script>" not in html
    assert not {"script", "b"} & {tag for tag, _ in page.tags}
    assert "alert('x')" in page.text


def test_the_answer_stands_first(report: dict[str, Any]) -> None:
    text = Page(render_page(report)).text
    answer = (
        "The winning ticket keeps 20% of 1,500 samples; accuracy on validation is not distinguishable from "
        "full training (difference −0.2 points, 95% interval −1.1 to +0.7, 5 seeds)."
    )
    assert answer in text
    beside = (
        "It is better than training on as many samples drawn at random "
        "(difference +4.8 points, 95% interval +4.0 to +5.6)."
    )
    assert text.index(answer) < text.index(beside) < text.index("1,500 100.0%")


def test_each_arm_has_its_numbers(report: dict[str, Any]) -> None:
    text = Page(render_page(report)).text
    test = "paired t test, two-sided, n = 5 seeds; p = 0.50, by Holm = 1.00; finds 1.9 points in 4 of 5 studies"
    sure = "−0.2 [−1.1, +0.7] 0.6 0.50 1.00 0.062 1.9 40% −1.0 to +1.0 0.30 20%"
    assert "Accuracy on validation, beside the full set, in points" in text
    assert f"winning_ticket {sure}" in text
    assert "full 1,500 100.0% 90.0 [89.0, 91.0] 5 seeds – reference" in text
    assert f"random_like 300 20.0% 85.0 [84.0, 86.0] 5 seeds −5.0 [−6.1, −3.9] worse {test}" in text
    assert f"winning_ticket 300 20.0% 89.8 [88.8, 90.8] 5 seeds −0.2 [−1.1, +0.7] not distinguishable {test}" in text
    assert "Loss on validation" in text
    assert "0.345 [0.335, 0.355]" in text
    assert "+0.033 [+0.021, +0.045]" in text
    assert "paid back after 8 later runs" in text


def test_counts_texts_and_config_are_there(report: dict[str, Any]) -> None:
    text = Page(render_page(report)).text
    assert "value samples share no yes" in text
    assert "6 65 26.5% 5 60" in text
    for part in ("a hard one", "one in between", "an easy one", '"lr": 1e-05', "winning ticket", "11, 12, 13, 14, 15"):
        assert part in text


def test_one_seed_gives_no_verdict(one_seed: dict[str, Any]) -> None:
    text = Page(render_page(one_seed)).text
    assert "differs from full training by −0.2 points, and with one seed there is no verdict." in text
    assert "no verdict (one seed)" in text
    assert "With one seed there is no interval and no verdict" in text
    assert "not distinguishable from full training" not in text
    assert "paired t test, two-sided" not in text


@pytest.mark.parametrize(("seeds", "span"), [(2, "9"), (3, "2.5")])
def test_few_seeds_are_warned_of(report: dict[str, Any], seeds: int, span: str) -> None:
    for row in report["rows"]:
        row["seeds"] = row["seeds"][:seeds]
    assert f"With {seeds} seeds a 95% interval spans about {span} standard deviations" in Page(render_page(report)).text


def test_another_evaluation_set_is_not_left_out_of_the_answer(report: dict[str, Any]) -> None:
    report["rows"] += [{**row, "eval_set": "test", "verdict": row["verdict"] and "worse"} for row in report["rows"]]
    text = Page(render_page(report)).text
    assert "On test, accuracy is worse than with full training" in text
    assert "Accuracy on test" in text


@pytest.mark.parametrize(
    "missing", ["samples", "by_class", "rows", "histogram", "cost", "reference", "values", "everything"]
)
def test_a_page_without(report: dict[str, Any], missing: str) -> None:
    everything = missing == "everything"
    if missing == "samples" or everything:
        report["samples"] = []
    if missing == "by_class":
        for value in report["histogram"]["h_score"]["values"]:
            value["by_class"] = {}
    if missing == "values":
        report["histogram"]["h_score"]["values"] = []
    if missing == "rows" or everything:
        report["rows"] = []
    if missing == "histogram" or everything:
        report["histogram"] = {}
    if missing == "cost" or everything:
        report["cost"] = {"scoring_seconds": 0, "scoring_runs": 0, "stages": [], "arms": []}
    if missing == "reference":
        report["rows"] = [
            {**row, "difference": None, "verdict": None} for row in report["rows"] if row["arm"] != "full"
        ]
    text = Page(render_page(report)).text
    expected = {
        "rows": "by the scores of 6 runs the winning ticket would keep 175 of 245 samples (71%)",
        "cost": "No scoring run belongs to the study",
        "reference": "there is no full training with the same settings and seeds to compare with",
        "everything": "No arm has been retrained yet",
    }
    assert expected.get(missing, "not distinguishable from full training") in text


def test_the_size_that_would_be_kept_is_of_the_main_score(report: dict[str, Any]) -> None:
    """As where scoring stopped early, or the study's own score is of the clean pass."""
    report["rows"], report["main_score"] = [], "h_score-S5"
    report["histogram"] = {"h_score-S5": report["histogram"]["h_score"] | {"S": 5}}
    assert "by the scores of 5 runs the winning ticket would keep 120 of 245 samples" in Page(render_page(report)).text


def test_arms_too_many_for_a_matrix_are_counted(report: dict[str, Any]) -> None:
    said = "left out, as it could not be read: there are"
    assert said not in render_page(report)
    report["rows"] += [{**report["rows"][1], "label": f"arm {i}"} for i in range(10)]
    assert f"{said} 13 arms" in render_page(report)


def test_a_score_of_many_values_has_a_figure_and_no_endless_table(report: dict[str, Any]) -> None:
    values = [{"value": v, "count": 1, "by_class": {}} for v in range(500)]
    report["histogram"] = {
        "el2n": {
            "S": 6,
            "E": 3,
            "measured": "eval_pass",
            "higher_is": "harder",
            "missing_seeds": [],
            "skip_epochs": 0,
            "infinite": 3,
            "values": values,
        }
    }
    html = render_page(report)
    assert 'id="hist-el2n' in html
    assert html.count("<tr>") < 50


def test_long_texts_are_cut(report: dict[str, Any]) -> None:
    report["samples"][0]["text"] = "word " * 5000
    assert len(render_page(report)) < len(render_page({**report, "samples": []})) + 5000


def test_a_real_study_becomes_a_page(study_root: Path) -> None:
    report = summarise(study_root, "toy", None)
    text = Page(render_page(report)).text
    assert "The winning ticket keeps 33% of 12 samples" in text
    assert "random_like 4 33.3%" in text


def test_the_sheet_is_made_by_the_command_that_the_page_gives(
    study_root: Path, run_command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study_root.parent)
    page = render_page(summarise(study_root, "toy", data_of_study(study_root, "toy")))
    (given,) = re.findall(r"<code>python -m hprune\.(.*?)</code>", page)
    command, *arguments = given.split()
    code, _, err = run_command(command, *arguments)
    assert code == 0, err
    hardest = load_scores(score_path(study_root, "toy", "h_score")).values == 0
    assert len(Path("triage.csv").read_text(encoding="utf-8-sig").splitlines()) == 1 + hardest.sum() > 1


def policy_of(html: str) -> dict[str, list[str]]:
    """The page's policy by directive; it stands before anything that it is about."""
    page = Page(html)
    (at,) = [i for i, (_, attrs) in enumerate(page.tags) if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert {tag for tag, _ in page.tags[:at]} <= {"html", "head", "meta", "title"}
    content = page.tags[at][1]["content"]
    assert content is not None
    return {name: values for name, *values in (directive.split() for directive in content.split(";"))}


def test_a_policy_allows_what_the_page_holds_and_nothing_else(report: dict[str, Any]) -> None:
    html = render_page(report)
    policy = policy_of(html)
    (styles,) = re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(styles.encode()).digest()).decode()
    assert policy.pop("style-src-elem") == [f"'sha256-{digest}'"]
    assert policy.pop("img-src") == ["data:"]
    assert {name for name in policy if policy[name] == ["'unsafe-inline'"]} == {"style-src", "style-src-attr"}
    assert {name for name in policy if policy[name] == ["'none'"]} == {"default-src", "base-uri", "form-action"}
    assert len(policy) == 5, "scripts, frames, fonts, connections: by default none"


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium here")
def test_a_browser_shows_the_page_and_blocks_what_an_escape_would_let_through(
    report: dict[str, Any], tmp_path: Path
) -> None:
    html = render_page(report)
    planted = "<script>document.title = 'it ran'</script><img src='file:///planted.png' onerror='document.title = 1'>"
    assert html.count("<main>") == 1
    (tmp_path / "page.html").write_text(html.replace("<main>", f"<main>{planted}"))
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={tmp_path}/profile", "--enable-logging=stderr", "--dump-dom",
         (tmp_path / "page.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "it ran" not in done.stdout.partition("</title>")[0]
    refused = [line for line in done.stderr.splitlines() if "Content Security Policy" in line]
    kinds = sorted(re.findall(r"inline script|inline event handler|planted\.png", "\n".join(refused)))
    assert kinds == ["inline event handler", "inline script", "planted.png"]
    assert len(refused) == 3, "nothing of the page itself"
