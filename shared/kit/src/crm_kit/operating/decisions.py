"""The decisions of an operator about failed events: retry them, skip them with a reason, or stop waiting for a version.

It uses the services' databases, so it also works while a service is down.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.events import inbox
from crm_kit.operating.chosen import EVERYTHING, Chosen, Where
from crm_kit.operating.stored import DELAYED, PAGE, RETRIABLE
from crm_kit.operators import operator_name
from crm_kit.work import outbox

_SOME = """
(consumer, source, event_id) in (select consumer, source, event_id from inbox where state in ('pending', 'parked') and {where}
  order by received_at limit {limit} for update)
"""
_RETRY_INBOX = """
update inbox set state = 'pending', attempts = 0, next_attempt_at = {now}
where {some}
"""
_RETRY_OUTBOX = "update outbox set next_attempt_at = null where state = 'pending' and {where}"


async def retry(conn: AsyncConnection, chosen: Chosen = EVERYTHING, *, limit: int | None = None) -> int:
    """Make failed events due at once and reset their attempts; returns the number.

    ``limit`` applies to the inbox and takes the oldest; None means all. A message without a group can only be skipped.
    """
    where = Where([], [RETRIABLE])
    now, most = where.parameter(clock.now()), where.parameter(limit)
    sql = _RETRY_INBOX.format(now=now, some=_SOME.format(where=where.inbox(chosen), limit=most))
    handled = await conn.exec_driver_sql(sql, tuple(where.parameters))
    where = Where([], [DELAYED])
    sql = _RETRY_OUTBOX.format(where=where.outbox(chosen))
    sent = await conn.exec_driver_sql(sql, tuple(where.parameters))
    await _wake(conn)
    return handled.rowcount + sent.rowcount


_SKIP_INBOX = """
update inbox set state = 'skipped', skip_reason = {note}, body = null, next_attempt_at = null
where {some} returning consumer, source, entity, epoch, entity_version
"""
_START = """
insert into inbox_position (consumer, source, entity, version)
select consumer, source, entity, 0 from unnest($1::text[], $2::text[], $3::uuid[]) as line (consumer, source, entity)
order by 1, 2, 3 on conflict do nothing
"""
_MOVE_PAST = """
update inbox_position p set epoch = past.epoch, version = past.version
from unnest($1::text[], $2::text[], $3::uuid[], $4::int[], $5::int[]) as line (consumer, source, entity, epoch, version)
cross join lateral (
  select line.epoch, line.version where line.version is not null union all
  (select w.epoch, w.entity_version - 1 from inbox w where line.version is null and w.consumer = line.consumer
    and w.source = line.source and w.entity = line.entity and w.state = 'waiting' order by 1, 2 limit 1)) past
where p.consumer = line.consumer and p.source = line.source and p.entity = line.entity
  and (p.epoch, p.version) < (past.epoch, past.version)
"""
_SKIP_OUTBOX = "update outbox set state = 'skipped', last_error = $2 where id = $1 and state = 'pending'"


async def skip(conn: AsyncConnection, chosen: Chosen, *, reason: str, limit: int = PAGE) -> int:
    """Skip up to ``limit`` events, the oldest first, and release those that wait for them; returns the number.

    ``reason`` is stored with each. If one event is chosen without a group, its row in the outbox is skipped, too. Raises
    ValueError if the reason is empty.
    """
    note = _note(reason)
    where = Where([])
    parameters = {"note": where.parameter(note), "limit": where.parameter(limit)}
    sql = _SKIP_INBOX.format(
        note=parameters["note"], some=_SOME.format(where=where.inbox(chosen), limit=parameters["limit"])
    )
    rows: Sequence[Any] = (await conn.exec_driver_sql(sql, tuple(where.parameters))).all()
    await _move_past(conn, [tuple(row) for row in rows if row.entity is not None])
    sent = 0
    if chosen.event is not None and chosen.group is None:
        sent = (await conn.exec_driver_sql(_SKIP_OUTBOX, (chosen.event, note))).rowcount
    await _wake(conn)
    return len(rows) + sent


async def _move_past(conn: AsyncConnection, passed: Sequence[tuple[Any, ...]]) -> None:
    """Move the position of each record past its highest event. An event is (consumer, source, entity, epoch, version or None)."""
    lines: dict[tuple[str, str, UUID], tuple[int, int | None]] = {}
    for consumer, source, entity, epoch, version in passed:
        known = lines.get((consumer, source, entity))
        if known is None or (known[0], known[1] or 0) < (epoch, version or 0):
            lines[consumer, source, entity] = epoch, version
    if lines:
        columns = [list(column) for column in zip(*lines, strict=True)]
        await conn.exec_driver_sql(_START, tuple(columns))
        await conn.exec_driver_sql(_MOVE_PAST, (*columns, *map(list, zip(*lines.values(), strict=True))))


_CLOSE_GAP = """
update inbox set state = 'pending', attempts = 0, next_attempt_at = $3, skip_reason = $4
where event_id = $1 and consumer = $2 and state = 'waiting' returning consumer, source, entity, epoch, entity_version
"""


async def skip_gap(conn: AsyncConnection, event_id: UUID, *, group: str, reason: str) -> int:
    """Stop waiting for the versions before a waiting event, and make it due; returns 1, or 0 if the event does not wait.

    Raises ValueError if the reason is empty.
    """
    rows: Sequence[Any] = (await conn.exec_driver_sql(_CLOSE_GAP, (event_id, group, clock.now(), _note(reason)))).all()
    await _move_past(conn, [(row.consumer, row.source, row.entity, row.epoch, row.entity_version - 1) for row in rows])
    await _wake(conn)
    return len(rows)


def _note(reason: str) -> str:
    if not reason.strip():
        raise ValueError("a reason is required")
    return f"{reason.strip()} ({operator_name()}, {clock.now():%Y-%m-%dT%H:%M:%SZ})"


async def _wake(conn: AsyncConnection) -> None:
    await conn.exec_driver_sql(
        "select pg_notify(c, '') from unnest($1::text[]) c", ([inbox.CHANNEL, outbox.WAKE_CHANNEL],)
    )
