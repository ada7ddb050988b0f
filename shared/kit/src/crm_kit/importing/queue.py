"""The statements on ``import_job``, ``import_row`` and ``import_turn``, which choose the next job and end jobs.

Owners take turns. The one who was served longest ago is next, and a row lock on the turn prevents the lanes of all processes from
serving the same owner. A lane helps an owner who is being served only if all owners with work are being served.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.access.directory import REVOKED, Revocation
from crm_kit.access.privileges import Principal
from crm_kit.backoff import seconds_after
from crm_kit.importing.formats import Formats
from crm_kit.importing.outcome import Outcome
from crm_kit.store.presenter import to_json

WAKE_CHANNEL: Final = "crm_import"
"""The channel that is notified of new imports."""
CHUNK_BYTES: Final = 4 * 1024 * 1024
"""Bytes of rows in memory at a time. A single row may be longer."""
MOST_ATTEMPTS: Final = 6
"""Successive failures after which a job fails, about a minute. Refused rows and outages do not count."""
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
CLEANED_AT_ONCE: Final = 10_000

StoredRow = tuple[int, str]
"""The line number, and the cells as JSON."""

JOB = """
    id, principal_id, entity_type, duplicates, columns::text, mapping::text, principal::text, correlation_id, traceparent,
    attempts, created_at, options::text, done + skipped + failed as seen
"""
_WITH_OPTIONS: Final = "/2"
"""Follows the entity of a job that has options. A worker of a release that knows no options looks for the entity alone: it must
not take such a job, because it would import a dry run, and create what an update should change."""
ENTITY: Final = "split_part(entity_type, '/', 1)"
"""The entity of a job, whichever way it is stored."""
_OLDEST = f"""
select t.principal_id, t.served_at, j.* from import_turn t cross join lateral (
    select {JOB}, v.not_before, v.sequence,
        (select p.active and not p.deleted from principal_ref p where p.id = o.principal_id) as active
    from import_job o left join (select principal_id, {REVOKED} from revocation) v using (principal_id)
    where o.principal_id = t.principal_id and o.status in ('queued', 'running')
        and (o.next_attempt_at is null or o.next_attempt_at <= $1) and o.entity_type = any($2::text[])
        and o.id <> all($3::uuid[])
    order by o.created_at, o.id limit 1
) j order by t.served_at limit 1
"""
_ANY = "select exists (select from import_job where status in ('queued', 'running'))"
_CLAIM = f"{_OLDEST} for update of t skip locked"
_NEW_OWNERS = """
insert into import_turn (principal_id, served_at)
select distinct principal_id, to_timestamp(0) from import_job j where status in ('queued', 'running')
    and not exists (select from import_turn t where t.principal_id = j.principal_id)
on conflict do nothing
"""
_HOLD = "select 1 from import_job where id = $1 for update skip locked"
_TAKE_ROWS = """
with held as (
    select line, cells::text as cells from import_row where job_id = $1 order by line limit $2 for update skip locked
), summed as (
    select line, cells, sum(octet_length(cells)) over (order by line) - octet_length(cells) as before from held
)
select line, cells from summed where before < $3 order by line
"""
_COMPLETE = """
update import_job set status = 'completed', finished_at = $2, started_at = coalesce(started_at, $2), bytes = 0,
    next_attempt_at = null
where id = $1 and status in ('queued', 'running') and not exists (select from import_row where job_id = $1)
"""
_FINISH_CHUNK = """
with rows as (delete from import_row where job_id = $1 and line = any($2::int[]) returning 1),
refused as (
    insert into import_error (job_id, line, position, "column", code, message, cells)
    select $1, * from unnest($3::int[], $4::int[], $5::text[], $6::text[], $7::text[], $8::json[])
),
turn as (update import_turn set served_at = $16 where principal_id = $14 and $15::bool)
update import_job set status = case when status = 'queued' then 'running' else status end, done = done + $9,
    skipped = skipped + $10, failed = failed + $11, updated = updated + $17,
    preview = case when $18::text is null then preview else coalesce(preview, '[]') || $18::text::jsonb end,
    started_at = coalesce(started_at, $16), attempts = 0,
    next_attempt_at = null, bytes = greatest(bytes - $12, 0), error_bytes = error_bytes + $13
