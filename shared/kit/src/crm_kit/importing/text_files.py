"""Reads CSV (RFC 4180) and NDJSON, row by row, from a file of any size. Only one row is in memory."""

import csv
import io
import re
from collections.abc import Generator, Iterator, Sequence
from decimal import Decimal
from itertools import chain
from typing import IO, Any, Final, Literal, get_args

import orjson

from crm_contracts.sentences import Sentence, said
from crm_kit.errors import DomainError
from crm_kit.importing.formats import Formats
from crm_kit.importing.limits import (
    MAX_CELL,
    MAX_COLUMN_NAME,
    MAX_COLUMNS,
    MAX_DEPTH,
    MAX_LINES,
    MAX_ROW,
    Row,
    check_columns,
    refused,
)

DELIMITERS: Final = ",;\t|"
EXACT_DIGITS: Final = 15
"""The digits of a decimal number that a floating-point number of 64 bits always keeps."""
Encoding = Literal["utf-8", "utf-16", "windows-1252", "shift_jis", "gb18030", "big5"]
ENCODINGS: Final[tuple[Encoding, ...]] = get_args(Encoding)
_CODECS: Final[dict[Encoding, str]] = {
    # With or without a byte order mark.
    "utf-8": "utf-8-sig",
    # As the WHATWG Encoding standard defines these names, which is what Windows writes.
    "shift_jis": "cp932",
    "big5": "big5hkscs",
}
_UNREAD: Final[dict[Encoding, tuple[str, re.Pattern[str]]]] = {
    # An invalid byte becomes a lone surrogate, which valid UTF-8 never contains. The replacement character it may contain.
    "utf-8": ("surrogateescape", re.compile("[\ud800-\udfff]")),
}
_REPLACED: Final = ("replace", re.compile("\ufffd"))
"""How invalid bytes are decoded, and how they are found afterwards."""
_QUOTED: Final = re.compile(r'"[^"]*"')
_SEPARATOR: Final = re.compile(r"sep=(.)", re.IGNORECASE)
"""The line in which spreadsheets name the delimiter of cells."""


class _Lines:
    """Reads and counts the lines of a text. The lines of a row have a limited length together."""

    def __init__(self, file: IO[bytes], encoding: Encoding) -> None:
        errors, self._unread = _UNREAD.get(encoding, _REPLACED)
        self._text = io.TextIOWrapper(file, _CODECS.get(encoding, encoding), errors=errors, newline="")
        self._encoding = encoding
        self.number = 0
        self._row_size = 0
        self.row_begins = 1
        """The first line of the current row."""

    def begin_row(self) -> None:
        """Begin a new row with the next line."""
        self._row_size, self.row_begins = 0, self.number + 1

    def release(self) -> None:
        """Leave the file open for another reader."""
        self._text.detach()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        left = MAX_ROW - self._row_size
        try:
            line = self._text.readline(left + 1)
        except UnicodeError as error:
            # UTF-16 without a byte order mark.
            raise DomainError(
                "unreadable-file", said("The file is not {encoding}.", encoding=self._encoding)
            ) from error
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > left:
            raise refused(
                said("Line {line}", line=self.number), said("makes a row longer than {most:,} characters", most=MAX_ROW)
            )
        if self.number > MAX_LINES:
            raise DomainError(
                "unreadable-file", said("The file has more than {most:,} lines. Send it in parts.", most=MAX_LINES)
            )
        if not line.isascii() and self._unread.search(line):
            raise refused(
                said("Line {line}", line=self.number),
                said(
                    "is not {encoding}. Save the file as UTF-8, or name its encoding, one of {encodings}",
                    encoding=self._encoding,
                    encodings=", ".join(ENCODINGS),
                ),
            )
        self._row_size += len(line)
        return line


def _empty() -> DomainError:
    return DomainError("unreadable-file", "The file is empty. Send a header and at least one row.")


def read_csv(file: IO[bytes], encoding: Encoding) -> tuple[list[str], Generator[Row]]:
    """Return the columns and rows of CSV with a header. Raises ``unreadable-file``, now or while the rows are read."""
    csv.field_size_limit(MAX_CELL)
    lines = _Lines(file, encoding)
    first = next(lines, "")
    if named := _SEPARATOR.fullmatch(first.rstrip("\r\n")):
        lines.begin_row()
        first = next(lines, "")
    if not first.strip():
        raise _empty()
    delimiter = named[1] if named else max(DELIMITERS, key=_QUOTED.sub("", first).count)
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    try:
        columns = [cell.strip() for cell in next(reader)]
    except csv.Error as error:
        raise refused(said("Line {line}", line=lines.row_begins), _what(error)) from error
    check_columns(columns)
    return columns, _csv_rows(lines, reader)


