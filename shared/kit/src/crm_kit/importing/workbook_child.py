"""Reads one sheet of an Excel workbook (.xlsx, ISO/IEC 29500) in a process of its own, and writes its rows to the standard
output.

A workbook is an archive of XML that its sender wrote: reading it may take any time and any memory. This process limits both
before it reads anything, has no settings and no connections, and imports nothing of the application but ``formats``. The parent
(``crm_kit.importing.workbooks``) starts it with the workbook as its standard input and the limits as its argument.

Each line is JSON: the rows ``[number, cells]``, the first of which is the header, then ``{"end": true}`` or
``{"error": "..."}``.
"""

import json
import re
import resource
import sys
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import IO, Any, Final

from crm_kit.importing.formats import Formats

MOST_ROWS: Final = 1_048_576
"""The rows of a sheet, by the specification of Excel."""
MOST_ENTRIES: Final = 10_000
EXACT: Final = 10**15
"""Numbers from here on have more digits than a spreadsheet keeps."""
_ZEROS: Final = re.compile(r"0{1,32}")
_QUOTED: Final = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')
_FORMULA: Final = re.compile(rb"<(?:\w{1,20}:)?f[\s/>]")
_OVERLAP: Final = 32
_PIECE: Final = 1024 * 1024


class Unreadable(Exception):  # it is what the workbook is
    """The workbook cannot be read; the text says why."""


def limit(memory: int, seconds: int) -> None:
    """Limit this process for good: bytes of memory, seconds of processor time, and no file that it could write.

    If the machine or the container runs out of memory nevertheless, the kernel ends this process before others.
    """
    with suppress(OSError):  # where /proc is not mounted
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def rows_of(
    file: IO[bytes], sheet: str | None, formats: Formats, bounds: dict[str, int]
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a sheet that have a cell, each with its number and the text of its cells. Raises Unreadable."""
    # Imported here: the limits come first.
    from openpyxl import load_workbook

    has_formulas = _look_through(file, bounds["unpacked"])

    def opened(*, results: bool) -> Any:
        book = load_workbook(file, read_only=True, data_only=results, keep_links=False)
        found = _sheet(book, sheet)
        # What the sheet says of its size may be wrong.
        found.reset_dimensions()
        return found.iter_rows()

    formulas = opened(results=False) if has_formulas else repeat(())
    for number, (cells, written) in enumerate(zip(opened(results=True), formulas, strict=False), 1):
        if number > MOST_ROWS:
            raise Unreadable(f"The sheet has more than {MOST_ROWS:,} rows.")
        texts = _texts(cells, written, formats)
        if len(texts) > bounds["columns"]:
            raise Unreadable(f"Row {number} has more than {bounds['columns']} cells.")
        if any(len(text) > bounds["cell"] for text in texts):
            raise Unreadable(f"Row {number} has a cell longer than {bounds['cell']:,} characters.")
        if sum(map(len, texts)) > bounds["row"]:
            raise Unreadable(f"Row {number} is longer than {bounds['row']:,} characters.")
        if texts:
            yield number, texts


def _look_through(file: IO[bytes], unpacked: int) -> bool:
    """Return whether a sheet has formulas. Raises Unreadable for what is too large when it is unpacked, or no workbook."""
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if len(entries) > MOST_ENTRIES or sum(entry.file_size for entry in entries) > unpacked:
            raise Unreadable(
                f"The workbook has more than {unpacked // 1024**2} MiB when it is unpacked. Save the sheet as CSV."
            )
        names = [entry.filename for entry in entries]
        if "[Content_Types].xml" not in names:
            raise Unreadable("This is a ZIP archive, and no Excel workbook. Unpack it, and send the files that it has.")
        return any(_has_formulas(archive, name) for name in names if "worksheets/" in name and name.endswith(".xml"))


def _has_formulas(archive: zipfile.ZipFile, name: str) -> bool:
    with archive.open(name) as content:
        before = b""
        while piece := content.read(_PIECE):
            if _FORMULA.search(before + piece):
                return True
            before = piece[-_OVERLAP:]
    return False


def _sheet(book: Any, name: str | None) -> Any:
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    if not sheets:
        raise Unreadable("The workbook has no sheet with cells.")
    if name is None:
        return next(iter(sheets.values()))
    if name not in sheets:
        raise Unreadable(f"There is no sheet {name!r}. The workbook has: {', '.join(sheets)[:400]}.")
    return sheets[name]


def _texts(cells: Sequence[Any], written: Sequence[Any], formats: Formats) -> list[str]:
    """Return the texts of a row's cells, without the empty ones at the end."""
    texts = [_text(cell, formats) for cell in cells]
    for position, cell in enumerate(written):
        if cell.data_type == "f" and position < len(cells):
            result = cells[position]
            # A formula whose result is an empty text has the type of a text.
            if result.value is None and result.data_type != "str":
                texts[position] = "#NO-RESULT!"
    while texts and not texts[-1].strip():
        texts.pop()
    return texts


def _text(cell: Any, formats: Formats) -> str:
    """Return what a person sees in a cell, in the formats of the file."""
    value = cell.value
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return formats.written(value)
        case int() | float():
            return _number(value, cell.number_format or "", formats)
        case datetime() if value.microsecond:
            # Spreadsheets keep days as fractions, which miss the second by a little.
            return formats.written((value + timedelta(microseconds=500_000)).replace(microsecond=0))
        case datetime() | date() | time():
            return formats.written(value)
    return str(value)


def _number(value: int | float, shown: str, formats: Formats) -> str:
    if abs(value) >= EXACT:
        return "#DIGITS!"
    # Sums of fractions are not exact, and spreadsheets show 15 digits.
    exact = Decimal(value) if isinstance(value, int) else Decimal(format(value, ".15g"))
    if "%" in _QUOTED.sub("", shown):
        return formats.written(_short(exact * 100)) + "%"
    if exact == exact.to_integral_value():
        # Without .0, because it may be an id. The format 00000 shows its zeros.
        width = len(shown) if _ZEROS.fullmatch(shown) and exact >= 0 else 1
        return f"{int(exact):0{width}d}"
    return formats.written(_short(exact))


def _short(number: Decimal) -> Decimal:
    """Return a number without zeros at the end of its decimals."""
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()


def main() -> None:
    """Write the rows of the workbook on the standard input."""
    given = json.loads(sys.argv[1])
    limit(given["memory"], given["seconds"])
    warnings.simplefilter("ignore")
    out = sys.stdout.buffer

    def tell(message: Any) -> None:
        out.write(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n")

    try:
        with open(0, "rb", closefd=False) as file:
            for row in rows_of(file, given["sheet"], Formats.of(given["formats"]), given["bounds"]):
                tell(row)
        tell({"end": True})
    except Unreadable as refused:
        tell({"error": str(refused)})
    except MemoryError:
        tell({"error": "The workbook needs more memory than an import may take. Save the sheet as CSV."})
    except Exception as error:  # noqa: BLE001  # the library raises errors of any kind for a broken workbook
        tell(
            {
                "error": "This is no Excel workbook (.xlsx) that can be read. Save the sheet as CSV.",
                "kind": type(error).__name__,
            }
        )
    out.flush()


if __name__ == "__main__":
    main()
