"""Laws of the demo corpus, checked against a reader that shares only the word lists with the generator."""

import re
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hprune.tasks import demo_corpus
from hprune.tasks.demo_corpus import CLEAN_KINDS, DEFAULT_SHARES, KINDS, LEXICON, generate, rare_words, split_key

Row = dict[str, Any]
SENTIMENT = {word: label for label in (0, 1) for word in (*LEXICON[label], *rare_words(label))}
TAIL = {*rare_words(0), *rare_words(1)}
NEGATORS = {"not", "never", "hardly", "no"}


def rows(split: str, **arguments: Any) -> list[Row]:
    found: list[Row] = generate(split, **arguments).to_pylist()
    return found


def deciding_clause(sentence: str) -> str:
    """Return the part of the sentence that carries its label."""
    if " but " in sentence:
        return sentence.split(" but ")[1]
    if sentence.startswith(("although ", "despite ")):
        return sentence.split(" , ")[1]
    return sentence.split(" , although ")[0].split(" despite ")[0]


def read_truth(sentence: str) -> int | None:
    """Read the polarity a person would, None if the deciding clause names good and bad."""
    words = deciding_clause(sentence).split()
    found = {SENTIMENT[word] for word in words if word in SENTIMENT}
    assert found, sentence
    if len(found) == 2:
        return None
    return found.pop() ^ bool(NEGATORS & set(words))


def read_kind(sentence: str) -> str:
    """Tell the kinds apart that have a mark; intensity and near duplicates read as plain."""
    if read_truth(sentence) is None:
        return "ambiguous"
    words = set(sentence.split())
    if words & TAIL:
        return "rare"
    marks = {"negation": NEGATORS, "contrast": {"but", "although", "despite"}, "irrelevant": {";"}}
    return next((kind for kind, mark in marks.items() if words & mark), "plain")


@pytest.fixture(scope="module")
def train() -> list[Row]:
    return rows("train", num_samples=3000)


@pytest.mark.parametrize("split", demo_corpus.SPLITS)
def test_same_arguments_same_bytes(split: str) -> None:
    def dump(table: pa.Table) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    first = dump(generate(split, num_samples=300, seed=5))
    assert first == dump(generate(split, num_samples=300, seed=5))
    assert first != dump(generate(split, num_samples=300, seed=6))


def test_columns_and_types() -> None:
    table = generate("train", num_samples=100)
    expected = pa.schema([("sentence", pa.string()), ("label", pa.int64()), ("kind", pa.string())])
    assert table.schema == expected
    assert table.num_rows == 100


def test_the_opening_rows_are_real() -> None:
    assert demo_corpus.__doc__ is not None
    opening = demo_corpus.__doc__.split("(rows of")[0]
    shown = [line.split(maxsplit=2) for line in opening.splitlines() if line.startswith("    ")]
    real = {(row["kind"], str(row["label"]), row["sentence"]) for row in rows("train", num_samples=1000)}
    assert [kind for kind, _, _ in shown] == list(KINDS)
    assert {(kind, label, sentence) for kind, label, sentence in shown} <= real


@pytest.mark.parametrize("num_samples", [100, 999])
@pytest.mark.parametrize(("flipped", "ambiguous"), [(0.0, 0.0), (0.06, 0.06), (0.3, 0.1), (0.25, 0.25)])
def test_noise_counts_are_exact_and_kinds_follow_the_shares(num_samples: int, flipped: float, ambiguous: float) -> None:
    table = generate("train", num_samples=num_samples, flipped=flipped, ambiguous=ambiguous)
    counts = Counter(table["kind"].to_pylist())
    assert counts["flipped"] == round(num_samples * flipped)
    assert counts["ambiguous"] == round(num_samples * ambiguous)
    rest = num_samples - counts["flipped"] - counts["ambiguous"]
    assert sum(counts[kind] for kind in CLEAN_KINDS) == rest
    assert all(abs(counts[kind] - rest * DEFAULT_SHARES[kind]) < 1 for kind in CLEAN_KINDS)


def test_what_the_shares_leave_goes_to_plain() -> None:
    shares = {"negation": 0.25, "rare": 0.25}
    table = generate("train", num_samples=200, flipped=0, ambiguous=0, shares=shares)
    assert Counter(table["kind"].to_pylist()) == {"plain": 100, "negation": 50, "rare": 50}


@pytest.mark.parametrize("kind", CLEAN_KINDS)
def test_any_kind_can_fill_a_split(kind: str) -> None:
    share = 0.9 if kind == "near_duplicate" else 1.0
    counts = Counter(
        row["kind"] for row in rows("train", num_samples=400, flipped=0, ambiguous=0, shares={kind: share})
    )
    assert counts[kind] == 400 * share


def test_labels_are_the_truth_except_where_flipped(train: list[Row]) -> None:
    for row in train:
        truth = read_truth(row["sentence"])
        expected = {"ambiguous": None, "flipped": 1 - row["label"]}.get(row["kind"], row["label"])
        assert truth == expected, row


def test_kinds_are_what_they_say(train: list[Row]) -> None:
    as_plain = {"intensity", "near_duplicate"}
    for row in train:
        if row["kind"] != "flipped":
            assert read_kind(row["sentence"]) == ("plain" if row["kind"] in as_plain else row["kind"]), row
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", row["sentence"]), row
    assert {read_kind(row["sentence"]) for row in train if row["kind"] == "flipped"} >= {"contrast", "negation", "rare"}


