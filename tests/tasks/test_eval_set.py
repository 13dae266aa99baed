"""Further sets to evaluate on: their classes, columns and slices are theirs, what is predicted is the model's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hydra import compose, initialize_config_dir
from sklearn.metrics import matthews_corrcoef
from torchmetrics.functional.classification import multiclass_calibration_error

from hprune.command import CONF, instantiate, run_spec
from hprune.storage.runs import read_manifest
from hprune.tasks.classification import Classification, evaluate_classes
from hprune.tasks.eval_set import EvalSetSpec
from hprune.tasks.load import load_task
from hprune.tasks.spec import TaskData, TaskSpec
from hprune.training.run import fine_tune
from tests.conftest import SHARED

DATA = SHARED / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the data of ../shared/data")
SETS = sorted(path.stem for path in (CONF / "eval_set").glob("*.yaml"))
TASK_OF = {
    "hans": "snli",
    "breaking_nli": "mnli",
    "adversarial_qa": "squad",
    "squad_addsent": "squad",
    "squad_addonesent": "squad",
    "paws_qqp": "qqp",
    "imdb_contrast": "sst2",
    "imdb_original": "sst2",
    "yelp": "sst2",
} | {name: "snli" for name in SETS if name.startswith(("anli", "nli", "snli"))}
TASK_OF |= {name: name.removeprefix("adv_glue_") for name in SETS if name.startswith("adv_glue")}
NAMES = ["entailment", "neutral", "contradiction"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A task of three classes of pairs, and beside it sets of other columns, classes and order."""
    rng = np.random.default_rng(0)

    def pairs(n: int, classes: int, **columns: str) -> dict[str, Any]:
        named = {"a": "premise", "b": "hypothesis"} | columns
        return {
            named["a"]: [f"w{i} x" for i in rng.integers(0, 9, n)],
            named["b"]: [f"y{i}" for i in rng.integers(0, 9, n)],
            "label": rng.integers(0, classes, n),
        }

    tables = {
        "task/train": pairs(60, 3),
        "task/validation": pairs(20, 3),
        "hans/validation": {**pairs(40, 2, a="s1", b="s2"), "heuristic": ["lexical", "subsequence"] * 20},
        "turned/test": pairs(30, 3),
    }
    for name, columns in tables.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    return tmp_path


HANS = (
    "+eval_set@task.also.hans=hans",
    "task.also.hans.text=[s1,s2]",
)


def task_of(folder: Path, *overrides: str, also_dir: bool = True) -> Any:
    base = ["task=snli", f"task.data_dir={folder}/task", *([f"task.also_dir={folder}"] if also_dir else [])]
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        return instantiate(compose("train", overrides=[*base, *overrides]).task)


def test_a_set_has_its_own_columns_classes_and_slices(folder: Path) -> None:
    raw = pq.read_table(folder / "hans/validation.parquet")
    data = load_task(task_of(folder, *HANS))
    assert list(data.evaluation) == ["validation", "hans"]
    table = data.evaluation["hans"]
    assert table.column_names == ["sample_id", "premise", "hypothesis", "label"]
    assert table["premise"].to_pylist() == raw["s1"].to_pylist()
    assert table["label"].to_pylist() == raw["label"].to_pylist()
    assert data.counts_as["hans"].tolist() == [0, 1, 1]
    assert data.slices["hans"]["heuristic"].to_pylist() == raw["heuristic"].to_pylist()
    assert "validation" not in data.counts_as


def test_the_train_table_and_its_hash_stay_and_slices_change_no_hash(folder: Path) -> None:
    plain, more = load_task(task_of(folder)), load_task(task_of(folder, *HANS))
    assert plain.data_hash == more.data_hash
    assert plain.evaluation_hashes == more.for_task(task_of(folder)).evaluation_hashes
    without = load_task(task_of(folder, *HANS, "task.also.hans.slices=[]"))
    assert without.evaluation_hashes == more.evaluation_hashes


