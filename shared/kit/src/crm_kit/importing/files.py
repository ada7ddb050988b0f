"""Reads the files that people send, CSV, NDJSON and Excel workbooks, row by row."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import IO, Final

from crm_contracts.sentences import said
from crm_kit.errors import DomainError
from crm_kit.importing.formats import Formats
from crm_kit.importing.limits import Row
from crm_kit.importing.text_files import ENCODINGS, Encoding, read_csv, read_ndjson
from crm_kit.importing.workbooks import read_workbook

TAKEN: Final = said(
    "Send CSV with a header (.csv), or NDJSON (.ndjson, .jsonl), in one of these encodings: {encodings}; or an Excel workbook"
    " (.xlsx). Do not compress the file.",
    encodings=", ".join(ENCODINGS),
)
SIGNATURES: Final = {
    b"PK\x05\x06": said("an empty ZIP archive"),
    b"\x1f\x8b": said("a gzip file"),
    b"BZh": said("a bzip2 file"),
    b"\xfd7zXZ": said("an xz file"),
    b"7z\xbc\xaf\x27\x1c": said("a 7z archive"),
    b"\x28\xb5\x2f\xfd": said("a Zstandard file"),
    b"\xd0\xcf\x11\xe0": said("an Excel workbook of the old format (.xls), or one with a password"),
    b"%PDF": said("a PDF file"),
}
"""The first bytes of files that people send by mistake."""
WORKBOOK: Final = b"PK\x03\x04"
"""The first bytes of a workbook, which is a ZIP archive."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is read, as its sender says."""

    encoding: Encoding = "utf-8"
    formats: Formats = field(default_factory=Formats)
    sheet: str | None = None


def open_rows(file: IO[bytes], name: str, reading: Reading | None = None) -> tuple[list[str], Generator[Row]]:
    """Return the columns and the rows of a seekable file.

    A ZIP archive is read as a workbook. The file is NDJSON if its name ends with .ndjson or .jsonl, otherwise CSV.

    Raises ``unreadable-file``, which names the line or row, now or while the rows are read.
    """
    reading = reading or Reading()
    ending = name.lower().rpartition(".")[2]
    start = _start_of(file)
    if start.startswith(WORKBOOK):
        return read_workbook(file, reading.sheet, reading.formats)
    if reading.sheet is not None or ending in ("xlsx", "xlsm"):
        raise DomainError("unreadable-file", said("This is no Excel workbook (.xlsx). {taken}", taken=TAKEN))
    if ending in ("ndjson", "jsonl"):
        return read_ndjson(file, reading.encoding, reading.formats)
    return read_csv(file, reading.encoding)


def _start_of(file: IO[bytes]) -> bytes:
    """Return the first bytes. Raises ``unreadable-file`` if they show that the file is neither text nor a workbook."""
    start = file.read(len(max(SIGNATURES, key=len)))
    file.seek(0)
    for signature, what in SIGNATURES.items():
        if start.startswith(signature):
            raise DomainError("unreadable-file", said("This is {what}. {taken}", what=what, taken=TAKEN))
    return start
