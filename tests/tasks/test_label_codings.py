"""Codings of labels of the further sets, checked by what else is known of the same rows, where the data are at hand."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import SHARED

DATA = SHARED / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="needs the data of ../shared/data")


def rows(*files: str) -> list[dict[str, Any]]:
    return [row for file in files for row in pq.read_table(DATA / f"{file}.parquet").to_pylist()]


def bare(*texts: str) -> tuple[str, ...]:
    """Letters and digits only: the sets differ in how they are tokenised."""
    return tuple(re.sub(r"\W+", "", text.lower()) for text in texts)


def test_hans_is_coded_as_its_own_names_of_cases_say() -> None:
    for row in rows("hans/train"):  # le_, se_, ce_ are cases of entailment, ln_, sn_, cn_ are none
        assert row["label"] == {"e": 0, "n": 1}[row["subcase"][1]]


@pytest.mark.parametrize(
    ("task", "columns", "splits", "least"),
    [
        ("sst2", ["sentence"], ["validation"], 130),
        ("mnli", ["premise", "hypothesis"], ["validation_matched"], 50),
        ("qqp", ["question1", "question2"], ["train", "validation", "test"], 30),
        ("qnli", ["question", "sentence"], ["validation"], 70),
        ("rte", ["sentence1", "sentence2"], ["validation"], 40),
    ],
)
def test_an_attacked_text_has_the_label_of_what_it_was(
    task: str, columns: list[str], splits: list[str], least: int
) -> None:
    known = {bare(*(r[c] for c in columns)): r["label"] for r in rows(*(f"{task}/{split}" for split in splits))}
    found = 0
    for row in rows(f"adv_glue_{task}/validation"):
        was = bare(*(row.get(f"original_{column}") or row[column] for column in columns))
        found += was in known
        assert known.get(was, row["label"]) == row["label"]
    assert found >= least


def test_paws_has_the_share_of_paraphrases_of_its_paper() -> None:
    labels = [row["label"] for row in rows("paws_qqp/test")]
    assert round(np.mean(labels), 3) == 0.282
    same_words = [sorted(r["sentence1"].lower().split()) == sorted(r["sentence2"].lower().split())
                  for r in rows("paws_qqp/test")]  # fmt: skip
    swapped = np.array(labels)[same_words]
    assert swapped.mean() < 0.3  # the same words in another order seldom ask the same


def test_words_that_are_replaced_make_the_class() -> None:
    found = {category: [r["label"] for r in rows("breaking_nli/test") if r["category"] == category]
             for category in ("synonyms", "antonyms")}  # fmt: skip
    assert set(found["synonyms"]) == {0}
    assert set(found["antonyms"]) == {2}


def test_experts_turned_every_review() -> None:
    before, after = rows("imdb_contrast/test_original"), rows("imdb_contrast/test_contrast")
    assert all(a["label"] == 1 - b["label"] for a, b in zip(before, after, strict=True))


def test_harsh_words_are_negative() -> None:
    harsh = [r["label"] for r in rows("yelp_polarity/test") if re.search("worst|terrible|horrible", r["text"].lower())]
    assert np.mean(harsh) < 0.1


def test_counterfactual_originals_have_the_label_of_snli() -> None:
    known = {bare(r["premise"], r["hypothesis"]): r["label"]
             for r in rows("snli/train", "snli/validation", "snli/test")}  # fmt: skip
    for row in rows("cad_snli/original_train", "cad_snli/original_validation", "cad_snli/original_test"):
        assert known[bare(row["premise"], row["hypothesis"])] == row["label"]
