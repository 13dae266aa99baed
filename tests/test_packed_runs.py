"""What was packed comes back as runs that hprune takes for complete, marked, with the same H; a study goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.packed_runs import Packed, load, pack, quantised, renamed, restore, restored_prob, save
from hprune.storage.dynamics import StoredDynamics
from hprune.storage.manifests import read_results
from hprune.storage.runs import load_record, state_of
from hprune.storage.scores import load_scores
from hprune.storage.studies import planned_seeds, runs_of
from tests.conftest import ROOT

Command = Callable[..., "tuple[int, str, str]"]
WAYS = ("train_pass", "eval_pass")


@pytest.fixture(scope="module")
def options(tiny: list[str]) -> list[str]:
    """A study of ten runs of two epochs: scored both ways, with H of two and of three runs, and no other arms."""
    ticket = [f"arms.{arm}.{key}" for arm in ("winning_ticket", "random_like") for key in
              ("keep=0..1", "allow_missing_class=true")]  # fmt: skip
    return [*tiny, *ticket, "record=both", "sensitivity.runs=[2,3]", "sensitivity.retrain=none", "study=s"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, options: list[str], run_command: Command) -> Path:
    """Where such a study lies, complete."""
    root = tmp_path_factory.mktemp("packed") / "multirun"
    code, _, err = run_command("study", *options, f"paths.root={root}")
    assert code == 0, err
    return root


@pytest.fixture(scope="module")
def file(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, packed."""
    path = tmp_path_factory.mktemp("file") / "s.parquet"
    pack(root, path)
    return path


@pytest.fixture
def again(file: Path, tmp_path: Path) -> Path:
    """A root with nothing but what was restored."""
    restore(file, tmp_path / "multirun")
    return tmp_path / "multirun"


def report_of(root: Path) -> dict[str, Any]:
    return json.loads((root / "studies/s/report.json").read_text())  # type: ignore[no-any-return]


def tables_of(root: Path) -> dict[str, str]:
    return {path.stem: load_scores(path).digest for path in (root / "studies/s/scores").glob("h_score*.parquet")}


@given(st.lists(st.floats(0, 1, width=32), min_size=1))
def test_a_probability_is_off_by_half_a_step_at_most_and_stays_where_it_is(probabilities: list[float]) -> None:
    given = np.array(probabilities, np.float32)
    back = restored_prob(quantised(given))
    assert np.abs(back.astype(np.float64) - given).max() <= 1 / 512
    assert ((back > 0) & (back < 1)).all(), "its logarithm is finite"
    assert quantised(back).tolist() == quantised(given).tolist()


def test_runs_come_back_complete_and_marked(root: Path, again: Path) -> None:
    before, after = ({run.path.relative_to(at): run for run in runs_of(at, "s")} for at in (root, again))
    assert before.keys() == after.keys()
    assert len(before) == 9
    assert planned_seeds(again, "s") == planned_seeds(root, "s") == [1, 2, 3]
    for at, run in after.items():
        assert (run.purpose, run.expected_seeds) == (before[at].purpose, before[at].expected_seeds)
        assert state_of(run.path) == "done"
        old, new = read_results(root / at), read_results(again / at)
        mark = new.pop("restored")
        own = dict.fromkeys(("files", "footers", "digest"))  # of what lies there
        assert {**old, **own} == {**new, **own}
        assert new["files"].keys() == new["footers"].keys() == {path.name for path in run.path.glob("*.parquet")}
        assert (mark["rounded"] != []) == (run.purpose == "scoring")
        assert ("margin" in mark["not_kept"]) == (run.purpose == "scoring")
        for name in ("identity.json",):
            assert json.loads((root / at / name).read_text()) == json.loads((again / at / name).read_text())
        ids = [pq.read_table(folder / at / "subset.parquet")["sample_id"].to_pylist() for folder in (root, again)]
        assert ids[0] == ids[1]
        for answered in (root / at).glob("predictions.*.parquet"):
            old_rows, new_rows = (pq.read_table(folder / at / answered.name) for folder in (root, again))
            assert new_rows.equals(old_rows.select(new_rows.column_names))
            assert set(old_rows.column_names) - set(new_rows.column_names) == {"prob_0", "prob_1"}


