"""Records that are read in pieces are those that were written, intact, and fit together as for `Dynamics.stack`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hprune import Dynamics, RunKey, RunRecord
from hprune.storage import dynamics as module
from hprune.storage import files
from hprune.storage.dynamics import StoredDynamics, ahead
from hprune.storage.files import read_json, sha256_of_file, write_json
from hprune.storage.manifests import sealed
from hprune.storage.runs import RunFolder, finish_run, load_record, run_folder, save_record, start_run

COLUMNS = ("correct", "true_prob", "margin", "el2n")


def record(seed: int, samples: int = 50, epochs: int = 3, **changes: Any) -> RunRecord:
    rng = np.random.default_rng(seed)
    shape = (epochs, samples)
    made = RunRecord(
        key=RunKey("task", "model", "full", seed),
        sample_ids=np.cumsum(np.random.default_rng(0).integers(1, 9, samples)),
        correct=rng.random(shape) < 0.7,
        true_prob=rng.random(shape, dtype=np.float32),
        margin=rng.normal(size=shape).astype(np.float32),
        el2n=rng.random(shape, dtype=np.float32),
        measured="train_pass",
        data_hash="d",
        settings_hash="s",
    )
    return replace(made, **changes)


def saved(root: Path, made: RunRecord) -> Path:
    """The folder of a complete run with this record."""
    folder = RunFolder(root / f"{made.key.model}-{made.key.seed}-{made.measured}", made.key, {})
    start_run(folder)
    save_record(folder, made)
    finish_run(folder, {})
    return folder.path


def study(root: Path, runs: int = 3, **options: Any) -> list[Path]:
    return [saved(root, record(seed, **options)) for seed in range(1, runs + 1)]


def read(paths: list[Path], columns: tuple[str, ...] = ("correct",), **prefix: Any) -> list[Dynamics]:
    return list(StoredDynamics.open(paths, "train_pass").prefix(**prefix).pieces(columns))


def whole(pieces: list[Dynamics], name: str) -> Any:
    return np.concatenate([getattr(piece, name) for piece in pieces], axis=-1)


@settings(deadline=None, max_examples=25)
@given(
    samples=st.integers(1, 70), groups=st.integers(1, 80), piece=st.integers(1, 5000),
    columns=st.sets(st.sampled_from(COLUMNS), min_size=1), runs=st.integers(1, 3), epochs=st.integers(1, 3),
    skip=st.integers(0, 2),
)  # fmt: skip
def test_pieces_together_are_the_stacked_records(
    tmp_path_factory: pytest.TempPathFactory, samples: int, groups: int, piece: int, columns: set[str], runs: int,
    epochs: int, skip: int,
) -> None:  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROW_GROUP", groups)
        patch.setattr(module, "PIECE_BYTES", piece)
        paths = study(tmp_path_factory.mktemp("study"), samples=samples)
        prefix = {"runs": runs, "epochs": epochs, "skip": min(skip, epochs - 1)}
        pieces = read(paths[::-1], tuple(columns), **prefix)
    stacked = Dynamics.stack([load_record(path, "train_pass") for path in paths])
    expected = stacked.prefix(**prefix)
    assert expected.correct.tolist() == stacked.correct[:runs, prefix["skip"] : epochs].tolist()
    for name in ("sample_ids", *COLUMNS):
        if name in {"sample_ids", "correct"} | columns:
            there, here = whole(pieces, name), getattr(expected, name)
            assert (there.dtype, there.shape, there.tobytes()) == (here.dtype, here.shape, here.tobytes()), name
        else:
            assert all(getattr(one, name) is None for one in pieces)
    for one in pieces:
        assert (one.seeds, one.data_hash, one.measured) == (expected.seeds, "d", "train_pass")
    *first, last = [one.sample_ids.size for one in pieces]
    assert len({*first}) <= 1
    assert 1 <= last <= max([*first, last])


def test_a_piece_is_smaller_where_there_is_more_to_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 600)

    def size(runs: int, columns: tuple[str, ...], epochs: int) -> int:
        return read(paths[:runs], columns, epochs=epochs)[0].sample_ids.size

    paths = study(tmp_path, samples=80)
    assert size(1, ("correct",), 1) == 600 // 9
    assert size(3, ("correct",), 3) == 600 // 33
    assert size(3, COLUMNS, 3) == 600 // (3 * (8 + 3 * 13))
    monkeypatch.setattr(module, "PIECE_BYTES", 1)
    assert size(3, COLUMNS, 3) == 1, "one at least"


@pytest.mark.parametrize(
    "other",
    [
        lambda: record(1, key=RunKey("task", "another", "full", 1)),  # the same seed
        lambda: record(2, data_hash="e"),
        lambda: record(2, settings_hash="t"),
        lambda: record(2, key=RunKey("task", "other", "full", 2)),
        lambda: record(2, key=RunKey("other", "model", "full", 2)),
        lambda: record(2, epochs=2),
        lambda: record(2, samples=49),
        lambda: record(2, sample_ids=np.arange(50)),
    ],
)
def test_runs_that_do_not_fit_are_refused_as_by_stack(tmp_path: Path, other: Callable[[], RunRecord]) -> None:
    both = [record(1), other()]
    with pytest.raises(ValueError, match=r"must differ in their seed only|must have its own seed") as stack:
        Dynamics.stack(both)
    with pytest.raises(ValueError, match=r"must differ in their seed only|must have its own seed") as caught:
        read([saved(tmp_path, one) for one in both])
    assert str(caught.value) == str(stack.value)


def test_ids_are_compared_in_every_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 22 * 7)
    ids = np.arange(50)
    for at in (0, 6, 7, 30, 49):
        other = ids.copy()
        other[at:] += 1
        runs = [saved(tmp_path / f"{at}", record(seed, sample_ids=i)) for seed, i in ((1, ids.copy()), (2, other))]
        with pytest.raises(ValueError, match=r"task/model/full/seed=1 and .*seed=2 differ in sample ids"):
            read(runs, epochs=1)


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ({"runs": 4}, r"runs must be in 1\.\.3, what was logged, got 4; collect more"),
        ({"runs": 0}, r"runs must be in 1\.\.3, what was logged, got 0"),
        ({"epochs": 4}, r"epochs must be in 1\.\.3, what was logged, got 4"),
        ({"epochs": 1.5}, r"epochs must be in 1\.\.3, what was logged, got 1\.5"),
        ({"epochs": "all"}, r"epochs must be in 1\.\.3, what was logged, got all"),
        ({"skip": 3}, r"skip_epochs must be in 0\.\.2, to leave one of 3 epochs, got 3"),
        ({"epochs": 1, "skip": 1}, r"skip_epochs must be in 0\.\.0, to leave one of 1 epochs, got 1"),
    ],
)
def test_more_than_was_logged_is_refused(tmp_path: Path, prefix: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(study(tmp_path), **prefix)


def test_there_must_be_runs_and_they_must_be_complete_and_measured_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one record"):
        StoredDynamics.open([], "train_pass")
    runs = study(tmp_path)
    with pytest.raises(ValueError, match=r"not measured by eval_pass, only by train_pass"):
        StoredDynamics.open(runs, "eval_pass")
    (runs[1] / "run.json").unlink()
    with pytest.raises(ValueError, match=r"no complete run at .*model-2-train_pass"):
        StoredDynamics.open(runs, "train_pass")


def file_of(run: Path) -> Path:
    return run / "record.train_pass.parquet"


def chunks_of(file: Path) -> dict[str, tuple[int, int]]:
    """Where each column lies in a file of one row group: from, to."""
    group = pq.read_metadata(file).row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    ends = {c.path_in_schema: (c.data_page_offset, c.data_page_offset + c.total_compressed_size) for c in columns}
    assert len(ends) == len(columns)
    return ends


def flip(file: Path, at: int, mask: int = 1) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= mask
    file.write_bytes(content)


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    """In every byte of every column that is read: pages have checksums, their headers are parsed and counted."""
    runs = study(tmp_path, runs=1, samples=300)
    file, expected = file_of(runs[0]), read(runs, ("correct", "el2n"), epochs=2)
    before, rng, told = file.read_bytes(), np.random.default_rng(0), []
    wanted = ("sample_id", "correct_0", "correct_1", "el2n_0", "el2n_1")
    spans = [span for name, span in chunks_of(file).items() if name in wanted]
    headers = [at for start, _ in spans for at in range(start, start + 40)]
    for at in [*headers, *(int(at) for start, end in spans for at in rng.integers(start + 40, end, 20))]:
        flip(file, at, 1 << int(rng.integers(8)))
        try:
            found = read(runs, ("correct", "el2n"), epochs=2)
        except ValueError as error:
            told.append(str(error))
        else:
            for name in ("sample_ids", "correct", "el2n"):
                assert whole(found, name).tobytes() == whole(expected, name).tobytes(), (at, name)
        file.write_bytes(before)
    assert len(told) > 150
    for message in told:
        assert message.startswith(f"{file} is not readable Parquet (")
        assert message.endswith("; it was altered or cut off")


def test_only_what_is_needed_is_read(tmp_path: Path) -> None:
    runs = study(tmp_path)
    expected = read(runs, runs=2, epochs=2)
    for name, (_, end) in chunks_of(file_of(runs[0])).items():
        if name not in ("sample_id", "correct_0", "correct_1"):
            flip(file_of(runs[0]), end - 1)
    flip(file_of(runs[2]), chunks_of(file_of(runs[2]))["correct_0"][1] - 1)
    assert whole(read(runs, runs=2, epochs=2), "correct").tobytes() == whole(expected, "correct").tobytes()
    for options, columns, run in (
        ({"epochs": 2}, ("correct",), 2),
        ({"runs": 2}, ("correct",), 0),
        ({"runs": 2, "epochs": 2}, ("true_prob",), 0),
    ):
        with pytest.raises(ValueError, match=r"is not readable Parquet .*CRC") as caught:
            read(runs, columns, **options)
        assert str(file_of(runs[run])) in str(caught.value)
    with pytest.raises(ValueError, match=r"was altered after the run: its checksum is not the one in run\.json"):
        load_record(runs[0], "train_pass")


def shorter(file: Path, by: int) -> None:
    file.write_bytes(file.read_bytes()[:-by])


def swapped(file: Path) -> None:
    """The same numbers, but of another run."""
    folder = RunFolder(file.parent, RunKey("task", "model", "full", 9), {})
    save_record(folder, replace(record(1), key=folder.key))


def rewritten(file: Path) -> None:
    """One answer differs; its column has the same size, range and place."""
    correct = record(1).correct.copy()
    correct[0, 10] ^= True
    save_record(RunFolder(file.parent, record(1).key, {}), record(1, correct=correct))


def rewritten_by_another_program(file: Path) -> None:
    pq.write_table(pq.read_table(file), file)


@pytest.mark.parametrize("harm", [
    *(lambda file, by=by: shorter(file, by) for by in (1, 8, 9, 500)),
    lambda file: shorter(file, file.stat().st_size - 3),
    lambda file: file.write_bytes(b""),
    lambda file: file.write_bytes(b"\xff" * 2000),
    lambda file: flip(file, -5),
    lambda file: flip(file, -60),
    swapped, rewritten, rewritten_by_another_program,
])  # fmt: skip
def test_a_file_that_is_not_the_one_of_the_run_is_refused_before_anything_is_read(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    runs = study(tmp_path)
    StoredDynamics.open(runs, "train_pass")
    harm(file_of(runs[0]))
    with pytest.raises(ValueError, match=r"was altered after the run: its footer .* remove the run's folder") as caught:
        StoredDynamics.open(runs, "train_pass")
    assert str(caught.value).startswith(str(file_of(runs[0])))


def test_an_older_run_without_footers_is_checked_as_a_whole(tmp_path: Path) -> None:
    runs = study(tmp_path)
    expected = whole(read(runs), "correct")
    for run in runs:  # as they were before: no checksums in the file, none of its end in the manifest
        table, facts = files.read_table(file_of(run))
        table = table.replace_schema_metadata({"hprune": files.json.dumps(facts)})
        pq.write_table(table, file_of(run), compression="zstd", use_dictionary=False)
        manifest = read_json(run / "run.json")
        del manifest["footers"]
        manifest["files"] = {file_of(run).name: sha256_of_file(file_of(run))}
        write_json(run / "run.json", sealed(manifest))
    assert (whole(read(runs), "correct") == expected).all()
    flip(file_of(runs[1]), chunks_of(file_of(runs[1]))["el2n_2"][1] - 1)
    with pytest.raises(ValueError, match=r"model-2-train_pass.* was altered after the run: its checksum is not"):
        read(runs)


def test_ahead_gives_the_same_items_and_the_same_failure() -> None:
    assert list(ahead(iter(range(5)))) == list(range(5))
    assert list(ahead(iter([]))) == []

    def failing() -> Any:
        yield 1
        raise ValueError("two")

    items = ahead(failing())
    assert next(items) == 1
    with pytest.raises(ValueError, match="two"):
        next(items)
    assert list(itertools.islice(ahead(itertools.count()), 3)) == [0, 1, 2]


def test_the_folder_of_a_real_run_is_read(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, RunKey("task", "model", "full", 1), {"lr": 1e-3})
    start_run(folder)
    save_record(folder, record(1, settings_hash=folder.settings_hash))
    finish_run(folder, {})
    assert set(read_json(folder.manifest)["footers"]) == set(read_json(folder.manifest)["files"])
    assert read([folder.path])[0].sample_ids.size == 50
