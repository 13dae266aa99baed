"""Questions with spans as answers: which rows can be used, windows and their spans, judgement, the best answer."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForQuestionAnswering

from hprune.data.datamodule import Encoded
from hprune.science.units import row_of
from hprune.tasks.extractive_qa import ExtractiveQA
from hprune.tasks.joint import judge_jointly
from hprune.tasks.load import load_task
from hprune.tasks.spec import Evaluation, TaskData, TaskSpec
from hprune.tasks.squad import squad_metrics
from hprune.training.answers import Answers, evaluation_of
from hprune.training.spec import ModelSpec
from hprune.training.tokenizer import load_tokenizer
from hprune.training.units import cut_into_parts
from tests.tiny import MODELS, Style, batch_of, model_of, word_tokenizer

ANSWERS = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])
LOWEST = torch.finfo(torch.float32).min
KIND = ExtractiveQA(stride=4)
CONTEXT = "w0 w1 w2 w3 w4 w5 w6 w7"


def place(context: str, *answers: str) -> dict[str, list[Any]]:
    return {"text": list(answers), "answer_start": [context.index(answer) for answer in answers]}


def rows_of(n: int = 6, seed: int = 0, none_every: int = 3, longest: int = 40) -> dict[str, Any]:
    """Contexts of different words, one in `none_every` without an answer."""
    rng = np.random.default_rng(seed)
    contexts = [" ".join(f"w{k:02}" for k in rng.permutation(90)[: int(rng.integers(3, longest))]) for _ in range(n)]
    answers = []
    for i, context in enumerate(contexts):
        words = context.split()
        start = int(rng.integers(0, len(words)))
        spans = [" ".join(words[start : start + size]) for size in (int(rng.integers(1, 4)), 1)]
        answers.append(place(context) if i % none_every == none_every - 1 else place(context, *spans))
    return {"question": [f"which w{i} ?" for i in range(n)], "context": contexts, "answers": answers}


def table_of(rows: dict[str, Any]) -> pa.Table:
    return pa.table({**rows, "answers": pa.array(rows["answers"], ANSWERS)})


def loaded(train: Any, validation: Any = None, kind: ExtractiveQA = KIND, **options: Any) -> TaskData:
    given = {"train": train, "validation": rows_of(4, 1) if validation is None else validation}
    tables = {name: rows if isinstance(rows, pa.Table) else table_of(rows) for name, rows in given.items()}
    options = {"text": ("question", "context"), "label": "answers", **options}
    return load_task(TaskSpec("own", kind, generate=tables.__getitem__, splits={n: n for n in tables}, **options))


def tokenizer_of(style: Style = "bert") -> Any:
    return word_tokenizer(["which ?", " ".join(f"w{k:02}" for k in range(90)), CONTEXT], style)


def encoded(kind: ExtractiveQA, rows: Any, style: Style = "bert", max_length: int = 24, **options: Any) -> Encoded:
    data = loaded(rows, rows, kind=kind)
    tokenizer = options.pop("tokenizer", None) or tokenizer_of(style)
    table = data.evaluation["validation"]
    tokens = kind.encode(tokenizer, table, data.text, max_length, causal=style != "bert")
    return Encoded(tokens, table["label"].to_numpy(), table, data.text)


# --- rows -----------------------------------------------------------------------------------------------------------


def test_a_row_comes_as_it_is() -> None:
    rows = rows_of()
    data = loaded(rows)
    assert data.train.column_names == ["sample_id", "question", "context", "answers", "answer_start", "label"]
    assert data.train["context"].to_pylist() == rows["context"]
    assert data.train["answers"].to_pylist() == [answers["text"] for answers in rows["answers"]]
    assert data.train["answer_start"].to_pylist() == [answers["answer_start"] for answers in rows["answers"]]
    assert data.train["label"].to_pylist() == [1, 1, 0, 1, 1, 0]
    assert data.label_names == ("unanswerable", "answerable")


def faulty() -> dict[str, Any]:
    rows = rows_of(10, none_every=99)
    rows["answers"][1] = None
    rows["question"][2] = " "
    rows["context"][3] = None
    rows["answers"][4] = {"text": rows["answers"][4]["text"], "answer_start": [10_000, 0]}
    rows["answers"][5] = {"text": ["w"], "answer_start": [-1]}
    rows["answers"][6] = {"text": ["w0"], "answer_start": []}
    rows["answers"][7] = place(rows["context"][7])
    return rows


@pytest.mark.parametrize("no_answer", ["auto", "never"])
def test_rows_that_cannot_be_used_are_dropped_and_counted(caplog: pytest.LogCaptureFixture, no_answer: Any) -> None:
    with caplog.at_level(logging.WARNING):
        data = loaded(faulty(), kind=ExtractiveQA(no_answer=no_answer), validation=rows_of(4, 1, none_every=99))
    never = no_answer == "never"
    assert data.train["sample_id"].to_pylist() == ([0, 8, 9] if never else [0, 7, 8, 9])
    counts = "1 without a label, 2 without text, " + ("1 without an answer, " if never else "")
    assert (
        f"own: dropped {7 if never else 6} of 10 rows of the train split ({counts}"
        "3 with an answer that is not at its place in the context); ids keep their gaps"
    ) in caplog.text


def test_only_the_train_split_needs_answers_at_their_places() -> None:
    data = loaded(rows_of(), faulty())
    assert data.evaluation["validation"]["sample_id"].to_pylist() == [0, 4, 5, 6, 7, 8, 9]


def test_an_evaluation_set_without_places_is_evaluated_all_the_same() -> None:
    rows = rows_of(6, none_every=99)
    rows["answers"][0] = {"text": rows["answers"][0]["text"], "answer_start": None}
    rows["answers"][1] = {"text": rows["answers"][1]["text"], "answer_start": [None, None]}
    rows["answers"][2] = {"text": rows["answers"][2]["text"], "answer_start": []}
    rows["answers"][3] = {"text": rows["answers"][3]["text"], "answer_start": [-5, -5]}
    table = loaded(rows_of(), rows).evaluation["validation"]
    assert table.num_rows == 6
    assert table["answers"].to_pylist() == [answers["text"] for answers in rows["answers"]]
    tokens = KIND.encode(tokenizer_of(), table, ("question", "context"), 64, causal=False)
    assert (tokens.targets["span"][:4] == 0).all()
    assert (tokens.targets["span"][4:] > 0).all()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            {},
            {"text": ("context",)},
            r"task\.text must name two columns, a question and its context, got \['context'\]",
        ),
        ({"answers": None}, {}, r"the train split has no column answers; it has question, context"),
        (
            {"answers": ["w1"] * 6},
            {},
            r"column 'answers' of the train split must hold answers as SQuAD has them, \{tex",
        ),
        (
            {"answers": [["w1"]] * 6},
            {},
            r"it is list<.*set task\.label to another column, or use Parquet or JSON lines",
        ),
        ({"answers": [{"text": ["w1"]}] * 6}, {}, r"must hold answers as SQuAD has them.*it is struct<text"),
        ({"answers": [{"text": [1], "answer_start": ["x"]}] * 6}, {}, r"must be texts and whole numbers, they are str"),
        ({"context": [[1]] * 6}, {}, r"column 'context' of the train split must hold text"),
    ],
)
def test_what_cannot_be_read_is_refused(change: dict[str, Any], options: dict[str, Any], message: str) -> None:
    whole = table_of(rows_of())
    columns = dict(zip(whole.column_names, whole.columns, strict=True))
    given = pa.table({name: values for name, values in {**columns, **change}.items() if values is not None})
    with pytest.raises(ValueError, match=message):
        loaded(given, **options)


def test_an_evaluation_set_in_which_nothing_has_an_answer_is_read() -> None:
    rows = rows_of(3, none_every=1)
    table = pa.table(rows)  # as JSON lines have it: lists of nothing
    assert table["answers"].type.field("text").type == pa.list_(pa.null())
    read = loaded(rows_of(), table).evaluation["validation"]
    assert read["answers"].to_pylist() == [[], [], []]
    assert read["label"].to_pylist() == [0, 0, 0]


def test_no_answerable_row_is_left() -> None:
    rows = rows_of(4, none_every=1)
    with pytest.raises(ValueError, match="no row of the train split can be used"):
        loaded(rows, kind=ExtractiveQA(no_answer="never"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": -1}, r"task\.kind\.stride must be at least 0, got -1"),
        ({"stride": 1.5}, r"task\.kind\.stride must be a whole number, got 1\.5"),
        ({"n_best": 0}, r"task\.kind\.n_best must be at least 1, got 0"),
        ({"max_answer_length": 0}, r"task\.kind\.max_answer_length must be at least 1, got 0"),
        ({"null_threshold": "x"}, r"task\.kind\.null_threshold must be a finite number, got 'x'"),
        ({"null_threshold": float("inf")}, r"task\.kind\.null_threshold must be a finite number, got inf"),
        ({"null_threshold": -float("inf")}, r"task\.kind\.null_threshold must be a finite number, got -inf"),
        ({"null_threshold": float("nan")}, r"task\.kind\.null_threshold must be a finite number, got nan"),
        ({"unit": "option"}, r"task\.kind\.unit must be question or window, got 'option'"),
        ({"no_answer": "middle"}, r"task\.kind\.no_answer must be auto, first, last or never, got 'middle'"),
        ({"primary_metric": "accuracy"}, r"task\.kind\.primary_metric must be one of exact_match, f1, got 'accuracy'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExtractiveQA(**options)


# --- windows and spans ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("no_answer", ["auto", "first", "last", "never"])
@pytest.mark.parametrize("style", ["bert", "opt", "bare"])
def test_each_window_is_to_find_the_answer_or_its_null_position(style: Style, no_answer: Any) -> None:
    rows = rows_of(12, none_every=99 if no_answer == "never" else 3)
    kind = ExtractiveQA(stride=4, no_answer=no_answer)
    data = encoded(kind, rows, style)
    tokens, span, null = data.tokens, data.tokens.targets["span"], data.tokens.targets["null"]
    assert tokens.first is not None
    assert tokens.chars is not None
    assert tokens.lengths.size > 12, "some contexts need several windows"
    last = no_answer == "last" or (style != "bert" and no_answer in ("auto", "never"))
    assert null.tolist() == (tokens.lengths - 1 if last else 0 * tokens.lengths).tolist()
    ends = tokens.input_ids[tokens.offsets[1:] - 1]
    assert (ends == 2).tolist() == [last or style == "bert"] * ends.size
    holds = 0
    for i, (context, answers) in enumerate(zip(rows["context"], rows["answers"], strict=True)):
        for j in range(tokens.first[i], tokens.first[i + 1]):
            chars = tokens.chars[tokens.offsets[j] : tokens.offsets[j + 1]]
            shown = chars[chars[:, 0] >= 0]
            start = answers["answer_start"][0] if answers["text"] else -1
            stop = start + len(answers["text"][0]) if answers["text"] else -1
            if start >= shown[0, 0] and stop <= shown[-1, 1] and start >= 0:
                a, b = span[j]
                assert context[chars[a, 0] : chars[b, 1]] == answers["text"][0]
                assert kind.part_labels(tokens)[j] == 1
                holds += 1
            else:
                assert span[j].tolist() == [null[j], null[j]]
                assert kind.part_labels(tokens)[j] == 0
    assert holds >= 8


@pytest.mark.parametrize("architecture", ["roberta", "opt"])
def test_spans_of_byte_level_tokens_are_the_answers(architecture: str) -> None:
    context = "Élan 東京 🙂 and the naïve café of Zürich (über 9,5 km) : 大 !"
    answers = ["Élan", "東京", "🙂", "naïve café", "Zürich", "über 9,5 km", "大", "!", "京", context]
    rows = {
        "question": ["où ?"] * len(answers),
        "context": [context] * len(answers),
        "answers": [place(context, answer) for answer in answers],
    }
    tokenizer = load_tokenizer(
        ModelSpec("tiny", config=MODELS[architecture], vocab_size=280), lambda: ["the naïve café of Zürich"]
    )
    data = encoded(KIND, rows, "bert", max_length=160, tokenizer=tokenizer)
    chars = data.tokens.chars
    assert chars is not None
    for j, answer in enumerate(answers):
        own = chars[data.tokens.offsets[j] : data.tokens.offsets[j + 1]]
        a, b = data.tokens.targets["span"][j]
        assert a <= b
        assert context[own[a, 0] : own[b, 1]].strip() == answer
        start = context.index(answer)
        touching = [k for k, (x, y) in enumerate(own.tolist()) if 0 <= x < start + len(answer) and y > start]
        assert [a, b] == [touching[0], touching[-1]], "with every token that a character has"


def test_answers_that_no_window_holds_are_counted() -> None:
    rows = rows_of(3, none_every=99)
    rows["context"][1] = context = " ".join(f"w{k:02}" for k in range(50))
    rows["answers"][1] = place(context, " ".join(f"w{k:02}" for k in range(2, 40)))
    assert encoded(KIND, rows, max_length=24).tokens.lost == 1
    assert encoded(KIND, rows_of(3, none_every=99), max_length=24).tokens.lost == 0


# --- the model's answer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("architecture", "style"), [("roberta", "bert"), ("opt", "opt"), ("opt", "bare")])
def test_the_loss_is_that_of_the_models_own_head(architecture: str, style: Style) -> None:
    data = encoded(KIND, rows_of(), style)
    tokens = data.tokens
    assert KIND.head(architecture, ()) == (AutoModelForQuestionAnswering, ("start", "end"))
    model = model_of(architecture, KIND, ("unanswerable", "answerable"), tokenizer_of(style))
    batch = batch_of(data, width=50)
    with torch.no_grad():
        outputs = KIND.outputs(model, batch)
        losses = []
        for j in range(tokens.lengths.size):  # one window at a time, without padding
            ids = torch.tensor(tokens.input_ids[tokens.offsets[j] : tokens.offsets[j + 1]].copy()).long()[None]
            start, end = torch.tensor(tokens.targets["span"][j])[:, None]
            own = model(input_ids=ids, start_positions=start, end_positions=end)
            losses.append(own.loss)
            both = torch.stack([own.start_logits[0], own.end_logits[0]], dim=1)
            torch.testing.assert_close(outputs[j, : ids.shape[1]], both, atol=1e-5, rtol=1e-4)
            assert (outputs[j, ids.shape[1] :] == LOWEST).all()
    torch.testing.assert_close(KIND.loss(outputs, batch), torch.stack(losses).mean(), atol=1e-5, rtol=1e-4)


def test_a_decoder_knows_nothing_at_its_first_token() -> None:
    rows = rows_of(5)
    first = ExtractiveQA(stride=4, no_answer="first")
    logits = {}
    for kind in (first, KIND):
        data = encoded(kind, rows, "opt")
        model = model_of("opt", kind, ("unanswerable", "answerable"), tokenizer_of("opt"))
        with torch.no_grad():
            batch = batch_of(data)
            logits[kind.no_answer] = KIND.outputs(model, batch)[torch.arange(len(batch["null"])), batch["null"]]
    torch.testing.assert_close(logits["first"], logits["first"][:1].expand_as(logits["first"]), atol=1e-6, rtol=1e-6)
    assert (logits["auto"][1:] - logits["auto"][:1]).abs().amax(dim=1).min() > 1e-5


def test_a_question_is_judged_over_its_windows_and_a_window_by_itself() -> None:
    data = encoded(KIND, rows_of(8))
    assert data.tokens.first is not None
    batch = batch_of(data, [5, 0, 3, 1])
    outputs = torch.randn((*batch["input_ids"].shape, 2), generator=torch.Generator().manual_seed(0)) * 3
    outputs = outputs.masked_fill(batch["attention_mask"][..., None] == 0, LOWEST)
    by_question = KIND.judge(outputs, batch)
    expected = judge_jointly(outputs, batch["span"], batch["sample"], 4)
    for name in ("correct", "true_prob", "margin", "el2n"):
        assert torch.equal(getattr(by_question, name), getattr(expected, name)), name
    windows = Encoded(data.tokens.each_sequence(), ExtractiveQA().part_labels(data.tokens))
    sequences = batch["sequence"].tolist()
    alone = ExtractiveQA(unit="window").judge(outputs, batch_of(windows, sequences))
    assert alone.true_prob.numel() == len(sequences)
    for k in range(4):
        own = batch["sample"] == k
        torch.testing.assert_close(by_question.true_prob[k], alone.true_prob[own].prod(), atol=1e-6, rtol=1e-4)
        assert by_question.correct[k] == alone.correct[own].all()


def test_a_window_is_right_iff_both_ends_are() -> None:
    batch = {"row": torch.arange(3), "span": torch.tensor([[1, 2]] * 3)}
    outputs = torch.zeros(3, 4, 2)
    outputs[0, 1, 0] = outputs[0, 2, 1] = outputs[1, 1, 0] = outputs[1, 3, 1] = outputs[2, 1, 0] = 5
    assert KIND.judge(outputs, batch).correct.tolist() == [True, False, False]


# --- the best answer ------------------------------------------------------------------------------------------------

HAND = {
    "question": ["which ?"] * 2,
    "context": [CONTEXT, CONTEXT],
    "answers": [place(CONTEXT, "w2 w3", "w3"), place(CONTEXT)],
}
WORD = 4  # <s> which ? </s> w0: the token of word k is WORD + k


def said(kind: ExtractiveQA, marks: dict[tuple[int, int, int], float], data: Encoded | None = None) -> Evaluation:
    """Evaluate logits of zero, but for those marked: (window, token, 0 start or 1 end)."""
    data = data or encoded(kind, HAND, max_length=32)
    batch = batch_of(data)
    outputs = torch.zeros((*batch["input_ids"].shape, 2)).masked_fill(batch["attention_mask"][..., None] == 0, LOWEST)
    for (window, token, choice), value in marks.items():
        outputs[window, token, choice] = value
    answers = Answers(kind.answer(outputs, batch), at=batch["sequence"], loss=kind.loss(outputs, batch))
    return evaluation_of(kind, [answers], data, name="validation")


def span(window: int, first: int, last: int, value: float) -> dict[tuple[int, int, int], float]:
    return {(window, WORD + first, 0): value, (window, WORD + last, 1): value}


def silence(window: int, value: float) -> dict[tuple[int, int, int], float]:
    return {(window, 0, 0): value, (window, 0, 1): value}


def test_the_best_span_is_answered_and_scored() -> None:
    found = said(KIND, span(0, 2, 3, 5) | silence(1, 5))
    assert list(found.columns) == ["label", "pred", "answer", "exact_match", "f1", "null_margin"]
    assert found.columns["answer"] == ["w2 w3", ""]
    assert np.asarray(found.columns["pred"]).tolist() == [1, 0]
    assert found.columns["exact_match"] == found.columns["f1"] == [1, 1]
    assert np.asarray(found.columns["null_margin"]).tolist() == [-10, 10]
    assert found.metrics["has_answer_f1"] == found.metrics["no_answer_f1"] == found.metrics["exact_match"] == 1
    wide = said(KIND, span(0, 2, 5, 5) | span(1, 0, 0, 1))
    assert wide.columns["answer"] == ["w2 w3 w4 w5", "w0"]
    assert wide.columns["f1"] == pytest.approx([2 / 3, 0])
    assert {k: v for k, v in wide.metrics.items() if k != "loss"} == squad_metrics(
        wide.columns["answer"],  # type: ignore[arg-type]
        [["w2 w3", "w3"], []],
    )


@pytest.mark.parametrize(("threshold", "quiet"), [(0.0, True), (1.9, True), (2.0, False), (2.1, False), (-3.0, True)])
def test_the_threshold_decides_when_nothing_is_answered(threshold: float, quiet: bool) -> None:
    kind = replace(KIND, null_threshold=threshold)
    found = said(kind, span(0, 2, 3, 4) | silence(0, 5) | span(1, 1, 1, 4))
    assert found.columns["answer"] == ["" if quiet else "w2 w3", "w1"]
    assert np.asarray(found.columns["null_margin"]).tolist() == [2, -8]


def test_a_task_in_which_every_question_has_an_answer_never_keeps_silent() -> None:
    rows = {**HAND, "answers": [HAND["answers"][0]] * 2}
    kind = ExtractiveQA(stride=4, no_answer="never")
    found = said(kind, span(0, 2, 3, 4) | silence(0, 50), encoded(kind, rows, max_length=32))
    assert found.columns["answer"][0] == "w2 w3"
    assert set(found.metrics) == {"exact_match", "f1", "loss"}


def test_longer_answers_than_allowed_are_not_given() -> None:
    marks = span(0, 1, 3, 5) | span(0, 6, 6, 3) | span(1, 0, 0, 1)
    assert said(replace(KIND, max_answer_length=3), marks).columns["answer"][0] == "w1 w2 w3"
    shorter = said(replace(KIND, max_answer_length=2), {**marks, (0, WORD + 2, 1): 4.5})
    assert shorter.columns["answer"][0] == "w1 w2"


def test_only_the_n_best_starts_and_ends_are_combined() -> None:
    # the best start lies behind the best end: with one of each there is no span
    marks = {(0, WORD + 5, 0): 9.0, (0, WORD + 2, 0): 8.0, (0, WORD + 3, 1): 9.0, (1, WORD, 0): 1.0, (1, WORD, 1): 1.0}
    assert said(replace(KIND, n_best=1), marks).columns["answer"] == ["", "w0"]
    assert said(replace(KIND, n_best=2), marks).columns["answer"] == ["w2 w3", "w0"]
    assert said(replace(KIND, n_best=500), marks).columns["answer"] == ["w2 w3", "w0"]


def test_question_and_special_tokens_are_no_answer() -> None:
    marks = {(0, 1, 0): 9.0, (0, 3, 1): 9.0, (0, WORD + 8, 1): 9.0} | span(0, 1, 1, 5)
    assert said(KIND, marks).columns["answer"][0] == "w1"


def test_the_best_window_answers_and_the_surest_one_decides_on_silence() -> None:
    rows = rows_of(2, none_every=99)
    rows["context"][0] = context = " ".join(f"w{k:02}" for k in range(30))
    rows["answers"][0] = place(context, "w20")
    data = encoded(KIND, rows, max_length=20)
    tokens = data.tokens
    assert tokens.first is not None
    assert tokens.chars is not None
    windows = range(int(tokens.first[1]))
    assert len(windows) > 2
    marks: dict[tuple[int, int, int], float] = {}
    for j in windows:
        marks |= {(j, 0, 0): 10.0 - j, (j, 0, 1): 10.0 - j, (j, 6, 0): 1.0 + j, (j, 7, 1): 1.0 + j}
    found = said(replace(KIND, null_threshold=100.0), marks, data)
    last = len(windows) - 1
    own = tokens.chars[tokens.offsets[last] : tokens.offsets[last + 1]]
    assert found.columns["answer"][0] == context[own[6, 0] : own[7, 1]]
    assert np.asarray(found.columns["null_margin"])[0] == pytest.approx(2 * (10.0 - last) - 2 * (1.0 + last))
    assert found.columns["exact_match"][0] == float(found.columns["answer"][0] == "w20")


@pytest.mark.parametrize("style", ["bert", "opt", "bare"])
@pytest.mark.parametrize("no_answer", ["first", "last"])
def test_a_model_that_knows_all_is_right(style: Style, no_answer: Any) -> None:
    kind = ExtractiveQA(stride=4, no_answer=no_answer)
    data = encoded(kind, rows_of(9), style)
    batch = batch_of(data)
    outputs = torch.zeros((*batch["input_ids"].shape, 2)).masked_fill(batch["attention_mask"][..., None] == 0, LOWEST)
    answers, at = [], []
    outputs = outputs.scatter(1, batch["span"][:, None], 9.0)
    for rows in ([8, 1, 4], [0], [7, 2, 3], [6, 5]):
        own = batch_of(data, rows)
        part = outputs[own["sequence"], : own["input_ids"].shape[1]]
        assert kind.judge(part, own).correct.all()
        answers.append(Answers(kind.answer(part, own), at=own["sequence"], loss=kind.loss(part, own)))
        at += own["sequence"].tolist()
    found = evaluation_of(kind, answers, data, name="validation")
    assert sorted(at) == list(range(data.tokens.lengths.size))
    assert found.metrics["exact_match"] == found.metrics["f1"] == 1
    assert found.metrics["has_answer_exact_match"] == found.metrics["no_answer_exact_match"] == 1


# --- windows as samples ---------------------------------------------------------------------------------------------


def test_windows_as_samples_map_back_to_their_rows(compose_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows = rows_of(9, longest=90)
    rows["answers"][2] = None
    kind = ExtractiveQA(unit="window", stride=8)
    data = loaded(rows, kind=kind)
    task = TaskSpec("own", kind, text=("question", "context"), label="answers")
    spec = compose_run("data.max_length=64")
    spec = replace(spec, task=task)
    parts = cut_into_parts(spec, data, root=tmp_path)
    table, ids = parts.train, parts.train["sample_id"].to_numpy()
    raw = [0, 1, 3, 4, 5, 6, 7, 8]
    assert (np.diff(ids) > 0).all()
    assert ids.tolist() == [
        r * 2**16 + p for r, p in zip(*(table[n].to_pylist() for n in ("row", "part")), strict=True)
    ]
    assert sorted(set(row_of(ids).tolist())) == raw
    assert len(ids) > len(raw)
    for row in raw:
        own = table.filter(pa.array(row_of(ids) == row)).to_pylist()
        context, answers = rows["context"][row], rows["answers"][row]
        assert [window["part"] for window in own] == list(range(len(own)))
        assert {window["context"] for window in own} == {context}
        assert own[0]["start"] == 0
        assert own[-1]["end"] == len(context)
        assert all(b["start"] < a["end"] for a, b in pairwise(own)), "windows overlap"
        for window in own:
            shown = context[window["start"] : window["end"]]
            start = answers["answer_start"][0] if answers["text"] else 10**6
            inside = window["start"] <= start and start + len((answers["text"] or [""])[0]) <= window["end"]
            assert window["label"] == int(inside)
            assert not inside or answers["text"][0] in shown
    assert parts.evaluation == data.evaluation, "evaluation stays by question"
    assert parts.uncut == (data.train, data.data_hash)


@pytest.mark.parametrize("text", [("question", "context"), ("context", "question")])
def test_a_train_split_without_any_answer_at_its_place_is_refused(text: tuple[str, str]) -> None:
    rows = rows_of(none_every=3)
    if text == ("question", "context"):
        for own in rows["answers"]:
            own["answer_start"] = [start + 1 for start in own["answer_start"]]
    with pytest.raises(ValueError, match=rf"no answer of the train split is at its place in the column '{text[1]}'"):
        loaded(rows, text=text)
