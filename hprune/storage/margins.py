"""`studies/<study>/margin.json`: the margin of a study, and what it rests on; written once, never changed."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hprune.storage import shapes
from hprune.storage.files import PLACE, read_json, write_json
from hprune.storage.places import below
from hprune.storage.studies import study_folder


def is_margin(value: Any) -> bool:
    """A number above 0 and below 1."""
    return shapes.number(value) and 0 < value < 1


FACTS: shapes.Shape = {"margin": is_margin, "why": shapes.text}


def stored_margin(root: Path, study: str) -> dict[str, Any] | None:
    """The facts of a study's margin: `margin`, `why`, and what that rests on; None if none was fixed.

    Raises:
        ValueError: if the file does not say them.
    """
    file = _file(root, study)
    if not file.exists():
        return None
    facts = read_json(below(file.parent, file.name))
    shapes.check_shape(file, facts, FACTS)
    return dict(facts)


def store_margin(root: Path, study: str, facts: Mapping[str, Any]) -> bool:
    """Write the facts unless some are there, also if several processes do it at once; whether it was this one.

    Raises:
        ValueError: if they are none of a margin, which nobody could read any more.
    """
    file = _file(root, study)
    shapes.check_shape(file, dict(facts), FACTS)
    mine = file.with_name(f".{file.name}.{PLACE}.{os.getpid()}")  # processes of other machines have the same numbers
    write_json(mine, {**facts, "study": study, "fixed": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
    try:
        os.link(mine, file)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        if file.exists():
            return False
        os.replace(mine, file)
    finally:
        mine.unlink(missing_ok=True)
    return True


def _file(root: Path, study: str) -> Path:
    return study_folder(root, study) / "margin.json"
