"""Whatever byte of a table of ours is flipped: it is refused, or what is read is what was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hprune.science.records import Scores
from hprune.storage.scores import FACTS, load_scores, save_pieces, save_scores

IDS = np.array([0, 3, 7, 2**31, 2**40, 2**63 - 1])


def scores(values: Any = (0, 1, 2, 2, 0, 1), **facts: Any) -> Scores:
    about: dict[str, Any] = {"higher_is": "easier", "seeds": (1, 2), "epochs": 3, "measured": "train_pass"}
    return Scores("h_score", IDS.copy(), np.array(values, np.int16), **about | facts, data_hash="d" * 64)


def content(made: Scores) -> tuple[Any, ...]:
    facts = tuple(getattr(made, name) for name in FACTS)
    return (*facts, made.values.dtype, made.values.tolist(), made.sample_ids.tolist())


def test_every_flipped_bit_of_a_score_table_is_refused_or_harmless(tmp_path: Path) -> None:
    path, wanted = tmp_path / "h_score.parquet", content(scores())
    save_scores(path, scores())
    before, refused = path.read_bytes(), 0
    for at in range(len(before)):
        for bit in range(0, 8, 1 + at % 3):
            flipped = bytearray(before)
            flipped[at] ^= 1 << bit
            path.write_bytes(bytes(flipped))
            try:
                found = content(load_scores(path))
            except ValueError as error:
                found, refused = str(error), refused + 1
            assert found == wanted or str(path) in found, (at, bit)
    assert refused > len(before)


@pytest.mark.parametrize("change", [{"seeds": [1, 3]}, {"higher_is": "harder"}, {"epochs": 2}, {"data_hash": "e" * 64}])
def test_other_facts_beside_the_same_numbers_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "h_score.parquet"
    save_scores(path, scores())
    told = dict(pq.read_metadata(path).metadata)
    told[b"hprune"] = json.dumps(json.loads(told[b"hprune"]) | change).encode()
    told.pop(b"ARROW:schema")
    pq.write_table(pq.read_table(path).replace_schema_metadata(told), path)
    with pytest.raises(ValueError, match=r"h_score\.parquet was altered: its content is not what its checksum says"):
        load_scores(path)


def test_a_table_from_before_there_were_checksums_loads(tmp_path: Path) -> None:
    path = tmp_path / "h_score.parquet"
    save_scores(path, scores())
    facts = pq.read_metadata(path).metadata[b"hprune"]
    pq.write_table(pq.read_table(path).replace_schema_metadata({b"hprune": facts}), path)
    assert content(load_scores(path)) == content(scores())
    save_scores(path, scores())  # and stays
    with pytest.raises(ValueError, match="holds another score"):
        save_scores(path, scores(seeds=(1, 3)))


def test_the_checksum_does_not_depend_on_the_pieces(tmp_path: Path) -> None:
    for size in (1, 2, 6):
        whole = scores()
        pieces = [
            Scores(
                whole.name, IDS[at : at + size].copy(), whole.values[at : at + size].copy(), whole.higher_is,
                whole.seeds, whole.epochs, whole.measured, whole.data_hash,
            )
            for at in range(0, 6, size)
        ]  # fmt: skip
        save_pieces(tmp_path / f"{size}.parquet", iter(pieces))
    assert len({(tmp_path / f"{size}.parquet").read_bytes() for size in (1, 2, 6)}) == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sample_id": pa.array([1.0]), "value": pa.array([1])}, "sample_id must be int64 and value a number"),
        ({"sample_id": pa.array([1]), "value": pa.array(["1"])}, "sample_id must be int64 and value a number"),
        ({"sample_id": pa.array([1]), "value": pa.array([None], pa.int16())}, "rows without a sample_id or a value"),
        ({"sample_id": pa.array([1]), "value": pa.array([[1]])}, "sample_id must be int64 and value a number"),
    ],
)
def test_other_columns_are_refused(tmp_path: Path, columns: dict[str, pa.Array], message: str) -> None:
    path = tmp_path / "h_score.parquet"
    save_scores(path, scores())
    facts = pq.read_metadata(path).metadata[b"hprune"]
    pq.write_table(pa.table(columns).replace_schema_metadata({b"hprune": facts}), path)
    with pytest.raises(ValueError, match=message):
        load_scores(path)
