"""The studies at full size: hours of training, step by step, each step a result of its own.

    python benchmarks/long_studies.py WORK --data DATA --model MINILM [--only NAME ...] [--pack FOLDER] [--list]

DATA holds `sst2`, `sst2_sentences`, `trec` and `mrpc` as Parquet, one folder each, with the columns of the hub; MINILM
is the model's folder. WORK keeps the data as they are used, and all runs: the same command continues where it stopped,
and skips what is complete. With `--pack` the runs are packed into that folder after each step
(`benchmarks/packed_runs.py`).

SST-2 is judged by its validation and its labelled test sentences together (2,693); TREC by its test of 500; MRPC by
its validation and its labelled test pairs together (2,133).
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

PACK = Path(__file__).with_name("packed_runs.py")
EVALUATED = {
    "sst2_sentences": (("sst2_sentences", "train"), [("sst2_sentences", "validation"), ("sst2_sentences", "test")]),
    "sst2": (("sst2", "train"), [("sst2_sentences", "validation"), ("sst2_sentences", "test")]),
    "trec": (("trec", "train"), [("trec", "test")]),
    "mrpc": (("mrpc", "train"), [("mrpc", "validation"), ("mrpc", "test_labelled")]),
}
"""Of each data set: the file that is trained on, and those that judge together."""


@dataclass(frozen=True)
class Step:
    """One command: a study, or the next part of one."""

    name: str
    study: str
    data: str
    options: Sequence[str]


def _numbers(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


def _listed(numbers: Sequence[object]) -> str:
    return str(list(numbers)).replace(" ", "")


def _tickets(number: int, seeds: Sequence[int], *, scoring: int = 6) -> list[str]:
    """So many tickets, each of its own scoring runs, with the comparison seeds dealt out to them."""
    runs = _numbers(1, number * scoring)
    groups = [runs[at * scoring : (at + 1) * scoring] for at in range(number)]
    return [
        f"scoring.seeds={_listed(runs)}",
        f"comparison.tickets={_listed(groups)}",
        f"comparison.seeds={_listed(seeds)}",
    ]


ONLY_CLEAN = ["~arms.clean_ticket", "~arms.clean_without_h0"]
TRAINING_PASS = ["record=train_pass", "~scores.h_clean", *ONLY_CLEAN]
EPOCHS, BOTH = "comparison.budgets=[epochs]", "comparison.budgets=[epochs,steps]"
ALONE = ["~arms.random_same_classes", "~arms.without_h0"]
KEEP_SETS = [f"+subset@arms.{name}={name}" for name in ("keep_2_5", "keep_3_5", "keep_4_5", "keep_2_4")]
FOUR = _tickets(4, _numbers(101, 112))
TWO = [101, 102, 103], [104, 105, 106], [107, 108, 109], [110, 111, 112]
SIX_EACH = [*TWO[0], *TWO[2], *TWO[1], *TWO[3]]

STEPS = [
    Step("sentences, mean pooling, equal epochs", "sentences_mean", "sst2_sentences", [*FOUR, EPOCHS]),
    Step("sentences, mean pooling, equal steps", "sentences_mean", "sst2_sentences", [*FOUR, BOTH]),
    Step("16,000 phrases", "phrases_16000", "sst2",
         [*_tickets(2, [*TWO[0], *TWO[1]]), *TRAINING_PASS, EPOCHS, "task.max_train_samples=16000"]),
    Step("all phrases, one ticket", "phrases_all", "sst2", [*_tickets(1, TWO[0]), *TRAINING_PASS, *ALONE, EPOCHS]),
    Step("all phrases, a second ticket", "phrases_all", "sst2",
         [*_tickets(2, [*TWO[0], *TWO[1]]), *TRAINING_PASS, *ALONE, EPOCHS]),
    Step("sentences, own pooler, equal epochs", "sentences_own", "sst2_sentences",
         [*FOUR, EPOCHS, "model.pooling=own"]),
    Step("sentences, own pooler, equal steps", "sentences_own", "sst2_sentences", [*FOUR, BOTH, "model.pooling=own"]),
    Step("TREC", "trec", "trec", [*FOUR, *TRAINING_PASS, EPOCHS]),
    Step("MRPC", "mrpc", "mrpc", [*FOUR, *TRAINING_PASS, EPOCHS]),
    Step("all phrases, six seeds a ticket", "phrases_all", "sst2",
         [*_tickets(2, SIX_EACH), *TRAINING_PASS, *ALONE, EPOCHS]),
    Step("all phrases, the paper's keep-sets", "phrases_all_keep_sets", "sst2",
         [*_tickets(1, TWO[0]), *TRAINING_PASS, "~arms.without_h0", "~arms.winning_ticket", *KEEP_SETS, EPOCHS]),
    Step("all phrases, equal steps", "phrases_all", "sst2",
         [*_tickets(1, TWO[0]), *TRAINING_PASS, *ALONE, BOTH]),
]  # fmt: skip
"""In the order in which they are worth most."""


def main() -> None:
    """Train step after step, and pack what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of steps, or of studies")
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="keep the runs there in a few megabytes")
    parser.add_argument("--list", action="store_true", help="print the steps and their commands, write nothing")
    parser.add_argument("--max-samples", type=int, help="of the train data, to try the steps out")
    asked = parser.parse_args()
    steps = [step for step in STEPS if not asked.only or {step.name, step.study} & set(asked.only)]
    if not steps:
        parser.error(f"--only names none of {', '.join(step.name for step in STEPS)}")
    if asked.list:
        print("| step | study | command |\n|---|---|---|")
        for step in steps:
            print(f"| {step.name} | {step.study} | {shlex.join(['python', *_command(step, asked)])} |")
        return
    if not asked.model.is_dir():
        parser.error(f"--model must be the folder of the model and its tokenizer, there is none at {asked.model}")
    failed = []
    print("| step | study | outcome |\n|---|---|---|")
    for step in steps:
        prepared(asked.data, asked.work / "data", step.data)
        command = [sys.executable, *_command(step, asked)]
        outcome = subprocess.run(command, env={**os.environ, "TOKENIZERS_PARALLELISM": "false"}).returncode
        failed += [step.name] if outcome else []
        print(f"| {step.name} | {step.study} | {'done' if outcome == 0 else f'exit {outcome}'} |", flush=True)
        if asked.pack is not None:
            file = asked.pack / f"{step.study}.parquet"
            renamed = [f"--rename={asked.work.resolve()}=work", f"--rename={asked.model.resolve()}=model"]
            subprocess.run(
                [sys.executable, PACK, "pack", asked.work / "results", file, step.study, *renamed], check=True
            )
    sys.exit(f"not complete: {', '.join(failed)}" if failed else 0)


