"""Every command of the README works, in its order, on data and models shrunk to seconds."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.conftest import ROOT
from tests.local_hub import exams, paragraphs

README = (ROOT / "README.md").read_text() + (ROOT / "docs/tasks.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
LINES = [line.split("  #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
COMMANDS = [shlex.split(line)[2:] for line in LINES if line.startswith("python -m hprune.")]
COMPARISONS = re.findall(
    r"^python -m hprune.study (.*)$",
    (ROOT / "docs/comparisons.md").read_text() + (ROOT / "docs/runs.md").read_text(),
    flags=re.MULTILINE,
)
SENSITIVITY = re.findall(
    r"python -m hprune\.(study|train|sensitivity) ([^`\n]*?)(?:`|\n|   )", (ROOT / "docs/sensitivity.md").read_text()
)
CLUSTERS = re.findall(
    r"^python -m hprune.train (-m .*launcher=.*)$", (ROOT / "docs/clusters.md").read_text(), flags=re.MULTILINE
)


def test_every_line_is_of_a_kind_that_is_tested() -> None:
    others = [line for line in LINES if not line.startswith("python -m hprune.")]
    assert len(COMMANDS) >= 12
    for line in others:
        assert line.startswith(("make ", "pip install -c constraints.txt -e .")), line
        if line.startswith("make "):
            assert f"\n{line.split()[1]}:" in (ROOT / "Makefile").read_text()


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    tiny: list[str],
    hub: Path,
    run_command: Callable[..., tuple[int, str, str]],
) -> Path:
    """A folder with what the README's commands name: `reviews.csv`, `data/sst2`, a tiny `models/roberta-large`."""
    from hprune.storage.exports import write_export
    from hprune.tasks.source import read_file

    folder = tmp_path_factory.mktemp("readme")
    source = Path(next(option for option in tiny if option.startswith("task.data_dir=")).split("=")[1])
    shutil.copytree(hub, folder / "data")
    shutil.rmtree(folder / "data/sst2")
    (folder / "data/sst2").symlink_to(source)
    table = read_file([source / "train.parquet"])
    write_export(folder / "reviews.csv", table.rename_columns(["review", "stars"]), table["label"].to_numpy())
    write_export(folder / "questions.jsonl", paragraphs(30, unanswerable=True), np.arange(30))
    write_export(folder / "exams.jsonl", exams(60, hidden=False, options=5), np.arange(60))
    odd = table.rename_columns(["größe [cm]; a=b, c", 'is it "spam"?'])
    write_export(folder / "a (1); b=c.csv", odd, table["label"].to_numpy())
    pairs = pa.table({"premise": ["a b", "b c"] * 6, "hypothesis": ["a", "b", "c"] * 4, "label": [0, 1] * 6})
    for name in ("hans/validation", "anli/dev_r1"):
        (folder / "also" / name).parent.mkdir(parents=True)
        write_export(folder / f"also/{name}.parquet", pairs.append_column("heuristic", pairs["premise"]), np.arange(12))
    code, _, err = run_command(
        "train", *tiny, "trainer.max_epochs=1", "trainer.save_model=true", f"paths.root={folder}/made"
    )
    assert code == 0, err
    (folder / "models").mkdir()
    next(folder.glob("made/runs/*/*/*/*/model")).rename(folder / "models/roberta-large")
    return folder


def shrunk(module: str, arguments: list[str]) -> list[str]:
    """The command with local files for the hub and one epoch; what it asks for by itself stays.

    But where each job of a sweep is a process of its own, which takes seconds to start, it is the first two jobs.
    """
    if any(argument.startswith("hydra/launcher=") for argument in arguments):
        arguments = [re.sub(r"^(seed=\d+,\d+),.*", r"\1", argument) for argument in arguments]
    if module not in ("hprune.train", "hprune.study", "hprune.plan"):
        return arguments
    given = {argument.split("=")[0].lstrip("+"): argument.partition("=")[2] for argument in arguments}
    task = given.get("task") or given["experiment"].rpartition("_")[0].removesuffix("_v2") or given["experiment"]
    local = ["model.path=models/roberta-large", "trainer.threads=1", "optim.lr=5e-3", "data.batch_size=16"]
    local.append(f"trainer.max_epochs={3 if task in ('sst2', 'own') else 1}")
    if task not in ("sst2", "own"):
        local += ["data.max_length=128", *(["task.kind.stride=16"] if task == "squad" else [])]
    if task != "own" and "task.train_file" not in given:
        local.append(f"task.data_dir=data/{'squad_v2' if task == 'squad' else task}")
    # a model this small may never get one class right
    lenient = "{}.allow_missing_class=true"
    more = re.findall(r"subset@(arms\.\w+)=", " ".join(arguments))
    names = ("arms.winning_ticket", "arms.random_like", *more) if module != "hprune.train" else ("subset",)
    local += ["task.also_dir=also"] if "eval_set@" in " ".join(arguments) else []
    local += [lenient.format(name) for name in names]
    local += ["plan.seconds=0.2"] if module == "hprune.plan" else []
    return arguments + [option for option in local if option.split("=")[0] not in given]


def test_every_command_works_in_order(
    place: Path, run_command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    for module, *arguments in COMMANDS:
        code, _, err = run_command(module.removeprefix("hprune."), *shrunk(module, arguments))
        assert code == 0, f"{module} {' '.join(arguments)}\n{err[-2000:]}"
    assert (place / "multirun/studies/sst2_roberta/report.html").is_file()
    assert (place / "multirun/studies/reviews/report.html").is_file()
    assert (place / "pruned.parquet").is_file()
    for study in ("mnli_roberta", "race_opt", "squad_v2_roberta", "rte_deberta", "qqp_qwen", "questions", "exams"):
        assert list((place / f"multirun/studies/{study}/runs").glob("*.json")), study


@pytest.mark.parametrize("command", CLUSTERS)
def test_the_commands_for_clusters_compose(
    command: str, run_command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They run in tests/cluster, on a model of seconds."""
    if "launcher=ray" in command:
        pytest.importorskip("hydra_plugins.hydra_ray_launcher")
    monkeypatch.setattr(shutil, "which", lambda name: name)
    arguments = [argument for argument in shlex.split(command) if argument != "-m" and not argument.startswith("seed=")]
    code, out, err = run_command("train", *arguments, "--cfg", "all")
    assert code == 0, err
    assert "_target_: hydra_plugins.hprune_launchers.launchers." in out


@pytest.mark.parametrize("command", COMPARISONS)
def test_the_commands_for_comparisons_compose(command: str, run_command: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run_command("study", *shlex.split(command), "--cfg", "job")
    assert code == 0, err
    assert "hprune.science.select." in out


@pytest.mark.parametrize(("command", "arguments"), SENSITIVITY)
def test_the_commands_for_sensitivity_compose(
    command: str, arguments: str, run_command: Callable[..., tuple[int, str, str]]
) -> None:
    """Small ones run in tests/test_grid.py."""
    code, out, err = run_command(command, *shlex.split(arguments.removeprefix("-m ")), "--cfg", "job")
    assert code == 0, err
    assert "sensitivity" in out


def test_the_files_that_it_links_to_exist() -> None:
    for page in ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / page).read_text()):
            assert ((ROOT / page).parent / target).exists(), target
