"""Arms of a study: as large as the winning ticket whatever they are chosen by, in one budget or in both."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hprune.science.select import highest
from hprune.science.subset import SubsetSpec
from hprune.storage.runs import read_manifest
from hprune.storage.scores import load_scores
from hprune.storage.studies import runs_of
from hprune.tickets import by_tables

Command = Callable[..., "tuple[int, str, str]"]
BATCH, EPOCHS = 16, 2  # of the fixture
TICKET = ("arms.winning_ticket.keep=0..1", "arms.winning_ticket.allow_missing_class=true")
RANDOM = ("arms.random_like.keep=0..1", "arms.random_like.allow_missing_class=true")
HIGHEST = (
    "+subset@arms.highest=highest", "arms.highest.keep=0..1", "arms.highest.sized_by=h_score",
    "arms.highest.allow_missing_class=true",
)  # fmt: skip


def test_arms_are_as_large_as_the_ticket_and_trained_in_both_budgets(
    tiny: list[str], run_command: Command, tmp_path: Path
) -> None:
    options = [*tiny, *TICKET, *RANDOM, *HIGHEST, "comparison.budgets=[epochs,steps]", "comparison.margin=0.02"]
    code, _, err = run_command("study", *options, f"paths.root={tmp_path}", "study=s")
    assert code == 0, err
    runs = [read_manifest(run.path) for run in runs_of(tmp_path, "s", "comparison")]
    seen = {}
    for run in runs:
        budget = run["settings"]["trainer"].get("budget", "epochs")
        seen.setdefault((run["key"]["subset"], budget), []).append(run)
        assert run["config"]["comparison"] == {"margin": 0.02}
    seeds = len(runs) // 7
    assert {arm: len(group) for arm, group in seen.items()} == {
        ("full", "epochs"): seeds,
        **{
            (arm, budget): seeds
            for arm in ("winning_ticket", "random_like", "highest")
            for budget in ("epochs", "steps")
        },
    }
    sizes = {run["samples"] for (arm, _), group in seen.items() if arm != "full" for run in group}
    assert len(sizes) == 1
    full = seen["full", "epochs"][0]
    assert sizes < set(range(1, full["samples"]))
    for (_, budget), group in seen.items():
        samples = full["samples"] if budget == "steps" else group[0]["samples"]
        assert {run["cost"]["steps"] for run in group} == {EPOCHS * math.ceil(samples / BATCH)}
    random = seen["random_like", "epochs"][0]["settings"]["subset"]
    assert random == {"rule": "hprune.science.select.random_like", "size": sizes.pop(), "scores": ""}


@pytest.fixture(scope="module")
def by_classes(
    tmp_path_factory: pytest.TempPathFactory, tiny: list[str], run_command: Command
) -> tuple[Path, list[str], str]:
    """A study with arms of given classes, by the tables of two and of three runs: its root, options and output."""
    root = tmp_path_factory.mktemp("classes")
    names = ("winning_ticket", "random_like", "random_same_classes", "random_stratified", "winning_ticket_stratified")
    options = [f"+subset@arms.{name}={name}" for name in names[2:]]
    options += ["+subset@arms.matched=random_same_classes", "arms.matched.name=matched", "arms.matched.balance=share"]
    options += [f"arms.{name}.keep=0..1" for name in (*names, "matched")]
    options += [f"arms.{name}.allow_missing_class=true" for name in names[:3]]
    options += ["trainer.max_epochs=1", "sensitivity.runs=[2,3]", "sensitivity.retrain=all"]
    options = [*tiny, *options, f"paths.root={root}", "study=s"]
    code, out, err = run_command("study", *options)
    assert code == 0, err
    return root, options, out


def classes_of(run: dict[str, Any]) -> dict[str, int]:
    return {name: kept for name, (kept, _) in run["subset"]["label"].items()}


def have_shares(run: dict[str, Any]) -> bool:
    """Whether the classes of a run have the shares of the full set, to within one sample."""
    every = {name: sum(pair) for name, pair in run["subset"]["label"].items()}
    wanted = {name: run["samples"] * count / run["full_samples"] for name, count in every.items()}
    return all(abs(count - wanted[name]) < 1 for name, count in classes_of(run).items())


def test_arms_have_the_classes_of_the_ticket_or_of_all(by_classes: tuple[Path, list[str], str]) -> None:
    chosen: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in runs_of(by_classes[0], "s", "comparison"):
        manifest = read_manifest(run.path)
        behind = manifest["subset"].get("scores") or str(manifest["samples"])  # random arms have the size alone
        chosen.setdefault((run.key.subset, behind), []).append(manifest)
    tables = {table for arm, table in chosen if arm == "winning_ticket"}
    assert tables == {"h_score", "h_score-S2"}
    for table in tables:
        ticket = chosen["winning_ticket", table][0]
        same = chosen["random_same_classes", table]
        assert [classes_of(run) for run in same] == [classes_of(ticket)] * 2, "of each table its own counts"
        assert all(map(have_shares, chosen["random_stratified", str(ticket["samples"])]))
        thin = [*chosen["winning_ticket_stratified", table], *chosen["matched", table]]
        assert len({str(classes_of(run)) for run in thin}) == 1
        assert all(map(have_shares, thin))
        assert all(count <= classes_of(ticket)[name] for name, count in classes_of(thin[0]).items())


def test_random_arms_of_given_classes_are_compared_with_the_plain_one(by_classes: tuple[Path, list[str], str]) -> None:
    report = json.loads((by_classes[0] / "studies/s/report.json").read_text())
    gaps = {row["label"]: row["difference_to_random"] for row in report["rows"]}
    compared = ("random_same_classes", "random_stratified", "winning_ticket [")
    arms = [gap for label, gap in gaps.items() if label.startswith(compared)]
    assert len(arms) == 6
    assert all(gap["to"].startswith("random_like") for gap in arms)
    assert not any(gap for label, gap in gaps.items() if label.startswith(("random_like", "full")))
    paid = {arm["label"]: arm["pay_back"] for arm in report["cost"]["arms"]}
    assert not any(paid[label] for label in paid if label.startswith(("random", "matched")))
    assert "random_same_classes: as many of each class as the ticket has" in " ".join(by_classes[2].split())


def test_a_plan_knows_arms_of_given_classes(by_classes: tuple[Path, list[str], str], run_command: Command) -> None:
    code, out, err = run_command("plan", *by_classes[1])
    assert code == 0, err
    assert "Every run is complete" in out


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("comparison.budgets=[]", "comparison.budgets must be a list of epochs and steps, such as [epochs, steps]"),
        ("comparison.budgets=epochs", "such as [epochs, steps], got 'epochs'"),
        ("comparison.budgets=[steps,steps]", "such as [epochs, steps], got ['steps', 'steps']"),
        ("comparison.budgets=[hours]", "such as [epochs, steps], got ['hours']"),
        ("comparison.margin=0", "comparison.margin must be a number above 0 and below 1, in the metric's own unit"),
        ("comparison.margin=1", "(0.01 is one point of accuracy), or auto, got 1"),
        ("comparison.margin=wide", "(0.01 is one point of accuracy), or auto, got 'wide'"),
        ("score.measured=eval_pass", "score h_score is to be measured by eval_pass, but the scoring runs record"),
        ("scores.aum.measured=out_of_fold", "record train_pass: leave its measured null, or set data.folds=5"),
        ("arms.full.balance=share", "subset.balance=share shares out a size, but subset 'full' keeps every sample"),
        ("trainer.budget=hours", "trainer.budget must be epochs or steps, got 'hours'"),
        ("scores=null", "scores must hold keys of its own"),
        ("arms.winning_ticket.balance=both", "subset.balance must be share, equal or null, got 'both'"),
        ("arms.winning_ticket.sized_by=3", "subset.sized_by must be the name of a score table, or a file, got 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_line(
    tiny: list[str], run_command: Command, tmp_path: Path, option: str, message: str
) -> None:
    code, _, err = run_command("study", *tiny, f"paths.root={tmp_path}", "study=s", option)
    assert code == 1
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_a_score_keeps_the_way_and_the_runs_that_it_names(
    tiny: list[str], run_command: Command, tmp_path: Path
) -> None:
    options = [*tiny, *TICKET, "~arms.random_like", "+subset@arms.el2n=el2n", "record=both", "comparison.seeds=[11]"]
    options += ["arms.el2n.keep=0..1", "arms.el2n.allow_missing_class=true"]
    options += ["scores.el2n.measured=eval_pass", "scores.aum.seeds=[1]"]
    code, _, err = run_command("study", *options, f"paths.root={tmp_path}", "study=s")
    assert code == 0, err
    tables = tmp_path / "studies" / "s" / "scores"
    assert not (tables / "el2n.parquet").exists()
    assert load_scores(tables / "aum.parquet").seeds == (1,)
    el2n, h_score = (load_scores(tables / f"{name}.parquet") for name in ("el2n-eval_pass", "h_score"))
    chosen = {run.key.subset: read_manifest(run.path) for run in runs_of(tmp_path, "s", "comparison")}
    assert chosen["el2n"]["settings"]["subset"]["scores"] == el2n.digest
    assert chosen["winning_ticket"]["settings"]["subset"]["scores"] == h_score.digest


def test_tables_are_found_by_the_names_of_their_scores() -> None:
    def found(own: str, tables: dict[str, str]) -> tuple[str | None, str | None]:
        subset = by_tables(SubsetSpec("s", highest, scores=None, sized_by="h_score"), own, tables)
        return subset.scores, subset.sized_by

    assert found("h_score-S4", {"h_score": "h_score-S4", "aum": "aum-S4"}) == ("h_score-S4", "h_score-S4")
    assert found("soft_h", {"soft_h": "soft_h", "h_score": "h_score-E2"}) == ("soft_h", "h_score-E2")
    assert found("own_h", {"own_h": "own_h"}) == ("own_h", "own_h"), "the only one that keep-sets can count in"


def test_a_size_that_another_table_gives_names_the_table_that_is_missing(
    tiny: list[str], run_command: Command, tmp_path: Path
) -> None:
    options = [*tiny, f"paths.root={tmp_path}", "study=s", "subset=random_like", "seed=11"]
    code, _, err = run_command("train", *options)
    assert code == 1
    assert "subset 'random_like' needs the score table" in err
    assert (
        f"python -m hprune.score study=s paths.root={tmp_path}, or name another with subset.sized_by=NAME or FILE"
        in err
    )
    code, _, err = run_command("train", *options, "subset.keep=null", "subset.fraction=0.5")
    assert code == 0, "without a keep-set no score is needed"
    code, _, err = run_command("train", *options, "subset.scores=null", "subset.keep=null", "subset.size=10000")
    assert code == 1
    assert "subset.size must lie in 1..160, the number of samples, got 10000" in err


def test_a_score_that_cannot_be_made_is_left_out_unless_an_arm_needs_it(
    tiny: list[str], run_command: Command, tmp_path: Path
) -> None:
    options = [*tiny, "scoring.seeds=[1]", "trainer.max_epochs=1", f"paths.root={tmp_path}", "study=s"]
    options += ["~arms.winning_ticket", "~arms.random_like"]
    code, out, err = run_command("study", *options)
    assert code == 0, err
    assert "the score table ambiguous was not made, and no arm needs it: ddof must be a whole number" in out + err
    half = ["arms.ambiguous.keep=null", "arms.ambiguous.fraction=0.5"]  # the ticket of one run is empty
    code, _, err = run_command("study", *options, "+subset@arms.ambiguous=ambiguous", *half)
    assert code == 1
    assert "score ambiguous: ddof must be a whole number from 0, below the 1 values that each sample has" in err
