"""Accepts a file, and reports on its job."""

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, Self
from uuid import UUID

import orjson
from fastapi import UploadFile
from fastapi.responses import Response
from pydantic import BaseModel, Field, JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.access import Depth, Privilege
from crm_contracts.catalogue import entity_named
from crm_contracts.sentences import Choice, entity_word, said
from crm_contracts.types import UtcDatetime
from crm_kit.errors import DomainError, FieldError, Forbidden, NotFound
from crm_kit.importing.files import Reading, open_rows
from crm_kit.importing.formats import Formats
from crm_kit.importing.forms import ImportForm, Status
from crm_kit.importing.importer import Importer
from crm_kit.importing.limits import MAX_CELL, MAX_COLUMNS, Row
from crm_kit.importing.mapping import FieldMapping, default_mapping
from crm_kit.importing.outcome import SHOWN_ROWS
from crm_kit.importing.queue import ENTITY, WAKE_CHANNEL, stored_type, stored_types
from crm_kit.importing.storing import Quota, Storing
from crm_kit.records.answers import READ_HEADERS, UncountedPage
from crm_kit.store.presenter import presenter_of, to_json
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork

BATCH: Final = 2000
BATCH_BYTES: Final = 1024 * 1024
"""Bytes of rows in memory at a time, while a file is stored and while refused rows are sent."""


class PreviewRow(BaseModel):
    """A row of a dry run as it would be."""

    row: int = Field(description="Row of the file as a spreadsheet counts, the header being 1; of NDJSON the line.")
    action: Literal["create", "update", "skip", "refuse"] = Field(
        description="What the row would do. `skip` leaves it out as a duplicate; `…/errors` has the reason of `refuse`."
    )
    record: dict[str, JsonValue] | None = Field(
        description="The record as it would be; null if there is none. `id` and `number` of a new one are null: only an "
        "import draws them."
    )


class ImportJob(BaseModel):
    """An import and its progress."""

    id: UUID = Field(description="Id of the job.")
    entity: str = Field(description="Kind of the records.", examples=["lead"])
    href: str = Field(
        description="Path of the job.", examples=["/api/v1/leads/jobs/019aa2f0-0000-7000-8000-000000000001"]
    )
    dry_run: bool = Field(description="Whether it only tries what an import would do, and writes no record.")
    status: Status = Field(
        description="The status. `canceled` and `failed` imports ended early: `reason` and `message` say why, and the "
        "imported records stay."
    )
    total: int = Field(description="Rows in the file.")
    done: int = Field(description="Rows that became records, or changed records. Of a dry run: that would.")
    updated: int = Field(description="Those of `done` that found a record by the key of the import.")
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
    preview: list[PreviewRow] | None = Field(
        None,
        description="The first 20 rows as they would be. Only a dry run has it, and only when it is read by itself.",
    )


ImportJobPage = UncountedPage[ImportJob]


async def accept(uow: UnitOfWork, importer: Importer, file: UploadFile, form: ImportForm) -> Response:
    """Store the file's rows and return 202. A worker imports them.

    No transaction is open while the beginning of the file is read, which may take long: PostgreSQL ends one that waits so long.

    Raises 403, 422 ``unreadable-file`` and ``invalid-mapping``, 413, 429 and 503. Nothing is stored then.
    """
    entity = importer.entity.entity()
    uow.principal.require(entity, Privilege.CREATE)
    _refuse_key(importer, form.key)
    # The turn comes before any connection. Few files are stored at a time, so that connections are left for others.
    async with _storing(uow).turn_of(uow.principal.id):
        formats = Formats(form.decimal, form.date, form.currency)
        reading = Reading(form.encoding, formats, form.sheet)
        columns, opened = await asyncio.to_thread(open_rows, file.file, file.filename or "", reading)
        async with _Source.of(opened) as rows:
            chosen = _parse(form.mapping) if form.mapping else default_mapping(importer, columns, formats, form.key)
            FieldMapping(importer, columns, chosen, formats, form.key)
            await uow.start(importer.entity)
            quota = Quota.of(uow.runtime.settings)
            conn = await uow.transaction()
            await quota.check(conn, uow.principal.id)
            job_id = new_id()
            await conn.exec_driver_sql("set local statement_timeout = 0")
            await conn.exec_driver_sql(
                INSERT_JOB,
                (
                    job_id,
                    stored_type(entity, has_options=_has_options(form)),
                    form.duplicates,
                    orjson.dumps(columns).decode(),
                    orjson.dumps(chosen).decode(),
                    orjson.dumps(_remember(uow)).decode(),
                    uow.principal.id,
                    uow.cause.correlation_id,
                    uow.cause.traceparent,
                    uow.now,
                    orjson.dumps(_options(form)).decode(),
                ),
            )
            total, size = await _store(conn, job_id, rows, quota)
            if not total:
                raise DomainError("unreadable-file", "The file has no rows. Send at least one beside the header.")
            sql = f"update import_job set total = $2, bytes = $3 where id = $1 returning {RETURNED}"
            job = _shown((await conn.exec_driver_sql(sql, (job_id, total, size))).mappings().one())
            await quota.enforce(conn, uow.principal.id)
    uow.wakes(WAKE_CHANNEL)
    headers = {"location": job["href"]}
    return Response(to_json(job), 202, headers, "application/json")


