"""Workbooks are read as the spreadsheet shows them, within bounds."""

import io
import zipfile
from datetime import date, datetime
from typing import Any

import pytest
from openpyxl import Workbook

from crm_kit.errors import DomainError
from crm_kit.importing.files import open_rows
from crm_kit.importing.limits import MAX_CELL, MAX_COLUMNS, MAX_UNPACKED, Row


def saved(book: Workbook) -> io.BytesIO:
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    return file


def sheet(*rows: list[Any]) -> io.BytesIO:
    book = Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    return saved(book)


def table(file: io.BytesIO) -> tuple[list[str], list[Row]]:
    columns, rows = open_rows(file, "Leads.XLSX")
    return columns, list(rows)


def refusal(file: io.BytesIO) -> str:
    with pytest.raises(DomainError) as caught:
        table(file)
    assert caught.value.slug == "unreadable-file"
    return caught.value.detail


def test_cells_become_the_text_that_a_csv_file_would_have() -> None:
    when = datetime(2026, 3, 1, 9, 30)  # noqa: DTZ001  # a workbook knows no time zones
    file = sheet(
        ["topic ", "number", "value", "share", "closes", "at", "open", "note"],
        ["Karte", 7, 1200.5, 12.0, date(2026, 3, 1), when, True, None],
        [],
        ["Fleet", None, "1200.50", None, None, None, False, "田中"],
    )
    assert table(file) == (
        ["topic", "number", "value", "share", "closes", "at", "open", "note"],
        [
            (2, ["Karte", "7", "1200.5", "12", "2026-03-01", "2026-03-01T09:30:00", "true", ""]),
            (4, ["Fleet", "", "1200.50", "", "", "", "false", "田中"]),
        ],
    )


def test_a_sheet_that_is_hidden_is_not_read_and_of_several_none_is_guessed() -> None:
    book = Workbook()
    assert book.active is not None
    book.active.append(["a"])
    book.create_sheet("Lists").sheet_state = "hidden"
    assert table(saved(book)) == (["a"], [])
    book.create_sheet("Second")
    assert refusal(saved(book)) == "Send a workbook with one sheet. This one has: Sheet, Second."


@pytest.mark.parametrize(
    ("file", "detail"),
    [
        (io.BytesIO(b"topic,last_name\n"), "This is no Excel workbook"),
        (io.BytesIO(b"PK\x03\x04" + b"\x00" * 100), "This is no Excel workbook"),
        (sheet(), "The sheet is empty."),
        (sheet(["a", "a"]), "Name each column once."),
        (sheet(["a"], ["x" * 32_000 for _ in range(40)]), "Row 2 is longer than"),
        (sheet(["a"], [1] * (MAX_COLUMNS + 1)), "Row 2 has more than 200 cells."),
    ],
)
def test_what_is_no_table_is_refused(file: io.BytesIO, detail: str) -> None:
    assert detail in refusal(file)


def test_a_cell_is_as_long_as_in_other_files() -> None:
    assert MAX_CELL > 32_767, "what Excel itself takes"


def packed(**entries: bytes) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    file.seek(0)
    return file


def test_an_archive_that_grows_when_it_is_unpacked_is_not_unpacked() -> None:
    bomb = packed(sheet=b"\0" * (MAX_UNPACKED + 1))
    assert len(bomb.getvalue()) < MAX_UNPACKED / 500
    assert "more than 64 MiB when it is unpacked" in refusal(bomb)


def test_an_archive_that_holds_something_else_is_no_workbook() -> None:
    assert "This is no Excel workbook" in refusal(packed(readme=b"hello"))


def test_a_workbook_whose_xml_refers_to_entities_is_refused() -> None:
    """Entities that multiply, or that name files of the server."""
    inner = zipfile.ZipFile(sheet(["a"], ["b"]))
    entries = {name: inner.read(name) for name in inner.namelist()}
    bad = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    content = entries["xl/worksheets/sheet1.xml"]
    start = content.index(b"<worksheet")
    entries["xl/worksheets/sheet1.xml"] = content[:start] + bad + content[start:]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
    file.seek(0)
    assert "that can be read" in refusal(file)
