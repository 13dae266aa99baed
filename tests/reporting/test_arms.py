"""Arms are never mixed up or lost, and are compared with those that share everything but the samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hprune.reporting.arms import arms_of, full_set_of, random_like_of, ticket_of
from hprune.reporting.comparisons import rows_of
from hprune.reporting.ledger import paid_back
from hprune.science.records import RunKey
from hprune.science.stats import holm
from hprune.storage.files import sha256_of_json
from hprune.storage.studies import StudyRun

SUBSETS: dict[str, dict[str, Any]] = {
    "full": {"rule": "everything"},
    "winning_ticket": {"rule": "m.by_value", "keep": "1..5", "scores": "x"},
    "random_like": {"rule": "m.random_like", "keep": "1..5", "scores": "x"},
    "random_stratified": {"rule": "m.random_like", "keep": "1..5", "balance": "share", "scores": "x"},
    "random_same_classes": {"rule": "m.random_same_classes", "keep": "1..5", "scores": "x"},
    "el2n": {"rule": "m.highest", "size": 30, "scores": "y"},
}


def run(
    name: str,
    seed: int,
    value: float,
    lr: float = 1.0,
    record: str = "train_pass",
    budget: str = "epochs",
    **subset: Any,
) -> dict[str, Any]:
    settings = {"optim": {"lr": lr}, "record": {"measured": record}, "subset": SUBSETS[name] | subset}
    settings["trainer"] = {"max_epochs": 3} | ({"budget": budget} if budget == "steps" else {})
    behind = {} if name == "full" else {"seeds": [1, 2], "epochs": 3, "scores": f"table-{settings['subset']['scores']}"}
    return {
        "key": {"task": "t", "model": "m", "subset": name, "seed": seed}, "settings": settings, "subset": behind,
        "samples": 100 if name == "full" else 30, "full_samples": 100, "cost": {"train_seconds": 1.0},
        "metrics": {"validation": {"accuracy": value, "loss": 1 - value}, "test": {"accuracy": value / 2}},
    }  # fmt: skip


def grouped(*manifests: dict[str, Any]) -> dict[str, Any]:
    paths = {Path(str(i)): manifest for i, manifest in enumerate(manifests)}
    runs = [
        StudyRun(RunKey(**m["key"]), "comparison", sha256_of_json(m["settings"]), path) for path, m in paths.items()
    ]
    return arms_of(runs, paths)


def test_arms_that_share_a_name_are_told_apart_by_what_differs() -> None:
    arms = grouped(
        run("winning_ticket", 1, 0.9), run("winning_ticket", 1, 0.9, keep="2..5"),
        run("winning_ticket", 1, 0.9, lr=2.0), run("winning_ticket", 1, 0.9, lr=2.0, scores="y"), run("full", 1, 0.9),
    )  # fmt: skip
    assert len(arms) == 5
    assert next(iter(arms)) == "full"
    assert any("subset.keep=2..5" in label for label in arms)
    assert any("optim.lr=2.0" in label and "table-y" in label for label in arms)


def test_tables_of_one_name_are_told_apart_by_their_runs() -> None:
    """As where a group of runs is the whole of another study, which trained on its table."""
    one, two = run("winning_ticket", 1, 0.9, scores="x"), run("winning_ticket", 1, 0.8, scores="y")
    one["subset"] |= {"scores": "h_score"}
    two["subset"] |= {"scores": "h_score", "seeds": [1, 2, 3]}
    assert set(grouped(one, two)) == {"winning_ticket [h_score of 2 runs]", "winning_ticket [h_score of 3 runs]"}


def test_no_arm_is_lost_when_labels_collide() -> None:
    one, two = run("winning_ticket", 1, 0.9, scores="x"), run("winning_ticket", 1, 0.8, scores="y")
    two["subset"]["scores"] = one["subset"]["scores"]
    assert len(grouped(one, two)) == 2


def test_the_reference_shares_everything_but_the_samples_and_how_they_are_recorded() -> None:
    manifests = [run("full", 1, 0.9), run("full", 1, 0.8, lr=2.0), run("winning_ticket", 1, 0.7, lr=2.0, record="both"),
                 run("random_like", 1, 0.6, lr=2.0), run("random_like", 1, 0.5)]  # fmt: skip
    arms = grouped(*manifests)
    full, random = full_set_of(manifests[2], arms), random_like_of(manifests[2], arms)
    assert full is not None
    assert random is not None
    assert arms[full][0] is manifests[1]
    assert arms[random][0] is manifests[3]
    ticket = ticket_of(manifests[3], arms)
    assert ticket is not None
    assert arms[ticket][0] is manifests[2]
    assert ticket_of(manifests[2], arms) is None
    assert ticket_of(manifests[4], arms) is None, "of other settings"
    assert full_set_of(manifests[0], arms) is None
    assert random_like_of(manifests[3], arms) is None


def test_only_plain_random_samples_are_the_random_arm() -> None:
    names = ("random_same_classes", "random_stratified", "random_like", "el2n", "winning_ticket", "full")
    arms = grouped(*(run(name, 1, 0.9) for name in names))
    assert list(arms) == ["full", "el2n", "winning_ticket", "random_same_classes", "random_stratified", "random_like"]
    assert {name: random_like_of(arm[0], arms) for name, arm in arms.items()} == {
        "full": None, "random_like": None,
        **dict.fromkeys(("el2n", "winning_ticket", "random_same_classes", "random_stratified"), "random_like"),
    }  # fmt: skip
    assert ticket_of(arms["random_same_classes"][0], arms) == "winning_ticket"
    without = {name: arm for name, arm in arms.items() if name != "random_like"}
    assert random_like_of(arms["winning_ticket"][0], without) is None, "given classes are no plain random subset"


def row_of(arms: Any, label: str, metric: str = "accuracy", eval_set: str = "validation", **options: Any) -> Any:
    rows = rows_of(arms, primary_metric="accuracy", margin=options.get("margin"))
    return next(row for row in rows if (row["label"], row["metric"], row["eval_set"]) == (label, metric, eval_set))


def test_scoring_is_paid_back_only_where_the_studys_runs_chose_what_is_faster() -> None:
    arms = grouped(
        run("full", 11, 0.9), run("winning_ticket", 11, 0.8), run("winning_ticket", 11, 0.8, budget="steps"),
        run("el2n", 11, 0.8), run("random_like", 11, 0.8, scores=""), run("random_same_classes", 11, 0.8),
    )  # fmt: skip
    scoring = [run("full", seed, 0.9) for seed in (1, 2)]
    for arm in arms.values():
        arm[0]["cost"] = {"train_seconds": 1.0 if arm[0]["samples"] == 100 else 0.3}
    arms["el2n"][0]["subset"]["seeds"] = []  # as of a score of texts
    paid = {label: paid_back(scoring, arm, arms, {"x", "y"}) for label, arm in arms.items()}
    found = {label: None if one is None else one.break_even for label, one in paid.items()}
    nothing = dict.fromkeys(arms)
    assert found == nothing | {"winning_ticket": 3}  # 2 runs, each later one saves 0.7 of one
    assert paid_back(scoring, arms["winning_ticket"], arms, {"y"}) is None, "another study's table"


def test_rows_pair_by_seed() -> None:
    arms = grouped(
        *(run("full", seed, 0.8 + seed / 100) for seed in (1, 2, 3)),
        *(run("winning_ticket", seed, 0.7 + seed / 90) for seed in (2, 3, 4)),
        *(run("random_like", seed, 0.6 + seed / 100) for seed in (2, 3)),
    )
    row = row_of(arms, "winning_ticket", "accuracy")
    assert row["difference"]["mean"] == pytest.approx(-0.1 + 2.5 / 90 - 2.5 / 100)
    assert row["difference"]["seeds"] == 2
    assert row["difference_to_random"]["mean"] == pytest.approx(0.1 + 2.5 / 90 - 2.5 / 100)
    assert (row["S"], row["E"], row["n"], row["fraction"]) == (2, 3, 30, 0.3)
    assert row["verdict"] == "worse"
    loss = row_of(arms, "winning_ticket", "loss")
    assert loss["verdict"] == "worse"
    assert loss["difference"]["mean"] > 0


def test_an_evaluation_set_that_not_every_run_has_is_left_out() -> None:
    manifests = [run("full", seed, 0.9) for seed in (1, 2)]
    del manifests[0]["metrics"]["test"]
    arms = grouped(*manifests)
    assert {row["eval_set"] for row in rows_of(arms, primary_metric="accuracy", margin=None)} == {"validation"}


def test_a_pair_is_tested_once() -> None:
    rng = np.random.default_rng(0)
    arms = ("full", "winning_ticket", "random_like", "el2n")
    for _ in range(20):
        runs = [run(arm, seed, 0.8 + float(rng.normal(0, 0.01))) for arm in arms for seed in range(6)]
        ticket, random = (row_of(grouped(*runs), arm, margin=0.01) for arm in arms[1:3])
        ours, theirs = ticket["difference_to_random"], random["difference_to_ticket"]
        assert (ours["to"], theirs["to"]) == ("random_like", "winning_ticket")
        assert [ours[end] for end in ("mean", "low", "high")] == [-theirs[end] for end in ("mean", "high", "low")]
        assert ours["p_holm"] == theirs["p_holm"]
        assert ours["equivalence"]["low"] == -theirs["equivalence"]["high"]
        turned = {"better": "worse", "worse": "better"}
        said = random["verdict_to_ticket"]
        assert ticket["verdict_to_random"] == turned.get(said, said)


def two_budgets() -> dict[str, Any]:
    runs = [run("full", seed, 0.8 + seed / 100) for seed in range(1, 7)]
    for budget, gain in (("epochs", -0.05), ("steps", -0.01)):
        for name, more in (("winning_ticket", 0.0), ("random_like", -0.02)):
            runs += [run(name, s, 0.8 + s / 100 + gain + more + 0.001 * (s % 3), budget=budget) for s in range(1, 7)]
    return grouped(*runs)


def test_budgets_are_arms_of_their_own_beside_the_same_full_set() -> None:
    arms = two_budgets()
    assert list(arms) == ["full", "winning_ticket", "random_like", "winning_ticket [steps]", "random_like [steps]"]
    for label in ("winning_ticket", "winning_ticket [steps]"):
        row = row_of(arms, label)
        assert row["budget"] == ("steps" if "steps" in label else "epochs")
        assert row["difference"]["mean"] == pytest.approx((-0.01 if "steps" in label else -0.05) + 0.001)
        assert row["difference_to_random"]["mean"] == pytest.approx(0.02), "of the same budget"
        other = row_of(arms, label.replace("winning_ticket", "random_like"))
        assert other["difference_to_ticket"]["mean"] == pytest.approx(-0.02)
        assert row["difference_to_ticket"] is None
    assert row_of(arms, "full")["budget"] == "all"


def test_a_family_is_the_arms_of_one_budget_and_the_margin_is_of_the_primary_metric() -> None:
    arms = two_budgets()
    row = row_of(arms, "winning_ticket", margin=0.02)
    other = row_of(arms, "random_like", margin=0.02)
    p_values = np.array([row["difference"]["p_value"], other["difference"]["p_value"]])
    assert [row["difference"]["p_holm"], other["difference"]["p_holm"]] == pytest.approx(holm(p_values).tolist())
    assert holm(p_values).sum() > p_values.sum()
    assert row["difference"]["equivalence"]["margin"] == 0.02
    assert row_of(arms, "winning_ticket", "loss", margin=0.02)["difference"]["equivalence"] is None
    assert row_of(arms, "winning_ticket", eval_set="test", margin=0.02)["difference"]["equivalence"]["margin"] == 0.02


def in_order(manifest: dict[str, Any], **order: str) -> dict[str, Any]:
    """A run as 0.1.0 made it; with an order, as later versions do."""
    return {**manifest, "settings": {**manifest["settings"], "data": {"batch_size": 16, **order}}}


def in_order_of_full_set(manifest: dict[str, Any]) -> dict[str, Any]:
    return in_order(manifest, order_from="full_set")


def test_arms_in_an_order_of_their_own_stand_beside_those_in_that_of_the_full_set() -> None:
    """0.1.0 drew an order for each subset: both stand beside the full set, and the random arm of their kind."""
    made = [
        run(name, seed, value) for name, value in (("winning_ticket", 0.7), ("random_like", 0.6)) for seed in (1, 2)
    ]
    before, since = [in_order(one) for one in made], [in_order_of_full_set(one) for one in made]
    arms = grouped(*before, *since, in_order(run("full", 1, 0.9)), in_order(run("full", 2, 0.9)))
    assert list(arms) == [
        "full", "winning_ticket", "winning_ticket [own order]", "random_like", "random_like [own order]",
    ]  # fmt: skip
    assert arms["winning_ticket"] == since[:2]
    assert arms["winning_ticket [own order]"] == before[:2]
    for manifest, kind in ((before[0], " [own order]"), (since[0], "")):
        assert full_set_of(manifest, arms) == "full"
        assert random_like_of(manifest, arms) == f"random_like{kind}"
    assert ticket_of(since[2], arms) == "winning_ticket"
    assert ticket_of(before[2], arms) == "winning_ticket [own order]"


def test_an_arm_is_beside_the_random_one_that_there_is() -> None:
    ticket, random = in_order_of_full_set(run("winning_ticket", 1, 0.7)), in_order(run("random_like", 1, 0.6))
    arms = grouped(ticket, random, in_order(run("full", 1, 0.9)))
    assert list(arms) == ["full", "winning_ticket", "random_like"], "each alone of its name"
    assert random_like_of(ticket, arms) == "random_like"
    assert ticket_of(random, arms) == "winning_ticket"


def test_the_order_is_named_beside_what_else_differs() -> None:
    arms = grouped(
        in_order(run("winning_ticket", 1, 0.9, keep="2..5")),
        in_order_of_full_set(run("winning_ticket", 1, 0.9)),
        in_order_of_full_set(run("winning_ticket", 1, 0.9, budget="steps")),
    )
    assert set(arms) == {
        "winning_ticket [subset.keep=2..5, own order]", "winning_ticket [subset.keep=1..5]",
        "winning_ticket [subset.keep=1..5, steps]",
    }  # fmt: skip
