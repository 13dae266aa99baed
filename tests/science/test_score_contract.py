"""Every score in conf/score depends on each sample alone: scoring pieces is scoring the whole."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st

from hprune import Dynamics
from hprune.command import CONF
from hprune.science.records import CONTINUOUS, OPTIONAL
from hprune.score import ScoreSpec, instantiate_spec

ALL = sorted(path.stem for path in (CONF / "score").glob("*.yaml"))


@functools.cache
def spec_of(name: str) -> ScoreSpec:
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        return instantiate_spec(compose("score", overrides=["study=s", f"score={name}"]).score)


SCORES = [name for name in ALL if not spec_of(name).of_texts]  # those look at all texts


def known(runs: int, epochs: int, samples: int, seed: int, needs: Any) -> Dynamics:
    """Dynamics with the columns that a score says it needs, and no others."""
    rng, shape = np.random.default_rng(seed), (runs, epochs, samples)
    real = {name: rng.random(shape, dtype=np.float32) for name in (*CONTINUOUS, *OPTIONAL) if name in needs}
    return Dynamics(np.cumsum(rng.integers(1, 9, samples)), rng.random(shape) < rng.random(), **real)


def part(dynamics: Dynamics, start: int, end: int) -> Dynamics:
    cut = {name: getattr(dynamics, name) for name in ("correct", *CONTINUOUS, *OPTIONAL)}
    cut = {name: values[:, :, start:end] for name, values in cut.items() if values is not None}
    return replace(dynamics, sample_ids=dynamics.sample_ids[start:end], **cut)


def test_there_are_scores() -> None:
    assert "h_score" in SCORES


@pytest.mark.parametrize("name", SCORES)
@given(
    runs=st.integers(1, 9), epochs=st.integers(1, 9), samples=st.integers(1, 40), seed=st.integers(0, 99),
    cuts=st.lists(st.integers(0, 40), max_size=5),
)  # fmt: skip
def test_scoring_pieces_is_scoring_the_whole(
    name: str, runs: int, epochs: int, samples: int, seed: int, cuts: list[int]
) -> None:
    spec = spec_of(name)
    if name in ("ambiguous", "variability") and runs * epochs == 1:
        epochs = 2  # the spread of one value is refused
    dynamics = known(runs, epochs, samples, seed, spec.needs)
    whole = spec.function(dynamics)
    bounds = sorted({0, samples, *(at for at in cuts if at < samples)})
    pieces = [spec.function(part(dynamics, start, end)) for start, end in itertools.pairwise(bounds)]
    assert {piece.dtype for piece in pieces} == {whole.dtype}
    assert np.concatenate(pieces).tobytes() == whole.tobytes()
