"""Reads the files that people send, CSV and NDJSON, row by row."""

from collections.abc import Iterator
from typing import IO, Final

from crm_kit.errors import DomainError
from crm_kit.importing.limits import Row
from crm_kit.importing.text_files import ENCODINGS, Encoding, read_csv, read_ndjson

TAKEN: Final = (
    "CSV with a header (.csv), or NDJSON (.ndjson, .jsonl), in one of these encodings: "
    f"{', '.join(ENCODINGS)}. Do not compress the file."
)
SIGNATURES: Final = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"PK\x05\x06": "a ZIP archive",
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"%PDF": "a PDF file",
}
"""The first bytes of files that people send by mistake."""


def open_rows(file: IO[bytes], name: str, encoding: Encoding = "utf-8") -> tuple[list[str], Iterator[Row]]:
    """Return the columns and the rows of a seekable file.

    The file is NDJSON if its name ends with .ndjson or .jsonl, otherwise CSV.

    Raises ``unreadable-file``, which names the line or row, now or while the rows are read.
    """
    ending = name.lower().rpartition(".")[2]
    _refuse_packed(file)
    return read_ndjson(file, encoding) if ending in ("ndjson", "jsonl") else read_csv(file, encoding)


def _refuse_packed(file: IO[bytes]) -> None:
    """Refuse a file whose first bytes show that it is not text."""
    start = file.read(len(max(SIGNATURES, key=len)))
    file.seek(0)
    for signature, what in SIGNATURES.items():
        if start.startswith(signature):
            raise DomainError("unreadable-file", f"This is {what}. Send {TAKEN}")
