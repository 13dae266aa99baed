"""Names of columns and files on the command line: any text in quotes, and one line for what Hydra's grammar refuses."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hprune.command import CONF, plain, run_spec
from hprune.overrides import overrides_of, value_of
from hprune.storage.override import quoted

SIGNS = "ab 1=;:,.[](){}$\"'\\/@#%&!?*+-|~^<>`äßé\u4e2d\U0001f600\t"
NAMES = st.text(st.one_of(st.sampled_from(SIGNS), st.characters(codec="utf-8", exclude_categories=["C"])), min_size=1)
HARD = (
    "it's",
    'say "x"',
    "a\\",
    'a\\"',
    "${x}",
    "\\${x}",
    "a$b",
    "{a}",
    "[1]",
    "a,b",
    "null",
    "true",
    "???",
    " a ",
    "größe",
)


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        return compose("train", overrides=list(overrides))


@settings(max_examples=300)
@given(NAMES)
@example("\\\\${a}\\")
def test_any_text_passes_the_grammar_in_quotes(name: str) -> None:
    from omegaconf import OmegaConf

    for written, value in ((quoted(name), name), (f"[{quoted(name)},@1]", [name, "@1"])):
        (override,) = overrides_of([f"task.text={written}"])
        assert plain(OmegaConf.create({"it": override.value()}))["it"] == value


@pytest.mark.parametrize("name", HARD)
def test_a_name_is_composed_letter_by_letter(name: str, tmp_path: Path) -> None:
    cfg = composed(
        "task=own", f"task.text=[{quoted(name)}]", f"task.label={quoted(name + '!')}",
        f"task.train_file={quoted(str(tmp_path / name))}", f"paths.root={quoted(str(tmp_path / name))}",
    )  # fmt: skip
    assert plain(cfg.task.text) == [name]
    assert plain(cfg.task)["label"] == name + "!"
    assert plain(cfg.task)["train_file"] == plain(cfg.paths)["root"] == str(tmp_path / name)


def told(argument: str) -> str | None:
    try:
        overrides_of([argument])
    except ValueError as error:
        return str(error)
    return None


@settings(max_examples=300)
@given(NAMES)
def test_what_the_grammar_refuses_is_told_with_a_way_that_it_takes(name: str) -> None:
    for key, value in (
        ("task.text", f"[{name}]"),
        ("task.label", name),
        ("task.train_file", name),
        ("paths.root", name),
    ):
        message = told(f"{key}={value}")
        assert message is None or message.startswith(f"{key}: ")
        if message is not None and "in quotes: write " in message:
            way = message.split("in quotes: write ", 1)[1].split(", or give a column by its place")[0]
            assert value_of(overrides_of(shlex.split(way)), key) is not None


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("task.text=[a=b]", """task.text: '[a=b]' holds signs that must be in quotes: write 'task.text=["a=b"]', """
                            "or give a column by its place, task.text=[@1]"),
        ("task.label=a&b", """task.label: 'a&b' holds signs that must be in quotes: write 'task.label="a&b"', """
                           "or give a column by its place, task.label=@1"),
        ("task.train_file=x (1).csv", "task.train_file: 'x (1).csv' holds signs that must be in quotes: write "
                                      """'task.train_file="x (1).csv"'"""),
        ("task.text=[a", """task.text: '[a' opens a bracket that it does not close; write task.text=[..], """
                         """or 'task.text="[a"'"""),
        ("seed", "'seed' must be KEY=VALUE, such as seed=1; ~KEY leaves a key out"),
        ("a b=1", "'a b=1': 'a b' is no key; write KEY=VALUE, such as seed=1"),
        ("task.where={ö: x}", "task.where: '{ö: x}' is no {NAME: VALUE, ..} that can be read: values with signs go in "
         """quotes, and names cannot; give a column by its place, as in 'task.where={@1: "^a"}', or write the key in"""
         " a file of conf/"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(argument: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        overrides_of(["-m", "seed=1,2", argument])


def test_options_of_hydra_are_left_alone() -> None:
    found = overrides_of(["--config-dir", "a;b", "-m", "task=own", "--cfg", "job", "~subset", "+x=1", "--info"])
    assert [override.key_or_group for override in found] == ["task", "subset", "x"]
    assert value_of(overrides_of(['paths.root="a b"']), "paths.root") == "a b"
    assert value_of([], "paths.root") is None


def test_what_a_stored_config_cannot_hold_is_refused() -> None:
    assert run_spec(composed("task=own", 'task.text=["a$b"]')).task.text == ("a$b",)
    with pytest.raises(ValueError, match=r"task\.text='\$\{x\}' holds \$\{, which a stored config cannot: .*\[@1\]"):
        run_spec(composed("task=own", f"task.text=[{quoted('${x}')}]"))
