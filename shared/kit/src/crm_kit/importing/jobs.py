"""Accepts a file, and reports on its job."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Form, Query, UploadFile
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.access import Depth, Privilege
from crm_contracts.catalogue import entity_named
from crm_contracts.types import UtcDatetime
from crm_kit.errors import DomainError, FieldError, Forbidden, NotFound
from crm_kit.importing.files import open_rows
from crm_kit.importing.importer import Importer
from crm_kit.importing.limits import MAX_CELL, MAX_COLUMNS, Row
from crm_kit.importing.mapping import FieldMapping, default_mapping
from crm_kit.importing.queue import WAKE_CHANNEL
from crm_kit.importing.storing import Quota, Storing
from crm_kit.importing.text_files import Encoding
from crm_kit.records.answers import READ_HEADERS, UncountedPage
from crm_kit.records.listing import MAX_PAGE
from crm_kit.store.presenter import to_json
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork

BATCH = 2000
BATCH_BYTES = 1024 * 1024
"""Bytes of rows in memory at a time, while a file is stored and while refused rows are sent."""

Duplicates = Literal["allow", "skip", "report"]
Status = Literal["queued", "running", "completed", "canceled", "failed"]

FileForm = Annotated[
    UploadFile,
    Field(
        description="CSV with a header (RFC 4180; a first line `sep=;` names the delimiter), or NDJSON (.ndjson). "
        "A row has up to 1,048,576 characters, a cell 64,000; there are up to 200 columns."
    ),
]
MappingForm = Annotated[
    str | None,
    Form(
        description='JSON object: column of the file → field (`{"Surname": "last_name", "Value": "estimated_value.amount"}`). '
        'A key that begins with "=" is a constant (`{"=EUR": "estimated_value.currency"}`). `owner_email` names the owner. '
        "Without it, columns with the names of fields are imported."
    ),
]
EncodingForm = Annotated[
    Encoding,
    Form(description="The encoding of a CSV or NDJSON file, by its name in the WHATWG Encoding standard."),
]
DuplicatesForm = Annotated[
    Duplicates,
    Form(
        description="What to do with a row that likely repeats a record or an earlier row: `allow` it (duplicates are not "
        "searched), `skip` it, or import it and `report` it among the errors, at the column that is alike."
    ),
]


JobsLimit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Imports per page.")]
JobsAfter = Annotated[UUID | None, Query(description="`next` of the previous page.")]
JobsStatus = Annotated[Status | None, Query(description="Only imports with this status.")]


class ImportJob(BaseModel):
    """An import and its progress."""

    id: UUID = Field(description="Id of the job.")
    status: Status = Field(
        description="The status. `canceled` and `failed` imports ended early: `reason` and `message` say why, and the "
        "imported records stay."
    )
    total: int = Field(description="Rows in the file.")
    done: int = Field(description="Rows that became records.")
    skipped: int = Field(description="Rows that were left out as duplicates.")
    failed: int = Field(description="Rows that were refused; see `…/errors`.")
    reason: str | None = Field(
        description="Why it ended early: `canceled`, `canceled-by-operator`, `caller-inactive`, `rights-changed` or "
        "`internal-error`; null otherwise."
    )
    message: str | None = Field(description="The reason in a sentence, and what to do; null otherwise.")
    created_at: UtcDatetime = Field(description="When the file was accepted.")
    created_by: UUID = Field(description="Id of the caller who sent the file.")
    started_at: UtcDatetime | None = Field(description="When the first chunk was processed.")
    finished_at: UtcDatetime | None = Field(description="When the import ended.")


ImportJobPage = UncountedPage[ImportJob]


async def accept(
    uow: UnitOfWork,
    importer: Importer,
    file: UploadFile,
    mapping: str | None,
    duplicates: Duplicates,
    encoding: Encoding = "utf-8",
) -> Response:
    """Store the file's rows and return 202. A worker imports them.

    Raises 403, 422 ``unreadable-file`` and ``invalid-mapping``, 413, 429 and 503. Nothing is stored then.
    """
    entity = importer.entity.entity()
    uow.principal.require(entity, Privilege.CREATE)
    # The turn comes before any connection. Few files are stored at a time, so that connections are left for others.
    async with _storing(uow).turn_of(uow.principal.id):
        await uow.start(importer.entity)
        columns, rows = await asyncio.to_thread(open_rows, file.file, file.filename or "", encoding)
        chosen = default_mapping(importer.schema, columns) if mapping is None else _parse(mapping)
        FieldMapping(importer.schema, columns, chosen)
        quota = Quota.of(uow.runtime.settings)
        conn = await uow.transaction()
        await quota.check(conn, uow.principal.id)
        job_id = new_id()
        await conn.exec_driver_sql("set local statement_timeout = 0")
        await conn.exec_driver_sql(
            INSERT_JOB,
            (
                job_id,
                entity,
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
        total, size = await _store(conn, job_id, rows, quota)
        if not total:
            raise DomainError("unreadable-file", "The file has no rows. Send at least one beside the header.")
        sql = f"update import_job set total = $2, bytes = $3 where id = $1 returning {RETURNED}"
        job = dict((await conn.exec_driver_sql(sql, (job_id, total, size))).mappings().one())
        await quota.enforce(conn, uow.principal.id)
    uow.wakes(WAKE_CHANNEL)
    headers = {"location": f"{entity_named(entity).path}/jobs/{job_id}"}
    return Response(to_json(job), 202, headers, "application/json")


INSERT_JOB = """
with turn as (insert into import_turn (principal_id, served_at) values ($7, to_timestamp(0)) on conflict do nothing)
insert into import_job (id, entity_type, status, duplicates, columns, mapping, principal, principal_id, correlation_id,
    traceparent, total, done, skipped, failed, created_at)
