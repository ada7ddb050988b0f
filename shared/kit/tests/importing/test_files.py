"""Files are read within bounds, and refused by the line that breaks them."""

import io
import tracemalloc
from collections.abc import Iterator

import pytest

from crm_kit.errors import DomainError
from crm_kit.importing.files import TAKEN, Reading, open_rows
from crm_kit.importing.limits import MAX_CELL, MAX_COLUMNS, MAX_ROW, Row
from crm_kit.importing.text_files import Encoding


def table(content: bytes | str, name: str = "file.csv", encoding: Encoding = "utf-8") -> tuple[list[str], list[Row]]:
    data = content.encode() if isinstance(content, str) else content
    columns, rows = open_rows(io.BytesIO(data), name, Reading(encoding))
    return columns, list(rows)


def read(content: bytes | str, name: str = "file.csv") -> list[Row]:
    return table(content, name)[1]


def refusal(content: bytes | str, name: str = "file.csv") -> str:
    with pytest.raises(DomainError) as caught:
        read(content, name)
    assert caught.value.slug == "unreadable-file"
    return caught.value.detail


@pytest.mark.parametrize("name", ["leads.csv", "leads.ndjson", "leads.zip", "leads.xlsx"])
@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"PK\x05\x06", "an empty ZIP archive"),
        (b"\xd0\xcf\x11\xe0", "an Excel workbook of the old format (.xls), or one with a password"),
        (b"\x1f\x8b\x08", "a gzip file"),
        (b"%PDF-1.7", "a PDF file"),
    ],
)
def test_what_is_no_text_is_named_with_what_is_taken(start: bytes, what: str, name: str) -> None:
    assert refusal(start + b"\x00\xff" * 40, name) == f"This is {what}. {TAKEN}"


def test_rows_have_the_number_that_a_spreadsheet_shows() -> None:
    assert read('a,b\r\n1,2\r\n\r\n"x\r\ny",3\r\n5,6') == [(2, ["1", "2"]), (4, ["x\r\ny", "3"]), (5, ["5", "6"])]
    assert read("a\r1\r2\r") == [(2, ["1"]), (3, ["2"])], "an old Mac's line ends"
    assert read("sep=;\na,b;c\n1;2") == [(2, ["1", "2"])], "a spreadsheet shows no row for what names the delimiter"


def test_rows_of_ndjson_have_the_number_of_their_line() -> None:
    assert read('{"a":1}\n\n{"a":[true,null]}\n', "file.ndjson") == [(1, ["1"]), (3, ["true;"])]


def test_members_that_only_later_lines_have_are_columns() -> None:
    later = '{"name":"ND1"}\n{"name":"ND2","email":"x@nd.example","phone":"030 1234567"}\n'
    columns, rows = table(later, "file.ndjson")
    assert columns == ["name", "email", "phone"]
    assert rows == [(1, ["ND1", "", ""]), (2, ["ND2", "x@nd.example", "030 1234567"])]


def test_a_nested_object_is_a_column_for_each_member() -> None:
    shown = '{"address":{"city":"Potsdam","country":null},"value":{"amount":"1.00","currency":"EUR"},"owner":null}'
    columns, rows = table(shown, "file.ndjson")
    assert dict(zip(columns, rows[0][1], strict=True)) == {
        "address.city": "Potsdam",
        "value.amount": "1.00",
        "value.currency": "EUR",
        "address.country": "",
        "owner": "",
    }


def test_a_delimiter_inside_of_quotes_is_none() -> None:
    assert table('"Name, first";"Name, last";email\na;b;c') == (
        ["Name, first", "Name, last", "email"],
        [(2, ["a", "b", "c"])],
    )


def test_a_name_of_a_column_may_have_a_line_break_in_quotes() -> None:
    assert table('"First\nname",last\na,b\n') == (["First\nname", "last"], [(2, ["a", "b"])])


def test_a_replacement_character_that_was_sent_is_kept() -> None:
    assert table("name\nM\ufffdller\n") == (["name"], [(2, ["M\ufffdller"])])


ENCODED: list[tuple[Encoding, str]] = [
    ("utf-8", "Müller 田中 王伟 €"),
    ("utf-16", "Müller 田中 王伟 €"),
    ("windows-1252", "Müller €“”"),
    ("shift_jis", "髙橋 ①"),
    ("gb18030", "王伟 €"),
    ("big5", "陳大文 喆"),
]


@pytest.mark.parametrize(("encoding", "text"), ENCODED)
def test_a_text_is_read_in_the_encoding_that_is_named(encoding: Encoding, text: str) -> None:
    codec = {"shift_jis": "cp932", "big5": "big5hkscs"}.get(encoding, encoding)
    content = f"name\r\n{text}\r\n".encode(codec)
    assert table(content, encoding=encoding) == (["name"], [(2, [text])])


def test_what_is_not_in_the_named_encoding_is_refused_by_its_line_with_the_others_to_choose_from() -> None:
    shift_jis = "name\nAda\n高橋\n".encode("cp932")
    assert refusal(shift_jis) == (
        "Line 3 is not utf-8. Save the file as UTF-8, or name its encoding, one of utf-8, utf-16, windows-1252, shift_jis, "
        "gb18030, big5."
    )
    with pytest.raises(DomainError, match="is not utf-16"):
        table(b"name\nAda\n", encoding="utf-16")


