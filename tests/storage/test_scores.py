"""A score table keeps the facts behind its numbers, and no other score takes its place unasked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hprune import Scores
from hprune.science.select import by_value
from hprune.science.subset import SubsetSpec
from hprune.storage.files import write_table
from hprune.storage.scores import load_scores, save_pieces, save_scores, score_path, scores_for
from hprune.storage.shapes import amount

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


def test_a_table_of_before_tables_named_their_function_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    save_scores(path, scores())
    named = {**scores().conventions, "function": "hprune.science.scores.h_score.h_score"}
    save_scores(path, scores(conventions=named))
    with pytest.raises(ValueError, match="differing in conventions"):
        save_scores(path, scores(conventions={**named, "ddof": 1}))


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


def many(**changes: Any) -> Scores:
    rng = np.random.default_rng(0)
    ids, values = np.cumsum(rng.integers(1, 5, 100)), rng.integers(0, 4, 100).astype(np.int16)
    return scores(**({"sample_ids": ids, "values": values} | changes))


def cut(made: Scores, size: int) -> Iterator[Scores]:
    for start in range(0, made.values.size, size):
        part = slice(start, start + size)
        yield replace(made, sample_ids=made.sample_ids[part], values=made.values[part])


@pytest.mark.parametrize("size", [1, 7, 50, 100, 200])
def test_pieces_are_saved_as_the_whole(tmp_path: Path, size: int) -> None:
    save_scores(tmp_path / "whole.parquet", many())
    save_pieces(tmp_path / "pieces.parquet", cut(many(), size))
    assert (tmp_path / "pieces.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    save_pieces(tmp_path / "whole.parquet", cut(many(), size))
    save_scores(tmp_path / "pieces.parquet", many())


@pytest.mark.parametrize("size", [1, 7, 100, 200])
def test_pieces_of_another_score_are_refused_as_the_whole_is(tmp_path: Path, size: int) -> None:
    save_scores(tmp_path / "s.parquet", many())
    before, made = (tmp_path / "s.parquet").read_bytes(), many()
    values, ids = made.values.copy(), made.sample_ids.copy()
    values[[3, 70, 99]] += 1
    ids[80:] += 1
    others = [
        ({"values": values}, "the values of 3 samples"),
        ({"values": values, "sample_ids": ids}, "the samples"),
        ({"values": values[:70].copy(), "sample_ids": made.sample_ids[:70].copy()}, "the samples"),
        ({"values": np.append(values, values), "sample_ids": np.append(ids, ids + 1000)}, "the samples"),
        ({"values": values, "epochs": 9}, r"epochs \(2 there, 9 here\)"),
    ]
    for change, message in others:
        with pytest.raises(ValueError, match=rf"holds another score, differing in {message}; give"):
            save_pieces(tmp_path / "s.parquet", cut(many(**change), size))
        with pytest.raises(ValueError, match=rf"holds another score, differing in {message}; give"):
            save_scores(tmp_path / "s.parquet", many(**change))
    assert (tmp_path / "s.parquet").read_bytes() == before


def test_pieces_that_break_off_leave_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Scores]:
        yield from itertools.islice(cut(many(), 10), 4)
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        save_pieces(tmp_path / "s.parquet", broken())
    with pytest.raises(ValueError, match=r"there are no samples to score for .*s\.parquet"):
        save_pieces(tmp_path / "s.parquet", iter([]))
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_a_score_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no score table at .*s\.parquet; make it with"):
        load_scores(tmp_path / "s.parquet")
    write_table(tmp_path / "s.parquet", pa.table({"sample_id": IDS, "value": IDS}))
    with pytest.raises(ValueError, match=r"s\.parquet is not a score table .*\['sample_id', 'value'\]"):
        load_scores(tmp_path / "s.parquet")
    (tmp_path / "s.parquet").write_text("text")
    with pytest.raises(ValueError, match=r"s\.parquet is not readable Parquet"):
        load_scores(tmp_path / "s.parquet")


@pytest.mark.parametrize("facts", [{"skip_epochs": [1]}, {"skip_epochs": "1"}, {"score": 1}])
def test_what_its_conventions_say_is_checked(tmp_path: Path, facts: dict[str, Any]) -> None:
    save_scores(tmp_path / "s.parquet", scores(conventions=facts))
    with pytest.raises(ValueError, match=r"s\.parquet.*conventions"):
        load_scores(tmp_path / "s.parquet")


def test_numbers_that_no_float_holds_are_no_amounts() -> None:
    assert amount(1e300)
    assert not amount(10**400)
    assert not amount(float("inf"))
    assert not amount(-1)


def test_a_subset_finds_its_scores(tmp_path: Path) -> None:
    save_scores(score_path(tmp_path, "a", "h_score"), scores())
    save_scores(score_path(tmp_path, "a", "el2n"), scores(name="el2n"))
    save_scores(tmp_path / "own.parquet", scores(name="own"))

    def name_of(**options: Any) -> str | None:
        found = scores_for(SubsetSpec("t", **options), root=tmp_path, study="a")
        return None if found is None else found.name

    assert name_of() is None, "everything needs no score"
    assert name_of(select=by_value) == "h_score"
    assert name_of(select=by_value, scores="el2n") == "el2n"
    assert name_of(select=by_value, scores=str(tmp_path / "own.parquet")) == "own"
    with pytest.raises(ValueError, match=r"subset 't' needs the score table .*aum\.parquet, .*hprune\.score study=a"):
        name_of(select=by_value, scores="aum")


def test_truths_are_not_numbers() -> None:
    with pytest.raises(ValueError, match=r"Scores\.values must be whole or real numbers, got bool; cast them"):
        replace(scores(), values=np.array([True, False, True]))
