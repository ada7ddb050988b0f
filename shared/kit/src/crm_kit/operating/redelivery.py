"""Finds the events that must be sent again after a restore.

All databases are restored to one point in time, and the broker's queues are gone. A queue held the events that its producer had
published and that a group had not stored. An inbox has the keys of all events that a group got, for longer than outboxes keep the
events; for ``Group.keyless`` the group's own rows show them. The content of the queues is therefore not needed.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from crm_contracts.envelope import source_of
from crm_kit import clock
from crm_kit.broker.names import inbox_of
from crm_kit.events import replay
from crm_kit.events.consumers import Consumers, Group
from crm_kit.together import together
from crm_kit.work.outbox import WAKE_CHANNEL

OVERTAKEN = timedelta(hours=1)
"""The longest time by which an event may be handled before one that was published earlier. No process holds one for longer."""
UNNOTED = timedelta(minutes=1)
"""The longest time from the binding of a new service's queue to the instant that it stores as the binding."""
FORGOTTEN = timedelta(days=1)
"""The largest error of a producer's clock that is tolerated for an event whose key will soon be deleted."""
LATE_REQUEST = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Again:
    """The events that are sent again."""

    count: int
    oldest: datetime | None
    """When the oldest of these events was created."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A service that follows others: a connection to its database, and its handler groups."""

    conn: asyncpg.Connection
    consumers: Consumers


# An event whose attempt began and did not end waits until the broker delivers the message again.
_DUE = "update inbox set next_attempt_at = $1 where state = 'pending' and next_attempt_at is null and body is not null"
_UNHELD = (
    "update outbox set attempts = 0, next_attempt_at = null where state = 'pending' and next_attempt_at is not null"
)


async def take_up(conn: asyncpg.Connection) -> None:
    """Make events due that wait for a redelivery by the old broker, and those whose publication it delayed."""
    await conn.execute(_DUE, clock.now())
    await conn.execute(_UNHELD)


_TABLES = """
create temp table handled (consumer text, event_id uuid) on commit drop;
create temp table copied (consumer text, entity uuid, epoch int, version int) on commit drop;
create temp table again (seq bigint) on commit drop
"""
_HANDLED = "select consumer, event_id from inbox where source = $1"
_TOLD = "select $1::text, id from {0} where split_part(type, '.', 2) = $2"
_COPIED = "select $1::text, id, epoch, version from {0} where version > 0 {1}"
_BOUND = "select consumer, bound_at from inbox_bound where source = $1"
_NEWEST = """
select greatest(
  (select max(o.published_at) from outbox o join handled h on h.event_id = o.id and h.consumer = any($1)
    where o.state = 'published'),
  (select max(o.published_at) from outbox o join copied c on c.entity = o.entity_id and c.consumer = any($1)
    and (c.epoch, c.version) >= (o.epoch, o.entity_version) where o.state = 'published'))
"""
# The first event that a group got shows since when its queue has been bound. All later events were in the queue, too. Events that
# are not done stay when the keys of their time are deleted, and an outbox that an upgrade took over keeps its events for longer.
# A copy may come from a snapshot, and then does not show which earlier events arrived. The snapshot has what is older than the
# binding.
_LACKING = """
insert into again
with line as (
  select o.seq, o.entity_type, o.published_at, h.event_id is not null or c.entity is not null as handled
  from outbox o left join handled h on h.event_id = o.id and h.consumer = $1
  left join copied c on c.entity = o.entity_id and c.consumer = $1
    and (c.epoch, c.version) >= (o.epoch, o.entity_version)
  where o.state = 'published' and o.entity_type = any($2) and o.created_at >= $4 and ($6::text[] is null or o.type = any($6))),
since as (
  select entity_type, coalesce(min(published_at) filter (where handled), $3) as at from line group by entity_type)
select seq from line join since using (entity_type) where not handled and published_at >= greatest(since.at, $5)
"""
_RESEND = """
with pending as (
  update outbox set state = 'pending', attempts = 0, next_attempt_at = null, last_error = null
  where seq in (select seq from again) returning created_at)
select count(*), min(created_at) from pending
"""


def keys_since(cut: datetime, days_of_keys: int) -> datetime:
    """Return the instant since which the inboxes at ``cut`` have the keys of all events that they got, by the time of events."""
    return cut - timedelta(days=days_of_keys) + FORGOTTEN


async def resend(
    conn: asyncpg.Connection,
    service: str,
    listeners: Mapping[str, Listener],
    *,
    since: datetime,
    rebuilt: bool = False,
) -> Again:
    """Make the relay of a service send the events again that a group of a listener lacks. Returns their number and age.

    Events from before ``since`` are not sent, because it is unknown whether the groups got them (see ``keys_since``). With
    ``rebuilt``, keyless projections get no events, because they are rebuilt afterwards. ``conn`` is a connection to the
    producer's database and is not one of the listeners' connections. No process of a listener may run. Events that the producer
    publishes meanwhile may be sent twice.
    """
    source = source_of(service)
    async with conn.transaction():
        await conn.execute(_TABLES)
        bound = {name: await _bound(listener, source) for name, listener in listeners.items()}
        for name, listener in listeners.items():
            if bound[name]:
                await _copy(listener.conn, _HANDLED, (source,), conn, "handled")
                await _copy_own_rows(listener, service, conn)
        await conn.execute("analyze handled")
        await conn.execute("analyze copied")
        for name, listener in listeners.items():
            if bound[name]:
                newest = await conn.fetchval(_NEWEST, list(bound[name]))
                groups = [group for group in listener.consumers.groups.values() if not (rebuilt and group.keyless)]
                await _note_lacking(conn, service, groups, bound[name], newest, since)
                await _ask_again(conn, name, listener, source, newest)
        again = Again(*await conn.fetchrow(_RESEND))
        # The processes of the service may be running.
        await conn.execute("select pg_notify($1, ''), pg_notify($2, '')", WAKE_CHANNEL, replay.CHANNEL)
        return again