@pytest.mark.parametrize(
    ("content", "name", "detail"),
    [
        (f"{'x' * 201},b\n1,2\n", "f.csv", "Shorten the name of column 1 to 200 characters."),
        ("a,b\x00c\n1,2\n", "f.csv", "Remove the control character from the name of column 2."),
        ('{"a\\u0000":1}', "f.ndjson", "Remove the control character from the name of column 1."),
        (f'{{"{"x" * 201}":1}}', "f.ndjson", "Line 1 has a member whose name is longer than 200"),
        (b"a,b\n1,2\n3,\xe9\n", "f.csv", "Line 3 is not utf-8."),
        (b'{"a":1}\n{"a":"\xed\xa0\x80"}\n', "f.ndjson", "Line 2 is not utf-8."),
        ('{"a":1}\n{"a":"\\ud800"}\n', "f.ndjson", "Line 2 cannot be read as JSON."),
        ('{"a":1}\n[1]\n', "f.ndjson", "Line 2 is not a JSON object."),
        (f'{{"a":1}}\n{{"a":{"[" * 100}{"]" * 100}}}', "f.ndjson", "Line 2 is nested deeper than 32 levels."),
        (f'{{"a":1}}\n{{"a":{"[" * 5000}{"]" * 5000}}}', "f.ndjson", "Line 2 cannot be read as JSON."),
        (f'{{"a":{"[" * 900}{"]" * 900}}}', "f.ndjson", "Line 1 is nested deeper than 32 levels."),
        (
            '{"a":1}\n{' + ",".join(f'"{n}":1' for n in range(MAX_COLUMNS + 1)) + "}",
            "f.ndjson",
            "Line 2 has more than 200 members.",
        ),
        (
            f'{{"a":1}}\n{{"a":"{"x" * (MAX_CELL + 1)}"}}',
            "f.ndjson",
            "Line 2 has a value longer than 64,000 characters.",
        ),
        (f"a\n1\n{'x' * (MAX_CELL + 1)}\n", "f.csv", "Line 3 has a cell longer than 64,000 characters."),
        (f"a\n{',' * MAX_COLUMNS}\n", "f.csv", "Line 2 has more than 200 cells."),
        (f"a\n1\n{'x,' * MAX_ROW}\n", "f.csv", "Line 3 makes a row longer than 1,048,576 characters."),
        ('a,b\n1,"x\n2,y\n', "f.csv", "Line 2 opens a quote that is never closed."),
        ('a,b\n1,2\n3,"say \\"hi\\""\n', "f.csv", "Line 3 has text after a closing quote."),
        ('a,"b\n1,2\n', "f.csv", "Line 1 opens a quote that is never closed."),
        (
            f'{{"a":1}}\n{{"{"x" * 201}":1}}',
            "f.ndjson",
            "Line 2 has a member whose name is longer than 200 characters.",
        ),
        ("sep=;\n", "f.csv", "The file is empty."),
        ("\n", "f.ndjson", "The file is empty."),
        (
            "".join(f'{{"m{n}":1}}\n' for n in range(MAX_COLUMNS + 1)),
            "f.ndjson",
            "Line 201 brings the members of all lines to more than 200.",
        ),
        # A quoted cell that never ends, in lines that are short, one of a cell's length and short of the next.
        ("a\n" + ('"' + "x" * 60_000 + '",') * 17 + '"\n' + "y\n" * 60_000, "f.csv", "makes a row longer"),
    ],
)
def test_a_file_out_of_bounds_is_refused_by_its_line(content: bytes | str, name: str, detail: str) -> None:
    assert detail in refusal(content, name)


@pytest.mark.parametrize("name", ["file.csv", "file.ndjson"])
def test_a_line_of_any_length_costs_no_more_memory_than_a_row(name: str) -> None:
    first = b"a\n" if name == "file.csv" else b'{"a":1}\n'

    class Endless(io.RawIOBase):
        """A second line of 200 MB."""

        left = 200 * 1024 * 1024

        def __init__(self) -> None:
            self.head = first

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            assert offset == 0
            self.head = first
            return 0

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the stub says any buffer
            if self.head:
                size, buffer[: len(self.head)], self.head = len(self.head), self.head, b""
                return size
            size = min(len(buffer), self.left)
            buffer[:size] = b"x" * size
            self.left -= size
            return size

    file = io.BufferedReader(Endless())
    tracemalloc.start()
    try:
        with pytest.raises(DomainError, match=r"Line 2 "):
            list(open_rows(file, name)[1])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * MAX_ROW


def test_rows_are_read_one_by_one() -> None:
    def numbered() -> Iterator[bytes]:
        yield b"a\n"
        for number in range(3):
            yield f"{number}\n".encode()

    _, rows = open_rows(io.BytesIO(b"".join(numbered())), "file.csv")
    assert next(rows) == (2, ["0"])
