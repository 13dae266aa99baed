"""`hprune.verify` names whatever does not fit, with a way out, and changes nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics

from benchmarks.swaps import Made, make_studies
from hprune.storage.bound import check_same_run
from hprune.storage.dynamics import records_behind
from hprune.storage.files import read_json, read_table, sha256_of_file, sha256_of_footer, write_json, write_table
from hprune.storage.lock import locked
from hprune.storage.manifests import read_manifest, sealed
from hprune.storage.scores import load_scores, save_scores, score_path
from hprune.storage.studies import runs_of
from hprune.verifying.everything import verify
from hprune.verifying.metrics import metrics_of
from hprune.verifying.tables import chosen_again, function_of
from tests.golden import STUDY

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_studies(tmp_path_factory.mktemp("verify") / "root")


@pytest.fixture
def root(whole: Made, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole.root, tmp_path / "root"))


def run_of(root: Path, subset: str = "winning_ticket") -> Path:
    """The folder of the first comparison run of an arm in the first study."""
    return next(run.path for run in runs_of(root, "s1", "comparison") if run.key.subset == subset)


def resealed(path: Path, **changes: Any) -> None:
    """Let run.json list the files as they are now, as a careful forger would."""
    files = {file.name: file for file in sorted(path.glob("*.parquet"))}
    sums = {name: {n: of(f) for n, f in files.items()} for name, of in
            {"files": sha256_of_file, "footers": sha256_of_footer}.items()}  # fmt: skip
    write_json(path / "run.json", sealed({**read_json(path / "run.json"), **sums, **changes}))


def rewritten(file: Path, **columns: Any) -> None:
    table, facts = read_table(file)
    made = {name: pa.array(columns.get(name, table[name].to_numpy())) for name in table.column_names}
    write_table(file, pa.table(made), facts)


# --- what fits


def tree(root: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p.relative_to(root)): (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}


def test_all_fits_and_nothing_is_changed(root: Path, run_command: Command) -> None:
    before = tree(root)
    code, out, err = run_command("verify", f"paths.root={root}")
    assert code == 0, out + err
    assert out.strip() == (
        "all fits together: 2 studies, 2 reports, 12 complete runs, 4 other runs, 4 score tables, 2 token tables"
    )
    assert tree(root) == before


def test_a_study_of_0_1_0_fits(tmp_path: Path) -> None:
    """Its tables are computed again from its records, and its arms chosen again."""
    root = Path(shutil.copytree(STUDY, tmp_path / "root"))
    found = verify(root, "stored")
    assert found.problems == []
    assert found.counts["before digests"] == found.counts["complete runs"] == 9
    tables = {table.digest: table for table in map(load_scores, (root / "studies/stored/scores").glob("*.parquet"))}
    assert all(function_of(table.conventions) for table in tables.values())
    again = {run.key.subset: chosen_again(read_manifest(run.path), tables) for run in runs_of(root, "stored")}
    assert {name: ids is not None for name, ids in again.items()} == {
        "full": False, "winning_ticket": True, "random_like": True}  # fmt: skip


def test_a_study_that_was_renamed_fits(root: Path) -> None:
    (root / "studies/s1").rename(root / "studies/renamed")
    assert verify(root).problems == []


def test_a_table_whose_runs_are_gone_is_named(root: Path) -> None:
    """It cannot be compared with records that are not there, so it is not said to fit."""
    run = next(run for run in runs_of(root, "s1") if run.purpose == "scoring")
    shutil.rmtree(run.path)
    said = [problem.message for problem in verify(root, "s1").problems]
    assert any(f"those of seeds {run.key.seed} are not complete in this study" in message for message in said), said


def test_a_run_that_is_at_work_is_no_leftover(root: Path) -> None:
    with locked(run_of(root, "other")):
        assert verify(root).problems == []


# --- what does not


def flip(root: Path) -> None:
    file = run_of(root) / "record.train_pass.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


def other_samples(root: Path) -> None:
    """Everywhere in the run, and listed."""
    path = run_of(root)
    ids = read_table(path / "subset.parquet")[0]["sample_id"].to_numpy().copy()
    ids[-1] += 1
    rewritten(path / "subset.parquet", sample_id=ids)
    resealed(path)


def other_numbers(root: Path) -> None:
    path = run_of(root)
    file = path / "record.train_pass.parquet"
    rewritten(file, margin_0=read_table(file)[0]["margin_0"].to_numpy() + 1)
    resealed(path)


def other_metrics(root: Path) -> None:
    resealed(run_of(root), metrics={"validation": {"accuracy": 0.999}})


def other_values(root: Path) -> None:
    path = score_path(root, "s1", "h_score")
    table = load_scores(path)
    path.unlink()
    save_scores(path, replace(table, values=table.values[::-1].copy()))


def other_table(root: Path) -> None:
    score_path(root, "s1", "el2n").replace(score_path(root, "s1", "h_score"))


def edited(pattern: str, **changes: Any) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        file = sorted(root.glob(pattern))[0]
        write_json(file, {**json.loads(file.read_text()), **changes})

    return edit


def other_plan(root: Path) -> None:
    file = root / "studies/s1/plan.json"
    write_json(file, sealed({**read_json(file), "content": {"task": "d", "model": "m"}}))


def other_report(root: Path) -> None:
    shutil.copy(root / "studies/s2/report.json", root / "studies/s1/report.json")


def lost_reference(root: Path) -> None:
    """The tables that were made of the run are gone, too."""
    shutil.rmtree(root / "studies/s1/scores")
    next((root / "studies/s1/runs").glob("full-*.seed=2.scoring.json")).unlink()


def two_studies(root: Path) -> None:
    """A scoring run of the second study among those of the first, as which it says it is."""
    here, there = (root / "studies" / study / "runs" for study in ("s1", "s2"))
    next(here.glob("full-*.seed=2.scoring.json")).unlink()
    file = next(there.glob("full-*.seed=2.scoring.json"))
    write_json(here / file.name, {**read_json(file), "study": "s1"})


def other_loss(root: Path) -> None:
    """The predictions of another run, which got as many right; no digest is there, as in runs of 0.1.0."""
    path = run_of(root)
    file = path / "predictions.validation.parquet"
    table, facts = read_table(file)
    prob = pa.array(np.full(table.num_rows, np.exp(-0.5), dtype=np.float32))
    write_table(file, table.append_column("true_prob", prob), facts)
    stated = read_json(path / "run.json")["metrics"]["validation"]
    resealed(path, metrics={"validation": {**stated, "loss": 0.4, "ece": 0.1}})
    content = read_json(path / "run.json")
    del content["digest"], content["versions"]["hprune"]
    write_json(path / "run.json", content)


def removed(pattern: str) -> Callable[[Path], None]:
    return lambda root: sorted(root.glob(pattern))[0].unlink()


def made(place: str) -> Callable[[Path], None]:
    """A file in the folder of the ticket's run, or of the study."""

    def make(root: Path) -> None:
        (run_of(root) / place).write_bytes(b"x")

    return make


