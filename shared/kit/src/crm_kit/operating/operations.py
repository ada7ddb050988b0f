"""What operators do with events: see what is pending or parked, try again, skip with a reason, ask for a snapshot.

Works on the services' databases directly, so it also works while a service is down. The command is in
``crm_kit.operating.events_command``.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.broker.bus import (
    BrokerDown,
    Outcome,
    Publisher,
    direct_key,
    replay_of,
)
from crm_kit.broker.management import TopologyError
from crm_kit.events import inbox, replay
from crm_kit.events.relay import message_of
from crm_kit.operating.chosen import EVERYTHING, Chosen, Where
from crm_kit.operating.subscribers import matches
from crm_kit.operators import operator_name
from crm_kit.store.record import new_id
from crm_kit.work import outbox

MOST = 1000
"""Events a listing shows unless told otherwise."""
PAGE = 500
"""Events that are read, changed or sent at once."""
LOOK_SECONDS = 0.2
"""Between two looks at a snapshot that is being sent."""
RELAY = "relay"
"""The group of what is not published yet."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event that is not where it should be."""

    service: str
    side: str
    """``outbox``: not yet with the broker. ``inbox``: not yet handled by ``group``."""
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
"""States of what is to come by itself, of what was given up, and of what an operator can try again or leave out."""


async def pending(
    conn: AsyncConnection, service: str, chosen: Chosen = EVERYTHING, limit: int = MOST
) -> AsyncIterator[Entry]:
    """What the relay has still to publish, and what handler groups have stored to try later; oldest first."""
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
    """What handler groups have given up on; oldest first."""
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
    """How many events have something in common."""

    service: str
    value: str
    events: int
    oldest_seconds: float
    newest_seconds: float


BY = {"reason": "coalesce(last_error, '')", "type": "type", "group": "{group}", "state": "state"}
"""By what events are counted, and the column of each."""
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
    outbox: bool = False,
    limit: int = MOST,
) -> list[Total]:
    """How many events there are in these states, by what they have in common; with ``outbox`` what is not published, too."""
    of_inbox = Where([])
    names = {name: of_inbox.parameter(value) for name, value in (("now", clock.now()), ("states", list(states)))}
    names |= {"with_outbox": of_inbox.parameter(outbox), "limit": of_inbox.parameter(limit)}
    names["inbox"] = of_inbox.inbox(chosen)
    of_outbox = Where(of_inbox.parameters)
    names["outbox"] = of_outbox.outbox(chosen)
    names["inbox_value"] = BY[by].format(group="consumer")
    names["outbox_value"] = BY[by].format(group=f"'{RELAY}'")
    rows: Sequence[Any] = (await conn.exec_driver_sql(_TOTALS.format(**names), tuple(of_outbox.parameters))).all()
    return [Total(service, *row) for row in rows]


_SOME = """
(consumer, source, event_id) in (select consumer, source, event_id from inbox where state in ('pending', 'parked') and {where}
  order by received_at limit {limit} for update)
"""
_RETRY_INBOX = """
update inbox set state = 'pending', attempts = 0, next_attempt_at = {now}
where {some}
"""
_RETRIABLE = "consumer not like 'crm.%.inbox' and consumer not like 'crm.%.access' and body is not null"
_RETRY_OUTBOX = """
update outbox set next_attempt_at = null where state = 'pending' and next_attempt_at is not null and {where}
"""


