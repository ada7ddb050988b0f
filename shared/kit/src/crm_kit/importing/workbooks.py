"""Reads workbooks by a process that has limits (``crm_kit.importing.workbook_child``), row by row.

The rows come through a pipe, so that the process waits while nobody reads. Whatever a workbook does to its reader, this process
only learns that it cannot be read.
"""

import io
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from typing import IO, Any, Final

import orjson

from crm_kit import clock
from crm_kit.errors import DomainError
from crm_kit.importing.formats import Formats
from crm_kit.importing.limits import MAX_CELL, MAX_COLUMNS, MAX_ROW, MAX_UNPACKED, Row, check_columns

MEMORY: Final = 160 * 1024 * 1024
"""Bytes of address space of the process that reads. Two of them fit beside an api into a container of 512 MiB."""
CPU_SECONDS: Final = 60
"""Seconds of processor time of that process."""
WAIT_SECONDS: Final = 100.0
"""The most seconds in all that this process waits for rows. A gateway waits a little longer for the answer."""
_PIECE: Final = 64 * 1024
_LONGEST_LINE: Final = 8 * MAX_ROW

CHILD: Final = "crm_kit.importing.workbook_child"


def read_workbook(file: IO[bytes], sheet: str | None, formats: Formats) -> tuple[list[str], Generator[Row]]:
    """Return the columns and rows of a sheet: the named one, or the first. The first row with a cell is the header.

    Raises ``unreadable-file``, now or while the rows are read.
    """
    rows = _rows(file, sheet, formats)
    with ExitStack() as held:
        held.enter_context(closing(rows))
        header = next(rows, None)
        if header is None:
            raise DomainError("unreadable-file", "The sheet is empty. Send a header and at least one row.")
        columns = [name.strip() for name in header[1]]
        check_columns(columns)
        held.pop_all()
    return columns, _filled(rows, len(columns))


def _filled(rows: Generator[Row], length: int) -> Generator[Row]:
    """Yield rows of the length of the header."""
    with closing(rows):
        for number, cells in rows:
            yield number, [*cells, *[""] * (length - len(cells))]


def _rows(file: IO[bytes], sheet: str | None, formats: Formats) -> Generator[Row]:
    """Yield the rows that the process writes. Ends the process, however the caller stops."""
    with ExitStack() as held:
        source = _descriptor(file, held)
        child = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-I", "-m", CHILD, json.dumps(_given(sheet, formats))],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
        )
        held.callback(_end, child)
        for line in _lines(child):
            message: Any = orjson.loads(line)
            if isinstance(message, list):
                yield message[0], message[1]
            elif "error" in message:
                raise DomainError("unreadable-file", message["error"])
            else:
                return
        raise _gave_up()


def _given(sheet: str | None, formats: Formats) -> dict[str, Any]:
    return {
        "sheet": sheet,
        "formats": {"decimal": formats.decimal, "date": formats.date},
        "memory": MEMORY,
        "seconds": CPU_SECONDS,
        "bounds": {"columns": MAX_COLUMNS, "cell": MAX_CELL, "row": MAX_ROW, "unpacked": MAX_UNPACKED},
    }


def _descriptor(file: IO[bytes], held: ExitStack) -> int:
    """Return the descriptor of the file from its beginning on. A file in memory is copied to one without a name."""
    file.seek(0)
    try:
        descriptor = file.fileno()
    except (AttributeError, io.UnsupportedOperation):
        copy = held.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # closed by the caller
        shutil.copyfileobj(file, copy)
        copy.flush()
        descriptor = copy.fileno()
    else:
        file.flush()
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _lines(child: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    """Yield the lines that the process writes, until it ends. Raises ``unreadable-file`` after too long a wait."""
    assert child.stdout is not None
    pipe = child.stdout.fileno()
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    left, rest = WAIT_SECONDS, b""
    while True:
        asked = clock.monotonic()
        if not poll.poll(max(0.0, left) * 1000):
            raise _gave_up()
        left -= clock.monotonic() - asked
        piece = os.read(pipe, _PIECE)
        if not piece:
            return
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        if len(rest) > _LONGEST_LINE:
            raise _gave_up()


def _gave_up() -> DomainError:
    message = "The workbook takes too much time or memory to read. Save the sheet as CSV, or send it in parts."
    return DomainError("unreadable-file", message)


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    assert child.stdout is not None
    child.stdout.close()
    child.wait()
