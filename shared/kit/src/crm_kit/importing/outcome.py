"""The outcome of a chunk's rows in the form in which it is stored. The content of a file cannot make storing fail."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from crm_kit.importing.limits import MAX_COLUMN_NAME
from crm_kit.store.record import OwnedRecord

MOST_ERRORS: Final = 20
"""The most errors that are reported of one row."""
SHOWN_ROWS: Final = 20
"""The first rows of a file that a dry run shows."""
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
    updated: int = 0
    """Those of ``done`` that changed a record."""
    errors: list[StoredError] = field(default_factory=list)
    preview: list[dict[str, Any]] = field(default_factory=list)
    """The first rows as they would be, in a dry run."""
    _noted: list[tuple[int, str, OwnedRecord | None]] = field(default_factory=list)

    def note(self, line: int, action: str, record: OwnedRecord | None) -> None:
        """Note what a row does: ``create``, ``update``, ``skip`` or ``refuse``."""
        self._noted.append((line, action, record))

    def first_rows(self) -> list[tuple[int, str, OwnedRecord | None]]:
        """Return what the first rows do, in the order of the file."""
        return sorted(self._noted, key=lambda one: one[0])[:SHOWN_ROWS]

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
