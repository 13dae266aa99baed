"""Questions with options: which rows can be used, what the model reads, how it is judged, in both units."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForMultipleChoice, AutoModelForSequenceClassification

from hprune.data.datamodule import Encoded
from hprune.science.units import row_of
from hprune.tasks.load import load_task
from hprune.tasks.multiple_choice import MultipleChoice, _asked
from hprune.tasks.spec import TaskData, TaskSpec
from hprune.training.answers import Answers, evaluation_of
from hprune.training.units import cut_into_parts
from tests.tiny import Style, batch_of, model_of, word_tokenizer

LETTERS = "ABCD"
KIND, PAIRS = MultipleChoice(), MultipleChoice(unit="option")


def rows_of(n: int = 6, options: int = 4, seed: int = 0) -> dict[str, list[Any]]:
    rng = np.random.default_rng(seed)
    words = ["cat", "dog", "sea", "sun", "hill", "road"]

    def text(low: int, high: int) -> str:
        return " ".join(rng.choice(words, int(rng.integers(low, high))))

    return {
        "article": [text(5, 30) for _ in range(n)],
        "question": [f"why {text(1, 4)} {'_ .' if i % 2 else '?'}" for i in range(n)],
        "options": [[f"{text(1, 4)} {k}" for k in range(options)] for _ in range(n)],
        "answer": [LETTERS[int(k)] for k in rng.integers(0, options, n)],
    }


def loaded(train: Any, validation: Any = None, kind: MultipleChoice = KIND, **options: Any) -> TaskData:
    given = {"train": train, "validation": rows_of(3, kind.num_options, 1) if validation is None else validation}
    tables = {name: rows if isinstance(rows, pa.Table) else pa.table(rows) for name, rows in given.items()}
    options = {"text": ("article", "question"), "label": "answer", **options}
    return load_task(TaskSpec("own", kind, generate=tables.__getitem__, splits={n: n for n in tables}, **options))


def encoded(kind: MultipleChoice, rows: Any, style: Style = "bert", max_length: int = 64, **options: Any) -> Encoded:
    data = loaded(rows, kind=kind)
    tokenizer = tokenizer_of(rows, style, **options)
    tokens = kind.encode(tokenizer, data.train, data.text, max_length, causal=style != "bert")
    return Encoded(tokens, data.train["label"].to_numpy(), data.train)


def tokenizer_of(rows: Any, style: Style = "bert", **options: Any) -> Any:
    texts = [*rows["article"], *rows["question"], *(option for own in rows["options"] for option in own)]
    return word_tokenizer(texts, style, **options)


# --- rows -----------------------------------------------------------------------------------------------------------


def test_a_row_comes_as_it_is() -> None:
    rows = rows_of()
    data = loaded(rows)
    assert data.train.column_names == ["sample_id", "article", "question", "options", "label"]
    for name in ("article", "question", "options"):
        assert data.train[name].to_pylist() == rows[name]
    assert data.train["label"].to_pylist() == [LETTERS.index(letter) for letter in rows["answer"]]
    assert data.label_names == ("A", "B", "C", "D")
    assert loaded(rows, kind=PAIRS).label_names == ("wrong", "right")
    renamed = {**{name: rows[name] for name in rows if name != "options"}, "choices": rows["options"]}
    assert loaded(renamed, renamed, MultipleChoice(options="choices")).data_hash == data.data_hash
    numbers = {**rows, "answer": [LETTERS.index(letter) for letter in rows["answer"]]}
    assert loaded(numbers).train["label"].equals(data.train["label"])


def test_rows_that_cannot_be_used_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    rows = rows_of(9)
    rows["answer"][1] = None
    rows["article"][3] = " \n"
    rows["question"][4] = None
    rows["options"][5] = ["only", "three", "options"]
    rows["options"][6] = None
    rows["options"][7] = ["a", None, "c", "d"]
    table = pa.concat_tables([pa.table(rows).slice(0, 4), pa.table(rows).slice(4)])  # in two chunks
    with caplog.at_level(logging.WARNING):
        data = loaded(table)
    assert data.train["sample_id"].to_pylist() == [0, 2, 8]
    assert data.train["options"].to_pylist() == [rows["options"][i] for i in (0, 2, 8)]
    assert (
        "own: dropped 6 of 9 rows of the train split (1 without a label, 2 without text, 3 without 4 options); "
        "ids keep their gaps"
    ) in caplog.text


@pytest.mark.parametrize("make", [pa.list_, pa.large_list, lambda kind: pa.list_(kind, 4)])
@pytest.mark.parametrize("text", [pa.string(), pa.large_string()])
def test_lists_of_every_type_are_read(make: Callable[[pa.DataType], pa.DataType], text: pa.DataType) -> None:
    rows = rows_of()
    table = pa.table({**rows, "options": pa.array(rows["options"], make(text))})
    assert loaded(table).data_hash == loaded(rows).data_hash


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ([2016, 7, 1, 40], ["2016", "7", "1", "40"]),
        ([0.5, 1.25, -2.5, 3.5], ["0.5", "1.25", "-2.5", "3.5"]),
        ([True, False, True, False], ["true", "false", "true", "false"]),
        ([date(2016, 7, day) for day in (1, 2, 3, 4)], ["2016-07-01", "2016-07-02", "2016-07-03", "2016-07-04"]),
    ],
)
def test_options_that_are_numbers_or_dates_are_texts(options: list[Any], texts: list[str]) -> None:
    assert loaded({**rows_of(), "options": [options] * 6}).train["options"][0].as_py() == texts


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"text": ("article",)}, r"task.text must name two columns, an article and a question, got \['article'\]"),
        ({"options": None}, {}, r"the train split has no column options; it has article, question, answer"),
        ({"answer": None}, {}, r"the train split has no column answer"),
        ({"options": ["a b c d"] * 6}, {}, r"column 'options' of the train split must hold lists of texts, it is stri"),
        (
            {"options": [[[1], [2], [3], [4]]] * 6},
            {},
            r"must hold lists of texts, it is list<.*set task.kind.options to a",
        ),
        ({"options": [["a", "b", "c"]] * 6}, {}, r"no question of the train split has 4 options, the first has 3; set"),
        ({}, {"label_names": list("ABCDE")}, r"task.label_names must name the 4 options of task.kind.num_options, g"),
        ({"answer": ["E"] * 6}, {}, r"the train split has labels \['E'\], known are \['A', 'B', 'C', 'D'\]"),
        ({"answer": [4] * 6}, {}, r"the train split has labels \[4\]"),
        ({"article": [[1]] * 6}, {}, r"column 'article' of the train split must hold text"),
    ],
)
def test_what_cannot_be_read_is_refused(change: dict[str, Any], options: dict[str, Any], message: str) -> None:
    rows = {name: values for name, values in {**rows_of(), **change}.items() if values is not None}
    with pytest.raises(ValueError, match=message):
        loaded(rows, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_options": 1}, r"task\.kind\.num_options must be at least 2, got 1"),
        ({"num_options": 4.0}, r"task\.kind\.num_options must be a whole number, got 4\.0"),
        ({"num_options": 27}, r"task\.kind\.num_options must be at most 26, as options have letters, got 27"),
        ({"unit": "window"}, r"task\.kind\.unit must be question or option, got 'window'"),
        ({"primary_metric": "f1"}, r"task\.kind\.primary_metric must be one of accuracy, macro_f1, mcc, got 'f1'"),
        ({"primary_metric": "option_accuracy"}, r"must be one of accuracy, macro_f1, mcc, got 'option_accuracy'"),
        ({"primary_metric": "mcc", "unit": "option"}, r"must be one of accuracy, option_accuracy, got 'mcc'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultipleChoice(**options)


# --- what the model reads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["bert", "opt", "bare"])
@pytest.mark.parametrize("kind", [KIND, PAIRS, MultipleChoice(num_options=3)])
def test_the_sequences_are_article_against_question_with_option(kind: MultipleChoice, style: Style) -> None:
    rows = rows_of(options=kind.num_options)
    data = encoded(kind, rows, style)
    tokens, single = data.tokens, tokenizer_of(rows, style)
    expected = []
    for article, question, options in zip(rows["article"], rows["question"], rows["options"], strict=True):
        for option in options:
            asked = f"why {question[4:-3]}{option} ." if question.endswith("_ .") else f"{question} {option}"
            expected.append(single(article, "\n" + asked if style == "bare" else asked)["input_ids"])
    found = [tokens.input_ids[a:b].tolist() for a, b in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)]
    assert found == expected
    assert tokens.first is not None
    assert tokens.first.tolist() == list(range(0, 6 * kind.num_options + 1, kind.num_options))
    right = tokens.targets["right"].reshape(6, kind.num_options)
    assert right.argmax(axis=1).tolist() == data.labels.tolist()
    assert right.sum(axis=1).tolist() == [1] * 6
    assert kind.part_labels(tokens).tolist() == right.ravel().tolist()


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("It is _ .", "It is red. ."),
        ("It is ____ now", "It is red. now"),
        ("It was called_.", "It was called red.."),
        ("_ and _ ?", "red. and red. ?"),
        ("What is file_name ?", "What is file_name ? red."),
        ("Which ?", "Which ? red."),
        ("a___b ?", "a___b ? red."),
    ],
)
def test_an_option_fills_the_blanks_of_its_question(question: str, asked: str) -> None:
    assert _asked(question, "red.") == asked
    assert _asked(question, r"\1\g<0>").count(r"\1\g<0>") >= 1  # an option is no pattern


def test_an_option_takes_the_place_of_a_blank_as_it_is() -> None:
    rows = rows_of()
    rows["question"][0], rows["options"][0] = "sea_road _ hill", ["sun", "sun _", "cat", "dog"]
    whole = tokenizer_of({**rows, "question": ["sea_road sun _ hill"]})
    data = KIND.encode(whole, loaded(rows).train, ("article", "question"), 64, causal=False)
    first, second = (data.input_ids[a:b].tolist() for a, b in zip(data.offsets[:2], data.offsets[1:3], strict=True))
    assert first == whole(rows["article"][0], "sea_road sun hill")["input_ids"]
    assert second == whole(rows["article"][0], "sea_road sun _ hill")["input_ids"]


def test_only_the_article_is_cut() -> None:
    rows = rows_of()
    rows["article"] = [" ".join(["sea"] * 50)] * 6
    data = encoded(KIND, rows, max_length=32)
    whole = encoded(KIND, rows, max_length=200)
    assert data.tokens.truncated == 24
    for j in range(24):
        cut, full = (t.input_ids[t.offsets[j] : t.offsets[j + 1]].tolist() for t in (data.tokens, whole.tokens))
        assert len(cut) == 32
        assert cut[cut.index(2) :] == full[full.index(2) :]


# --- the model's answer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["roberta", "bert"])
def test_logits_and_loss_are_those_of_the_models_own_head(architecture: str) -> None:
    rows = rows_of()
    tokenizer = tokenizer_of(rows, types=architecture == "bert")
    data = encoded(KIND, rows, types=architecture == "bert")
    assert KIND.head(architecture, LETTERS) == (AutoModelForMultipleChoice, ("right",))
    model = model_of(architecture, KIND, ("A", "B", "C", "D"), tokenizer)
    batch = batch_of(data, width=70)
    with torch.no_grad():
        outputs = KIND.outputs(model, batch)
        assert outputs.shape == (6, 4)
        losses = []
        for i in range(6):
            for k in range(4):  # one option at a time, without padding: the head scores it alone
                a, b = data.tokens.offsets[4 * i + k : 4 * i + k + 2]
                inputs = {"input_ids": torch.tensor(data.tokens.input_ids[a:b].copy()).long()[None, None]}
                if data.tokens.token_type_ids is not None:
                    inputs["token_type_ids"] = torch.tensor(data.tokens.token_type_ids[a:b].copy()).long()[None, None]
                torch.testing.assert_close(model(**inputs).logits[0, 0], outputs[i, k], atol=1e-5, rtol=1e-4)
            own = batch_of(data, [i])
            grid = {n: own[n][None] for n in ("input_ids", "attention_mask", "token_type_ids") if n in own}
            losses.append(model(**grid, labels=own["labels"]).loss)
    torch.testing.assert_close(KIND.loss(outputs, batch), torch.stack(losses).mean(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("style", ["opt", "bare"])
def test_a_decoder_answers_from_the_last_real_token_of_each_option(style: Style) -> None:
    rows = rows_of()
    tokenizer, data = tokenizer_of(rows, style), encoded(KIND, rows, style)
    assert KIND.head("opt", LETTERS) == (AutoModelForSequenceClassification, ("right",))
    model = model_of("opt", KIND, ("A", "B", "C", "D"), tokenizer)
    assert model.config.num_labels == 1
    with torch.no_grad():
        outputs = KIND.outputs(model, batch_of(data))
        torch.testing.assert_close(KIND.outputs(model, batch_of(data, width=75)), outputs, atol=1e-5, rtol=1e-4)
        for j in range(24):
            ids = torch.tensor(data.tokens.input_ids[data.tokens.offsets[j] : data.tokens.offsets[j + 1]].copy()).long()
            last = model.score(model.model(input_ids=ids[None]).last_hidden_state[0, -1])
            torch.testing.assert_close(last[0], outputs[j // 4, j % 4], atol=1e-5, rtol=1e-4)
        assert (outputs[:, 1:] - outputs[:, :1]).abs().min() > 1e-7, "options differ"


def test_pairs_have_two_outputs_and_torchs_loss() -> None:
    rows = rows_of()
    for architecture, style in (("roberta", "bert"), ("opt", "opt")):
        tokenizer, data = tokenizer_of(rows, style), encoded(PAIRS, rows, style)  # type: ignore[arg-type]
        assert PAIRS.head(architecture, ("wrong", "right")) == (AutoModelForSequenceClassification, ("wrong", "right"))
        model = model_of(architecture, PAIRS, ("wrong", "right"), tokenizer)
        batch = batch_of(data)
        with torch.no_grad():
            outputs = PAIRS.outputs(model, batch)
            inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
            own = model(**inputs, labels=batch["right"])
        assert outputs.shape == (24, 2)
        torch.testing.assert_close(outputs, own.logits)
        torch.testing.assert_close(PAIRS.loss(outputs, batch), own.loss)


def test_a_question_is_right_iff_its_right_option_is_largest() -> None:
    logits = torch.tensor([[1.0, 3, 2, 0], [1, 3, 2, 0], [2, 2, 0, 0], [2, 2, 0, 0]])
    batch = {"labels": torch.tensor([1, 2, 0, 1])}
    judged = KIND.judge(logits, batch)
    assert judged.correct.tolist() == [True, False, True, False]
    assert judged.margin.tolist() == [1, -1, 0, 0]
    torch.testing.assert_close(judged.true_prob.log().neg().mean(), KIND.loss(logits, batch))


def test_a_pair_is_judged_by_itself() -> None:
    logits = torch.tensor([[0.0, 2], [0, 2], [3, 1], [3, 1]])
    batch = {"right": torch.tensor([1, 0, 0, 1]), "labels": torch.tensor([0])}
    judged = PAIRS.judge(logits, batch)
    assert judged.correct.tolist() == [True, False, True, False]
    assert judged.margin.tolist() == [2, -2, 2, -2]
    torch.testing.assert_close(PAIRS.loss(logits, batch), F.cross_entropy(logits, batch["right"]))


def evaluated(kind: MultipleChoice, data: Encoded, outputs: torch.Tensor) -> Any:
    """Answer in batches of two questions, in another order, as a loader would."""
    answers = []
    for rows in ([4, 1], [0, 5], [2, 3]):
        batch = batch_of(data, rows)
        own = outputs[batch["sequence"]] if kind.parts else outputs[rows]
        values = kind.answer(own, batch)
        answers.append(Answers(values, at=batch["sequence"], loss=kind.loss(own, batch)))
    return evaluation_of(kind, answers, data, name="validation")


@pytest.mark.parametrize("seed", range(4))
def test_accuracy_is_that_of_the_questions(seed: int) -> None:
    data, rng = encoded(KIND, rows_of(seed=seed)), np.random.default_rng(seed)
    outputs = torch.tensor(rng.normal(size=(6, 4))).float()
    found = evaluated(KIND, data, outputs)
    pred = outputs.argmax(dim=1).numpy()
    assert found.metrics["accuracy"] == pytest.approx((pred == data.labels).mean())
    assert found.metrics["loss"] == pytest.approx(
        float(F.cross_entropy(outputs, torch.tensor(data.labels.copy()))), rel=1e-5
    )
    assert set(found.metrics) == {"accuracy", "macro_f1", "mcc", "ece", "loss"}
    assert list(found.columns) == ["label", "pred", "prob_0", "prob_1", "prob_2", "prob_3"]
    assert found.columns["pred"].tolist() == pred.tolist()
    assert found.columns["label"].tolist() == data.labels.tolist()
    np.testing.assert_allclose(found.columns["prob_2"], outputs.softmax(dim=1)[:, 2], rtol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_evaluated_by_question_too(seed: int) -> None:
    data, rng = encoded(PAIRS, rows_of(seed=seed)), np.random.default_rng(seed)
    outputs = torch.tensor(rng.normal(size=(24, 2))).float()
    found = evaluated(PAIRS, data, outputs)
    says_right = (outputs[:, 1] - outputs[:, 0]).numpy().reshape(6, 4)
    pred = says_right.argmax(axis=1)
    right = np.eye(4, dtype=bool)[data.labels]
    assert set(found.metrics) == {"accuracy", "option_accuracy", "loss"}
    assert found.metrics["accuracy"] == pytest.approx((pred == data.labels).mean())
    assert found.metrics["option_accuracy"] == pytest.approx(((says_right > 0) == right).mean())
    assert found.columns["pred"].tolist() == pred.tolist()
    assert found.columns["label"].size == 6


def test_always_wrong_is_three_of_four_pairs_but_no_better_than_chance_by_question() -> None:
    data = encoded(PAIRS, rows_of())
    for wrong in (1.0, 0.0):  # of equal logits the first counts, which is that of wrong
        found = evaluated(PAIRS, data, torch.tensor([[wrong, 0.0]]).expand(24, 2))
        assert found.metrics["option_accuracy"] == 0.75
        assert found.metrics["accuracy"] == pytest.approx((data.labels == 0).mean())


# --- options as samples ---------------------------------------------------------------------------------------------


def test_options_as_samples_map_back_to_their_rows(  # type: ignore[no-untyped-def]
    compose_run, tmp_path: Path
) -> None:
    rows = rows_of(7)
    rows["answer"][2] = None
    data = loaded(rows, kind=PAIRS)
    spec = compose_run()
    spec = replace(spec, task=TaskSpec("own", PAIRS, text=("article", "question"), label="answer"))
    parts = cut_into_parts(spec, data, root=tmp_path)
    ids = parts.train["sample_id"].to_numpy()
    raw = [0, 1, 3, 4, 5, 6]
    assert ids.tolist() == [row * 2**16 + part for row in raw for part in range(4)]
    assert row_of(ids).tolist() == parts.train["row"].to_pylist() == [row for row in raw for _ in range(4)]
    assert parts.train["part"].to_pylist() == list(range(4)) * 6
    assert parts.train["article"].to_pylist() == [rows["article"][row] for row in raw for _ in range(4)]
    assert "start" not in parts.train.column_names
    right = [int(LETTERS.index(rows["answer"][row]) == part) for row in raw for part in range(4)]
    assert parts.train["label"].to_pylist() == right
    assert parts.data_hash != data.data_hash
    assert parts.uncut == (data.train, data.data_hash)
    assert parts.evaluation == data.evaluation, "evaluation stays by question"
