"""Reading CSV (RFC 4180) and NDJSON, row by row, from a file of any size.

Whoever sends a file decides how long its lines are, so every length is bounded while it is read: what is held in memory is
one row, whatever the file says.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final

import orjson

from crm_kit.errors import DomainError

DELIMITERS: Final = ",;\t|"
MAX_COLUMNS: Final = 200
MAX_COLUMN_NAME: Final = 200
"""Characters, and what ``import_error.column`` holds."""
MAX_CELL: Final = 64_000
"""Characters."""
MAX_ROW: Final = 1_048_576
"""Characters of a row: of a line of NDJSON, of all the lines of a row of CSV."""
MAX_LINES: Final = 10_000_000
"""Lines of a file, empty ones too."""
MAX_DEPTH: Final = 32
"""Levels of a line of NDJSON."""

TAKEN: Final = "CSV with a header (.csv), or NDJSON (.ndjson, .jsonl), as text in UTF-8 and not compressed."
SIGNATURES: Final = {
    b"PK\x03\x04": "a ZIP archive or an Excel file",
    b"PK\x05\x06": "a ZIP archive",
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"\xd0\xcf\x11\xe0": "an Excel file",
    b"%PDF": "a PDF file",
}
"""How files begin that people send instead."""

Row = tuple[int, list[str]]
"""Line number in the file, and the cells as text."""


def open_rows(file: IO[bytes], name: str) -> tuple[list[str], Iterator[Row]]:
    """The columns and the rows. NDJSON by its ending (.ndjson, .jsonl), else CSV with a header; UTF-8 either way.

    Raises ``unreadable-file`` naming the line, here or while the rows are read.
    """
    _refuse_packed(file)
    # What is not UTF-8 becomes a lone surrogate, which no UTF-8 holds, so that it is found line by line.
    lines = _Lines(io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline=""))
    if name.lower().endswith((".ndjson", ".jsonl")):
        return _ndjson(lines)
    return _csv(lines)


def _refuse_packed(file: IO[bytes]) -> None:
    """Refuse what a look at its first bytes shows to be no text."""
    if not file.seekable():
        return
    start = file.read(len(max(SIGNATURES, key=len)))
    file.seek(0)
    for signature, what in SIGNATURES.items():
        if start.startswith(signature):
            raise DomainError("unreadable-file", f"This is {what}. Send {TAKEN}")


class _Lines:
    """The lines of a file, counted, none longer than what is left of its row."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._readline = text.readline
        self.number = 0
        self.row_size = 0

    def begin_row(self) -> None:
        """What is read from here on is a row of its own."""
        self.row_size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        left = MAX_ROW - self.row_size
        line = self._readline(left + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > left:
            raise _refused(self.number, f"makes a row longer than {MAX_ROW:,} characters")
        if self.number > MAX_LINES:
            raise DomainError("unreadable-file", f"The file has more than {MAX_LINES:,} lines. Send it in parts.")
        if not line.isascii() and not _is_unicode(line):
            raise _refused(self.number, "is not UTF-8")
        self.row_size += len(line)
        return line

    def first(self) -> str:
        """The first line, without its end."""
        line = next(self, "")
        if not line.strip():
            raise DomainError("unreadable-file", "The file is empty. Send a header and at least one row.")
        return line.rstrip("\r\n")


def _is_unicode(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


def _csv(lines: _Lines) -> tuple[list[str], Iterator[Row]]:
    csv.field_size_limit(MAX_CELL)
    header = lines.first()
    delimiter = max(DELIMITERS, key=header.count)
    try:
        columns = [cell.strip() for cell in next(csv.reader([header], delimiter=delimiter), [])]
    except csv.Error as error:
        raise _refused(1, _what(error)) from error
    _check(columns)

    def rows() -> Iterator[Row]:
        reader = csv.reader(lines, delimiter=delimiter)
        while True:
            lines.begin_row()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise _refused(lines.number, _what(error)) from error
            if len(cells) > MAX_COLUMNS:
                raise _refused(lines.number, f"has more than {MAX_COLUMNS} cells")
            if any(cells):
                yield lines.number, cells

    return columns, rows()


def _what(error: csv.Error) -> str:
    if "field larger" in str(error):
        return f"has a cell longer than {MAX_CELL:,} characters"
    return "cannot be read as CSV"


def _ndjson(lines: _Lines) -> tuple[list[str], Iterator[Row]]:
    first = _object(lines.first(), 1)
    columns = list(first)
    _check(columns)

    def rows() -> Iterator[Row]:
        yield 1, _cells(first, columns, 1)
        while True:
            lines.begin_row()
            line = next(lines, None)
            if line is None:
                return
            if line.strip():
                number = lines.number
                yield number, _cells(_object(line, number), columns, number)

    return columns, rows()


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _refused(number, "cannot be read as JSON") from error
    if not isinstance(document, dict):
        raise _refused(number, "is not a JSON object")
    if len(document) > MAX_COLUMNS:
        raise _refused(number, f"has more than {MAX_COLUMNS} members")
    if line.count("[") + line.count("{") > MAX_DEPTH and not _is_shallow(document):
        raise _refused(number, f"is nested deeper than {MAX_DEPTH} levels")
    return document


def _is_shallow(document: Any) -> bool:
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return True
    return False


def _cells(document: dict[str, Any], columns: Sequence[str], number: int) -> list[str]:
    cells = [_text(document.get(column)) for column in columns]
    if any(len(cell) > MAX_CELL for cell in cells):
        raise _refused(number, f"has a value longer than {MAX_CELL:,} characters")
    return cells


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case list():
            return ";".join(_text(one) for one in value)
    return orjson.dumps(value).decode()


def _check(columns: Sequence[str]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise DomainError("unreadable-file", f"Send at most {MAX_COLUMNS} columns.")
    for position, column in enumerate(columns, 1):
        if len(column) > MAX_COLUMN_NAME:
            raise DomainError(
                "unreadable-file", f"Shorten the name of column {position} to {MAX_COLUMN_NAME} characters."
            )
        if any(sign < " " and sign not in "\t\r\n" for sign in column):
            raise DomainError("unreadable-file", f"Remove the control character from the name of column {position}.")
    doubled = {column for column in columns if list(columns).count(column) > 1}
    if doubled:
        raise DomainError(
            "unreadable-file", f"Name each column once. The header repeats: {', '.join(sorted(doubled))[:200]}."
        )


def _refused(line: int, what: str) -> DomainError:
    return DomainError("unreadable-file", f"Line {line} {what}.")
