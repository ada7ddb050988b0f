"""The inbox: the events that each handler group has taken, its position in each record, and the events that are not done.

This module has only statements. ``crm_kit.events.ordering`` decides what to do with an event, and ``crm_kit.events.dispatch``
does it. The states are done, pending (it failed and is tried again at ``next_attempt_at``), waiting (an earlier version is
missing or not done), parked (an operator must decide) and skipped (an operator has decided).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.events.ordering import Place
from crm_kit.store.chores import AT_ONCE
from crm_kit.store.database import fetch

CHANNEL = "crm_inbox"
"""The channel that is notified when stored events may be ready to run."""

Timestamp = TIMESTAMP(timezone=True)


def inbox_tables(metadata: MetaData) -> None:
    """Add the tables ``inbox``, ``inbox_position``, ``inbox_bound`` and ``inbox_epoch``."""
    inbox = Table(
        "inbox",
        metadata,
        Column("consumer", Text, primary_key=True, comment="handler group"),
        Column("source", Text, primary_key=True),
        Column("event_id", Uuid, primary_key=True),
        Column("entity", Uuid),
        Column("entity_version", Integer),
        Column("type", Text, nullable=False),
        Column("state", Text, nullable=False, server_default="done"),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("next_attempt_at", Timestamp),
        Column("last_error", Text),
        Column("body", LargeBinary, comment="only until done"),
        Column("received_at", Timestamp, nullable=False),
        Column("skip_reason", Text),
        Column("epoch", Integer, nullable=False, server_default="0", comment="of what is not done"),
    )
    unfinished = text("state in ('pending', 'waiting', 'parked')")
    Index("ix_inbox_unfinished", inbox.c.consumer, inbox.c.entity, inbox.c.entity_version, postgresql_where=unfinished)
    pending = "state = 'pending'"
    Index("ix_inbox_due", inbox.c.next_attempt_at, postgresql_where=text(pending))
    Index("ix_inbox_due_group", inbox.c.consumer, inbox.c.next_attempt_at, postgresql_where=text(pending))
    Index("ix_inbox_waiting", inbox.c.consumer, postgresql_where=text("state = 'waiting'"))
    # The error is ``crm_kit.events.deferred.ENDED``.
    suspect = f"{pending} and last_error = 'the process ended during the last attempt'"
    Index("ix_inbox_suspect", inbox.c.consumer, inbox.c.next_attempt_at, postgresql_where=text(suspect))
    Table(
        "inbox_position",
        metadata,
        Column("consumer", Text, primary_key=True),
        Column("source", Text, primary_key=True),
        Column("entity", Uuid, primary_key=True),
        Column("version", Integer, nullable=False),
        Column("deleted", Boolean, nullable=False, server_default="false"),
        Column("epoch", Integer, nullable=False, server_default="0"),
    )
    Table(
        "inbox_bound",
        metadata,
        Column("consumer", Text, primary_key=True),
        Column("source", Text, primary_key=True),
        Column("bound_at", Timestamp, nullable=False),
        Column("snapshot_requested_at", Timestamp),
        Column("epoch", Integer, nullable=False, server_default="0", comment="what is older is known of no new record"),
    )
    Table(
        "inbox_epoch",
        metadata,
        Column("consumer", Text, primary_key=True),
        Column("source", Text, primary_key=True),
        Column("epoch", Integer, nullable=False, comment="the highest that the group has heard of, above 0"),
    )


class EventKey(NamedTuple):
    """Identifies an event in a group."""

    consumer: str
    source: str
    event_id: UUID


class Line(NamedTuple):
    """Identifies a record in a group. The events of a line are kept in order."""

    consumer: str
    source: str
    entity: UUID


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A stored event that is not done."""

    key: EventKey
    place: Place
    state: str


