"""What the method claims, on data whose truth is planted: three runs on the demo's corpus.

The bounds leave room below what three corpora (seeds 1 to 3) gave; EXPERIMENTS.md has the numbers. Claims that do not
hold on this data are not here but there: with the training pass few plain sentences reach H = S, and the winning ticket
of a model from scratch does not beat random of equal size.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hprune.report import task_of_study
from hprune.storage.scores import load_scores
from hprune.tasks.source import read_splits

S = 3


@pytest.fixture(scope="module")
def scored(
    tmp_path_factory: pytest.TempPathFactory, run_command: Callable[..., tuple[int, str, str]]
) -> dict[str, dict[str, NDArray[np.int16]]]:
    """H of the samples of each planted kind, for both ways of measuring; "all" for every sample."""
    root = tmp_path_factory.mktemp("claims")
    seeds = ("scoring.seeds=[1,2,3]", "seed=1,2,3")
    code, _, err = run_command("train", "-m", "+experiment=demo", "record=both", *seeds, f"paths.root={root}")
    assert code == 0, err
    found: dict[str, dict[str, NDArray[np.int16]]] = {}
    for way in ("train_pass", "eval_pass"):
        code, _, err = run_command("score", "study=demo", f"score.measured={way}", f"paths.root={root}")
        assert code == 0, err
    kinds = np.array(read_splits(task_of_study(Path(root), "demo"))["train"]["kind"].to_pylist())
    for way, name in (("train_pass", "h_score"), ("eval_pass", "h_score-eval_pass")):
        scores = load_scores(Path(root) / f"studies/demo/scores/{name}.parquet")
        found[way] = {kind: scores.values[kinds[scores.sample_ids] == kind] for kind in np.unique(kinds)}
        found[way]["all"] = scores.values
    return found


@pytest.mark.parametrize(("way", "recall", "lift"), [("train_pass", 0.85, 3.5), ("eval_pass", 0.8, 5.0)])
def test_flipped_labels_concentrate_at_zero(scored, way: str, recall: float, lift: float) -> None:  # type: ignore[no-untyped-def]
    h = scored[way]
    assert np.mean(h["flipped"] == 0) > recall
    assert np.mean(h["flipped"] == 0) / np.mean(h["all"] == 0) > lift
    assert np.mean(h["flipped"] == S) < 0.05


def test_plain_sentences_and_near_duplicates_are_always_right(scored) -> None:  # type: ignore[no-untyped-def]
    h = scored["eval_pass"]
    for kind in ("plain", "near_duplicate"):
        assert np.mean(h[kind] == S) > 0.88
        assert np.mean(h[kind] == S) / np.mean(h["all"] == S) > 1.25


@pytest.mark.parametrize("way", ["train_pass", "eval_pass"])
def test_ambiguous_sentences_lie_in_between(scored, way: str) -> None:  # type: ignore[no-untyped-def]
    h = scored[way]
    assert h["flipped"].mean() + 0.4 < h["ambiguous"].mean() < h["plain"].mean() - 0.7
    in_between = {kind: np.mean((values > 0) & (values < S)) for kind, values in h.items()}
    assert in_between["ambiguous"] > 3 * in_between["flipped"]


def test_the_winning_ticket_sheds_most_of_the_noise(scored) -> None:  # type: ignore[no-untyped-def]
    for h in scored.values():
        kept = np.mean((h["all"] > 0) & (h["all"] < S))
        assert np.mean((h["flipped"] > 0) & (h["flipped"] < S)) < kept / 2
