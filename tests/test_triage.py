"""Triage there and back: a sheet without decisions changes nothing, one that mends what was planted gives the truth."""

from __future__ import annotations

import csv
import importlib.machinery
import json
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from omegaconf import OmegaConf

from benchmarks.kills_everywhere import at_call
from hprune.command import CONF, instantiate
from hprune.own_sources import note_sources
from hprune.reporting.summary import summarise
from hprune.science.records import RunKey, RunRecord
from hprune.science.scores.h_score import h_score
from hprune.score import ScoreSpec, score_study
from hprune.storage.files import write_table
from hprune.storage.runs import finish_run, run_folder, save_record, start_run
from hprune.storage.scores import load_scores
from hprune.storage.studies import add_run
from hprune.tasks.load import load_task
from tests.local_hub import exams, paragraphs

Command = Callable[..., "tuple[int, str, str]"]
SEEDS, EPOCHS = (1, 2), 2
TEXTS = ["fine", "=1+1", 'a "quoted", text', "two\nlines", "poor", "@home", "so so", " spaces ", "é 漢", "bad"]


@dataclass(frozen=True)
class Made:
    """A study that nobody trained."""

    root: Path
    train: Path
    run_command: Command

    def triage(self, *arguments: str, study: str = "s", code: int = 0) -> str:
        found, _, err = self.run_command("triage", f"study={study}", f"paths.root={self.root}", *arguments)
        assert found == code, err
        assert "Traceback" not in err
        return err


def fabricate(made: Made, task: list[str], prob: NDArray[np.float32], *, study: str = "s", folds: Any = None) -> Made:
    """Scoring runs with such probabilities of the label, right where they are above half; `folds`: of all classes."""
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        config = compose("train", overrides=task).task
    data = load_task(instantiate(config))
    note_sources(made.root, {"task": OmegaConf.to_container(config)})  # as where a run is trained
    ids = data.train["sample_id"].to_numpy().copy()
    way: Any = "train_pass" if folds is None else "out_of_fold"
    for seed in SEEDS:
        folder = run_folder(
            made.root, RunKey(config.name, "none", "full", seed), {"subset": {"rule": "everything"}, "study": study}
        )
        add_run(made.root, study, folder, "scoring", SEEDS)
        start_run(folder)
        values = np.broadcast_to(prob, (EPOCHS, ids.size)).astype(np.float32)
        save_record(folder, RunRecord(folder.key, ids, values > 0.5, values, values, values, way, data.data_hash,
                                      folder.settings_hash))  # fmt: skip
        if folds is not None:
            columns = {f"prob_{k}": folds[:, k] for k in range(folds.shape[1])}
            write_table(
                folder.path / "predictions.out_of_fold.parquet",
                pa.table({"sample_id": ids, "label": data.train["label"], **columns}),
            )
        finish_run(folder, {
            "data_hash": data.data_hash, "label_names": list(data.label_names), "samples": ids.size,
            "full_samples": ids.size, "primary_metric": "accuracy", "metrics": {"validation": {"accuracy": 0.5}},
            "subset": {}, "cost": {"train_seconds": 1.0}, "versions": {},
            "config": {"task": OmegaConf.to_container(config)},
        })  # fmt: skip
    score_study(made.root, study, ScoreSpec("h_score", h_score, "easier", measured=way))
    return made


def sheet_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fill_in(path: Path, decide: Callable[[dict[str, str]], dict[str, str]]) -> None:
    rows = sheet_of(path)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, **decide(row)} for row in rows)


@pytest.fixture
def two(tmp_path: Path, run_command: Command) -> tuple[Made, pa.Table]:
    """Two classes, written as texts: three labels flipped and found out by the runs, one sample hard; and the truth."""
    truth = pa.table({"text": TEXTS, "label": ["no", "yes"] * 5, "more": range(10)})
    wrong = ["yes" if i == 4 else "no" if i in (1, 3) else label for i, label in enumerate(truth["label"].to_pylist())]
    made = Made(tmp_path / "multirun", tmp_path / "train.parquet", run_command)
    pq.write_table(truth.set_column(1, "label", pa.array(wrong)), made.train)
    prob = np.full(10, 0.9, np.float32)
    prob[[1, 3, 4, 8]] = 0.2, 0.1, 0.3, 0.4
    fabricate(made, ["task=own", f"task.train_file={made.train}", f"task.validation_file={made.train}"], prob)
    return made, truth


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_sheet_without_decisions_changes_nothing(two: tuple[Made, pa.Table], tmp_path: Path, suffix: str) -> None:
    made, _ = two
    sheet, out = tmp_path / f"sheet{suffix}", tmp_path / "corrected.parquet"
    said = made.triage(f"out={sheet}", "values=0..S")
    assert "wrote 10 of 10 samples" in said
    assert ("put a ' before 2 cells" in said) == (suffix != ".parquet")
    assert "as if nobody had filled it in" in made.triage(f"read={sheet}", f"out={out}")
    assert pq.read_table(out).equals(pq.read_table(made.train))
    table = load_scores(made.root / "studies/s/scores/triaged.parquet")
    assert table.values.tolist() == [1] * 10
    assert (table.seeds, table.epochs, table.data_hash) == (SEEDS, EPOCHS, provenance(sheet)["data_hash"])


