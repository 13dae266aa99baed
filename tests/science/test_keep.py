"""Keep-sets read ranges, lists and S, and refuse what makes no sense with a reason."""

from __future__ import annotations

import pytest

from hprune.science.keep import keep_values


@pytest.mark.parametrize(
    ("keep", "runs", "kept"),
    [
        ("1..S-1", 6, (1, 2, 3, 4, 5)),
        ("1..S-1", 12, tuple(range(1, 12))),
        ("2..5", 6, (2, 3, 4, 5)),
        ("0..S", 2, (0, 1, 2)),
        ("S", 4, (4,)),
        ("10", 12, (10,)),
        (5, 6, (5,)),
        ([2, 3, 4], 6, (2, 3, 4)),
        (["1..2", "S"], 6, (1, 2, 6)),
        ("[2,3,4]", 6, (2, 3, 4)),
        ("0,S-2..S", 6, (0, 4, 5, 6)),
    ],
)
def test_keep_values(keep: object, runs: int, kept: tuple[int, ...]) -> None:
    assert keep_values(keep, runs=runs) == kept  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keep", "runs", "message"),
    [
        ("1..S-1", 1, "winning ticket is empty by definition; score at least 2 runs"),
        ("5..3", 6, "keeps nothing with S = 6"),
        ("1..9", 6, r"asks for \[7, 8, 9\], but with S = 6 runs the score lies in 0..6"),
        ("S-7", 6, r"asks for \[-1\]"),
        ("a..b", 6, "cannot read 'a'"),
        ("1..2..3", 6, "has two ends"),
        (2.5, 6, "keep must be a range such as"),
        (True, 6, "keep must be a range such as"),
    ],
)
def test_keep_errors(keep: object, runs: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        keep_values(keep, runs=runs)  # type: ignore[arg-type]