def test_records_are_whole_where_they_are_kept_and_name_what_is_not(root: Path, again: Path) -> None:
    for way in WAYS:
        paths = [[run.path for run in runs_of(at, "s", "scoring")] for at in (root, again)]
        (old,), (new,) = (list(StoredDynamics.open(one, way).pieces(("true_prob",))) for one in paths)  # type: ignore[arg-type]
        assert np.array_equal(old.correct, new.correct)
        assert old.true_prob is not None
        assert new.true_prob is not None
        assert np.abs(old.true_prob - new.true_prob).max() <= 1 / 512
        for column in ("margin", "el2n"):
            with pytest.raises(
                ValueError, match=rf"was restored from a packed file, which does not keep {column}; to "
            ):
                list(StoredDynamics.open(paths[1], way).pieces((column,)))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"does not keep margin and el2n: it is no whole record; move the run's"):
            load_record(paths[1][0], way)  # type: ignore[arg-type]


def test_a_record_of_a_run_may_not_lack_a_column(root: Path, tmp_path: Path) -> None:
    """What restored records may lack, others may not."""
    from hprune.storage.runs import check_columns

    schema = pa.schema({"sample_id": pa.int64(), "correct_0": pa.bool_(), "true_prob_0": pa.float32()})
    assert check_columns(tmp_path, schema, {"not_kept": ["margin", "el2n"]}) == 1
    for facts in ({}, {"not_kept": ["margin"]}):
        with pytest.raises(ValueError, match="is not a record of hprune"):
            check_columns(tmp_path, schema, facts)
    with pytest.raises(ValueError, match="not_kept must be a list, each a text, got 3"):
        check_columns(tmp_path, schema, {"not_kept": 3})


def test_tables_of_h_are_made_again_and_reports_say_the_same(root: Path, again: Path, run_command: Command) -> None:
    assert tables_of(again) == tables_of(root)
    assert set(tables_of(root)) == {"h_score", "h_score-S2", "h_score-eval_pass"}
    code, out, err = run_command("report", "study=s", f"paths.root={again}", "trust_code=true")
    assert code == 0, err
    said = " ".join(out.split())
    assert "9 runs were restored from packed files: true_prob is known to 8 bits; not kept: el2n, margin," in said
    old, new = report_of(root), report_of(again)
    assert old["restored"] is None
    assert new["restored"]["runs"] == 9
    old["histogram"] = {name: old["histogram"][name] for name in new["histogram"]}  # those of H
    parts = ("rows", "examples", "slices", "matrix", "first_epoch", "histogram", "convergence", "cost", "incomplete")
    for part in parts:
        assert new[part] == old[part], part
    assert "restored from packed files" in (again / "studies/s/report.html").read_text()
    code, out, err = run_command("status", f"paths.root={again}")
    assert code == 0, err
    assert out.count("│ restored ") == 9
    code, _, err = run_command("score", "study=s", "score=aum", f"paths.root={again}")
    assert code == 1
    assert "which does not keep margin" in err
    code, _, err = run_command("score", "study=s", "score=confidence", f"paths.root={again}")
    assert code == 0, err


def test_a_study_goes_on_with_what_is_missing(
    root: Path, options: list[str], run_command: Command, tmp_path: Path
) -> None:
    """As where it was interrupted: a scoring run, and two comparison runs, were not there yet."""
    there = shutil.copytree(root, tmp_path / "there")
    missing = [run for run in runs_of(there, "s") if (run.key.subset, run.key.seed) in
               (("full", 3), ("full", 12), ("random_like", 11))]  # fmt: skip
    for run in missing:
        shutil.rmtree(run.path)
    shutil.rmtree(there / "studies/s/scores")
    pack(there, tmp_path / "s.parquet")
    again = tmp_path / "again"
    done = restore(tmp_path / "s.parquet", again)
    assert (len(done.written), len(done.there)) == (6, 0)
    states = {run.path.relative_to(again): state_of(run.path) for run in runs_of(again, "s")}
    assert sorted(states.values()) == ["done"] * 6 + ["missing"] * 3
    code, out, err = run_command("study", *options, f"paths.root={again}")
    assert code == 0, err
    assert out.count("skipped") == 6
    assert "the score table aum was not made, and no arm needs it: the run" in out + err
    assert tables_of(again) == tables_of(root)
    trained = [path for path, state in states.items() if state == "missing"]
    assert {path for path in states if "restored" not in read_results(again / path)} == set(trained)
    for path in trained:
        assert read_results(again / path)["metrics"] == read_results(root / path)["metrics"]
    old, new = report_of(root), report_of(again)
    assert [(row["label"], row["values"]) for row in new["rows"]] == [
        (row["label"], row["values"]) for row in old["rows"]
    ]
    code, out, err = run_command("study", *options, f"paths.root={again}")
    assert code == 0, err
    assert out.count("skipped") == 9


