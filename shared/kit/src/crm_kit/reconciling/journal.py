"""Compares a projection with a row per event with the publisher's history, and repairs it.

Events that the history does not have are removed. Missing events are added if the publisher's outbox still has them.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.events import inbox, own_rows
from crm_kit.events.consumers import Group, Journal
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.inbox import Line
from crm_kit.events.ordering import Place
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime
from crm_kit.reconciling.parties import SMALLEST, Publisher
from crm_kit.reconciling.windows import digest, ranges
from crm_kit.work.outbox import stamped

MISSING_AT_ONCE: Final = 10_000
"""The number of events that are searched in the outbox together. It has no index of their ids, so it is read once for all."""
PAGE: Final = 500

_ORDERED = "select entity_id from audit where entity_id > $1 order by entity_id, version"
_TOLD = """
select event_id as id, 0::bigint as number, at from audit
where entity_id > $1 and entity_id <= $2 and entity_type = any($3::text[])
"""
_KEPT = """
select id, 0::bigint as number, at from {0}
where record_id > $1 and record_id <= $2 and split_part(type, '.', 2) = $3
"""
_REMOVE = "delete from {0} where record_id > $1 and record_id <= $2 and id = any($3::uuid[])"
# It includes events that are not published yet, because they will arrive too late for a record whose epoch has advanced.
_TELLABLE = "select body, epoch from outbox where state <> 'skipped' and id = any($1::uuid[]) order by seq"
_OLDEST = "select min(at) from audit"
_HAS_OLDER = "select exists (select from audit where at <= $1)"


@dataclass(frozen=True, slots=True)
class Difference:
    """The differences in one range of records."""

    low: UUID
    high: UUID
    extra: list[UUID]
    missing: list[UUID]


@dataclass(slots=True)
class Mended:
    """The changes of a journal."""

    removed: int = 0
    added: int = 0
    lost: int = 0
    """The number of events that the history has and the outbox no longer has."""


@dataclass(slots=True)
class Looked:
    """The extent of a comparison."""

    events: int = 0
    """The number of events of the publisher's history."""
    since: datetime | None = None
    """When the group began to follow the source; None if it never did. Earlier events are not expected."""


async def differences(
    follower: Runtime, group: Group, publisher: Publisher, looked: Looked | None = None
) -> AsyncIterator[Difference]:
    """Yield the ranges in which a journal differs from the publisher's history. ``looked`` gets the extent.

    Events from before the group began to follow the source are not expected. Events that are older than the publisher's history
    are not compared.
    """
    looked = looked or Looked()
    assert group.journal is not None
    kinds, service = [entity.name for entity in publisher.entities], publisher.source.rpartition("/")[2]
    kept = _KEPT.format(group.journal.table)
    async with publisher.runtime.db.autocommit() as theirs, follower.db.autocommit() as ours:
        since = looked.since = await _bound_at(ours, group, publisher)
        oldest: datetime | None = (await theirs.exec_driver_sql(_OLDEST)).scalar()
        async for low, high in ranges(theirs, _ORDERED):
            # Our rows are read first. What has arrived here must be in the publisher's history.
            mine = await digest(ours, kept, (low, high, service))
            history = await digest(theirs, _TOLD, (low, high, kinds))
            looked.events += history[0]
            if mine == history:
                continue
            shown = await _rows(ours, kept, (low, high, service))
            told = await _rows(theirs, _TOLD, (low, high, kinds))
            extra = [id_ for id_, at in shown.items() if id_ not in told and (oldest is None or at >= oldest)]
            if extra and oldest is not None and not await _reaches_back(theirs, oldest):
                # A month of the publisher's history was dropped meanwhile.
                oldest = (await theirs.exec_driver_sql(_OLDEST)).scalar() or clock.now()
                extra = [id_ for id_ in extra if shown[id_] >= oldest]
            missing = [id_ for id_, at in told.items() if id_ not in shown and since is not None and at >= since]
            if extra or missing:
                yield Difference(low, high, extra, missing)