INSERT_JOB = """
with turn as (insert into import_turn (principal_id, served_at) values ($7, to_timestamp(0)) on conflict do nothing)
insert into import_job (id, entity_type, status, duplicates, columns, mapping, principal, principal_id, correlation_id,
    traceparent, total, done, skipped, failed, created_at, options)
values ($1, $2, 'queued', $3, $4::text::json, $5::text::json, $6::text::jsonb, $7, $8, $9, 0, 0, 0, 0, $10, $11::text::jsonb)
"""


def _refuse_key(importer: Importer, key: str | None) -> None:
    if key is not None and key not in importer.keys:
        known = Choice(*importer.keys) if importer.keys else said("none")
        words = entity_word(importer.entity.entity())
        message = said("Send another key: an import of {kind} records finds them by {known}.", kind=words, known=known)
        raise DomainError("invalid-mapping", message, (FieldError("/key", "unknown-key", message),))


def _options(form: ImportForm) -> dict[str, Any]:
    names = ("decimal", "date", "currency", "key", "empty", "dry_run")
    return {name: value for name in names if (value := getattr(form, name)) is not None}


def _has_options(form: ImportForm) -> bool:
    """Whether the job asks for something that a worker of a release without options would not do."""
    return _options(form) != _options(ImportForm())


def _storing(uow: UnitOfWork) -> Storing:
    storing: Storing = uow.runtime.extras.setdefault("importing", Storing())
    return storing


class _Source:
    """The rows of a file, which threads read one after the other."""

    def __init__(self, rows: Generator[Row]) -> None:
        self._rows, self._reading = rows, threading.Lock()

    @classmethod
    @asynccontextmanager
    async def of(cls, rows: Generator[Row]) -> AsyncIterator[Self]:
        """Close the rows at the end, and with them the process that reads a workbook. A read that still runs ends before."""
        source = cls(rows)
        try:
            yield source
        finally:
            await asyncio.to_thread(source._close)

    def take(self) -> list[tuple[int, str]]:
        """Return the next rows with their cells as JSON."""
        batch: list[tuple[int, str]] = []
        size = 0
        with self._reading:
            for line, cells in self._rows:
                batch.append((line, orjson.dumps(cells).decode()))
                size += len(batch[-1][1])
                if len(batch) == BATCH or size >= BATCH_BYTES:
                    break
        return batch

    def _close(self) -> None:
        with self._reading:
            self._rows.close()


async def _store(conn: AsyncConnection, job_id: UUID, rows: _Source, quota: Quota) -> tuple[int, int]:
    """Copy the rows into the database; returns their number and their size in bytes."""
    raw = (await conn.get_raw_connection()).driver_connection
    assert raw is not None
    total = size = 0

    async def records() -> AsyncIterator[tuple[UUID, int, str]]:
        nonlocal total, size
        while batch := await asyncio.to_thread(rows.take):
            total += len(batch)
            size += sum(len(cells) for _, cells in batch)
            quota.check_file(total, size)
            for line, cells in batch:
                yield job_id, line, cells

    await raw.copy_records_to_table("import_row", records=records(), columns=["job_id", "line", "cells"])
    return total, size


def _parse(mapping: str) -> dict[str, str]:
    try:
        document = orjson.loads(mapping)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict) or not all(isinstance(field, str) for field in document.values()):
        message = "Send mapping as a JSON object of columns and field names."
        raise DomainError("invalid-mapping", message, (FieldError("/mapping", "invalid-value", message),))
    if len(document) > 2 * MAX_COLUMNS or any(len(source) > MAX_CELL for source in document):
        message = said(
            "Send at most {members} members in mapping, each of at most {most:,} characters.",
            members=2 * MAX_COLUMNS,
            most=MAX_CELL,
        )
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


RETURNED: Final = (
    f"id, {ENTITY} as entity, coalesce((options ->> 'dry_run')::bool, false) as dry_run, status, total, done, updated, skipped,"
    " failed, reason, message, created_at, principal_id as created_by, started_at, finished_at"
)


def _shown(row: Mapping[Any, Any], preview: str | None = None) -> dict[str, Any]:
    """Return a job as it is shown."""
    rows = sorted(orjson.loads(preview), key=lambda one: one["row"])[:SHOWN_ROWS] if preview else None
    place = {"id": row["id"], "entity": row["entity"], "href": f"{entity_named(row['entity']).path}/jobs/{row['id']}"}
    return {**place, **row, "preview": rows if row["dry_run"] else None}


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
    found = await (await uow.connection()).exec_driver_sql(
        LIST, (stored_types([entity]), after, status, whose, limit + 1)
    )
    return _page([_shown(row) for row in found.mappings()], limit)


