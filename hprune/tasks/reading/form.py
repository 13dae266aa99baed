"""What a data file does not say of itself: its encoding and dialect, and the columns that a task uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hprune.tasks.columns import name_at


@dataclass(frozen=True)
class Form:
    """How files are to be read; columns by name, or by place as in `@2`."""

    encoding: str = "utf8"
    """Of CSV and TSV, as the next two."""
    delimiter: str = "auto"
    quoting: str = "auto"
    text: Sequence[str] = ()
    """Columns of texts: in JSON, numbers in them are texts as they are written."""
    needed: Sequence[str] = ()
    """Columns that every file has, or none, and of one type each."""
    label: str | None = None
    """The column whose class names are kept, where the metadata of a file has them."""

    def among(self, names: Sequence[str]) -> Form:
        """The same with the names of columns in place of their places; places that are not there stay."""

        known = set(names)

        def name(column: str) -> str:
            try:
                return column if column in known else name_at("", column, names)
            except ValueError:
                return column

        return replace(
            self,
            text=tuple(map(name, self.text)),
            needed=tuple(map(name, self.needed)),
            label=None if self.label is None else name(self.label),
        )
