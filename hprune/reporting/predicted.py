"""Temporary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hprune.science.pseudovalues import METRICS, contributions
from hprune.storage.predictions import load_predictions


def contributions_of(run: Path, eval_set: str, metric: str) -> NDArray[np.float64] | None:
    table = load_predictions(run, eval_set)
    if table is None or metric not in METRICS or "pred" not in table.column_names:
        return None
    return contributions(METRICS[metric], table["label"].to_numpy(), table["pred"].to_numpy())
