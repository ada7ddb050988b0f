"""Reading CSV (RFC 4180) and NDJSON, row by row, from a file of any size."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import IO, Any

import orjson

from crm_kit.errors import DomainError

DELIMITERS = ",;\t|"
MAX_COLUMNS = 200
MAX_CELL = 64_000

Row = tuple[int, list[str]]
"""Line number in the file, and the cells as text."""


def open_rows(file: IO[bytes], name: str) -> tuple[list[str], Iterator[Row]]:
    """The columns and the rows. NDJSON by its ending (.ndjson, .jsonl), else CSV with a header; UTF-8 either way."""
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    if name.lower().endswith((".ndjson", ".jsonl")):
        return _ndjson(text)
    return _csv(text)


def _csv(text: io.TextIOWrapper) -> tuple[list[str], Iterator[Row]]:
    csv.field_size_limit(MAX_CELL)
    header = _first_line(text)
    delimiter = max(DELIMITERS, key=header.count)
    columns = [cell.strip() for cell in next(csv.reader([header], delimiter=delimiter), [])]
    _check(columns)

    def rows() -> Iterator[Row]:
        reader = csv.reader(text, delimiter=delimiter)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, UnicodeDecodeError) as error:
                raise _unreadable(reader.line_num + 1, error) from error
            if any(cells):
                yield reader.line_num + 1, cells

    return columns, rows()


def _ndjson(text: io.TextIOWrapper) -> tuple[list[str], Iterator[Row]]:
    first = _first_line(text)
    columns = list(_object(first, 1))
    _check(columns)

    def rows() -> Iterator[Row]:
        yield 1, _cells(_object(first, 1), columns)
        number = 1
        while True:
            number += 1
            try:
                line = text.readline()
            except UnicodeDecodeError as error:
                raise _unreadable(number, error) from error
            if not line:
                return
            if line.strip():
                yield number, _cells(_object(line, number), columns)

    return columns, rows()


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _unreadable(number, error) from error
    if not isinstance(document, dict):
        raise DomainError("unreadable-file", f"Line {number} is not a JSON object.")
    return document


def _cells(document: dict[str, Any], columns: Sequence[str]) -> list[str]:
    return [_text(document.get(column)) for column in columns]


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


def _first_line(text: io.TextIOWrapper) -> str:
    try:
        line = text.readline(1_000_000)
    except UnicodeDecodeError as error:
        raise _unreadable(1, error) from error
    if not line.strip():
        raise DomainError("unreadable-file", "The file is empty.")
    return line.rstrip("\r\n")


def _check(columns: Sequence[str]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise DomainError("unreadable-file", f"The file has more than {MAX_COLUMNS} columns.")
    doubled = {column for column in columns if list(columns).count(column) > 1}
    if doubled:
        raise DomainError("unreadable-file", f"The header names a column twice: {', '.join(sorted(doubled))[:200]}.")


def _unreadable(line: int, error: Exception) -> DomainError:
    what = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else "cannot be read"
    return DomainError("unreadable-file", f"Line {line} {what}.")