def provenance(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(f"{path}.provenance.json").read_text())
    return found


def test_the_most_suspicious_come_first_with_what_the_runs_favour(two: tuple[Made, pa.Table], tmp_path: Path) -> None:
    made, truth = two
    assert "label_quality is left out" in made.triage(f"out={tmp_path}/sheet.csv") or "cleanlab" in sys.modules
    rows = sheet_of(tmp_path / "sheet.csv")
    assert [row["sample_id"] for row in rows] == ["3", "1", "4", "8"]
    assert [row["confidence"] for row in rows] == ["0.1", "0.2", "0.3", "0.4"]
    assert [row["suggested"] for row in rows] == [*truth["label"].take([3, 1, 4]).to_pylist(), "yes"]
    assert {row["H"] for row in rows} == {"0"}
    assert {row["decision"] + row["new_label"] for row in rows} == {""}
    assert list(rows[0])[:7] == ["decision", "new_label", "sample_id", "label", "suggested", "H", "confidence"]
    assert [row["text"] for row in rows] == ["two\nlines", "'=1+1", "poor", "é 漢"]
    told = provenance(tmp_path / "sheet.csv")
    assert (told["samples"], told["full_samples"], told["values"]) == (4, 10, [0])
    assert "models in training on the sample" in told["suggested"]


def test_planted_wrong_labels_that_are_relabelled_give_the_truth(two: tuple[Made, pa.Table], tmp_path: Path) -> None:
    made, truth = two
    sheet, out = tmp_path / "sheet.csv", tmp_path / "corrected.parquet"
    made.triage(f"out={sheet}")
    fill_in(
        sheet, lambda row: {} if row["sample_id"] == "8" else {"decision": "relabel", "new_label": row["suggested"]}
    )
    said = made.triage(f"read={sheet}", f"out={out}")
    assert "1 keep, 0 drop, 3 relabel of the 4 samples" in said
    assert "relabelled samples count as dropped there" in said
    assert pq.read_table(out).equals(truth)
    assert load_scores(made.root / "studies/s/scores/triaged.parquet").values.tolist() == [1, 0, 1, 0, 0, 1, 1, 1, 1, 1]
    told = provenance(out)
    assert told["relabelled"][0] == {"sample_id": 1, "from": "no", "to": "yes"}
    assert (told["dropped"], told["decisions"]) == ([], {"keep": 1, "drop": 0, "relabel": 3})
    assert set(summarise(made.root, "s", None)["histogram"]) == {"h_score"}
    code, _, err = made.run_command(
        "export", "study=s", "subset=triaged", f"out={tmp_path}/kept.ids", f"paths.root={made.root}"
    )
    assert code == 0, err
    assert (tmp_path / "kept.ids").read_text().split() == ["0", "2", "5", "6", "7", "8", "9"]