values ($1, $2, 'queued', $3, $4::text::json, $5::text::json, $6::text::jsonb, $7, $8, $9, 0, 0, 0, 0, $10)
"""


def _storing(uow: UnitOfWork) -> Storing:
    storing: Storing = uow.runtime.extras.setdefault("importing", Storing())
    return storing


async def _store(conn: AsyncConnection, job_id: UUID, rows: Iterator[Row], quota: Quota) -> tuple[int, int]:
    """Copy the rows into the database; returns their number and their size in bytes."""
    raw = (await conn.get_raw_connection()).driver_connection
    assert raw is not None
    total = size = 0

    async def records() -> AsyncIterator[tuple[UUID, int, str]]:
        nonlocal total, size
        while batch := await asyncio.to_thread(_take, rows):
            total += len(batch)
            size += sum(len(cells) for _, cells in batch)
            quota.check_file(total, size)
            for line, cells in batch:
                yield job_id, line, cells

    await raw.copy_records_to_table("import_row", records=records(), columns=["job_id", "line", "cells"])
    return total, size


def _take(rows: Iterator[Row]) -> list[tuple[int, str]]:
    batch: list[tuple[int, str]] = []
    size = 0
    for line, cells in rows:
        batch.append((line, orjson.dumps(cells).decode()))
        size += len(batch[-1][1])
        if len(batch) == BATCH or size >= BATCH_BYTES:
            break
    return batch


def _parse(mapping: str) -> dict[str, str]:
    try:
        document = orjson.loads(mapping)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict) or not all(isinstance(field, str) for field in document.values()):
        message = "Send mapping as a JSON object of columns and field names."
        raise DomainError("invalid-mapping", message, (FieldError("/mapping", "invalid-value", message),))
    if len(document) > 2 * MAX_COLUMNS or any(len(source) > MAX_CELL for source in document):
        message = f"Send at most {2 * MAX_COLUMNS} members in mapping, each of at most {MAX_CELL:,} characters."
        raise DomainError("invalid-mapping", message, (FieldError("/mapping", "too-long", message),))
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
        "issued_at": caller.issued_at,
        "sequence": caller.sequence,
    }


RETURNED = (
    "id, status, total, done, skipped, failed, reason, message, created_at, principal_id as created_by,"
    " started_at, finished_at"
)


async def list_jobs(
    uow: UnitOfWork, importer: Importer, limit: int, after: UUID | None, status: Status | None
) -> Response:
    """Return a page of the caller's imports, newest first.

    It has the imports of all callers if the caller may read every record of the entity.
    """
    entity = importer.entity.entity()
    everybody = _sees_all(uow, importer)
    if not everybody:
        uow.principal.require(entity, Privilege.CREATE)
    whose = None if everybody else uow.principal.id
    found = await (await uow.connection()).exec_driver_sql(LIST, (entity, after, status, whose, limit + 1))
    rows = [dict(row) for row in found.mappings()]
    following = str(rows[limit - 1]["id"]) if len(rows) > limit else None
    return Response(to_json({"items": rows[:limit], "next": following}), 200, READ_HEADERS, "application/json")


LIST = f"""
select {RETURNED} from import_job where entity_type = $1 and ($2::uuid is null or id < $2)
    and ($3::text is null or status = $3) and ($4::uuid is null or principal_id = $4)
