"""What comes from elsewhere cannot run code, leave its folder, or act on the terminal, the page or a spreadsheet."""

from __future__ import annotations

import ast
import csv
import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hprune
from hprune.report import data_of_study, task_of_study
from hprune.reporting.page import render_page
from hprune.reporting.terminal import print_table
from hprune.reporting.visible import VisibleFormatter, shortened, visible
from hprune.storage.manifests import read_results
from hprune.storage.runs import load_record
from hprune.storage.scores import load_scores, score_path
from hprune.storage.studies import runs_of
from tests.hostile import make_study
from tests.reporting.conftest import REPORT

Command = Callable[..., tuple[int, str, str]]
PACKAGE = Path(hprune.__file__).parent
EVIL = "<script>alert(1)</script>\x1b[31m\u202egnp.exe [red]x[/foo] --> ]]> \x07\u2066"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_study(tmp_path / "root")
    return tmp_path / "root"


# --- no code from files


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the package, by its dotted name."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func), node


def test_nothing_is_unpickled_or_evaluated() -> None:
    modules = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = {alias.name for alias in node.names} if isinstance(node, (ast.Import, ast.ImportFrom)) else set()
            assert not names & modules, path
            assert not (isinstance(node, ast.ImportFrom) and node.module in modules), path
    found = dict(calls())
    assert found
    assert not {"eval", "exec", "torch.jit.load", "joblib.load", "yaml.load", "pd.read_pickle"} & set(found)
    for name, call in calls():
        options = {option.arg: ast.unparse(option.value) for option in call.keywords}
        if name.endswith("torch.load"):
            assert options.get("weights_only") == "True"
        if "weights_only" in options:
            assert "False" not in options["weights_only"]
        assert options.get("allow_pickle", "False") == "False"
        assert options.get("shell", "False") == "False"
        assert options.get("trust_remote_code", "False") == "False", "nobody asked for it"


def test_code_of_a_hub_is_never_asked_for() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert text.count("trust_remote_code") == text.count("trust_remote_code=False"), path
    assert not [path for path in (PACKAGE.parent / "conf").rglob("*.yaml") if "trust_remote_code" in path.read_text()]


def change_config(root: Path, **changes: Any) -> None:
    for file in root.glob("runs/**/run.json"):
        content = json.loads(file.read_text())
        content["config"]["task"] |= changes
        file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "target",
    ["os.system", "hprune.tasks.source.Path", "hprune.tasks.source.os.system", "hprune.storage.files.write_json",
     "hprune.data.tokenise.cached_tokens", "hprune.command.os.system", "nowhere.at.all",
     "hprune.tasks.spec.nothing", 3],
)  # fmt: skip
def test_a_stored_config_runs_no_code_but_ours(root: Path, tmp_path: Path, run_command: Command, target: Any) -> None:
    change_config(root, generate={"_target_": target, "_partial_": True})
    with pytest.raises(ValueError, match=r"run\.json: its config names .*set trust_code=true"):
        task_of_study(root, "s")
    assert data_of_study(root, "s") is None
    code, _, err = run_command("export", "study=s", f"out={tmp_path}/x.csv", f"paths.root={root}")
    assert code == 1
    assert "trust_code=true" in err


def test_a_kind_of_your_own_is_trusted_when_asked(root: Path) -> None:
    change_config(root, kind={"_target_": "tests.test_security.own_kind"})
    with pytest.raises(ValueError, match="trust_code=true"):
        task_of_study(root, "s")
    assert task_of_study(root, "s", trust_code=True).kind.primary_metric == "accuracy"


def own_kind() -> Any:
    from hprune.tasks.classification import Classification

    return Classification()


def test_a_stored_config_looks_nothing_up(root: Path) -> None:
    change_config(root, name="${oc.env:HOME}")
    with pytest.raises(ValueError, match="a stored config holds plain values"):
        task_of_study(root, "s")


# --- no way out of a folder