def test_nothing_is_replaced_unasked(two: tuple[Made, pa.Table], tmp_path: Path) -> None:
    made, _ = two
    sheet = tmp_path / "sheet.csv"
    for _ in range(2):  # the second time it holds what would be written
        made.triage(f"out={sheet}")
    assert "exists and is not replaced" in made.triage(f"out={sheet}", "values=0..S", code=1)
    made.triage(f"read={sheet}")
    assert "holds these decisions already" in made.triage(f"read={sheet}")
    fill_in(sheet, lambda row: {"decision": "drop"})
    assert "exists and is not replaced" in made.triage(f"out={sheet}", code=1)
    said = made.triage(f"read={sheet}", f"out={tmp_path}/corrected.parquet", code=1)
    assert "holds other decisions (4 keep, 0 drop, 0 relabel; now 0 keep, 4 drop, 0 relabel)" in said
    assert "keep both with name=NAME, or set overwrite=true" in said
    assert not (tmp_path / "corrected.parquet").exists()
    made.triage(f"read={sheet}", "name=second")
    made.triage(f"read={sheet}", "overwrite=true")
    scores = made.root / "studies/s/scores"
    assert (
        load_scores(scores / "triaged.parquet").values.sum() == load_scores(scores / "second.parquet").values.sum() == 6
    )
    before = (scores / "h_score.parquet").read_bytes()
    assert "is no table of decisions and is not replaced" in made.triage(
        f"read={sheet}", "name=h_score", "overwrite=true", code=1
    )
    assert (scores / "h_score.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give out=triage.csv for a sheet to fill in, or read=triage.csv for one that is"),
        (["out=sheet.xlsx"], "out=sheet.xlsx must be a sheet and end in one of .csv, .tsv, .parquet"),
        (["read=sheet.csv", "out=new.ids"], "ids alone say nothing of corrected labels"),
        (["read=sheet.csv", "out=sheet.csv"], "out=sheet.csv is the sheet that is read"),
        (["read=sheet.csv", "out=../{here}/sheet.csv", "overwrite=true"], "sheet.csv is the sheet that is read"),
        (["out=new.csv", "overwrite=perhaps"], "overwrite must be true or false, got 'perhaps'"),
        (["out=new.csv", "formulas=run"], "formulas must be one of escape, keep, got 'run'"),
        (["out=new.csv", "values=1"], "no sample of study 's' has H in 1; look at others with values=0..1"),
        (["out=new.csv", "values=7"], "with S = 2 runs the score lies in 0..2"),
        (["out=new.csv", "scores=none"], "no score table at"),
        (["out=new.csv", "folds=s"], "folds=s has no answers out of fold; train its scoring runs with data.folds=5"),
        (["read=none.csv"], "read=none.csv: there is no such file; write the sheet first"),
        (["read=sheet.csv", "name=a/b"], "score.name must be a plain name"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    two: tuple[Made, pa.Table], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], message: str
) -> None:
    made, _ = two
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sheet.csv").write_text("sample_id,decision,new_label\n1,drop,\n")
    arguments = [argument.format(here=tmp_path.name) for argument in arguments]
    assert message in made.triage(*arguments, code=1)
    assert not list(tmp_path.glob("new.*"))


def test_a_sheet_of_other_data_is_refused(two: tuple[Made, pa.Table], tmp_path: Path) -> None:
    made, _ = two
    sheet = tmp_path / "sheet.csv"
    made.triage(f"out={sheet}")
    beside = Path(f"{sheet}.provenance.json")
    beside.write_text(json.dumps({**provenance(sheet), "data_hash": "f" * 64}))
    assert "is a sheet of other data" in made.triage(f"read={sheet}", code=1)
    beside.write_text("{}")
    assert "lacks data_hash" in made.triage(f"read={sheet}", code=1)
    beside.unlink()
    assert "is known by its ids only" in made.triage(f"read={sheet}")
    sheet.write_text("sample_id,decision,new_label\n1,drop,\n77,drop,\n1,keep,\n")
    said = made.triage(f"read={sheet}", code=1)
    assert "line 3: no sample of the study has the sample_id 77" in said
    assert "line 4: sample_id 1 was there before (line 2)" in said


