"""Models and tokenizers: what is loaded is what was asked for, and a decoder answers from its last real token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import ByT5Tokenizer

from hprune.tasks.classification import Classification
from hprune.training.build import load_model, longest_input, model_identity
from hprune.training.quiet import quiet_libraries
from hprune.training.spec import ModelSpec
from hprune.training.tokenizer import load_tokenizer

TEXTS = ["a fine film", "a dull film", "the plot was not boring", "superb acting , but a weak ending"]
SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "roberta": {"model_type": "roberta", **SIZE, "intermediate_size": 32, "max_position_embeddings": 40,
                "type_vocab_size": 1},
    "bert": {"model_type": "bert", **SIZE, "intermediate_size": 32, "max_position_embeddings": 40},
    "opt": {"model_type": "opt", **SIZE, "word_embed_proj_dim": 16, "ffn_dim": 32, "max_position_embeddings": 40},
    "gpt2": {"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40},
    "llama": {"model_type": "llama", **SIZE, "intermediate_size": 32, "max_position_embeddings": 40},
}  # fmt: skip


def built(architecture: str) -> tuple[Any, Any]:
    spec = ModelSpec("tiny", config=ARCHITECTURES[architecture], vocab_size=300)
    torch.manual_seed(0)
    tokenizer = load_tokenizer(spec, lambda: TEXTS)
    return load_model(spec, Classification(), label_names=("no", "yes"), tokenizer=tokenizer), tokenizer


def saved(architecture: str, folder: Path) -> ModelSpec:
    model, tokenizer = built(architecture)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelSpec("tiny", path=str(folder))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_do_not_depend_on_padding(architecture: str) -> None:
    model, tokenizer = built(architecture)
    model.eval()
    ids = tokenizer(TEXTS[3])["input_ids"]
    pad = tokenizer.pad_token_id
    with torch.no_grad():
        bare = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long)).logits
        padded = model(
            input_ids=torch.tensor([ids + [pad] * 7]), attention_mask=torch.tensor([[1] * len(ids) + [0] * 7])
        ).logits
    assert bare.shape == (1, 2)
    torch.testing.assert_close(bare, padded, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("architecture", ["opt", "gpt2", "llama"])
def test_a_decoder_answers_from_its_last_real_token(architecture: str) -> None:
    model, tokenizer = built(architecture)
    model.eval()
    ids = tokenizer(TEXTS[3])["input_ids"]
    other = next(token for token in range(10, 200) if token != ids[-1])
    batch = torch.tensor([[*ids, tokenizer.pad_token_id], [*ids[:-1], other, tokenizer.pad_token_id]])
    mask = torch.tensor([[1] * len(ids) + [0]] * 2)
    with torch.no_grad():
        logits = model(input_ids=batch, attention_mask=mask).logits
    assert (logits[0] - logits[1]).abs().max() > 1e-4
    assert model.config.pad_token_id == tokenizer.pad_token_id


def test_models_train_with_dropout_in_float32(tmp_path: Path) -> None:
    spec = saved("opt", tmp_path)
    model, tokenizer = built("opt")
    model.half().save_pretrained(tmp_path)  # as OPT comes from the hub
    loaded = load_model(spec, Classification(), label_names=("no", "yes"), tokenizer=tokenizer)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert loaded.training


def test_the_head_knows_the_classes(tmp_path: Path) -> None:
    spec = saved("roberta", tmp_path)
    tokenizer = load_tokenizer(spec, lambda: TEXTS)
    model = load_model(spec, Classification(), label_names=("a", "b"), tokenizer=tokenizer)
    assert model.config.id2label == {0: "a", 1: "b"}


@pytest.mark.parametrize("names", [("yes", "no"), ("YES", "No")])
def test_a_head_of_the_same_classes_in_another_order_is_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    spec, tokenizer = saved("roberta", tmp_path), built("roberta")[1]  # no, yes
    message = rf"model 'tiny' was trained on the classes no, yes, in this order, .* as {', '.join(names)}"
    with pytest.raises(ValueError, match=message) as caught:
        load_model(spec, Classification(), label_names=names, tokenizer=tokenizer)
    assert "\n" not in str(caught.value)
    assert "task.label_names" in str(caught.value)


@pytest.mark.parametrize("names", [("no", "yes"), ("NO", "Yes"), ("yes", "maybe"), ("LABEL_0", "LABEL_1")])
def test_a_head_in_the_tasks_order_or_of_other_classes_is_taken(tmp_path: Path, names: tuple[str, str]) -> None:
    spec, tokenizer = saved("roberta", tmp_path), built("roberta")[1]
    model = load_model(spec, Classification(), label_names=names, tokenizer=tokenizer)
    assert model.config.id2label == dict(enumerate(names))
    trained = load_model(spec, Classification(), label_names=("no", "yes"), tokenizer=tokenizer).classifier.state_dict()
    for name, weights in model.classifier.state_dict().items():
        assert torch.equal(weights, trained[name]), "the head of the folder, not a new one"


def test_a_tokenizer_from_scratch_is_the_same_each_time() -> None:
    spec = ModelSpec("tiny", config=ARCHITECTURES["roberta"], vocab_size=290)
    first, second = (load_tokenizer(spec, lambda: TEXTS).backend_tokenizer.to_str() for _ in range(2))
    assert first == second
    ids = load_tokenizer(spec, lambda: TEXTS)("a fine film")["input_ids"]
    assert (ids[0], ids[-1]) == (0, 2)
    assert (
        load_tokenizer(ModelSpec("t", config=ARCHITECTURES["opt"]), lambda: TEXTS)("a fine film")["input_ids"][0] == 2
    )


@pytest.mark.parametrize(("architecture", "longest"), [("roberta", 38), ("bert", 40), ("opt", 40)])
def test_longest_input_is_what_the_model_takes(architecture: str, longest: int) -> None:
    model, tokenizer = built(architecture)
    assert longest_input(model, tokenizer, 512) == longest
    assert longest_input(model, tokenizer, 16) == 16
    ids = torch.full((1, longest), 7)
    model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))


def test_identity_is_by_content(tmp_path: Path) -> None:
    one, two = saved("roberta", tmp_path / "one"), saved("roberta", tmp_path / "two")
    assert model_identity(one) == model_identity(two)
    config = tmp_path / "two" / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 16', '"hidden_size": 18'))
    assert model_identity(one) != model_identity(two)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("./nosuch", r"model\.path=\./nosuch is not a folder"),
        ("no/such-model", r"cannot get the model 'no/such-model': no local copy .* Two ways on: .*model\.path=FOLDER"),
    ],
)
def test_models_that_are_not_there(path: str, message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message):
        load_tokenizer(ModelSpec("x", path=path), lambda: TEXTS)
    with pytest.raises((ValueError, OSError), match=message):
        model_identity(ModelSpec("x", path=path))


def test_a_folder_without_tokenizer_or_model_is_refused(tmp_path: Path) -> None:
    model, _ = built("roberta")
    model.save_pretrained(tmp_path)
    spec = ModelSpec("x", path=str(tmp_path))
    with pytest.raises(ValueError, match=r"has no tokenizer .* it holds config\.json, model\.safetensors"):
        load_tokenizer(spec, lambda: TEXTS)
    _, tokenizer = built("roberta")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="cannot load the model in"):
        load_model(spec, Classification(), label_names=("no", "yes"), tokenizer=tokenizer)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    spec = saved("roberta", tmp_path)
    larger = load_tokenizer(
        ModelSpec("y", config=ARCHITECTURES["roberta"], vocab_size=330), lambda: [f"word{i} b{i}" for i in range(200)]
    )
    with pytest.raises(ValueError, match="they do not belong together"):
        load_model(spec, Classification(), label_names=("no", "yes"), tokenizer=larger)


def test_a_configuration_that_makes_no_model() -> None:
    with pytest.raises(ValueError, match=r"must name a model_type"):
        ModelSpec("x", config={"hidden_size": 8})
    spec = ModelSpec("x", config={"model_type": "nosuch"})
    tokenizer = load_tokenizer(spec, lambda: TEXTS)
    with pytest.raises(ValueError, match="does not make a model"):
        load_model(spec, Classification(), label_names=("no", "yes"), tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("where", "limit"),
    [*(("model", limit) for limit in (-1, 0, 10**30)),  # transformers itself refuses what is no whole number
     *(("tokenizer", limit) for limit in (-1, 0, None, 10**30, 1e30, float("inf")))],
)  # fmt: skip
def test_a_limit_that_is_none_limits_nothing(where: str, limit: Any) -> None:
    model, tokenizer = built("bert")  # of 40 positions
    if where == "model":
        model.config.max_position_embeddings, left = limit, 512
    else:
        tokenizer.model_max_length, left = limit, 40
    assert longest_input(model, tokenizer, 512) == left


@pytest.mark.parametrize(
    ("architecture", "more"),
    [
        ("xlnet", {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 32}),  # max_position_embeddings is -1
        ("ibert", {**SIZE, "intermediate_size": 32, "max_position_embeddings": 40}),  # a table that is no nn.Embedding
        ("canine", {**SIZE, "intermediate_size": 32, "max_position_embeddings": 64}),  # no table of tokens at all
    ],
)
def test_architectures_whose_limits_and_tables_are_others(architecture: str, more: dict[str, Any]) -> None:
    spec = ModelSpec("tiny", config={"model_type": architecture, **more}, vocab_size=300)
    tokenizer = load_tokenizer(spec, lambda: TEXTS)
    tokenizer.model_max_length = -1
    with quiet_libraries():
        model = load_model(spec, Classification(), label_names=("no", "yes"), tokenizer=tokenizer)
    assert longest_input(model, tokenizer, 32) == 32
    ids = torch.tensor([tokenizer(TEXTS[0])["input_ids"]])
    model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.sum().backward()
    assert any(weight.grad is not None for weight in model.parameters())


def test_a_configuration_that_cannot_answer_is_one_line() -> None:
    size = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    spec = ModelSpec("tiny", config={"model_type": "t5", **size}, vocab_size=300)  # without decoder_start_token_id
    tokenizer = load_tokenizer(spec, lambda: TEXTS)
    with pytest.raises(ValueError, match=r"T5ForSequenceClassification \(t5\) cannot answer a text") as caught:
        load_model(spec, Classification(), label_names=("no", "yes"), tokenizer=tokenizer)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_in_python_only_is_refused_in_one_line(tmp_path: Path) -> None:
    model, _ = built("bert")
    model.save_pretrained(tmp_path)
    ByT5Tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="ByT5Tokenizer, is written in Python only; a fast one"):
        load_tokenizer(ModelSpec("x", path=str(tmp_path)), lambda: TEXTS)