@pytest.mark.parametrize(
    "path", ["../../etc", "/etc", "runs/../../x", "runs", "", "runs/own/tiny/full-00000000/seed=1", "runs/own\x00"]
)
def test_a_pointer_points_to_its_run_and_nowhere_else(root: Path, path: str, run_command: Command) -> None:
    file = next(root.glob("studies/s/runs/full-*.seed=1.scoring.json"))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"path": path}))
    with pytest.raises(ValueError, match=r"full-.*\.json points to .*, but its run lies at 'runs/own/tiny/full-"):
        runs_of(root, "s")
    code, out, err = run_command("status", f"paths.root={root}")  # the other runs are to be seen, too
    assert code == 0, err
    assert out.count("│ damaged ") == 1
    assert "full-" in out
    assert out.count("│ done ") == 6


@pytest.mark.parametrize(
    "change", [{"task": ".."}, {"subset": "a/../../b"}, {"seed": -1}, {"seed": True}, {"model": "/etc"}, {"model": 3}]
)
def test_the_key_of_a_pointer_is_one_of_plain_names(root: Path, change: dict[str, Any]) -> None:
    file = next(root.glob("studies/s/runs/full-*.seed=1.scoring.json"))
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"key": content["key"] | change}))
    with pytest.raises(ValueError, match=rf"{re.escape(str(file))}: key\.{next(iter(change))} must be "):
        runs_of(root, "s")


def test_links_do_not_lead_out(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    run = next(run for run in runs_of(root, "s") if run.key.seed == 2)
    for name, read in (
        ("run.json", lambda: read_results(run.path)),
        ("record.train_pass.parquet", lambda: load_record(run.path, "train_pass")),
    ):
        (run.path / name).rename(outside / name)
        (run.path / name).symlink_to(outside / name)
        with pytest.raises(ValueError, match="leads out of its folder"):
            read()
        (run.path / name).unlink()
        (outside / name).rename(run.path / name)
    table = score_path(root, "s", "h_score")
    table.rename(outside / "h.parquet")
    table.symlink_to(outside / "h.parquet")
    with pytest.raises(ValueError, match="leads out of its folder"):
        load_scores(table)
    run.path.rename(outside / "run")
    run.path.symlink_to(outside / "run")
    with pytest.raises(ValueError, match="leads out of its folder"):
        runs_of(root, "s")


def test_a_root_may_be_a_link_itself(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert len(runs_of(tmp_path / "link", "s")) == len(runs_of(root, "s"))
    assert read_results(runs_of(tmp_path / "link", "s")[0].path)


@pytest.mark.parametrize("name", ["../x.parquet", "/etc/passwd", "a/b", "..", ""])
def test_a_manifest_names_files_of_its_folder_only(root: Path, name: str) -> None:
    file = next(root.glob("runs/**/run.json"))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"files": {name: "0" * 64}}))
    with pytest.raises(ValueError, match=r"run\.json: files must be an object, each key a plain name"):
        read_results(file.parent)


# --- nothing acts where it is shown


def hostile_report() -> dict[str, Any]:
    """A report with evil text wherever a text of the user's or of the data can stand."""
    report: dict[str, Any] = json.loads(json.dumps(REPORT))
    for sample in report["samples"]:
        sample |= {"text": EVIL + "x" * 10**6, "label": EVIL}
    for value in report["histogram"]["h_score"]["values"]:
        value["by_class"] = {EVIL: 5, "<b>\u202e": 3}
    for row in report["rows"]:
        if row["arm"] == "winning_ticket":
            row["label"] = EVIL
    report["cost"]["arms"][2]["label"] = EVIL
    report |= {"study": EVIL, "task": EVIL, "model": EVIL}
    report["provenance"] |= {"config": {EVIL: [EVIL, "y" * 10**6]}, "versions": {EVIL: EVIL}}
    return report


ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_the_page_shows_hostile_text_and_does_nothing() -> None:
    html = render_page(hostile_report())
    assert not ACTING.search(html)
    assert "<script" not in html
    assert "<b>" not in html
    assert len(html) < 200_000
    assert "\\u202egnp.exe" in html


