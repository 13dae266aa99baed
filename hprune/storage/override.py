"""A `key=value` that can be pasted after a command: quoted for Hydra's grammar, and that for the shell."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+@:-]*")
"""What Hydra reads as the text that it is, unless that is a word or a number to it."""

_WORDS = ("null", "true", "false")


def override(key: str, value: object) -> str:
    r"""Write a key and its value as an argument that gives this value.

    Args:
        key: of the config, such as `task.train_file`.
        value: a text or a path, of any characters; or a number, true, false or null; or a list of these.

    Returns:
        One word of a shell, which Hydra reads as the same value.

    Example:
        >>> print(override("out", "corrected.parquet"))
        out=corrected.parquet
        >>> print(override("read", "my sheets/June, final.csv"), override("study", "007"))
        'read="my sheets/June, final.csv"' 'study="007"'
    """
    return shlex.quote(f"{key}={_hydra(value)}")


def of_study(study: str, root: Path) -> str:
    """The arguments that name a study, and where results lie unless that is the default.

    Example:
        >>> print(of_study("s", Path("multirun")))
        study=s
        >>> print(of_study("s", Path("/my results")))
        study=s 'paths.root="/my results"'
    """
    return override("study", study) + under(root)


def under(root: Path) -> str:
    """The argument, after a space, that says where results lie; nothing where that is the default."""
    return "" if root == Path("multirun") else f" {override('paths.root', root)}"


def _hydra(value: object) -> str:
    """The value as Hydra's grammar writes it, lists included."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_hydra, value))}]"
    if isinstance(value, (int, float)):
        return str(value)
    assert isinstance(value, (str, Path)), f"{value!r} is no value of a config"
    text = str(value)
    return text if _is_plain(text) else quoted(text)


def _is_plain(text: str) -> bool:
    if not _PLAIN.fullmatch(text) or text.endswith(":") or text.lower() in _WORDS:
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False


def quoted(text: str) -> str:
    """In quotes that may stand in the text, too; `${`, which would look something up, stands for itself."""
    text = re.sub(r"(\\*)\$\{", lambda found: rf"{2 * found[1]}\${{", text)
    quote = "'" if '"' in text and "'" not in text else '"'  # the shell's are single
    escaped = re.sub(rf"(\\*)({quote}|$)", lambda found: 2 * found[1] + (f"\\{quote}" if found[2] else ""), text)
    return f"{quote}{escaped}{quote}"
