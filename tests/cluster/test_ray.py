"""A sweep by Ray: the same tables as the basic launcher's, also if a worker is killed.

make test-ray      (in an environment of its own, as Ray's launcher needs older packages)
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps import contents, ended, left_over, starts, sweep, working

pytestmark = pytest.mark.ray

HERE = "+hydra.launcher.ray.init._node_ip_address=127.0.0.1"
LAUNCHER = (
    "hydra/launcher=ray",
    "hydra.launcher.ray.init.num_cpus=2",
    "+hydra.launcher.ray.init._node_ip_address=127.0.0.1",
)


@pytest.fixture(scope="module")
def options(tiny: list[str]) -> list[str]:
    return [*tiny, "trainer.max_epochs=10", "study=s", "trainer.checkpoint_minutes=0"]


@pytest.fixture(scope="module")
def basic(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The tables of seeds 1 and 2 by the basic launcher."""
    root = tmp_path_factory.mktemp("basic")
    with sweep(*options, "seed=1,2", f"paths.root={root}") as process:
        ended(process, code=0)
    return contents(root)


def test_tasks_give_the_same_tables_and_a_failed_one_stops_no_other(
    options: list[str], basic: dict[str, Any], tmp_path: Path
) -> None:
    with sweep(*options, *LAUNCHER, "seed=1,-3,2", f"paths.root={tmp_path}") as process:
        told, _ = ended(process, code=1)
    assert told["#1 seed=-3"].startswith("failed seed must be a whole number from 0")
    assert (told["#0 seed=1"], told["#2 seed=2"]) == ("done", "done")
    assert contents(tmp_path) == basic


def test_a_worker_that_is_killed_is_started_again(options: list[str], basic: dict[str, Any], tmp_path: Path) -> None:
    with sweep(*options, *LAUNCHER, "seed=1,2", f"paths.root={tmp_path}") as process:
        working(tmp_path, 2).send_signal(signal.SIGKILL)
        told, _ = ended(process, code=0)
    assert told == {"#0 seed=1": "done", "#1 seed=2": "resumed"}
    assert contents(tmp_path) == basic
    assert starts(tmp_path) == [0, 1]
    assert not left_over(tmp_path)


def test_without_a_second_try_it_has_failed_and_the_others_end(
    options: list[str], basic: dict[str, Any], tmp_path: Path
) -> None:
    command = [*options, *LAUNCHER, f"paths.root={tmp_path}", "seed=1,2"]
    with sweep(*command, "hydra.launcher.ray.remote.max_retries=0") as process:
        working(tmp_path, 2).send_signal(signal.SIGKILL)
        told, said = ended(process, code=1)
    assert told["#0 seed=1"] == "done"
    assert told["#1 seed=2"].startswith("failed its process was ended")
    assert "#1 ended without a result" in said
    with sweep(*command) as process:
        told, _ = ended(process, code=0)
    assert told == {"#0 seed=1": "skipped", "#1 seed=2": "resumed"}
    assert contents(tmp_path) == basic
