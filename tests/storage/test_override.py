"""What is printed to be pasted goes through the shell and Hydra's parser and comes out as it was."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

import hprune
from hprune.storage.override import override
from hprune.storage.sheets import read_sheet

PARSER = OverridesParser.create()
SIGNS = st.text(st.sampled_from("a1e \\'\"${}[](),=;:#~!&|*?<>`ü7.-+@%/\t漢"), min_size=1)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1) | SIGNS
WORDS = st.sampled_from(["null", "True", "FALSE", "1e5", "1_0", "007", "0x1", "nan", "-inf", "a:", "a:b", "x=y", "~/a"])


def pasted(argument: str) -> tuple[str, object]:
    """The key and the value of one argument, as a configuration holds it in the end."""
    (word,) = shlex.split(argument)
    (parsed,) = PARSER.parse_overrides([word])
    assert not parsed.is_sweep_override(), "with -m it would be several runs"
    cfg = OmegaConf.create({"key": None})
    OmegaConf.update(cfg, "key", parsed.value())
    return parsed.key_or_group, OmegaConf.to_container(cfg, resolve=True)["key"]  # type: ignore[index, call-overload]


@given(TEXTS | WORDS | st.lists(TEXTS | WORDS, max_size=3) | st.integers() | st.booleans() | st.none())
@example("${oc.env:HOME}\\")
@example("\\\\${a}'\"")
@example('Erhebung 7; größe=[10, 20] $5 "final".csv')
def test_a_value_comes_back_as_it_was(value: object) -> None:
    assert pasted(override("task.text", value)) == ("task.text", value)


@given(st.floats(allow_nan=False))
def test_a_number_comes_back_as_it_was(value: float) -> None:
    assert pasted(override("k", value)) == ("k", value)


@pytest.mark.parametrize("plain", ["a/b.csv", "/data/train.parquet", "../x", "sst2_roberta", "facebook/opt-1.3b"])
def test_what_needs_no_quotes_has_none(plain: str) -> None:
    assert override("out", plain) == f"out={plain}"


def test_the_way_out_of_a_message_can_be_pasted(tmp_path: Path) -> None:
    path = tmp_path / "June, it's [final]; $5=x.csv"
    with pytest.raises(ValueError, match="there is no such file") as refused:
        read_sheet(path)
    assert pasted(str(refused.value).partition("with ")[2]) == ("out", str(path))


PACKAGE = Path(hprune.__file__).parent
WITHOUT_ROOT = {"science/subset.py", "storage/scores.py", "cli.py", "help.py"}
"""What knows of no root: pure functions, a table that is read by its path, and help."""


def commands_told(file: Path) -> list[str]:
    """The source of each f-string or text of a module, docstrings aside, that names a command of ours."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    texts = [n for n in ast.walk(tree) if isinstance(n, (ast.JoinedStr, ast.Constant)) and id(n) not in docs | parts]
    return [told for node in texts if "python -m hprune." in (told := ast.unparse(node))]


@pytest.mark.parametrize(
    "file",
    [file for file in sorted(PACKAGE.rglob("*.py")) if str(file.relative_to(PACKAGE)) not in WITHOUT_ROOT],
    ids=lambda file: str(file.relative_to(PACKAGE)),
)
def test_a_command_that_is_told_says_where_results_lie(file: Path) -> None:
    for told in commands_told(file):
        assert "of_study(" in told or "under(" in told or "%s" in told, told


def test_that_test_sees_the_commands() -> None:
    assert sum(len(commands_told(file)) for file in PACKAGE.rglob("*.py")) >= 10
