"""How long data files take to be read, beside Arrow's own readers with inference; rows, and columns.

    python benchmarks/reading.py [--rows 100000] [--columns 1000 10000]

Each file holds texts of 20 to 60 words with quotes and commas, a label and an id. `Arrow` is what 0.1.0 did: Arrow's
reader with its types. A file of many columns has 20 rows; its time goes through the whole task (`load_task`).
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from hprune.tasks.classification import Classification
from hprune.tasks.load import load_task
from hprune.tasks.source import read_file
from hprune.tasks.spec import TaskSpec

WORDS = ("dull", "fine", 'a "bold" turn', "grim,", "flat", "warm", '5" wide', "the", "film", "not", "so")


def texts(rows: int) -> list[str]:
    """Texts with commas and quotes."""
    rng = np.random.default_rng(0)
    return [" ".join(WORDS[k] for k in rng.integers(len(WORDS), size=rng.integers(20, 60))) for _ in range(rows)]


def seconds(read: Callable[[], Any], repeats: int = 3) -> float:
    """The shortest of several times."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        read()
        found.append(time.perf_counter() - start)
    return min(found)


def quoted(cells: tuple[Any, ...]) -> str:
    """A line of CSV with all texts in quotes."""
    return ",".join('"' + str(cell).replace('"', '""') + '"' for cell in cells) + "\n"


def write_files(folder: Path, rows: int) -> dict[str, Callable[[], Any]]:
    """A file of each form; by its name, what Arrow's own reader does with it."""
    said, labels, ids = texts(rows), [i % 2 for i in range(rows)], list(range(rows))
    table = pa.table({"text": said, "label": labels, "id": ids})
    lines = list(zip(said, labels, ids, strict=True))
    header = "text,label,id\n"
    (folder / "quoted.csv").write_text(header + "".join(map(quoted, lines)))
    bare = [(text.replace(",", ""), label, i) for text, label, i in lines]
    bare = [(f"it is {text}", label, i) for text, label, i in bare]  # no field begins with a quote: none is quoted
    (folder / "letters.csv").write_text(header + "".join(",".join(map(str, row)) + "\n" for row in bare))
    (folder / "plain.tsv").write_text(
        (header + "".join("\t".join(map(str, row)) + "\n" for row in bare)).replace(header, header.replace(",", "\t"))
    )
    objects = "".join(json.dumps({"text": t, "label": k, "id": i}) + "\n" for t, k, i in lines)
    (folder / "lines.jsonl").write_text(objects)
    (folder / "lines.jsonl.gz").write_bytes(gzip.compress(objects.encode(), 1))
    pq.write_table(table, folder / "table.parquet")
    newlines = pa.csv.ParseOptions(newlines_in_values=True)
    tabs = pa.csv.ParseOptions(newlines_in_values=True, delimiter="\t")
    return {
        "quoted.csv": lambda: pa.csv.read_csv(folder / "quoted.csv", parse_options=newlines),
        "letters.csv": lambda: pa.csv.read_csv(folder / "letters.csv", parse_options=newlines),
        "plain.tsv": lambda: pa.csv.read_csv(folder / "plain.tsv", parse_options=tabs),
        "lines.jsonl": lambda: pa.json.read_json(folder / "lines.jsonl"),
        "lines.jsonl.gz": lambda: pa.json.read_json(folder / "lines.jsonl.gz"),
        "table.parquet": lambda: pq.read_table(folder / "table.parquet"),
    }


def of_rows(rows: int) -> None:
    """Print the times of each form."""
    print(f"| {rows:,} rows | MB | Arrow, s | hprune, s | times |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, arrow in write_files(folder, rows).items():
            path = folder / name
            before, now = seconds(arrow), seconds(lambda path=path: read_file([path]))  # type: ignore[misc]
            size = path.stat().st_size / 1e6
            print(f"| {name} | {size:.1f} | {before:.3f} | {now:.3f} | {now / before:.1f} |")


def of_columns(counts: list[int]) -> None:
    """Print the time of a task from files with many columns."""
    print("\n| columns | " + " | ".join(f".{end}, s" for end in ("csv", "jsonl", "parquet")) + " |\n|---|---|---|---|")
    for count in counts:
        names = ["text", "label", *(f"column {k}" for k in range(count - 2))]
        columns = {name: [f"{name[:1]}{i % 2}" for i in range(20)] for name in names}
        with tempfile.TemporaryDirectory() as place:
            table, cells = pa.table(columns), []
            pa.csv.write_csv(table, f"{place}/a.csv")
            pq.write_table(table, f"{place}/a.parquet")
            Path(place, "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
            for end in ("csv", "jsonl", "parquet"):
                file = f"{place}/a.{end}"
                spec = TaskSpec("own", Classification(), train_file=file, validation_file=file, slices=("column 1",))
                cells.append(f"{seconds(lambda spec=spec: load_task(spec), repeats=1):.2f}")  # type: ignore[misc]
        print(f"| {count:,} | {' | '.join(cells)} |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, nargs="+", default=[1_000, 10_000])
    chosen = parser.parse_args()
    of_rows(chosen.rows)
    of_columns(chosen.columns)


if __name__ == "__main__":
    main()
