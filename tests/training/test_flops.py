"""Operations are counted to the last one: by hand for what can be, and against PyTorch's counter on real values."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hprune.data.tokenise import TokenTable
from hprune.science.records import Subset
from hprune.storage.manifests import read_manifest, read_results, sealed
from hprune.tasks.load import load_task
from hprune.training.assemble import Assembled, assemble
from hprune.training.flops import FlopModel, flop_model, planned, shapes
from hprune.training.run import fine_tune

Compose = Callable[..., Any]
SIZE = "hidden_size:16,num_attention_heads:2,max_position_embeddings:80,"
ARCHITECTURES = {
    "roberta": f"{{model_type:roberta,{SIZE}num_hidden_layers:2,intermediate_size:32,type_vocab_size:1}}",
    "opt": f"{{model_type:opt,{SIZE}num_hidden_layers:2,ffn_dim:32,word_embed_proj_dim:16}}",
    "qwen3": f"{{model_type:qwen3,{SIZE}num_hidden_layers:1,intermediate_size:32,num_key_value_heads:1,head_dim:8}}",
}


def made_of(spec: Any, root: Path) -> Assembled:
    data = load_task(spec.task)
    ids = data.train["sample_id"].to_numpy().copy()
    return assemble(spec, data, Subset("full", ids, data.data_hash, {}), root=root)


def counted_on_values(made: Assembled, rows: np.ndarray) -> tuple[int, int]:
    """Forward, and forward and backward, with real numbers and attention that is two products."""
    batch = made.datamodule.train[rows]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        outputs = made.module(batch)
        forward = counter.get_total_flops()
        outputs.sum().backward()
    return forward, counter.get_total_flops()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_batch_of_a_plan_is_counted_exactly(
    compose_run: Compose, tmp_path: Path, architecture: str, packed: bool
) -> None:
    options = (f"model.name={architecture}", f"++model.config={ARCHITECTURES[architecture]}", "data.max_length=64")
    made = made_of(compose_run(*options, f"data.packed={str(packed).lower()}"), tmp_path)
    found = flop_model(made.module, made.datamodule)
    assert found is not None
    plan = made.datamodule.plan.batches()[:3]
    expected = np.array([counted_on_values(made, rows) for rows in plan])
    assert found.of_passes(shapes(made.datamodule.train, plan)).tolist() == expected[:, 0].tolist()
    assert found.of_steps(shapes(made.datamodule.train, plan)).tolist() == expected[:, 1].tolist()


def test_an_encoder_by_hand(compose_run: Compose, tmp_path: Path) -> None:
    """Packed, one layer, so all behind its attention is of first tokens only: D = 16, F = 32, two classes."""
    made = made_of(compose_run(), tmp_path)
    found = flop_model(made.module, made.datamodule)
    assert found is not None
    width, inner = 16, 32
    by_hand = np.array([
        2 * 3 * width * width,  # a token: query, key, value
        0,
        2 * 2 * width,  # a pair of cells: query with key, weights with value
        2 * (width * width + 2 * width * inner) + 2 * (width * width + 2 * width),  # a sequence: the rest, and the head
        0,
    ])  # fmt: skip
    assert found.forward == pytest.approx(by_hand, abs=1e-5)
    assert found.step == pytest.approx(3 * by_hand, abs=1e-4)  # back, a product is two: for its weights and its inputs


def test_shapes_are_those_of_the_batches(compose_run: Compose, tmp_path: Path) -> None:
    for options in ((), ("data.batching=max_length", "data.max_length=40")):
        made = made_of(compose_run(*options), tmp_path)
        plan = made.datamodule.plan.batches()
        for row, rows in zip(shapes(made.datamodule.train, plan), plan, strict=True):
            mask = made.datamodule.train[rows]["attention_mask"]
            sequences, length = mask.shape
            assert row.tolist() == [mask.sum(), sequences * length, sequences * length**2, sequences, 1]
    assert shapes(made.datamodule.train, []).shape == (0, 5)


def test_counts_scale_with_tokens_and_epochs(compose_run: Compose, tmp_path: Path) -> None:
    made = made_of(compose_run(), tmp_path)
    model = FlopModel(np.array([1.0, 0, 0, 0, 0]), np.array([3.0, 0, 0, 0, 0]))
    once = planned(made.datamodule, epochs=1)
    assert model.of_steps(once).sum() == 3 * made.datamodule.train.tokens
    assert model.of_passes(planned(made.datamodule, epochs=4)).sum() == 4 * made.datamodule.train.tokens
    assert len(planned(made.datamodule, epochs=2, batches=13)) == 13
    made.datamodule.plan.spec = made.datamodule.spec = replace(made.datamodule.spec, order="reshuffled")
    anew = planned(made.datamodule, epochs=2)
    assert anew[: len(once), 0].sum() == anew[len(once) :, 0].sum() == once[:, 0].sum()


def test_a_sample_of_several_sequences_counts_all_of_them(compose_run: Compose, tmp_path: Path) -> None:
    made = made_of(compose_run(), tmp_path)
    train = made.datamodule.train
    table = TokenTable(
        np.zeros(12, np.int32), np.array([0, 2, 5, 9, 12]), None, 0, first=np.array([0, 3, 4])
    )  # 2, 3 and 4 tokens, and 3
    batches = type(train)(replace(train.data, tokens=table, labels=np.zeros(2, np.int64)), np.arange(2), pad_id=1)
    assert shapes(batches, [np.arange(2)]).tolist() == [[12, 16, 64, 4, 1]]


class _Curious(torch.nn.Module):
    """Looks at the values of its input."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner, self.config = inner, inner.config

    def forward(self, **given: Any) -> Any:
        assert given["input_ids"].max().item() > 0
        return self.inner(**given)


