"""What a training step costs, against the floor: the multiply-adds of the real tokens at the speed of a matrix product.

    python benchmarks/step_speed.py                                             CPU: length, model size, runs at once
    python benchmarks/step_speed.py --device cuda --precision bf16 --models roberta_large opt_350m --at-once 1 6

Models of real shapes, from random weights; texts of random tokens, as long as those of a data set (or all of one
length). Each way of padding trains on the same samples in turns: padded to the longest that the model takes here, as
the authors do; to the longest of a random batch; bucketed by length; bucketed and packed, which is hprune's. "Of the
floor" is the share of its time that a step would take if it multiplied real tokens only and did nothing else. With
--at-once N, N processes train a model each on the one device, packed, and their samples a second are added up.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForSequenceClassification

from hprune.data.batching import Batching, plan_batches
from hprune.data.datamodule import Encoded, PaddedBatches
from hprune.data.tokenise import TokenTable
from hprune.tasks.classification import Classification
from hprune.training.packing import pack

VOCABULARY = 30_000


def encoder(hidden: int, layers: int) -> dict[str, Any]:
    """The shape of a RoBERTa."""
    heads = {"num_hidden_layers": layers, "num_attention_heads": hidden // (64 if hidden > 384 else 32)}
    return {"model_type": "roberta", "hidden_size": hidden, "intermediate_size": 4 * hidden, **heads}


MODELS: dict[str, dict[str, Any]] = {
    "tiny": encoder(64, 2),
    "minilm": encoder(384, 6),
    "roberta_base": encoder(768, 12),
    "roberta_large": encoder(1024, 24),
    "opt_350m": {
        "model_type": "opt", "hidden_size": 1024, "ffn_dim": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "word_embed_proj_dim": 512, "do_layer_norm_before": False,
    },
}  # fmt: skip
LENGTHS: dict[str, tuple[float, float, int]] = {  # mean, standard deviation, longest, in tokens
    "sst2": (13.3, 9.5, 128),
    "snli": (27.0, 8.0, 128),
    "race": (360.0, 100.0, 512),
}
WAYS: dict[str, tuple[Batching, bool]] = {
    "to the longest": ("max_length", False),
    "random": ("random", False),
    "bucketed": ("bucketed", False),
    "packed": ("bucketed", True),
}


def texts(lengths: str, samples: int) -> Encoded:
    """Random tokens, as long as the texts of a data set, or all of one length."""
    rng = np.random.default_rng(0)
    if lengths in LENGTHS:
        mean, sd, longest = LENGTHS[lengths]
        drawn = rng.gamma((mean / sd) ** 2, sd**2 / mean, samples).round().clip(4, longest).astype(np.int64)
    else:
        drawn = np.full(samples, int(lengths))
    ids = rng.integers(5, VOCABULARY, drawn.sum()).astype(np.int32)
    return Encoded(TokenTable(ids, np.cumsum([0, *drawn]), None, 0), rng.integers(0, 2, samples))


class Training:
    """One model that is trained on whatever batches it is given."""

    def __init__(self, model: str, device: str, precision: str, *, packed: bool) -> None:
        shape = dict(MODELS[model])
        ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
        room = {"max_position_embeddings": 514 + 2 * (shape["model_type"] == "opt"), "vocab_size": VOCABULARY}
        config = AutoConfig.for_model(shape.pop("model_type"), **shape, **ids, **room, num_labels=2, use_cache=False)
        self.model = AutoModelForSequenceClassification.from_config(config).to(device).train()
        self.device, self.precision, self.kind = device, precision, Classification()
        assert not packed or pack(self.model, pooled=True)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5, weight_decay=0.0, fused=True)

    def seconds(self, batches: PaddedBatches, plan: list[NDArray[np.int64]]) -> float:
        """Wall time of an epoch."""
        self._wait()
        started = time.perf_counter()
        for rows in plan:
            batch = {name: values.to(self.device, non_blocking=True) for name, values in batches[rows].items()}
            with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
                outputs = self.kind.outputs(self.model, batch)
            self.kind.loss(outputs, batch).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
        self._wait()
        return time.perf_counter() - started

    def floor(self, lengths: NDArray[np.int64]) -> float:
        """Multiply-adds of an epoch over real tokens, times two; a backward pass is twice a forward pass."""
        layers = self.model.base_model.encoder.layer if hasattr(self.model.base_model, "encoder") else None
        layers = self.model.base_model.decoder.layers if layers is None else layers
        weights = sum(p.numel() for layer in layers for p in layer.parameters() if p.ndim == 2)
        hidden, tokens = self.model.config.hidden_size, int(lengths.sum())
        return 3 * (2 * weights * tokens + 4 * hidden * len(layers) * float((lengths.astype(float) ** 2).sum()))

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def matmul_rate(device: str, precision: str) -> float:
    """The most that a large matrix product reaches here, in operations a second."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    size = 8192 if device == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    best = 0.0
    for _ in range(10):
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        (a @ b).flatten()[0].item()
        best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best


