"""After a restore: which events are to be sent again.

The databases come from one cut, and the broker's queues are gone. What was in a queue at the cut is what its producer had
published and a group that hears it has not stored: its inbox knows every event that it was ever given, for longer than
outboxes keep them, or its own rows know it (``Group.keyless``). So nothing needs to be known of the queues themselves.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from crm_contracts.envelope import source_of
from crm_kit import clock
from crm_kit.broker.bus import inbox_of
from crm_kit.events.consumers import Consumers, Group
from crm_kit.together import together

OVERTAKEN = timedelta(hours=1)
"""By so much, at most, is an event handled before one that was published earlier: longer than any process holds one."""
UNNOTED = timedelta(minutes=1)
"""From the binding of a new service's queue to the moment it notes since when it listens."""
FORGOTTEN = timedelta(days=1)
"""By so much may the clock of a producer have been wrong when it made an event whose key is about to be forgotten."""
LATE_REQUEST = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Again:
    """What goes out again."""

    count: int
    oldest: datetime | None
    """When the oldest of these events was made."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A service with its own database, by what it listens to."""

    conn: asyncpg.Connection
    consumers: Consumers


# An attempt that was begun and never ended waited for the broker to deliver the message again.
_DUE = "update inbox set next_attempt_at = $1 where state = 'pending' and next_attempt_at is null and body is not null"
_UNHELD = (
    "update outbox set attempts = 0, next_attempt_at = null where state = 'pending' and next_attempt_at is not null"
)


async def take_up(conn: asyncpg.Connection) -> None:
    """Make due what only the old broker would have brought again, and what was held because of it."""
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
# The first that a group was given tells since when its queue has been bound: all that came after was in it, too. What is
# not done stays when the keys of its time are forgotten, and an outbox that an upgrade took over keeps its events for longer.
# A copy may be made of a snapshot, and then says of events before it no more than of those that never came: what is older than
# the binding is in the snapshot.
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
    """Since when, by the time of events, inboxes of that time have the key of each that they were given."""
    return cut - timedelta(days=days_of_keys) + FORGOTTEN


async def resend(
    conn: asyncpg.Connection,
    service: str,
    listeners: Mapping[str, Listener],
    *,
    since: datetime,
    rebuilt: bool = False,
) -> Again:
    """Have the relay of a service send again what a group of a listener lacks.

    Of what was made before ``since`` nobody knows whether a group was given it, and nothing is sent (see ``keys_since``).
    With ``rebuilt`` copies that say themselves how far they are ask for nothing: they are rebuilt afterwards.
    ``conn`` is to the producer's database; none of the listeners' connections is the same. No process of a listener may run;
    what the producer publishes meanwhile may be sent twice.
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
        return Again(*await conn.fetchrow(_RESEND))


async def _bound(listener: Listener, source: str) -> dict[str, datetime]:
    """Since when each group has listened to the source; one that never ran asks for snapshots when it first does."""
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
            # An entity of which nothing was ever handled may be one that this group has followed for a short time only.
            since = bound[group.name] - UNNOTED
            if newest is not None:
                since = max(since, newest - OVERTAKEN)
            by_copies = group.keyless and group.journal is None
            listens = bound[group.name] - UNNOTED if by_copies else None
            types = sorted(group.handlers) if group.any_order else None
            await conn.execute(_LACKING, group.name, entities, since, known_since, listens, types)


def _entities(group: Group, service: str) -> list[str]:
    return sorted(entity.name for entity in group.entities if entity.service == service)


# Its messages were in a queue, and a queue is worked off in order.
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
    """Have snapshots sent again that may not have arrived, and requests that may not either."""
    await conn.execute(_SERVE_AGAIN, inbox_of(name), None if newest is None else newest - OVERTAKEN)
    await forget_requests(conn, source, name, listener.conn)


async def forget_requests(conn: asyncpg.Connection, source: str, name: str, listener: asyncpg.Connection) -> None:
    """Let a listener ask again for snapshots that its producer, with ``source`` and ``conn``, knows nothing of."""
    last: datetime | None = await conn.fetchval(_LAST_REQUEST, name)
    await listener.execute(_UNASK, source, None if last is None else last + LATE_REQUEST)


async def _copy_own_rows(listener: Listener, service: str, to: asyncpg.Connection) -> None:
    """What the rows of projections say themselves."""
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
    """Rows of one database into a table of another, as they come."""
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
    """From when on each producer's events are to be sent again to a queue that held so many messages at that time.

    ``conns`` are the producers' databases, each with the types that the queue hears. A time for each of them, by
    ``created_at``; None where there is nothing to send.
    """
    since = at
    if messages:
        published: list[Any] = []
        for conn, types in conns:
            published += [row[0] for row in await conn.fetch(_BACKLOG, at, list(types), messages)]
        published.sort(reverse=True)
        since = published[min(messages, len(published)) - 1] - OVERTAKEN if published else at
    return [await conn.fetchval(_FIRST, since, list(types)) for conn, types in conns]