async def retry(conn: AsyncConnection, chosen: Chosen = EVERYTHING, *, limit: int | None = None) -> int:
    """Make failed events due at once, with all their attempts before them; returns how many.

    At most ``limit`` of the inbox, the oldest. A message that could not be read under any group can only be skipped.
    """
    where = Where([], [_RETRIABLE])
    now, most = where.parameter(clock.now()), where.parameter(limit)
    sql = _RETRY_INBOX.format(now=now, some=_SOME.format(where=where.inbox(chosen), limit=most))
    handled = await conn.exec_driver_sql(sql, tuple(where.parameters))
    where = Where([])
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
    """Leave events out for good, at most ``limit``, the oldest, and let what waits behind them go on; returns how many.

    ``reason`` is kept with each. One event without a group: also an outbox row that the broker does not take.
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
    """Let each record go on behind the highest of these: (consumer, source, entity, epoch, version or None)."""
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
    """Stop waiting for the versions before a waiting event, and handle it; returns 1, or 0 when it does not wait."""
    rows: Sequence[Any] = (await conn.exec_driver_sql(_CLOSE_GAP, (event_id, group, clock.now(), _note(reason)))).all()
    await _move_past(conn, [(row.consumer, row.source, row.entity, row.epoch, row.entity_version - 1) for row in rows])
    await _wake(conn)
    return len(rows)


_SHOW = """
select body, epoch from outbox where id = $1
union all select body, 0 from inbox where event_id = $1 and body is not null limit 1
"""


async def show(conn: AsyncConnection, event_id: UUID) -> str | None:
    """The stored body of an event, for the eyes of an operator: it may hold personal data."""
    row: Any = (await conn.exec_driver_sql(_SHOW, (event_id,))).one_or_none()
    return None if row is None else outbox.stamped(*row).decode()


async def snapshot(conn: AsyncConnection, entities: Sequence[str], queue: str) -> UUID:
    """Ask this database's service to send its current records to a queue; returns the request's id."""
    request = new_id()
    by = operator_name()
    await replay.request_snapshot(conn, id_=request, entities=entities, queue=queue, requested_by=by)
    await conn.exec_driver_sql("select pg_notify($1, '')", (replay.CHANNEL,))
    return request


_SENT = "select sent, error from snapshot_request where id = $1 and done_at is not null"


async def snapshot_sent(conn: AsyncConnection, request: UUID) -> tuple[int, str | None]:
    """Wait until the service has worked off a request: how many records it sent, and why not all. ``conn`` in autocommit."""
    while True:
        row: Any = (await conn.exec_driver_sql(_SENT, (request,))).one_or_none()
        if row is not None:
            return row.sent, row.error
        await asyncio.sleep(LOOK_SECONDS)


_PUBLISHED = """
select seq, id, entity_id, entity_version, type, body, traceparent, epoch from outbox
where seq > $1 and state = 'published' and created_at >= $2 and created_at < $3 order by seq limit $4
"""


async def send_again(
    conn: AsyncConnection,
    publisher: Publisher,
    service: str,
    queue: str,
    patterns: Sequence[str],
    *,
    since: datetime,
    until: datetime,
) -> int:
    """Send what a service has published in a period, and a queue hears by these patterns, to that queue alone, with the
    ids that it had; returns how many. ``conn`` in autocommit. Raises BrokerDown when one is not confirmed."""
    sent, last = 0, 0
    while rows := (await conn.exec_driver_sql(_PUBLISHED, (last, since, until, PAGE))).mappings().all():
        last = rows[-1]["seq"]
        heard = [row for row in rows if any(matches(pattern, row["type"]) for pattern in patterns)]
        messages = [message_of(row, service, routing_key=direct_key(queue, row["type"])) for row in heard]
        outcomes = await publisher.publish(replay_of(service), messages, seconds=30)
        if Outcome.RETURNED in outcomes:
            raise TopologyError(f"queue {queue} does not hear what it is bound to: crm topology apply")
        if any(outcome is not Outcome.CONFIRMED for outcome in outcomes):
            raise BrokerDown(f"not all were confirmed; {sent} events were: start again")
        sent += len(messages)
    return sent


def _note(reason: str) -> str:
    if not reason.strip():
        raise ValueError("a reason is required")
    return f"{reason.strip()} ({operator_name()}, {clock.now():%Y-%m-%dT%H:%M:%SZ})"


async def _wake(conn: AsyncConnection) -> None:
    await conn.exec_driver_sql(
        "select pg_notify(c, '') from unnest($1::text[]) c", ([inbox.CHANNEL, outbox.WAKE_CHANNEL],)
    )
