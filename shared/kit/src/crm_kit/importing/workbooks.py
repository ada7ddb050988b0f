"""Reads one sheet of an Excel workbook (.xlsx, ISO/IEC 29500), row by row."""

import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from typing import IO, Any, Final
from xml.etree.ElementTree import ParseError

from crm_kit.errors import DomainError
from crm_kit.importing.limits import MAX_CELL, MAX_COLUMNS, MAX_ROW, MAX_UNPACKED, Row, check_columns, refused

WORKBOOK: Final = "xlsx"
"""The ending of a workbook's name."""


def read_workbook(file: IO[bytes]) -> tuple[list[str], Iterator[Row]]:
    """Return the columns and rows of the only visible sheet. The first row with cells is the header. Formulas give their last
    results.

    Raises ``unreadable-file``, now or while the rows are read.
    """
    _check_size(file)
    # Imported here, so that only processes that read a workbook load the library.
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    except (InvalidFileException, ParseError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise _unreadable() from error
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    if len(sheets) != 1:
        named = ", ".join(sheet.title for sheet in sheets)[:200] or "none that is visible"
        raise DomainError("unreadable-file", f"Send a workbook with one sheet. This one has: {named}.")
    rows = _rows(sheets[0].iter_rows(values_only=True))
    header = next(rows, None)
    if header is None:
        raise DomainError("unreadable-file", "The sheet is empty. Send a header and at least one row.")
    columns = [name.strip() for name in header[1]]
    check_columns(columns)
    return columns, ((number, [*cells, *[""] * (len(columns) - len(cells))]) for number, cells in rows)


def _check_size(file: IO[bytes]) -> None:
    """Raise ``unreadable-file`` if the unpacked workbook is too large.

    A workbook is a ZIP archive and may be much larger than its file. The library reads only the bytes that the archive declares.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise _unreadable() from error
    if unpacked > MAX_UNPACKED:
        raise DomainError(
            "unreadable-file",
            f"The workbook has more than {MAX_UNPACKED // 1024**2} MiB when it is unpacked. Save the sheet as CSV.",
        )
    file.seek(0)


def _unreadable() -> DomainError:
    return DomainError("unreadable-file", "This is no Excel workbook (.xlsx) that can be read. Save the sheet as CSV.")


def _rows(found: Iterator[Sequence[Any]]) -> Iterator[Row]:
    """Yield the rows that are not empty, without the empty cells at their ends."""
    number = 0
    try:
        for number, values in enumerate(found, 1):  # the handler below names the row
            cells = [_text(value, number) for value in values]
            while cells and not cells[-1]:
                cells.pop()
            if len(cells) > MAX_COLUMNS:
                raise refused(f"Row {number}", f"has more than {MAX_COLUMNS} cells")
            if sum(map(len, cells)) > MAX_ROW:
                raise refused(f"Row {number}", f"is longer than {MAX_ROW:,} characters")
            if cells:
                yield number, cells
    except (ParseError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise refused(f"Row {number + 1}", "cannot be read") from error


def _text(value: Any, number: int) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case date() | time():
            return value.isoformat()
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
    text = str(value)
    if len(text) > MAX_CELL:
        raise refused(f"Row {number}", f"has a cell longer than {MAX_CELL:,} characters")
    return text
