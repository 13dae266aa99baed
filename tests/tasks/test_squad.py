"""Exact match and F1 are those of the official evaluation script of SQuAD 2.0."""

from __future__ import annotations

import collections
import re
import string
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hprune.tasks.squad import exact_match, f1, normalised, squad_metrics
from tests.conftest import SHARED

REAL = SHARED / "data" / "squad_v2" / "validation.parquet"

# --- evaluate-v2.0.py, function by function -----------------------------------------------------------------------


def normalize_answer(s: str) -> str:
    def remove_articles(text: str) -> str:
        regex = re.compile(r"\b(a|an|the)\b", re.UNICODE)
        return re.sub(regex, " ", text)

    def white_space_fix(text: str) -> str:
        return " ".join(text.split())

    def remove_punc(text: str) -> str:
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    def lower(text: str) -> str:
        return text.lower()

    return white_space_fix(remove_articles(remove_punc(lower(s))))


def get_tokens(s: str) -> list[str]:
    if not s:
        return []
    return normalize_answer(s).split()


def compute_exact(a_gold: str, a_pred: str) -> int:
    return int(normalize_answer(a_gold) == normalize_answer(a_pred))


def compute_f1(a_gold: str, a_pred: str) -> float:
    gold_toks = get_tokens(a_gold)
    pred_toks = get_tokens(a_pred)
    common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        # If either is no-answer, then F1 is 1 if they agree, 0 otherwise
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(pred_toks)
    recall = 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


def get_raw_scores(dataset: list[Any], preds: dict[str, str]) -> tuple[dict[str, float], dict[str, float]]:
    exact_scores: dict[str, float] = {}
    f1_scores: dict[str, float] = {}
    for article in dataset:
        for p in article["paragraphs"]:
            for qa in p["qas"]:
                qid = qa["id"]
                gold_answers = [a["text"] for a in qa["answers"] if normalize_answer(a["text"])]
                if not gold_answers:
                    # For unanswerable questions, only correct answer is empty string
                    gold_answers = [""]
                a_pred = preds[qid]
                # Take max over all gold answers
                exact_scores[qid] = max(compute_exact(a, a_pred) for a in gold_answers)
                f1_scores[qid] = max(compute_f1(a, a_pred) for a in gold_answers)
    return exact_scores, f1_scores


def make_eval_dict(
    exact_scores: dict[str, float], f1_scores: dict[str, float], qid_list: list[str] | None = None
) -> dict[str, float]:
    if not qid_list:
        total = len(exact_scores)
        return {
            "exact": 100.0 * sum(exact_scores.values()) / total,
            "f1": 100.0 * sum(f1_scores.values()) / total,
            "total": total,
        }
    total = len(qid_list)
    return {
        "exact": 100.0 * sum(exact_scores[k] for k in qid_list) / total,
        "f1": 100.0 * sum(f1_scores[k] for k in qid_list) / total,
        "total": total,
    }


def official(answers: list[str], gold: list[list[str]]) -> tuple[dict[str, float], list[float], list[float]]:
    """The main function of the script: its numbers under our names, in 0..1, and those of each question."""
    qas = [{"id": str(i), "answers": [{"text": text} for text in texts]} for i, texts in enumerate(gold)]
    exact, overlap = get_raw_scores([{"paragraphs": [{"qas": qas}]}], {str(i): a for i, a in enumerate(answers)})
    qid_to_has_ans = {qa["id"]: bool(qa["answers"]) for qa in qas}
    has_ans_qids = [k for k, v in qid_to_has_ans.items() if v]
    no_ans_qids = [k for k, v in qid_to_has_ans.items() if not v]
    parts = {"": make_eval_dict(exact, overlap)}
    if has_ans_qids:
        parts["has_answer_"] = make_eval_dict(exact, overlap, qid_list=has_ans_qids)
    if no_ans_qids:
        parts["no_answer_"] = make_eval_dict(exact, overlap, qid_list=no_ans_qids)
    found = {}
    for prefix, values in parts.items():
        found |= {f"{prefix}exact_match": values["exact"] / 100, f"{prefix}f1": values["f1"] / 100}
    return found, list(exact.values()), list(overlap.values())


