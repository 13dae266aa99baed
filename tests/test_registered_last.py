"""What refuses a run is found before anything of it is written, and one bad study or reference hides no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hprune.collect import register_run, startable
from hprune.data.checks import LARGEST_SEED, check_seeds
from hprune.reporting.summary import summarise
from hprune.science.records import RunKey, Scores
from hprune.science.subset import SubsetSpec
from hprune.storage.runs import finish_run, run_folder, start_run
from hprune.storage.scores import check_apart, load_scores, save_scores, score_path
from hprune.storage.studies import add_run, planned_seeds, references_of, runs_of, study_folder
from hprune.tasks.load import load_task
from hprune.training.spec import ModelSpec
from tests.hostile import SEEDS, make_study

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("registered") / "root"
    make_study(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of a root with study `s`."""
    return Path(shutil.copytree(made, tmp_path / "root"))


# --- bounds


def test_seeds_are_those_that_every_generator_takes() -> None:
    import lightning as L

    assert check_seeds([0, LARGEST_SEED], "scoring.seeds") == (0, LARGEST_SEED)
    assert L.seed_everything(LARGEST_SEED, verbose=False) == LARGEST_SEED
    for seed in (2**32, 2**63):
        with pytest.raises(ValueError, match=rf"scoring\.seeds must be below 2\^32, .*got {seed}"):
            check_seeds([1, seed], "scoring.seeds")
        with pytest.raises(ValueError, match="bounds"):
            L.seed_everything(seed, verbose=False)


@pytest.mark.parametrize(
    ("command", "option", "key"),
    [
        ("train", "seed=4294967296", "seed"),
        ("train", "seed=9223372036854775808", "seed"),
        ("train", "scoring.seeds=[1,4294967296]", "scoring.seeds"),
        ("study", "comparison.seeds=[4294967296]", "comparison.seeds"),
        ("train", "task.split_seed=4294967296", "task.split_seed"),
    ],
)
def test_a_seed_beyond_bounds_leaves_nothing(
    command: str, option: str, key: str, tiny: list[str], tmp_path: Path, run_command: Command
) -> None:
    code, _, err = run_command(command, *tiny, "study=s", f"paths.root={tmp_path}/root", option)
    assert code == 1
    assert f"{key} must be below 2^32" in err
    assert not (tmp_path / "root").exists()


# --- registered last


def nothing(pool: Any) -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


def test_a_subset_that_cannot_be_trained_on_is_not_registered(compose_run: Callable[..., Any], tmp_path: Path) -> None:
    spec = compose_run("study=s", "seed=11")
    data = load_task(spec.task)
    bad = replace(spec, subset=SubsetSpec("none", nothing, by_score=False, size=3))
    where: dict[str, Any] = {"root": tmp_path / "root", "study": "s"}
    with pytest.raises(ValueError, match=r"subset 'none' keeps none of"):
        register_run(bad, data, scoring_seeds=(1, 2), purpose="comparison", **where)
    assert not (tmp_path / "root").exists()
    register_run(spec, data, scoring_seeds=(1, 2), purpose="comparison", **where)
    assert [run.key.seed for run in runs_of(tmp_path / "root", "s")] == [11]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pre-trained model with its tokenizer."""
    from transformers import AutoConfig, AutoModel

    from tests.tiny import MODELS, word_tokenizer

    folder = tmp_path_factory.mktemp("model")
    tokenizer = word_tokenizer(["a good film", "a bad film"])
    options = {**MODELS["roberta"], "vocab_size": len(tokenizer)}
    AutoModel.from_config(AutoConfig.for_model(**options)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def cut_off(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def half_of_its_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    save_file(dict(list(weights.items())[::2]), folder / "model.safetensors", metadata={"format": "pt"})


def no_tokenizer(folder: Path) -> None:
    for file in folder.glob("*token*"):
        file.unlink()


BAD_MODELS: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut off": (cut_off, "model"),
    "half of its weights": (half_of_its_weights, r"lacks \d+ weights of its body"),
    "no tokenizer": (no_tokenizer, "has no tokenizer"),
}


@pytest.mark.parametrize("fault", BAD_MODELS)
def test_a_model_that_cannot_be_built_is_not_registered(
    fault: str, model_folder: Path, compose_run: Callable[..., Any], tmp_path: Path
) -> None:
    """Refused before a run of it is there; once it is mended, the same command trains it."""
    harm, message = BAD_MODELS[fault]
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    harm(folder)
    spec = replace(compose_run("study=s", "seed=1"), model=ModelSpec("own", path=str(folder)))
    where: dict[str, Any] = {"root": tmp_path / "root", "study": "s", "scoring_seeds": (1,), "purpose": "scoring"}
    data = load_task(spec.task)
    with pytest.raises((ValueError, OSError), match=message):
        register_run(spec, data, **where)
    assert not (tmp_path / "root").exists()
    shutil.copytree(model_folder, folder, dirs_exist_ok=True)
    assert register_run(spec, data, **where).key.seed == 1
    assert len(runs_of(tmp_path / "root", "s")) == 1


def h_table(root: Path, name: str, seeds: tuple[int, ...], ids: NDArray[np.int64], digest: str) -> None:
    values = (np.arange(ids.size) % (len(seeds) + 1)).astype(np.int16)
    save_scores(score_path(root, "s", name), Scores(name, ids, values, "easier", seeds, 2, "train_pass", digest, {}))


def test_a_seed_behind_the_score_table_trains_no_arm(compose_run: Callable[..., Any], tmp_path: Path) -> None:
    """Whatever scoring.seeds say now: by the runs that the table was made of, of a ticket's own where it has one."""
    arm = compose_run("study=s", "subset=winning_ticket", "seed=2")
    where: dict[str, Any] = {"root": tmp_path, "study": "s"}
    data = load_task(arm.task)
    ids = data.train["sample_id"].to_numpy().copy()
    h_table(tmp_path, "h_score", (1, 2, 3), ids, data.data_hash)
    h_table(tmp_path, "h_score-seeds4+5", (4, 5), ids, data.data_hash)
    h_table(tmp_path, "triaged", (1, 2, 3), ids, data.data_hash)
    refusal = (
        r"seed 2 is one of the scoring seeds \[1, 2, 3\] behind .*\.parquet: an arm of subset '\w+' that is trained"
    )
    subset = arm.subset
    for bad in (subset, replace(subset, scores="triaged"), replace(subset, name="r", by_score=False)):
        with pytest.raises(ValueError, match=refusal):
            startable(replace(arm, subset=bad), data, **where)
    with pytest.raises(ValueError, match=refusal):
        register_run(arm, data, scoring_seeds=(1, 3), purpose="comparison", **where)
    assert not (tmp_path / "studies/s/runs").exists()
    assert startable(replace(arm, seed=4), data, **where)
    ticket = replace(subset, scores="h_score-seeds4+5")
    check_apart(ticket, 2, **where)  # another ticket's run did not choose its samples
    with pytest.raises(ValueError, match=r"seed 4 is one of the scoring seeds \[4, 5\]"):
        check_apart(ticket, 4, **where)
    assert startable(replace(arm, subset=SubsetSpec("full")), data, **where)
    allowed = compose_run("study=s", "subset=winning_ticket", "seed=2", "comparison.allow_seed_overlap=true")
    assert startable(allowed, data, **where)


