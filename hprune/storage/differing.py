"""In what two runs differ, by key and value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

DIGEST = re.compile(r"[0-9a-f]{64}")


def differing_keys(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the settings that differ, each with both values ("absent" where there is none).

    Example:
        >>> differing_keys({"optim": {"lr": 0.1}}, {"optim": {"lr": 0.2, "warmup": 0}})
        ['optim.lr (0.1 there, 0.2 here)', 'optim.warmup (absent there, 0 here)']
    """
    found: list[str] = []
    for name in sorted(set(a) | set(b)):
        left, right = a.get(name, "absent"), b.get(name, "absent")
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found += differing_keys(left, right, f"{prefix}{name}.")
        elif left != right:
            found.append(f"{prefix}{name} ({_shown(left)} there, {_shown(right)} here)")
    return found


def _shown(value: Any) -> Any:
    """A value; of a digest, which nobody reads, the first letters."""
    return value[:8] if isinstance(value, str) and DIGEST.fullmatch(value) else value
