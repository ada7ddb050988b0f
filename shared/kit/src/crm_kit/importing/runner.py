"""Working off import jobs: a chunk, its records, their events and the checkpoint commit together.

A worker that is killed loses the chunk in hand and nothing else; whoever comes next takes it again. No row twice.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import orjson
import structlog
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.access import Privilege
from crm_kit import clock
from crm_kit.access import Principal
from crm_kit.announcing import Cause
from crm_kit.db import OwnedRecord
from crm_kit.errors import DomainError, InvalidValue
from crm_kit.failpoints import hit
from crm_kit.importing.importer import Duplicate, Importer
from crm_kit.importing.jobs import WAKE_CHANNEL
from crm_kit.importing.mapping import OWNER, FieldMapping
from crm_kit.logs import working
from crm_kit.outages import database_away, database_busy
from crm_kit.runtime import Runtime
from crm_kit.telemetry import SpanKind, span, trace_id_of
from crm_kit.uow import UnitOfWork

log = structlog.get_logger(__name__)

CHUNK = 500
CHECKED_CHUNK = 50
"""Rows at a time where each is compared with everything stored, so that a chunk stays a matter of seconds."""
LANES = 2
POLL_SECONDS = 1.0
BREATH = 50
"""Rows after which relay, consumers and health get their turn."""

TAKE_JOB = """
select id, entity_type, duplicates, columns::text, mapping::text, principal::text, correlation_id, traceparent
from import_job where status in ('queued', 'running') order by created_at limit 1
"""
HOLD_JOB = "select 1 from import_job where id = $1 for update skip locked"
TAKE_ROWS = "select line, cells::text from import_row where job_id = $1 order by line limit $2 for update skip locked"
COMPLETE = """
update import_job set status = 'completed', finished_at = $2, started_at = coalesce(started_at, $2)
where id = $1 and status in ('queued', 'running') and not exists (select from import_row where job_id = $1)
"""
FINISH_CHUNK = """
with rows as (delete from import_row where job_id = $1 and line = any($2::int[]) returning 1),
refused as (
    insert into import_error (job_id, line, position, "column", code, message, cells)
    select $1, * from unnest($3::int[], $4::int[], $5::text[], $6::text[], $7::text[], $8::json[])
)
update import_job set status = 'running', done = done + $9, skipped = skipped + $10, failed = failed + $11,
    started_at = coalesce(started_at, $12) where id = $1 and status in ('queued', 'running')
"""


@dataclass(frozen=True, slots=True)
class Owner:
    """An active user as an owner."""

    kind: str
    id: UUID
    unit: UUID


@dataclass(slots=True)
class Outcome:
    """What became of a chunk's rows."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    errors: list[tuple[int, int, str, str, str, str]] = field(default_factory=list)

    def refuse(self, line: int, cells: str, found: Sequence[tuple[str, str, str]]) -> None:
        """Remember why a row was refused: (column, code, message) for each place."""
        for position, (column, code, message) in enumerate(found):
            self.errors.append((line, position, column, code, message, cells))


