"""The records of the runs of one score, opened together and read in step, so that they need not fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hprune.science.records import OPTIONAL, Dynamics, Measured, Scores, check_skip, prefix_of
from hprune.science.together import RecordFacts, check_same_ids, check_together
from hprune.storage.bound import check_record_facts
from hprune.storage.differing import differing_keys
from hprune.storage.files import ROW_GROUP, OpenTable, array_of, open_table
from hprune.storage.manifests import RECORD, key_of, read_manifest
from hprune.storage.runs import check_columns, check_footer, record_file
from hprune.storage.shapes import check_shape
from hprune.storage.studies import runs_of

PIECE_BYTES = 2**27
"""A piece has as many samples as fit in here, at most a row group: fewer where there are many runs or epochs."""

T = TypeVar("T")


@dataclass(frozen=True)
class StoredDynamics:
    """What S runs knew about N samples in each of E epochs, on disk."""

    records: tuple[tuple[RecordFacts, OpenTable], ...]  # by seed
    epochs: int
    """E: epochs 0..E-1 are looked at,"""
    skip: int = 0
    """but for so many at the start."""

    @classmethod
    def open(cls, runs: Sequence[Path], measured: Measured) -> StoredDynamics:
        """Open the records of complete runs, in the order of their seeds; nothing is read but their footers.

        Raises:
            ValueError: a run is not complete, was not measured this way, or its record was altered; or the runs do not
                fit together, as in `Dynamics.stack`.
        """
        opened = sorted((_open(run, measured) for run in runs), key=lambda record: record[0].key.seed)
        _check_settings([(facts, settings) for facts, _, settings in opened])
        check_together([facts for facts, *_ in opened])
        return cls(tuple((facts, table) for facts, table, _ in opened), opened[0][0].epochs)

    @property
    def runs(self) -> int:
        """S."""
        return len(self.records)

    @property
    def samples(self) -> int:
        """N."""
        return self.records[0][0].samples

    def prefix(self, *, runs: int | None = None, epochs: int | None = None, skip: int = 0) -> StoredDynamics:
        """Look at the first `runs` runs (by seed) and the first `epochs` epochs only, of these not at the first `skip`.

        What is left out is not read.

        Raises:
            ValueError: if more is asked for than was logged, or less than one.
        """
        runs, epochs = prefix_of("runs", runs, self.runs), prefix_of("epochs", epochs, self.epochs)
        check_skip(skip, epochs)
        return replace(self, records=self.records[:runs], epochs=epochs, skip=skip)

    def pieces(self, columns: Sequence[str] = ("correct",)) -> Iterator[Dynamics]:
        """Read the samples in pieces of one size, by increasing id; the last may be smaller.

        Args:
            columns: what to read of a record, beside `correct`, which is always there.

        Raises:
            ValueError: if a record is damaged where it is read, or the runs know different samples.
        """
        columns = tuple(dict.fromkeys(("correct", *columns)))
        wanted = ["sample_id", *(f"{name}_{epoch}" for name in columns for epoch in range(self.skip, self.epochs))]
        for key, there in ((facts.key, table.parquet.schema_arrow.names) for facts, table in self.records):
            lacking = [name for name in columns if f"{name}_0" not in there]
            if lacking:
                raise ValueError(f"the run {key} {_why_lacking(lacking[0])}")
        size = self._piece_size(columns)
        facts, (first, *others) = self.records[0][0], [facts.key for facts, _ in self.records]
        last = None
        for batches in zip(*(ahead(table.batches(size, wanted)) for _, table in self.records), strict=True):
            ids, *other_ids = (array_of(batch.column("sample_id")) for batch in batches)
            for key, there in zip(others, other_ids, strict=True):
                check_same_ids(first, ids, key, there)
            if last is not None and ids[0] <= last:
                raise ValueError(f"the sample ids of {first} must be strictly increasing, got {last} before {ids[0]}")
            last = ids[-1]
            yield Dynamics(
                sample_ids=ids,
                seeds=tuple(facts.key.seed for facts, _ in self.records),
                data_hash=facts.data_hash,
                measured=facts.measured,
                **{name: self._stack(batches, name) for name in columns},
            )

    def _piece_size(self, columns: Sequence[str]) -> int:
        a_sample = self.runs * (8 + self.epochs * sum(1 if name == "correct" else 4 for name in columns))
        return min(max(PIECE_BYTES // a_sample, 1), ROW_GROUP)

    def _stack(self, batches: Sequence[pa.RecordBatch], name: str) -> NDArray[Any]:
        shape = (len(batches), self.epochs - self.skip, batches[0].num_rows)
        stacked: NDArray[Any] = np.empty(shape, np.bool_ if name == "correct" else np.float32)  # (S, E, n)
        for run, batch in enumerate(batches):
            for epoch in range(self.skip, self.epochs):
                stacked[run, epoch - self.skip] = array_of(batch.column(f"{name}_{epoch}"))
        return stacked


def records_behind(root: Path, study: str, scores: Scores) -> StoredDynamics:
    """The records that a score table of a study was made of.

    Raises:
        ValueError: if a run behind it is no run of the study any more, its record is gone or was altered, or the
            records are of other data.
    """
    there = {run.key.seed: run.path for run in runs_of(root, study, "scoring")}
    gone = [seed for seed in scores.seeds if seed not in there]
    if gone or not scores.seeds:
        which = f"the runs of seeds {', '.join(map(str, gone))}" if gone else "no runs at all"
        raise ValueError(f"the score table {scores.name!r} was made of {which}, whose records the study does not have")
    dynamics = StoredDynamics.open([there[seed] for seed in scores.seeds], scores.measured)
    if dynamics.records[0][0].data_hash != scores.data_hash or dynamics.samples != scores.values.size:
        raise ValueError(
            f"the records of the study are of other data than the score table {scores.name!r}; score again"
        )
    return dynamics.prefix(epochs=scores.epochs, skip=scores.conventions.get("skip_epochs", 0))


def _why_lacking(column: str) -> str:
    if column in OPTIONAL:
        return f"did not record {column}; collect runs with record.{column}=true"
    return (
        f"was restored from a packed file, which does not keep {column}; to have it, move the run's folder away and "
        "train it again"
    )


def _check_settings(records: Sequence[tuple[RecordFacts, Mapping[str, Any]]]) -> None:
    """Refuse runs of several settings, as of two studies that were mixed up, by what they differ in."""
    for facts, settings in records[1:]:
        first, there = records[0]
        if facts.settings_hash != first.settings_hash and (differing := differing_keys(there, settings)):
            raise ValueError(
                f"runs of one score must differ in their seed only; {first.key} (there) and {facts.key} (here) differ "
                f"in {', '.join(differing)}: score each with those of its own settings, as with score.seeds=[..]"
            )


def _open(run: Path, measured: Measured) -> tuple[RecordFacts, OpenTable, Mapping[str, Any]]:
    manifest, file = read_manifest(run), record_file(run, measured)
    check_footer(file, manifest)
    table = open_table(file)
    check_shape(file, table.facts, RECORD)
    check_record_facts(file, table.facts, key_of(manifest))
    key, epochs = key_of(manifest), check_columns(file, table.parquet.schema_arrow, table.facts)
    facts = RecordFacts(key, table.facts["data_hash"], table.rows, epochs, measured, table.facts["settings_hash"])
    return facts, table, manifest["settings"]


def ahead(source: Iterator[T]) -> Iterator[T]:
    """The same items; each is made in another thread while the one before it is used."""
    end = object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, source, end)
            yield item  # type: ignore[misc]
