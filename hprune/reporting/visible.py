"""Text that is not ours (samples, class names, configs, messages) made harmless to look at, on a terminal or a page."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

LONGEST = 600
"""Characters of a text that are shown."""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and new line: the escape among them
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # change the direction of what follows
    "\u2028\u2029"  # break lines
    "\ud800-\udfff]"  # halves of a pair, which cannot be written
)


def visible(text: str) -> str:
    r"""Write characters that act instead of being seen as their numbers.

    Example:
        >>> visible("fine\x1b[31m red\u202e"), visible("tab\t, line\n and é stay")
        ('fine\\x1b[31m red\\u202e', 'tab\t, line\n and é stay')
    """
    return _HIDDEN.sub(
        lambda found: f"\\x{ord(found[0]):02x}" if found[0] < "\x7f" else f"\\u{ord(found[0]):04x}", text
    )


def shortened(text: str, longest: int = LONGEST) -> str:
    """The visible start of a text."""
    return visible(text if len(text) <= longest else text[:longest].rstrip() + " …")


def harmless(content: Any) -> Any:
    """Plain values with every text in them, keys too, visible and cut."""
    if isinstance(content, str):
        return shortened(content)
    if isinstance(content, Mapping):
        return {harmless(key): harmless(value) for key, value in content.items()}
    return [harmless(value) for value in content] if isinstance(content, (list, tuple)) else content


class VisibleFormatter(logging.Formatter):
    """Log lines that cannot do anything to the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, visible."""
        return visible(super().format(record))