where id = $1
"""
_POSTPONE = """
update import_job set attempts = $2, next_attempt_at = $3 where id = $1 and status in ('queued', 'running')
"""
_END = """
update import_job set status = $2, reason = $3, message = $4, finished_at = $5, bytes = 0, next_attempt_at = null
where id = $1 and status in ('queued', 'running')
"""
_FIRST_LEFT = "select line from import_row where job_id = $1 order by line limit 1 for update skip locked"
_OVER_WITH_ROWS = """
select id from import_job j where status not in ('queued', 'running')
    and exists (select from import_row r where r.job_id = j.id) limit 10
"""
_CLEAN = """
delete from import_row where ctid = any(array(
    select ctid from import_row where job_id = $1 limit $2 for update skip locked))
"""
_FORGET = """
delete from import_job where id = (
    select id from import_job
    where status not in ('queued', 'running')
    and finished_at < case when (options ->> 'dry_run')::bool then $2::timestamptz else $1::timestamptz end
    order by created_at limit 1
    for update skip locked)
"""


@dataclass(frozen=True, slots=True)
class Job:
    """A job that a lane has taken."""

    id: UUID
    entity_type: str
    compares: bool
    """Whether duplicates are searched."""
    skips: bool
    """Whether duplicates are left out."""
    columns: list[str]
    mapping: dict[str, str]
    principal: Principal
    correlation_id: str
    traceparent: str | None
    formats: Formats
    key: str | None
    """The field by which rows find the records that they change; None if each row makes a record."""
    clears: bool
    """Whether an empty cell clears the field of a record that is changed."""
    dry_run: bool
    seen: int
    """Rows that were worked off before."""
    attempts: int
    in_turn: bool
    """Whether this lane holds its owner's turn. Otherwise it helps the lane that does."""
    revocation: Revocation | None
    active: bool

    @property
    def ids(self) -> dict[str, object]:
        """The ids for log lines."""
        return {"import_job_id": str(self.id), "correlation_id": self.correlation_id}


def stored_type(entity: str, *, has_options: bool) -> str:
    """Return how the entity of a job is stored."""
    return entity + _WITH_OPTIONS if has_options else entity


def stored_types(entities: Sequence[str]) -> list[str]:
    """Return all that the jobs of these entities are stored under."""
    return [stored_type(entity, has_options=has) for entity in entities for has in (False, True)]


async def any_unfinished(conn: AsyncConnection) -> bool:
    """Whether there is a job that is not over, whoever works at it and whenever it is tried again."""
    return bool((await conn.exec_driver_sql(_ANY)).scalar_one())


async def claim(conn: AsyncConnection, entities: Sequence[str], tried: Sequence[UUID]) -> Job | None:
    """Return the oldest job of the owner whose turn it is, or else of an owner who is being served; None if no job waits.

    ``tried`` are jobs to leave out.
    """
    parameters = (clock.now(), stored_types(entities), list(tried))
    for sql in (_CLAIM, _OLDEST):
        row = (await conn.exec_driver_sql(sql, parameters)).mappings().one_or_none()
        if row is not None:
            return _job(dict(row), in_turn=sql is _CLAIM)
    return None


async def seat_new_owners(conn: AsyncConnection) -> None:
    """Add turns of owners who have none, because a process of the previous release accepted their files."""
    await conn.exec_driver_sql(_NEW_OWNERS)


def _job(row: dict[str, Any], *, in_turn: bool) -> Job:
    known, options = orjson.loads(row["principal"]), orjson.loads(row["options"])
    return Job(
        id=row["id"],
        entity_type=row["entity_type"].removesuffix(_WITH_OPTIONS),
        compares=row["duplicates"] != "allow",
        skips=row["duplicates"] == "skip",
        columns=orjson.loads(row["columns"]),
        mapping=orjson.loads(row["mapping"]),
        principal=Principal(
            id=UUID(known["id"]),
            kind=known["kind"],
            unit=UUID(known["unit"]),
            teams=tuple(UUID(team) for team in known["teams"]),
            privileges=known["privileges"],
            name=known["name"],
            issued_at=known.get("issued_at", row["created_at"].timestamp()),
            sequence=known.get("sequence"),
        ),
        correlation_id=row["correlation_id"],
        traceparent=row["traceparent"],
        formats=Formats.of(options),
        key=options.get("key"),
        clears=options.get("empty") == "clear",
        dry_run=options.get("dry_run", False),
        seen=row["seen"],
        attempts=row["attempts"],
        in_turn=in_turn,
        revocation=Revocation(row["not_before"].timestamp(), row["sequence"]) if row["not_before"] else None,
        active=row["active"] is not False,
    )


