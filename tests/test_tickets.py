"""Several winning tickets in one study: who scores, who compares, by which tables; and what cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from hprune.command import CONF
from hprune.composition import Composed, composed
from hprune.storage.runs import read_manifest
from hprune.storage.scores import load_scores
from hprune.storage.studies import runs_of
from hprune.tickets import ticket_groups

Command = Callable[..., "tuple[int, str, str]"]
SCORING = "scoring.seeds=[1,2,3,4]"
TWO = (SCORING, "comparison.tickets=[[1,2],[3,4]]", "comparison.seeds=[11,12,13,14]")
LOOSE = tuple(f"arms.{arm}.{key}" for arm in ("winning_ticket", "random_like")
              for key in ("keep=0..1", "allow_missing_class=true"))  # fmt: skip


def study_of(*options: str) -> Composed:
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        return composed(compose("study", overrides=list(options)))


def test_a_number_deals_out_the_scoring_seeds_and_groups_are_kept_as_they_are() -> None:
    assert ticket_groups(None, [1, 2, 3]) == []
    assert ticket_groups(2, [5, 1, 3, 2]) == [[5, 1], [3, 2]]
    assert ticket_groups([[1, 3], [2, 4]], [1, 2, 3, 4, 5]) == [[1, 3], [2, 4]]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (4, "comparison.tickets=4 deals out 6 scoring.seeds, two or more to each ticket and as many to all: give 8"),
        (5, "give 10 of them, or the groups"),
        (1, "comparison.tickets must be"),
        (True, "comparison.tickets must be null, a number from 2, or groups"),
        ("two", "or groups of scoring seeds, as in \\[\\[1, 2, 3\\], \\[4, 5, 6\\]\\], got 'two'"),
        ([], "got \\[\\]"),
        ([1, 2], "comparison.tickets must be a list of whole numbers"),
        (
            [[1, 2], [2, 3]],
            "must share no scoring run, as tickets that do are not independent: \\[2\\] stand in several",
        ),
        ([[1, 2], [3]], "a winning ticket needs two scoring runs or more, comparison.tickets has \\[3\\]"),
        (
            [[1, 2], [7, 8]],
            "names the scoring runs \\[7, 8\\], but scoring.seeds are \\[1, 2, 3, 4, 5, 6\\]: list them",
        ),
    ],
)
def test_what_is_no_group_of_scoring_runs_is_refused(asked: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ticket_groups(asked, [1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize(
    "options",
    [
        ["comparison.tickets=4"],
        ["comparison.tickets=5", "comparison.seeds=[11,12]"],
        ["comparison.tickets=2", "scoring.seeds=[1,2,3,107,108]"],
        ["comparison.tickets=1"],
        ["comparison.tickets=[[1,2],[2,3]]"],
        ["comparison.tickets=[[1,2,3],[4,5,6],[1,4]]"],
        ["comparison.tickets=[[1,2],[3]]"],
        ["comparison.tickets=[[1,2],[7,8]]"],
        ["comparison.tickets=3", "comparison.seeds=[11,12,13,14]"],
        ["comparison.tickets=3", "comparison.seeds=[101,102]"],
    ],
)
def test_the_overrides_that_a_message_gives_make_a_study(options: list[str], tiny: list[str]) -> None:
    """At once: no second round of errors; and each ticket has the seeds for a verdict of its own."""
    with pytest.raises(ValueError, match="comparison") as refused:
        study_of(*tiny, "scoring.seeds=[1,2,3,4,5,6]", "comparison.seeds=[101,102,103,104,105,106]", *options)
    given = re.findall(r"(?:scoring|comparison)\.(?:seeds|tickets)=\[[\d,\[\]]+\]", str(refused.value))
    assert given
    made = study_of(
        *tiny, "scoring.seeds=[1,2,3,4,5,6]", "comparison.seeds=[101,102,103,104,105,106]", *options, *given
    )
    assert made.tickets
    assert all(len(ticket.scoring) >= 2 and len(ticket.comparison) >= 2 for ticket in made.tickets)
    assert not set(made.scoring) & set(made.comparison)


def test_a_single_group_is_a_ticket_that_others_can_stand_beside(tiny: list[str]) -> None:
    made = study_of(*tiny, "scoring.seeds=[1,2,3]", "comparison.tickets=[[1,2,3]]", "comparison.seeds=[11,12]")
    assert [(ticket.scoring, ticket.comparison) for ticket in made.tickets] == [((1, 2, 3), (11, 12))]
    assert made.tickets[0].score.table == "h_score-seeds1+2+3"


def test_each_ticket_has_its_tables_and_its_seeds(tiny: list[str]) -> None:
    options = ["+subset@arms.el2n=el2n", "+subset@arms.random_same_classes=random_same_classes"]
    made = study_of(*tiny, *TWO, *options, "comparison.budgets=[epochs,steps]")
    runs = made.comparison_runs()
    arms = {(run.subset.name, run.subset.scores, run.subset.sized_by, run.trainer.budget, run.seed) for run in runs}
    own = {(11, 12): "seeds1+2", (13, 14): "seeds3+4"}
    expected = {("full", "h_score-" + name, None, "epochs", seed) for seeds, name in own.items() for seed in seeds}
    for seeds, name in own.items():
        table = f"h_score-{name}"
        for seed in seeds:
            for budget in ("epochs", "steps"):
                expected |= {
                    ("winning_ticket", table, None, budget, seed),
                    ("random_same_classes", table, None, budget, seed),
                    ("random_like", table, table, budget, seed),
                    ("el2n", f"el2n-{name}", table, budget, seed),
                }
    assert arms == expected
    assert len(runs) == len(arms)
    assert {run.seed for run in made.scoring_runs()} == {1, 2, 3, 4}
    assert [ticket.score.seeds for ticket in made.tickets] == [[1, 2], [3, 4]]
    assert all(run.config["comparison"]["tickets"] == [[1, 2], [3, 4]] for run in runs)
    assert all(run.config["comparison"]["seeds"] == [11, 12, 13, 14] for run in runs)


def test_a_later_ticket_leaves_the_runs_of_the_first_what_they_are(tiny: list[str]) -> None:
    one = study_of(*tiny, "scoring.seeds=[1,2]", "comparison.tickets=[[1,2]]", "comparison.seeds=[11,12]")
    two = study_of(*tiny, *TWO)

    def named(made: Composed) -> list[tuple[object, ...]]:
        return [(run.subset.name, run.subset.scores, run.subset.sized_by, run.seed) for run in made.comparison_runs()]

    assert named(one) == named(two)[: len(named(one))]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("comparison.seeds=[11,12,13]",), "comparison.seeds"),
        (("score.runs=2",), "comparison.tickets says which runs score: leave score.runs=2 null"),
        (("scoring.stop_when.open_share=0.1",), "leave scoring.stop_when.open_share null"),
        (("arms.winning_ticket.keep=1..4",), "arm winning_ticket by h_score, of 2 scoring runs"),
    ],
)
def test_what_does_not_go_with_tickets_is_refused(tiny: list[str], options: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        study_of(*tiny, *TWO, *options)


def test_a_study_of_two_tickets(tiny: list[str], run_command: Command, tmp_path: Path) -> None:
    code, out, err = run_command("study", *tiny, *TWO, *LOOSE, f"paths.root={tmp_path}", "study=s")
    assert code == 0, err
    assert "4 scoring runs, then 12 comparison runs of 3 arms x 4 seeds, dealt out to 2 tickets" in err
    assert "arm winning_ticket, ticket 2, seed 13" in out + err
    tables = {
        group: load_scores(tmp_path / "studies/s/scores" / f"h_score-seeds{group}.parquet") for group in ("1+2", "3+4")
    }
    for run in runs_of(tmp_path, "s", "comparison"):
        manifest, group = read_manifest(run.path), "1+2" if run.key.seed in (11, 12) else "3+4"
        assert manifest["config"]["comparison"]["tickets"] == [[1, 2], [3, 4]]
        if run.key.subset == "winning_ticket":
            assert manifest["settings"]["subset"]["scores"] == tables[group].digest
    code, _, err = run_command("report", f"paths.root={tmp_path}", "study=s", "judge=true")
    assert code == 0, err
    assert [line for line in err.splitlines() if "without a judge" in line and "is not pre-trained" in line]


def test_what_reads_the_stored_config_of_such_a_study_goes_on(
    tiny: list[str], hub: Path, run_command: Command, tmp_path: Path
) -> None:
    """A report with a judge, export and triage of windows, as of any other study."""
    options = [
        "task=squad_v2",
        f"task.data_dir={hub / 'squad_v2'}",
        "data.max_length=40",
        "task.kind.stride=8",
        "comparison.margin=0.01",
    ]
    own = [one for one in tiny if not one.startswith("task")]
    place = (f"paths.root={tmp_path / 'root'}", "study=s")
    code, _, err = run_command("study", *own, *options, *TWO, *LOOSE, "trainer.max_epochs=1", *place)
    assert code == 0, err
    code, _, err = run_command("report", *place, "judge=true")
    assert code == 0, err
    assert len([line for line in err.splitlines() if "without a judge" in line]) == 1
    assert "without classes" not in err
    assert (tmp_path / "root/studies/s/report.html").exists()
    for command, out in (("export", "kept.parquet"), ("triage", "sheet.csv")):
        more = ["subset=winning_ticket", "subset.keep=0..1", "subset.allow_missing_class=true"]
        more += ["subset.scores=h_score-seeds1+2"] if command == "export" else []
        code, _, err = run_command(command, *place, f"out={tmp_path / out}", *(more if command == "export" else ()))
        assert code == 0, err
        assert (tmp_path / out).exists()