def test_a_study_checks_seeds_before_it_trains(tiny: list[str], tmp_path: Path, run_command: Command) -> None:
    """Against tables of its own and files that are there already."""
    options = [*tiny, "study=s", f"paths.root={tmp_path}", "~arms.random_like"]
    table = tmp_path / "other.parquet"
    save_scores(table, Scores("h", np.arange(3), np.arange(3), "easier", (11, 50), 2, "train_pass", "d", {}))
    code, _, err = run_command("study", *options, f"arms.winning_ticket.scores={table}")
    assert code == 1
    assert "seed 11 is one of the scoring seeds [11, 50] behind" in err
    assert not (tmp_path / "studies").exists()


def test_the_report_names_a_run_that_shares_its_seed(root: Path) -> None:
    assert summarise(root, "s", None)["seed_overlap"] == []
    before = next(run for run in runs_of(root, "s") if run.key.subset == "winning_ticket")
    manifest = json.loads((before.path / "run.json").read_text())
    folder = run_folder(root, replace(before.key, seed=2), manifest["settings"])
    start_run(folder)
    known = {"schema_version", "key", "settings", "settings_hash", "files", "footers", "digest"}
    finish_run(folder, {name: value for name, value in manifest.items() if name not in known})
    add_run(root, "s", folder, "comparison", SEEDS)
    report = summarise(root, "s", None)
    assert report["seed_overlap"] == [{"arm": "winning_ticket", "seed": 2, "scores": "h_score"}]
    (sign,) = [sign for sign in report["diagnosis"] if sign["sign"] == "seed_overlap"]
    assert "1 run was trained with a seed whose own run is behind the score" in sign["told"]
    assert "winning_ticket seed 2" in sign["told"]


# --- one bad study hides no other


def test_a_damaged_reference_or_study_hides_no_other(root: Path, run_command: Command) -> None:
    make = [(name, study_folder(root, name) / "runs") for name in ("t", "u", "v")]
    for _, runs in make:
        shutil.copytree(study_folder(root, "s") / "runs", runs)
    bad = next(make[0][1].glob("*seed=11.comparison.json"))
    content = json.loads(bad.read_text())
    content["key"]["seed"] = 2**63  # as older versions wrote it
    bad.write_text(json.dumps(content))
    (study_folder(root, "u") / "plan.json").write_text("{")
    (root / "studies" / "not a name" / "runs").mkdir(parents=True)
    found, damaged = references_of(root, "t")
    assert len(found) == len(runs_of(root, "s")) - 1
    assert list(damaged) == [bad]
    code, out, err = run_command("status", f"paths.root={root}")
    assert code == 0, err
    lines = [line.strip("│┃ ") for line in out.splitlines()]
    rows = {line.split()[0]: line for line in lines if line.split() and line.split()[0] in ("s", "t", "u", "v")}
    assert "1 damaged" in rows["t"]
    assert "damaged: " in rows["u"]
    assert "3 done" in rows["u"]
    assert "not a name" in out
    code, _, err = run_command("status", "study=stuff", f"paths.root={root}")
    assert code == 1
    assert "no study 'stuff' under" in err
    for study in ("s", "v"):
        assert "3 done" in rows[study]
        assert "damaged" not in rows[study]
    assert "remove its file" in out


def test_a_study_lets_go_of_a_run_by_its_reference(root: Path) -> None:
    """As status and report say."""
    assert [run["arm"] for run in summarise(root, "s", None)["incomplete"]] == ["other"]
    next((study_folder(root, "s") / "runs").glob("other-*.json")).unlink()
    assert summarise(root, "s", None)["incomplete"] == []
    assert planned_seeds(root, "s") == list(SEEDS)
    assert load_scores(score_path(root, "s", "h_score")).seeds == SEEDS
    assert RunKey("own", "tiny", "other", 11) not in [run.key for run in runs_of(root, "s")]