def test_packing_again_changes_nothing_and_adds_what_is_new(
    root: Path, file: Path, again: Path, tmp_path: Path
) -> None:
    before = file.read_bytes()
    pack(root, file)
    assert file.read_bytes() == before
    pack(again, tmp_path / "other.parquet")
    assert (tmp_path / "other.parquet").read_bytes() == before, "what was restored is packed as it was"
    pack(again, file)
    assert file.read_bytes() == before
    assert len(restore(file, again).there) == 9
    run = next(run for run in runs_of(again, "s") if run.key.subset == "winning_ticket")
    there = load(file)
    shutil.rmtree(run.path)
    pack(again, file)
    assert load(file).rows == there.rows, "what is gone from the root stays in the file"
    first, later = tmp_path / "a.parquet", tmp_path / "multirun"
    for path in runs_of(root, "s", "comparison"):
        shutil.rmtree(later / path.path.relative_to(root), ignore_errors=True)
    pack(later, first)
    assert len(load(first).rows) < len(there.rows)
    pack(root, first)
    assert first.read_bytes() == before, "in two goes as in one"


def test_subsets_take_no_space_where_a_seed_draws_them_again(file: Path) -> None:
    packed = load(file)
    rules = {at.split("/")[3].rsplit("-", 1)[0]: facts["ids"]["rule"] for (_, at, _), facts, _ in packed.of("run")}
    assert rules == {"full": "all", "random_like": "drawn", "winning_ticket": "mask"}
    assert len(list(packed.of("mask"))) == 1, "both seeds have the same ticket"
    assert len(list(packed.of("samples"))) == 1
    assert len(list(packed.of("examples"))) == 2, "validation and test"


def test_paths_of_a_machine_are_renamed(root: Path, tmp_path: Path, corpus_dir: Path) -> None:
    packed = pack(root, tmp_path / "s.parquet", rename={str(corpus_dir.parent): "data"})
    configs = [facts["manifest"]["config"] for _, facts, _ in packed.of("run")]
    assert {config["task"]["data_dir"] for config in configs} == {f"data/{corpus_dir.name}"}
    assert renamed({"a": ["/x/y", "/xy", 3]}, {"/x": "z"}) == {"a": ["z/y", "/xy", 3]}
    restore(tmp_path / "s.parquet", tmp_path / "m", rename={"data": "/there"})
    run = next(iter(runs_of(tmp_path / "m", "s")))
    assert read_results(run.path)["config"]["task"]["data_dir"] == f"/there/{corpus_dir.name}"


def altered(file: Path, change: Callable[[Packed], None], to: Path) -> Path:
    """A packed file of other rows, whose checksum fits them."""
    packed = load(file)
    packed.path = to
    change(packed)
    save(packed)
    return to


def _first(packed: Packed, kind: str) -> Any:
    return next(key for key in sorted(packed.rows) if key[0] == kind)


def shorten(kind: str) -> Callable[[Packed], None]:
    def change(packed: Packed) -> None:
        key = _first(packed, kind)
        packed.rows[key] = (packed.rows[key][0], packed.rows[key][1][:-1])

    return change


def flip(packed: Packed) -> None:
    """Samples that were right in the first run are wrong now."""
    key = _first(packed, "record")
    facts, data = packed.rows[key]
    packed.rows[key] = (facts, bytes(byte ^ 3 for byte in data))


