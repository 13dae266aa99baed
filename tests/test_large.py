"""What is large or small: ids near 2^63, very many classes, empty texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hprune.reporting.summary import _bins
from hprune.science.records import RunKey, RunRecord, Scores, Subset
from hprune.science.scores.h_score import h_score
from hprune.science.select import by_value, subset_size
from hprune.science.subset import SubsetSpec, choose
from hprune.score import ScoreSpec, score_study
from hprune.storage.exports import write_export
from hprune.storage.runs import finish_run, load_record, run_folder, save_record, save_subset, start_run
from hprune.storage.scores import load_scores
from hprune.storage.studies import add_run
from hprune.tasks.classification import Classification
from hprune.tasks.load import load_task
from hprune.tasks.spec import TaskSpec

IDS = np.array([0, 1, 2**31 - 1, 2**31, 2**53 + 1, 2**62, 2**63 - 2, 2**63 - 1])


def test_ids_near_the_largest_go_all_the_way(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        folder = run_folder(tmp_path, RunKey("t", "m", "full", seed), {})
        start_run(folder)
        right = np.arange(IDS.size)[None, :] % 4 >= seed
        real = [np.full(right.shape, 0.5, dtype=np.float32) for _ in range(3)]
        save_record(folder, RunRecord(folder.key, IDS.copy(), right, *real, "train_pass", "d", folder.settings_hash))
        save_subset(folder, Subset("full", IDS.copy(), "d"))
        finish_run(folder, {})
        add_run(tmp_path, "s", folder, "scoring", (1, 2, 3))
        assert load_record(folder.path, "train_pass").sample_ids.tolist() == IDS.tolist()
        assert pq.read_table(folder.path / "subset.parquet")["sample_id"].to_pylist() == IDS.tolist()
    scores = load_scores(score_study(tmp_path, "s", ScoreSpec("h_score", h_score, "easier")))
    assert scores.sample_ids.tolist() == IDS.tolist()
    assert scores.values.tolist() == [0, 1, 2, 3] * 2

    facts = {"label_names": ("a", "b"), "data_hash": "d", "seed": 1}
    labels = np.arange(IDS.size) // 4
    subset = choose(SubsetSpec("ticket", by_value, keep="1..S-1"), scores, sample_ids=IDS, labels=labels, **facts)  # type: ignore[arg-type]
    kept = IDS[[1, 2, 5, 6]]
    assert subset.sample_ids.tolist() == kept.tolist()
    table = pa.table({"text": ["x"] * kept.size, "sample_id": kept})
    for suffix in (".parquet", ".csv", ".tsv", ".jsonl", ".ids"):
        write_export(tmp_path / f"out{suffix}", table, kept)
        for number in kept.tolist():
            assert suffix == ".parquet" or str(number) in (tmp_path / f"out{suffix}").read_text()
    assert pq.read_table(tmp_path / "out.parquet")["sample_id"].to_pylist() == kept.tolist()


def test_very_many_classes(tmp_path: Path) -> None:
    classes = 12_000
    file = tmp_path / "many.parquet"
    pq.write_table(pa.table({"text": [f"t{i}" for i in range(2 * classes)], "label": [*range(classes)] * 2}), file)
    data = load_task(TaskSpec("own", Classification(), train_file=str(file), validation_file=str(file)))
    assert len(data.label_names) == classes
    assert data.train["label"].to_pylist() == [*range(classes)] * 2
    values = (np.arange(2 * classes) >= classes).astype(np.int16)
    ids = data.train["sample_id"].to_numpy().copy()
    scores = Scores("h_score", ids, values, "easier", (1, 2), 1, "train_pass", data.data_hash)

    subset = choose(
        SubsetSpec("ticket", by_value, keep="1"), scores, sample_ids=ids, labels=data.train["label"].to_numpy(),
        label_names=data.label_names, data_hash=data.data_hash, seed=1,
    )  # fmt: skip
    assert subset.sample_ids.size == classes


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_empty_texts_are_dropped_and_counted(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    file, table = tmp_path / f"x{suffix}", pa.table({"text": ["a", "", " ", "b", "c", "d"], "label": [0, 1] * 3})
    write_export(file, table, np.arange(6))
    data = load_task(TaskSpec("own", Classification(), train_file=str(file), validation_file=str(file)))
    assert data.train["sample_id"].to_pylist() == [0, 3, 4, 5]
    assert "dropped 2 of 6 rows of the train split (2 without text)" in caplog.text


@pytest.mark.parametrize("values", [[-(2**62), 0, 2**62], [0, 1, 5_000_000], [-3, 0, 2]])
def test_whole_scores_of_any_size_are_shown(values: list[int]) -> None:
    table = Scores("x", np.arange(3), np.array(values), "easier", (1, 2), 1, "train_pass", "d")
    bins = _bins(table)
    assert len(bins) <= 1000
    assert sum(int(inside.sum()) for _, inside in bins) == 3


@pytest.mark.parametrize("keep", ["0..99999999999999", [10**18], "S-10000000000000000000", "1..9"])
def test_keep_sets_far_outside_are_refused_at_once(keep: object) -> None:
    with pytest.raises(ValueError, match="keep"):
        subset_size(np.arange(3), runs=2, keep=keep)  # type: ignore[arg-type]


def test_a_last_batch_of_one_sample(compose_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from hprune.training.run import fine_tune

    sizes = ("task.max_train_samples=17", "task.max_eval_samples=9", "data.eval_batch_size=8", "trainer.max_epochs=1")
    spec = compose_run(*sizes, "record=both")
    data = load_task(spec.task)
    folder = fine_tune(spec, data, None, root=tmp_path)
    for measured in ("train_pass", "eval_pass"):
        record = load_record(folder.path, measured)  # type: ignore[arg-type]
        assert record.sample_ids.tolist() == data.train["sample_id"].to_pylist()
        assert record.correct.shape == (1, 17)
    assert pq.read_table(folder.path / "predictions.validation.parquet").num_rows == 9
