"""Every arm beside every other, against SciPy and sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import ttest_rel

from hprune.reporting.matrix import MOST_ARMS, matrix_of
from hprune.reporting.page import render_page
from hprune.storage.files import sha256_of_file, write_table

SEEDS = range(101, 107)


def settings(arm: int, rate: float = 1e-5, budget: str = "epochs") -> dict[str, Any]:
    rule = "everything" if arm == 0 else "by_value"
    return {"subset": {"rule": rule}, "optim": {"lr": rate}, "trainer": {"budget": budget}}


def arms(root: Path, number: int = 3) -> dict[str, list[dict[str, Any]]]:
    """Arms of 20 samples: the full set, then its first 10, 9, ..."""
    rng, made = np.random.default_rng(0), {}
    for i in range(number):
        label, ids = f"arm{i}", np.arange(20)[: 20 if i == 0 else 11 - i]
        made[label] = []
        for seed in SEEDS:
            folder = root / label / str(seed)
            folder.mkdir(parents=True)
            write_table(folder / "subset.parquet", pa.table({"sample_id": ids}), {})
            files = {"subset.parquet": sha256_of_file(folder / "subset.parquet")}
            metrics = {"test": {"accuracy": 0.0}, "validation": {"accuracy": float(rng.normal(0.9 - 0.02 * i, 0.01))}}
            made[label].append({"key": {"seed": seed}, "metrics": metrics, "folder": folder, "data_hash": "d",
                                "full_samples": 20, "settings": settings(i), "files": files})  # fmt: skip
    return made


def test_pairs_are_paired_by_seed_and_corrected_together(tmp_path: Path) -> None:
    made = arms(tmp_path)
    matrix = matrix_of(made, metric="accuracy")
    assert matrix is not None
    assert (matrix["eval_set"], matrix["labels"]) == ("validation", list(made))
    values = {label: [run["metrics"]["validation"]["accuracy"] for run in arm] for label, arm in made.items()}
    assert [(pair["a"], pair["b"]) for pair in matrix["pairs"]] == [
        ("arm0", "arm1"),
        ("arm0", "arm2"),
        ("arm1", "arm2"),
    ]
    for pair in matrix["pairs"]:
        expected = ttest_rel(values[pair["a"]], values[pair["b"]])
        assert pair["p_value"] == pytest.approx(expected.pvalue)
        assert pair["p_value"] <= pair["p_holm"] <= min(1, 3 * pair["p_value"]) + 1e-12
        assert pair["mean"] == pytest.approx(np.mean(values[pair["a"]]) - np.mean(values[pair["b"]]))
        a, b = (set(range(20 if label == "arm0" else 11 - int(label[-1]))) for label in (pair["a"], pair["b"]))
        assert pair["jaccard"] == pytest.approx(len(a & b) / len(a | b))
    assert [pair["kappa"] for pair in matrix["pairs"]] == pytest.approx([0, 0, 0.9])


def test_what_is_not_known_is_null(tmp_path: Path) -> None:
    made = arms(tmp_path, 2)
    (made["arm1"][0]["folder"] / "subset.parquet").unlink()
    made["arm1"] = made["arm1"][:1]
    matrix = matrix_of(made, metric="accuracy")
    assert matrix is not None
    (pair,) = matrix["pairs"]
    assert (pair["seeds"], pair["p_value"], pair["p_holm"], pair["jaccard"], pair["kappa"]) == (
        1,
        None,
        None,
        None,
        None,
    )
    made["arm1"][0]["key"] = {"seed": 7}
    matrix = matrix_of(made, metric="accuracy")
    assert matrix is not None
    assert matrix["pairs"][0]["mean"] is None


def test_arms_that_differ_in_more_than_their_data_are_not_compared(tmp_path: Path) -> None:
    made = arms(tmp_path)
    for run in made["arm2"]:
        run["settings"] = settings(2, rate=5e-5)
    matrix = matrix_of(made, metric="accuracy")
    assert matrix is not None
    compared = {(pair["a"], pair["b"]): pair["p_holm"] is not None for pair in matrix["pairs"]}
    assert compared == {("arm0", "arm1"): True, ("arm0", "arm2"): False, ("arm1", "arm2"): False}
    for run in made["arm2"]:
        run["settings"] = settings(2, budget="steps")
    matrix = matrix_of(made, metric="accuracy")
    assert matrix is not None
    compared = {(pair["a"], pair["b"]): pair["mean"] is not None for pair in matrix["pairs"]}
    assert compared == {("arm0", "arm1"): True, ("arm0", "arm2"): True, ("arm1", "arm2"): False}


def test_one_arm_or_too_many_have_no_matrix(tmp_path: Path) -> None:
    made = arms(tmp_path, 1)
    assert matrix_of(made, metric="accuracy") is None
    assert matrix_of({f"arm{i}": made["arm0"] for i in range(MOST_ARMS + 1)}, metric="accuracy") is None


def test_the_page_shows_differences_above_and_overlap_below(report: dict[str, Any]) -> None:
    pair = {"a": "full", "b": "winning_ticket", "mean": 0.012, "p_value": 0.01, "p_holm": 0.01, "seeds": 5,
            "jaccard": 0.5, "kappa": 0.25}  # fmt: skip
    report["matrix"] = {
        "eval_set": "validation",
        "metric": "accuracy",
        "labels": ["full", "winning_ticket"],
        "pairs": [pair],
    }
    page = render_page(report)
    assert "Every arm beside every other" in page
    assert ">+1.2*</td>" in page
    assert ">0.25</td>" in page
    report["diagnosis"] = [{"sign": "s", "told": "Something <b> was seen.", "advice": "Do something."}]
    assert "Something &lt;b&gt; was seen." in render_page(report)