def test_a_sample_keeps_the_shares_of_classes_and_slices(folder: Path) -> None:
    drawn = load_task(task_of(folder, *HANS, "task.also.hans.max_samples=20"))
    table, slices = drawn.evaluation["hans"], drawn.slices["hans"]["heuristic"].to_pylist()
    raw = pq.read_table(folder / "hans/validation.parquet")
    assert table.num_rows == len(slices) == 20
    for row, label, kind in zip(table["sample_id"].to_pylist(), table["label"].to_pylist(), slices, strict=True):
        assert (raw["label"][row].as_py(), raw["heuristic"][row].as_py()) == (label, kind)
    for label in (0, 1):
        for kind in ("lexical", "subsequence"):
            whole = sum(
                pair == (label, kind)
                for pair in zip(raw["label"].to_pylist(), raw["heuristic"].to_pylist(), strict=True)
            )
            part = sum(pair == (label, kind) for pair in zip(table["label"].to_pylist(), slices, strict=True))
            assert abs(part - whole / 2) < 1
    again = load_task(task_of(folder, *HANS, "task.also.hans.max_samples=20"))
    assert again.evaluation_hashes == drawn.evaluation_hashes


def test_classes_in_another_order_are_told_apart(folder: Path) -> None:
    turned = ("+eval_set@task.also.turned=breaking_nli", "task.also.turned.folder=turned", "task.also.turned.slices=[]")
    names = "task.also.turned.label_names=[contradiction,entailment,neutral]"
    data = load_task(
        task_of(
            folder,
            *turned,
            names,
            "+task.also.turned.merge={entailment:entailment,neutral:neutral,contradiction:contradiction}".replace(
                "+", ""
            ),
        )
    )
    assert data.counts_as["turned"].tolist() == [1, 2, 0]


def test_merged_predictions_and_metrics_are_those_of_an_independent_computation() -> None:
    rng = np.random.default_rng(1)
    logits, labels, counts_as = (
        rng.normal(size=(200, 3)).astype(np.float32),
        rng.integers(0, 2, 200),
        np.array([0, 1, 1]),
    )
    found = evaluate_classes(torch.from_numpy(logits), labels, counts_as)
    prob = np.exp(logits.astype(float))
    prob /= prob.sum(axis=1, keepdims=True)
    merged = np.stack([prob[:, 0], prob[:, 1] + prob[:, 2]], axis=1)
    pred = counts_as[logits.argmax(axis=1)]
    assert found.columns["pred"].tolist() == pred.tolist()  # type: ignore[union-attr]
    assert np.stack([found.columns["prob_0"], found.columns["prob_1"]], axis=1) == pytest.approx(merged, abs=1e-6)
    assert found.metrics["accuracy"] == pytest.approx((pred == labels).mean())
    assert found.metrics["mcc"] == pytest.approx(matthews_corrcoef(labels, pred), abs=1e-6)
    assert found.metrics["loss"] == pytest.approx(-np.log(merged[np.arange(200), labels]).mean(), abs=1e-5)


