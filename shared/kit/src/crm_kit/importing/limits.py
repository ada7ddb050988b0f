"""The limits of a file. The sender decides how long lines are, so every length is limited while the file is read."""

from collections.abc import Sequence
from typing import Final

from crm_contracts.sentences import Sentence, said
from crm_kit.errors import DomainError

MAX_COLUMNS: Final = 200
MAX_COLUMN_NAME: Final = 200
"""Characters. ``import_error.column`` has the same length."""
MAX_CELL: Final = 64_000
"""Characters."""
MAX_ROW: Final = 1_048_576
"""Characters of a row: of a line of NDJSON, or of all lines of a row of CSV."""
MAX_LINES: Final = 10_000_000
"""Lines of a file, including empty ones."""
MAX_UNPACKED: Final = 512 * 1024 * 1024
"""Bytes of a workbook when it is unpacked."""
MAX_DEPTH: Final = 32
"""Levels of a line of NDJSON."""

Row = tuple[int, list[str]]
"""The number of the row as a spreadsheet shows it (for NDJSON the number of the line), and the cells as text."""


def refused(place: Sentence, what: Sentence) -> DomainError:
    """Return the error ``unreadable-file`` for a line or row."""
    return DomainError("unreadable-file", said("{place} {what}.", place=place, what=what))


def check_columns(columns: Sequence[str]) -> None:
    """Raise ``unreadable-file`` for too many columns, for a name that cannot be stored, and for a repeated name."""
    if len(columns) > MAX_COLUMNS:
        raise DomainError("unreadable-file", said("Send at most {most} columns.", most=MAX_COLUMNS))
    for position, column in enumerate(columns, 1):
        if len(column) > MAX_COLUMN_NAME:
            raise DomainError(
                "unreadable-file",
                said(
                    "Shorten the name of column {position} to {most} characters.",
                    position=position,
                    most=MAX_COLUMN_NAME,
                ),
            )
        if any(sign < " " and sign not in "\t\r\n" for sign in column):
            raise DomainError(
                "unreadable-file",
                said("Remove the control character from the name of column {position}.", position=position),
            )
    doubled = {column for column in columns if column and list(columns).count(column) > 1}
    if doubled:
        raise DomainError(
            "unreadable-file",
            said("Name each column once. The header repeats: {shown}.", shown=", ".join(sorted(doubled))[:200]),
        )