async def _bound(listener: Listener, source: str) -> dict[str, datetime]:
    """Return the instant at which each group began to follow the source. A group that never ran will request snapshots."""
    return {row[0]: row[1] for row in await listener.conn.fetch(_BOUND, source)}


async def _note_lacking(
    conn: asyncpg.Connection,
    service: str,
    groups: Sequence[Group],
    bound: Mapping[str, datetime],
    newest: datetime | None,
    known_since: datetime,
) -> None:
    for group in groups:
        entities = _entities(group, service)
        if group.name in bound and entities:
            # If no event of an entity was handled, the group may have followed it only for a short time.
            since = bound[group.name] - UNNOTED
            if newest is not None:
                since = max(since, newest - OVERTAKEN)
            by_copies = group.keyless and group.journal is None
            listens = bound[group.name] - UNNOTED if by_copies else None
            types = sorted(group.handlers) if group.any_order else None
            await conn.execute(_LACKING, group.name, entities, since, known_since, listens, types)


def _entities(group: Group, service: str) -> list[str]:
    return sorted(entity.name for entity in group.entities if entity.service == service)


# The messages of a snapshot were in a queue, which is processed in order.
_SERVE_AGAIN = """
update snapshot_request set done_at = null, sent = 0
where queue = $1 and done_at is not null and error is null and ($2::timestamptz is null or done_at >= $2)
"""
_LAST_REQUEST = "select max(requested_at) from snapshot_request where requested_by = $1"
_UNASK = """
update inbox_bound set snapshot_requested_at = null
where source = $1 and snapshot_requested_at is not null and ($2::timestamptz is null or snapshot_requested_at > $2)
"""


async def _ask_again(
    conn: asyncpg.Connection, name: str, listener: Listener, source: str, newest: datetime | None
) -> None:
    """Request snapshots again that may not have arrived, also if the request itself may not have arrived."""
    await conn.execute(_SERVE_AGAIN, inbox_of(name), None if newest is None else newest - OVERTAKEN)
    await forget_requests(conn, source, name, listener.conn)


async def forget_requests(conn: asyncpg.Connection, source: str, name: str, listener: asyncpg.Connection) -> None:
    """Let a listener repeat requests of snapshots that the database of the producer, ``conn``, does not have."""
    last: datetime | None = await conn.fetchval(_LAST_REQUEST, name)
    await listener.execute(_UNASK, source, None if last is None else last + LATE_REQUEST)


async def _copy_own_rows(listener: Listener, service: str, to: asyncpg.Connection) -> None:
    """Copy what the own rows of keyless projections show."""
    for group in listener.consumers.groups.values():
        if not group.keyless or not _entities(group, service):
            continue
        if group.journal is not None:
            await _copy(listener.conn, _TOLD.format(group.journal.table), (group.name, service), to, "handled")
        for copies in group.copies:
            kinds = ", ".join(f"'{entity.name}'" for entity in copies.entities if entity.service == service)
            if kinds:
                condition = f"and {copies.kind} in ({kinds})" if copies.kind else ""
                await _copy(listener.conn, _COPIED.format(copies.table, condition), (group.name,), to, "copied")


async def _copy(
    from_: asyncpg.Connection, query: str, arguments: tuple[str, ...], to: asyncpg.Connection, table: str
) -> None:
    """Copy the rows of a query to a table of another database, without storing them in between."""
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(8)

    async def read() -> None:
        try:
            await from_.copy_from_query(query, *arguments, output=pieces.put, format="binary")
        finally:
            await pieces.put(None)

    async def all_pieces() -> AsyncIterator[bytes]:
        while (piece := await pieces.get()) is not None:
            yield piece

    async def write() -> None:
        await to.copy_to_table(table, source=all_pieces(), format="binary")

    await together([read(), write()])


_BACKLOG = """
select published_at from outbox where state = 'published' and published_at <= $1 and type = any($2)
order by published_at desc limit $3
"""
_FIRST = "select min(created_at) from outbox where state = 'published' and published_at >= $1 and type = any($2)"


async def backlog_since(
    conns: Sequence[tuple[asyncpg.Connection, Sequence[str]]], messages: int, at: datetime
) -> list[datetime | None]:
    """Return, for each producer, the ``created_at`` from which its events must be sent again to a queue; None if there are none.

    The queue held ``messages`` messages at the instant ``at``. ``conns`` are the producers' databases, each with the event types
    to which the queue is bound.
    """
    since = at
    if messages:
        published: list[Any] = []
        for conn, types in conns:
            published += [row[0] for row in await conn.fetch(_BACKLOG, at, list(types), messages)]
        published.sort(reverse=True)
        since = published[min(messages, len(published)) - 1] - OVERTAKEN if published else at
    return [await conn.fetchval(_FIRST, since, list(types)) for conn, types in conns]
