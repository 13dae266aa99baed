"""A folder where one kind of fault is tried, by calls that every version has: commands, tasks that are read."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import logging
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
_asked = [sys.argv[at + 1] for at, word in enumerate(sys.argv[:-1]) if word == "--code"]
CODE = Path(_asked[0] if _asked else HERE).resolve()
"""The checkout that is tried."""
if Path(sys.argv[0]).name == "faults.py":
    sys.path.insert(0, str(CODE))  # before anything of hprune is imported

TINY = (
    "model=tiny_roberta", "model.config.hidden_size=16", "model.config.num_hidden_layers=1",
    "model.config.num_attention_heads=2", "model.config.intermediate_size=32", "model.vocab_size=300",
    "trainer.threads=1", "trainer.max_epochs=2", "data.batch_size=16", "optim.lr=5e-3", "scoring.seeds=[1,2]",
    "comparison.seeds=[11,12]",
)  # fmt: skip
BERT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
Row = dict[str, Any]
Probe = Callable[["Place"], tuple[bool, object]]


@dataclass(frozen=True)
class Fault:
    """A kind of fault, the test that holds it right, and what tries it."""

    line: str
    test: str
    """File below tests/ and function."""
    probe: Probe


FAULTS: list[Fault] = []


def fault(line: str, test: str) -> Callable[[Probe], Probe]:
    """Add what tries a line: whether it is right, and what came."""

    def add(probe: Probe) -> Probe:
        FAULTS.append(Fault(line, test, probe))
        return probe

    return add


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The line that says it."""
        return (
            [line for line in (self.err or self.out).splitlines() if line.strip() and "HYDRA_FULL_ERROR" not in line]
            or [""]
        )[-1]

    def refused(self, *words: str) -> bool:
        """Whether it ended with one line that holds these words, not with a traceback."""
        return self.code == 1 and "Traceback" not in self.err and all(word in self.err for word in words)


@dataclass(frozen=True)
class Place:
    """A folder of its own, and what is done there."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def write(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="")
        return path

    def rows(self, name: str, rows: Sequence[Row]) -> Path:
        """A CSV of these rows."""
        made = io.StringIO(newline="")
        writer = csv.DictWriter(made, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return self.write(name, made.getvalue())

    def task(self, *options: str, **values: Any) -> Any:
        """Read a task: the options are of the command line, the values what YAML would have there."""
        from hydra import compose, initialize_config_dir
        from omegaconf import OmegaConf

        from hprune.command import CONF, run_spec
        from hprune.tasks.load import load_task

        with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
            cfg = compose("train", overrides=["task=own", *options])
        for key, value in values.items():
            OmegaConf.update(cfg, f"task.{key}", value)
        return load_task(run_spec(cfg).task)

    def command(self, name: str, *options: str) -> Ended:
        """Run a command in this process."""
        out, err, argv, code = io.StringIO(), io.StringIO(), sys.argv, 0
        handlers = list(logging.getLogger().handlers)
        sys.argv = [f"hprune.{name}", *options, f"paths.root={self.root}"]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                importlib.import_module(f"hprune.{name}").main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
            err.write(stop.code if isinstance(stop.code, str) else "")
        except BaseException:
            code = 70
            err.write(traceback.format_exc())
        finally:
            sys.argv = argv
            logging.getLogger().handlers[:] = handlers
            logging.disable(logging.NOTSET)
        return Ended(code, out.getvalue(), err.getvalue())

    def must(self, name: str, *options: str) -> Ended:
        """Run a command that prepares what is tried."""
        ended = self.command(name, *options)
        if ended.code:
            raise RuntimeError(f"{name} {options} ends with {ended.code}: {ended.err[-2000:]}")
        return ended

    @contextlib.contextmanager
    def process(self, name: str, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command in a process group of its own, which is ended at the end."""
        command = [sys.executable, "-m", f"hprune.{name}", *options, f"paths.root={self.root}"]
        made = subprocess.Popen(
            command, cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(CODE), **environment}, start_new_session=True,
        )  # fmt: skip
        try:
            yield made
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(made.pid, signal.SIGKILL)
            made.communicate()

    def run(self, seed: int, subset: str = "full") -> Path:
        """The folder of a run."""
        (found,) = self.root.glob(f"runs/*/*/{subset}-*/seed={seed}")
        return found


def waited(for_what: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    """What there is once it is there, at most two minutes later."""
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if found := for_what():
            return found
        time.sleep(0.02)
    raise RuntimeError("it did not come: " + (process.communicate()[1] if process.poll() is not None else ""))


def died(act: Callable[[], Any], dies: Callable[[Path, Path], bool]) -> None:
    """Do something in a child that is killed in place of a rename."""
    child = os.fork()
    if child == 0:
        before = os.replace

        def replace(source: Any, target: Any, **more: Any) -> None:
            if dies(Path(source), Path(target)):
                os.kill(os.getpid(), signal.SIGKILL)
            before(source, target, **more)

        os.replace = os.rename = replace
        with contextlib.suppress(BaseException):
            act()
        os._exit(0)
    if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
        raise RuntimeError("it was not killed")


def plain_rows(size: int = 60) -> list[Row]:
    """Short texts of two classes."""
    from hprune.tasks.demo_corpus import generate

    made = generate("train", num_samples=size).to_pydict()
    return [{"text": text.translate({ord(sign): None for sign in ",;|"}) + f" {i}", "label": ("no", "yes")[label]}
            for i, (text, label) in enumerate(zip(made["sentence"], made["label"], strict=True))]  # fmt: skip


def by_text(data: Any) -> dict[str, str]:
    """The name of the class of each text, in every split."""
    pairs: dict[str, str] = {}
    for table in (data.train, *data.evaluation.values()):
        for text, label in zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True):
            pairs[text] = data.label_names[label]
    return pairs


def came(act: Callable[[], object]) -> object:
    """What it gives, or the error of ours that it ends with."""
    try:
        return act()
    except (ValueError, OSError) as error:
        return f"{type(error).__name__}: {error}"


def said(what: object, *words: str) -> bool:
    """Whether it is an error of ours with these words."""
    return isinstance(what, str) and re.match(r"\w*Error: ", what) is not None and all(word in what for word in words)


def scored(at: Place, file: Path, study: str = "s") -> None:
    """Two scoring runs on all rows of a file, and their scores."""
    where = ("task=own", f"task.train_file={file}", f"task.validation_file={file}", f"study={study}")
    for seed in (1, 2):
        at.must("train", *where, *TINY, f"seed={seed}")
    at.must("score", f"study={study}")