def measure(model: str, lengths: str, given: argparse.Namespace) -> list[str]:
    """A row of the table for each way of padding."""
    rounds: int = given.rounds
    data = texts(lengths, given.batches * given.batch_size)
    own = data.tokens.lengths
    longest = LENGTHS[lengths][2] if lengths in LENGTHS else int(lengths)
    took: dict[str, list[float]] = {way: [] for way in WAYS if way not in given.skip}
    runs: dict[str, Callable[[], float]] = {}
    for way in took:
        batching, packed = WAYS[way]
        training = Training(model, given.device, given.precision, packed=packed)
        width = longest if batching == "max_length" else None
        batches = PaddedBatches(data, np.arange(own.size), pad_id=1, width=width, packed=packed)
        plan = plan_batches(own, batch_size=given.batch_size, seed=1, batching=batching)
        runs[way] = lambda training=training, batches=batches, plan=plan: training.seconds(batches, plan)  # type: ignore[misc]
        floor = training.floor(own) / given.rate
    for number in range(rounds + 1):  # the first warms up
        for way, run in runs.items():
            seconds = run()
            took[way] += [seconds] if number else []
    rows = []
    for way, seconds in took.items():
        middle = statistics.median(seconds)
        ratio = statistics.median(a / b for a, b in zip(seconds, took["packed"], strict=True))
        rows.append(
            f"| {model} | {lengths} | {own.mean():.0f} | {way} | {own.size / middle:.1f} | {own.sum() / middle:,.0f} "
            f"| {floor / middle:.0%} | {ratio:.2f} |"
        )
    return rows


def _one_of_several(model: str, lengths: str, given: argparse.Namespace, ready: Any, said: Any) -> None:
    torch.set_num_threads(given.threads)
    data = texts(lengths, given.batches * given.batch_size)
    batches = PaddedBatches(data, np.arange(data.labels.size), pad_id=1, packed=True)
    plan = plan_batches(data.tokens.lengths, batch_size=given.batch_size, seed=1)
    training = Training(model, given.device, given.precision, packed=True)
    training.seconds(batches, plan)
    for _ in range(given.rounds):
        ready.wait()
        said.put(training.seconds(batches, plan))


def at_once(model: str, lengths: str, number: int, given: argparse.Namespace) -> float:
    """Samples a second of so many processes together, each with a model of its own."""
    context = multiprocessing.get_context("spawn")
    ready, said = context.Barrier(number), context.Queue()
    several = [
        context.Process(target=_one_of_several, args=(model, lengths, given, ready, said)) for _ in range(number)
    ]
    for process in several:
        process.start()
    rates = [given.batches * given.batch_size / said.get() for _ in range(number * given.rounds)]
    for process in several:
        process.join()
    return number * statistics.median(rates)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="32", choices=["32", "bf16"])
    parser.add_argument("--models", nargs="+", default=["minilm"], choices=list(MODELS))
    parser.add_argument("--lengths", nargs="+", default=["sst2"], help=f"{', '.join(LENGTHS)}, or tokens of every text")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of a CPU")
    parser.add_argument("--at-once", nargs="*", type=int, default=[])
    parser.add_argument("--skip", nargs="*", default=[], choices=[way for way in WAYS if way != "packed"])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.rate = matmul_rate(given.device, given.precision)
    name = torch.cuda.get_device_name() if given.device == "cuda" else f"CPU, {given.threads} threads"
    print(f"{name}, {given.precision}: a matrix product reaches {given.rate / 1e12:.3g} T operations a second\n")
    print("| model | lengths | tokens | padding | samples a second | tokens a second | of the floor | packed: times |")
    print("|---|---|---|---|---|---|---|---|")
    for model in given.models:
        for lengths in given.lengths:
            print("\n".join(measure(model, lengths, given)), flush=True)
    if given.at_once:
        print("\n| model | lengths | runs at once | samples a second, together | against one |\n|---|---|---|---|---|")
    for model in given.models if given.at_once else []:
        for lengths in given.lengths:
            rates = {number: at_once(model, lengths, number, given) for number in given.at_once}
            for number, rate in rates.items():
                first = rates[given.at_once[0]]
                print(f"| {model} | {lengths} | {number} | {rate:.1f} | {rate / first:.2f} |", flush=True)


if __name__ == "__main__":
    main()