def _page(rows: Sequence[dict[str, Any]], limit: int) -> Response:
    following = str(rows[limit - 1]["id"]) if len(rows) > limit else None
    return Response(to_json({"items": rows[:limit], "next": following}), 200, READ_HEADERS, "application/json")


async def list_all_jobs(
    uow: UnitOfWork,
    importers: Sequence[Importer],
    limit: int,
    after: UUID | None,
    status: Status | None,
    entity: str | None,
) -> Response:
    """Return a page of imports of all entities, newest first: the caller's, and all of those entities of which the caller may
    read every record."""
    chosen = [one for one in importers if entity in (None, one.entity.entity())]
    seen = [one.entity.entity() for one in chosen if _sees_all(uow, one)]
    known = stored_types([one.entity.entity() for one in chosen])
    parameters = (uow.principal.id, known, stored_types(seen), after, status, limit + 1)
    found = await (await uow.connection()).exec_driver_sql(LIST_ALL, parameters)
    return _page([_shown(row) for row in found.mappings()], limit)


_WANTED: Final = "($4::uuid is null or j.id < $4) and ($5::text is null or j.status = $5) order by j.id desc limit $6"
LIST_ALL: Final = f"""
select {RETURNED} from import_job where id in (
    (select j.id from import_job j where j.principal_id = $1 and j.entity_type = any($2::text[]) and {_WANTED})
    union all
    (select k.id from unnest($3::text[]) e (entity) cross join lateral (
        select j.id from import_job j where j.entity_type = e.entity and {_WANTED}
    ) k)
) order by id desc limit $6
"""


LIST: Final = f"""
select {RETURNED} from import_job where id in (
    select k.id from unnest($1::text[]) e (entity) cross join lateral (
        select j.id from import_job j where j.entity_type = e.entity and ($2::uuid is null or j.id < $2)
            and ($3::text is null or j.status = $3) and ($4::uuid is null or j.principal_id = $4)
        order by j.id desc limit $5
    ) k
) order by id desc limit $5
"""


def _sees_all(uow: UnitOfWork, importer: Importer) -> bool:
    """Whether the caller may see all jobs. Jobs show rows, so that needs the right to read every record of the entity."""
    return uow.principal.depth(importer.entity.entity(), Privilege.READ) is Depth.ORGANIZATION


async def job_status(uow: UnitOfWork, importer: Importer, job_id: UUID) -> Response:
    """Answer with a job. Raises 404 unless the caller started it or may read every record of the entity."""
    job = await job_of(uow, importer, job_id)
    if job["dry_run"]:
        sql = "select preview::text from import_job where id = $1"
        job = _shown(job, (await (await uow.connection()).exec_driver_sql(sql, (job_id,))).scalar_one())
        await _make_readable(uow, importer, job["preview"] or [])
    return Response(to_json(job), 200, {"cache-control": "no-store"}, "application/json")


async def _make_readable(uow: UnitOfWork, importer: Importer, rows: Sequence[dict[str, Any]]) -> None:
    """Show the records of a preview as the caller may see them: without the names of records that the caller may not read."""
    presenter, fields = presenter_of(importer.entity), importer.entity.record_model.model_fields
    for row in rows:
        # The database does not keep the order of members.
        row["record"] = row["record"] and {name: row["record"].get(name) for name in fields}
    records = [row["record"] for row in rows if row["record"] is not None]
    targets = {target for record in records for target in presenter.pointing(record)}
    await uow.names.learn_of(targets)
    if hidden := uow.names.hidden(targets):
        for record in records:
            presenter.hide(record, hidden)


async def job_of(uow: UnitOfWork, importer: Importer, job_id: UUID) -> dict[str, Any]:
    """Return a job. Raises 404 unless the caller started it or may read every record of the entity."""
    sql = f"select {RETURNED} from import_job where id = $1 and {ENTITY} = $2"
    conn = await uow.connection()
    found = await conn.exec_driver_sql(sql, (job_id, importer.entity.entity()))
    row = found.mappings().one_or_none()
    if row is None or not (row["created_by"] == uow.principal.id or _sees_all(uow, importer)):
        raise NotFound("import job")
    return _shown(row)


async def cancel_job(uow: UnitOfWork, importer: Importer, job_id: UUID) -> Response:
    """Cancel a job after its current chunks, and return it. The imported records stay.

    Raises 404 as ``job_status`` does, 409 if the job has ended, and 403 for the job of another caller without the right to change
    every record of the entity.
    """
    job = await job_of(uow, importer, job_id)
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
    return Response(to_json(await job_of(uow, importer, job_id)), 200, None, "application/json")


CANCEL = """
update import_job set status = 'canceled', reason = $3, message = $4, finished_at = $2, bytes = 0, next_attempt_at = null
where id = $1 and status in ('queued', 'running')
"""
