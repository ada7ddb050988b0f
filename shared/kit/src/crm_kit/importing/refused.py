"""Sends the refused rows of a job as CSV."""

import re
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

import orjson
from fastapi.responses import Response, StreamingResponse

from crm_kit.importing.importer import Importer
from crm_kit.importing.jobs import BATCH, BATCH_BYTES, job_of
from crm_kit.work.uow import UnitOfWork


async def job_errors(uow: UnitOfWork, importer: Importer, job_id: UUID) -> Response:
    """Return the refused rows as CSV: row, column, code, message, and the cells of the row. It is streamed page by page."""
    await job_of(uow, importer, job_id)
    sql = "select columns::text from import_job where id = $1"
    columns = orjson.loads((await (await uow.connection()).exec_driver_sql(sql, (job_id,))).scalar_one())
    db = uow.runtime.db

    async def lines() -> AsyncIterator[str]:
        yield _csv_line(["row", "column", "code", "message", *columns])
        after = (-1, -1)
        while True:
            async with db.autocommit() as conn:
                page: list[Any] = list(await conn.exec_driver_sql(ERRORS, (job_id, *after, BATCH, BATCH_BYTES)))
            if not page:
                return
            after = (page[-1][0], page[-1][1])
            yield "".join(_csv_line([row[0], row[2], row[3], row[4], *orjson.loads(row[5])]) for row in page)

    headers = {"content-disposition": f'attachment; filename="import-{job_id}-errors.csv"'}
    return StreamingResponse(lines(), 200, headers, "text/csv; charset=utf-8")


# Only the first error of a row has the cells.
ERRORS: Final = """
with page as (
    select line, position, "column", code, message, (
        select f.cells::text from import_error f where f.job_id = e.job_id and f.line = e.line and f.position = 0
    ) as cells
    from import_error e where job_id = $1 and (line, position) > ($2, $3) order by line, position limit $4
), summed as (
    select *, sum(octet_length(cells)) over (order by line, position) - octet_length(cells) as before from page
)
select line, position, "column", code, message, cells from summed where before < $5 order by line, position
"""


def _csv_line(cells: list[Any]) -> str:
    return ",".join(_quoted(str(cell)) for cell in cells) + "\r\n"


def _quoted(text: str) -> str:
    # A spreadsheet would execute a cell that begins like a formula (OWASP: CSV injection). Numbers are not formulas.
    # It may also begin a cell within the text, where it splits lines at another sign than the comma.
    text = _WITHIN.sub("'", text)
    if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not NUMBER.fullmatch(text):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text


NUMBER: Final = re.compile(r"[+-]\d[\d.,]{0,40}%?", re.ASCII)
_WITHIN: Final = re.compile(
    rf"""(?<=[;|\t\r\n])(?="{{0,9}}[=+\-@])(?!(?:{NUMBER.pattern})(?:[;|\t\r\n]|\Z))""", re.ASCII
)
"""A place in a text where a formula begins after a sign that may separate cells or lines."""
