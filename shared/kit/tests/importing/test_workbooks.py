"""Workbooks are read as a person sees them, by a process that harms nobody whatever it reads."""

import io
import re
import subprocess
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from crm_kit.errors import DomainError
from crm_kit.importing import workbooks
from crm_kit.importing.files import Reading, open_rows
from crm_kit.importing.formats import Formats
from crm_kit.importing.limits import MAX_COLUMNS, Row

SHEET = "xl/worksheets/sheet1.xml"


def saved(book: Workbook) -> io.BytesIO:
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    return file


def sheet(*rows: list[Any], dress: Callable[[Any], None] = lambda _: None) -> io.BytesIO:
    book = Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    dress(book.active)
    return saved(book)


def edited(file: io.BytesIO, name: str, change: Callable[[str], str], **more: str) -> io.BytesIO:
    """A workbook with one of its parts changed, and with more of them."""
    before, file = zipfile.ZipFile(file), io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in before.namelist():
            content = before.read(entry)
            archive.writestr(entry, change(content.decode()) if entry == name else content)
        for entry, text in more.items():
            archive.writestr(entry, text)
    file.seek(0)
    return file


def packed(**entries: bytes) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    file.seek(0)
    return file


def table(file: io.BytesIO, reading: Reading | None = None) -> tuple[list[str], list[Row]]:
    columns, rows = open_rows(file, "Leads.XLSX", reading)
    return columns, list(rows)


def refusal(file: io.BytesIO, reading: Reading | None = None) -> str:
    with pytest.raises(DomainError) as caught:
        table(file, reading)
    assert caught.value.slug == "unreadable-file"
    return caught.value.detail


def test_cells_become_the_texts_that_a_person_sees() -> None:
    def dress(active: Any) -> None:
        active["B2"].number_format = '0.0%" of all"'
        active["C2"].number_format = "00000"
        active.merge_cells("H2:I2")
        active.row_dimensions[2].hidden = True
        active["A9"].number_format = "0.00"

    when = datetime(2026, 3, 1, 9, 30)  # noqa: DTZ001  # a workbook knows no time zones
    header = [" topic ", "share", "postal", "id", "sum", "day", "at", "open", "merged"]
    file = sheet(
        header,
        ["Karte", 0.19, 1067, 4930123456.0, 0.1 + 0.2, date(2026, 3, 1), when, True, None],
        [],
        ["Fleet", 0.125, None, None, "1200.50", None, None, False, "田中"],
        dress=dress,
    )
    columns, rows = table(file)
    assert columns == ["topic", *header[1:]]
    assert rows == [
        (2, ["Karte", "19%", "01067", "4930123456", "0.3", "2026-03-01", "2026-03-01T09:30:00", "true", ""]),
        (4, ["Fleet", "0.125", "", "", "1200.50", "", "", "false", "田中"]),
    ], "row 3 and those after the last one are empty; row 2 is hidden, and counts"


def test_values_are_written_in_the_formats_of_the_file() -> None:
    file = sheet(["value", "day"], [1234.5, date(2026, 3, 1)])
    reading = Reading(formats=Formats("1.234,56", "DD.MM.YYYY"))
    assert table(file, reading)[1] == [(2, ["1234,5", "2026-03-01"])]


def test_days_are_those_of_the_workbooks_calendar() -> None:
    book = Workbook()
    book.epoch = CALENDAR_MAC_1904
    assert book.active is not None
    book.active.append(["day"])
    book.active.append([date(2026, 3, 1)])
    assert table(saved(book)) == (["day"], [(2, ["2026-03-01"])])


def test_what_is_no_value_is_told_by_its_cell() -> None:
    def results(content: str) -> str:
        content = content.replace("<f>1+1</f><v></v>", "<f>1+1</f><v>2</v>").replace(
            "<f>1+1</f><v />", "<f>1+1</f><v>2</v>"
        )
        return re.sub(r'<c r="D2"[^>]*><f>[^<]*</f>.*?</c>', '<c r="D2" t="str"><f>""</f><v></v></c>', content)

    file = edited(
        sheet(["a", "b", "c", "d", "e"], ["#N/A", "=1+1", "=2+2", '=""', 12345678901234567890]), SHEET, results
    )
    assert table(file)[1] == [(2, ["#N/A", "2", "#NO-RESULT!", "", "#DIGITS!"])]


