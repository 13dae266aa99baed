"""A plan says what a study will take, writes nothing but tokens, costs nothing where nothing is left, refuses alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from hprune.command import CONF
from hprune.composition import Composed, composed
from hprune.enough import Stopped
from hprune.plan import _as_stopped, _trials, forecast
from hprune.reporting.forecast import Forecast, print_forecast, sentences
from hprune.science.forecast import Amounts, Prices
from hprune.split import SPREAD, splits, spread_of
from hprune.storage.manifests import read_manifest
from hprune.tasks.load import load_task
from hprune.training.trial import Trial

Command = Callable[..., "tuple[int, str, str]"]
QUICK = ("plan.seconds=0.3", "study=s")


def files_under(root: Path) -> dict[str, int]:
    """What lies there, but for the cache."""
    return {str(p.relative_to(root)): p.stat().st_mtime_ns for p in root.rglob("*") if "cache" not in p.parts}


def forecast_of(root: Path, *overrides: str) -> Forecast:
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        made = composed(compose("plan", overrides=[*overrides, *QUICK, f"paths.root={root}"]))
    return forecast(made, load_task(made.full.task), keep_share=0.6, seconds=0.3, starting=0.0)


@pytest.fixture(scope="module")
def small(tiny: list[str]) -> list[str]:
    """A study of five runs of one epoch."""
    return [*tiny, "trainer.max_epochs=1", "record=both", "scoring.seeds=[1,2]", "comparison.seeds=[11]"]


@pytest.fixture(scope="module")
def planned_and_done(
    tmp_path_factory: pytest.TempPathFactory, small: list[str], run_command: Command
) -> tuple[Path, str, Forecast]:
    """A root with a study that was planned and then trained: the root, what was said, and the forecast behind it."""
    root, found = tmp_path_factory.mktemp("planned") / "not there yet", []

    def tried(made: Composed, seconds: float) -> tuple[list[Trial], float]:
        trials, started = _trials(made, seconds)
        for one in trials:
            assert one.scoring.clean_pass > 0, "scoring runs record both ways"
            assert one.full.clean_pass == 0, "arms record the training pass only"
            assert {"record.train_pass.parquet", "record.eval_pass.parquet"} <= set(one.files)
        return trials, started

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hprune.plan._trials", tried)
        patch.setattr("hprune.plan.print_forecast", lambda one: (found.append(one), print_forecast(one)))
        code, out, err = run_command("plan", *small, *QUICK, f"paths.root={root}")
    assert code == 0, err
    assert files_under(root) == {}, "tokens alone are written"
    assert list(root.glob("cache/tokens/*/facts.json"))
    code, _, err = run_command("study", *small, "study=s", f"paths.root={root}")
    assert code == 0, err
    return root, out, found[0]


def test_the_table_names_stages_and_what_it_rests_on(planned_and_done: tuple[Path, str, Forecast]) -> None:
    said = " ".join(planned_and_done[1].split())
    for text in ("scoring runs 2", "comparison runs, full 1", "winning_ticket (60% of the samples", "1 run at a time",
                 "Measured by 1 trial run", "warm-up not counted", "Memory: ", "keeps 60% of the samples",
                 "so it is paid back after"):  # fmt: skip
        assert text in said, said
    scoring, runs = re.search(r"Scoring costs ([\d.]+) full .* after (\d+) later runs", said).groups()  # type: ignore[union-attr]
    assert float(scoring) == 2  # two runs as dear as a full one
    assert int(runs) == 5  # 2 / (1 - 0.6)
    assert all(len(line) <= 100 for line in planned_and_done[1].splitlines())


def test_the_sizes_of_files_are_near_the_truth(planned_and_done: tuple[Path, str, Forecast]) -> None:
    root, _, before = planned_and_done
    scoring = sum(p.stat().st_size for p in root.glob("runs/*/*/full-*/seed=[12]/*"))
    assert before.stages[0].size == pytest.approx(scoring, rel=0.3)
    assert before.trials is not None
    assert before.trials.memory > 1e8, "a process with torch"


def test_a_plan_of_a_complete_study_costs_nothing(
    planned_and_done: tuple[Path, str, Forecast],
    small: list[str],
    run_command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = planned_and_done[0]
    there = files_under(root)
    monkeypatch.setattr("hprune.plan._trials", lambda *_: pytest.fail("nothing is to be tried"))
    code, out, err = run_command("plan", *small, *QUICK, f"paths.root={root}")
    assert code == 0, err
    assert "Every run is complete: the study costs nothing more." in out
    assert "assumed" not in out
    assert files_under(root) == there
    found = forecast_of(root, *small)
    assert (found.seconds, found.size, found.trials, found.assumed) == (0, 0, None, None)
    assert sum(stage.done for stage in found.stages) == sum(stage.runs for stage in found.stages) == 5


def test_a_study_that_grows_pays_for_what_is_new_at_its_real_size(
    planned_and_done: tuple[Path, str, Forecast], small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, work = planned_and_done[0], Amounts(train=100, clean_pass=0, evaluation=0, checkpoints=0)
    made_up = Trial(
        started=0, loading=0, prices=Prices(train=1), scoring=work, full=work, judging=0, files={}, rest_bytes=1000,
        checkpoint_bytes=0, sets={}, steps=1, seconds=1, memory=1, device_memory=None,
    )  # fmt: skip
    monkeypatch.setattr("hprune.plan._trials", lambda *_: ([made_up], 0.0))
    found = forecast_of(root, *small, "comparison.seeds=[11,12,13]")
    assert [(stage.runs, stage.done) for stage in found.stages[:4]] == [(2, 2), (3, 1), (3, 1), (3, 1)]
    assert found.assumed is None
    kept = read_manifest(next(root.glob("runs/*/*/winning*/*")))["samples"] / 160
    assert [stage.seconds for stage in found.stages[:4]] == pytest.approx([0, 200, 200 * kept, 200 * kept])
    assert [stage.size for stage in found.stages[:4]] == [0, 2000, 2000, 2000]
    assert found.seconds == pytest.approx(200 + 400 * kept + found.stages[4].seconds)
    assert found.pays is not None
    assert found.pays.selection_to_tuning == 2
    twice = forecast_of(root, *small, "comparison.seeds=[11,12,13]", "at_once=2")
    assert twice.seconds - twice.stages[4].seconds < 200 + 400 * kept


def test_a_study_that_stopped_costs_nothing_and_one_that_may_says_so(
    planned_and_done: tuple[Path, str, Forecast], small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        options = [*small, *QUICK, f"paths.root={planned_and_done[0]}", "scoring.seeds=[1,2,3,4]"]
        made = composed(compose("plan", overrides=[*options, "scoring.stop_when.open_share=0.05"]))
    assert _as_stopped(made) is made, "two complete runs do not suffice"
    stopped = Stopped((1, 2), (1, 2, 3, 4), 0.05, 0.01)
    monkeypatch.setattr("hprune.enough.StopEarly.found", lambda _: stopped)
    narrowed = _as_stopped(made)
    assert (narrowed.scoring, narrowed.score.table, len(narrowed.scoring_runs())) == ((1, 2), "h_score-S2", 2)
    said = sentences(replace(planned_and_done[2], may_stop=True))
    assert "At most: scoring may stop before all its runs (scoring.stop_when)." in said


@pytest.mark.parametrize(
    "override",
    ["scoring.seeds=[11]", "~arms.full", "comparison.budgets=[hours]", "at_once=0", "arms.winning_ticket.keep=4..2",
     "scoring.seeds=[1]", "score.measured=eval_pass", "task.data_dir=nowhere", "paths.root=s3://x"],
)  # fmt: skip
def test_what_a_study_refuses_is_refused_in_its_words(
    override: str, tiny: list[str], tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    late = override in ("arms.winning_ticket.keep=4..2", "scoring.seeds=[1]")  # which a study finds when it has trained
    code, _, said = run_command("plan", *tiny, *QUICK, override)
    assert code == 1
    assert "Traceback" not in said
    if late:
        assert re.search("keep=.* (keeps nothing|is empty)", said)
    else:
        code, _, words = run_command("study", *tiny, "study=s", override)
        assert code == 1
        assert said.replace("hprune plan", "hprune study") == words


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("plan.keep_share=0", r"plan\.keep_share must be a share of the samples in \(0, 1\), got 0"),
        ("plan.keep_share=1", r"plan\.keep_share must be a share of the samples in \(0, 1\), got 1"),
        ("plan.seconds=soon", r"plan\.seconds must be a finite number above 0, got 'soon'"),
        ("plan=5", r"plan must hold keys of its own"),
    ],
)
def test_its_own_keys_are_checked(
    override: str, said: str, tiny: list[str], tmp_path: Path, run_command: Command
) -> None:
    code, _, err = run_command("plan", *tiny, f"paths.root={tmp_path / 'r'}", override)
    assert code == 1
    assert re.search(said, err), err
    assert not (tmp_path / "r").exists()


def test_the_cost_is_told_in_tickets_and_seeds_too() -> None:
    """As many runs of the full set as the study costs, the narrowest expected interval first, two seeds or more."""
    found = splits(scoring=12, each=6, full=6, pruned=[0.5] * 12, examples=872, spread=SPREAD)
    assert all(split.cost <= split.budget == 24 for split in found)
    assert {(split.tickets, split.seeds_per_ticket, split.scoring_runs) for split in found} == {(2, 3, 12)}
    more = splits(scoring=24, each=6, full=12, pruned=[0.5] * 24, examples=872, spread=SPREAD)
    assert more == sorted(more, key=lambda split: split.half_width)
    assert more[0].half_width < found[0].half_width
    assert all(split.cost <= split.budget == 48 and split.seeds_per_ticket >= 2 for split in more)
    assert {(split.tickets, split.seeds_per_ticket, split.scoring_runs) for split in more} == {
        (2, 9, 12), (3, 5, 18), (4, 3, 24)
    }  # fmt: skip
    assert splits(scoring=6, each=6, full=6, pruned=[], examples=872, spread=SPREAD) == []
    (needed,) = splits(scoring=6, each=6, full=6, pruned=[0.5] * 12, examples=872, spread=SPREAD)
    assert (needed.tickets, needed.seeds_per_ticket, needed.cost, needed.budget) == (2, 2, 20, 18)


def test_the_best_split_is_told_with_overrides_that_make_it(
    planned_and_done: tuple[Path, str, Forecast], small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    enough = splits(scoring=24, each=6, full=12, pruned=[0.5] * 24, examples=872, spread=SPREAD)
    base = replace(planned_and_done[2], splits=enough, metric="accuracy")
    told, copied = sentences(base)[-2:]
    first = enough[0]
    assert f"{first.tickets} tickets x {first.seeds_per_ticket} seeds, {first.scoring_runs} scoring runs: +-" in told
    assert told.count(" scoring runs: +-") == 3
    assert f"+-{100 * first.half_width:.1f} points; " in told
    assert "assuming tickets differ by 0.6 points and seeds by 0.9 (plan.spread, our defaults)." in told
    print_forecast(base)
    assert copied in capsys.readouterr().out.splitlines(), "one line, however long"
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        given = copied.split()
        made = composed(compose("plan", overrides=[*small, *given]))
    assert len(made.tickets) == first.tickets
    assert {(len(ticket.scoring), len(ticket.comparison)) for ticket in made.tickets} == {(6, first.seeds_per_ticket)}
    own = splits(scoring=24, each=6, full=12, pruned=[0.5] * 24, examples=872, spread={**SPREAD, "seed": 0.0125})
    assert "differ by 0.6 points and seeds by 1.25 (plan.spread)." in sentences(replace(base, splits=own))[-2]
    for metric in ("mcc", None):
        told = sentences(replace(base, metric=metric))[-2]
        assert "points" not in told
        assert f"+-{first.half_width:.3f}" in told
        assert "tickets differ by 0.006 and seeds by 0.009" in told
    stops = sentences(replace(base, may_stop=True))[-1]
    assert stops.endswith(" scoring.stop_when.open_share=null"), "which does not go with tickets"


def test_a_cost_that_is_not_enough_is_told(planned_and_done: tuple[Path, str, Forecast]) -> None:
    few = splits(scoring=6, each=6, full=6, pruned=[0.5] * 12, examples=872, spread=SPREAD)
    told = sentences(replace(planned_and_done[2], splits=few, metric="accuracy"))[-2]
    assert told.startswith("A verdict on the method takes two tickets of two seeds at least: 2 tickets x 2 seeds, 12 ")
    assert "which costs 1.1 times as much as this study" in told


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ticket": 0.1}, "plan.spread must have the keys ticket, seed, disagreement"),
        (0.1, "plan.spread must have the keys"),
        ({**SPREAD, "seed": -1}, "plan.spread.seed must be a number from 0, below 1"),
        ({**SPREAD, "seed": "wide"}, "plan.spread.seed must be a number"),
    ],
)
def test_a_spread_that_is_none_is_refused(given: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spread_of(given)


def test_one_ticket_pays_for_its_own_scoring_runs(tiny: list[str], tmp_path: Path) -> None:
    tickets = ["scoring.seeds=[1,2,3,4,5,6]", "comparison.tickets=3", "comparison.seeds=[11,12,13]"]
    found = forecast_of(tmp_path, *tiny, *tickets, "trainer.max_epochs=1", "arms.winning_ticket.keep=0..1")
    assert found.pays is not None
    assert found.pays.selection_to_tuning == pytest.approx(2)
