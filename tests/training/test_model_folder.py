"""Folders that are models of another form: loaded where that is safe, else one line says what they are."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hprune.tasks.classification import Classification
from hprune.training.build import load_body, load_model, model_identity
from hprune.training.quiet import quiet_libraries
from hprune.training.spec import ModelSpec
from hprune.training.tokenizer import load_tokenizer
from tests.training.test_build import TEXTS, built, saved

NAMES = ("no", "yes")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small BERT and its tokenizer."""
    folder = tmp_path_factory.mktemp("bert")
    saved("bert", folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def loaded(path: Path | str, names: tuple[str, ...] = NAMES) -> Any:
    spec = ModelSpec("x", path=str(path))
    with quiet_libraries():
        model_identity(spec)
        tokenizer = load_tokenizer(spec, lambda: TEXTS)
        torch.manual_seed(0)
        return load_model(spec, Classification(), label_names=names, tokenizer=tokenizer).eval()


def logits(model: Any) -> torch.Tensor:
    ids = torch.arange(5, 25).unsqueeze(0)
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def refused(path: Path | str) -> str:
    with pytest.raises(ValueError, match="model") as caught:
        loaded(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


# ---------------------------------------------------------------- LoRA adapters


def adapter_of(whole: Path, folder: Path, base: str, kind: str = "SEQ_CLS") -> Any:
    """Save an adapter of the small BERT, with weights that do something; the states of base and adapter by `peft`."""
    import peft
    from transformers import AutoModel, AutoModelForSequenceClassification

    loader: Any = AutoModelForSequenceClassification if kind == "SEQ_CLS" else AutoModel
    with quiet_libraries():
        model = loader.from_pretrained(whole, dtype=torch.float32)
        adapted: Any = peft.get_peft_model(
            model, peft.LoraConfig(r=2, target_modules=["query", "value"], task_type=kind)
        )
        torch.manual_seed(3)
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight)
        adapted.save_pretrained(folder)
    edit(folder / "adapter_config.json", base_model_name_or_path=base)
    body = adapted.eval().get_base_model().base_model
    with torch.no_grad():
        return body(input_ids=torch.arange(5, 25).unsqueeze(0)).last_hidden_state


@pytest.mark.parametrize("kind", ["SEQ_CLS", "FEATURE_EXTRACTION"])
def test_a_lora_adapter_is_added_into_its_base(whole: Path, tmp_path: Path, kind: str) -> None:
    states = adapter_of(whole, tmp_path / "lora", str(whole), kind)
    model = loaded(tmp_path / "lora")
    with torch.no_grad():
        ours = model.base_model(input_ids=torch.arange(5, 25).unsqueeze(0)).last_hidden_state
        of_base = loaded(whole).base_model(input_ids=torch.arange(5, 25).unsqueeze(0)).last_hidden_state
    torch.testing.assert_close(ours, states)
    assert (of_base - states).abs().max() > 0.05
    assert not any("lora" in name for name, _ in model.named_parameters())
    assert all(weight.requires_grad for weight in model.parameters())
    with quiet_libraries():
        body = load_body(ModelSpec("x", path=str(tmp_path / "lora"))).eval()
    with torch.no_grad():
        torch.testing.assert_close(body(input_ids=torch.arange(5, 25).unsqueeze(0)).last_hidden_state, states)


def test_an_adapter_is_known_by_its_own_content_and_that_of_its_base(whole: Path, folder: Path, tmp_path: Path) -> None:
    adapter_of(whole, tmp_path / "lora", str(folder))
    spec = ModelSpec("x", path=str(tmp_path / "lora"))
    first = model_identity(spec)
    assert first["base"] == model_identity(ModelSpec("y", path=str(folder)))
    edit(folder / "config.json", hidden_dropout_prob=0.2)
    second = model_identity(spec)
    assert (second["sha256"], second["base"]) == (first["sha256"], model_identity(ModelSpec("y", path=str(folder))))
    assert second != first
    edit(tmp_path / "lora" / "adapter_config.json", lora_alpha=99)
    assert model_identity(spec)["sha256"] != first["sha256"]


def test_a_base_lies_beside_its_adapter(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "base")
    adapter_of(whole, tmp_path / "lora", "../base")
    assert logits(loaded(tmp_path / "lora")).shape == (1, 2)


def test_adapters_that_cannot_be_added(whole: Path, tmp_path: Path) -> None:
    place = tmp_path / "lora"
    adapter_of(whole, place, "no/such-base")
    assert "is a LoRA adapter for the model no/such-base, which is not here" in refused(place)
    other = saved("roberta", tmp_path / "other").path
    assert other is not None
    edit(place / "adapter_config.json", base_model_name_or_path=str(other))
    for file in whole.glob("*token*"):
        shutil.copy(file, place)
    assert logits(loaded(place)).shape == (1, 2)  # RoBERTa has the same layers; what it has not is refused
    edit(place / "adapter_config.json", base_model_name_or_path=str(saved("opt", tmp_path / "opt").path))
    assert "does not fit OPTModel of its base" in refused(place)
    edit(place / "adapter_config.json", base_model_name_or_path=str(place))
    assert "which is another one" in refused(place)
    edit(place / "adapter_config.json", base_model_name_or_path=None)
    assert "names no model that it is added to" in refused(place)
    edit(place / "adapter_config.json", peft_type="IA3")
    assert "an adapter of the kind 'IA3'" in refused(place)


# ---------------------------------------------------------------- sentence-transformers


def of_sentences(whole: Path, folder: Path, place: str) -> Path:
    shutil.copytree(whole, folder / place, dirs_exist_ok=True)
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    kinds = {"Transformer": place, "Pooling": "1_Pooling", "Dense": "2_Dense"}
    modules = [{"path": where, "type": f"sentence_transformers.models.{kind}"} for kind, where in kinds.items()]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


@pytest.mark.parametrize("place", ["", "0_Transformer"])
def test_a_model_for_sentence_embeddings(
    whole: Path, tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = of_sentences(whole, tmp_path / "embedder", place)
    with caplog.at_level(logging.INFO):
        model = loaded(folder)
    assert torch.equal(logits(model), logits(loaded(whole)))
    assert "trained for sentence embeddings on the mean of its states: model.pooling=mean reads that" in caplog.text
    assert "only its transformer is loaded, not Dense" in caplog.text
    before = model_identity(ModelSpec("x", path=str(folder)))
    edit(folder / place / "config.json", hidden_dropout_prob=0.3)
    assert model_identity(ModelSpec("x", path=str(folder))) != before


def test_a_transformer_outside_of_its_folder_is_refused(whole: Path, tmp_path: Path) -> None:
    folder = of_sentences(whole, tmp_path / "embedder", "0_Transformer")
    (folder / "modules.json").write_text('[{"path": "../other", "type": "sentence_transformers.models.Transformer"}]')
    shutil.copytree(whole, tmp_path / "other")
    assert "leads out of its folder" in refused_outside(folder)
    (folder / "modules.json").write_text('[{"path": "", "type": "sentence_transformers.models.StaticEmbedding"}]')
    assert "without a transformer (StaticEmbedding)" in refused(folder)


def refused_outside(folder: Path) -> str:
    with pytest.raises(ValueError, match="leads out") as caught:
        loaded(folder)
    return str(caught.value)


# ---------------------------------------------------------------- what is no model


def test_code_that_comes_with_a_model_is_never_run(folder: Path) -> None:
    (folder / "mine.py").write_text("raise SystemExit('it was run')")
    edit(folder / "config.json", auto_map={"AutoModelForSequenceClassification": "mine.Model", "AutoConfig": "mine.C"})
    assert logits(loaded(folder)).shape == (1, 2)  # transformers has the architecture
    edit(folder / "config.json", model_type="mine")
    assert "comes with code of its own (auto_map: mine." in refused(folder)
    edit(folder / "config.json", model_type="mine", auto_map={"AutoConfig": "somebody/else--mine.C"})
    assert "which is never run here" in refused(folder)


def test_what_a_folder_is_instead(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert f"model.path={tmp_path}/empty is empty" in refused(tmp_path / "empty")
    assert f"is a file; give model.path={folder}, with config.json" in refused(folder / "model.safetensors")
    assert f"models lie below it: model.path={folder}" in refused(tmp_path)


@pytest.mark.parametrize(("name", "what"), [("tf_model.h5", "TensorFlow"), ("flax_model.msgpack", "Flax")])
def test_weights_of_another_framework(folder: Path, name: str, what: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    assert f"holds weights of {what} only" in refused(folder)


def test_pickled_weights_are_read_without_running_anything(folder: Path, tmp_path: Path) -> None:
    model, _ = built("bert")
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    assert torch.equal(logits(loaded(folder)), logits(model.eval()))

    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "it was run",)

    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"bert": Trap()}))
    assert "cannot load the model in" in refused(folder)
    assert not (tmp_path / "it was run").exists()


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_file_is_one_line(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"\x00\xff garbage {")
    assert "cannot load the model in" in refused(folder)


@pytest.mark.parametrize("change", [{"hidden_size": "wide"}, {"num_attention_heads": 0}, {"vocab_size": None}])
def test_a_configuration_that_makes_no_sense_is_one_line(folder: Path, change: dict[str, Any]) -> None:
    edit(folder / "config.json", **change)
    assert "cannot load the model in" in refused(folder)


def test_shards_in_folders_below_are_part_of_what_a_model_is(folder: Path) -> None:
    (folder / "parts").mkdir()
    (folder / "model.safetensors").rename(folder / "parts" / "one.safetensors")
    from safetensors import safe_open

    with safe_open(folder / "parts" / "one.safetensors", "pt") as file:
        names = list(file.keys())
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "parts/one.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    before = model_identity(ModelSpec("x", path=str(folder)))
    assert logits(loaded(folder)).shape == (1, 2)
    weights = bytearray((folder / "parts" / "one.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "parts" / "one.safetensors").write_bytes(bytes(weights))
    assert model_identity(ModelSpec("x", path=str(folder))) != before
