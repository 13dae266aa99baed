"""Several tickets: arms are told apart by them, and the method is judged over them; against the analysis by hand."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from hprune.reporting.answer import headline
from hprune.reporting.arms import arms_of, random_like_of
from hprune.reporting.comparisons import rows_of
from hprune.reporting.methods import methods_of
from hprune.reporting.page import render_page
from hprune.reporting.predicted import Predictions
from hprune.reporting.terminal import print_table
from hprune.reporting.ticket_plan import ticket_plan
from hprune.reporting.wording import notes
from hprune.science.crossed import crossed
from hprune.science.records import RunKey
from hprune.science.stats import holm
from hprune.science.tickets import over_tickets
from hprune.storage.files import sha256_of_file, sha256_of_json, write_json, write_table
from hprune.storage.plan_file import PlannedTicket
from hprune.storage.studies import StudyRun
from tests.reporting.conftest import REPORT

N, SEEDS = 400, (11, 12, 13, 14, 15, 16)
TICKETS = ((1, 2), (3, 4), (5, 6))
LABELS = np.arange(N) % 2
RULES = {"full": "everything", "winning_ticket": "by_value", "random_like": "hprune.science.select.random_like"}
CHANCES = {"full": 0.92, "winning_ticket": 0.84, "random_like": 0.75}


PLAN = [PlannedTicket(group, SEEDS[2 * t : 2 * t + 2]) for t, group in enumerate(TICKETS)]


def ticket_of(seed: int) -> int:
    return SEEDS.index(seed) // 2


def right(arm: str, seed: int) -> NDArray[np.bool_]:
    return np.asarray(np.random.default_rng([seed, len(arm)]).random(N) < CHANCES[arm] - 0.01 * ticket_of(seed))


def run(folder: Path, arm: str, seed: int, predicts: bool = True) -> dict[str, Any]:
    answers = np.where(right(arm, seed), LABELS, 1 - LABELS)
    path = folder / f"{arm}-{seed}"
    path.mkdir(parents=True)
    file = path / "predictions.validation.parquet"
    if predicts:
        write_table(file, pa.table({"sample_id": np.arange(N), "label": LABELS, "pred": answers}))
    key = {"task": "t", "model": "m", "subset": arm, "seed": seed}
    subset = {"rule": RULES[arm]} | ({} if arm == "full" else {"scores": f"{ticket_of(seed)}" * 64})
    settings = {"subset": subset, "trainer": {"max_epochs": 2}}
    write_json(path / "run.json", {"key": key, "settings": settings, "settings_hash": sha256_of_json(settings),
                                   "files": {file.name: sha256_of_file(file)} if predicts else {}})  # fmt: skip
    value = float(right(arm, seed).mean())
    size = 1000 if arm == "full" else 300 + (50 if ticket_of(seed) == 2 else 0)  # two tickets are equally large
    return {
        "key": key, "settings": settings, "folder": path, "label_names": ["no", "yes"], "samples": size,
        "full_samples": 1000, "primary_metric": "accuracy", "data_hash": "d", "cost": {"train_seconds": 1.0},
        "subset": {} if arm == "full" else {"scores": "h_score", "seeds": list(TICKETS[ticket_of(seed)]), "epochs": 2},
        "metrics": {"validation": {"accuracy": value, "loss": 1 - value}},
        "config": {"task": {}}, "ticket": TICKETS[ticket_of(seed)],
    }  # fmt: skip


def study(
    folder: Path, runs: Sequence[tuple[str, int]] | None = None, planned: Any = PLAN, **options: Any
) -> dict[str, Any]:
    made = [run(folder, arm, seed, **options) for arm, seed in runs or [(arm, s) for arm in RULES for s in SEEDS]]
    manifests = {manifest["folder"]: manifest for manifest in made}
    listed = [
        StudyRun(RunKey(**m["key"]), "comparison", sha256_of_json(m["settings"]), path) for path, m in manifests.items()
    ]
    return arms_of(listed, manifests, ticket_plan(planned))


def gaps(arm: str, other: str, seeds: Sequence[int] = SEEDS) -> list[NDArray[np.float64]]:
    """By ticket, (K, n) each."""
    tables = []
    for ticket in range(len(TICKETS)):
        own = [seed for seed in seeds if ticket_of(seed) == ticket]
        tables.append(np.stack([right(arm, seed).astype(float) - right(other, seed) for seed in own]))
    return tables


def methods(arms: Any, planned: Any = PLAN, margin: float = 0.02) -> list[dict[str, Any]]:
    return methods_of(arms, ticket_plan(planned), primary_metric="accuracy", margin=margin)


def row_of(rows: Sequence[dict[str, Any]], label: str, to: str = "full", metric: str = "accuracy") -> dict[str, Any]:
    (row,) = (row for row in rows if (row["label"], row["to"], row["metric"]) == (label, to, metric))
    return row


def test_arms_of_tickets_are_called_by_them_and_the_full_set_is_one_arm(tmp_path: Path) -> None:
    arms = study(tmp_path)
    own = [f"{arm} (ticket {t})" for arm in ("winning_ticket", "random_like") for t in (1, 2, 3)]
    assert list(arms) == ["full", *own]
    for label, arm in arms.items():
        expected = SEEDS if label == "full" else SEEDS[2 * int(label[-2]) - 2 : 2 * int(label[-2])]
        assert tuple(run["key"]["seed"] for run in arm) == expected
        if label.startswith("winning"):  # tickets 1 and 2 are equally large
            assert random_like_of(arm[0], arms) == label.replace("winning_ticket", "random_like")


def test_the_method_is_tickets_by_examples(tmp_path: Path) -> None:
    rows = methods(study(tmp_path))
    assert {(row["label"], row["to"]) for row in rows} == {
        ("winning_ticket", "full"), ("random_like", "full"), ("winning_ticket", "random_like")
    }  # fmt: skip
    for label, to in (("winning_ticket", "full"), ("random_like", "full"), ("winning_ticket", "random_like")):
        expected, components = over_tickets(gaps(label, to))
        row = row_of(rows, label, to)
        assert [row["mean"], row["low"], row["high"]] == pytest.approx([expected.mean, *expected.interval()])
        assert [row["p_value"], row["df"], row["error"]] == pytest.approx(
            [expected.p_value, expected.df, expected.error]
        )
        assert (row["tickets"], row["seeds"], row["examples"], row["seeds_by_ticket"]) == (3, 6, N, [2, 2, 2])
        assert row["components"] == pytest.approx(vars(components))
        for ticket, own in enumerate(row["by_ticket"]):
            assert own["scoring_seeds"] == list(TICKETS[ticket])
            assert own["seeds"] == list(SEEDS[2 * ticket : 2 * ticket + 2])
            alone = crossed(gaps(label, to)[ticket])
            assert [own["mean"], own["low"], own["high"]] == pytest.approx([alone.mean, *alone.interval()])


def test_arms_of_a_method_are_corrected_as_one_family(tmp_path: Path) -> None:
    rows = methods(study(tmp_path))
    family = [row_of(rows, arm) for arm in ("winning_ticket", "random_like")]
    assert [row["p_holm"] for row in family] == pytest.approx(
        holm(np.array([row["p_value"] for row in family])).tolist()
    )
    assert (
        row_of(rows, "winning_ticket", "random_like")["p_holm"]
        == row_of(rows, "winning_ticket", "random_like")["p_value"]
    )
    assert family[0]["equivalence"]["margin"] == 0.02
    assert row_of(rows, "winning_ticket", metric="loss")["equivalence"] is None
    assert row_of(rows, "random_like")["verdict"] == "worse"
    assert row_of(rows, "random_like", metric="loss")["verdict"] == "worse", "a higher loss"


def test_without_predictions_it_is_tickets_alone(tmp_path: Path) -> None:
    rows = methods(study(tmp_path, predicts=False))
    expected, _ = over_tickets([table.mean(axis=1, keepdims=True) for table in gaps("winning_ticket", "full")])
    for row in (
        row_of(rows, "winning_ticket"),
        row_of(methods(study(tmp_path / "b")), "winning_ticket", metric="loss"),
    ):
        sign = -1 if row["metric"] == "loss" else 1
        assert (row["examples"], row["components"]["example"], row["df"]) == (None, None, expected.df)
        assert sign * row["mean"] == pytest.approx(expected.mean)
        assert row["p_value"] == pytest.approx(expected.p_value)


def test_runs_that_are_missing_leave_an_honest_row_and_a_note(tmp_path: Path) -> None:
    there = [(arm, seed) for arm in RULES for seed in SEEDS if (arm, seed) != ("winning_ticket", 12)]
    rows = methods(study(tmp_path / "a", there))
    row = row_of(rows, "winning_ticket")
    left = [seed for seed in SEEDS if seed != 12]
    assert row["seeds_by_ticket"] == [1, 2, 2]
    assert row["p_value"] == pytest.approx(over_tickets(gaps("winning_ticket", "full", left))[0].p_value)
    assert any(
        "unequal numbers of seeds (winning_ticket 1, 2, 2)" in note for note in notes({**REPORT, "methods": rows})
    )
    two = [(arm, seed) for arm in RULES for seed in SEEDS[:4]]
    rows = methods(study(tmp_path / "b", two))
    assert row_of(rows, "winning_ticket")["tickets"] == 2
    told = " ".join(notes({**REPORT, "methods": rows}))
    assert "Not every planned ticket has runs of winning_ticket, random_like yet" in told
    assert "Two tickets say little" in told
    assert methods(study(tmp_path / "c", [(arm, seed) for arm in RULES for seed in SEEDS[:2]])) == []


def planned(*tickets: tuple[Sequence[int], Sequence[int]]) -> list[PlannedTicket]:
    return [PlannedTicket(tuple(scoring), tuple(comparison)) for scoring, comparison in tickets]


@pytest.mark.parametrize(
    "plan",
    [[], planned(((1, 2), SEEDS)), planned(((7, 8), SEEDS[:3]), ((9, 10), SEEDS[3:])),
     planned(*((group, (1, 2)) for group in TICKETS))],
)  # fmt: skip
def test_without_a_plan_of_several_tickets_there_is_no_method(tmp_path: Path, plan: Any) -> None:
    """None, one, tickets of other scoring runs, and with other seeds."""
    arms = study(tmp_path, planned=plan)
    assert methods(arms, plan) == []
    assert len([label for label in arms if label.startswith("winning_ticket")]) == 3


def test_an_arm_of_no_ticket_is_an_arm_of_its_own(tmp_path: Path) -> None:
    """Such as that of a cell with some of the ticket's runs, or of the study before it had several tickets."""
    made = [run(tmp_path, arm, seed) for arm in RULES for seed in SEEDS]
    others = [{**run(tmp_path / "other", "random_like", seed), "ticket": ()} for seed in SEEDS]
    for one in others:
        one["settings"]["subset"] = {"rule": RULES["random_like"], "size": 77}
    manifests = {manifest["folder"]: manifest for manifest in (*others, *made)}
    listed = [
        StudyRun(RunKey(**m["key"]), "comparison", sha256_of_json(m["settings"]), path) for path, m in manifests.items()
    ]
    arms = arms_of(listed, manifests, ticket_plan(PLAN))
    assert [label for label in arms if "77" not in label and label.startswith("random")] == [
        "random_like", *(f"random_like (ticket {t})" for t in (1, 2, 3))
    ]  # fmt: skip
    expected, _ = over_tickets(gaps("random_like", "full"))
    assert row_of(methods(arms), "random_like")["mean"] == pytest.approx(expected.mean)


