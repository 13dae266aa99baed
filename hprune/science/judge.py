"""What an independent judge has right, by H: which of the samples that the runs missed are hard for anyone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def right_by_h(right: NDArray[np.bool_], h: NDArray[np.integer], runs: int) -> dict[str, Any]:
    """Count what the judge has right among the samples of each H, and of each region of H.

    Args:
        right: (N,) whether the judge, which was not fitted on a sample, has its label right.
        h: (N,) 0..S.
        runs: S.

    Returns:
        `groups` for H = 0, 0 < H < S and H = S, and `by_h` for each value, all `{count, right, share}` with `group` or
        `value`; `share` is null where there is no sample. `ordinary` and `hard_core` are the samples of H = 0 that the
        judge has right and wrong, `{count, share}` of those with H = 0.

    Example:
        >>> found = right_by_h(np.array([True, False, False, True]), np.array([0, 0, 0, 2]), 2)
        >>> found["ordinary"]["count"], found["hard_core"]["count"], found["groups"][2]["share"]
        (1, 2, 1.0)
    """
    regions = {"H = 0": h == 0, "0 < H < S": (h > 0) & (h < runs), "H = S": h == runs}
    hardest = _counted(right, regions["H = 0"])
    wrong = hardest["count"] - hardest["right"]
    return {
        "groups": [{"group": name, **_counted(right, inside)} for name, inside in regions.items()],
        "by_h": [{"value": value, **_counted(right, h == value)} for value in range(runs + 1)],
        "ordinary": {"count": hardest["right"], "share": hardest["share"]},
        "hard_core": {"count": wrong, "share": None if hardest["share"] is None else wrong / hardest["count"]},
    }


def _counted(right: NDArray[np.bool_], inside: NDArray[np.bool_]) -> dict[str, Any]:
    count, of_these = int(inside.sum()), int((right & inside).sum())
    return {"count": count, "right": of_these, "share": of_these / count if count else None}
