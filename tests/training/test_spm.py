"""A model whose tokenizer is a SentencePiece file alone, as DeBERTa-v3 comes from the hub."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from hprune.data.tokenise import tokenise
from hprune.data.windows import tokenise_windows
from hprune.tasks.classification import Classification
from hprune.training.build import load_model, longest_input, model_identity
from hprune.training.spec import ModelSpec
from hprune.training.tokenizer import load_tokenizer

SENTENCES = ["the red hat is fine .", "a blue coat is old and poor", "my scarf is green", "where is the grey glove ?"]
CONFIG = {
    "model_type": "deberta-v2", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 32, "vocab_size": 128, "type_vocab_size": 0, "relative_attention": True,
    "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": "p2c|c2p",
    "position_biased_input": False, "max_position_embeddings": 64, "max_relative_positions": -1, "pad_token_id": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """config.json, spm.model, tokenizer_config.json and weights."""
    folder, written = tmp_path_factory.mktemp("deberta"), io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20), model_writer=written, vocab_size=60, hard_vocab_limit=False,
        pad_id=0, pad_piece="[PAD]", bos_id=1, bos_piece="[CLS]", eos_id=2, eos_piece="[SEP]", unk_id=3,
        unk_piece="[UNK]", minloglevel=2,
    )  # fmt: skip
    (folder / "spm.model").write_bytes(written.getvalue())
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False, "vocab_type": "spm"}))
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(**CONFIG))
    model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def loaded(folder: Path) -> Any:
    return load_tokenizer(ModelSpec("deberta", path=str(folder)), list)


def test_it_is_read_as_sentencepiece_reads_it(folder: Path) -> None:
    tokenizer = loaded(folder)
    own = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    assert (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id) == (0, 1, 2)
    for sentence in SENTENCES:
        assert tokenizer(sentence)["input_ids"] == [1, *own.encode(sentence), 2]


def test_pairs_and_windows(folder: Path) -> None:
    tokenizer = loaded(folder)
    pair = tokenise(tokenizer, (SENTENCES[:1], SENTENCES[1:2]), 64)
    assert pair.input_ids.tolist().count(2) == 2
    assert pair.token_type_ids is not None
    context = " ".join(SENTENCES)
    windows = tokenise_windows(tokenizer, [SENTENCES[3]], [context], max_length=48, stride=8, closed=False)
    assert windows.first is not None
    assert windows.first[1] > 1
    assert windows.chars is not None
    shown = windows.chars[windows.chars[:, 0] >= 0]
    covered = np.zeros(len(context), dtype=bool)
    for start, end in shown:
        covered[start:end] = True
    assert all(covered[i] or letter == " " for i, letter in enumerate(context))


def test_the_model_goes_with_it(folder: Path) -> None:
    spec = ModelSpec("deberta", path=str(folder))
    tokenizer = loaded(folder)
    model = load_model(spec, Classification(), label_names=("no", "yes"), tokenizer=tokenizer).eval()
    assert longest_input(model, tokenizer, 512) == 64
    encoded = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    with torch.no_grad():
        assert model(**encoded).logits.shape == (4, 2)


def test_the_tokenizer_is_part_of_what_the_model_is(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    spec, other = ModelSpec("one", path=str(folder)), ModelSpec("two", path=str(tmp_path))
    assert model_identity(spec) == model_identity(other)
    (tmp_path / "spm.model").write_bytes(b"other")
    assert model_identity(spec) != model_identity(other)
