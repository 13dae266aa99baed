"""A score table keeps the facts behind its numbers, and no other score takes its place unasked."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hprune import Scores
from hprune.science.select import by_value
from hprune.science.subset import SubsetSpec
from hprune.storage.files import write_table
from hprune.storage.scores import load_scores, save_scores, score_path, scores_for

IDS = np.array([1, 4, 9])


def scores(**changes: Any) -> Scores:
    made = Scores(
        "h_score", IDS.copy(), np.array([0, 2, 3], dtype=np.int16), "easier", seeds=(1, 2, 3), epochs=2,
        measured="train_pass", data_hash="d", conventions={"score": "h", "range": (0, 3)},
    )  # fmt: skip
    return replace(made, **changes)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_scores_come_back(tmp_path: Path, dtype: type) -> None:
    saved = scores(values=np.array([0, 2, 3], dtype=dtype) / dtype(1 if dtype is np.int16 else 7))
    saved = replace(saved, values=saved.values.astype(dtype))
    save_scores(tmp_path / "s.parquet", saved)
    loaded = load_scores(tmp_path / "s.parquet")
    assert loaded.values.dtype == dtype
    assert loaded.values.tobytes() == saved.values.tobytes()
    assert loaded.sample_ids.tolist() == IDS.tolist()
    for name in ("name", "higher_is", "seeds", "epochs", "measured", "data_hash"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert loaded.conventions == {"score": "h", "range": [0, 3]}


def test_an_equal_score_is_accepted_and_changes_nothing(tmp_path: Path) -> None:
    save_scores(tmp_path / "s.parquet", scores())
    before = (tmp_path / "s.parquet").read_bytes()
    save_scores(tmp_path / "s.parquet", scores())
    save_scores(tmp_path / "s.parquet", load_scores(tmp_path / "s.parquet"))
    assert (tmp_path / "s.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": (1, 2)}, r"seeds \(\[1, 2, 3\] there, \[1, 2\] here\)"),
        ({"epochs": 3}, r"epochs \(2 there, 3 here\)"),
        ({"data_hash": "other"}, r"data_hash \(d there, other here\)"),
        ({"measured": "eval_pass"}, "measured"),
        ({"higher_is": "harder"}, "higher_is"),
        ({"conventions": {}}, "conventions"),
        ({"values": np.array([0, 2, 2], dtype=np.int16)}, "the values of 1 samples"),
        ({"sample_ids": np.array([1, 4, 10])}, "the samples"),
        ({"sample_ids": np.array([1]), "values": np.array([1], dtype=np.int16)}, "the samples"),
    ],
)
def test_another_score_of_the_same_name_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    save_scores(tmp_path / "s.parquet", scores())
    before = (tmp_path / "s.parquet").read_bytes()
    with pytest.raises(ValueError, match=rf"holds another score, differing in {message}.*score\.name=NAME"):
        save_scores(tmp_path / "s.parquet", scores(**change))
    assert (tmp_path / "s.parquet").read_bytes() == before


def test_what_is_not_a_score_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no score table at .*s\.parquet; make it with"):
        load_scores(tmp_path / "s.parquet")
    write_table(tmp_path / "s.parquet", pa.table({"sample_id": IDS, "value": IDS}))
    with pytest.raises(ValueError, match=r"s\.parquet is not a score table .*\['sample_id', 'value'\]"):
        load_scores(tmp_path / "s.parquet")
    (tmp_path / "s.parquet").write_text("text")
    with pytest.raises(ValueError, match=r"s\.parquet is not readable Parquet"):
        load_scores(tmp_path / "s.parquet")


def test_a_subset_finds_its_scores(tmp_path: Path) -> None:
    choose = partial(by_value, keep="1..S-1")
    save_scores(score_path(tmp_path, "a", "h_score"), scores())
    save_scores(score_path(tmp_path, "a", "el2n"), scores(name="el2n"))
    save_scores(tmp_path / "own.parquet", scores(name="own"))

    def name_of(**options: Any) -> str | None:
        found = scores_for(SubsetSpec("t", **options), root=tmp_path, study="a")
        return None if found is None else found.name

    assert name_of() is None, "everything needs no score"
    assert name_of(select=choose) == "h_score"
    assert name_of(select=choose, scores="el2n") == "el2n"
    assert name_of(select=choose, scores=str(tmp_path / "own.parquet")) == "own"
    with pytest.raises(ValueError, match=r"subset 't' needs the score table .*aum\.parquet, .*hprune\.score study=a"):
        name_of(select=choose, scores="aum")
