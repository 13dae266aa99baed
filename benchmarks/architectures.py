"""Which architectures of transformers are fine-tuned: every one with a head for classes, tiny, from random weights.

    python benchmarks/architectures.py --work WORK [--only xlnet canine ibert ...]

Makes for each a folder with a small model of random weights and a small tokenizer whose `model_max_length` is -1, and
trains it by hprune's own code on a few sentences, one epoch, with its record. Prints a line for each: trained, or why
not. Architectures of which no small configuration can be made by shrinking the default one are listed as not made.
A traceback of hprune's is a failure, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import torch
from hydra import compose, initialize_config_dir
from transformers import AutoConfig, AutoModelForSequenceClassification, CanineTokenizer, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from hprune.command import CONF, run_spec
from hprune.training.quiet import quiet_libraries
from hprune.training.run import fine_tune
from hprune.training.spec import ModelSpec
from hprune.training.tokenizer import load_tokenizer
from hprune.training.units import load_samples

WORDS = ("dull", "fine", "grim", "bold", "flat", "warm")
ROWS = 12
LARGEST = 20_000_000
"""Weights of a model that is still called tiny: others have parts whose sizes are not known here, as for images."""
SIZES = {
    32: ("hidden_size", "d_model", "n_embd", "dim", "emb_dim", "embedding_size", "word_embed_proj_dim", "lm_head_dim",
         "intra_bottleneck_size", "true_hidden_size", "d_embed", "d_latents"),
    64: ("intermediate_size", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim", "d_ff", "hidden_dim", "n_inner",
         "d_inner", "inner_dim", "moe_intermediate_size", "shared_expert_intermediate_size", "dff", "feed_forward_size",
         "max_position_embeddings", "n_positions", "max_seq_len", "kv_lora_rank", "q_lora_rank", "ffn_hidden_size"),
    2: ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "encoder_layers", "decoder_layers",
        "num_decoder_layers", "num_attention_heads", "n_head", "n_heads", "encoder_attention_heads",
        "decoder_attention_heads", "num_heads", "num_key_value_heads", "num_local_experts", "num_experts",
        "n_routed_experts", "num_experts_per_tok", "num_blocks", "num_self_attends_per_block"),
    16: ("head_dim", "d_kv", "attention_head_size", "mamba_d_state", "qk_nope_head_dim", "qk_rope_head_dim",
         "v_head_dim", "num_latents"),
}  # fmt: skip
"""What the fields of a configuration become, where a default is larger."""
SPECIAL: dict[str, dict[str, Any]] = {
    "reformer": {"attn_layers": ["local", "lsh"], "axial_pos_embds": False, "num_buckets": 2, "is_decoder": False},
    "funnel": {"block_sizes": [1, 1], "n_head": 2, "d_head": 16},
    "xlm": {"n_langs": 1},
    "fnet": {"tpu_short_seq_length": 64},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "longformer": {"attention_window": 8},
    "perceiver": {"d_model": 32},
    "gptj": {"rotary_dim": 8},
    "t5": {"decoder_start_token_id": 1},
    "mt5": {"decoder_start_token_id": 1},
    "umt5": {"decoder_start_token_id": 1},
    "deepseek_v2": {"num_experts_per_tok": 1, "n_group": 1, "topk_group": 1, "topk_method": "greedy"},
    "axk1": {"n_group": 1, "topk_group": 1},
}
"""What some cannot be made without."""


def tiny_config(kind: str, vocabulary: int, ids: dict[str, int]) -> PreTrainedConfig:
    """The default configuration of an architecture, with every size that is known made small."""
    default = AutoConfig.for_model(kind)
    changes: dict[str, Any] = {}
    for small, names in SIZES.items():
        for name in names:
            value = getattr(default, name, None)
            if type(value) is int and value > small and not isinstance(getattr(type(default), name, None), property):
                changes[default.attribute_map.get(name, name)] = small
    if getattr(default, "layer_types", None):
        changes["layer_types"] = list(default.layer_types[:2])
    if "vocab_size" in default.to_dict() or hasattr(default, "vocab_size"):
        changes["vocab_size"] = vocabulary
    return AutoConfig.for_model(kind, **{**changes, **ids, **SPECIAL.get(kind, {})})


def make(kind: str, folder: Path, texts: Sequence[str]) -> None:
    """Write the folder of a tiny model of an architecture, and its tokenizer."""
    tokenizer: Any = CanineTokenizer() if kind == "canine" else load_tokenizer(
        ModelSpec("any", config={"model_type": "roberta"}, vocab_size=300), lambda: texts
    )  # fmt: skip
    tokenizer.model_max_length = -1
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    config = tiny_config(kind, 300, ids)
    with torch.device("meta"):
        weights = AutoModelForSequenceClassification.from_config(config).num_parameters()
    if weights > LARGEST:
        raise ValueError(f"{weights:,} weights are left of the default configuration")
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def train(kind: str, folder: Path, file: Path, root: Path) -> str:
    """Fine-tune it by hprune's own code: its accuracy, to show that there is one."""
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        cfg = compose("train", overrides=[
            "task=own", f"task.train_file={file}", f"model.path={folder}", f"model.name={kind}", "study=s",
            f"paths.root={root}", "trainer.max_epochs=1", "trainer.threads=1", "trainer.accelerator=cpu",
            "trainer.progress=false", "data.batch_size=4",
        ])  # fmt: skip
    spec = run_spec(cfg)
    found = fine_tune(spec, load_samples(spec, root=root), None, root=root)
    return f"trained, {(found.path / 'run.json').stat().st_size} bytes of run.json"


def outcome(kind: str, work: Path, file: Path, texts: Sequence[str]) -> tuple[str, str]:
    """What became of an architecture: not made, trained, refused or failed; and a line that says more."""
    folder = work / "models" / kind
    with quiet_libraries(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            make(kind, folder, texts)
        except Exception as error:  # transformers' own: it is not what is measured
            return "not made", f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]:.100}"
        try:
            return "trained", train(kind, folder, file, work / "root")
        except (ValueError, OSError, FloatingPointError) as error:
            return ("failed" if "\n" in str(error) else "refused"), str(error)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            return "failed", f"{type(error).__name__}: {error!s:.150} ({Path(last.filename).name}:{last.lineno})"
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Try each and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--work", type=Path, required=True)
    arguments.add_argument("--only", nargs="+", default=sorted(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES))
    asked = arguments.parse_args()
    logging.disable(logging.WARNING)
    asked.work.mkdir(parents=True, exist_ok=True)
    texts = [f"a {WORDS[i % 6]} film, part {i}" for i in range(ROWS)]
    file = asked.work / "films.csv"
    pa.csv.write_csv(pa.table({"text": texts, "label": [("bad", "good")[i % 2] for i in range(ROWS)]}), file)
    counts: Counter[str] = Counter()
    print("| architecture | outcome | seconds | |\n|---|---|---|---|")
    for kind in asked.only:
        started = time.perf_counter()
        what, line = outcome(kind, asked.work, file, texts)
        counts[what] += 1
        print(
            f"| {kind} | {what} | {time.perf_counter() - started:.1f} | {line.replace(str(asked.work), 'WORK')} |",
            flush=True,
        )
    print("\n" + ", ".join(f"{count} {what}" for what, count in counts.items()))
    sys.exit(1 if counts["failed"] else 0)


if __name__ == "__main__":
    main()
