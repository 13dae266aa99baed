"""Real data, where they are at hand: every split of every set is read by a task's own option, row by row as it stands.

Counts and balances are those that were written down when the data were collected, before this project read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir

from hprune.command import CONF, instantiate
from hprune.tasks.load import load_task
from hprune.tasks.spec import TaskData, TaskSpec
from tests.conftest import SHARED

DATA = SHARED / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the data of ../shared/data")

NLI = "task.text=[premise,hypothesis]"
ITSELF = {"train": "validation", "validation": "validation"}  # a set to evaluate on, read as train, too
TEST_ITSELF = {"train": "test", "validation": "test"}


@dataclass(frozen=True)
class Case:
    """How a folder is read, and what is in it."""

    task: str
    counts: Mapping[str, Sequence[int]]
    """Rows of each class by split, after rows without a label are dropped; none: no row is left."""
    first: str
    """How the first row of train begins, in the column that is named before the colon."""
    splits: Mapping[str, str] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)


CASES = {
    "adv_glue_mnli": Case("mnli", {"validation": [32, 39, 50]}, "hypothesis:We have plenty of space in the", ITSELF),
    "adv_glue_mnli_mismatched": Case("mnli", {"validation": [60, 45, 57]}, "premise:The simplest is for one", ITSELF),
    "adv_glue_qnli": Case("qnli", {"validation": [74, 74]}, "question:What other outfit did Apollo 1 test", ITSELF),
    "adv_glue_qqp": Case("qqp", {"validation": [46, 32]}, "question2:Does eating dinner earlier in", ITSELF),
    "adv_glue_rte": Case("rte", {"validation": [35, 46]}, "sentence2:Doctors Without Borders is an", ITSELF),
    "adv_glue_sst2": Case("sst2", {"validation": [72, 76]}, "sentence:it 's an uneven treat that bores", ITSELF),
    "adversarial_qa": Case("squad", {"validation": [0, 3000]}, "question:Where is the Hoppings funfair", ITSELF),
    "ag_news": Case(
        "ag_news",
        {"train": [4022, 2256, 2242, 4007], "train_description_only": [2506, 2456, 2485, 2530], "test": [1900] * 4},
        "text:Intel Seen Readying New Wi-Fi Chips (Reuters)",
        {"validation": "train_description_only"},
    ),
    "anli": Case(
        "snli",
        {"dev_r1": [334, 333, 333], "dev_r2": [334, 333, 333], "dev_r3": [402, 400, 396]},
        "hypothesis:Form and meaning are the only aspects",
        {"train": "dev_r1", "validation": "dev_r2", "test": "dev_r3"},
    ),
    "breaking_nli": Case(
        "snli", {"test": [982, 47, 7164]}, "hypothesis:Several women stand on a platform near the red", TEST_ITSELF
    ),
    "cad_snli": Case(
        "snli",
        {
            "original_train": [562, 554, 550], "original_validation": [74, 75, 51], "original_test": [146, 123, 131],
            "revised_train": [2208, 2224, 2232], "revised_validation": [252, 250, 298], "revised_test": [508, 554, 538],
        },
        "hypothesis:A man rides his motorcyle with his won.",
        {"train": "original_train", "validation": "original_validation", "test": "original_test",
         **{name: name for name in ("revised_train", "revised_validation", "revised_test")}},
    ),
    "cola": Case(
        "cola", {"train": [2528, 6023], "validation": [322, 721], "test": []}, "sentence:Our friends won't buy this"
    ),
    "cola_ood": Case("cola", {"test": [162, 354]}, "sentence:Somebody just left - guess who.", TEST_ITSELF),
    "hans": Case(
        "rte", {"train": [15000, 15000], "validation": [15000, 15000]}, "premise:The doctors supported the scientist .",
        overrides=[NLI],
    ),
    "imdb_contrast": Case(
        "own",
        {"test_original": [243, 245], "dev_original": [48, 52], "test_contrast": [245, 243], "dev_contrast": [52, 48]},
        "text:A spoiler.<br /><br />What three words can",
        {"train": "test_original", "validation": "dev_original", "test": "test_contrast", "contrast": "dev_contrast"},
    ),
    "mnli": Case(
        "mnli",
        {"train": [7652, 7593, 7605], "validation_matched": [3479, 3123, 3213],
         "validation_mismatched": [3463, 3129, 3240]},
        "hypothesis:It was already a problem forty years ago",
    ),
    "mrpc": Case(
        "mrpc",
        {"train": [1194, 2474], "validation": [129, 279], "test": [], "test_labelled": [578, 1147]},
        "sentence1:Amrozi accused his brother , whom he called",
        {"labelled": "test_labelled"},
    ),
    "nli_stress": Case(
        "mnli",
        {"numerical": [2532, 2532, 2532], "antonym_matched": [0, 0, 1561], "antonym_mismatched": [0, 0, 1734]},
        "premise:If Joe goes with her 6 years old twin brothers",
        {"train": "numerical", "validation": "antonym_matched", "validation_mismatched": "antonym_mismatched"},
    ),
    "paws_qqp": Case("mrpc", {"test": [486, 191]}, "sentence1:What were the major effects of the", TEST_ITSELF),
    "paws_x_en": Case("mrpc", {"validation": [1137, 863]}, "sentence2:Shawnee Trails Council was formed", ITSELF),
    "qnli": Case(
        "qnli", {"validation": [2702, 2761], "test": []}, "question:What came into force after the new", ITSELF
    ),
    "qqp": Case(
        "qqp",
        {"train": [6046, 5586], "validation": [4871, 2729], "test": [4850, 4910]},
        "question2:Why do people ask Quora questions which can be",
    ),
    "race": Case(
        "race",
        {"train": [19146, 22726, 23891, 22103], "validation": [1067, 1291, 1303, 1226],
         "test": [1063, 1323, 1324, 1224]},
        "question:The husband likes shopping because   _  .",
    ),
    "rotten_tomatoes": Case(
        "sst2",
        {"train": [4265, 4265], "validation": [533, 533], "test": [533, 533]},
        "text:the rock is destined to be the 21st century's",
        overrides=["task.text=[text]"],
    ),
    "rte": Case(
        "rte", {"train": [1249, 1241], "validation": [146, 131], "test": []}, "sentence2:Weapons of Mass Destruction"
    ),
    "snli": Case(
        "snli",
        {"train": [7203, 7098, 7304], "validation": [3329, 3235, 3278], "test": [3368, 3219, 3237]},
        "hypothesis:The man is gazing over the water thinking",
        dropped={"validation": 158, "test": 176},
    ),
    "squad": Case(
        "squad",
        {"train": [0, 4370], "validation": [0, 10570], "train_extra": [0, 3997]},
        "question:To whom did the Virgin Mary allegedly appear",
        {"extra": "train_extra"},
    ),
    "squad_adversarial": Case(
        "squad", {"addsent": [0, 3560], "addonesent": [0, 1787]}, "question:Where did Super Bowl 50 take place?",
        {"train": "addsent", "validation": "addonesent"},
    ),
    "squad_v2": Case(
        "squad_v2",
        {"train": [348, 4371], "validation": [5945, 5928]},
        "question:When did Beyonce start becoming popular?",
    ),
    "sst2": Case(
        "sst2",
        {"train": [29780, 37569], "validation": [428, 444], "test": []},
        "sentence:hide new secretions from the parental units ",
    ),
    "sst2_sentences": Case(
        "sst2_sentences",
        {"train": [3310, 3610], "validation": [428, 444], "test": [912, 909]},
        "sentence:a stirring , funny and finally transporting",
    ),
    "sst5": Case(
        "own",
        {"train": [1092, 2218, 1624, 2322, 1288], "validation": [139, 289, 229, 279, 165],
         "test": [279, 633, 389, 510, 399]},
        "text:a stirring , funny and finally transporting",
    ),
    "trec": Case(
        "trec",
        {"train": [86, 1250, 1162, 1223, 835, 896], "test": [9, 94, 138, 65, 81, 113]},
        "text:How did serfdom develop in and then leave",
        {"validation": "test"},
        ["task.label=label"],
    ),
    "wnli": Case(
        "rte",
        {"train": [323, 312], "validation": [40, 31]},
        "sentence2:The carrot had a hole.",
        overrides=["task.label_names=[not_entailment,entailment]"],  # other than in RTE, 1 is entailment
    ),
    "yelp_polarity": Case("own", {"test": [2022, 1996]}, "text:Very disappointed! Overpriced on Char", TEST_ITSELF),
}  # fmt: skip


def spec_of(task: str, folder: str, splits: Mapping[str, str] | None = None, *overrides: str) -> TaskSpec:
    named = ",".join(f"{ours}:{theirs}" for ours, theirs in (splits or {}).items())
    more = [f"++task.splits={{{named}}}"] if named else []
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        cfg = compose("train", overrides=[f"task={task}", f"task.data_dir={DATA / folder}", *more, *overrides])
    spec: TaskSpec = instantiate(cfg.task)
    return spec


def tables_of(data: TaskData) -> dict[str, pa.Table]:
    return {"train": data.train, **data.evaluation}


def check_rows(spec: TaskSpec, table: pa.Table, raw: pa.Table) -> None:
    """Texts and labels of a table are those of its rows in the file."""
    rows = raw.take(table["sample_id"])
    for column in spec.text:
        assert table[column].cast(pa.string()).combine_chunks() == rows[column].combine_chunks()
    if pa.types.is_integer(rows[spec.label].type):
        assert (table["label"].to_numpy() == rows[spec.label].to_numpy()).all()


PROMPTS = {
    "alpaca_demo", "gsm8k", "scan_addprim_jump", "scan_length", "scan_simple", "svamp", "text2sql_atis",
    "text2sql_geography",
}  # fmt: skip
"""Prompts with answers to generate, for which there is no kind of task yet."""


@needs_data
def test_every_set_is_read() -> None:
    files: dict[str, set[str]] = {path.parent.name: set() for path in DATA.glob("*/*.parquet")}
    for path in DATA.glob("*/*.parquet"):
        files[path.parent.name].add(path.stem)
    assert {name: set(case.counts) for name, case in CASES.items()} == {
        k: v for k, v in files.items() if k not in PROMPTS
    }
    assert set(CASES) | PROMPTS == {path.name for path in DATA.iterdir() if path.is_dir()}


@needs_data
@pytest.mark.parametrize("folder", CASES)
def test_a_set_is_read_as_it_stands(folder: str) -> None:
    case = CASES[folder]
    spec = spec_of(case.task, folder, case.splits, *case.overrides)
    data = load_task(spec)
    classes = len(data.label_names)
    seen = set()
    for name, table in tables_of(data).items():
        split = spec.splits[name]
        assert split is not None
        raw = pq.read_table(DATA / folder / f"{split}.parquet")
        assert np.bincount(table["label"].to_numpy(), minlength=classes).tolist() == list(case.counts[split])
        assert table.num_rows == raw.num_rows - case.dropped.get(split, 0)
        check_rows(spec, table, raw)
        seen.add(split)
    assert seen == {split for split, rows in case.counts.items() if rows}  # hidden labels are not evaluated on
    column, _, text = case.first.partition(":")
    assert data.train["sample_id"][0].as_py() == 0
    assert data.train[column][0].as_py().startswith(text)


@needs_data
@pytest.mark.parametrize("folder", [name for name, case in CASES.items() if [] in case.counts.values()])
def test_hidden_labels_are_no_train_split(folder: str) -> None:
    spec = spec_of(CASES[folder].task, folder, {"train": "test"})
    with pytest.raises(ValueError, match=rf"task {CASES[folder].task!r}: no row of the train split can be used"):
        load_task(spec)


@needs_data
def test_one_class_is_no_train_split() -> None:
    splits = {"train": "antonym_matched", "validation": "numerical"}
    with pytest.raises(ValueError, match=r"the train split holds one class only \(contradiction\)"):
        load_task(spec_of("mnli", "nli_stress", splits))


@needs_data
def test_three_classes_are_not_two() -> None:
    with pytest.raises(ValueError, match=r"labels \[2\], but with 2 classes \(entailment, not_entailment\)"):
        load_task(spec_of("rte", "breaking_nli", TEST_ITSELF, NLI))


@needs_data
def test_rows_without_a_gold_label_leave_gaps() -> None:
    data = load_task(spec_of("snli", "snli"))
    for name, missing in {"validation": [66, 201, 221], "test": [46, 107, 124]}.items():
        ids = data.evaluation[name]["sample_id"].to_numpy()
        assert sorted(set(range(10_000)) - set(ids.tolist()))[:3] == missing
        assert (np.diff(ids) > 0).all()
        assert ids[-1] == 9_999


@needs_data
@pytest.mark.parametrize(
    ("task", "counts", "first"),
    [
        (
            "race_middle",
            {"train": 25_421, "validation": 1_436, "test": 1_436},
            {"train": 62_445, "validation": 3_451, "test": 3_498},
        ),
        ("race_high", {"train": 62_445, "validation": 3_451, "test": 3_498}, {"train": 0, "validation": 0, "test": 0}),
    ],
)
def test_parts_of_race_keep_the_ids_of_race(task: str, counts: dict[str, int], first: dict[str, int]) -> None:
    spec = spec_of(task, "race")
    tables = tables_of(load_task(spec))
    assert {name: table.num_rows for name, table in tables.items()} == counts
    level = task.removeprefix("race_")
    for name, table in tables.items():
        raw = pq.read_table(DATA / "race" / f"{name}.parquet")
        check_rows(spec, table, raw)
        assert all(example.startswith(level) for example in raw["example_id"].take(table["sample_id"]).to_pylist())
        assert table["sample_id"][0].as_py() == first[name]


@needs_data
def test_options_and_answers_of_race_are_those_of_the_file() -> None:
    table = load_task(spec_of("race", "race", None, "task.max_train_samples=2000")).train
    raw = pq.read_table(DATA / "race" / "train.parquet").take(table["sample_id"])
    assert table["options"].to_pylist() == raw["options"].to_pylist()
    assert ["ABCD"[label] for label in table["label"].to_pylist()] == raw["answer"].to_pylist()
    assert table.num_rows == 2_000


@needs_data
@pytest.mark.parametrize("folder", ["squad_v2", "squad_adversarial", "adversarial_qa"])
def test_answers_stand_at_their_place(folder: str) -> None:
    case = CASES[folder]
    table = load_task(spec_of(case.task, folder, case.splits)).train
    checked: list[Any] = []
    for row in table.select(["context", "answers", "answer_start", "label"]).to_pylist():
        assert bool(row["answers"]) == row["label"]
        for text, start in zip(row["answers"][:1], row["answer_start"][:1], strict=True):
            assert row["context"][start : start + len(text)] == text
            checked.append(text)
    assert len(checked) > 2_000
