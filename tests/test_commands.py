"""The commands, end to end, as a user types them: what they print, what they leave on disk, what they refuse."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from hprune.science.stats import compare, t_interval
from hprune.storage.runs import load_record
from hprune.storage.scores import load_scores
from hprune.storage.studies import runs_of

Command = Callable[..., "tuple[int, str, str]"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny: list[str], run_command: Command) -> tuple[Path, str]:
    """A whole study, made once by one command: its root and what was printed."""
    root = tmp_path_factory.mktemp("finished")
    code, out, err = run_command("study", *tiny, f"paths.root={root}", "study=s", "record=both")
    assert code == 0, err
    return root, out


def report_of(root: Path) -> dict:  # type: ignore[type-arg]
    return json.loads((root / "studies/s/report.json").read_text())


def test_study_prints_a_table_and_the_path_of_the_report(finished: tuple[Path, str]) -> None:
    root, out = finished
    for arm in ("full", "winning_ticket", "random_like"):
        assert arm in out
    assert str(root / "studies/s/report.html") in out.replace("\n", "")
    assert (root / "studies/s/report.html").read_text().startswith("<!")


def test_scores_are_the_h_of_the_records(finished: tuple[Path, str]) -> None:
    root, _ = finished
    for way, table in (("train_pass", "h_score"), ("eval_pass", "h_score-eval_pass")):
        scores = load_scores(root / f"studies/s/scores/{table}.parquet")
        records = [load_record(run.path, way) for run in runs_of(root, "s", "scoring")]
        expected = sum(np.prod(record.correct, axis=0) for record in records)
        assert scores.values.tolist() == expected.tolist()
        assert scores.seeds == (1, 2, 3)
        assert scores.measured == way


def test_report_rows_are_what_the_runs_say(finished: tuple[Path, str]) -> None:
    root, _ = finished
    rows = {(row["arm"], row["eval_set"], row["metric"]): row for row in report_of(root)["rows"]}
    assert {key[0] for key in rows} == {"full", "winning_ticket", "random_like"}
    assert {key[1] for key in rows} == {"validation", "test"}
    values: dict[str, dict[int, float]] = {}
    for run in runs_of(root, "s", "comparison"):
        predictions = pq.read_table(run.path / "predictions.validation.parquet")
        right = np.mean(predictions["pred"].to_numpy() == predictions["label"].to_numpy())
        values.setdefault(run.key.subset, {})[run.key.seed] = float(right)
    for arm, by_seed in values.items():
        row, interval = rows[arm, "validation", "accuracy"], t_interval(by_seed)
        assert (row["mean"], row["low"], row["high"]) == pytest.approx((interval.mean, interval.low, interval.high))
        assert row["seeds"] == [11, 12]
        if arm != "full":
            difference = compare({arm: by_seed}, values["full"])[arm]
            assert row["difference"]["mean"] == pytest.approx(difference.interval.mean)
            assert row["verdict"] == difference.verdict
    assert rows["winning_ticket", "test", "mcc"]["n"] == rows["random_like", "test", "mcc"]["n"]
    assert rows["winning_ticket", "test", "mcc"]["S"] == 3
    assert rows["full", "test", "mcc"]["verdict"] is None


def test_report_counts_every_sample_once(finished: tuple[Path, str]) -> None:
    root, _ = finished
    report = report_of(root)
    for name, histogram in report["histogram"].items():
        if name.startswith("h_score"):
            assert [value["value"] for value in histogram["values"]] == [0, 1, 2, 3]
        assert sum(value["count"] for value in histogram["values"]) == 160
        assert all(sum(value["by_class"].values()) == value["count"] for value in histogram["values"])
    assert report["cost"]["scoring_runs"] == 3


def test_the_same_command_again_trains_nothing(finished, tiny: list[str], run_command: Command, caplog) -> None:  # type: ignore[no-untyped-def]
    root, _ = finished
    before = {path: path.stat().st_mtime_ns for path in (root / "runs").rglob("*") if path.is_file()}
    code, _, err = run_command("study", *tiny, f"paths.root={root}", "study=s", "record=both")
    assert code == 0, err
    assert {path: path.stat().st_mtime_ns for path in (root / "runs").rglob("*") if path.is_file()} == before


def test_another_study_shares_the_runs(finished, tiny: list[str], run_command: Command) -> None:  # type: ignore[no-untyped-def]
    root, _ = finished
    before = sorted(root.glob("runs/*/*/*/*/run.json"))
    code, _, err = run_command("train", "-m", *tiny, f"paths.root={root}", "study=shared", "record=both", "seed=1,2,3")
    assert code == 0, err
    assert sorted(root.glob("runs/*/*/*/*/run.json")) == before
    assert run_command("score", "study=shared", f"paths.root={root}")[0] == 0
    own, shared = (load_scores(root / f"studies/{name}/scores/h_score.parquet") for name in ("s", "shared"))
    assert own.values.tolist() == shared.values.tolist()


def test_sweeps_over_runs_and_epochs_make_tables_of_their_own(finished, run_command: Command) -> None:  # type: ignore[no-untyped-def]
    root, _ = finished
    code, _, err = run_command("score", "-m", "study=s", f"paths.root={root}", "score.runs=2,3", "score.epochs=1,2")
    assert code == 0, err
    names = {path.stem for path in (root / "studies/s/scores").glob("*.parquet")}
    assert {"h_score-S2-E1", "h_score-S2-E2", "h_score-S3-E1", "h_score-S3-E2"} <= names
    full, prefix = (load_scores(root / f"studies/s/scores/{name}.parquet") for name in ("h_score", "h_score-S3-E2"))
    assert full.values.tolist() == prefix.values.tolist()


def test_threshold_sweep_is_a_plain_multirun(finished, tiny: list[str], run_command: Command) -> None:  # type: ignore[no-untyped-def]
    root, _ = finished
    code, _, err = run_command(
        "train", "-m", *tiny, f"paths.root={root}", "study=s", "record=both", "subset=winning_ticket",
        "subset.keep=0..S-1,[1,2,3]", "seed=11,12",
    )  # fmt: skip
    assert code == 0, err
    assert run_command("report", "study=s", f"paths.root={root}")[0] == 0
    labels = {row["label"] for row in report_of(root)["rows"]}
    assert any("0..S-1" in label for label in labels)
    assert len([label for label in labels if label.startswith("winning_ticket")]) == 3


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv", ".jsonl", ".ids", ""])
def test_export_gives_the_kept_rows_untouched(
    finished, corpus_dir: Path, tmp_path: Path, run_command: Command, suffix: str
) -> None:  # type: ignore[no-untyped-def]
    root, _ = finished
    out = tmp_path / f"pruned{suffix}"
    code, _, err = run_command("export", "study=s", "subset=winning_ticket", f"out={out}", f"paths.root={root}")
    assert code == 0, err
    scores = load_scores(root / "studies/s/scores/h_score.parquet")
    kept = scores.sample_ids[(scores.values > 0) & (scores.values < 3)]
    provenance = json.loads(Path(f"{out}.provenance.json").read_text())
    assert provenance["samples"] == kept.size
    if suffix == ".ids":
        assert [int(line) for line in out.read_text().split()] == kept.tolist()
        return
    if suffix == "":
        import datasets

        table = datasets.load_from_disk(str(out)).with_format("arrow")[:]
    else:
        from hprune.tasks.source import read_file

        table = read_file([out])
    original = pq.read_table(corpus_dir / "train.parquet").take(kept)
    expected = {name: original[name].to_pylist() for name in ("sentence", "label")}
    expected |= {
        "sample_id": kept.tolist(),
        "h_score": scores.values[(scores.values > 0) & (scores.values < 3)].tolist(),
    }
    if suffix in (".csv", ".tsv"):  # whose cells are texts
        expected = {name: [str(value) for value in values] for name, values in expected.items()}
    assert {name: table[name].to_pylist() for name in expected} == expected
    code, _, err = run_command("export", "study=s", "subset=full", f"out={out}", f"paths.root={root}")
    assert code == 1
    assert "exists and is not replaced" in err


def test_an_exported_set_can_be_trained_on(finished, tmp_path: Path, tiny: list[str], run_command: Command) -> None:  # type: ignore[no-untyped-def]
    root, _ = finished
    out = tmp_path / "pruned.csv"
    assert run_command("export", "study=s", f"out={out}", f"paths.root={root}")[0] == 0
    assert pyarrow.csv.read_csv(out).num_rows > 0
    options = [option for option in tiny if not option.startswith(("task", "scoring", "comparison"))]
    code, _, err = run_command(
        "train", "task=own", f"task.train_file={out}", "task.text=[sentence]", "task.validation_fraction=0.2",
        *options, f"paths.root={tmp_path}",
    )  # fmt: skip
    assert code == 0, err


def test_status_lists_studies_and_runs(finished, run_command: Command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    root, _ = finished
    code, out, _ = run_command("status", f"paths.root={root}")
    assert code == 0
    assert "3 done" in out
    assert "sst2/tiny_roberta/winning_ticket/seed=11" in out.replace("\n", "")
    code, out, _ = run_command("status", f"paths.root={tmp_path}")
    assert code == 0
    assert "no study under" in out


def refused(run_command: Command, *arguments: str) -> str:
    code, _, err = run_command(*arguments)
    assert code == 1
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "task=nosuch"), "Could not find 'task/nosuch'"),
        (("train", "model=nosuch"), "tiny_roberta"),
        (("train", "+experiment=nosuch"), "sst2_roberta"),
        (("train", "optim.learning_rate=1"), "optim.learning_rate"),
        (("score", "study=nosuch"), "no study 'nosuch'"),
        (("score",), "study must be given, as in study=VALUE"),
        (("train", "seed=1.5"), "seed must be a whole number from 0, got 1.5"),
        (("train", "study=null"), "study must be a plain name"),
        (("study", "scoring.seeds=3"), "scoring.seeds must be a list of whole numbers"),
        (("score", "study=s", "score.name=../evil"), "score.name must be a plain name"),
        (
            ("score", "study=s", "score.needs=[logits]"),
            "score.needs must list columns of a record, of correct, true_prob",
        ),
        (("report", "study=../up"), "study must be a plain name"),
        (("export", "study=s", "out=x.docx"), "must end in one of .parquet"),
        (
            ("study", "scoring.seeds=[1,1,2]"),
            "scoring.seeds must list each seed once, got [1, 1, 2], with [1] more than once",
        ),
        (("study", "scoring.seeds=[1,2]", "comparison.seeds=[2,3]"), "scoring.seeds and comparison.seeds share [2]"),
        (("study", "at_once=0"), "at_once must be a whole number from 1, or auto, got 0"),
        (("study", "at_once=2", "trainer.threads=null"), "at_once=2 on a CPU needs trainer.threads"),
        (("study", "~arms.full"), "a study needs the arm full"),
        (
            ("study", "arms.full=null"),
            "arms.full must be an option of the group subset, as in +subset@arms.full=winning_",
        ),
        (("study", "~scoring.seeds"), "scoring.seeds must be given, as in scoring.seeds=VALUE"),
        (("train", "task=own", "task.data_dir=null"), "task 'own' has no data: give task.train_file=FILE"),
        (("train", "task=own", "task.data_dir=null", "task.train_file=nosuch.csv"), "no file at nosuch.csv"),
        (("train", "task.text=[review]"), "has no column review; it has sentence, label"),
        (("train", "model.path=./nosuch"), "model.path=./nosuch is not a folder"),
        (("train", "model.path=no/such-model"), "cannot get the model 'no/such-model'"),
        (("train", "task.data_dir=null"), "cannot get the data set nyu-mll/glue (sst2)"),
        (("train", "subset=winning_ticket", "seed=11"), "make it with: python -m hprune.score study="),
        (("train", "subset=winning_ticket", "seed=1"), "seed 1 is a scoring seed"),
        (("train", "trainer.devices=0"), "trainer.devices must be at least 1, got 0"),
        (("train", "trainer=fsdp", "trainer.devices=1"), "trainer.strategy=fsdp needs trainer.devices of at least 2"),
        (("train", "trainer=fsdp", "trainer.precision=16"), "a precision other than 16-mixed"),
        (("train", "trainer.strategy=zero"), "trainer.strategy must be ddp or fsdp, got 'zero'"),
        pytest.param(
            ("train", "trainer.accelerator=mps"),
            "trainer.accelerator=mps, trainer.devices=1, trainer.precision=auto: ",
            marks=pytest.mark.skipif(sys.platform == "darwin", reason="it may be there"),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_message(
    tiny: list[str], tmp_path: Path, run_command: Command, arguments: tuple[str, ...], message: str
) -> None:
    command, *rest = arguments
    options = [*tiny, f"paths.root={tmp_path}"] if command in ("train", "study") else [f"paths.root={tmp_path}"]
    assert message in refused(run_command, command, *options, *rest)


def test_missing_scoring_runs_are_named(tiny: list[str], tmp_path: Path, run_command: Command) -> None:
    root = f"paths.root={tmp_path}"
    assert run_command("train", *tiny, root, "study=s", "seed=2", "trainer.max_epochs=1")[0] == 0
    err = refused(run_command, "score", "study=s", root)
    assert "2 of 3 scoring runs are missing, seeds 1 (never started), 3 (never started)" in err
    assert "score.seeds=[2] or score.allow_missing=true" in err
    assert run_command("score", "study=s", root, "score.allow_missing=true")[0] == 0
    scores = load_scores(tmp_path / "studies/s/scores/h_score.parquet")
    assert scores.conventions["missing_runs_allowed"] is True
    err = refused(
        run_command, "train", *tiny, root, "study=s", "seed=11", "subset=winning_ticket", "trainer.max_epochs=1"
    )
    assert "with S = 1 run the score is 0 or 1" in err


def test_a_try_that_left_nothing_does_not_bind_the_study(tiny: list[str], tmp_path: Path, run_command: Command) -> None:
    root = f"paths.root={tmp_path}"
    assert "the loss is" in refused(run_command, "train", *tiny, root, "study=s", "seed=1", "optim.lr=1e30")
    code, _, err = run_command("train", *tiny, root, "study=s", "seed=1", "trainer.max_epochs=1")
    assert code == 0, err
    assert len(runs_of(tmp_path, "s", "scoring")) == 1


@pytest.mark.parametrize(
    ("options", "table"),
    [
        (["record=eval_pass"], "h_score-eval_pass"),
        (["record=both", "score.measured=eval_pass"], "h_score-eval_pass"),
        (["score.runs=2"], "h_score-S2"),
        (["score.name=mine"], "mine"),
    ],
)
def test_a_study_chooses_by_the_score_that_it_made(
    tiny: list[str], tmp_path: Path, run_command: Command, options: list[str], table: str
) -> None:
    code, _, err = run_command("study", *tiny, *options, f"paths.root={tmp_path}", "study=s")
    assert code == 0, err
    assert (tmp_path / f"studies/s/scores/{table}.parquet").exists()
    chosen = next(row for row in report_of(tmp_path)["rows"] if row["arm"] == "winning_ticket")
    scores = load_scores(tmp_path / f"studies/s/scores/{table}.parquet")
    assert chosen["n"] == int(((scores.values > 0) & (scores.values < scores.runs)).sum())


def test_arms_may_share_seeds_with_scoring_when_told_so(tiny: list[str], tmp_path: Path, run_command: Command) -> None:
    options = [option for option in tiny if not option.startswith("comparison")]
    code, _, err = run_command(
        "study",
        *options,
        f"paths.root={tmp_path}",
        "study=s",
        "comparison.seeds=[2,3]",
        "comparison.allow_seed_overlap=true",
    )
    assert code == 0, err
    rows = {row["arm"]: row for row in report_of(tmp_path)["rows"]}
    assert rows["full"]["seeds"] == [2, 3]
    assert rows["winning_ticket"]["verdict"] is not None


def test_scoring_runs_of_other_settings_are_refused(tiny: list[str], tmp_path: Path, run_command: Command) -> None:
    root = f"paths.root={tmp_path}"
    assert run_command("train", *tiny, root, "study=s", "seed=1", "trainer.max_epochs=1")[0] == 0
    err = refused(run_command, "train", *tiny, root, "study=s", "seed=2", "trainer.max_epochs=2")
    assert "already scores runs of other settings" in err
    assert "differing in trainer.max_epochs (1 there, 2 here)" in err


def test_scores_of_other_data_are_refused(finished, tiny: list[str], run_command: Command) -> None:  # type: ignore[no-untyped-def]
    root, _ = finished
    err = refused(
        run_command,
        "train",
        *tiny,
        f"paths.root={root}",
        "study=s",
        "subset=winning_ticket",
        "seed=11",
        "task.max_train_samples=100",
    )
    assert "belongs to other data" in err


def test_results_that_cannot_be_written_are_said_before_anything_runs(
    tiny: list[str], tmp_path: Path, run_command: Command
) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = run_command("train", *tiny, f"paths.root={tmp_path / 'file'}")
    assert code != 0
    assert "is not a folder; choose another place with paths.root=FOLDER" in err


def test_a_full_disk_loses_nothing(tiny: list[str], tmp_path: Path, run_command: Command, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from hprune.storage import files

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    root = f"paths.root={tmp_path}"
    with monkeypatch.context() as patch:
        patch.setattr(files.pq.ParquetWriter, "write_table", full)
        err = refused(run_command, "train", *tiny, root, "study=s", "seed=1", "trainer.max_epochs=1")
    assert "No space left on device; nothing was changed there" in err
    _, out, _ = run_command("status", root)
    assert "failed" in out
    assert run_command("train", *tiny, root, "study=s", "seed=1", "trainer.max_epochs=1")[0] == 0