def test_the_terminal_shows_hostile_text_and_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(hostile_report())
    shown = capsys.readouterr().out
    assert not ACTING.search(shown)
    assert "[red]x[/foo]" in shown.replace("\n", "")


def test_status_shows_what_a_failed_run_said(root: Path, run_command: Command) -> None:
    (file,) = root.glob("runs/**/failure.json")
    file.write_text(json.dumps({"message": EVIL + "x" * 10**6, "time": ""}))
    code, out, err = run_command("status", f"paths.root={root}")
    assert code == 0, err
    assert not ACTING.search(out)
    assert "[red]x[/foo]" in re.sub(r"\s|│", "", out)
    assert len(out) < 20_000


@pytest.mark.parametrize("content", ["[]", "{}", '{"message": 3}', "", "\x00", '{"message": "\\ud800"}'])
def test_status_shows_the_other_runs_when_one_is_damaged(root: Path, run_command: Command, content: str) -> None:
    (file,) = root.glob("runs/**/failure.json")
    file.write_text(content)
    code, out, err = run_command("status", f"paths.root={root}")
    assert code == 0, err
    assert out.count("│ damaged ") == 1
    assert out.count("accuracy") == 7


def test_a_root_that_looks_like_markup_is_named(tmp_path: Path, run_command: Command) -> None:
    code, out, err = run_command("status", f"paths.root='{tmp_path}/[red]a[/foo]'")
    assert code == 0, err
    assert "[red]a[/foo]" in out.replace("\n", "")


def test_log_lines_do_not_act() -> None:
    record = logging.LogRecord("hprune", logging.INFO, "", 0, "%s", ("two\nlines \x1b[2J\u202e",), None)
    assert VisibleFormatter("%(message)s").format(record) == "two\nlines \\x1b[2J\\u202e"
    assert "VisibleFormatter" in (PACKAGE.parent / "conf/hydra/job_logging/hprune.yaml").read_text()


def test_letters_of_every_script_stay() -> None:
    for text in ("naïve", "漢字", "🙂👩‍👩‍👧", "שלום", "مرحبا", "tab\tline\n"):
        assert visible(text) == text
    assert shortened("a" * 601) == "a" * 600 + " …"


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_an_export_holds_no_formula_and_says_what_it_changed(
    root: Path, tmp_path: Path, run_command: Command, suffix: str
) -> None:
    bad = ["=cmd|'/C calc'!A0", "+A1", "-1+A", "@SUM(A1)", "\t=1", "＝1"]
    texts = [bad[i % 6] + str(i) if i % 2 else f"fine {i}, a=b" for i in range(24)]
    with (root / "train.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *((text, "ny"[i % 2]) for i, text in enumerate(texts))])
    for manifest in root.glob("runs/**/run.json"):
        digest = data_of_study(root, "s").data_hash  # type: ignore[union-attr]
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"data_hash": digest}))
    read = {}
    for formulas in ("escape", "keep"):
        out = tmp_path / f"{formulas}{suffix}"
        code, _, err = run_command(
            "export", "study=s", "subset=full", f"out={out}", f"formulas={formulas}", f"paths.root={root}"
        )
        assert code == 0, err
        assert ("put a ' before 12 cells that a spreadsheet would take for formulas (text: 12)" in err) == (
            formulas == "escape"
        )
        with out.open(newline="", encoding="utf-8") as file:
            read[formulas] = [row["text"] for row in csv.DictReader(file, delimiter="\t" if suffix == ".tsv" else ",")]
        facts = json.loads(Path(f"{out}.provenance.json").read_text())
        assert facts["formulas_escaped"] == ({"text": 12} if formulas == "escape" else {})
    assert read["keep"] == texts
    assert read["escape"] == [f"'{text}" if i % 2 else text for i, text in enumerate(texts)]