def elsewhere(packed: Packed) -> None:
    key = _first(packed, "run")
    packed.rows["run", f"{key[1]}0", ""] = packed.rows.pop(key)


def upwards(packed: Packed) -> None:
    key = _first(packed, "pointer")
    packed.rows["pointer", "s", "../../x.json"] = packed.rows.pop(key)


def bare(packed: Packed) -> None:
    key = _first(packed, "predictions")
    packed.rows[key] = ({}, b"")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shorten("record"), "is damaged: the record eval_pass of sst2/tiny_roberta/full/seed=1 has 159 bytes, not 160"),
        (shorten("true_prob"), "seed=1 has 319 bytes, not 320"),
        (shorten("predictions"), "is damaged: the predictions of sst2/tiny_roberta/full/seed="),
        (shorten("samples"), "bytes, not whole numbers"),
        (shorten("examples"), "is damaged: the examples of test cannot be read"),
        (shorten("mask"), "bits for 160 samples"),
        (flip, "is damaged: the records of s do not give its table h_score"),
        (elsewhere, "says of itself that it is sst2/tiny_roberta/full/seed="),
        (upwards, "is damaged: the pointer s/../../x.json should be called full-"),
        (bare, "is damaged: a row lacks what belongs there"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    file: Path, tmp_path: Path, change: Callable[[Packed], None], message: str
) -> None:
    other = altered(file, change, tmp_path / "other.parquet")
    with pytest.raises(ValueError, match=r"other\.parquet") as raised:
        restore(other, tmp_path / "m")
    assert message in str(raised.value)
    assert not list(tmp_path.glob("*.json"))


def test_files_that_are_none_of_ours_are_refused_by_name(file: Path, root: Path, tmp_path: Path) -> None:
    def refused(path: Path, message: str) -> None:
        for work in (lambda: restore(path, tmp_path / "m"), lambda: pack(root, path)):
            with pytest.raises(ValueError, match=path.name) as raised:
                work()
            assert message in str(raised.value)
        assert not (tmp_path / "m").exists()

    table = next(root.rglob("h_score.parquet"))
    refused(shutil.copy(table, tmp_path / "table.parquet"), "is no file of 'hprune packed runs', version 1")
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(file.read_bytes()[:-100])
    refused(cut, "is not readable Parquet")
    rows = pq.read_table(file)
    later = json.loads(rows.schema.metadata[b"hprune"]) | {"version": 2}
    pq.write_table(rows.replace_schema_metadata({"hprune": json.dumps(later)}), tmp_path / "later.parquet")
    refused(tmp_path / "later.parquet", "it is 'hprune packed runs', version 2")
    pq.write_table(rows.slice(1), tmp_path / "fewer.parquet")
    refused(tmp_path / "fewer.parquet", "is damaged: its content is not what its checksum says")
    pq.write_table(rows.drop_columns(["name"]), tmp_path / "columns.parquet")
    refused(tmp_path / "columns.parquet", "is damaged: its rows cannot be read")
    with pytest.raises(ValueError, match=r"there is no packed file at .*nothing.parquet; make it with"):
        restore(tmp_path / "nothing.parquet", tmp_path / "m")
    with pytest.raises(ValueError, match=r"there is no study under .*empty to pack"):
        pack(tmp_path / "empty", tmp_path / "e.parquet")


def test_the_command_line(root: Path, tmp_path: Path) -> None:
    def run(*arguments: Any) -> tuple[int, str]:
        script = [sys.executable, ROOT / "benchmarks/packed_runs.py", *map(str, arguments)]
        done = subprocess.run(script, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=False)
        return done.returncode, done.stdout + done.stderr

    code, out = run("pack", root, tmp_path / "s.parquet", "s")
    assert code == 0, out
    assert "| run | 9 |" in out
    assert "paths of this machine in the configs, see --rename: /" in out
    code, out = run("restore", tmp_path / "s.parquet", tmp_path / "m")
    assert code == 0, out
    assert "| runs restored | 9 |" in out
    assert "| tables | 3 |" in out
    code, out = run("pack", root, tmp_path / "s.parquet", "other")
    assert code == 1
    assert "no study 'other' under" in out
    assert "Traceback" not in out
