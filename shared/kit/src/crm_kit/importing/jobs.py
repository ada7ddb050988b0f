"""Accepting a file, and what its job tells afterwards."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Form, UploadFile
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field

from crm_contracts.access import Privilege
from crm_contracts.types import UtcDatetime
from crm_kit.db import new_id
from crm_kit.errors import DomainError, FieldError, NotFound
from crm_kit.importing.files import Row, open_rows
from crm_kit.importing.importer import Importer
from crm_kit.importing.mapping import FieldMapping, default_mapping
from crm_kit.records.presenter import to_json
from crm_kit.uow import UnitOfWork

BATCH = 2000
WAKE_CHANNEL = "crm_import"

Duplicates = Literal["allow", "skip", "report"]

FileForm = Annotated[UploadFile, Field(description="CSV with a header, or NDJSON (.ndjson); UTF-8, any size.")]
MappingForm = Annotated[
    str | None,
    Form(
        description='JSON object: column of the file → field (`{"Surname": "last_name", "Value": "estimated_value.amount"}`); '
        'a key that begins with "=" is a constant (`{"=EUR": "estimated_value.currency"}`); `owner_email` names the owner. '
        "Without it, columns named like fields are taken."
    ),
]
DuplicatesForm = Annotated[
    Duplicates,
    Form(
        description="What to do with a row that a record, or an earlier row, likely is already: `allow` it (nothing is "
        "looked for), `skip` it, or import it and `report` it among the errors, at the column that tells."
    ),
]


class ImportJob(BaseModel):
    """An import, running or done."""

    id: UUID = Field(description="Id of the job.")
    status: Literal["queued", "running", "completed", "canceled"] = Field(description="Where it stands.")
    total: int = Field(description="Rows in the file.")
    done: int = Field(description="Rows that became records.")
    skipped: int = Field(description="Rows left out as duplicates.")
    failed: int = Field(description="Rows refused; see `…/errors`.")
    started_at: UtcDatetime | None = Field(description="When the first chunk was taken.")
    finished_at: UtcDatetime | None = Field(description="When it was completed or canceled.")


async def accept(
    uow: UnitOfWork, importer: Importer, collection: str, file: UploadFile, mapping: str | None, duplicates: Duplicates
) -> Response:
    """Store the file's rows and answer 202; a worker does the rest. A file that cannot be read stores nothing."""
    await uow.start(importer.entity)
    columns, rows = await asyncio.to_thread(open_rows, file.file, file.filename or "")
    chosen = default_mapping(importer.schema, columns) if mapping is None else _parse(mapping)
    FieldMapping(importer.schema, columns, chosen)
    job_id = new_id()
    conn = await uow.transaction()
    await conn.exec_driver_sql("set local statement_timeout = 0")
    await conn.exec_driver_sql(
        "insert into import_job (id, entity_type, status, duplicates, columns, mapping, principal, principal_id,"
        " correlation_id, traceparent, total, done, skipped, failed, created_at)"
        " values ($1, $2, 'queued', $3, $4::text::json, $5::text::json, $6::text::jsonb, $7, $8, $9, 0, 0, 0, 0, $10)",
        (
            job_id,
            importer.entity.entity(),
            duplicates,
            orjson.dumps(columns).decode(),
            orjson.dumps(chosen).decode(),
            orjson.dumps(_remember(uow)).decode(),
            uow.principal.id,
            uow.cause.correlation_id,
            uow.cause.traceparent,
            uow.now,
        ),
    )
    raw = (await conn.get_raw_connection()).driver_connection
    assert raw is not None
    total = 0

    async def records() -> AsyncIterator[tuple[UUID, int, str]]:
        nonlocal total
        while batch := await asyncio.to_thread(_take, rows):
            for line, cells in batch:
                yield job_id, line, orjson.dumps(cells).decode()
            total += len(batch)

    await raw.copy_records_to_table("import_row", records=records(), columns=["job_id", "line", "cells"])
    job = await _update_total(uow, job_id, total)
    uow.wakes(WAKE_CHANNEL)
    headers = {"location": f"/api/v1/{collection}/jobs/{job_id}"}
    return Response(to_json(job), 202, headers, "application/json")


def _take(rows: Iterator[Row]) -> list[Row]:
    return list(islice(rows, BATCH))


