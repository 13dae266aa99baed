"""Does everything that is stored fit together? `python -m hprune.verify`, or `study=NAME` for what one study rests on.

Reads every file in full: digests and checksums, what each file says of the run or study that it belongs to, score
tables against the records that they were made of, samples against the rule that chose them, metrics against
predictions. Writes nothing. Exits with 1 if something does not fit, with one line for each such thing.
"""

from __future__ import annotations

import os
from pathlib import Path

from omegaconf import DictConfig

from hprune.command import command
from hprune.reporting.console import PlainConsole, ruled_table
from hprune.reporting.visible import visible
from hprune.root import root_of
from hprune.verifying.everything import Verified, verify


@command("verify", reads=True)
def main(cfg: DictConfig) -> None:
    """Verify all results under `paths.root`.

    Raises:
        ValueError: if something does not fit, after the table of what that is.
    """
    root = root_of(cfg)
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}: name the one that holds the results with paths.root=FOLDER")
    found = verify(root, cfg.study)
    if not found.problems:
        PlainConsole(160).print(f"all fits together: {found}")
        return
    _print_problems(root, found)
    number = len(found.problems)
    raise ValueError(f"{number} thing{'s do' if number > 1 else ' does'} not fit, of {found}")


def _print_problems(root: Path, found: Verified) -> None:
    """One row a problem: the file below the root, and what is wrong with it."""
    table = ruled_table()
    table.add_column("file", overflow="fold")
    table.add_column("what does not fit, and the way out", overflow="fold")
    for problem in found.problems:
        told = problem.message.replace(f"{problem.path}: ", "").replace(f"{problem.path} ", "it ")
        table.add_row(visible(os.path.relpath(problem.path, root)), visible(told))
    PlainConsole(160).print(table)


if __name__ == "__main__":
    main()