async def rows_of(conn: AsyncConnection, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
    """Return the rows of a statement."""
    return list((await conn.exec_driver_sql(sql, parameters)).all())


def columns(rows: Collection[tuple[Any, ...]], width: int) -> tuple[list[Any], ...]:
    """Return rows as parameters of ``unnest``. ``width`` is the number of columns."""
    return tuple([row[i] for row in rows] for i in range(width))


def _literals(rows: Collection[tuple[Any, ...]], width: int) -> tuple[str, ...]:
    """Return columns as array literals of PostgreSQL. Elements are texts, ids, numbers and booleans.

    For lists the driver checks whether each element is a list itself, which takes longer than the statement.
    """
    return tuple("{" + ",".join([_element(row[i]) for row in rows]) + "}" for i in range(width))


def _element(value: object) -> str:
    return _quoted(value) if isinstance(value, str) else str(value)


@lru_cache(maxsize=1024)
def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_INSERT = """
insert into inbox (consumer, source, event_id, entity, entity_version, type, received_at)
select consumer, source, event_id, entity, entity_version, type, $7
from unnest($1::text::text[], $2::text::text[], $3::text::uuid[], $4::text::uuid[], $5::text::int[], $6::text::text[])
  as arrived(consumer, source, event_id, entity, entity_version, type)
order by consumer, source, event_id on conflict do nothing returning consumer, source, event_id
"""


async def insert_done(conn: AsyncConnection, rows: Sequence[tuple[str, str, UUID, UUID, int, str]]) -> set[EventKey]:
    """Insert events as done; returns the keys of those that are new.

    A row is (consumer, source, event_id, entity, version, type). Rows are inserted in the order of their keys, so that two
    workers with the same events do not deadlock.
    """
    if not rows:
        return set()
    taken = await rows_of(conn, _INSERT, (*_literals(rows, 6), clock.now()))
    return {EventKey(*row) for row in taken}


# An update that changes nothing locks the row and returns its newest version in the same statement. If a rebuild has taken up
# the epoch of a restored publisher, new records begin in that epoch, because the publisher has lost what older events say.
_LOCK = """
insert into inbox_position as p (consumer, source, entity, version, epoch)
select line.consumer, line.source, line.entity, 0, coalesce(b.epoch, 0)
from unnest($1::text::text[], $2::text::text[], $3::text::uuid[]) as line(consumer, source, entity)
left join inbox_bound b on b.consumer = line.consumer and b.source = line.source
order by 1, 2, 3 on conflict (consumer, source, entity) do update set version = p.version
returning p.consumer, p.source, p.entity, p.epoch, p.version
"""


async def lock_positions(conn: AsyncConnection, lines: Collection[Line]) -> dict[Line, Place]:
    """Lock each record's position until the commit and return it. Version 0 means that no event was handled yet.

    Do not use it as the first statement of a transaction (see ``crm_kit.store.database.fetch``).
    """
    return {Line(*row[:3]): Place(*row[3:]) for row in await fetch(conn, _LOCK, _literals(lines, 3))}


_ADVANCE = """
update inbox_position p set epoch = line.epoch, version = line.version, deleted = line.deleted
from unnest($1::text::text[], $2::text::text[], $3::text::uuid[], $4::text::int[], $5::text::int[], $6::text::bool[])
  as line(consumer, source, entity, epoch, version, deleted)
where p.consumer = line.consumer and p.source = line.source and p.entity = line.entity
"""


async def advance(conn: AsyncConnection, positions: Sequence[tuple[Line, Place, bool]]) -> None:
    """Move locked positions. Each has the line, the new place, and whether the record is deleted there."""
    if positions:
        await fetch(conn, _ADVANCE, _literals([(*line, *place, deleted) for line, place, deleted in positions], 6))


# The offset prevents the planner from scanning all events that are not done while its statistics are empty.
_UNFINISHED = """
select line.consumer, line.source, i.event_id, line.entity, i.epoch, coalesce(i.entity_version, 0), i.state
from unnest($1::text::text[], $2::text::text[], $3::text::uuid[]) as line(consumer, source, entity)
cross join lateral (
  select event_id, epoch, entity_version, state from inbox
  where consumer = line.consumer and source = line.source and entity = line.entity
    and state in ('pending', 'waiting', 'parked') offset 0) i
"""


async def unfinished(conn: AsyncConnection, lines: Collection[Line]) -> dict[Line, list[Unfinished]]:
    """Return the stored events that are not done, by record. The positions of the records must be locked."""
    found: dict[Line, list[Unfinished]] = {}
    for row in await fetch(conn, _UNFINISHED, _literals(lines, 3)):
        found.setdefault(Line(row[0], row[1], row[3]), []).append(
            Unfinished(EventKey(*row[:3]), Place(row[4], row[5]), row[6])
        )
    return found


_BODIES = """
select i.consumer, i.source, i.event_id, i.body, i.attempts
from inbox i join unnest($1::text[], $2::text[], $3::uuid[]) as wanted(consumer, source, event_id)
  using (consumer, source, event_id) where i.state in ('pending', 'waiting') and i.body is not null
"""


async def bodies(conn: AsyncConnection, keys: Collection[EventKey]) -> dict[EventKey, bytes]:
    """Return the stored bodies of those events that are still pending or waiting."""
    if not keys:
        return {}
    rows = await rows_of(conn, _BODIES, key_columns(keys))
    return {EventKey(*row[:3]): row[3] for row in rows}


def key_columns(keys: Collection[EventKey]) -> tuple[list[Any], ...]:
    """Return keys as three parameters of a statement."""
    return columns([(key.consumer, key.source, key.event_id) for key in keys], 3)


_FINISH = """
update inbox i set state = 'done', body = null, next_attempt_at = null, last_error = null
from unnest($1::text[], $2::text[], $3::uuid[]) as key(consumer, source, event_id)
where i.consumer = key.consumer and i.source = key.source and i.event_id = key.event_id
"""


async def finish(conn: AsyncConnection, keys: Collection[EventKey]) -> None:
    """Mark stored events as done."""
    if keys:
        await conn.exec_driver_sql(_FINISH, key_columns(keys))


_WAIT = """
update inbox i set state = 'waiting', body = waiting.body, epoch = waiting.epoch, next_attempt_at = null,
  last_error = null
from unnest($1::text[], $2::text[], $3::uuid[], $4::bytea[], $5::int[]) as waiting(consumer, source, event_id, body, epoch)
where i.consumer = waiting.consumer and i.source = waiting.source and i.event_id = waiting.event_id
"""


async def put_aside(conn: AsyncConnection, waiting: Sequence[tuple[EventKey, bytes, int]]) -> None:
    """Store events until those before them are done. Each has key, body and epoch."""
    if waiting:
        keys = key_columns([key for key, _, _ in waiting])
        await conn.exec_driver_sql(_WAIT, (*keys, [body for _, body, _ in waiting], [epoch for *_, epoch in waiting]))


_SUPERSEDE = """
update inbox i set state = 'skipped', body = null, next_attempt_at = null, skip_reason = 'a rebuild brought what is newer'
from unnest($1::text::text[], $2::text::text[], $3::text::uuid[], $4::text::int[], $5::text::int[])
  as line(consumer, source, entity, epoch, version)
where i.consumer = line.consumer and i.source = line.source and i.entity = line.entity
  and i.state in ('pending', 'waiting', 'parked') and (i.epoch, i.entity_version) <= (line.epoch, line.version)
"""


async def supersede(conn: AsyncConnection, places: Mapping[Line, Place]) -> None:
    """Skip the stored events of these records up to these places."""
    if places:
        await fetch(conn, _SUPERSEDE, _literals([(*line, *place) for line, place in places.items()], 5))


# Events that are not done are grouped once. To check for each event whether another blocks its record would take quadratic time.
_RELEASE = """
update inbox i set state = 'pending', attempts = 0, next_attempt_at = $1
from (select consumer, source, entity,
    (array_agg(event_id order by epoch, entity_version))[1] as event_id
  from inbox where state in ('pending', 'waiting', 'parked') and consumer = any($3)
  group by consumer, source, entity having bool_and(state = 'waiting')) head
join inbox_position p using (consumer, source, entity)
where i.consumer = head.consumer and i.source = head.source and i.event_id = head.event_id and i.state = 'waiting'
  and (i.consumer = any($2) or (i.epoch, i.entity_version) <= (p.epoch, p.version + 1)
    or p.version = 0 and i.entity_version = 1)
"""


async def release(conn: AsyncConnection, consumers: list[str], projections: list[str]) -> int:
    """Make the first waiting event of each record due if nothing precedes it any more; returns the number.

    ``consumers`` are the groups. ``projections`` are those of them that do not wait for missing versions.
    """
    return (await conn.exec_driver_sql(_RELEASE, (clock.now(), projections, consumers))).rowcount


_UNSTARTED = """
select i.consumer, i.source, i.entity, i.epoch, i.entity_version, i.body
from (select consumer, source, entity,
    (array_agg(event_id order by epoch, entity_version) filter (where entity_version > 1 and received_at <= $1))[1]
      as event_id
  from inbox where state in ('pending', 'waiting', 'parked') and consumer = any($2)
  group by consumer, source, entity having bool_and(state = 'waiting')) head
join inbox_position p using (consumer, source, entity)
join inbox i on i.consumer = head.consumer and i.source = head.source and i.event_id = head.event_id
where p.version = 0 or p.epoch < i.epoch
order by i.consumer, i.source, i.entity limit 500
"""


async def unstarted(conn: AsyncConnection, consumers: list[str], before: datetime) -> list[tuple[Line, Place, bytes]]:
    """Return the first waiting event, received by ``before``, of each record that has no handled event in its epoch.

    It returns at most 500.
    """
    rows = await rows_of(conn, _UNSTARTED, (before, consumers))
    return [(Line(row[0], row[1], row[2]), Place(row[3], row[4]), row[5]) for row in rows]


# The clause ``for key share`` makes the reader hold a lock on the table until its commit. ``note_epochs`` waits for it.
_HEARD = """
with held as (select from inbox_epoch where false for key share)
select consumer, source, greatest(e.epoch, b.epoch), coalesce(b.epoch, 0)
from inbox_epoch e full join inbox_bound b using (consumer, source)
where consumer = any($1) and (e.epoch > 0 or b.epoch > 0) and not exists (select from held)
"""
_NOTE_EPOCHS = """
insert into inbox_epoch as known (consumer, source, epoch) select * from unnest($1::text[], $2::text[], $3::int[])
on conflict (consumer, source) do update set epoch = greatest(known.epoch, excluded.epoch)
"""


class Heard(NamedTuple):
    """The highest epoch of a source that a group has got, and the one that a rebuild took up. If an event of an older epoch
    than that has a record that is new here, its publisher has lost the event."""

    epoch: int
    taken_up: int


UNRESTORED = Heard(0, 0)


async def heard_epochs(conn: AsyncConnection, consumers: Collection[str]) -> dict[tuple[str, str], Heard]:
    """Return the epochs of restored sources by group and source."""
    rows = await rows_of(conn, _HEARD, (list(consumers),))
    return {(row[0], row[1]): Heard(row[2], row[3]) for row in rows}


async def note_epochs(conn: AsyncConnection, epochs: Mapping[tuple[str, str], int]) -> None:
    """Store the epochs of sources by group and source.

    It waits for every transaction that uses the older epochs. It does not wait for a backup, which only reads.
    """
    await conn.exec_driver_sql("lock table inbox_epoch in exclusive mode")
    rows = [(*pair, epoch) for pair, epoch in sorted(epochs.items())]
    await conn.exec_driver_sql(_NOTE_EPOCHS, columns(rows, 3))


_RELEASE_ALL = """
update inbox set state = 'pending', attempts = 0, next_attempt_at = $1 where consumer = any($2) and state = 'waiting'
"""


async def release_all(conn: AsyncConnection, consumers: list[str]) -> int:
    """Make all waiting events of these groups due, because they keep no order; returns the number.

    Such events were stored by a release in which the groups kept an order.
    """
    return (await conn.exec_driver_sql(_RELEASE_ALL, (clock.now(), consumers))).rowcount


_COUNTS = """
select consumer, state, count(*), extract(epoch from $1 - min(received_at))::float8
from inbox where state in ('pending', 'waiting', 'parked') group by consumer, state
"""
_OLDEST_GAP = """
select coalesce(extract(epoch from $1 - min(since)), 0)::float8 from (
  select min(received_at) as since from inbox where state in ('pending', 'waiting', 'parked')
  group by consumer, source, entity having bool_and(state = 'waiting')) gap
"""


async def measure(conn: AsyncConnection) -> tuple[dict[tuple[str, str], tuple[int, float]], float]:
    """Return the number of stored events by group and state, with the age of the oldest in seconds. Return also the age in
    seconds of the oldest event whose predecessor is missing."""
    counts = {(row[0], row[1]): (row[2], row[3]) for row in await rows_of(conn, _COUNTS, (clock.now(),))}
    return counts, (await conn.exec_driver_sql(_OLDEST_GAP, (clock.now(),))).scalar_one()


_BIND = """
insert into inbox_bound (consumer, source, bound_at)
select consumer, source, $3 from unnest($1::text[], $2::text[]) as bound(consumer, source) on conflict do nothing
"""


async def remember_bound(conn: AsyncConnection, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], datetime]:
    """Store the instant at which each group began to follow each source; returns all known instants."""
    await conn.exec_driver_sql(_BIND, (*columns(pairs, 2), clock.now()))
    rows = await rows_of(conn, "select consumer, source, bound_at from inbox_bound")
    return {(row[0], row[1]): row[2] for row in rows}


# All pairs of group and source, also of groups that no longer exist. The primary key alone finds them.
_LINES = """
with recursive line as (
  (select consumer, source from inbox order by consumer, source limit 1)
  union all
  select next.consumer, next.source from line cross join lateral (
    select consumer, source from inbox where (consumer, source) > (line.consumer, line.source)
    order by consumer, source limit 1) next
)
select consumer, source from line
"""
_FORGET = """
delete from inbox where ctid = any(array(select ctid from inbox
  where consumer = $1 and source = $2 and event_id < $3 and state in ('done', 'skipped') limit $4 for update skip locked))
"""


async def forget_done(conn: AsyncConnection, before: datetime) -> int:
    """Delete up to ``AT_ONCE`` keys of done or skipped events that are older than ``before``; returns the number.

    Event ids are UUIDv7, so the primary key finds the old ones.
    """
    oldest, gone = UUID(int=int(before.timestamp() * 1000) << 80), 0
    for consumer, source in await rows_of(conn, _LINES):
        if gone >= AT_ONCE:
            break
        gone += (await conn.exec_driver_sql(_FORGET, (consumer, source, oldest, AT_ONCE - gone))).rowcount
    return gone