# ------------------------------------------------------------------------------------------------------------------


def check(answers: list[str], gold: list[list[str]]) -> None:
    expected, exact, overlap = official(answers, gold)
    assert [exact_match(a, g) for a, g in zip(answers, gold, strict=True)] == exact
    assert [f1(a, g) for a, g in zip(answers, gold, strict=True)] == pytest.approx(overlap, abs=1e-9)
    if not (any(gold) and not all(gold)):  # the one group that there is says what the whole says
        expected = {name: expected[name] for name in ("exact_match", "f1")}
    assert squad_metrics(answers, gold) == pytest.approx(expected, abs=1e-9)


ODD = [
    "", " ", "the", "A", "an the a", "The.", "a-b", "...", "!?", "the theatre", "The  Denver\tBroncos!", "Broncos",
    "U.S.A.", "u s a", "¿qué?", "Beyoncé", "beyonce\u0301", "ÎLE", "İstanbul", "straße STRASSE", "“the quote”",
    "the—end", "19th\u00a0century", "\u200bthe\u200b", "東京 the 都", "a'a", "an_a", "the the the cat",
    "cat cat dog", "dog cat cat", "1,000", "1000", "$5", "5 £", "état-major", "a\nthe\nb", "Ⅻ", "ﬁn",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD)
def test_normalising_is_the_official_one(text: str) -> None:
    assert normalised(text) == normalize_answer(text)


def test_every_odd_answer_against_every_odd_gold() -> None:
    check([a for a in ODD for _ in ODD], [[g] for _ in ODD for g in ODD])


words = st.one_of(
    st.sampled_from([*ODD, "cat", "dog", "the", "a", "of"]),
    st.text(max_size=8),
    st.text(string.punctuation, max_size=3),
)
phrases = st.lists(words, max_size=5).map(" ".join)


@settings(max_examples=150)
@given(st.lists(st.tuples(phrases, st.lists(phrases, max_size=5)), min_size=1, max_size=8))
def test_random_answers(rows: list[tuple[str, list[str]]]) -> None:
    check([answer for answer, _ in rows], [gold for _, gold in rows])


@pytest.mark.parametrize("seed", range(5))
def test_many_golds_and_repeated_words(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pool = ["the", "a", "an", "cat", "Cat,", "dog", "dog.", "of", "river"]

    def phrase() -> str:
        return " ".join(rng.choice(pool, int(rng.integers(0, 9))))

    gold = [[phrase() for _ in range(rng.integers(0, 30))] for _ in range(60)]
    check([phrase() for _ in gold], gold)
    check([g[-1] if g else "" for g in gold], gold)


def test_gold_that_normalises_to_nothing_is_no_answer_but_counts_as_answered() -> None:
    gold = [["the"], ["the", "!"], [], ["the", "cat"]]
    check(["", "The.", "", "cat"], gold)
    check(["cat", "cat", "cat", ""], gold)
    assert exact_match("", ["the"]) == 1
    assert exact_match("", ["the", "cat"]) == 0
    assert squad_metrics([""] * 4, gold)["has_answer_exact_match"] == pytest.approx(2 / 3)


@pytest.mark.skipif(not REAL.exists(), reason="needs ../shared/data/squad_v2")
def test_real_answers() -> None:
    table = pq.read_table(REAL, columns=["context", "answers"])
    gold = [answers["text"] for answers in table["answers"].to_pylist()][:4000]
    contexts, rng = table["context"].to_pylist(), np.random.default_rng(0)
    answers = []
    for context, own in zip(contexts, gold, strict=False):
        start = int(rng.integers(0, len(context)))
        wrong = context[start : start + int(rng.integers(1, 40))]
        right = own[int(rng.integers(len(own)))] if own else ""
        answers.append([wrong, "", right, f"The {right}."][int(rng.integers(4))])
    check(answers, gold)
