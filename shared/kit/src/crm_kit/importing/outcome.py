"""The outcome of a chunk's rows in the form in which it is stored. The content of a file cannot make storing fail."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from crm_kit.importing.limits import MAX_COLUMN_NAME

MOST_ERRORS: Final = 20
"""The most errors that are reported of one row."""
LONGEST_CODE: Final = 60
LONGEST_MESSAGE: Final = 1000
NO_CELLS: Final = "[]"

StoredError = tuple[int, int, str, str, str, str]
"""Line, position, column, code, message, and the cells as JSON. Only the first error of a row has the cells."""


@dataclass(slots=True)
class Outcome:
    """The counts and the errors of a chunk's rows."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    errors: list[StoredError] = field(default_factory=list)

    def refuse(self, line: int, cells: str, found: Sequence[tuple[str, str, str]]) -> None:
        """Add the errors of a refused row, (column, code, message) each."""
        for position, (column, code, message) in enumerate(found[:MOST_ERRORS]):
            self.errors.append(
                (
                    line,
                    position,
                    storable(column, MAX_COLUMN_NAME),
                    storable(code, LONGEST_CODE),
                    storable(message, LONGEST_MESSAGE),
                    NO_CELLS if position else cells,
                )
            )

    @property
    def columns(self) -> list[list[Any]]:
        """The errors as columns, for ``unnest``."""
        return [list(column) for column in zip(*self.errors, strict=True)] if self.errors else [[] for _ in range(6)]

    @property
    def error_bytes(self) -> int:
        """The approximate number of bytes that the errors take on disk."""
        return sum(len(error[4]) + len(error[5]) for error in self.errors)


def storable(text: str, longest: int) -> str:
    """Return a text that a column can store: without NUL and lone surrogates, and with at most ``longest`` characters."""
    text = text[:longest].replace("\x00", "\ufffd")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