def test_killed_between_its_files_the_same_command_completes(
    two: tuple[Made, pa.Table], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every rename: of the table of decisions, of the corrected split, of its provenance."""
    monkeypatch.setattr("hprune.storage.files.psutil.pid_exists", lambda _: False)
    made, sheet = two[0], tmp_path / "sheet.csv"
    made.triage(f"out={sheet}")
    fill_in(sheet, lambda row: {"decision": "drop"})

    def read(number: int) -> list[str]:
        return [f"read={sheet}", f"out={tmp_path}/corrected{number}.csv", f"name=by{number}"]

    def files(number: int) -> tuple[bytes, bytes]:
        out = tmp_path / f"corrected{number}.csv"
        return out.read_bytes(), Path(f"{out}.provenance.json").read_bytes().replace(out.name.encode(), b"out")

    with at_call(None, die) as calls:
        made.triage(*read(0))
    renames = [number for number, name in enumerate(calls, 1) if name in ("replace", "rename")]
    assert len(renames) >= 3
    for number in renames:
        with pytest.raises(Killed), at_call(number, die):
            made.triage(*read(number))
        made.triage(*read(number))
        assert files(number) == files(0)
        assert load_scores(made.root / f"studies/s/scores/by{number}.parquet").values.sum() == 6
    assert not [path for path in (*tmp_path.iterdir(), *made.root.rglob("*")) if path.name.startswith(".")]


class Killed(BaseException):
    """What a kill looks like from inside: nothing after it is done."""


def die() -> None:
    raise Killed


def test_a_study_without_h_or_records_or_anything_left(two: tuple[Made, pa.Table], tmp_path: Path) -> None:
    made, _ = two
    sheet = tmp_path / "sheet.csv"
    made.triage(f"out={sheet}", "values=0..S")
    fill_in(sheet, lambda row: {"decision": "drop"})
    assert "every sample is dropped: nothing is left" in made.triage(
        f"read={sheet}", f"out={tmp_path}/c.parquet", code=1
    )
    next(made.root.glob("runs/*/*/*/seed=2/record.*")).unlink()
    assert "was not measured by train_pass" in made.triage(f"out={tmp_path}/new.csv", code=1)
    (made.root / "studies/s/scores/h_score.parquet").unlink()
    assert "has no table of H yet; make it with: python -m hprune.score study=s" in made.triage(f"read={sheet}", code=1)


def test_a_held_out_validation_set_is_told_of(tmp_path: Path, run_command: Command) -> None:
    made = Made(tmp_path / "multirun", tmp_path / "train.csv", run_command)
    table = pa.table({"text": [f"text {i}" for i in range(40)], "label": [0, 1] * 20})
    pa.csv.write_csv(table, made.train)
    fabricate(made, ["task=own", f"task.train_file={made.train}"], np.full(36, 0.1, np.float32))
    made.triage(f"out={tmp_path}/sheet.csv")
    assert "held its validation set out" in made.triage(f"read={tmp_path}/sheet.csv", f"out={tmp_path}/c.csv")
    ids = [int(row["sample_id"]) for row in sheet_of(tmp_path / "sheet.csv")]
    assert pa.csv.read_csv(tmp_path / "c.csv").equals(table.take(sorted(ids)))


@pytest.fixture
def three(tmp_path: Path, run_command: Command) -> Made:
    """Three classes, six samples; the label of the first three is improbable."""
    made = Made(tmp_path / "multirun", tmp_path / "train.csv", run_command)
    made.train.write_text("text,label,H\n" + "".join(f"text {i},{i % 3},h{i}\n" for i in range(6)))
    return fabricate(made, three_of(made), np.array([0.3, 0.2, 0.1, 0.9, 0.9, 0.9], np.float32))


def three_of(made: Made) -> list[str]:
    return ["task=own", f"task.train_file={made.train}", f"task.validation_file={made.train}", "task.text=[text,H]"]


def test_of_three_classes_a_record_knows_the_label_only(three: Made, tmp_path: Path) -> None:
    said = three.triage(f"out={tmp_path}/sheet.csv", "values=0..2")
    assert "suggested is blank where the label is not the likeliest" in said
    assert "label_quality is left out: it takes the probabilities of all classes" in said
    rows = sheet_of(tmp_path / "sheet.csv")
    assert {row["sample_id"]: row["suggested"] for row in rows} == {
        "0": "", "1": "", "2": "", "3": "0", "4": "1", "5": "2"
    }  # fmt: skip
    assert (rows[0]["H"], rows[0]["data_H"]) == ("0", "h2")


def test_answers_out_of_fold_say_the_class(three: Made, tmp_path: Path) -> None:
    folds = np.random.default_rng(0).dirichlet(np.ones(3), size=6)
    own = folds[np.arange(6), np.arange(6) % 3].astype(np.float32)
    fabricate(three, three_of(three), own, study="folds", folds=folds)
    three.triage(f"out={tmp_path}/sheet.csv", "folds=folds", "values=0..2")
    rows = {int(row["sample_id"]): row["suggested"] for row in sheet_of(tmp_path / "sheet.csv")}
    assert [rows[i] for i in range(6)] == [str(k) for k in folds.argmax(axis=1)]
    assert "study folds, 2 runs, of models that were not trained" in provenance(tmp_path / "sheet.csv")["suggested"]
    three.triage(f"out={tmp_path}/own.csv", study="folds")  # by folds itself
    assert {row["suggested"] for row in sheet_of(tmp_path / "own.csv")} <= {"0", "1", "2"}


def test_answers_to_other_data_are_refused(three: Made, tmp_path: Path) -> None:
    other = Made(three.root, tmp_path / "other.csv", three.run_command)
    other.train.write_text(three.train.read_text().replace("text 5", "text 6"))
    prob = np.full(6, 0.1, np.float32)
    fabricate(other, three_of(other), prob, study="folds", folds=np.full((6, 3), 1 / 3))
    assert "folds=folds is a study of other data" in three.triage(f"out={tmp_path}/new.csv", "folds=folds", code=1)


def test_cleanlab_is_given_the_probabilities_of_both_classes(
    two: tuple[Made, pa.Table], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own numbers where it is installed; else a stand-in that says what it was asked."""
    made, _ = two
    rank = types.ModuleType("cleanlab.rank")
    asked: list[tuple[Any, Any]] = []

    def quality(labels: Any, probabilities: Any, verbose: bool) -> Any:
        asked.append((labels, probabilities))
        return np.mean([one[np.arange(len(labels)), labels] for one in probabilities], axis=0)

    rank.get_label_quality_ensemble_scores = quality  # type: ignore[attr-defined]
    package = types.ModuleType("cleanlab")
    package.__spec__ = importlib.machinery.ModuleSpec("cleanlab", None)
    package.__version__, package.rank = "2.9.0", rank  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cleanlab", package)
    monkeypatch.setitem(sys.modules, "cleanlab.rank", rank)
    made.triage(f"out={tmp_path}/sheet.csv")
    rows = sheet_of(tmp_path / "sheet.csv")
    assert [row["label_quality"] for row in rows] == ["0.1", "0.2", "0.3", "0.4"]
    ((labels, probabilities),) = asked
    assert len(probabilities) == len(SEEDS)
    assert all(one.shape == (10, 2) and np.allclose(one.sum(axis=1), 1) for one in probabilities)
    assert labels.tolist() == [0, 0, 0, 0, 1, 1, 0, 1, 0, 1]
    assert "cleanlab 2.9.0" in provenance(tmp_path / "sheet.csv")["label_quality"]


def test_cleanlab_itself_agrees_that_a_low_quality_is_a_wrong_label(two: tuple[Made, pa.Table], tmp_path: Path) -> None:
    pytest.importorskip("cleanlab")
    two[0].triage(f"out={tmp_path}/sheet.csv", "values=0..S")
    quality = [float(row["label_quality"]) for row in sheet_of(tmp_path / "sheet.csv")]
    assert quality == sorted(quality)
    assert quality[0] < 0.2 < 0.8 < quality[-1]


def test_questions_are_dropped_and_not_relabelled(tmp_path: Path, run_command: Command) -> None:
    made = Made(tmp_path / "multirun", tmp_path / "train.parquet", run_command)
    pq.write_table(paragraphs(8, unanswerable=True), made.train)
    task = ["task=squad_v2", f"task.train_file={made.train}", f"task.validation_file={made.train}"]
    fabricate(made, task, np.full(8, 0.1, np.float32))
    sheet = tmp_path / "sheet.csv"
    made.triage(f"out={sheet}")
    rows = sheet_of(sheet)
    assert {row["suggested"] for row in rows} == {""}
    assert all(isinstance(json.loads(row["answers"]), list) for row in rows)
    fill_in(sheet, lambda row: {"decision": "relabel", "new_label": "unanswerable"})
    assert "cannot be relabelled, as what is right of them is an answer and not a class" in made.triage(
        f"read={sheet}", code=1
    )
    fill_in(sheet, lambda row: {"decision": "drop" if row["sample_id"] == "2" else "", "new_label": ""})
    made.triage(f"read={sheet}", f"out={tmp_path}/c.parquet")
    assert pq.read_table(tmp_path / "c.parquet").equals(pq.read_table(made.train).take([0, 1, 3, 4, 5, 6, 7]))


def test_the_right_option_of_a_question_is_corrected(tmp_path: Path, run_command: Command) -> None:
    made = Made(tmp_path / "multirun", tmp_path / "train.parquet", run_command)
    pq.write_table(exams(8, hidden=False), made.train)
    task = ["task=race", f"task.train_file={made.train}", f"task.validation_file={made.train}"]
    fabricate(made, task, np.full(8, 0.1, np.float32))
    sheet, before = tmp_path / "sheet.csv", pq.read_table(made.train)
    made.triage(f"out={sheet}")
    assert "options" in sheet_of(sheet)[0]
    new = {str(i): "D" if answer != "D" else "A" for i, answer in enumerate(before["answer"].to_pylist())}
    fill_in(sheet, lambda row: {"decision": "relabel", "new_label": new[row["sample_id"]]})
    made.triage(f"read={sheet}", f"out={tmp_path}/c.parquet")
    after = pq.read_table(tmp_path / "c.parquet")
    assert after["answer"].to_pylist() == list(new.values())
    assert after.drop_columns(["answer"]).equals(before.drop_columns(["answer"]))