order by id desc limit $5
"""


def _sees_all(uow: UnitOfWork, importer: Importer) -> bool:
    """Whether the caller may see all jobs. Jobs show rows, so that needs the right to read every record of the entity."""
    return uow.principal.depth(importer.entity.entity(), Privilege.READ) is Depth.ORGANIZATION


async def job_status(uow: UnitOfWork, importer: Importer, job_id: UUID) -> Response:
    """Return a job. Raises 404 unless the caller started it or may read every record of the entity."""
    return Response(to_json(await _job(uow, importer, job_id)), 200, {"cache-control": "no-store"}, "application/json")


async def _job(uow: UnitOfWork, importer: Importer, job_id: UUID) -> dict[str, Any]:
    sql = f"select {RETURNED} from import_job where id = $1 and entity_type = $2"
    conn = await uow.connection()
    found = await conn.exec_driver_sql(sql, (job_id, importer.entity.entity()))
    row = found.mappings().one_or_none()
    if row is None or not (row["created_by"] == uow.principal.id or _sees_all(uow, importer)):
        raise NotFound("import job")
    return dict(row)


async def cancel_job(uow: UnitOfWork, importer: Importer, job_id: UUID) -> Response:
    """Cancel a job after its current chunks, and return it. The imported records stay.

    Raises 404 as ``job_status`` does, 409 if the job has ended, and 403 for the job of another caller without the right to change
    every record of the entity.
    """
    job = await _job(uow, importer, job_id)
    mine = job["created_by"] == uow.principal.id
    entity = importer.entity.entity()
    if not mine and uow.principal.depth(entity, Privilege.WRITE) is not Depth.ORGANIZATION:
        raise Forbidden(Privilege.WRITE.value, entity, everywhere=True)
    conn = await uow.transaction()
    # The worker deletes the rows later, because there may be too many for a request, and a lane may hold some.
    changed = await conn.exec_driver_sql(
        CANCEL,
        (
            job_id,
            uow.now,
            "canceled" if mine else "canceled-by-operator",
            "You canceled the import."
            if mine
            else "An operator canceled the import. Ask them before you send the rest.",
        ),
    )
    if changed.rowcount == 0:
        raise DomainError(
            "illegal-transition",
            "The import has already ended.",
            members={"record_status": job["status"], "allowed": []},
        )
    uow.wakes(WAKE_CHANNEL)
    return Response(to_json(await _job(uow, importer, job_id)), 200, None, "application/json")


CANCEL = """
update import_job set status = 'canceled', reason = $3, message = $4, finished_at = $2, bytes = 0, next_attempt_at = null
where id = $1 and status in ('queued', 'running')
"""


async def job_errors(uow: UnitOfWork, importer: Importer, job_id: UUID) -> Response:
    """Return the refused rows as CSV: row, column, code, message, and the cells of the row. It is streamed page by page."""
    await _job(uow, importer, job_id)
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
ERRORS = """
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
    if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not NUMBER.fullmatch(text):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text


NUMBER = re.compile(r"[+-]\d[\d.,]{0,40}%?", re.ASCII)
