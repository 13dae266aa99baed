"""How long it takes to load and tokenise a large set, once and from the cache.

    python benchmarks/tokenise_speed.py SHARED_DATA MINILM WORK

Makes SQuAD v2 (130,319 questions) and 500,000 short pairs out of what lies in SHARED_DATA, repeated with a number added
so that no two rows are equal, and times loading and tokenising in a fresh process each: cold, then warm. `compare` is
the part of a warm start that compares the cached arrays with their digests. Imports are not counted. Prints a table
with seconds and the largest resident memory of the process.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SETS = {
    "squad_v2": ("squad_v2", ("train", "validation"), "question", 130_319, "task=squad_v2 data.max_length=384"),
    "pairs": ("qqp", ("train",), "question1", 500_000, "task=qqp data.max_length=128"),
}

MEASURED = """
import json, resource, sys, time
from pathlib import Path
from hydra import compose, initialize_config_dir
from hprune.command import CONF, run_spec
from hprune.training.units import load_samples, tokens_of
from hprune.training.build import config_of, is_causal
from hprune.training.tokenizer import load_tokenizer
import hprune.data.tokenise, hprune.training.assemble, pyarrow.parquet, sklearn.model_selection
with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
    spec = run_spec(compose("train", overrides=sys.argv[2:]))
root = Path(sys.argv[1])
baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
data = load_samples(spec, root=root)
loaded = time.perf_counter()
tokenizer = load_tokenizer(spec.model, lambda: ())
tables = {"train": (data.train, data.data_hash)}
tables |= {name: (table, data.evaluation_hashes[name]) for name, table in data.evaluation.items()}
how = {"longest": spec.data.max_length, "causal": False, "root": root}
found = {name: tokens_of(spec, tokenizer, *table, **how) for name, table in tables.items()}["train"]
done = time.perf_counter()
hprune.data.tokenise._checked.clear()
for table in tables.values():
    tokens_of(spec, tokenizer, *table, **how)
compared = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({
    "load": loaded - started, "tokens": done - loaded, "compare": compared - done,
    "peak_gib": peak / 2**20, "base_gib": baseline / 2**20,
    "samples": data.train.num_rows, "sequences": found.offsets.size - 1, "T": int(found.offsets[-1]),
}))
"""


def main(shared: Path, minilm: Path, work: Path) -> None:
    """Make the data, measure, print the table."""
    heads = ("set", "samples", "sequences", "million tokens", "start", "load", "tokenise", "compare", "seconds", "GiB")
    print(f"| {' | '.join(heads)} | of imports |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, (folder, splits, key, size, options) in SETS.items():
        data = work / name
        data.mkdir(parents=True, exist_ok=True)
        table = pa.concat_tables(pq.read_table(shared / folder / f"{split}.parquet") for split in splits)
        pq.write_table(repeated(table, key, size), data / "train.parquet")
        pq.write_table(table.slice(0, 1000), data / "validation.parquet")
        shutil.rmtree(work / "root", ignore_errors=True)
        arguments = [*options.split(), "task.splits.test=null", "model=minilm", f"model.path={minilm}"]
        for start in ("cold", "warm"):
            done = subprocess.run(
                [sys.executable, "-c", MEASURED, work / "root", *arguments, f"task.data_dir={data}"],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            m = json.loads(done.stdout.splitlines()[-1])
            print(
                f"| {name} | {m['samples']:,} | {m['sequences']:,} | {m['T'] / 1e6:.1f} | {start} | {m['load']:.1f} | "
                f"{m['tokens']:.1f} | {m['compare']:.2f} | "
                f"{m['load'] + m['tokens']:.1f} | {m['peak_gib']:.2f} | {m['base_gib']:.2f} |",
                flush=True,
            )


def repeated(table: pa.Table, key: str, size: int) -> pa.Table:
    """The rows again and again, each with its number behind the text of one column."""
    times = -(-size // table.num_rows)
    many = pa.concat_tables([table] * times).slice(0, size).combine_chunks()
    texts = [f"{text} {i}" for i, text in enumerate(many[key].to_pylist())]
    return many.set_column(many.column_names.index(key), key, pa.array(texts))


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