def _command(step: Step, asked: argparse.Namespace) -> list[str]:
    """What follows `python`; it writes nothing."""
    size = (
        ["task.max_train_samples=null"]
        if asked.max_samples is None
        else [f"task.max_train_samples={asked.max_samples}"]
    )
    own = [option for option in step.options if not option.startswith("~")]
    task = {
        "sst2_sentences": ["task.name=sst2_sentences"],
        "trec": ["task=trec", "task.label=label", "task.splits.validation=validation"],
        "mrpc": ["task=mrpc"],
    }
    return [
        "-m", "hprune.study", "+experiment=tickets_minilm", *task.get(step.data, []), *size,
        f"task.data_dir={asked.work / 'data' / step.data}", f"model.path={asked.model}", "trainer.precision=bf16",
        "at_once=2", f"study={step.study}", f"paths.root={asked.work / 'results'}",
        *own, *(option for option in step.options if option.startswith("~")),
    ]  # fmt: skip


def prepared(source: Path, target: Path, name: str) -> Path:
    """The folder target/name with the files to train on and to be judged by, made once."""
    folder, ((trained, split), judging) = target / name, EVALUATED[name]
    if not (folder / "validation.parquet").exists():
        folder.mkdir(parents=True, exist_ok=True)
        tables = [pq.read_table(source / one / f"{part}.parquet") for one, part in judging]
        train = pq.read_table(source / trained / f"{split}.parquet").replace_schema_metadata()
        pq.write_table(train, folder / "train.parquet")
        both = pa.concat_tables([table.replace_schema_metadata() for table in tables])
        pq.write_table(both, folder / "validation.parquet")
    return folder


if __name__ == "__main__":
    main()
