"""kill -9 at every replace, rename, fsync, unlink and rmdir of a command: `python benchmarks/kills_everywhere.py`.

A study of a tiny model is trained once. Each command then runs on a copy of it in a child process that counts these
calls and kills itself at call k, for k = 1, 2, .. until it ends undisturbed; after each kill the same command runs
again, and must leave the same bytes as one that nothing disturbed, and no file beside them. Where a file or a data set
was there before, it or the new one must be whole after the kill, too. Only the clock is stopped.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # Arrow's own has a thread, which no child inherits

from hprune.storage.publish import digests_of
from tests.conftest import tiny_options, write_corpus
from tests.sweeps import LEFT_OVER, contents

CALLS = ("replace", "rename", "fsync", "unlink", "remove", "rmdir")
"""Of `os`: what makes a name or its content last, or go. Path and shutil call these."""
FORMS = ("csv", "tsv", "jsonl", "parquet", "ids", "")
TIMED_OUT = 120


@contextmanager
def at_call(number: int | None, act: Callable[[], None]) -> Iterator[list[str]]:
    """Count the calls, and act in place of call `number` and of those that follow; yields their names as they come."""
    before, seen = {name: getattr(os, name) for name in CALLS}, list[str]()

    def counted(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            seen.append(name)
            if number is not None and len(seen) >= number:
                act()
            return before[name](*arguments, **keywords)

        return call

    try:
        for name in CALLS:
            setattr(os, name, counted(name))
        yield seen
    finally:
        for name in CALLS:
            setattr(os, name, before[name])


@dataclass(frozen=True)
class Case:
    """A command, and what stands at its places before."""

    name: str
    command: str
    arguments: Sequence[str]
    before: Callable[[Path], None] = lambda _: None
    kept: Sequence[str] = ()
    """Places below the copy where the old or the new must be whole after a kill."""
    step: int = 1
    """From one kill to the next: a command of many runs would take hours."""
    trains: bool = False
    """Whether run.json has times, so that tables, metrics and losses are compared instead of all bytes."""


@dataclass
class Found:
    """What became of a command that was killed at every call."""

    calls: list[str] = field(default_factory=list)
    kills: int = 0
    failed: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def bad(self) -> list[str]:
        """Everything that must not be."""
        return self.failed + self.different + self.lost


def run(case: Case, here: Path, log: Path, *, kill_at: int | None = None) -> tuple[int, list[str]]:
    """Run a command in a child; its exit status (-9: killed), and its calls if it came to its end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            os.close(reading)
            os._exit(_in_child(case, here, log, kill_at, writing))
        os._exit(70)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        calls = pipe.read().split()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), calls


def _in_child(case: Case, here: Path, log: Path, kill_at: int | None, writing: int) -> int:
    signal.alarm(TIMED_OUT)
    time.strftime = lambda *_: "2026-01-01T00:00:00+0000"
    sys.argv = [f"hprune.{case.command}", *(argument.format(here=here) for argument in case.arguments)]
    code, killed = 0, lambda: os.kill(os.getpid(), signal.SIGKILL)
    with log.open("w") as said, redirect_stdout(said), redirect_stderr(said), at_call(kill_at, killed) as calls:
        faulthandler.dump_traceback_later(TIMED_OUT - 10, file=said)
        try:
            importlib.import_module(f"hprune.{case.command}").main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
            print(stop.code or "")
        except BaseException:
            code = 70
            traceback.print_exc(file=said)
    os.write(writing, " ".join(calls).encode())
    return code


def killed_everywhere(case: Case, base: Path, here: Path, *, step: int = 1) -> Found:
    """Kill a command at every call, or at every so many-th, and run it again.

    Args:
        case: the command.
        base: what it finds; it is copied.
        here: where to, the same place each time, as files name it.
        step: from one kill to the next, times that of the case.
    """
    found, log = Found(), here.with_suffix(".log")

    def fresh() -> None:
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(base, here)
        case.before(here)

    fresh()
    old = {name: digests_of(here / name) for name in case.kept}
    code, found.calls = run(case, here, log)
    if code:
        found.failed.append(f"{case.name}, undisturbed, ends with {code}: {log.read_text()[-500:]}")
        return found
    expected = state_of(case, here)
    new = {name: digests_of(here / name) for name in case.kept}
    for number in range(1, len(found.calls) + 1, step * case.step):
        where = f"{case.name}, call {number} of {len(found.calls)} ({found.calls[number - 1]})"
        fresh()
        code, _ = run(case, here, log, kill_at=number)
        found.kills += code == -signal.SIGKILL
        found.lost += [f"{where}: {name}" for name in case.kept if not _there(here / name, old[name], new[name])]
        code, _ = run(case, here, log)
        if code:
            found.failed.append(f"{where}: the same command ends with {code}: {log.read_text()[-2000:]}")
            continue
        now = state_of(case, here)
        found.different += [f"{where}: {name}" for name in sorted(now.keys() | expected.keys())
                            if now.get(name) != expected.get(name)]  # fmt: skip
    return found


def _there(path: Path, old: dict[str, str], new: dict[str, str]) -> bool:
    """Whether the old or the new stands at its place, or set aside beside it."""
    aside = path.with_name(f".{path.name}.hprune-old")
    return any(place.exists() and digests_of(place) in (old, new) for place in (path, aside))


def state_of(case: Case, here: Path) -> dict[str, Any]:
    """Every file by its digest; of runs, whose manifests have times, tables, metrics and losses."""
    if case.trains:
        return contents(here) | {name: "left over" for name in digests_of(here) if LEFT_OVER.fullmatch(Path(name).name)}
    return dict(digests_of(here))