def test_of_a_model_that_looks_at_values_nothing_is_said(compose_run: Compose, tmp_path: Path) -> None:
    made = made_of(compose_run(), tmp_path)
    made.module.model = _Curious(made.module.model)  # type: ignore[assignment]
    assert flop_model(made.module, made.datamodule) is None


def test_the_ledger_of_a_run(compose_run: Compose, tmp_path: Path) -> None:
    folders = {}
    for record, epochs in (("train_pass", 1), ("both", 2)):
        spec = compose_run(f"record={record}", f"trainer.max_epochs={epochs}")
        folders[record] = fine_tune(spec, load_task(spec.task), None, root=tmp_path)
    once, twice = (read_manifest(folder.path)["cost"] for folder in folders.values())
    assert twice["train_flops"] == 2 * once["train_flops"] > 0
    assert once["clean_pass_flops"] == once["clean_pass_seconds"] == once["checkpoint_seconds"] == 0
    assert twice["clean_pass_flops"] > 0
    assert twice["clean_pass_seconds"] > 0
    assert twice["checkpoint_seconds"] > 0
    # validation (60) after each epoch and at the end, test (40) at the end
    validation = twice["evaluation_flops"] - once["evaluation_flops"]
    assert 1.4 < once["evaluation_flops"] / validation < 3.2
    for cost in (once, twice):
        stages = ("train", "clean_pass", "evaluation", "checkpoint")
        assert sum(cost[f"{stage}_seconds"] for stage in stages) < cost["total_seconds"]


def test_a_run_of_before_is_read_and_an_altered_one_is_not(compose_run: Compose, tmp_path: Path) -> None:
    spec = compose_run("trainer.max_epochs=1")
    folder = fine_tune(spec, load_task(spec.task), None, root=tmp_path)
    manifest = json.loads(folder.manifest.read_text())
    whole = manifest["cost"]
    manifest["cost"] = {"train_seconds": whole["train_seconds"]}
    folder.manifest.write_text(json.dumps(sealed(manifest)))
    assert read_results(folder.path)["cost"] == manifest["cost"]
    manifest["cost"] = whole | {"train_flops": -1}
    folder.manifest.write_text(json.dumps(sealed(manifest)))
    with pytest.raises(ValueError, match=r"cost\.train_flops must be a number from 0, got -1"):
        read_results(folder.path)
