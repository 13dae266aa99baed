"""What a score depends on: `python -m hprune.sensitivity study=sensitivity_runs`.

Puts all H-score tables of one or several studies side by side, with the accuracy of those that arms were chosen by.
Writes sensitivity.json (for programs) and sensitivity.html (one self-contained page) and prints the tables.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from hprune.command import command, plain
from hprune.root import check_writable, root_of
from hprune.storage.files import check_name, whole_file, write_json
from hprune.storage.places import local_path
from hprune.storage.studies import studies_in


@command("sensitivity", reads=True)
def main(cfg: DictConfig) -> None:
    """Compare the H-score tables of studies."""
    root = root_of(cfg)
    studies = studies_named(root, plain(cfg.study))
    if cfg.name is None and len(studies) > 1:
        raise ValueError(f"name must be given where several studies are put together ({', '.join(studies)})")
    name = studies[0] if cfg.name is None else cfg.name
    check_name("name", name)
    out = root / "sensitivity" / name if cfg.out is None else local_path(cfg.out, "out")
    check_writable(out)
    write_sensitivity(root, studies, name=name, out=out)


def write_sensitivity(root: Path, studies: Sequence[str], *, name: str, out: Path | None = None) -> Path:
    """Gather, write sensitivity.json and sensitivity.html, print the tables.

    Args:
        root: where results lie.
        studies: whose tables are put together.
        name: of the whole.
        out: the folder of both files; None: one of that name below `root / "sensitivity"`.

    Returns:
        The path of sensitivity.html.

    Raises:
        ValueError: if the studies have no H-score table.
    """
    from hprune.reporting.cells import gather
    from hprune.reporting.sensitivity_page import print_cells, render_cells

    check_name("name", name)
    report = gather(root, studies, name=name)
    folder = root / "sensitivity" / name if out is None else out
    write_json(folder / "sensitivity.json", report)
    with whole_file(folder / "sensitivity.html") as temporary:
        temporary.write_text(render_cells(report), encoding="utf-8")
    print_cells(report)
    print(f"sensitivity: {folder / 'sensitivity.html'}")
    return folder / "sensitivity.html"


def studies_named(root: Path, named: Any) -> list[str]:
    """The studies by their names or patterns, in the order given.

    Raises:
        ValueError: if that is no list, or a name or pattern fits no study.
    """
    if isinstance(named, str):
        named = [named]
    if not isinstance(named, list) or not named or not all(isinstance(name, str) for name in named):
        raise ValueError(f"study must be a name, a pattern such as sensitivity_n*, or a list of these, got {named!r}")
    there = studies_in(root)
    found = {name: fnmatch.filter(there, name) for name in named}
    for name, fitting in found.items():
        if not fitting:
            raise ValueError(
                f"no study {name!r} under {root}; there {'are ' + ', '.join(there) if there else 'is none'}"
            )
    return list(dict.fromkeys(study for fitting in found.values() for study in fitting))


if __name__ == "__main__":
    main()
