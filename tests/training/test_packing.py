"""Packed layers compute what padded ones do, real tokens only, and ask nothing of the device."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoConfig,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
)

from hprune.data.datamodule import Batch, Encoded, PaddedBatches
from hprune.data.tokenise import TokenTable
from hprune.tasks.classification import Classification
from hprune.tasks.extractive_qa import ExtractiveQA
from hprune.tasks.multiple_choice import MultipleChoice
from hprune.tasks.spec import TaskKind
from hprune.training.module import FineTuner
from hprune.training.packing import LAYERS, pack
from hprune.training.recorder import SampleJudgement
from hprune.training.spec import OptimSpec

HIDDEN, HEADS, DEPTH, INNER = 16, 2, 3, 32
SHAPES: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": HIDDEN, "n_layers": DEPTH, "n_heads": HEADS, "hidden_dim": INNER, "initializer_range": 0.4},
    "opt": {"word_embed_proj_dim": 8, "ffn_dim": INNER, "init_std": 0.4, "num_hidden_layers": DEPTH,
            "hidden_size": HIDDEN, "num_attention_heads": HEADS},
}  # fmt: skip
ENCODER = {
    "hidden_size": HIDDEN, "num_hidden_layers": DEPTH, "num_attention_heads": HEADS, "intermediate_size": INNER,
    "initializer_range": 0.4,
}  # fmt: skip
LENGTHS = (7, 2, 9, 5)
KINDS: dict[str, tuple[TaskKind, Any]] = {
    "first_token": (Classification(), AutoModelForSequenceClassification),
    "every_token": (ExtractiveQA(), AutoModelForQuestionAnswering),
}


def made(name: str, loader: Any, **more: Any) -> Any:
    """Twice the same model, one of them packed."""
    config = AutoConfig.for_model(
        name, vocab_size=50, pad_token_id=1, num_labels=2, **SHAPES.get(name, ENCODER), **more
    )
    config.use_cache = False
    torch.manual_seed(0)
    plain = loader.from_config(config)
    packed = loader.from_config(copy.deepcopy(config))
    packed.load_state_dict(plain.state_dict())
    return plain, packed


def batches(lengths: tuple[int, ...] = LENGTHS, width: int | None = None) -> tuple[Batch, Batch]:
    """The same batch for a model that pads and for one that does not."""
    offsets = np.cumsum([0, *lengths])
    ids = np.random.default_rng(0).integers(5, 50, offsets[-1]).astype(np.int32)
    span = np.zeros((len(lengths), 2), dtype=np.int64)
    tokens = TokenTable(ids, offsets, None, 0, targets={"span": span, "null": span[:, 0]})
    data = Encoded(tokens, np.arange(len(lengths)) % 2)
    rows = np.arange(len(lengths))
    one, other = (
        PaddedBatches(data, rows, pad_id=1, width=width, packed=packed).__getitem__(rows) for packed in (False, True)
    )
    assert set(other) - set(one) == {"real", "starts"}
    return one, other


@pytest.mark.parametrize("lengths", [LENGTHS, (5, 5, 5), (1,), (1, 8)], ids=str)
@pytest.mark.parametrize("task", KINDS)
@pytest.mark.parametrize("name", LAYERS)
def test_packed_is_padded(name: str, task: str, lengths: tuple[int, ...]) -> None:
    """Outputs and gradients, dropout off."""
    kind, loader = KINDS[task]
    results = []
    for packs, model, batch in zip((False, True), made(name, loader), batches(lengths), strict=True):
        model.eval()
        if packs:
            assert pack(model, pooled=kind.pooled)
        outputs = kind.outputs(model, batch)
        kind.loss(outputs, batch).backward()
        grads = {key: value.grad for key, value in model.named_parameters() if value.grad is not None}
        results.append((outputs, grads))
    (outputs, grads), (packed_outputs, packed_grads) = results
    assert outputs.std() > 1e-3
    torch.testing.assert_close(packed_outputs, outputs, rtol=1e-4, atol=1e-5)
    assert set(packed_grads) == set(grads)
    for key, grad in grads.items():
        torch.testing.assert_close(packed_grads[key], grad, rtol=1e-3, atol=1e-5, msg=key)


@pytest.mark.parametrize("summary", ["first", "last", "mean"])
def test_options_are_judged_by_what_their_head_reads(summary: str) -> None:
    """ELECTRA's head for multiple choice may read the last place or all, padding or not; then it is left alone."""
    kind = MultipleChoice(num_options=2)
    plain, packed = made("electra", AutoModelForMultipleChoice, summary_type=summary)
    packs = pack(packed.eval(), pooled=kind.pooled)
    assert packs == (summary == "first")
    one, other = batches()
    other = other if packs else one
    with torch.no_grad():
        expected = kind.outputs(plain.eval(), one)
        assert expected.std() > 1e-3
        torch.testing.assert_close(kind.outputs(packed, other), expected, rtol=1e-4, atol=1e-5)


