"""The console script: `hprune <command> ...` is `python -m hprune.<command> ...`."""

from __future__ import annotations

import os
import sys

COMMANDS = {
    "study": "everything below in one go, resumable: collect, score, retrain every arm, report",
    "plan": "what a study would take: time, disk, memory, and when it pays back",
    "train": "fine-tune once and record every sample (-m: many runs)",
    "score": "from the records of a study's runs to one number a sample",
    "report": "table, figures and report.html of a study",
    "sensitivity": "what a score depends on: runs, epochs, samples, way of measuring",
    "triage": "samples with H = 0 as a sheet to decide on, and reading it back",
    "export": "the pruned data set itself, in the format you want",
    "status": "every run and study: done, started, failed, missing",
    "verify": "does all that is stored fit together? Reads everything, changes nothing",
}


def main() -> None:
    """Replace this process by the command's own, so that it is the same one whichever way it is started."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name not in COMMANDS:
        listed = "\n".join(f"  {command:<11} {what}" for command, what in COMMANDS.items())
        print(
            "usage: hprune COMMAND [KEY=VALUE ...]     (hprune COMMAND --help lists the keys)\n\n"
            f"{listed}\n\nfirst steps: hprune study +experiment=demo"
        )
        sys.exit(0 if name in ("--help", "-h") else f"\nhprune: no command {name!r}; there are {', '.join(COMMANDS)}")
    os.execv(sys.executable, [sys.executable, "-m", f"hprune.{name}", *sys.argv[2:]])


if __name__ == "__main__":
    main()
