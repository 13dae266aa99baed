"""Every option of every config group composes, resolves, and makes its typed value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from hydra import compose, initialize_config_dir
from lightning.fabric.connector import _PRECISION_INPUT_STR, _PRECISION_INPUT_STR_ALIAS

from hprune.command import CONF, instantiate, plain, run_spec
from hprune.training.spec import PRECISIONS, SHORT_PRECISIONS, LoraSpec, ModelSpec, TrainerSpec

GROUPS = ("task", "model", "optim", "data", "trainer", "record", "subset")
OPTIONS = sorted((group, path.stem) for group in GROUPS for path in (CONF / group).glob("*.yaml"))
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
ENTRIES = ("train", "study", "plan", "score", "report", "sensitivity", "triage", "export", "status")


def composed(entry: str, *overrides: str):  # type: ignore[no-untyped-def]
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        return compose(entry, overrides=list(overrides))


def test_the_globs_found_the_tree() -> None:
    assert {"demo", "own", "sst2_minilm", "sst2_opt", "sst2_roberta"} <= set(EXPERIMENTS)
    assert {group for group, _ in OPTIONS} == set(GROUPS)
    assert {"minilm", "opt_125m", "opt_350m", "roberta_base", "roberta_large", "tiny_opt", "tiny_roberta"} <= {
        name for group, name in OPTIONS if group == "model"
    }


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda value: value)
def test_every_option_makes_a_value(group: str, option: str) -> None:
    cfg = composed("train", f"{group}={option}")
    spec = run_spec(cfg)
    assert getattr(spec, group) is not None
    named = plain(cfg[group]).get("name")
    assert named in (None, option)


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("entry", ["train", "study", "plan"])
def test_every_experiment_composes_for_every_command_that_trains(entry: str, name: str) -> None:
    cfg = composed(entry, f"+experiment={name}")
    plain(cfg)
    if entry != "train":
        assert {"full", "winning_ticket", "random_like"} <= set(cfg.arms)
        for subset in cfg.arms.values():
            instantiate(subset)
    else:
        run_spec(cfg)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_opens_with_its_command(name: str) -> None:
    lines = (CONF / "experiment" / f"{name}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# python -m hprune.") and f"+experiment={name}" in lines[1]  # noqa: PT018


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_composes(entry: str) -> None:
    overrides = {
        "score": ["study=x"],
        "report": ["study=x"],
        "export": ["study=x", "out=y.csv"],
        "triage": ["study=x"],
    }.get(entry, [])
    cfg = composed(entry, *overrides)
    assert cfg.paths.root == "multirun"


def test_the_papers_seven_subsets_are_named() -> None:
    kept = {name: plain(composed("train", f"subset={name}").subset.keep) for name in
            ("winning_ticket", "keep_2_5", "keep_3_5", "keep_4_5", "keep_2_4", "keep_5", "keep_4")}  # fmt: skip
    assert kept == {
        "winning_ticket": "1..S-1", "keep_2_5": "2..5", "keep_3_5": "3..5", "keep_4_5": "4..5", "keep_2_4": "2..4",
        "keep_5": 5, "keep_4": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"), [("1..5", "1..5"), ("1..S-1", "1..S-1"), ("2..S", "2..S"), ("[2,3,4]", [2, 3, 4]), ("3", 3)]
)
def test_keep_sets_need_no_quotes(text: str, value: object) -> None:
    cfg = composed("train", "subset=winning_ticket", f"subset.keep={text}")
    assert plain(cfg.subset.keep) == value
    assert instantiate(cfg.subset).keep == value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.lr=-1", r"optim\.lr must be a finite number above 0, got -1"),
        ("optim.lr=fast", r"optim\.lr must be a finite number above 0, got 'fast'"),
        ("optim.lr=inf", r"optim\.lr must be a finite number above 0, got inf"),
        ("optim.lr=nan", r"optim\.lr must be a finite number above 0, got nan"),
        ("model.pooling=first", r"model\.pooling must be one of own, mean, max, got 'first'"),
        ("optim.lr=null", r"optim\.lr must be a finite number above 0, got None"),
        ("optim.pruned_lr=0", r"optim\.pruned_lr must be a finite number above 0, got 0"),
        ("optim.eps=0", r"optim\.eps must be a finite number above 0, got 0"),
        ("optim.weight_decay=-0.1", r"optim\.weight_decay must be a finite number of at least 0, got -0\.1"),
        ("optim.clip=true", r"optim\.clip must be a finite number of at least 0, got True"),
        ("optim.warmup=1.5", r"optim\.warmup must be a share of the steps in \[0, 1\), got 1\.5"),
        ("optim.betas=[0.9,1]", r"optim\.betas must be two numbers in \[0, 1\), got 1"),
        ("optim.betas=[0.9,x]", r"optim\.betas must be two numbers in \[0, 1\), got 'x'"),
        ("optim.betas=[0.9]", r"optim\.betas must be two numbers in \[0, 1\), got \[0\.9\]"),
        ("optim.betas=0.9", r"optim\.betas must be two numbers in \[0, 1\), got 0\.9"),
        ("+model.vocab_size=259", r"model\.vocab_size must be at least 260, got 259"),
        ("trainer.max_epochs=1.5", r"trainer\.max_epochs must be a whole number, got 1\.5"),
        ("trainer.max_epochs=true", r"trainer\.max_epochs must be a whole number, got True"),
        ("trainer.accumulate=two", r"trainer\.accumulate must be a whole number, got 'two'"),
        ("trainer.devices=auto", r"trainer\.devices must be a whole number, got 'auto'"),
        ("trainer.threads=0", r"trainer\.threads must be at least 1, got 0"),
        ("trainer.accelerator=tpu", r"trainer\.accelerator must be one of auto, cpu, cuda, gpu, mps, got 'tpu'"),
        ("trainer.precision=8", r"trainer\.precision must be one of auto, 16-true, .*, 32, 64, got 8"),
        ("data.batch_size=null", r"data\.batch_size must be a whole number, got None"),
        ("data.eval_batch_size=x", r"data\.eval_batch_size must be a whole number, got 'x'"),
        ("data.max_length=1", r"data\.max_length must be at least 2, got 1"),
        ("data.workers=-1", r"data\.workers must be at least 0, got -1"),
        ("data.packed=perhaps", r"data\.packed must be true or false, got 'perhaps'"),
        ("optim.schedule=magic", r"linear, cosine or constant, got 'magic'"),
        ("trainer.max_epochs=0", r"trainer\.max_epochs must be at least 1, got 0"),
        ("trainer.devices=0", r"trainer\.devices must be at least 1, got 0"),
        ("data.batching=sorted", r"data\.batching must be one of bucketed, random, max_length, got 'sorted'"),
        ("data.batch_size=0", r"data\.batch_size must be at least 1, got 0"),
        ("data.order=chaos", r"data\.order must be fixed or reshuffled"),
        ("record.measured=never", r"record\.measured must be train_pass, eval_pass or both, got 'never'"),
        ("task.validation_fraction=2", r"task\.validation_fraction must lie in \(0, 1\), got 2"),
        ("task.max_train_samples=0", r"task\.max_train_samples must be at least 1, got 0"),
        ("task.max_eval_samples=0", r"task\.max_eval_samples must be at least 1, got 0"),
        ("task.where={genre:'('}", r"task\.where\.genre must be a regular expression, got '\('"),
        ("task.kind.primary_metric=bleu", r"accuracy, macro_f1, mcc, f1, got 'bleu'"),
        ("model.path=null", r"needs model\.path .* or model\.config"),
    ],
)
def test_bad_values_are_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_spec(composed("train", "task=own", override))


def test_conf_lies_where_the_command_looks() -> None:
    assert Path(CONF, "train.yaml").is_file()


@pytest.mark.parametrize(
    ("given", "meant"),
    [("32", "32-true"), ("16", "16-mixed"), ("bf16", "bf16-mixed"), ("64", "64-true"), ("auto", "auto"),
     ("bf16-true", "bf16-true"), ("'32'", "32-true")],
)  # fmt: skip
def test_equal_precisions_are_equal_settings(given: str, meant: str) -> None:
    assert run_spec(composed("train", f"trainer.precision={given}")).trainer == TrainerSpec(precision=meant)


def test_the_known_precisions_are_those_of_lightning() -> None:
    assert set(PRECISIONS) - {"auto"} == set(get_args(_PRECISION_INPUT_STR))
    assert set(SHORT_PRECISIONS) == set(get_args(_PRECISION_INPUT_STR_ALIAS))


def test_a_gpu_is_cuda() -> None:
    assert TrainerSpec(accelerator="gpu") == TrainerSpec(accelerator="cuda")


def test_a_model_may_lie_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ModelSpec("x", path="~/weights").path == str(tmp_path / "weights")
    assert ModelSpec("x", path="org/weights").path == "org/weights"


@pytest.mark.parametrize(
    ("task", "override"),
    [("sst2", "optim.warmup=0"), ("sst2", "optim.clip=1"), ("squad_v2", "task.kind.null_threshold=0")],
)
def test_whole_numbers_and_their_floats_are_one_setting(task: str, override: str) -> None:
    plain, spelled = run_spec(composed("train", f"task={task}")), run_spec(composed("train", f"task={task}", override))
    assert repr(plain.optim) == repr(spelled.optim)
    assert repr(plain.task.kind) == repr(spelled.task.kind)


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "model"])
def test_what_a_head_reads_is_an_option_of_every_model(option: str) -> None:
    for pooling in ("own", "mean", "max"):
        given = [] if pooling == "own" else [f"model.pooling={pooling}"]
        assert run_spec(composed("study", f"model={option}", "+subset=full", *given)).model.pooling == pooling


def test_whole_numbers_of_an_adapter_are_its_floats() -> None:
    spelled = run_spec(composed("train", "model/adapter=lora", "model.adapter.alpha=16", "model.adapter.dropout=0"))
    assert repr(spelled.model.adapter) == repr(LoraSpec(alpha=16.0, dropout=0.0))


def test_rows_are_chosen_on_the_command_line_as_the_docs_say() -> None:
    said = re.search(r"`'(task\.where=.*)'`", (CONF.parent / "docs/tasks.md").read_text())
    assert said is not None
    assert run_spec(composed("train", "task=mnli", said[1])).task.where == {"genre": "^fiction"}