def _csv_rows(lines: _Lines, reader: Iterator[list[str]]) -> Generator[Row]:
    row = 1
    while True:
        lines.begin_row()
        row += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise refused(said("Line {line}", line=lines.row_begins), _what(error)) from error
        if len(cells) > MAX_COLUMNS:
            raise refused(
                said("Line {line}", line=lines.row_begins), said("has more than {most} cells", most=MAX_COLUMNS)
            )
        if any(cells):
            yield row, cells


def _what(error: csv.Error) -> Sentence:
    reason = str(error)
    if "field larger" in reason:
        return said(
            "has a cell longer than {most:,} characters. A quote that is never closed makes such a cell", most=MAX_CELL
        )
    if "unexpected end" in reason:
        return said("opens a quote that is never closed")
    if "expected after" in reason:
        return said('has text after a closing quote. Write a quote inside a quoted cell twice: "say ""hi"""')
    return said("cannot be read as CSV")


def read_ndjson(file: IO[bytes], encoding: Encoding, formats: Formats) -> tuple[list[str], Generator[Row]]:
    """Return the columns and rows of NDJSON. The columns are the members of all lines. The members of a nested object
    ``address`` are columns such as ``address.city``.

    Raises ``unreadable-file``, now or while the rows are read. Every line is read twice, because the last one may have a member
    that no other has.
    """
    columns: dict[str, None] = {}
    lines = _Lines(file, encoding)
    for number, members in _objects(lines, formats):
        columns.update(dict.fromkeys(members))
        if any(len(name) > MAX_COLUMN_NAME for name in members):
            raise refused(
                said("Line {line}", line=number),
                said("has a member whose name is longer than {most} characters", most=MAX_COLUMN_NAME),
            )
        if len(columns) > MAX_COLUMNS:
            raise refused(
                said("Line {line}", line=number),
                said("brings the members of all lines to more than {most}", most=MAX_COLUMNS),
            )
    if not columns:
        raise _empty()
    check_columns(list(columns))
    lines.release()
    file.seek(0)
    return list(columns), _ndjson_rows(_Lines(file, encoding), formats, list(columns))


def _ndjson_rows(lines: _Lines, formats: Formats, columns: Sequence[str]) -> Generator[Row]:
    for number, members in _objects(lines, formats):
        yield number, [members.get(column, "") for column in columns]


def _objects(lines: _Lines, formats: Formats) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number and the members of each line that is not empty. Members are texts by path."""
    while True:
        lines.begin_row()
        line = next(lines, None)
        if line is None:
            return
        if line.strip():
            members: dict[str, str] = {}
            _flatten(_object(line, lines.number), "", members, formats, lines.number)
            if any(len(text) > MAX_CELL for text in members.values()):
                raise refused(
                    said("Line {line}", line=lines.number),
                    said("has a value longer than {most:,} characters", most=MAX_CELL),
                )
            yield lines.number, members


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise refused(said("Line {line}", line=number), said("cannot be read as JSON")) from error
    if not isinstance(document, dict):
        raise refused(said("Line {line}", line=number), said("is not a JSON object"))
    if len(document) > MAX_COLUMNS:
        raise refused(said("Line {line}", line=number), said("has more than {most} members", most=MAX_COLUMNS))
    if line.count("[") + line.count("{") > MAX_DEPTH and not _is_shallow(document):
        raise refused(said("Line {line}", line=number), said("is nested deeper than {most} levels", most=MAX_DEPTH))
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


def _flatten(document: dict[str, Any], before: str, into: dict[str, str], formats: Formats, number: int) -> None:
    """Write each value under its path. Null is an empty cell."""
    for name, value in document.items():
        if isinstance(value, dict):
            _flatten(value, f"{before}{name}.", into, formats, number)
        elif before + name in into:
            raise refused(
                said("Line {line}", line=number),
                said("has two values for {name}", name=(before + name)[:MAX_COLUMN_NAME]),
            )
        else:
            into[before + name] = _text(value, formats, number)


def _text(value: Any, formats: Formats, number: int) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float():
            text = orjson.dumps(value).decode()
            if "e" in text or len(text.replace("-", "").replace(".", "")) > EXACT_DIGITS:
                raise refused(
                    said("Line {line}", line=number),
                    said("has a number that is not exact in JSON. Send it as text, in quotes"),
                )
            return formats.written(Decimal(text))
        case list():
            parts = [_text(one, formats, number) for one in value]
            if any(";" in part for part in parts):
                raise refused(
                    said("Line {line}", line=number),
                    said("has a list with a semicolon in one of its values, which separates values"),
                )
            return ";".join(parts)
    return orjson.dumps(value).decode()
