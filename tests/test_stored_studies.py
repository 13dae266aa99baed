"""A study that 0.1.0 left behind (`fixtures/study-0.1.0`) is read, reported, exported and continued by today's code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from hprune.storage.differing import differing_keys
from hprune.storage.dynamics import StoredDynamics, records_behind
from hprune.storage.manifests import read_results
from hprune.storage.runs import state_of
from hprune.storage.scores import load_scores
from hprune.storage.studies import planned_seeds, runs_of
from tests.golden import STUDY, stored_values

Command = Callable[..., "tuple[int, str, str]"]
FROZEN: dict[str, Any] = json.loads(STUDY.with_name("study-0.1.0.json").read_text())
CONFIG = (
    "task=demo", "task.generate.num_samples={train:120,validation:40,test:40}", "task.generate.flipped=0.1",
    "task.generate.ambiguous=0.1", "task.generate.shares={plain: 1}", "model=tiny_roberta",
    "model.config.hidden_size=32", "model.config.num_hidden_layers=1", "model.config.num_attention_heads=2",
    "model.config.intermediate_size=64", "+model.config.initializer_range=0.2",
    "+model.config.hidden_dropout_prob=0.0", "+model.config.attention_probs_dropout_prob=0.0", "model.vocab_size=400",
    "trainer.threads=1", "trainer.max_epochs=2", "trainer.accelerator=cpu", "trainer.precision=32",
    "trainer.progress=false", "optim.lr=3e-3", "data.batch_size=4", "scoring.seeds=[1,2,3]",
    "comparison.seeds=[11,12]", "study=stored",
)  # fmt: skip
"""The arguments of `hprune.study` that the fixture was made by, but for `paths.root`."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the root that 0.1.0 left."""
    return Path(shutil.copytree(STUDY, tmp_path / "root"))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The plain values in nested dictionaries and lists, by their dotted names."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list):
        yield f"{path}.length", len(value)
        for at, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{at}")
    else:
        yield path, value


CORRECTED = ("p_holm", "detectable", "power", "equivalence", "within_margin", "test")
"""What differences have for a verdict, which goes by seeds and examples since 0.2; 0.1.0 went by seeds alone."""


def over_seeds(report: Any) -> Any:
    """A report of today with the differences over seeds alone, as 0.1.0 gave them."""
    if isinstance(report, list):
        return [over_seeds(inner) for inner in report]
    if not isinstance(report, dict):
        return report
    return {key: over_seeds(inner) for key, inner in {**report, **(report.get("over_seeds") or {})}.items()}


def check_alike(found: Any, frozen: Any, *, but: tuple[str, ...] = ()) -> None:
    """Whatever stands in `frozen` stands in `found`, numbers to single precision; what is new may stand beside it."""
    there, expected = dict(leaves(found)), dict(leaves(frozen))
    expected = {name: value for name, value in expected.items() if not any(part in name.split(".") for part in but)}
    assert expected
    assert not expected.keys() - there.keys()
    for name, value in expected.items():
        assert there[name] == (pytest.approx(value, rel=1e-6, abs=1e-7) if type(value) is float else value), name


def test_the_numbers_of_a_stored_study_are_read_as_ever(root: Path) -> None:
    assert len(FROZEN["settings"]) == 9
    assert 0 < len(FROZEN["ticket"]) < len(FROZEN["h_score"]["values"])
    check_alike(stored_values(root), FROZEN)


def test_the_records_of_a_stored_study_give_its_h_table(root: Path) -> None:
    scores = load_scores(root / "studies" / "stored" / "scores" / "h_score.parquet")
    opened = [
        records_behind(root, "stored", scores),
        StoredDynamics.open([run.path for run in runs_of(root, "stored", "scoring")], "train_pass"),
    ]
    for stored in opened:
        assert (stored.runs, stored.epochs, stored.samples) == (3, 2, 120)
        (piece,) = stored.pieces(("correct", "true_prob"))
        assert piece.correct.all(axis=1).sum(axis=0).tolist() == FROZEN["h_score"]["values"]
        assert piece.seeds == (1, 2, 3)


