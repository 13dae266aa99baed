"""What tests share: a tiny task on disk, and runs composed from the real configuration."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" not in os.environ:  # what commands note of their user, who is not the one at this machine
    _STATE = tempfile.TemporaryDirectory(prefix="hprune-state-")  # until the tests have ended
    os.environ["XDG_STATE_HOME"] = _STATE.name
settings.register_profile("no deadline", deadline=None)  # a busy machine is no failure
settings.load_profile("no deadline")

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

TINY_MODEL = (
    "model.config.hidden_size=16", "model.config.num_hidden_layers=1", "model.config.num_attention_heads=2",
    "model.vocab_size=300",
)  # fmt: skip


def heed_interrupts() -> None:
    """In a process that is about to start: SIGINT as at a terminal, though what runs the tests may ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


SLOWEST = (
    "test_ranks",
    "test_at_once",
    "test_readme",
    "test_benchmarks",
    "test_launchers",
    "test_interrupt",
    "test_kills",
)
"""Files that take longest, first: a worker takes a whole file, and none should be left with one of these at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest files first, the others as they were collected."""
    place = {name: number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(SLOWEST)))


@pytest.fixture(autouse=True)
def _logging_stays_enabled() -> Iterator[None]:
    """What a benchmark silences in this process is silent for its own test only."""
    before = logging.root.manager.disable
    yield
    logging.disable(before)


@pytest.fixture(scope="session")
def corpus_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train, validation and test Parquet of the columns `sentence` and `label`."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


def write_corpus(folder: Path) -> None:
    """Write them."""
    from hprune.tasks.demo_corpus import generate

    for split, size in (("train", 160), ("validation", 60), ("test", 40)):
        pq.write_table(generate(split, num_samples=size).select(["sentence", "label"]), folder / f"{split}.parquet")


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each task with the files that a copy of the hub's data set would have, and a CSV of one's own."""
    from tests.local_hub import write_hub

    root = tmp_path_factory.mktemp("hub")
    write_hub(root)
    return root


@pytest.fixture
def table() -> pa.Table:
    """Eight rows, two classes."""
    words = ["good", "bad", "fine", "poor", "great", "dull", "nice", "sad"]
    return pa.table({"sentence": [f"a {word} film" for word in words], "label": [1, 0] * 4})


@pytest.fixture
def compose_run(corpus_dir: Path) -> Callable[..., object]:
    """Compose a tiny run from the real configuration, with overrides: a RunSpec."""
    from hydra import compose, initialize_config_dir

    from hprune.command import CONF, run_spec

    def make(*overrides: str) -> object:
        with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
            base = (
                "task=sst2",
                "model=tiny_roberta",
                f"task.data_dir={corpus_dir}",
                "trainer.threads=1",
                "optim.lr=1e-3",
            )
            tiny = ("data.batch_size=16", *TINY_MODEL, "model.config.intermediate_size=32")
            return run_spec(compose("train", overrides=[*base, *tiny, *overrides]))

    return make


@pytest.fixture(scope="session")
def tiny(corpus_dir: Path) -> list[str]:
    """Overrides that shrink any experiment to seconds: tiny data, model and seeds."""
    return tiny_options(corpus_dir)


def tiny_options(corpus: Path) -> list[str]:
    """Such overrides."""
    return [
        "task=sst2", f"task.data_dir={corpus}", "model=tiny_roberta", *TINY_MODEL,
        "model.config.intermediate_size=32", "trainer.threads=1", "trainer.max_epochs=2", "optim.lr=5e-3",
        "data.batch_size=16", "scoring.seeds=[1,2,3]", "comparison.seeds=[11,12]",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def run_command() -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process, as if typed: (exit code, standard output, standard error)."""
    import contextlib
    import importlib
    import io
    import logging
    import sys

    def run(command: str, *arguments: str) -> tuple[int, str, str]:
        out, err, argv, code = io.StringIO(), io.StringIO(), sys.argv, 0
        handlers = list(logging.getLogger().handlers)
        sys.argv = [f"hprune.{command}", *arguments]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                importlib.import_module(f"hprune.{command}").main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
            err.write(str(stop.code) if isinstance(stop.code, str) else "")
        finally:
            sys.argv = argv
            logging.getLogger().handlers[:] = handlers
        return code, out.getvalue(), err.getvalue()

    return run
