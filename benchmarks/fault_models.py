"""Faults of models, and of names on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.fault_place import BERT, TINY, Ended, Place, by_text, came, fault, plain_rows, scored


def small_model(folder: Path) -> Path:
    """A folder with a small BERT and its tokenizer."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from hprune.training.spec import ModelSpec
    from hprune.training.tokenizer import load_tokenizer

    spec = ModelSpec("tiny", config={"model_type": "bert", **BERT}, vocab_size=300)
    tokenizer = load_tokenizer(spec, lambda: ["a good day", "a bad day"] * 30)
    torch.manual_seed(0)
    BertForSequenceClassification(
        BertConfig(**BERT, vocab_size=len(tokenizer), max_position_embeddings=64)
    ).save_pretrained(folder)  # type: ignore[arg-type]
    tokenizer.save_pretrained(folder)
    return folder


def trained_with(at: Place, path: Path | str, *options: str) -> Ended:
    """Train a run with a model."""
    file = at.rows("a.csv", plain_rows())
    return at.command("train", "task=own", f"task.train_file={file}", *[o for o in TINY if not o.startswith("model")],
                      f"model.path={path}", "study=s", "seed=1", *options)  # fmt: skip


@fault("the name of what is loaded", "test_model_name.py::test_what_the_commands_call_a_model")
def _(at: Place) -> tuple[bool, object]:
    ended = trained_with(at, small_model(at.folder / "all-MiniLM-L6-v2"), "model=roberta_base")
    found = [path.parts[-3] for path in at.root.glob("runs/*/*/*/seed=1")]
    return bool(found) and "roberta" not in found[0], found or ended.last


@fault("a LoRA adapter", "training/test_model_folder.py::test_a_lora_adapter_is_added_into_its_base")
def _(at: Place) -> tuple[bool, object]:
    import peft
    from transformers import AutoModelForSequenceClassification

    base = small_model(at.folder / "base")
    config: Any = peft.LoraConfig(r=2, target_modules=["query", "value"], task_type="SEQ_CLS")
    adapted: Any = peft.get_peft_model(AutoModelForSequenceClassification.from_pretrained(base), config)
    adapted.save_pretrained(at.folder / "lora")
    ended = trained_with(at, at.folder / "lora", "model=minilm")
    return ended.code == 0, ended.last


@fault("a folder with remote code", "training/test_model_folder.py::test_code_that_comes_with_a_model_is_never_run")
def _(at: Place) -> tuple[bool, object]:
    folder = small_model(at.folder / "mine")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C"}})
    )
    (folder / "mine.py").write_text("raise SystemExit('it was run')")
    ended = trained_with(at, folder, "model=minilm")
    return ended.refused("code of its own") and "it was run" not in ended.err, ended.last


@fault("a sentence-transformers folder", "training/test_model_folder.py::test_a_model_for_sentence_embeddings")
def _(at: Place) -> tuple[bool, object]:
    small_model(at.folder / "embedder" / "0_Transformer")
    at.write(
        "embedder/modules.json",
        json.dumps([{"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}]),
    )
    ended = trained_with(at, at.folder / "embedder", "model=minilm")
    return ended.code == 0, ended.last


@fault("GGUF", "training/test_gguf.py::test_it_is_trained_and_saved_as_any_other")
def _(at: Place) -> tuple[bool, object]:
    import gguf

    writer = gguf.GGUFWriter(at.folder / "tiny.gguf", "llama")  # its header says what it is; there are no weights in it
    writer.add_context_length(64)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    ended = trained_with(at, at.folder / "tiny.gguf", "model=minilm")
    return ended.refused("GGUF"), ended.last


@fault("paths that are printed can be pasted", "storage/test_override.py::test_the_way_out_of_a_message_can_be_pasted")
def _(at: Place) -> tuple[bool, object]:
    import shlex

    from hydra.core.override_parser.overrides_parser import OverridesParser

    scored(at, at.rows("a.csv", plain_rows()))
    out = at.folder / "June (2), a=b.csv"
    told = at.must("triage", "study=s", "values=0..S", f'out="{out}"').err
    (line,) = [line for line in told.splitlines() if "then: " in line]
    words = [word for word in shlex.split(line.partition("then: ")[2], comments=False) if "=" in word]
    try:
        found = {o.key_or_group: str(o.value()) for o in OverridesParser.create().parse_overrides(words)}
    except Exception as error:
        return False, f"{' '.join(words[2:])}: {type(error).__name__}"
    return found.get("read") == str(out), line.partition("then: ")[2]


@fault("names with signs", "test_overrides.py::test_what_is_wrong_is_told_in_one_line")
def _(at: Place) -> tuple[bool, object]:
    file = at.rows("a.csv", [{"a=b": row["text"], "label": row["label"]} for row in plain_rows()])
    ended = at.command("train", "task=own", f"task.train_file={file}", *TINY, "task.text=[a=b]", "study=s", "seed=1")
    return ended.refused("in quotes: write"), ended.err.strip().splitlines()[0]


@fault("columns by position", "tasks/test_labels.py::test_columns_are_given_by_their_places")
def _(at: Place) -> tuple[bool, object]:
    file = at.rows("a.csv", plain_rows())
    found = came(lambda: len(by_text(at.task(f"task.train_file={file}", "task.text=[@1]", "task.label=@2"))))
    return found == 60, found
