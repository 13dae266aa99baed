"""`--help` is Hydra's page, sooner, and without a traceback."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hprune.help import asks_for_help

COMMANDS = ("train", "study", "plan", "score", "report", "sensitivity", "triage", "export", "status")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_is_hydras(command: str, run_command: Callable[..., tuple[int, str, str]]) -> None:
    overrides = ["+experiment=demo", "seed=7"] if command in ("train", "study", "plan") else ["paths.root=elsewhere"]
    code, ours, err = run_command(command, "--help", *overrides)
    assert (code, err) == (0, "")
    code, theirs, _ = run_command(command, "--help", f"--config-name={command}", *overrides)  # left to Hydra
    assert code == 0
    assert ours == theirs
    assert "== Configuration groups ==" in ours
    assert ("seed: 7" if len(overrides) == 2 else "root: elsewhere") in ours


@pytest.mark.parametrize(
    ("override", "said"),
    [("nonsense=1", "Could not override 'nonsense'"), ("task=none_such", "Could not find 'task/none_such'"),
     ("seed=[1", "opens a bracket that it does not close")],
)  # fmt: skip
def test_a_wrong_override_is_one_message(
    override: str, said: str, run_command: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = run_command("train", "--help", override)
    assert code == 1
    assert out == ""
    assert err.startswith("hprune train: ")
    assert said in err
    assert "Traceback" not in err


def test_who_is_answered() -> None:
    assert asks_for_help(["--help"])
    assert asks_for_help(["seed=1", "-h", "task=demo"])
    for other in ([], ["seed=1"], ["-m", "--help"], ["--help", "--hydra-help"], ["--cfg", "job"], ["--hydra-help"]):
        assert not asks_for_help(other)