def test_every_run_of_a_stored_study_is_complete(root: Path) -> None:
    runs = runs_of(root, "stored")
    assert [state_of(run.path) for run in runs] == ["done"] * 9
    assert planned_seeds(root, "stored") == [1, 2, 3]
    for run in runs:
        manifest = read_results(run.path)
        assert manifest["settings_hash"] == run.settings_hash
        assert manifest["key"]["seed"] == run.key.seed


def test_a_stored_study_is_reported_as_ever(root: Path, run_command: Command) -> None:
    """Every key that report.json had is there, with the number it had; sentences may be said in other words."""
    before = json.loads((root / "studies" / "stored" / "report.json").read_text())
    code, out, err = run_command("report", f"paths.root={root}", "study=stored")
    assert code == 0, err
    assert "winning_ticket" in out
    after = json.loads((root / "studies" / "stored" / "report.json").read_text())
    for report in (before, after):
        report["rows"] = {f"{row['label']}, {row['eval_set']}, {row['metric']}": row for row in report["rows"]}
        for pair in report["matrix"]["pairs"]:
            del pair["p_value"]  # over seeds and examples, too
        report["diagnosis"] = {sign["sign"]: "" for sign in report["diagnosis"]}
    told = ("created", "hprune", "verdict", "verdict_to_random", "verdict_to_ticket", "told", "advice")
    check_alike(over_seeds(after), before, but=(*told, *CORRECTED))


def test_status_shows_a_stored_study(root: Path, run_command: Command) -> None:
    code, out, err = run_command("status", f"paths.root={root}")
    assert code == 0, err
    assert "3 done" in out
    assert "6 done" in out
    for key, metrics in FROZEN["metrics"].items():
        line = next(line for line in out.splitlines() if f"{key.split()[1]} " in line)
        assert f"validation accuracy {metrics['validation']['accuracy']:.4f}" in line


def test_a_stored_study_exports_its_ticket(root: Path, tmp_path: Path, run_command: Command) -> None:
    out = tmp_path / "pruned.parquet"
    code, _, err = run_command("export", f"paths.root={root}", "study=stored", "subset=winning_ticket", f"out={out}")
    assert code == 0, err
    assert pq.read_table(out)["sample_id"].to_pylist() == FROZEN["ticket"]


def test_the_same_scores_are_made_of_the_stored_records(root: Path, run_command: Command) -> None:
    table = root / "studies" / "stored" / "scores" / "h_score.parquet"
    table.unlink()
    code, _, err = run_command("score", f"paths.root={root}", "study=stored")
    assert code == 0, err
    assert load_scores(table).digest == FROZEN["h_score"]["digest"]


def test_the_study_finds_its_stored_runs_complete(root: Path) -> None:
    """No run of the full set is trained again; those on a subset have other settings since 0.2.0."""
    from hydra import compose, initialize_config_dir

    from hprune.collect import folder_of
    from hprune.command import CONF
    from hprune.composition import composed
    from hprune.training.units import load_samples

    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        made = composed(compose("study", overrides=[*CONFIG, f"paths.root={root}"]))
    data = load_samples(made.full, root=root)
    planned = [*made.scoring_runs(), *made.comparison_runs()]
    folders = [folder_of(spec, data, root=root, study="stored") for spec in planned]
    stored = {run.path: run for run in runs_of(root, "stored")}
    full, others = (
        [folder for folder in folders if (folder.key.subset == "full") == is_full] for is_full in (True, False)
    )
    assert {folder.path for folder in full} == {path for path, run in stored.items() if run.key.subset == "full"}
    for folder in full:
        assert folder.complete, folder.path
        assert differing_keys(read_results(folder.path)["settings"], folder.settings) == []
    assert {folder.key for folder in others} == {run.key for run in stored.values() if run.key.subset != "full"}
    for folder in others:  # trained in another order since, so in a folder of its own beside that of 0.1.0
        (before,) = (path for path, run in stored.items() if run.key == folder.key)
        assert not folder.path.exists()
        assert differing_keys(read_results(before)["settings"], folder.settings) == [
            "data.order_from (absent there, full_set here)"
        ]