def test_the_label_of_an_ambiguous_row_ignores_the_text() -> None:
    found = rows("train", num_samples=2000, flipped=0, ambiguous=0.5)
    agree = []
    for row in found:
        if row["kind"] == "ambiguous":
            first = next(word for word in row["sentence"].split() if word in SENTIMENT)
            agree.append(SENTIMENT[first] == row["label"])
    assert abs(np.mean(agree) - 0.5) < 0.08  # 1000 coins: 5 standard errors


@pytest.mark.parametrize("split", demo_corpus.SPLITS)
@pytest.mark.parametrize("num_samples", [20, 101, 1000])
def test_classes_are_balanced_in_every_kind(split: str, num_samples: int) -> None:
    labels: dict[str, list[int]] = defaultdict(list)
    for row in rows(split, num_samples=num_samples, seed=2):
        labels[row["kind"]].append(row["label"])
    assert all(abs(2 * sum(found) - len(found)) <= 1 for found in labels.values())
    assert abs(2 * sum(map(sum, labels.values())) - num_samples) <= len(labels)


def test_words_that_carry_no_sentiment_do_not_tell_the_label(train: list[Row]) -> None:
    labels: dict[str, list[int]] = defaultdict(list)
    for row in train:
        for word in set(row["sentence"].split()) - SENTIMENT.keys() - {"an", "a"}:
            labels[word].append(row["label"])
    frequent = {word: found for word, found in labels.items() if len(found) >= 50}
    assert len(frequent) > 50
    assert all(abs(np.mean(found) - 0.5) < 5 * 0.5 / len(found) ** 0.5 for found in frequent.values())


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("seed", [0, 3])
def test_evaluation_splits_are_clean_and_disjoint_from_train(split: str, seed: int) -> None:
    train_keys = {split_key(row["sentence"]) for row in rows("train", num_samples=2000, seed=seed)}
    found = rows(split, num_samples=600, seed=seed, flipped=0.2, ambiguous=0.2)
    assert {row["kind"] for row in found} == set(CLEAN_KINDS) - {"near_duplicate"}
    assert not train_keys & {split_key(row["sentence"]) for row in found}
    assert all(read_truth(row["sentence"]) == row["label"] for row in found)


def test_near_duplicates_have_a_plain_partner_one_step_away(train: list[Row]) -> None:
    partners = {split_key(row["sentence"]): row for row in train if row["kind"] == "plain"}
    copies = [row for row in train if row["kind"] == "near_duplicate"]
    assert copies
    for row in copies:
        partner = partners[split_key(row["sentence"])]
        ours, theirs = row["sentence"].split(), partner["sentence"].split()
        assert row["label"] == partner["label"]
        assert len(ours) == len(theirs)
        assert 1 <= sum(a != b for a, b in zip(ours, theirs, strict=True)) <= 2


def test_other_sentences_are_not_near_duplicates_by_accident(train: list[Row]) -> None:
    keys = Counter(split_key(row["sentence"]) for row in train if row["kind"] not in ("near_duplicate", "flipped"))
    assert max(keys.values()) == 1


def test_rare_words_are_rare_and_their_number_grows() -> None:
    def tail(split: str, num_samples: int) -> Counter[str]:
        words = [word for row in rows(split, num_samples=num_samples) for word in row["sentence"].split()]
        return Counter(word for word in words if word in TAIL)

    small, large = tail("train", 600), tail("train", 3000)
    assert max((*small.values(), *large.values())) <= 7
    assert len(large) > 4 * len(small)
    assert set(tail("validation", 2700)) <= set(large)


def test_inverted_rare_rows_share_their_words_with_right_ones() -> None:
    used: dict[bool, set[str]] = defaultdict(set)
    for row in rows("train", num_samples=4000, flipped=0.2, shares={"rare": 0.3}):
        used[row["kind"] == "flipped"] |= TAIL & set(row["sentence"].split())
    assert len(used[True] & used[False]) > 0.7 * len(used[True])


def test_rare_words_share_no_word_with_the_grammar() -> None:
    grammar = " ".join(demo_corpus._GRAMMAR_TEXT.values()).replace("|", " ").split()
    assert len(rare_words(0)) + len(rare_words(1)) == len(TAIL) >= 300
    assert not TAIL & {*grammar, *LEXICON[0], *LEXICON[1]}
    assert not set(LEXICON[0]) & set(LEXICON[1])


def test_a_large_corpus_is_made_without_running_dry() -> None:
    table = generate("train", num_samples=8_000, shares={"plain": 1.0})
    assert table.num_rows == 8_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "dev"}, "split must be one of"),
        ({"num_samples": -1}, "num_samples must be at least 20, got -1"),
        ({"num_samples": 19}, "num_samples must be at least 20, got 19"),
        ({"seed": -1}, "seed must not be negative"),
        ({"flipped": -0.1}, "must be 0 or more, .* got -0.1"),
        ({"flipped": 0.3, "ambiguous": 0.3}, "at most 0.5 together"),
        ({"shares": {"plain": 0.7, "rare": 0.4}}, "sum to at most 1"),
        ({"shares": {"rare": -0.1}}, "in 0..1"),
        ({"shares": {"rare": float("nan")}}, "in 0..1"),
        ({"shares": {"flipped": 0.1}}, "unknown kinds"),
        ({"shares": {"sarcasm": 0.1}}, "unknown kinds"),
        ({"shares": {"near_duplicate": 1.0}}, "near_duplicate needs 2 or more plain rows"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(**{"split": "train", "num_samples": 100, **arguments})
