"""Lists and counts the pending and parked events of services, and shows single events.

It reads the services' databases, so it also works while a service is down. The command is in
``crm_kit.operating.events_command``.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.operating.chosen import EVERYTHING, RELAY, Chosen, Where
from crm_kit.work import outbox

MOST = 1000
"""The number of events that a listing shows by default."""
PAGE = 500
"""The number of events that are read, changed or sent at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that is not published or not handled yet."""

    service: str
    side: str
    """``outbox`` if the event is not published yet, ``inbox`` if ``group`` has not handled it yet."""
    group: str | None
    event_id: UUID
    type: str
    entity: UUID | None
    version: int | None
    state: str
    attempts: int
    age_seconds: float
    next_attempt_at: datetime | None
    error: str | None


_OUTBOX = """
select null, id, type, entity_id, entity_version, state, attempts, extract(epoch from {now} - created_at)::float8,
  next_attempt_at, last_error, seq
from outbox where state = 'pending' and seq > {after} and {where} order by seq limit {limit}
"""
_INBOX = """
select consumer, event_id, type, entity, entity_version, state, attempts, extract(epoch from {now} - received_at)::float8,
  next_attempt_at, last_error, source, received_at
from inbox where state = any({states}) and {where} and (received_at, consumer, source, event_id) > ({after})
order by received_at, consumer, source, event_id limit {limit}
"""
_FIRST = (datetime(1970, 1, 1, tzinfo=UTC), "", "", UUID(int=0))
INBOX_PENDING, PARKED, FAILED = ("pending", "waiting"), ("parked",), ("pending", "parked")
"""The states of events that will be handled automatically, of parked events, and of events that an operator can retry or skip."""


async def pending(
    conn: AsyncConnection, service: str, chosen: Chosen = EVERYTHING, limit: int = MOST
) -> AsyncIterator[Entry]:
    """Yield events that the relay has not published yet and those that handler groups will try later, oldest first."""
    after = 0
    while limit > 0:
        where = Where([])
        sql = _OUTBOX.format(
            now=where.parameter(clock.now()),
            after=where.parameter(after),
            limit=where.parameter(min(PAGE, limit)),
            where=where.outbox(chosen),
        )
        rows: Sequence[Any] = (await conn.exec_driver_sql(sql, tuple(where.parameters))).all()
        for row in rows:
            yield Entry(service, "outbox", *row[:10])
        limit -= len(rows)
        if len(rows) < PAGE:
            break
        after = rows[-1].seq
    async for entry in _inbox(conn, service, INBOX_PENDING, chosen, limit):
        yield entry


def parked(conn: AsyncConnection, service: str, chosen: Chosen = EVERYTHING, limit: int = MOST) -> AsyncIterator[Entry]:
    """Yield the parked events of handler groups, oldest first."""
    return _inbox(conn, service, PARKED, chosen, limit)


async def _inbox(
    conn: AsyncConnection, service: str, states: Sequence[str], chosen: Chosen, limit: int
) -> AsyncIterator[Entry]:
    after: tuple[Any, ...] = _FIRST
    while limit > 0:
        where = Where([])
        sql = _INBOX.format(
            now=where.parameter(clock.now()),
            states=where.parameter(list(states)),
            after=", ".join(where.parameter(value) for value in after),
            limit=where.parameter(min(PAGE, limit)),
            where=where.inbox(chosen),
        )
        rows: Sequence[Any] = (await conn.exec_driver_sql(sql, tuple(where.parameters))).all()
        for row in rows:
            yield Entry(service, "inbox", *row[:10])
        if len(rows) < PAGE:
            return
        limit -= len(rows)
        last = rows[-1]
        after = (last.received_at, last.consumer, last.source, last.event_id)


@dataclass(frozen=True, slots=True)
class Total:
    """The number of events that have a value in common, and their ages."""

    service: str
    value: str
    events: int
    oldest_seconds: float
    newest_seconds: float


BY = {"reason": "coalesce(last_error, '')", "type": "type", "group": "{group}", "state": "state"}
"""The properties by which events are counted, and their columns."""
RETRIABLE = "consumer not like 'crm.%.inbox' and consumer not like 'crm.%.access' and body is not null"
"""The condition for events of the inbox that can be retried. A message without a group can only be skipped."""
DELAYED = "next_attempt_at is not null"
"""The condition for events of the outbox that the broker did not accept and that wait for another attempt."""
_TOTALS = """
select value, sum(events)::int, max(oldest), min(newest) from (
  select {inbox_value} as value, count(*) as events, extract(epoch from {now} - min(received_at))::float8 as oldest,
    extract(epoch from {now} - max(received_at))::float8 as newest
  from inbox where state = any({states}) and {inbox} group by 1
  union all
  select {outbox_value}, count(*), extract(epoch from {now} - min(created_at))::float8,
    extract(epoch from {now} - max(created_at))::float8
  from outbox where state = 'pending' and {with_outbox} and {outbox} group by 1
) found group by value order by 2 desc, 1 limit {limit}
"""


async def totals(
    conn: AsyncConnection,
    service: str,
    states: Sequence[str],
    chosen: Chosen = EVERYTHING,
    *,
    by: str = "group",
    with_outbox: bool = False,
    to_retry: bool = False,
    limit: int = MOST,
) -> list[Total]:
    """Count the events in these states by a property. ``with_outbox`` includes events that are not published yet.

    ``to_retry`` counts only events that a retry makes due.
    """
    of_inbox = Where([], [RETRIABLE] if to_retry else [])
    names = {name: of_inbox.parameter(value) for name, value in (("now", clock.now()), ("states", list(states)))}
    names |= {"with_outbox": of_inbox.parameter(with_outbox), "limit": of_inbox.parameter(limit)}
    names["inbox"] = of_inbox.inbox(chosen)
    of_outbox = Where(of_inbox.parameters, [DELAYED] if to_retry else [])
    names["outbox"] = of_outbox.outbox(chosen)
    names["inbox_value"] = BY[by].format(group="consumer")
    names["outbox_value"] = BY[by].format(group=f"'{RELAY}'")
    rows: Sequence[Any] = (await conn.exec_driver_sql(_TOTALS.format(**names), tuple(of_outbox.parameters))).all()
    return [Total(service, *row) for row in rows]


_GROUPS = """
select consumer from inbox_bound union select $1 where exists (select from inbox where consumer = $1) order by 1
"""


async def groups(conn: AsyncConnection, wanted: str) -> list[str]:
    """Return the handler groups of this database. They include ``wanted`` if events are stored for it."""
    return list((await conn.exec_driver_sql(_GROUPS, (wanted,))).scalars())


_SHOW = """
select body, epoch from outbox where id = $1
union all select body, 0 from inbox where event_id = $1 and body is not null limit 1
"""


async def show(conn: AsyncConnection, event_id: UUID) -> str | None:
    """Return the stored body of an event, or None. Show it only to operators, because it may contain personal data."""
    row: Any = (await conn.exec_driver_sql(_SHOW, (event_id,))).one_or_none()
    return None if row is None else outbox.stamped(*row).decode()