class ImportLoop:
    """Works off the jobs of one service's importers, two chunks at a time: one is made while the other is written."""

    def __init__(self, runtime: Runtime, importers: Sequence[Importer]) -> None:
        self._runtime = runtime
        self._importers = {importer.entity.entity(): importer for importer in importers}
        self._news = asyncio.Event()
        self._stopping = False
        self._singly = 0

    def stop(self) -> None:
        """Return from ``run`` after the chunks in hand."""
        self._stopping = True
        self._news.set()

    async def run(self) -> None:
        """Work until stopped; an outage of the database is waited out."""
        self._runtime.notifier.listen(WAKE_CHANNEL, lambda _: self._news.set())
        async with asyncio.TaskGroup() as lanes:
            for _ in range(LANES):
                lanes.create_task(self._run_lane())

    async def _run_lane(self) -> None:
        while not self._stopping:
            try:
                worked = await self.work_chunk()
            except (SQLAlchemyError, OSError) as error:
                if not (database_away(error) or database_busy(error)):
                    self._isolate(error)
                    continue
                log.warning("import.waiting", error=type(error).__name__)
                worked = False
            except Exception as error:  # noqa: BLE001  # whatever one row does, the rows after it are imported
                self._isolate(error)
                continue
            if not worked:
                await self._wait()

    def _isolate(self, error: BaseException) -> None:
        """Take rows one by one for a chunk's length, so that the one that nobody foresaw is found and reported."""
        log.error("import.unforeseen", exc_info=error)
        self._singly = CHUNK * LANES

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return
        finally:
            self._news.clear()

    async def work_chunk(self) -> bool:
        """Take the oldest job's next chunk; False when there is none to take. Raises what the chunk raised."""
        singly, self._singly = self._singly > 0, max(0, self._singly - 1)
        async with self._runtime.db.begin() as conn:
            found = (await conn.exec_driver_sql(TAKE_JOB)).mappings().one_or_none()
            if found is None:
                return False
            job = dict(found)
            # Telling duplicates apart needs the rows before: such a job is worked off by one lane at a time.
            if job["duplicates"] != "allow" and (await conn.exec_driver_sql(HOLD_JOB, (job["id"],))).first() is None:
                return False
            size = 1 if singly else CHUNK if job["duplicates"] == "allow" else CHECKED_CHUNK
            rows: list[Any] = list(await conn.exec_driver_sql(TAKE_ROWS, (job["id"], size)))
            if not rows:
                return (await conn.exec_driver_sql(COMPLETE, (job["id"], clock.now()))).rowcount > 0
            noted: dict[str, str | int] = {"crm.import_job_id": str(job["id"]), "crm.rows": len(rows)}
            with (
                span(f"import {job['entity_type']}", SpanKind.INTERNAL, job["traceparent"], noted) as traced,
                working(partial(_ids, job)),
            ):
                uow = self._unit_of_work(conn, job, traced.traceparent)
                try:
                    async with conn.begin_nested() if singly else nullcontext():
                        outcome = await self._import(uow, job, rows)
                        await uow.flush()
                except Exception as error:
                    if not singly or (isinstance(error, SQLAlchemyError) and database_away(error)):
                        raise
                    log.error("import.row_failed", line=rows[0][0], exc_info=error)
                    outcome = Outcome(failed=1)
                    refused = ("", "internal-error", "Something went wrong with this row.")
                    outcome.refuse(rows[0][0], rows[0][1], [refused])
            errors = list(zip(*outcome.errors, strict=True)) if outcome.errors else [()] * 6
            await conn.exec_driver_sql(
                FINISH_CHUNK,
                (
                    job["id"],
                    [row[0] for row in rows],
                    *map(list, errors),
                    outcome.done,
                    outcome.skipped,
                    outcome.failed,
                    uow.now,
                ),
            )
            hit("import.before_commit")
        hit("import.after_commit")
        uow.announce()
        return True

    def _unit_of_work(self, conn: AsyncConnection, job: dict[str, Any], traceparent: str | None) -> UnitOfWork:
        known = orjson.loads(job["principal"])
        principal = Principal(
            id=UUID(known["id"]),
            kind=known["kind"],
            unit=UUID(known["unit"]),
            teams=tuple(UUID(team) for team in known["teams"]),
            privileges=known["privileges"],
            name=known["name"],
        )
        cause = Cause(job["correlation_id"], traceparent=traceparent)
        return UnitOfWork(self._runtime, principal, cause, conn=conn)

    async def _import(self, uow: UnitOfWork, job: dict[str, Any], rows: Sequence[Any]) -> Outcome:
        importer = self._importers[job["entity_type"]]
        mapping = FieldMapping(importer.schema, orjson.loads(job["columns"]), orjson.loads(job["mapping"]))
        outcome = Outcome()
        parsed = [(line, cells, orjson.loads(cells)) for line, cells in rows]
        owners = await _owners(uow, importer, mapping, [cells for *_, cells in parsed])
        made: list[tuple[int, str, OwnedRecord]] = []
        for number, (line, text, cells) in enumerate(parsed):
            if number % BREATH == BREATH - 1:
                await asyncio.sleep(0)
            try:
                record = await importer.make(uow, importer.schema.model_validate(mapping.body(cells)))
                if (email := mapping.owner(cells)) is not None:
                    _give(record, email, owners)
                made.append((line, text, record))
            except ValidationError as error:
                outcome.failed += 1
                outcome.refuse(line, text, [_place(mapping, found) for found in error.errors(include_url=False)])
            except DomainError as error:
                outcome.failed += 1
                outcome.refuse(line, text, _places(mapping, error))
        found: Mapping[int, Sequence[Duplicate]] = {}
        if job["duplicates"] != "allow":
            found = await _duplicates(uow, importer, [record for *_, record in made])
        imported: set[int] = set()
        for position, (line, text, record) in enumerate(made):
            # Being like a row that was left out is no reason to leave this one out, too.
            likely = (one for one in found.get(position, ()) if one.earlier is None or one.earlier in imported)
            if duplicate := next(likely, None):
                message = "A record, or an earlier row, is likely the same: an equal value, or a similar name."
                outcome.refuse(line, text, [(mapping.column_of(duplicate.field), "possible-duplicate", message)])
                if job["duplicates"] == "skip":
                    outcome.skipped += 1
                    continue
            uow.add(record, importer.event)
            imported.add(position)
            outcome.done += 1
        return outcome