def _parse(mapping: str) -> dict[str, str]:
    try:
        document = orjson.loads(mapping)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict) or not all(isinstance(field, str) for field in document.values()):
        message = "mapping is a JSON object of columns and field names."
        raise DomainError("invalid-mapping", message, (FieldError("/mapping", "invalid-value", message),))
    return document


def _remember(uow: UnitOfWork) -> dict[str, Any]:
    caller = uow.principal
    return {
        "id": str(caller.id),
        "kind": caller.kind,
        "unit": str(caller.unit),
        "teams": [str(team) for team in caller.teams],
        "privileges": dict(caller.privileges),
        "name": caller.name,
    }


RETURNED = "id, status, total, done, skipped, failed, started_at, finished_at"


async def _update_total(uow: UnitOfWork, job_id: UUID, total: int) -> dict[str, Any]:
    conn = await uow.transaction()
    sql = f"update import_job set total = $2 where id = $1 returning {RETURNED}"
    return dict((await conn.exec_driver_sql(sql, (job_id, total))).mappings().one())


async def job_status(uow: UnitOfWork, importer: Importer, job_id: UUID) -> Response:
    """How far a job is; visible to whoever started it."""
    return Response(to_json(await _job(uow, importer, job_id)), 200, {"cache-control": "no-store"}, "application/json")


async def _job(uow: UnitOfWork, importer: Importer, job_id: UUID) -> dict[str, Any]:
    uow.principal.require(importer.entity.entity(), Privilege.CREATE)
    sql = f"select {RETURNED} from import_job where id = $1 and principal_id = $2 and entity_type = $3"
    conn = await uow.connection()
    found = await conn.exec_driver_sql(sql, (job_id, uow.principal.id, importer.entity.entity()))
    row = found.mappings().one_or_none()
    if row is None:
        raise NotFound("import job")
    return dict(row)


async def cancel_job(uow: UnitOfWork, importer: Importer, job_id: UUID) -> Response:
    """Stop after the chunk in hand; what was imported stays. A job that is over is 409."""
    job = await _job(uow, importer, job_id)
    conn = await uow.transaction()
    changed = await conn.exec_driver_sql(
        "update import_job set status = 'canceled', finished_at = $2 where id = $1 and status in ('queued', 'running')",
        (job_id, uow.now),
    )
    if changed.rowcount == 0:
        raise DomainError(
            "illegal-transition", "The import is over.", members={"record_status": job["status"], "allowed": []}
        )
    await conn.exec_driver_sql("delete from import_row where job_id = $1", (job_id,))
    return Response(to_json(await _job(uow, importer, job_id)), 200, None, "application/json")


async def job_errors(uow: UnitOfWork, importer: Importer, job_id: UUID) -> Response:
    """The refused rows as CSV: row, column, code, message, and the row itself. Streamed, a page at a time."""
    await _job(uow, importer, job_id)
    sql = "select columns::text from import_job where id = $1"
    columns = orjson.loads((await (await uow.connection()).exec_driver_sql(sql, (job_id,))).scalar_one())
    db = uow.runtime.db

    async def lines() -> AsyncIterator[str]:
        yield _csv_line(["row", "column", "code", "message", *columns])
        after = (-1, -1)
        while True:
            async with db.autocommit() as conn:
                page: list[Any] = list(await conn.exec_driver_sql(ERRORS, (job_id, *after, BATCH)))
            if not page:
                return
            after = (page[-1][0], page[-1][1])
            yield "".join(_csv_line([row[0], row[2], row[3], row[4], *orjson.loads(row[5])]) for row in page)

    headers = {"content-disposition": f'attachment; filename="import-{job_id}-errors.csv"'}
    return StreamingResponse(lines(), 200, headers, "text/csv; charset=utf-8")


ERRORS = """
select line, position, "column", code, message, cells::text from import_error
where job_id = $1 and (line, position) > ($2, $3) order by line, position limit $4
"""


def _csv_line(cells: list[Any]) -> str:
    return ",".join(_quoted(str(cell)) for cell in cells) + "\r\n"


def _quoted(text: str) -> str:
    # A spreadsheet would run a cell that begins like a formula (OWASP: CSV injection).
    if text[:1] in ("=", "+", "-", "@", "\t", "\r"):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text