async def mend(
    follower: Runtime,
    dispatcher: Dispatcher,
    group: Group,
    publisher: Publisher,
    epoch: int,
    tell: Callable[[str], None],
) -> Mended:
    """Remove the events that the publisher's history does not have, and add the missing ones. ``tell`` gets the progress."""
    assert group.journal is not None
    name, mended, missing = f"{group.name} from {publisher.source}", Mended(), list[UUID]()
    tell(f"{name}: begins")
    if epoch:
        await _take_over(follower, group, publisher, epoch)
    async for found in differences(follower, group, publisher):
        mended.removed += await _remove(follower, group.journal, found)
        missing += found.missing
        if len(missing) >= MISSING_AT_ONCE:
            await _add(dispatcher, group, publisher, missing, mended)
            missing = []
        tell(f"{name}: {mended.removed} events removed, {mended.added} added")
    if missing:
        await _add(dispatcher, group, publisher, missing, mended)
    tell(
        f"{name}: done, {mended.removed} events removed, {mended.added} added, {mended.lost} not in the outbox any more"
    )
    return mended


async def _bound_at(conn: AsyncConnection, group: Group, publisher: Publisher) -> datetime | None:
    bound = "select bound_at from inbox_bound where consumer = $1 and source = $2"
    at: datetime | None = (await conn.exec_driver_sql(bound, (group.name, publisher.source))).scalar_one_or_none()
    return at


async def _reaches_back(conn: AsyncConnection, to: datetime) -> bool:
    """Whether the history still reaches back to this instant. It reads only the oldest partition."""
    return bool((await conn.exec_driver_sql(_HAS_OLDER, (to,))).scalar_one())


async def _rows(conn: AsyncConnection, sql: str, parameters: Sequence[object]) -> dict[UUID, datetime]:
    rows: Any = (await conn.exec_driver_sql(sql, tuple(parameters))).all()
    return {row[0]: row[2] for row in rows}


async def _remove(follower: Runtime, journal: Journal, found: Difference) -> int:
    if not found.extra:
        return 0
    async with follower.db.begin() as conn:
        statement = _REMOVE.format(journal.table)
        return (await conn.exec_driver_sql(statement, (found.low, found.high, found.extra))).rowcount


async def _add(
    dispatcher: Dispatcher, group: Group, publisher: Publisher, missing: Sequence[UUID], mended: Mended
) -> None:
    async with publisher.runtime.db.autocommit() as theirs:
        found: Any = (await theirs.exec_driver_sql(_TELLABLE, (list(missing),))).all()
    messages = [Message.read(stamped(row[0], row[1])) for row in found]
    for at in range(0, len(messages), PAGE):
        async with dispatcher.runtime.db.begin() as conn:
            await conn.exec_driver_sql("select 1")
            await dispatcher.run_again(conn, group, messages[at : at + PAGE])
    mended.added += len(messages)
    mended.lost += len(missing) - len(messages)


async def _take_over(follower: Runtime, group: Group, publisher: Publisher, epoch: int) -> None:
    """Move positions to the new epoch. Events of older epochs that the publisher does not have are then ignored."""
    async with follower.db.begin() as conn:
        await inbox.note_epochs(conn, {(group.name, publisher.source): epoch})
    after, service = SMALLEST, publisher.source.rpartition("/")[2]
    while True:
        async with follower.db.begin() as conn:
            await conn.exec_driver_sql("select 1")
            found = await own_rows.told_after(conn, group, service, after, PAGE)
            if not found:
                return
            after = found[-1]
            async with publisher.runtime.db.autocommit() as theirs:
                versions = await publisher.versions(theirs, found)
            lines = [Line(group.name, publisher.source, entity) for entity in found]
            moved = [
                (line, Place(epoch, versions.get(line.entity, place.version)), line.entity not in versions)
                for line, place in (await inbox.lock_positions(conn, lines)).items()
                if place.epoch < epoch
            ]
            await inbox.advance(conn, moved)
