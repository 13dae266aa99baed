"""One input for each kind of fault that 0.1.0 had: is it right here? `python benchmarks/faults.py [--code FOLDER]`.

Each is a call that every version has: a command, a task that is read, a lock. It says what came, and whether that is
right; beside it stands the test of the suite that holds it right. `--code` names a checkout of another version, where
each must be wrong, or its test could not have failed there. The exit code is 1 if any is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import fault_data, fault_models, fault_runs  # noqa: F401
from benchmarks.fault_place import CODE, FAULTS, Fault, Place


def tried(one: Fault, folder: Path) -> tuple[bool, str]:
    """Whether it is right, and what came, in one line."""
    folder.mkdir()
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    try:
        right, what = one.probe(Place(folder))
    except Exception as error:
        right, what = False, f"{type(error).__name__}: {error}"
    told = " ".join(str(what).replace(f"{folder}/", "").split()).replace("|", "\\|")
    return right, told if len(told) <= 1220 else told[:217] + "..."


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--code", help="a checkout of another version")
    parser.add_argument("--only", default="", help="lines that hold this")
    options = parser.parse_args()
    import hprune

    if not Path(hprune.__file__).is_relative_to(CODE):
        raise SystemExit(f"{hprune.__file__} is not of {CODE}")
    wrong = 0
    print("| line | test | right | what came |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as work:
        for number, one in enumerate(FAULTS):
            if options.only in one.line:
                right, told = tried(one, Path(work) / str(number))
                wrong += not right
                print(f"| {one.line} | {one.test} | {'yes' if right else 'no'} | {told} |", flush=True)
    print(f"\n{wrong} of {sum(options.only in one.line for one in FAULTS)} are wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