def test_a_stored_study_goes_on(root: Path, run_command: Command) -> None:
    """The same command trains the arms on subsets in the order of the full set; those of 0.1.0 are reported beside."""
    before = {run.path: (run.path / "run.json").read_bytes() for run in runs_of(root, "stored")}
    code, out, err = run_command("study", *CONFIG, f"paths.root={root}")
    assert code == 0, err
    assert sum("skipped" in line for line in out.splitlines()) == 5
    assert {path: (path / "run.json").read_bytes() for path in before} == before
    assert len(runs_of(root, "stored")) == 13
    report = json.loads((root / "studies" / "stored" / "report.json").read_text())
    rows = {
        row["label"]: row for row in report["rows"] if (row["eval_set"], row["metric"]) == ("validation", "accuracy")
    }
    names = ["winning_ticket", "random_like"]
    assert set(rows) == {"full", *names, *(f"{name} [own order]" for name in names)}
    for name in names:
        stored, trained = rows[f"{name} [own order]"], rows[name]
        assert [stored["n"], stored["mean"], stored["values"]] == FROZEN["rows"][f"{name}, validation, accuracy"]
        assert trained["n"] == stored["n"]
        assert stored["difference"]["to"] == trained["difference"]["to"] == "full"
    kept = {
        (run.key, run.settings_hash): pq.read_table(run.path / "subset.parquet")["sample_id"].to_pylist()
        for run in runs_of(root, "stored", "comparison")
    }
    for key in {key for key, _ in kept}:
        (ids, *others) = [kept[one] for one in kept if one[0] == key]
        assert all(other == ids for other in others), "the samples are the same, their order is not"


def test_a_run_that_0_1_0_did_not_finish_is_let_go(root: Path, run_command: Command) -> None:
    """The run that replaces it is the one that the study waits for."""
    ticket = [run for run in runs_of(root, "stored", "comparison") if run.key.subset == "winning_ticket"]
    for run in ticket:
        (run.path / "run.json").unlink()
    options = [*CONFIG, f"paths.root={root}", "~arms.random_like", "comparison.seeds=[11]"]
    code, _, err = run_command("study", *options)
    assert code == 0, err
    there = [run for run in runs_of(root, "stored", "comparison") if run.key.subset == "winning_ticket"]
    assert {(run.key.seed, state_of(run.path)) for run in there} == {(11, "done"), (12, "started")}
    assert all(run.path.is_dir() for run in ticket), "nothing is deleted"
    report = json.loads((root / "studies" / "stored" / "report.json").read_text())
    assert [(run["arm"], run["seed"]) for run in report["incomplete"]] == [("winning_ticket", 12)]


def test_training_a_stored_run_again_gives_its_record(root: Path, tmp_path: Path) -> None:
    """A scoring run of 0.1.0, trained by today's code from its stored config."""
    from omegaconf import OmegaConf

    from hprune.command import run_spec
    from hprune.storage.runs import load_record
    from hprune.training.run import fine_tune
    from hprune.training.units import load_samples

    run = runs_of(root, "stored", "scoring")[0]
    spec = run_spec(OmegaConf.create(read_results(run.path)["config"]))
    folder = fine_tune(spec, load_samples(spec, root=tmp_path), None, root=tmp_path / "again")
    assert folder.settings_hash == run.settings_hash
    again, stored = load_record(folder.path, "train_pass"), load_record(run.path, "train_pass")
    np.testing.assert_allclose(again.true_prob, stored.true_prob, atol=5e-3)
    clear = np.abs(stored.margin) > 0.02
    assert clear.mean() > 0.7
    assert (again.correct == stored.correct)[clear].all()
