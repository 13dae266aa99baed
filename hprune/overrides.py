"""What a command line says, before Hydra does: what its grammar does not take is refused with a way out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from hprune.storage.override import quoted

WITH_VALUE = (
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
    *("--experimental-rerun", "--info", "-i"),
)
"""Options of Hydra's that the next argument may belong to."""


def overrides_of(arguments: Sequence[str]) -> list[Override]:
    """The overrides of a command line.

    Raises:
        ValueError: if Hydra's grammar does not take one, naming its key, what came and how to write it.
    """
    parser, found = OverridesParser.create(), []
    for argument in _candidates(arguments):
        try:
            found.append(parser.parse_override(argument))
        except HydraException as error:
            raise ValueError(_told(parser, argument)) from error
    return found


def value_of(overrides: Sequence[Override], key: str) -> Any:
    """What a key is set to; None if it is not."""
    return next((override.value() for override in overrides if override.key_or_group == key), None)


def _candidates(arguments: Sequence[str]) -> Iterator[str]:
    before = ""
    for argument in arguments:
        if not argument.startswith("-") and before not in WITH_VALUE:
            yield argument
        before = argument


def _told(parser: OverridesParser, argument: str) -> str:
    """What is wrong with an override, and what would be right, if that is known."""
    key, sign, value = argument.partition("=")
    if not sign:
        return f"{argument!r} must be KEY=VALUE, such as seed=1; ~KEY leaves a key out"
    if value.startswith("{"):
        return (
            f"{key}: {value!r} is no {{NAME: VALUE, ..}} that can be read: values with signs go in quotes, and names "
            f"cannot; give a column by its place, as in '{key}={{@1: \"^a\"}}', or write the key in a file of conf/"
        )
    way = next((way for way in (f"{key}={one}" for one in _in_quotes(value)) if _reads(parser, way)), None)
    if way is None:
        return f"{argument!r}: {key!r} is no key; write KEY=VALUE, such as seed=1"
    if value.startswith("[") and not value.endswith("]"):
        return f"{key}: {value!r} opens a bracket that it does not close; write {key}=[..], or {shlex.quote(way)}"
    column = re.fullmatch(r"\W*task\.(text|label|slices)", key)
    places = f", or give a column by its place, {key}={'@1' if column[1] == 'label' else '[@1]'}" if column else ""
    return f"{key}: {value!r} holds signs that must be in quotes: write {shlex.quote(way)}{places}"


def _in_quotes(value: str) -> Iterator[str]:
    """The value, or what is in its brackets between commas, in quotes."""
    if value.startswith("[") and value.endswith("]"):
        yield "[" + ",".join(quoted(_bare(one)) for one in value[1:-1].split(",")) + "]"
    yield quoted(_bare(value))


def _bare(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _reads(parser: OverridesParser, argument: str) -> bool:
    try:
        parser.parse_override(argument)
    except HydraException:
        return False
    return True