def test_calibration_is_that_of_torchmetrics_and_of_its_definition() -> None:
    rng = np.random.default_rng(2)
    logits, labels = torch.from_numpy(rng.normal(size=(500, 3)) * 2), rng.integers(0, 3, 500)
    found = evaluate_classes(logits.float(), labels).metrics["ece"]
    prob = logits.float().softmax(-1)
    assert found == pytest.approx(
        float(multiclass_calibration_error(prob, torch.from_numpy(labels), 3, n_bins=15)), abs=1e-6
    )
    confidence, right = prob.max(-1).values.numpy(), prob.argmax(-1).numpy() == labels
    bins = np.clip(np.ceil(confidence * 15).astype(int) - 1, 0, 14)
    gaps = [abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    assert found == pytest.approx(sum(gaps), abs=1e-5)
    sure = torch.tensor([[50.0, 0.0]] * 4)
    assert evaluate_classes(sure, np.array([0, 0, 0, 0])).metrics["ece"] == pytest.approx(0, abs=1e-6)
    assert evaluate_classes(sure, np.array([1, 1, 0, 0])).metrics["ece"] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_the_calibration_of_merged_classes_is_its_definition(seed: int) -> None:
    """Sums of float32 exceed 1 by a rounding now and then, which is no reason to take them for logits."""
    rng = np.random.default_rng(seed)
    logits, labels, counts_as = 6 * rng.normal(size=(3000, 3)), rng.integers(0, 2, 3000), np.array([0, 1, 1])
    prob = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    pred = counts_as[logits.argmax(axis=1)]
    sure = np.where(pred == 0, prob[:, 0], prob[:, 1] + prob[:, 2])
    bins, right = np.clip(np.ceil(sure * 15).astype(int) - 1, 0, 14), pred == labels
    gaps = [abs(sure[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    found = evaluate_classes(torch.from_numpy(logits).float(), labels, counts_as).metrics["ece"]
    assert found == pytest.approx(sum(gaps), abs=1e-4)


def test_how_classes_are_merged_is_part_of_what_a_set_is(folder: Path) -> None:
    """Else a run with another merging would be taken for this one, and skipped."""
    plain = load_task(task_of(folder, *HANS)).evaluation_hashes
    other = load_task(task_of(folder, *HANS, "task.also.hans.merge.neutral=entailment")).evaluation_hashes
    assert plain["validation"] == other["validation"]
    assert plain["hans"] != other["hans"]


@pytest.mark.parametrize("held_out", [False, True])
def test_slices_are_of_the_rows_that_where_leaves(folder: Path, held_out: bool) -> None:
    raw = pq.read_table(folder / "task/validation.parquet")
    kinds, lists = [f"k{i % 5}" for i in range(20)], [[i] for i in range(20)]
    name = "train" if held_out else "validation"
    pq.write_table(raw.append_column("kind", [kinds]).append_column("list", [lists]), folder / f"task/{name}.parquet")
    if held_out:
        (folder / "task/validation.parquet").unlink()
    else:
        train = pq.read_table(folder / "task/train.parquet")
        pq.write_table(train.append_column("kind", [["k3"] * 60]), folder / "task/train.parquet")
    where = ["task.where={kind: 'k[234]'}", "task.slices=[kind,list]", "task.validation_fraction=0.5"]
    data = load_task(task_of(folder, *where))
    ids = data.evaluation["validation"]["sample_id"].to_pylist()
    assert set(np.array(ids) % 5) <= {2, 3, 4}
    assert data.slices["validation"]["kind"].to_pylist() == [kinds[i] for i in ids]
    assert data.slices["validation"]["list"].to_pylist() == [str(lists[i]) for i in ids]


@pytest.mark.parametrize("labels", [[-1] * 30, [None] * 30])
def test_a_set_without_any_label_is_refused(folder: Path, labels: list[Any]) -> None:
    raw = pq.read_table(folder / "turned/test.parquet").drop_columns("label")
    pq.write_table(raw.append_column("label", pa.array(labels, pa.int64())), folder / "turned/test.parquet")
    named = ["+eval_set@task.also.turned=anli_r1", "task.also.turned.folder=turned", "task.also.turned.split=test"]
    with pytest.raises(
        ValueError, match=r"task\.also\.turned: no row of it can be used: it has no labels, or no texts"
    ):
        load_task(task_of(folder, *named))


@needs_data
def test_a_set_of_questions_is_no_train_split(tmp_path: Path) -> None:
    """Answers that are not at their place cannot be learned, but given."""
    table = pq.read_table(DATA / "adversarial_qa/validation.parquet").slice(0, 20)
    at, answers = table.column_names.index("answers"), table["answers"].to_pylist()
    for answer in answers[:10]:
        answer["answer_start"] = [0 for _ in answer["answer_start"]]
    moved = table.set_column(at, "answers", pa.array(answers, table.schema.field(at).type))
    pq.write_table(moved, tmp_path / "validation.parquet")
    options = [f"task.data_dir={DATA}/squad", "task.max_train_samples=20", "task.max_eval_samples=20"]
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        own = ["+eval_set@task.also.x=adversarial_qa", f"task.also.x.data_dir={tmp_path}"]
        task = instantiate(compose("train", overrides=["task=squad", *options, *own]).task)
    assert load_task(task).evaluation["x"].num_rows == 20


def test_a_run_predicts_every_set_with_its_slices_and_lengths(folder: Path, tmp_path: Path) -> None:
    from tests.conftest import TINY_MODEL

    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        spec = run_spec(
            compose(
                "train",
                overrides=[
                    "task=snli",
                    f"task.data_dir={folder}/task",
                    f"task.also_dir={folder}",
                    *HANS,
                    "model=tiny_roberta",
                    *TINY_MODEL,
                    "model.config.intermediate_size=32",
                    "trainer.threads=1",
                    "trainer.max_epochs=1",
                    "seed=101",
                ],
            )
        )
    run = fine_tune(spec, load_task(spec.task), None, root=tmp_path / "root")
    table, metrics = pq.read_table(run.path / "predictions.hans.parquet"), read_manifest(run.path)["metrics"]["hans"]
    assert table.column_names == ["sample_id", "label", "pred", "prob_0", "prob_1", "tokens", "slice_heuristic"]
    right = table["label"].to_numpy() == table["pred"].to_numpy()
    assert metrics["accuracy"] == pytest.approx(right.mean())
    assert set(metrics) == {"accuracy", "macro_f1", "mcc", "f1", "ece", "loss"}
    assert table["tokens"].to_numpy().min() > 2
    scored = fine_tune(spec.scored(), load_task(spec.scored().task), None, root=tmp_path / "root")
    assert set(read_manifest(scored.path)["metrics"]) == {"validation"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["task.also.hans.text=[s1]"],
            r"task\.also\.hans: its text must name 2 columns, as task\.also\.hans\.text does",
        ),
        (
            ["task.also.hans.text=[s1,s9]"],
            r"task\.also\.hans: .*the validation split has no column s9; it has s1, s2, label",
        ),
        (
            ["task.also.hans.split=test"],
            r"task\.also\.hans: .*holds no file of the split 'test'; it holds validation\.parquet",
        ),
        (
            ["task.also.hans.slices=[kind]"],
            r"task\.also\.hans: it has no column kind, which its slices ask for; it has",
        ),
        (
            ["task.also.hans.label_names=[no,yes]"],
            r"its merge must say for each of the task's classes \(entailment, neutral, ",
        ),
        (
            ["task.also.hans.merge=null"],
            r"its label_names \['entailment', 'non_entailment'\] are not the classes of the task",
        ),
        (
            ["task.also.hans.merge={entailment:entailment,neutral:entailment,contradiction:entailment}"],
            r"its merge makes no class of the task non_entailment: what is of it could never be right",
        ),
        (
            ["~task.also.hans.merge", "+task.also.hans.merge={neutral:entailment}"],
            r"its merge must say for each of the task",
        ),
        (["task.also.hans.folder=nowhere"], r"task\.also\.hans: task\.also\.hans\.data_dir=.*nowhere is not a folder"),
        (
            ["task.also.hans.folder=null", "task.also.hans.hub_id=null"],
            r"task\.also\.hans has no data: give its hub_id",
        ),
        (["task.also.hans.folder=3"], r"folder of a set in task\.also must be a text, or null, got 3"),
        (["task.also.hans.max_samples=0"], r"max_samples of a set in task\.also must be at least 1, got 0"),
        (["task.also.hans.slices=null"], r"slices of a set in task\.also must be a list of names, got None"),
        (["task.also.hans.merge=all"], r"merge of a set in task\.also must say for each class of the task"),
        (["task.also.hans.split=null"], r"split of a set in task\.also must be the name of a split, got None"),
        (
            ["task.also={hans: 3}"],
            r"task\.also must hold sets to evaluate on, as \+eval_set@task\.also\.hans=hans puts",
        ),
        (["task.also=null"], r"task\.also must hold sets to evaluate on"),
        (
            ["+eval_set@task.also.validation=hans"],
            r"must be named by letters, digits, _ and -, and not as a split, got 'val",
        ),
        (["task.slices=3"], r"task\.slices must be a list of names, got 3"),
    ],
)
def test_what_does_not_fit_is_named(folder: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_task(task_of(folder, *HANS, *overrides))


def further(train: list[Any], further: list[Any], tmp_path: Path, names: Any = None, **own: Any) -> TaskData:
    for name, labels in (("train", train), ("test", further)):
        table = pa.table({"text": [f"text {i}" for i in range(len(labels))], "label": labels})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    file = str(tmp_path / "train.parquet")
    also = {"more": EvalSetSpec(data_dir=str(tmp_path), **own)}
    return load_task(
        TaskSpec("own", Classification(), train_file=file, validation_file=file, label_names=names, also=also)
    )


@pytest.mark.parametrize(
    ("train", "names", "other", "own", "expected"),
    [
        ([-1, 0, 1], ["neg", "neu", "pos"], [1, -1], {}, [2, 0]),  # the values of the task, not places among its names
        ([-1, 0, 1], ["neg", "neu", "pos"], [2, 0], {"label_names": ["neg", "neu", "pos"]}, [2, 0]),
        ([0, 1], ["neg", "pos"], [-1, 1], {}, [1]),
        ([True, False], [True, False], [True, False], {}, [0, 1]),
        (["no", "yes"], [False, True], ["yes", "no"], {}, [1, 0]),
        (["no", "yes"], None, [0, 1], {"label_names": [False, True], "merge": {False: False, True: True}}, [0, 1]),
    ],
)
def test_labels_of_a_further_set_are_read_by_value(
    train: Any, names: Any, other: Any, own: Any, expected: list[int], tmp_path: Path
) -> None:
    assert further(train, other, tmp_path, names, **own).evaluation["more"]["label"].to_pylist() == expected


def test_more_classes_than_probabilities_are_kept_of_are_not_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hprune.tasks.spec.MOST_PROBABILITIES", 2)
    turned = further(["a", "b", "c"], [0, 1, 2], tmp_path, label_names=["c", "a", "b"])
    assert turned.evaluation["more"]["label"].to_pylist() == [2, 0, 1]
    assert not turned.counts_as
    with pytest.raises(
        ValueError, match=r"task\.also\.more: more than 2 classes cannot be merged: leave out its merge"
    ):
        further(["a", "b", "c"], [0, 1], tmp_path, label_names=["x", "y"], merge={"a": "x", "b": "x", "c": "y"})


def test_only_tasks_of_classes_merge(folder: Path) -> None:
    from dataclasses import replace

    from hprune.tasks.eval_set import eval_set_of
    from hprune.tasks.multiple_choice import MultipleChoice

    task = replace(task_of(folder), kind=MultipleChoice())
    with pytest.raises(ValueError, match="only tasks of classes can merge them"):
        eval_set_of(
            task,
            EvalSetSpec(label_names=["x", "y"], merge=dict(zip("ABCD", "xyxx", strict=True))),
            pa.table({}),
            task,
            "ABCD",
            pa.table({}),
        )


@pytest.mark.parametrize("name", SETS)
def test_every_set_composes(name: str) -> None:
    assert name in TASK_OF, "say in this test which task it is for"
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        made = instantiate(compose("train", overrides=[f"+eval_set@task.also.x={name}"]).task.also.x)
    assert isinstance(made, EvalSetSpec)
    assert made.folder is not None


def shared(name: str, *overrides: str) -> TaskData:
    task = TASK_OF[name]
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        cfg = compose(
            "train",
            overrides=[
                f"task={task}",
                f"task.data_dir={DATA / task}",
                "task.max_train_samples=50",
                f"task.also_dir={DATA}",
                f"+eval_set@task.also.x={name}",
                *overrides,
                *(["task.splits.train=validation"] if task == "qnli" else []),
            ],
        )
    return load_task(instantiate(cfg.task))


@needs_data
@pytest.mark.parametrize("name", SETS)
def test_every_set_is_read_as_it_stands(name: str) -> None:
    """The classes by their names, counted when the data were collected."""
    data = shared(name)
    labels = data.evaluation["x"]["label"].to_numpy()
    counted = {
        "hans": [15000, 15000],
        "breaking_nli": [982, 47, 7164],
        "anli_r1": [334, 333, 333],
        "anli_r2": [334, 333, 333],
        "anli_r3": [402, 400, 396],
        "nli_numerical": [2532] * 3,
        "nli_antonym": [0, 0, 1561],
        "snli_revised": [508, 554, 538],
        "imdb_contrast": [245, 243],
        "imdb_original": [243, 245],
        "yelp": [2022, 1996],
        "paws_qqp": [486, 191],
        "adv_glue_mnli": [32, 39, 50],
        "adv_glue_qnli": [74, 74],
        "adv_glue_qqp": [46, 32],
        "adv_glue_rte": [35, 46],
        "adv_glue_sst2": [72, 76],
        "squad_addsent": [0, 3560],
        "squad_addonesent": [0, 1787],
        "adversarial_qa": [0, 3000],
    }
    assert np.bincount(labels, minlength=len(counted[name])).tolist() == counted[name]


@needs_data
def test_three_thousand_pairs_of_hans_are_stratified() -> None:
    data = shared("hans", "task.also.x.max_samples=3000")
    labels, kinds = data.evaluation["x"]["label"].to_numpy(), np.array(data.slices["x"]["heuristic"].to_pylist())
    assert {
        (label, kind): int(((labels == label) & (kinds == kind)).sum()) for label in (0, 1) for kind in set(kinds)
    } == {(label, kind): 500 for label in (0, 1) for kind in ("lexical_overlap", "subsequence", "constituent")}


@needs_data
def test_a_model_that_always_says_entailment_is_right_on_half_of_hans() -> None:
    data = shared("hans")
    always = torch.tensor([[9.0, 0.0, 0.0]]).expand(30_000, 3)
    assert (
        evaluate_classes(always, data.evaluation["x"]["label"].to_numpy(), data.counts_as["x"]).metrics["accuracy"]
        == 0.5
    )


def test_a_study_scores_without_them_and_reports_them(
    tiny: list[str], run_command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    words = {"text": ["good film", "bad film"] * 30, "label": [1, 0] * 30, "source": ["a", "b", "b"] * 20}
    pq.write_table(pa.table(words), tmp_path / "more/test.parquet")
    also = ["+eval_set@task.also.more=yelp", "task.also.more.folder=more", "task.also.more.slices=[source]"]
    arms = ["arms.winning_ticket.keep=0..S", "arms.random_like.keep=0..S", "at_once=2"]
    code, out, err = run_command(
        "study", *tiny, *also, *arms, f"task.also_dir={tmp_path}", f"paths.root={tmp_path}/root", "study=s"
    )
    assert code == 0, err
    assert "accuracy on more" in out
    report = pq_json(tmp_path / "root/studies/s/report.json")
    assert {row["eval_set"] for row in report["rows"]} == {"validation", "test", "more"}
    slices = {(row["slice"], row["value"]): row["n"] for row in report["slices"] if row["eval_set"] == "more"}
    assert slices == {("class", "negative"): 30, ("class", "positive"): 30, ("source", "a"): 20, ("source", "b"): 40}
    for row in report["examples"]:
        assert row["n"] == {"more": 60, "validation": 60, "test": 40}[row["eval_set"]]
        same = next(
            r
            for r in report["rows"]
            if (r["label"], r["eval_set"], r["metric"]) == (row["label"], row["eval_set"], "accuracy")
        )
        assert row["difference"]["mean"] == pytest.approx(same["difference"]["mean"])
        gained = sum(test["gained"] - test["lost"] for test in row["mcnemar"].values()) / len(row["mcnemar"])
        assert gained / row["n"] == pytest.approx(row["difference"]["mean"])


def pq_json(path: Path) -> Any:
    import json

    return json.loads(path.read_text())