def other_tokens(root: Path) -> None:
    next(root.glob("cache/tokens/s1/input_ids.npy")).write_bytes(b"x")


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a flipped bit": (flip, "was altered after the run: its checksum is not the one in run.json"),
    "a file that is gone": (removed("runs/**/predictions.*.parquet"), "is listed in run.json and gone"),
    "a file too many": (made("predictions.other.parquet"), "is no file of this run"),
    "no identity": (removed("runs/**/full-*/**/identity.json"), "is missing: bring it back"),
    "edited results": (edited("runs/**/run.json", samples=3), "was altered after the run: its digest"),
    "results that do not add up": (other_metrics, "the accuracy of its examples is"),
    "other samples": (other_samples, "holds other samples than the rule of the run chooses by its score table"),
    "samples that were not recorded": (other_samples, "its samples is 'not those of subset.parquet'"),
    "other numbers": (other_numbers, "its content is"),
    "a table of other values": (other_values, "is not what the records of its runs give"),
    "a table under another name": (other_table, "is the table of the score 'el2n'"),
    "a reference of another study": (edited("studies/s1/runs/*.json", study="s2"), "is of study s2, not of s1"),
    "a damaged reference": (edited("studies/s1/runs/*.json", purpose="x"), "purpose must be scoring or comparison"),
    "a ticket of other runs": (
        edited("studies/s1/runs/winning_ticket*.json", ticket=[3, 4]), "were chosen by those of [1, 2]"),
    "another plan": (other_plan, "says where other data"),
    "other seeds that are planned": (edited("studies/s1/plan.json", expected_seeds=[1]), "was altered after it was"),
    "no seeds that are planned": (edited("studies/s1/plan.json", expected_seeds=[]), "was altered after it was"),
    "a report of other numbers": (edited("studies/s1/report.json", full_samples=9), "was edited after it was written"),
    "a report of another study": (other_report, "is of study s2, not of s1"),
    "no reference to a scoring run": (lost_reference, "the scoring run of seed 2 is planned, and was trained for this"),
    "runs of two studies": (two_studies, "(here) differ in lr (0.1 there, 0.2 here): remove references to some"),
    "another loss": (other_loss, "the loss of its examples is 0.5000, run.json states 0.4000"),
    "no plan": (edited("studies/s1/plan.json", counter="x"), "counter must be a whole number"),
    "a margin of another study": (edited("studies/s1/margin.json", study="s2"), "is of study s2, not of s1"),
    "no margin": (edited("studies/s1/margin.json", margin=2), "margin must be a number above 0 and below 1"),
    "half a file": (made(".run.json.elsewhere-1.77.tmp"), "was left half written by a process that is gone"),
    "a lock": (made(".lock"), "was left by a process that is gone"),
    "a checkpoint too many": (made("resume.ckpt"), "stands beside a complete run, which needs it no more"),
    "a failure that is none": (made("failure.json"), "stands beside run.json, so that run is complete"),
    "tokens": (other_tokens, "is not what was stored; remove its folder"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_does_not_fit_is_named(damage: str, root: Path) -> None:
    harm, message = DAMAGE[damage]
    harm(root)
    problems = verify(root).problems
    assert any(message in problem.message for problem in problems), problems
    assert all("\n" not in problem.message for problem in problems)


def test_status_says_that_a_plan_was_edited(root: Path, run_command: Command) -> None:
    edited("studies/s1/plan.json", expected_seeds=[])(root)
    _, out, _ = run_command("status", f"paths.root={root}")
    assert "damaged:" in out
    assert "s2" in out


def test_two_studies_that_were_mixed_up_differ_by_key_and_value(root: Path) -> None:
    table = load_scores(score_path(root, "s1", "h_score"))
    two_studies(root)
    with pytest.raises(
        ValueError, match=r"differ in their seed only; .*seed=1 \(there\) and .*lr \(0\.1 there, 0\.2 here\)"
    ):
        records_behind(root, "s1", table)


def test_a_run_in_the_place_of_another_differs_by_key_and_value(whole: Made, root: Path) -> None:
    one, other = (folder for folder in whole.folders if folder.key.seed == 11 and folder.key.subset == "full")
    here, there = (root / folder.path.relative_to(whole.root) for folder in (one, other))
    content = read_json(there / "run.json")
    with pytest.raises(ValueError, match=r"differing in lr \(0\.2 there, 0\.1 here\)"):
        check_same_run(here / "run.json", content, one.key, one.settings_hash, settings=one.settings)


def test_what_cannot_be_checked_is_counted(root: Path) -> None:
    """A report of before digests; tables of equal values are two nevertheless."""
    file = root / "studies/s1/report.json"
    write_json(file, {name: value for name, value in read_json(file).items() if name != "digest"})
    path = score_path(root, "s1", "h_score")
    save_scores(path.with_name("again.parquet"), replace(load_scores(path), name="again"))
    found = verify(root)
    assert found.problems == []
    assert "2 reports (1 made before report.json had a digest, not checked)" in str(found)
    assert "5 score tables" in str(found)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_scikit_learn(classes: int, seed: int) -> None:
    rng = np.random.default_rng([classes, seed])
    prob = rng.dirichlet(np.ones(classes), size=40)
    label, pred = rng.integers(0, classes, 40), prob.argmax(axis=1)
    columns = {"label": label, "pred": pred, **{f"prob_{k}": prob[:, k].astype(np.float32) for k in range(classes)}}
    expected = {
        "accuracy": sklearn.metrics.accuracy_score(label, pred),
        "macro_f1": sklearn.metrics.f1_score(label, pred, average="macro"),
        "mcc": sklearn.metrics.matthews_corrcoef(label, pred),
        "loss": sklearn.metrics.log_loss(label, prob, labels=range(classes)),
    }
    if classes == 2:
        expected["f1"] = sklearn.metrics.f1_score(label, pred)
    assert metrics_of(pa.table(columns)) == pytest.approx(expected, rel=1e-5)
    summed = {"label": label, "pred": pred, "true_prob": prob[np.arange(40), label]}
    assert metrics_of(pa.table(summed))["loss"] == pytest.approx(expected["loss"], rel=1e-5)


def test_it_exits_with_1_and_one_line_each(root: Path, run_command: Command) -> None:
    for harm in (flip, edited("studies/s2/margin.json", study="s1")):
        harm(root)
    code, out, err = run_command("verify", f"paths.root={root}")
    assert code == 1
    assert "2 things do not fit, of 2 studies" in err
    assert "record.train_pass.parquet" in out.replace("\n", "")
    code, out, err = run_command("verify", f"paths.root={root}", "study=s2")
    assert (code, "1 thing does not fit" in err) == (1, True)
    code, _, err = run_command("verify", f"paths.root={root}/nowhere")
    assert (code, "there is no folder" in err) == (1, True)


def test_a_root_that_cannot_be_written_is_verified(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever opens a file there opens it to read it."""
    opened = os.open

    def reading(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        assert not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT), path
        return opened(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", reading)
    assert verify(root).problems == []


def test_an_arm_that_takes_labels_is_not_chosen_again(root: Path) -> None:
    manifest, table = read_manifest(run_of(root)), load_scores(score_path(root, "s1", "h_score"))
    tables = {table.digest: table}
    ids = chosen_again(manifest, tables)
    assert ids is not None
    assert np.array_equal(ids, read_table(run_of(root) / "subset.parquet")[0]["sample_id"].to_numpy())
    assert chosen_again(manifest, {}) is None
    balanced = {**manifest, "settings": {"subset": {**manifest["settings"]["subset"], "balance": "share"}}}
    assert chosen_again(balanced, tables) is None
    custom = {**table.conventions, "function": "os.system"}
    assert function_of(custom) is None
