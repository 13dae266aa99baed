"""Folders are layers, imports only point down, and what is light stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hprune

PACKAGE = Path(hprune.__file__).parent
# Each layer may import itself and those listed.
ALLOWED = {
    "science": set(),
    "storage": {"science"},
    "tasks": {"storage", "data", "science"},
    "data": {"storage", "science"},
    "training": {"tasks", "data", "storage", "science"},
    "reporting": {"tasks", "storage", "science"},
    "verifying": {"storage", "science"},
}
FORBIDDEN = {
    "science": {"torch", "lightning", "transformers", "datasets", "pyarrow", "hydra", "omegaconf", "pandas"},
    "storage": {"torch", "lightning", "transformers", "hydra", "omegaconf"},
    "reporting": {"torch", "lightning", "transformers", "hydra", "omegaconf"},
    "verifying": {"torch", "lightning", "transformers", "hydra", "omegaconf"},
    "training": {"hydra", "omegaconf"},
    "data": {"hydra", "omegaconf"},
    "tasks": {"hydra", "omegaconf"},
}


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("layer", ALLOWED)
def test_imports_point_down(layer: str) -> None:
    files = sorted((PACKAGE / layer).rglob("*.py"))
    assert files
    for path in files:
        for name in imports_of(path):
            top, _, rest = name.partition(".")
            if top == "hprune" and rest:
                assert rest.split(".")[0] in ALLOWED[layer] | {layer}, f"{path.name} imports {name}"
            assert top not in FORBIDDEN[layer], f"{path.name} imports {name}"


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_hprune_is_light() -> None:
    assert not modules_after("import hprune") & {
        "torch",
        "lightning",
        "transformers",
        "datasets",
        "matplotlib",
        "scipy",
        "pyarrow",
        "hydra",
    }


@pytest.mark.parametrize(
    "command", ["train", "study", "plan", "score", "report", "sensitivity", "triage", "export", "status", "verify"]
)
def test_help_and_config_errors_do_not_pay_for_torch(command: str) -> None:
    heavy = {"torch", "lightning", "transformers", "datasets", "matplotlib", "sklearn"}
    assert not modules_after(f"import hprune.{command}") & heavy


@pytest.mark.parametrize(
    ("command", "option", "message"),
    [
        ("train", "comparison.tickets=0", "comparison.tickets must be"),
        ("train", "comparison.margin=2", "comparison.margin must be"),
        ("study", "judge=3", "judge must be true or false"),
        ("study", "comparison.tickets=0", "comparison.tickets must be"),
        ("study", "comparison.tickets=2 comparison.seeds=[101,102,103]", "comparison.seeds"),
        ("plan", "plan.spread.seed=-1", "plan.spread.seed must be"),
        ("plan", "plan.seconds=0", "plan.seconds must be"),
        ("report", "study=s judge=3", "judge must be true or false"),
        ("score", "study=s score.runs=0", "runs must be"),
        ("sensitivity", "study=s/t", "study"),
        ("triage", "study=s", "give out=triage.csv"),
        ("export", "study=s out=a.csv formulas=maybe", "formulas must be one of"),
    ],
)
def test_a_config_error_is_told_without_torch(tmp_path: Path, command: str, option: str, message: str) -> None:
    code = (
        f"import sys\nsys.argv = sys.argv[:1] + sys.argv[2:]\nfrom hprune.{command} import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    print(stop.code, file=sys.stderr)\nprint(*sys.modules)"
    )
    seeds = ["scoring.seeds=[1,2,3,4]"] if command in ("train", "study", "plan") else []
    done = subprocess.run(
        [sys.executable, "-c", code, command, *option.split(), *seeds, f"paths.root={tmp_path}"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert message in done.stderr
    assert not {"torch", "lightning", "transformers"} & set(done.stdout.split())


def test_no_file_is_a_drawer() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert path.stem not in ("utils", "helpers", "misc", "common"), path