def _ids(job: Mapping[str, Any]) -> dict[str, object]:
    return {
        "import_job_id": str(job["id"]),
        "correlation_id": job["correlation_id"],
        "trace_id": trace_id_of(job["traceparent"]),
    }


async def _owners(
    uow: UnitOfWork, importer: Importer, mapping: FieldMapping, rows: Sequence[Sequence[str]]
) -> dict[str, Owner]:
    """The active users that the rows of a chunk name as owners, by e-mail address: one statement."""
    emails = {email.strip().lower() for cells in rows if (email := mapping.owner(cells))}
    if not emails:
        return {}
    uow.principal.require(importer.entity.entity(), Privilege.ASSIGN)
    conn = await uow.connection()
    found = await conn.exec_driver_sql(
        "select lower(email), kind, id, business_unit_id from principal_ref"
        " where lower(email) = any($1::text[]) and active and not deleted",
        (list(emails),),
    )
    users: list[Any] = list(found)
    return {row[0]: Owner(row[1], row[2], row[3]) for row in users}


def _give(record: OwnedRecord, email: str, owners: Mapping[str, Owner]) -> None:
    owner = owners.get(email.strip().lower())
    if owner is None:
        raise InvalidValue(f"/{OWNER}", "unknown-reference", "There is no active user with this e-mail address.")
    record.owner_type, record.owner_id, record.business_unit_id = owner.kind, owner.id, owner.unit


async def _duplicates(
    uow: UnitOfWork, importer: Importer, records: Sequence[OwnedRecord]
) -> Mapping[int, Sequence[Duplicate]]:
    """What each of a chunk's records, by its position, likely repeats."""
    found: dict[int, list[Duplicate]] = {}
    if importer.duplicates is not None and records:
        for duplicate in await importer.duplicates(uow, records):
            found.setdefault(duplicate.position, []).append(duplicate)
    return found


def _place(mapping: FieldMapping, found: Any) -> tuple[str, str, str]:
    field = str(found["loc"][0]) if found["loc"] else ""
    message = str(found["msg"])
    if found["type"] == "missing" and len(found["loc"]) > 1:
        # The column that is shown has a value; what is missing is beside it.
        message = f"{'.'.join(map(str, found['loc']))} is required, too."
    return mapping.column_of(field), str(found["type"]).replace("_", "-"), message


def _places(mapping: FieldMapping, error: DomainError) -> list[tuple[str, str, str]]:
    if not error.errors:
        return [("", error.slug, error.detail)]
    return [(mapping.column_of(e.pointer.split("/")[1]), e.code, e.message) for e in error.errors]