def test_a_sheet_is_chosen_by_name() -> None:
    book = Workbook()
    assert book.active is not None
    book.active.append(["a"])
    book.create_sheet("Zweites Blatt").append(["b"])
    assert table(saved(book))[0] == ["a"]
    assert table(saved(book), Reading(sheet="Zweites Blatt"))[0] == ["b"]
    assert (
        refusal(saved(book), Reading(sheet="Third"))
        == "There is no sheet 'Third'. The workbook has: Sheet, Zweites Blatt."
    )


@pytest.mark.parametrize("dimension", ["A1", "A1:XFD1048576"])
def test_what_a_sheet_says_of_its_size_is_not_believed(dimension: str) -> None:
    file = edited(
        sheet(["a", "b"], ["1", "2"], ["3", "4"]),
        SHEET,
        lambda content: re.sub(r'<dimension ref="[^"]*"', f'<dimension ref="{dimension}"', content),
    )
    assert table(file) == (["a", "b"], [(2, ["1", "2"]), (3, ["3", "4"])])


def with_entities(content: str) -> str:
    bad = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><worksheet'
    return content.replace("<worksheet", bad, 1)


@pytest.mark.parametrize(
    ("file", "detail"),
    [
        (packed(readme=b"hello"), "This is a ZIP archive, and no Excel workbook"),
        (io.BytesIO(b"PK\x03\x04" + b"\x00" * 100), "This is no Excel workbook"),
        (io.BytesIO(b"topic,last_name\n"), "This is no Excel workbook"),
        (sheet(), "The sheet is empty."),
        (sheet(["a", "a"]), "Name each column once."),
        (sheet(["a"], ["x" * 32_000 for _ in range(40)]), "Row 2 is longer than"),
        (sheet(["a"], [1] * (MAX_COLUMNS + 1)), "Row 2 has more than 200 cells."),
        (edited(sheet(["a"], ["b"]), SHEET, with_entities), "that can be read"),
        (
            edited(sheet(["a"], ["b"]), SHEET, lambda text: text.replace('<row r="2"', '<row r="1048577"')),
            "1,048,576 rows",
        ),
    ],
)
def test_what_is_no_table_or_out_of_bounds_is_refused(file: io.BytesIO, detail: str) -> None:
    assert detail in refusal(file)


def test_a_workbook_is_not_unpacked_if_it_would_grow_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MAX_UNPACKED", 1024 * 1024)
    bomb = packed(**{"[Content_Types].xml": b"", "xl/sharedStrings.xml": b"\0" * (1024 * 1024 + 1)})
    assert len(bomb.getvalue()) < 4096
    assert "more than 1 MiB when it is unpacked" in refusal(bomb)


def test_a_workbook_that_takes_all_memory_ends_its_reader_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strings that no cell refers to, and that the library keeps nevertheless."""
    monkeypatch.setattr(workbooks, "MEMORY", 80 * 1024 * 1024)
    part = "sharedStrings"
    kind = f"application/vnd.openxmlformats-officedocument.spreadsheetml.{part}+xml"
    declared = f'<Override PartName="/xl/{part}.xml" ContentType="{kind}"/></Types>'
    strings = ("<si><t>" + "a" * 4000 + "</t></si>") * 25_000
    bomb = edited(
        sheet(["a"], ["b"]),
        "[Content_Types].xml",
        lambda text: text.replace("</Types>", declared),
        **{f"xl/{part}.xml": f'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{strings}</sst>'},
    )
    assert len(bomb.getvalue()) < 1024 * 1024
    assert "memory" in refusal(bomb)


def test_a_workbook_that_takes_all_time_ends_its_reader_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "CPU_SECONDS", 1)
    many = "<row><c><v>1</v></c></row>" * 600_000
    bomb = edited(sheet(["a"]), SHEET, lambda text: text.replace("</sheetData>", many + "</sheetData>"))
    assert len(bomb.getvalue()) < 128 * 1024
    assert "too much time" in refusal(bomb)


def test_the_reader_ends_with_whoever_reads() -> None:
    file = sheet(["a"], *([str(number)] for number in range(50_000)))
    _, rows = open_rows(file, "leads.xlsx")
    assert next(rows) == (2, ["0"])
    rows.close()


def test_the_reader_ends_with_a_header_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, end = [], workbooks._end

    def counted(child: "subprocess.Popen[bytes]") -> None:
        ended.append(child.pid)
        end(child)

    monkeypatch.setattr(workbooks, "_end", counted)
    with pytest.raises(DomainError) as told:
        open_rows(sheet(["a", "a"], ["b", "c"]), "leads.xlsx")
    assert (told.value.slug, len(ended)) == ("unreadable-file", 1)
