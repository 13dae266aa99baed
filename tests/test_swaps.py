"""Any two files of one kind, and any two folders of runs, exchanged between runs, seeds and studies: it is noticed.

All pairs, and which command notices what: `benchmarks/swaps.py`.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.swaps import KINDS, Made, make_studies, noticing, pairs, swapped


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_studies(tmp_path_factory.mktemp("swaps") / "root")


def test_what_is_in_its_place_is_refused_by_none(made: Made) -> None:
    assert list(noticing(made)) == []


READ_BY = {
    "run.json": "status", "identity.json": "verify", "failure.json": "status", "records": "verify",
    "predictions": "verify", "subset.parquet": "verify", "resume.ckpt": "train", "folders of runs": "train",
    "references": "report", "plan.json": "verify", "margin.json": "verify", "report.json": "verify",
    "score tables": "verify", "token tables": "verify",
}  # fmt: skip
"""A command that notices every exchange."""


@pytest.mark.parametrize("kind", KINDS)
def test_what_changed_places_is_noticed(kind: str, made: Made) -> None:
    tried = pairs(made.root, kind)
    assert tried
    for a, b in random.Random(kind).sample(tried, min(2, len(tried))):
        with swapped(a, b):
            assert list(noticing(made, [READ_BY[kind]])), (a, b)
    assert not list(Path(made.root).rglob("aside"))
