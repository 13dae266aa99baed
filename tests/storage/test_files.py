"""Files appear whole or not at all, and come back as they were written."""

from __future__ import annotations

import errno
import hashlib
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hprune.storage import files
from hprune.storage.files import (
    as_json,
    check_name,
    open_table,
    read_json,
    read_table,
    sha256_of_file,
    sha256_of_footer,
    sha256_of_json,
    table_writer,
    whole_file,
    write_json,
    write_table,
)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError()])
@pytest.mark.parametrize("old", [b"old", None])
def test_a_block_that_fails_changes_nothing(tmp_path: Path, error: BaseException, old: bytes | None) -> None:
    target = tmp_path / "a.json"
    if old is not None:
        target.write_bytes(old)
    before = files_in(tmp_path)
    with pytest.raises(type(error)), whole_file(target) as temporary:  # noqa: PT012
        temporary.write_bytes(b"half")
        assert files_in(tmp_path).get("a.json") == old, "the target changes only when the block is done"
        raise error
    assert files_in(tmp_path) == before


def test_a_full_disk_is_named_with_its_number_and_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot write .*a\.json: No space left on device; nothing was") as caught:  # noqa: SIM117
        with whole_file(tmp_path / "a.json"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.errno == errno.ENOSPC


def test_a_folder_that_cannot_be_made_is_named_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"cannot write .*file/a\.json"):
        write_json(tmp_path / "file" / "a.json", {})


def test_a_block_that_succeeds_replaces_the_file_and_makes_its_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "a.txt"
    for content in (b"one", b"two"):
        with whole_file(target) as temporary:
            temporary.write_bytes(content)
        assert files_in(target.parent) == {"a.txt": content}


def test_json_comes_back_in_its_order(tmp_path: Path) -> None:
    content = {"b": [1, 2.5, None, True], "a": {"é": "ü\n"}}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content
    assert list(read_json(tmp_path / "a.json")) == ["b", "a"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"deep": [float("nan")]}])
def test_json_refuses_what_is_not_json(tmp_path: Path, value: object) -> None:
    write_json(tmp_path / "a.json", "old")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", value)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_table(tmp_path / "a.parquet", pa.table({"x": [1]}), {"fact": value})
    assert read_json(tmp_path / "a.json") == "old"
    assert list(files_in(tmp_path)) == ["a.json"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe"])
def test_broken_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.json is not readable JSON .*cut off: move it away"):
        read_json(tmp_path / "run.json")


def table(rows: int = 500) -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "sample_id": np.cumsum(rng.integers(1, 9, rows)),
            "right": rng.random(rows) < 0.5,
            "prob": rng.random(rows).astype(np.float32),
            "text": [f"é {i}" for i in range(rows)],
        }
    )


def test_tables_and_facts_come_back(tmp_path: Path) -> None:
    facts = {"name": "h", "seeds": [1, 2], "deep": {"é": None}}
    write_table(tmp_path / "a.parquet", table(), facts)
    there, found = read_table(tmp_path / "a.parquet")
    assert there.equals(table())
    assert found == facts
    write_table(tmp_path / "b.parquet", table(0))
    there, found = read_table(tmp_path / "b.parquet")
    assert (there.num_rows, there.schema.names, found) == (0, table().column_names, {})


