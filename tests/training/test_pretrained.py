"""A checkpoint of a language model, as the hub has it, under every head: its body is loaded, the head is fresh."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedModel

from hprune.training.build import is_causal, load_model
from hprune.training.quiet import quiet_libraries
from hprune.training.spec import ModelSpec
from hprune.training.tokenizer import load_tokenizer
from tests.training.test_matrix import EVERY, MODELS, TASKS

TEXTS = ["my hat is red .", "my coat is blue and old ."]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each architecture: weights of its language model, and a tokenizer."""
    folders = {}
    tokenizer = load_tokenizer(ModelSpec("any", config={"model_type": "roberta"}, vocab_size=300), lambda: TEXTS)
    for name, config in MODELS.items():
        folders[name] = tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        whole = AutoModelForCausalLM if is_causal(name) else AutoModelForMaskedLM
        ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
        with quiet_libraries():
            whole.from_config(AutoConfig.for_model(name, vocab_size=300, **ids, **config)).save_pretrained(
                folders[name]
            )
        tokenizer.save_pretrained(folders[name])
    return folders


def headed(name: str, task: str, folder: Path) -> PreTrainedModel:
    spec = ModelSpec(name, path=str(folder))
    tokenizer = load_tokenizer(spec, lambda: TEXTS)
    with quiet_libraries():
        return load_model(spec, TASKS[task]().kind, label_names=("no", "yes"), tokenizer=tokenizer)


def same_body(model: PreTrainedModel, folder: Path) -> bool:
    """Whether the weights of the body are those of the checkpoint, wherever they are called the same."""
    with quiet_libraries():
        body = AutoModel.from_pretrained(folder).state_dict()
    own = model.base_model.state_dict()
    names = [name for name in own if not name.startswith("pooler.")]
    assert len(names) > 8
    return all(torch.equal(own[name], body[name]) for name in names)


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_the_body_is_that_of_the_checkpoint(checkpoints: dict[str, Path], name: str, task: str) -> None:
    assert same_body(headed(name, task, checkpoints[name]), checkpoints[name])


@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_a_body_under_another_name_is_saved_and_loaded_again(
    checkpoints: dict[str, Path], tmp_path: Path, name: str
) -> None:
    model = headed(name, "extractive_qa", checkpoints[name])
    model.save_pretrained(tmp_path)
    load_tokenizer(ModelSpec(name, path=str(checkpoints[name])), lambda: TEXTS).save_pretrained(tmp_path)
    again = headed(name, "extractive_qa", tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("name", ["roberta", "opt"])
def test_a_checkpoint_without_a_part_of_its_body_is_refused(
    checkpoints: dict[str, Path], tmp_path: Path, name: str
) -> None:
    for file in checkpoints[name].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    gone = next(key for key in weights if "layers.1." in key or "layer.1." in key)
    save_file(
        {key: value for key, value in weights.items() if key != gone}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(ValueError, match=r"lacks 1 weights of its body, .* they would be random"):
        headed(name, "classification", tmp_path)


@pytest.mark.parametrize("name", ["roberta", "opt"])
def test_a_head_of_another_size_is_replaced(
    checkpoints: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    headed(name, "classification", checkpoints[name]).save_pretrained(tmp_path)
    spec = ModelSpec(name, path=str(tmp_path))
    tokenizer = load_tokenizer(ModelSpec(name, path=str(checkpoints[name])), lambda: TEXTS)
    with caplog.at_level("WARNING", logger="hprune"), quiet_libraries():
        model = load_model(spec, TASKS["classification"]().kind, label_names=("a", "b", "c"), tokenizer=tokenizer)
    assert "head has another size and is replaced by a fresh one" in caplog.text
    assert model.config.num_labels == 3
    assert same_body(model, checkpoints[name])


def test_a_body_of_another_size_is_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    for file in checkpoints["roberta"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))
    with pytest.raises(ValueError, match=r"weights of its body, or has them in another size"):
        headed("roberta", "classification", tmp_path)
