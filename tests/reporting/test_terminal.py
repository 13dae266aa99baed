"""The terminal shows the same facts in a hundred columns, whatever it is written to."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hprune.reporting.answer import headline
from hprune.reporting.terminal import print_table, wrapped
from hprune.reporting.wording import duration, share
from tests.conftest import ROOT

HEAD = "arm             samples   share  [95% interval]     [95% interval]      p     verdict"


def shown(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    print_table(report)
    text = capsys.readouterr().out
    assert all(len(line) <= 100 for line in text.splitlines())
    return text


def test_the_table(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.rstrip() for line in shown(report, capsys).splitlines()]
    assert HEAD in lines
    assert "verdict by the paired t test, 5% (Holm for 2 arms); 5 seeds" in lines
    assert "full              1,500  100.0%  90.0 [89.0, 91.0]                            reference" in lines
    assert "random_like         300   20.0%  85.0 [84.0, 86.0]  -5.0 [-6.1, -3.9]   1.00  worse" in lines
    assert "winning_ticket      300   20.0%  89.8 [88.8, 90.8]  -0.2 [-1.1, +0.7]   1.00  not distinguishable" in lines
    assert not any("0.345" in line for line in lines)  # the loss is for the page


def test_arms_with_fewer_seeds_are_named(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    report["rows"][2]["seeds"] = [11, 12]
    assert "seeds: full 5, random_like 5, winning_ticket 2" in shown(report, capsys)


def test_families_are_told_by_budget_and_long_verdicts_take_two_lines(
    report: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    ticket = report["rows"][2]
    ticket["verdict"] = "equivalent"
    report["rows"] += [
        {**report["rows"][i], "label": f"{report['rows'][i]['arm']} [steps]", "budget": "steps"} for i in (1, 2)
    ]
    text = shown(report, capsys)
    assert "5% (Holm for 2 arms of each budget); 5 seeds" in text
    assert "equivalent within" not in text.split("The winning ticket")[0]
    assert any(line.strip() == "within 1 point" for line in text.splitlines())


def test_sentences_under_the_table(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(shown(report, capsys).split())
    assert "(difference -0.2 points, 95% interval -1.1 to +0.7, 5 seeds)" in text
    assert "winning_ticket: samples that some, but not all, scoring runs got right in every epoch (0 < H < S)." in text
    assert "random_like: as many samples, drawn at random" in text
    assert "chance alone could give such a difference. It does not show that the two are equal." in text
    assert (
        "Scoring took 10 min of training (6 runs, 6.0 full fine-tunings); a run on the winning ticket takes 20 s,"
        in text
    )


def test_only_words_that_occur_are_explained(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    report["rows"] = [row for row in report["rows"] if row["arm"] == "full"]
    text = shown(report, capsys)
    assert "random_like" not in text
    assert "Not distinguishable" not in text
    assert "no winning ticket to judge" in text


def test_validation_comes_before_test(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    report["rows"] = [{**row, "eval_set": "test"} for row in report["rows"]] + report["rows"]
    text = shown(report, capsys)
    assert text.index("accuracy on validation") < text.index("accuracy on test")


def test_one_seed(one_seed: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(one_seed, capsys)
    assert re.search(r"no verdict\n +\(one seed\)", re.sub(r" +\n", "\n", text))
    assert "89.8 [one seed]" in text
    assert "not distinguishable" not in text


def test_no_arm(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert "No arm has been retrained yet" in shown({**report, "rows": []}, capsys)


def test_brackets_in_arms_are_not_markup_and_long_arms_wrap(
    report: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    report["rows"][2]["label"] = "winning_ticket [subset.keep=2..5, optim.lr=1e-05, bold]"
    text = shown(report, capsys)
    assert "[subset.keep=2..5," in text
    assert "optim.lr=1e-05, bold]" in text
    assert "not distinguishable" in text


@pytest.mark.parametrize("width", range(14, 41))
@pytest.mark.parametrize(
    "label",
    ["winning_ticket_stratified (ticket 12)", "random_same_classes [subset.keep=2..5, own order, steps]", "el2n",
     "a" * 50, "full", "_".join("abc" * 9)],
)  # fmt: skip
def test_a_name_is_broken_at_blanks_and_underscores_and_loses_nothing(label: str, width: int) -> None:
    lines = wrapped(label, width).split("\n")
    assert all(0 < len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == label.replace(" ", "")
    at = 0
    for line in lines[:-1]:
        at += len(line)
        if len(line) < width:  # no word was cut
            assert label[at] in " _", lines
        at += label[at] == " "
    if width >= len(label):
        assert lines == [label]


@pytest.mark.parametrize("columns", [80, 100])
def test_long_names_are_whole_words_on_any_terminal(
    report: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    report["rows"][2]["label"] = "winning_ticket_stratified (ticket 1)"
    print_table(report)
    starts = {re.sub(r"\x1b\[[\d;]*m", "", line).split("  ")[0] for line in capsys.readouterr().out.splitlines()}
    assert {"winning_ticket", "_stratified", "(ticket 1)"} <= {start.strip() for start in starts}


def test_seeds_of_many_arms_are_told_by_their_numbers(
    report: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    full, ticket = report["rows"][0], report["rows"][2]
    tickets = [{**ticket, "label": f"winning_ticket (ticket {t})", "seeds": [10 + t, 20 + t]} for t in range(1, 5)]
    report["rows"] = [full, *tickets]
    assert "; 2 seeds for each ticket's arm, 5 for full" in " ".join(shown(report, capsys).split())
    report["rows"] = [full, *tickets, {**ticket, "label": "el2n"}, {**ticket, "label": "aum", "seeds": [1, 2]}]
    assert "; 2 seeds for each of 5 arms; 5 for full, el2n" in " ".join(shown(report, capsys).split())


def test_a_narrow_terminal_loses_no_word(
    report: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # what rich takes for a terminal
    monkeypatch.setenv("COLUMNS", "80")
    report["rows"][1]["difference"] |= {"mean": -0.25, "low": -0.301, "high": -0.199}
    print_table(report)
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert any("distinguishable" in line for line in lines)
    assert any("[-30.1, -19.9]" in line for line in lines)


def test_seeds_that_all_agree_are_pointed_out(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    report["rows"][1]["values"] = dict.fromkeys(report["rows"][1]["values"], 0.5)
    assert "Every seed gave the same value for random_like" in shown(report, capsys)


def test_random_of_equal_size_is_compared_where_it_was_trained(report: dict[str, Any]) -> None:
    assert "It is better than training on as many samples drawn at random" in " ".join(headline(report))
    report["rows"][2] |= {"difference_to_random": None, "verdict_to_random": None}
    assert "drawn at random" not in " ".join(headline(report))


def test_many_winning_tickets_are_left_to_the_table(report: dict[str, Any]) -> None:
    ticket = report["rows"][2]
    report["rows"] += [{**ticket, "label": f"winning_ticket [seed={i}]"} for i in range(3)]
    assert headline(report) == ["4 arms were compared with full training; the table has a line for each."]


def test_a_narrow_interval_keeps_its_digits(report: dict[str, Any]) -> None:
    report["rows"][2]["difference"] |= {"mean": -0.0004, "low": -0.0006, "high": -0.0002}
    report["rows"][2]["verdict"] = "worse"
    assert "(difference -0.04 points, 95% interval -0.06 to -0.02, 5 seeds)" in headline(report)[0]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0 s"), (5.04, "5.0 s"), (42.4, "42 s"), (125, "2 min"), (7200, "2.0 h")]
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(("fraction", "said"), [(1, "100%"), (0.1987, "20%"), (0.031, "3.1%"), (0.996, "99.6%")])
def test_shares(fraction: float, said: str) -> None:
    assert share(fraction) == said


def test_signs_are_named_once_and_overlap_is_told(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    signs = [("classes_moved", "One moved."), ("classes_moved", "Two moved."), ("leaks", "Texts leak.")]
    print_table({**report, "diagnosis": [{"sign": sign, "told": told, "advice": "Look."} for sign, told in signs]})
    out = capsys.readouterr().out
    assert "Signs to look at, each with what to do in report.html: classes moved, leaks." in out
    assert "Texts leak." in out
    assert "moved." not in out
    by_first = {"sign": "ticket_by_first_epoch", "told": "Most of it is epoch 1.", "advice": "Look."}
    print_table({**report, "diagnosis": [by_first]})
    assert "Most of it is epoch 1.\nSigns to look at" in capsys.readouterr().out
    print_table(report)
    assert "Signs" not in capsys.readouterr().out


def test_a_reader_that_leaves_is_no_failure(study_root: Path, tmp_path: Path) -> None:
    """As `head` does: the command ends in silence, with the code that a shell gives for it."""
    shutil.copytree(study_root, tmp_path / "r")
    for command, whole in (("status", []), ("report", ["study=toy"])):
        process = subprocess.Popen(
            [sys.executable, "-m", f"hprune.{command}", *whole, f"paths.root={tmp_path}/r"],
            cwd=study_root.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate()
        assert process.returncode == 128 + signal.SIGPIPE, err
        assert "rror" not in err
        assert "interrupted" not in err