def test_equal_tables_are_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_table(tmp_path / name, table(), {"x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256((tmp_path / "b").read_bytes()).hexdigest()


def test_ids_are_small_and_readable_without_our_code(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", pa.table({"sample_id": np.arange(100_000)}))
    assert (tmp_path / "a.parquet").stat().st_size < 10_000
    assert pq.read_table(tmp_path / "a.parquet")["sample_id"].to_pylist()[-1] == 99_999


@pytest.mark.parametrize("cuts", [[], [1], [100, 101, 400], [64, 128, 192], [0, 500]])
@pytest.mark.parametrize("group", [64, 1000])
def test_pieces_make_the_bytes_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuts: list[int], group: int
) -> None:
    monkeypatch.setattr(files, "ROW_GROUP", group)
    write_table(tmp_path / "whole", table(), {"x": 1})
    with table_writer(tmp_path / "pieces", table().schema, {"x": 1}) as write:
        for start, end in itertools.pairwise([0, *cuts, 500]):
            write(table().slice(start, end - start))
    assert (tmp_path / "pieces").read_bytes() == (tmp_path / "whole").read_bytes()
    groups = pq.read_metadata(tmp_path / "whole")
    sizes = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
    assert sizes == [group] * (500 // group) + ([500 % group] if 500 % group else [])


def test_a_table_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROW_GROUP", 64)
    with pytest.raises(KeyError), table_writer(tmp_path / "a.parquet", table().schema) as write:  # noqa: PT012
        write(table())
        raise KeyError
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("size", [1, 64, 77, 500, 1000])
def test_batches_are_of_one_size_whatever_the_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(files, "ROW_GROUP", 96)
    write_table(tmp_path / "a.parquet", table(), {"x": 1})
    opened = open_table(tmp_path / "a.parquet")
    assert (opened.rows, opened.facts) == (500, {"x": 1})
    batches = list(opened.batches(size, ["sample_id", "right"]))
    assert [batch.num_rows for batch in batches] == [size] * (500 // size) + ([500 % size] if 500 % size else [])
    assert pa.Table.from_batches(batches).equals(table().select(["sample_id", "right"]))
    assert opened.read().equals(table())


def test_numbers_are_written_and_read_as_pyarrow_does() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.random(100) < 0.5, rng.integers(0, 9, 100), rng.random(100).astype(np.float32)):
        column = pa.array(values)
        for start, length in ((0, 100), (3, 50), (8, 8), (99, 1), (50, 0)):
            part = files.array_of(column.slice(start, length))
            assert (part.dtype, part.tolist()) == (values.dtype, values[start : start + length].tolist())
        if values.dtype != np.bool_:
            assert files.column_of(values[::3]).equals(pa.array(values[::3]))


def test_a_broken_page_is_named_whichever_way_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, table())
    column = pq.read_metadata(path).row_group(0).column(2)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 5] ^= 1
    path.write_bytes(content)
    assert [batch.num_columns for batch in open_table(path).batches(300, ["sample_id", "right"])] == [2, 2]
    for read in (read_table, lambda path: list(open_table(path).batches(300))):
        with pytest.raises(ValueError, match=r"a\.parquet is not readable Parquet .*CRC.*; it was altered or cut off$"):
            read(path)


def test_the_digest_of_a_footer_is_that_of_the_end_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, table(), {"x": 1})
    content = path.read_bytes()
    length = pq.read_metadata(path).serialized_size
    assert sha256_of_footer(path) == hashlib.sha256(content[-length - 8 :]).hexdigest()
    for broken in (b"", b"PAR1", content[:-1], b"\xff" * 20):
        path.write_bytes(broken)
        assert sha256_of_footer(path) != hashlib.sha256(content[-length - 8 :]).hexdigest()


@pytest.mark.parametrize("at", [4, 10, -8, -60])
def test_broken_parquet_is_named(tmp_path: Path, at: int) -> None:
    write_table(tmp_path / "a.parquet", pa.table({"x": np.random.default_rng(0).random(50)}))
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[at : (at + 8) or None] = b"\xff" * 8
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet is not readable Parquet .*; it was altered or cut off$"):
        read_table(tmp_path / "a.parquet")


def test_digests_of_values_do_not_depend_on_the_order_of_keys() -> None:
    assert sha256_of_json({"a": 1, "b": {"c": 2, "d": 3}}) == sha256_of_json({"b": {"d": 3, "c": 2}, "a": 1})
    assert (
        len({sha256_of_json(x) for x in ({"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"}, {"a": None}, {}, [1], [[1]])}) == 8
    )
    assert as_json({"a": (1, 2), 3: {"b": ()}}) == {"a": [1, 2], "3": {"b": []}}


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/a", "a\\b", ".hidden", "a b", "a\n", "-x"])
def test_names_that_are_not_one_plain_folder_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="study must be a plain name"):
        check_name("study", name)
