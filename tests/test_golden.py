"""What 0.1.0 made of small inputs is what today's code makes of them: see `tests/golden.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests import golden
from tests.golden import FILE, FILE_0_2, Golden, settings_hash, settings_of_0_1

FROZEN: Golden = json.loads(FILE.read_text())
FROZEN_0_2: Golden = json.loads(FILE_0_2.read_text())
BORDER = 2e-3
"""Margins within which another machine's last digits may turn an answer."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    golden.write_files(folder)
    return folder


def test_runs_are_named_as_ever(files: Path, tmp_path: Path) -> None:
    settings = dict(golden.settings_of_runs(files, tmp_path))
    found = {name: settings_hash(of_run) for name, of_run in settings.items()}
    assert len(set(found.values())) == len(found) - 1, "but for a budget of steps, which the full set has anyway"
    assert found["trainer_steps"] == found["task_own"]
    on_subsets = {name for name in found if name.startswith("subset_")}
    assert {name for name, of_run in settings.items() if "order_from" in of_run["data"]} == on_subsets
    assert {name: found[name] for name in on_subsets} == FROZEN_0_2["settings"]
    before = {name: settings_hash(settings_of_0_1(of_run)) for name, of_run in settings.items()}
    assert before == FROZEN["settings"], "and runs on a subset but for their order"
    assert not {found[name] for name in on_subsets} & set(before.values())


def test_data_have_the_hash_that_they_had(files: Path, tmp_path: Path) -> None:
    assert golden.data_hashes(files, tmp_path) == FROZEN["data"]


def test_batches_come_in_the_order_that_they_had() -> None:
    found = golden.batch_orders()
    assert found == FROZEN["orders"]
    assert len({order["sha256"] for order in found.values()}) > len(found) / 2


def test_subsets_come_in_the_order_that_they_had_since_0_2() -> None:
    assert golden.subset_orders() == FROZEN_0_2["orders"]


def test_selections_draw_what_they_drew() -> None:
    found = golden.selections()
    assert found == FROZEN["selections"]
    assert {len(kept) for name, kept in found.items() if not name.startswith("by_value")} == {13}


def cases(found: Golden) -> Iterator[tuple[str, Golden, Golden]]:
    assert found.keys() == FROZEN["records"].keys()
    for name, record in found.items():
        assert record.keys() == FROZEN["records"][name].keys()
        yield name, record, FROZEN["records"][name]


def test_records_hold_the_values_that_they_held(files: Path, tmp_path: Path) -> None:
    for name, record, frozen in cases(golden.records(files, tmp_path)):
        assert record["sample_ids"] == frozen["sample_ids"], name
        for column in sorted(record.keys() - {"sample_ids", "correct"}):
            np.testing.assert_allclose(
                record[column], frozen[column], atol=1e-3, rtol=1e-3, err_msg=f"{name}, {column}"
            )
        clear = np.abs(frozen["margin"]) > BORDER
        assert clear.mean() > 0.9, name
        assert (np.array(record["correct"]) == np.array(frozen["correct"]))[clear].all(), name