def test_what_the_grid_is_padded_with_is_never_seen() -> None:
    _, model = made("roberta", AutoModelForSequenceClassification)
    pack(model.eval(), pooled=True)
    narrow, wide = batches()[1], batches(width=40)[1]
    with torch.no_grad():
        torch.testing.assert_close(Classification().outputs(model, narrow), Classification().outputs(model, wide))


@pytest.mark.parametrize(
    ("name", "pooled", "last"), [("roberta", True, 4), ("roberta", False, 23), ("bert", True, 4), ("opt", True, 23)]
)
def test_matrix_products_are_those_of_real_tokens(name: str, pooled: bool, last: int) -> None:
    """The multiply-adds of one forward pass, counted by torch, against the formula: twice the weights a token passes.

    `last`: tokens that leave the attention of the last layer: all 23, or the 4 first ones.
    """
    kind = KINDS["first_token" if pooled else "every_token"]
    _, model = made(name, kind[1])
    pack(model.eval(), pooled=pooled)
    _, batch = batches(width=30)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        kind[0].outputs(model, batch)
    counts = {str(op): flops for op, flops in counter.get_flop_counts()["Global"].items()}
    linear = counts["aten.addmm"] + counts.get("aten.mm", 0)
    real, width = sum(LENGTHS), 3 * HIDDEN * HIDDEN
    behind = HIDDEN * HIDDEN + 2 * HIDDEN * INNER
    layers = 2 * (real * DEPTH * width + (real * (DEPTH - 1) + last) * behind)
    grid = 4 * 30  # what stands outside the layers sees the grid, heads the tokens that they read
    beside = {
        "roberta": 2 * 4 * (HIDDEN**2 + 2 * HIDDEN) if pooled else 2 * grid * 2 * HIDDEN,
        "bert": 2 * 4 * (HIDDEN**2 + 2 * HIDDEN),
        "opt": 2 * grid * (2 * 8 * HIDDEN + 2 * 8),
    }[name]
    assert linear == layers + beside


@pytest.mark.parametrize(
    ("name", "more"),
    [("modernbert", {}), ("llama", {}), ("qwen3", {}), ("bert", {"chunk_size_feed_forward": 4}),
     ("opt", {"layerdrop": 0.1})],
)  # fmt: skip
def test_other_architectures_are_left_alone(name: str, more: dict[str, Any]) -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, **more}
    ids = {f"{token}_token_id": 1 for token in ("pad", "bos", "eos", "cls", "sep")}
    config = AutoConfig.for_model(name, vocab_size=50, **ids, **small)
    model = AutoModelForSequenceClassification.from_config(config)
    before = model.config._attn_implementation
    assert not pack(model, pooled=True)
    assert model.config._attn_implementation == before
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def test_a_saved_model_is_an_ordinary_one(tmp_path: Any) -> None:
    plain, packed = made("roberta", AutoModelForSequenceClassification)
    pack(packed, pooled=True)
    packed.save_pretrained(tmp_path)
    assert "packed" not in (tmp_path / "config.json").read_text()
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    one, _ = batches()
    with torch.no_grad():
        torch.testing.assert_close(
            Classification().outputs(loaded, one), Classification().outputs(plain.eval(), one), rtol=1e-6, atol=1e-7
        )


def test_dropout_is_drawn_for_each_token() -> None:
    """Two sequences of the same tokens do not share their dropout, and its mean effect is that of a padded model."""
    plain, packed = made("roberta", AutoModelForSequenceClassification)
    pack(packed, pooled=True)
    said: list[Tensor] = []
    for model, batch in zip((plain, packed), batches((6,) * 64), strict=True):
        batch["input_ids"][:] = batch["input_ids"][0]
        model.train()
        torch.manual_seed(1)
        with torch.no_grad():
            said.append(torch.cat([Classification().outputs(model, batch) for _ in range(20)])[:, 0].double())
    assert said[1].unique().numel() > 1000
    error = (said[0].var() / said[0].numel() + said[1].var() / said[1].numel()).sqrt()
    assert abs(said[0].mean() - said[1].mean()) < 4 * error
    assert 0.7 < said[1].std() / said[0].std() < 1.4


class Questions(TorchDispatchMode):
    """Operations that wait for the device: their result, or its shape, is a value on the host."""

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "repeat_interleave.Tensor")

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(func) for name in self.WAITS):
            self.asked.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["roberta", "opt"])
def test_a_step_asks_nothing_of_the_device(name: str) -> None:
    """Forward, backward, clipping, update, recording: a GPU is never waited for. (A padded model asks for its mask.)"""
    asked = []
    for packs, model, batch in zip(
        (False, True), made(name, AutoModelForSequenceClassification), batches(), strict=True
    ):
        if packs:
            pack(model, pooled=True)
        module = FineTuner(model, Classification(), OptimSpec(), steps=1)
        optimizer = torch.optim.AdamW(module.parameters(), fused=True)
        recorder = SampleJudgement(len(LENGTHS))
        with Questions() as questions:
            step = module.training_step(batch, 0)
            step["loss"].backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            recorder.update(module.kind.judge(module(batch), batch), batch["row"])
        asked.append(questions.asked)
    assert asked[1] == []
    assert asked[0] != []
    assert (recorder.seen == 1).all()
