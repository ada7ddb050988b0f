"""Files are read within bounds, and refused by the line that breaks them."""

import io
import tracemalloc
from collections.abc import Iterator

import pytest

from crm_kit.errors import DomainError
from crm_kit.importing.files import MAX_CELL, MAX_COLUMNS, MAX_ROW, Row, open_rows


def read(content: bytes | str, name: str = "file.csv") -> list[Row]:
    data = content.encode() if isinstance(content, str) else content
    _, rows = open_rows(io.BytesIO(data), name)
    return list(rows)


def refusal(content: bytes | str, name: str = "file.csv") -> str:
    with pytest.raises(DomainError) as caught:
        read(content, name)
    assert caught.value.slug == "unreadable-file"
    return caught.value.detail


@pytest.mark.parametrize("name", ["leads.csv", "leads.ndjson", "leads.zip", "leads.xlsx"])
@pytest.mark.parametrize(
    ("start", "what"),
    [(b"PK\x03\x04", "a ZIP archive or an Excel file"), (b"\x1f\x8b\x08", "a gzip file"), (b"%PDF-1.7", "a PDF file")],
)
def test_what_is_no_text_is_named_with_what_is_taken(start: bytes, what: str, name: str) -> None:
    assert refusal(start + b"\x00\xff" * 40, name) == (
        f"This is {what}. Send CSV with a header (.csv), or NDJSON (.ndjson, .jsonl), as text in UTF-8 and not compressed."
    )


def test_rows_keep_the_number_of_their_line() -> None:
    assert read('a,b\r\n1,2\r\n\r\n"x\r\ny",3\r\n') == [(2, ["1", "2"]), (5, ["x\r\ny", "3"])]
    assert read("a\r1\r2\r") == [(2, ["1"]), (3, ["2"])], "an old Mac's line ends"
    assert read('{"a":1}\n\n{"a":[true,null]}\n', "file.ndjson") == [(1, ["1"]), (3, ["true;"])]


@pytest.mark.parametrize(
    ("content", "name", "detail"),
    [
        (f"{'x' * 201},b\n1,2\n", "f.csv", "Shorten the name of column 1 to 200 characters."),
        ("a,b\x00c\n1,2\n", "f.csv", "Remove the control character from the name of column 2."),
        ('{"a\\u0000":1}', "f.ndjson", "Remove the control character from the name of column 1."),
        (f'{{"{"x" * 201}":1}}', "f.ndjson", "Shorten the name of column 1 to 200 characters."),
        (b"a,b\n1,2\n3,\xe9\n", "f.csv", "Line 3 is not UTF-8."),
        (b'{"a":1}\n{"a":"\xed\xa0\x80"}\n', "f.ndjson", "Line 2 is not UTF-8."),
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
        _, rows = open_rows(file, name)
        with pytest.raises(DomainError, match=r"Line 2 "):
            list(rows)
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