def test_tickets_of_one_size_are_told_apart(tmp_path: Path) -> None:
    made = [run(tmp_path, arm, seed) for arm in RULES for seed in SEEDS]
    for one in made:
        one["settings"]["subset"] = {"rule": RULES[one["key"]["subset"]]}  # as of random ones that are equally large
    manifests = {manifest["folder"]: manifest for manifest in made}
    listed = [
        StudyRun(RunKey(**m["key"]), "comparison", sha256_of_json(m["settings"]), path) for path, m in manifests.items()
    ]
    arms = arms_of(listed, manifests, ticket_plan(PLAN))
    assert [len(arm) for arm in arms.values()] == [6, 2, 2, 2, 2, 2, 2]
    assert row_of(methods(arms), "random_like")["tickets"] == 3


def full_report(tmp_path: Path) -> dict[str, Any]:
    arms = study(tmp_path)
    predictions = Predictions(arms)
    report = copy.deepcopy(REPORT)
    report["rows"] = rows_of(arms, primary_metric="accuracy", margin=0.02, predictions=predictions)
    report["methods"] = methods(arms)
    report["cost"]["arms"] = []
    return report | {"examples": [], "slices": []}


def test_the_method_is_what_the_report_says_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = full_report(tmp_path)
    sentences = headline(report)
    row = row_of(report["methods"], "winning_ticket")
    assert sentences[0].startswith(
        "The method, over 3 winning tickets of 2 scoring runs each, which keep 30% to 35% of 1,500 samples: "
        f"accuracy on validation is worse than with full training (difference {100 * row['mean']:+.1f} points, "
    )
    assert sentences[0].endswith("3 tickets, 6 seeds, 400 examples).")
    assert sentences[1].startswith("Over the tickets it is better than training on as many samples drawn at random")
    assert sentences[2].startswith("Each ticket by itself, beside full training: ")
    assert sentences[2].count("points (") == 3
    row["label"] = "winning_ticket [steps]"
    assert "3 winning tickets of 2 scoring runs each at equal steps, which keep" in headline(report)[0]
    row["label"] = "winning_ticket [optim.lr=1e-05, steps]"
    assert "2 scoring runs each [optim.lr=1e-05] at equal steps, which keep" in headline(report)[0]
    row["label"] = "winning_ticket"
    page = render_page(report)
    assert (
        page.index(sentences[0][:40]) < page.index("The method, over tickets") < page.index("winning_ticket (ticket 1)")
    )
    print_table(report)
    text = capsys.readouterr().out
    assert text.index("The method, over tickets: Accuracy on validation, in points") < text.index("(ticket 1)")
    assert all(len(line) <= 100 for line in text.splitlines())


def test_differences_say_what_they_are_over(tmp_path: Path) -> None:
    report = full_report(tmp_path)
    row = next(
        row for row in report["rows"] if row["label"] == "winning_ticket (ticket 2)" and row["metric"] == "accuracy"
    )
    gap = row["difference"]
    expected = crossed(gaps("winning_ticket", "full")[1])
    assert [gap["p_value"], gap["error"], gap["df"]] == pytest.approx([expected.p_value, expected.error, expected.df])
    assert gap["test"] == f"paired t test over 2 seeds and {N} examples, two-sided"
    turned, back = row["difference_to_random"], next(
        other["difference_to_ticket"] for other in report["rows"]
        if other["label"] == "random_like (ticket 2)" and other["metric"] == "accuracy"
    )  # fmt: skip
    assert turned["over_seeds"]["low"] == -back["over_seeds"]["high"]
    assert turned["p_welch"] == back["p_welch"]
    assert any("account for the chance of the seeds and of the evaluation examples" in note for note in notes(report))
    for row in report["rows"]:
        if row["difference"]:
            row["difference"] |= {"examples": None}
    assert any("a difference is over seeds alone" in note for note in notes(report))