def cases(options: Sequence[str]) -> Iterator[Case]:
    """Every command that writes, in each of its forms, and over what is there."""
    root, study = "paths.root={here}/root", "study=s"
    for form in FORMS:
        out = "out" + (f".{form}" if form else "")
        place = f"out={{here}}/{out}"
        export = [root, study, place, "subset=winning_ticket"]
        yield Case(f"export to {form or 'a folder'}", "export", export)
        for_old = [*export[:-1], "subset=full"]
        yield Case(f"export to {form or 'a folder'}, over another", "export", [*export, "overwrite=true"],
                   _made("export", for_old), (out,))  # fmt: skip
    sheet = [root, study, "out={here}/sheet.csv", "values=0..S"]
    yield Case("triage, a sheet", "triage", sheet)
    yield Case("triage, a sheet over another", "triage", [*sheet, "overwrite=true"],
               _made("triage", [*sheet[:-1], "values=0..1"]), ("sheet.csv",))  # fmt: skip
    read = [root, study, "read={here}/sheet.csv", "out={here}/corrected.csv"]
    yield Case("triage, read back", "triage", read, _made("triage", sheet, _decided))
    for suffix in (".parquet", ""):
        again = [*read[:-1], f"out={{here}}/corrected{suffix}"]
        before = _made("triage", sheet, _decided, _made("triage", again), _undecided)
        name, kept = f"triage, read back to {suffix or 'a folder'} over another", (f"corrected{suffix}",)
        yield Case(name, "triage", [*again, "overwrite=true"], before, kept)
    yield Case("score", "score", [root, study], _without_scores)
    yield Case("score of texts", "score", [root, study, "score=tfidf_distance"], _without_scores)
    yield Case("report", "report", [root, study], _without_report)
    yield Case("report, over another", "report", [root, study], _without_scores)
    yield Case("sensitivity", "sensitivity", [root, "study=[s]", "name=n"])
    steps = "trainer.checkpoint_minutes=0"
    train = [root, *(option for option in options if not option.startswith(("comparison", "scoring"))), steps]
    scoring = [*train, "study=t", "seed=7", "scoring.seeds=[7,8]"]
    yield Case("train, a scoring run", "train", scoring, trains=True)
    comparison = [*train, study, "seed=13", "scoring.seeds=[1,2,3]", "subset=winning_ticket"]
    yield Case("train, a comparison run", "train", comparison, trains=True)
    yield Case(
        "study, every 20th call", "study", [root, *options, "study=u", "optim.lr=4e-3", steps], step=20, trains=True
    )


def _made(command: str, arguments: Sequence[str], *then: Callable[[Path], None]) -> Callable[[Path], None]:
    """What another command leaves, and what is done to it."""

    def make(here: Path) -> None:
        log = here.with_suffix(".before.log")
        code, _ = run(Case("before", command, arguments), here, log)
        if code:
            raise RuntimeError(f"{command} {arguments} ends with {code}: {log.read_text()[-2000:]}")
        for change in then:
            change(here)

    return make


def _decided(here: Path) -> None:
    _decide(here, "drop")


def _undecided(here: Path) -> None:
    _decide(here, "keep")


def _decide(here: Path, decision: str) -> None:
    """Write a decision about the first two samples of the sheet."""
    sheet = here / "sheet.csv"
    lines = sheet.read_text().split("\n")
    for at in (1, 2):
        lines[at] = decision + lines[at][lines[at].index(",") :]
    sheet.write_text("\n".join(lines))


def _without_scores(here: Path) -> None:
    for table in (here / "root/studies/s/scores").glob("*.parquet"):
        table.unlink()


def _without_report(here: Path) -> None:
    for file in (here / "root/studies/s").glob("report.*"):
        file.unlink()


def make_base(work: Path) -> tuple[Path, list[str]]:
    """Train the study that everything is done with; where it lies, and its options."""
    (work / "corpus").mkdir()
    write_corpus(work / "corpus")
    options = tiny_options(work / "corpus")
    case, here, log = (
        Case("study", "study", [*options, "study=s", "paths.root={here}/root"]),
        work / "now",
        work / "log",
    )
    here.mkdir()  # where every command finds a copy: files that a study was given are known by the root of its results
    code, _ = run(case, here, log)
    if code:
        raise RuntimeError(log.read_text()[-3000:])
    return here.rename(work / "base"), options


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="cases whose names hold this")
    parser.add_argument("--step", type=int, default=1, help="from one kill to the next")
    chosen = parser.parse_args()
    for module in (
        "study",
        "train",
        "export",
        "triage",
        "score",
        "report",
        "sensitivity",
        "reporting.page",
        "training.run",
    ):
        importlib.import_module(f"hprune.{module}")  # once, so that each child costs little
    import datasets  # noqa: F401
    import pandas  # noqa: F401

    done = []
    with tempfile.TemporaryDirectory() as folder:
        base, options = make_base(Path(folder))
        columns = ["command", "calls", "kills", "same command fails", "files that differ", "lost"]
        print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|", flush=True)
        for case in cases(options):
            if chosen.only in case.name:
                done.append(killed_everywhere(case, base, Path(folder) / "now", step=chosen.step))
                print(_row(case.name, done[-1:]), flush=True)
    print(_row("all", done) + "\n")
    bad = [line for found in done for line in found.bad]
    print(*bad[:200], sep="\n")
    return bool(bad)


def _row(name: str, found: Sequence[Found]) -> str:
    counts = [sum(len(one.calls) for one in found), sum(one.kills for one in found)]
    counts += [sum(len(getattr(one, what)) for one in found) for what in ("failed", "different", "lost")]
    return f"| {name} | {' | '.join(map(str, counts))} |"


if __name__ == "__main__":
    sys.exit(main())