async def lock_job(conn: AsyncConnection, job: Job) -> bool:
    """Lock the job until the end of the transaction. Returns False if another lane has locked it."""
    return (await conn.exec_driver_sql(_HOLD, (job.id,))).first() is not None


async def take_rows(conn: AsyncConnection, job: Job, size: int) -> list[StoredRow]:
    """Lock and return up to ``size`` first rows that no other lane has, and fewer if they are long."""
    found: list[Any] = list(await conn.exec_driver_sql(_TAKE_ROWS, (job.id, size, CHUNK_BYTES)))
    return [(row[0], row[1]) for row in found]


async def complete(conn: AsyncConnection, job: Job) -> bool:
    """Complete a job without remaining rows. Returns False if another lane has its last rows."""
    return (await conn.exec_driver_sql(_COMPLETE, (job.id, clock.now()))).rowcount > 0


async def finish_chunk(conn: AsyncConnection, job: Job, rows: Sequence[StoredRow], outcome: Outcome) -> None:
    """Write the checkpoint of a chunk: delete its rows, store the refused ones, update the counts, and end the owner's turn."""
    await conn.exec_driver_sql(
        _FINISH_CHUNK,
        (
            job.id,
            [line for line, _ in rows],
            *outcome.columns,
            outcome.done,
            outcome.skipped,
            outcome.failed,
            sum(len(cells) for _, cells in rows),
            outcome.error_bytes,
            job.principal.id,
            job.in_turn,
            clock.now(),
            outcome.updated,
            to_json(outcome.preview).decode() if outcome.preview else None,
        ),
    )


async def postpone(conn: AsyncConnection, job: Job) -> bool:
    """Postpone a job after a failure. Returns False, and changes nothing, after the last attempt."""
    attempts = job.attempts + 1
    if attempts >= MOST_ATTEMPTS:
        return False
    pause = timedelta(seconds=seconds_after(job.attempts, FIRST_PAUSE, LONGEST_PAUSE))
    await conn.exec_driver_sql(_POSTPONE, (job.id, attempts, clock.now() + pause))
    return True


async def defer(conn: AsyncConnection, job: Job) -> None:
    """Postpone a job because others block it. That does not count as a failure."""
    pause = timedelta(seconds=FIRST_PAUSE)
    await conn.exec_driver_sql(_POSTPONE, (job.id, job.attempts, clock.now() + pause))


async def fail(conn: AsyncConnection, job: Job, reason: str, message: str) -> None:
    """End a job as ``failed``. The imported records stay. ``message`` gets the number of the first row that was not imported."""
    left = (await conn.exec_driver_sql(_FIRST_LEFT, (job.id,))).scalar_one_or_none()
    told = message if left is None else f"{message} From row {left} of the file on, nothing was imported."
    await conn.exec_driver_sql(_END, (job.id, "failed", reason, told, clock.now()))


async def clean(conn: AsyncConnection) -> int:
    """Delete some rows of jobs that ended early; returns the number."""
    jobs = list((await conn.exec_driver_sql(_OVER_WITH_ROWS)).scalars())
    return sum([(await conn.exec_driver_sql(_CLEAN, (job_id, CLEANED_AT_ONCE))).rowcount for job_id in jobs])


async def forget(conn: AsyncConnection, before: datetime, rehearsed_before: datetime) -> bool:
    """Delete one job that ended before ``before``, or one dry run that ended before ``rehearsed_before``, with its refused rows.

    Returns False if there is none.
    """
    return (await conn.exec_driver_sql(_FORGET, (before, rehearsed_before))).rowcount > 0
